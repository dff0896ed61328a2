/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fleet_mirror.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct fleet_key *a, const struct fleet_key *b)
{
	int order = (a->kind > b->kind) - (a->kind < b->kind);

	for (size_t i = 0; !order && i < sizeof(a->part) / sizeof(a->part[0]); i++)
		order = strcmp(a->part[i], b->part[i]);
	return order;
}

/* Where the key is, or would be. */
static size_t place_of(const struct mirror *mirror, const struct fleet_key *key)
{
	size_t low = 0, high = mirror->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&mirror->entries[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct mirror *mirror, size_t place, const struct fleet_key *key)
{
	return place < mirror->count && !compare(&mirror->entries[place].key, key);
}

static void remove_at(struct mirror *mirror, size_t place)
{
	free(mirror->entries[place].value);
	mirror->count--;
	memmove(&mirror->entries[place], &mirror->entries[place + 1],
		(mirror->count - place) * sizeof(*mirror->entries));
}

static int insert_at(struct mirror *mirror, size_t place, const struct fleet_key *key)
{
	if (mirror->count == mirror->capacity) {
		size_t capacity = mirror->capacity ? 2 * mirror->capacity : 64;
		struct mirror_entry *grown = reallocarray(mirror->entries, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		mirror->entries = grown;
		mirror->capacity = capacity;
	}
	memmove(&mirror->entries[place + 1], &mirror->entries[place],
		(mirror->count - place) * sizeof(*mirror->entries));
	mirror->entries[place] = (struct mirror_entry){.key = *key};
	mirror->count++;
	return 0;
}

void mirror_clear(struct mirror *mirror)
{
	for (size_t i = 0; i < mirror->count; i++)
		free(mirror->entries[i].value);
	free(mirror->entries);
	*mirror = (struct mirror){};
}

void mirror_begin_reading(struct mirror *mirror)
{
	mirror->reading++;
	mirror->foreign = 0;
}

void mirror_end_reading(struct mirror *mirror)
{
	for (size_t i = mirror->count; i-- > 0;) {
		if (mirror->entries[i].reading != mirror->reading)
			remove_at(mirror, i);
	}
}

int mirror_put(struct mirror *mirror, const char *prefix, const struct etcd_kv *kv, struct fleet_key *ret)
{
	struct mirror_entry *entry;
	struct fleet_key key;
	char *value;
	size_t place;

	if (fleet_parse_key(prefix, kv->key, &key)) {
		mirror->foreign++;
		return -EINVAL;
	}
	place = place_of(mirror, &key);
	value = strdup(kv->value);
	if (!value || (!is_at(mirror, place, &key) && insert_at(mirror, place, &key))) {
		free(value);
		return -ENOMEM;
	}
	entry = &mirror->entries[place];
	free(entry->value);
	*entry = (struct mirror_entry){key, value, kv->create_revision, kv->mod_revision, kv->lease, mirror->reading};
	*ret = key;
	return 0;
}

int mirror_delete(struct mirror *mirror, const char *prefix, const char *text, struct fleet_key *ret)
{
	struct fleet_key key;
	size_t place;

	if (fleet_parse_key(prefix, text, &key))
		return -EINVAL;
	place = place_of(mirror, &key);
	if (is_at(mirror, place, &key))
		remove_at(mirror, place);
	*ret = key;
	return 0;
}

static struct fleet_key key_of(enum fleet_key_kind kind, const char *first, const char *second)
{
	struct fleet_key key = {.kind = kind};

	snprintf(key.part[0], sizeof(key.part[0]), "%s", first ? first : "");
	snprintf(key.part[1], sizeof(key.part[1]), "%s", second ? second : "");
	return key;
}

const struct mirror_entry *mirror_find(const struct mirror *mirror, enum fleet_key_kind kind, const char *first,
				       const char *second)
{
	const struct fleet_key key = key_of(kind, first, second);
	size_t place = place_of(mirror, &key);

	return is_at(mirror, place, &key) ? &mirror->entries[place] : NULL;
}

const char *mirror_text(const struct mirror *mirror, enum fleet_key_kind kind, const char *first, const char *second)
{
	const struct mirror_entry *entry = mirror_find(mirror, kind, first, second);

	return entry ? entry->value : NULL;
}

size_t mirror_count(const struct mirror *mirror, enum fleet_key_kind kind)
{
	const struct fleet_key first = {.kind = kind}, behind = {.kind = kind + 1};

	return place_of(mirror, &behind) - place_of(mirror, &first);
}

/* The entry at this place, if it is one of those. */
static const struct mirror_entry *at(const struct mirror *mirror, size_t place, enum fleet_key_kind kind,
				     const char *part)
{
	const struct mirror_entry *entry = &mirror->entries[place];

	if (place >= mirror->count || entry->key.kind != kind || (part && strcmp(entry->key.part[0], part) != 0))
		return NULL;
	return entry;
}

const struct mirror_entry *mirror_first(const struct mirror *mirror, enum fleet_key_kind kind, const char *part)
{
	const struct fleet_key key = key_of(kind, part, NULL);

	return at(mirror, place_of(mirror, &key), kind, part);
}

const struct mirror_entry *mirror_next(const struct mirror *mirror, const struct mirror_entry *entry, const char *part)
{
	return at(mirror, (size_t)(entry - mirror->entries) + 1, entry->key.kind, part);
}
