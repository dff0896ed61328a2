/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in etcd: keys and values as text. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fleet.h"
#include "core/text.h"

static const struct {
	const char *name;
	int parts;
	bool leased;
} kinds[FLEET_KEY_KINDS] = {
#define X(NAME, name, parts, leased) [FLEET_KEY_##NAME] = {#name, parts, leased},
	FLEET_KEY_LIST(X)
#undef X
};

static const char *const phases[FLEET_PHASE_COUNT] = {
#define X(NAME, name) [FLEET_##NAME] = #name,
	FLEET_PHASES(X)
#undef X
};

const char *fleet_phase_name(enum fleet_phase phase)
{
	return phase < FLEET_PHASE_COUNT ? phases[phase] : "unknown";
}

bool fleet_key_is_leased(enum fleet_key_kind kind)
{
	return kinds[kind].leased;
}

int fleet_format_key(const char *prefix, const struct fleet_key *key, char buf[FLEET_KEY_LEN])
{
	int length = snprintf(buf, FLEET_KEY_LEN, "%s/%s", prefix, kinds[key->kind].name);

	for (int i = 0; i < kinds[key->kind].parts && length < FLEET_KEY_LEN; i++) {
		if (!name_is_valid(key->part[i]))
			return -EINVAL;
		length += snprintf(buf + length, (size_t)(FLEET_KEY_LEN - length), "/%s", key->part[i]);
	}
	return length < FLEET_KEY_LEN ? 0 : -EINVAL;
}

/* Takes "/part" off the text. */
static int take_part(const char **text, char *ret)
{
	size_t length;

	if (**text != '/')
		return -EINVAL;
	length = strcspn(*text + 1, "/");
	if (!length || length >= FLEET_PART_LEN)
		return -EINVAL;
	memcpy(ret, *text + 1, length);
	ret[length] = 0;
	*text += 1 + length;
	return 0;
}

int fleet_parse_key(const char *prefix, const char *text, struct fleet_key *ret)
{
	size_t length = strlen(prefix);
	struct fleet_key key = {};
	char name[FLEET_PART_LEN];

	if (strncmp(text, prefix, length) != 0)
		return -EINVAL;
	text += length;
	if (take_part(&text, name))
		return -EINVAL;
	while (key.kind < FLEET_KEY_KINDS && strcmp(kinds[key.kind].name, name) != 0)
		key.kind++;
	if (key.kind == FLEET_KEY_KINDS)
		return -EINVAL;
	for (int i = 0; i < kinds[key.kind].parts; i++)
		if (take_part(&text, key.part[i]) || !name_is_valid(key.part[i]))
			return -EINVAL;
	if (*text)
		return -EINVAL;
	*ret = key;
	return 0;
}

int fleet_check_format(const char *prefix, const char *format, size_t others, struct error *error)
{
	size_t length = strlen(FLEET_FORMAT);

	if (!format && !others)
		return fail(error, -ENOENT,
			    "there is nothing in etcd under %s: begin a fleet with canaryctl fleet init", prefix);
	if (!format)
		return fail(error, -EPROTO, "what is in etcd under %s is no fleet's: choose another prefix", prefix);
	if (strncmp(format, FLEET_FORMAT, length) != 0 || (format[length] && format[length] != ' '))
		return fail(error, -EPROTO,
			    "the fleet in etcd under %s is of another version: \"%.40s\", this is \"%s\"", prefix,
			    format, FLEET_FORMAT);
	return 0;
}

static int format_view(const char *name, const struct fleet_view *view, char *buf, size_t size)
{
	return snprintf(buf, size, "%s %" PRIu64 " %d %" PRIu32 "\n", name, (uint64_t)view->config, view->weight,
			view->salt);
}

const char *fleet_format_record(const struct fleet_record *record, char buf[FLEET_TEXT_LEN])
{
	int at = snprintf(buf, FLEET_TEXT_LEN, "change %" PRIu64 "\nassignment %" PRIu64 "\nphase %s\n",
			  (uint64_t)record->change, (uint64_t)record->assignment, fleet_phase_name(record->phase));

	at += format_view("now", &record->now, buf + at, FLEET_TEXT_LEN - (size_t)at);
	if (record->window)
		at += format_view("oldest", &record->oldest, buf + at, FLEET_TEXT_LEN - (size_t)at);
	if (record->phase == FLEET_PREPARING)
		at += format_view("next", &record->next, buf + at, FLEET_TEXT_LEN - (size_t)at);
	snprintf(buf + at, FLEET_TEXT_LEN - (size_t)at, "%swho %s\n", record->mixed ? "mixed true\n" : "", record->who);
	return buf;
}

/* The text of a line that begins so, and *text behind it; NULL: it is another one. */
static const char *take_line(const char **text, const char *name, char *buf, size_t size)
{
	size_t name_length = strlen(name), length = strcspn(*text, "\n");

	if ((*text)[length] != '\n' || length < name_length + 1 || strncmp(*text, name, name_length) != 0 ||
	    (*text)[name_length] != ' ' || length - name_length > size)
		return NULL;
	length -= name_length + 1;
	memcpy(buf, *text + name_length + 1, length);
	buf[length] = 0;
	*text += name_length + 1 + length + 1;
	return buf;
}

