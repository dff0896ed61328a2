/* SPDX-License-Identifier: Apache-2.0 */
#include "io/document.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/*
 * Generous for any configuration that fits in the data plane's tables. The limit on keys keeps the search for repeated
 * ones from being quadratic in the file's size.
 */
enum {
	MAX_DEPTH = 16,
	MAX_VALUES = 1000000,
	MAX_KEYS = 64,
	MAX_VALUE_LEN = 511,
};

struct document {
	yaml_document_t yaml;
};

/* What the first pass, over events, has seen so far. */
struct screen {
	unsigned documents;
	unsigned depth;
	unsigned values;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct flaw *flaw, size_t line, const char *format, ...)
{
	va_list args;

	flaw->line = (unsigned)line + 1; /* libyaml counts from 0 */
	va_start(args, format);
	vsnprintf(flaw->text, sizeof(flaw->text), format, args);
	va_end(args);
	return -EINVAL;
}

static size_t count_lines(const char *data, size_t size)
{
	size_t lines = 0;

	for (const char *at = data; (at = memchr(at, '\n', size - (size_t)(at - data))); at++)
		lines++;
	return lines;
}

/* Does the line (from 0) begin with a tab, perhaps behind spaces? */
static bool indented_by_tab(const char *data, size_t size, size_t line)
{
	const char *at = data, *end = data + size;

	for (; line; line--) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	while (at < end && *at == ' ')
		at++;
	return at < end && *at == '\t';
}

static int explain_parser(const yaml_parser_t *parser, const char *data, size_t size, struct flaw *flaw)
{
	size_t line = parser->problem_mark.line;

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		refuse(flaw, line, "there is not enough memory to read the file");
		return -ENOMEM;
	case YAML_READER_ERROR:
		line = count_lines(data, parser->problem_offset < size ? parser->problem_offset : size);
		return refuse(flaw, line, "this is not text in UTF-8: %s", parser->problem);
	default:
		if (indented_by_tab(data, size, line))
			return refuse(flaw, line, "YAML does not take tabs for indentation: use spaces");
		if (parser->context)
			return refuse(flaw, line, "this is not valid YAML: %s (%s, from line %zu)", parser->problem,
				      parser->context, parser->context_mark.line + 1);
		return refuse(flaw, line, "this is not valid YAML: %s", parser->problem);
	}
}

/*
 * Control characters cannot stand in the file itself, but can be written as escapes: "\0" would cut a value short, others
 * would act on the terminal that a message is shown on. C1 ones are 0xc2 0x80..0x9f in UTF-8.
 */
static bool has_control(const unsigned char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x20 || text[i] == 0x7f || (text[i] == 0xc2 && i + 1 < len && text[i + 1] < 0xa0))
			return true;
	}
	return false;
}

static int screen_value(const yaml_event_t *event, struct screen *screen, struct flaw *flaw)
{
	size_t line = event->start_mark.line;
	const yaml_char_t *anchor, *tag;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor)
		return refuse(flaw, line, "anchors (&name) are not taken here: write the value out where it is needed");
	if (tag)
		return refuse(flaw, line, "tags (!name) are not taken here: write the plain value");
	if (++screen->values > MAX_VALUES)
		return refuse(flaw, line, "the file holds more than %d values: no configuration needs that many",
			      MAX_VALUES);
	if (event->type != YAML_SCALAR_EVENT) {
		if (++screen->depth > MAX_DEPTH)
			return refuse(flaw, line, "lists and mappings are nested more than %d levels deep", MAX_DEPTH);
		return 0;
	}
	if (event->data.scalar.length > MAX_VALUE_LEN)
		return refuse(flaw, line, "a value is longer than %d bytes", MAX_VALUE_LEN);
	if (has_control(event->data.scalar.value, event->data.scalar.length))
		return refuse(flaw, line, "a value has a line break or another control character in it");
	return 0;
}

static int screen_event(const yaml_event_t *event, struct screen *screen, struct flaw *flaw)
{
	size_t line = event->start_mark.line;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++screen->documents > 1)
			return refuse(flaw, line, "a second document begins here: put all services into one");
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(flaw, line, "aliases (*name) are not taken here: write the value out");
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return screen_value(event, screen, flaw);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		screen->depth--;
		return 0;
	case YAML_STREAM_END_EVENT:
		if (!screen->documents)
			return refuse(flaw, 0, "the file is empty: write `services: []` for no services");
		return 0;
	default:
		return 0;
	}
}

