/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML we accept at all (libyaml), and where things stand in it. */
#ifndef IO_DOCUMENT_H
#define IO_DOCUMENT_H

#include <cyaml/cyaml.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct document;

/* What is wrong with a file, and on which line (from 1). */
struct flaw {
	unsigned line;
	char text[640];
};

/*
 * Accepts one document of plain values, lists and mappings. Refuses what a configuration needs not and what makes it
 * say another thing than it seems to: anchors, aliases, tags, repeated keys, control characters; and what would take
 * memory without end: depth, size. 0, or -EINVAL or -ENOMEM with *ret_flaw. The data is not needed afterwards.
 */
int document_open(const char *data, size_t size, struct document **ret, struct flaw *ret_flaw);
void document_close(struct document *document); /* NULL is fine */

/* The line of what a path such as "services[1].canary[0].port" names, or of the nearest there is above it. */
unsigned document_line(const struct document *document, const char *path);

/* The same as JSON, with every value as its text: a new reference. NULL without memory. */
json_t *document_json(const struct document *document);

/* Is there this key at the top? */
bool document_has(const struct document *document, const char *key);

/* Where and how does the document depart from the schema? false: nowhere that we can tell. */
bool document_compare(const struct document *document, const cyaml_schema_value_t *schema, struct flaw *ret_flaw);

#endif