/* A number and the space or end behind it. */
static int take_number(const char **text, __u64 max, __u64 *ret)
{
	char *end;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	errno = 0;
	*ret = strtoull(*text, &end, 10);
	if (errno || *ret > max || (*end && *end != ' '))
		return -EINVAL;
	*text = *end ? end + 1 : end;
	return 0;
}

static int take_number_line(const char **text, const char *name, __u64 *ret)
{
	char buf[FLEET_TEXT_LEN];
	const char *line = take_line(text, name, buf, sizeof(buf));

	return line && !take_number(&line, INT64_MAX, ret) && !*line ? 0 : -EINVAL;
}

static int take_view(const char **text, const char *name, struct fleet_view *ret)
{
	char buf[FLEET_TEXT_LEN];
	const char *line = take_line(text, name, buf, sizeof(buf));
	__u64 weight, salt;

	if (!line || take_number(&line, INT64_MAX, &ret->config) || take_number(&line, CANARY_WEIGHT_ONE, &weight) ||
	    take_number(&line, UINT32_MAX, &salt) || *line)
		return -EINVAL;
	ret->weight = (int)weight;
	ret->salt = (__u32)salt;
	return 0;
}

static int take_phase(const char **text, enum fleet_phase *ret)
{
	char buf[FLEET_PART_LEN];

	if (!take_line(text, "phase", buf, sizeof(buf)))
		return -EINVAL;
	for (*ret = 0; *ret < FLEET_PHASE_COUNT; (*ret)++)
		if (!strcmp(buf, phases[*ret]))
			return 0;
	return -EINVAL;
}

int fleet_parse_record(const char *text, struct fleet_record *ret)
{
	struct fleet_record record = {};
	char mixed[FLEET_PART_LEN];

	if (take_number_line(&text, "change", &record.change) ||
	    take_number_line(&text, "assignment", &record.assignment) || take_phase(&text, &record.phase) ||
	    take_view(&text, "now", &record.now))
		return -EINVAL;
	record.window = !take_view(&text, "oldest", &record.oldest);
	if (record.phase == FLEET_PREPARING && take_view(&text, "next", &record.next))
		return -EINVAL;
	record.mixed = take_line(&text, "mixed", mixed, sizeof(mixed));
	if (!take_line(&text, "who", record.who, sizeof(record.who)) || *text)
		return -EINVAL;
	if ((record.phase == FLEET_SETTLED && (record.window || record.mixed)) ||
	    ((record.phase == FLEET_OPEN || record.phase == FLEET_CLOSING) && !record.window))
		return -EINVAL;
	*ret = record;
	return 0;
}

size_t fleet_format_report(__s64 done, const struct fleet_exception *exceptions, size_t count, char *buf, size_t size)
{
	size_t length = (size_t)snprintf(buf, size, "done %" PRId64 "\n", (int64_t)done);

	for (size_t i = 0; i < count; i++) {
		const struct fleet_exception *e = &exceptions[i];
		bool fits = length < size;

		length += (size_t)snprintf(fits ? buf + length : NULL, fits ? size - length : 0,
					   "undone %s %" PRId64 "%s%s\n", e->service, (int64_t)e->revision,
					   *e->refusal ? " " : "", e->refusal);
	}
	return length;
}

int fleet_parse_report(const char *text, const char *service, __s64 *ret_done, struct fleet_exception *ret_exception)
{
	struct fleet_exception found = {};
	char buf[FLEET_TEXT_LEN];
	size_t length = strlen(service);
	__u64 done, revision = 0;

	if (take_number_line(&text, "done", &done))
		return -EINVAL;
	while (*text) {
		const char *line = take_line(&text, "undone", buf, sizeof(buf));

		if (!line)
			return -EINVAL;
		if (strncmp(line, service, length) != 0 || line[length] != ' ')
			continue;
		line += length + 1;
		if (take_number(&line, INT64_MAX, &revision))
			return -EINVAL;
		snprintf(found.service, sizeof(found.service), "%s", service);
		found.revision = (__s64)revision;
		snprintf(found.refusal, sizeof(found.refusal), "%s", line);
	}
	*ret_done = (__s64)done;
	*ret_exception = found;
	return 0;
}

const char *fleet_format_member(const struct fleet_member *member, char buf[FLEET_TEXT_LEN])
{
	snprintf(buf, FLEET_TEXT_LEN, "%s %s", member->withdraws ? "withdraw" : "serve", member->address);
	return buf;
}

int fleet_parse_member(const char *text, struct fleet_member *ret)
{
	const char *address = strchr(text, ' ');
	struct fleet_member member = {};

	if (!address ||
	    snprintf(member.address, sizeof(member.address), "%s", address + 1) >= (int)sizeof(member.address))
		return -EINVAL;
	member.withdraws = !strncmp(text, "withdraw ", 9);
	if (!member.withdraws && strncmp(text, "serve ", 6) != 0)
		return -EINVAL;
	*ret = member;
	return 0;
}