static int start_parser(const char *data, size_t size, yaml_parser_t *ret)
{
	if (!yaml_parser_initialize(ret))
		return -ENOMEM;
	yaml_parser_set_encoding(ret, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(ret, (const unsigned char *)data, size);
	return 0;
}

/* Before a tree is built: events come one at a time, so that a refusal costs no memory. */
static int screen_events(const char *data, size_t size, struct flaw *flaw)
{
	struct screen screen = {};
	yaml_parser_t parser;
	bool end = false;
	int err;

	err = start_parser(data, size, &parser);
	if (err < 0)
		return err;
	while (!err && !end) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			err = explain_parser(&parser, data, size, flaw);
			break;
		}
		err = screen_event(&event, &screen, flaw);
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return err;
}

static const yaml_node_t *node_at(const struct document *document, int index)
{
	return &document->yaml.nodes.start[index - 1]; /* libyaml numbers nodes from 1 */
}

static const char *scalar_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static int check_keys(const struct document *document, const yaml_node_t *mapping, struct flaw *flaw)
{
	const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
	size_t count = (size_t)(mapping->data.mapping.pairs.top - pairs);

	if (count > MAX_KEYS)
		return refuse(flaw, mapping->start_mark.line, "a mapping has more than %d keys", MAX_KEYS);
	for (size_t i = 0; i < count; i++) {
		const yaml_node_t *key = node_at(document, pairs[i].key);

		if (key->type != YAML_SCALAR_NODE)
			return refuse(flaw, key->start_mark.line, "a key must be a word, not a list or mapping");
		for (size_t j = 0; j < i; j++) {
			const yaml_node_t *earlier = node_at(document, pairs[j].key);

			if (!strcmp(scalar_text(earlier), scalar_text(key)))
				return refuse(flaw, key->start_mark.line,
					      "key '%s' is given twice (first on line %zu): keep one", scalar_text(key),
					      earlier->start_mark.line + 1);
		}
	}
	return 0;
}

static int load_tree(const char *data, size_t size, struct document *document, struct flaw *flaw)
{
	yaml_parser_t parser;
	int err;

	err = start_parser(data, size, &parser);
	if (err < 0)
		return err;
	if (!yaml_parser_load(&parser, &document->yaml))
		err = explain_parser(&parser, data, size, flaw);
	yaml_parser_delete(&parser);
	return err;
}

int document_open(const char *data, size_t size, struct document **ret, struct flaw *ret_flaw)
{
	struct document *document;
	int err;

	refuse(ret_flaw, 0, "there is not enough memory to read the file");
	err = screen_events(data, size, ret_flaw);
	if (err < 0)
		return err;
	document = calloc(1, sizeof(*document));
	if (!document)
		return -ENOMEM;
	err = load_tree(data, size, document, ret_flaw);
	if (err < 0) {
		free(document);
		return err;
	}
	for (const yaml_node_t *node = document->yaml.nodes.start; node < document->yaml.nodes.top && !err; node++) {
		if (node->type == YAML_MAPPING_NODE)
			err = check_keys(document, node, ret_flaw);
	}
	if (err < 0) {
		document_close(document);
		return err;
	}
	*ret = document;
	return 0;
}

void document_close(struct document *document)
{
	if (!document)
		return;
	yaml_document_delete(&document->yaml);
	free(document);
}

/* The screening has bounded how deep it is. */
static json_t *node_json(const struct document *document, const yaml_node_t *node)
{
	json_t *json;

	if (node->type == YAML_SCALAR_NODE)
		return json_string(scalar_text(node));
	if (node->type == YAML_SEQUENCE_NODE) {
		json = json_array();
		for (const int *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
			json_array_append_new(json, node_json(document, node_at(document, *item)));
		return json;
	}
	json = json_object();
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++)
		json_object_set_new(json, scalar_text(node_at(document, pair->key)),
				    node_json(document, node_at(document, pair->value)));
	return json;
}

json_t *document_json(const struct document *document)
{
	return node_json(document, document->yaml.nodes.start);
}

/* The pair of a mapping with this key; NULL: there is none, or the node is no mapping. */
static const yaml_node_pair_t *find_key(const struct document *document, const yaml_node_t *node, const char *key,
					size_t len)
{
	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *its = node_at(document, pair->key);

		if (its->data.scalar.length == len && !memcmp(its->data.scalar.value, key, len))
			return pair;
	}
	return NULL;
}

bool document_has(const struct document *document, const char *key)
{
	return find_key(document, node_at(document, 1), key, strlen(key));
}

unsigned document_line(const struct document *document, const char *path)
{
	const yaml_node_t *node = node_at(document, 1);
	size_t line = node->start_mark.line;

	while (*path) {
		size_t len = strcspn(path, ".[");

		if (*path == '[') {
			unsigned long item = strtoul(path + 1, NULL, 10);

			if (node->type != YAML_SEQUENCE_NODE ||
			    item >= (size_t)(node->data.sequence.items.top - node->data.sequence.items.start))
				break;
			node = node_at(document, node->data.sequence.items.start[item]);
			line = node->start_mark.line;
			path += strcspn(path, "]") + 1;
		} else {
			const yaml_node_pair_t *pair = find_key(document, node, path, len);

			if (!pair)
				break;
			node = node_at(document, pair->value);
			line = node_at(document, pair->key)->start_mark.line;
			path += len;
		}
		path += *path == '.';
	}
	return (unsigned)line + 1;
}

/* A place in the document and in the schema, for document_compare(). */
struct place {
	const struct document *document;
	const cyaml_schema_value_t *schema;
	const yaml_node_t *node;
	size_t line;
	char path[128];
};

static bool compare_place(const struct place *place, struct flaw *flaw);

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields, const char *key)
{
	for (; fields->key; fields++) {
		if (!strcmp(fields->key, key))
			return fields;
	}
	return NULL;
}

static bool unknown_key(const struct place *place, const yaml_node_t *key, struct flaw *flaw)
{
	const cyaml_schema_field_t *field = place->schema->mapping.fields;
	size_t len;

	refuse(flaw, key->start_mark.line, "%s%s%.64s: unknown key; known here: ", place->path, *place->path ? "." : "",
	       scalar_text(key));
	for (const char *separator = ""; field->key; field++, separator = ", ") {
		len = strlen(flaw->text);
		snprintf(flaw->text + len, sizeof(flaw->text) - len, "%s%s", separator, field->key);
	}
	return true;
}

static bool compare_mapping(const struct place *place, struct flaw *flaw)
{
	const cyaml_schema_field_t *fields = place->schema->mapping.fields;
	const yaml_node_t *node = place->node;

	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *key = node_at(place->document, pair->key);
		const cyaml_schema_field_t *field = find_field(fields, scalar_text(key));
		struct place below = {.document = place->document, .line = key->start_mark.line};

		if (!field)
			return unknown_key(place, key, flaw);
		below.schema = &field->value;
		below.node = node_at(place->document, pair->value);
		snprintf(below.path, sizeof(below.path), "%.100s%s%.24s", place->path, *place->path ? "." : "",
			 field->key);
		if (compare_place(&below, flaw))
			return true;
	}
	for (; fields->key; fields++) {
		if (!(fields->value.flags & CYAML_FLAG_OPTIONAL) &&
		    !find_key(place->document, node, fields->key, strlen(fields->key))) {
			refuse(flaw, node->start_mark.line, "%s%s'%s' is missing: it must be given", place->path,
			       *place->path ? ": " : "", fields->key);
			return true;
		}
	}
	return false;
}

static bool compare_sequence(const struct place *place, struct flaw *flaw)
{
	const yaml_node_item_t *items = place->node->data.sequence.items.start;
	size_t count = (size_t)(place->node->data.sequence.items.top - items);

	for (size_t i = 0; i < count; i++) {
		struct place below = {.document = place->document, .schema = place->schema->sequence.entry};

		below.node = node_at(place->document, items[i]);
		below.line = below.node->start_mark.line;
		snprintf(below.path, sizeof(below.path), "%.100s[%zu]", place->path, i);
		if (compare_place(&below, flaw))
			return true;
	}
	return false;
}

static bool compare_place(const struct place *place, struct flaw *flaw)
{
	cyaml_type_e type = place->schema->type;
	yaml_node_type_t wanted = type == CYAML_MAPPING	   ? YAML_MAPPING_NODE
				  : type == CYAML_SEQUENCE ? YAML_SEQUENCE_NODE
							   : YAML_SCALAR_NODE;
	static const char *const kinds[] = {
		[YAML_NO_NODE] = "nothing",
		[YAML_SCALAR_NODE] = "a single value",
		[YAML_SEQUENCE_NODE] = "a list",
		[YAML_MAPPING_NODE] = "a mapping (key: value)",
	};

	if (place->node->type != wanted) {
		refuse(flaw, place->line, "%s%sthis must be %s, and is %s", place->path, *place->path ? ": " : "",
		       kinds[wanted], kinds[place->node->type]);
		return true;
	}
	if (wanted == YAML_MAPPING_NODE)
		return compare_mapping(place, flaw);
	return wanted == YAML_SEQUENCE_NODE && compare_sequence(place, flaw);
}

bool document_compare(const struct document *document, const cyaml_schema_value_t *schema, struct flaw *ret_flaw)
{
	struct place root = {.document = document, .schema = schema, .node = node_at(document, 1)};

	root.line = root.node->start_mark.line;
	return compare_place(&root, ret_flaw);
}
