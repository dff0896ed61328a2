/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/shim.h"

/*
 * Elements have a fixed place. Hashes chain them, and give the place that was freed last to the next one that comes, as
 * the kernel's preallocated ones do: what still points there sees another element.
 */
struct shim_store {
	__u32 stride; /* of an element: value, then key */
	__u32 count;
	bool empty; /* has been since it was made: there is nothing to reset */
	__u32 free; /* index + 1, 0: none */
	__u32 buckets;
	__u32 places;
	__u32 *bucket; /* index + 1 */
	__u32 *next; /* of the chain or the free list */
	bool *live;
	__u64 *used; /* LRU: when */
	char *elements;
};

__u64 shim_now_ns;
__u32 shim_cpu;
__u32 shim_instance;
__u32 shim_instances = 2;
void (*shim_evicted)(const struct shim_map *map, const void *key);
bool (*shim_hook)(enum shim_op op, struct shim_map *map, const void *key, const void *value);

static __u64 random_state;
static __u64 uses;

void shim_seed(__u64 seed)
{
	random_state = seed;
}

__u64 shim_random(void)
{
	__u64 x = random_state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static bool call_hook(enum shim_op op, struct shim_map *map, const void *key, const void *value)
{
	bool (*hook)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;
	bool result;

	if (!hook)
		return true;
	shim_hook = NULL;
	result = hook(op, map, key, value);
	shim_hook = hook;
	return result;
}

bool shim_point(enum shim_op op, const void *place)
{
	return call_hook(op, NULL, place, NULL);
}

static bool is_array(const struct shim_map *map)
{
	return map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_lru(const struct shim_map *map)
{
	return map->type == BPF_MAP_TYPE_LRU_HASH;
}

static struct shim_store *store_of(const struct shim_map *map)
{
	return map->store[map->shared ? 0 : shim_instance];
}

static void *value_at(const struct shim_store *store, __u32 index)
{
	return store->elements + (size_t)index * store->stride;
}

static void *key_at(const struct shim_map *map, const struct shim_store *store, __u32 index)
{
	return (char *)value_at(store, index) + (map->value_size + 7) / 8 * 8;
}

static void store_reset(const struct shim_map *map, struct shim_store *store)
{
	store->count = 0;
	if (is_array(map)) {
		memset(store->elements, 0, (size_t)store->places * store->stride);
		return;
	}
	if (store->empty)
		return;
	store->empty = true;
	memset(store->bucket, 0, store->buckets * sizeof(*store->bucket));
	memset(store->live, 0, store->places * sizeof(*store->live));
	for (__u32 i = 0; i < store->places; i++)
		store->next[i] = i + 1 < store->places ? i + 2 : 0;
	store->free = 1;
}

static struct shim_store *store_make(const struct shim_map *map)
{
	struct shim_store *store = calloc(1, sizeof(*store));

	if (!store)
		abort();
	store->stride = (map->value_size + 7) / 8 * 8 + (is_array(map) ? 0 : (map->key_size + 7) / 8 * 8);
	store->places = map->max_entries * (map->type == BPF_MAP_TYPE_PERCPU_ARRAY ? SHIM_CPUS : 1);
	if (!is_array(map)) {
		store->places++; /* an element is replaced by another one */
		store->buckets = map->max_entries;
		store->bucket = calloc(store->buckets, sizeof(*store->bucket));
		store->next = calloc(store->places, sizeof(*store->next));
		store->live = calloc(store->places, sizeof(*store->live));
		store->used = calloc(store->places, sizeof(*store->used));
		if (!store->bucket || !store->next || !store->live || !store->used)
			abort();
	}
	store->elements = calloc(store->places, store->stride);
	if (!store->elements)
		abort();
	store_reset(map, store);
	return store;
}

static void store_free(struct shim_store *store)
{
	if (!store)
		return;
	free(store->bucket);
	free(store->next);
	free(store->live);
	free(store->used);
	free(store->elements);
	free(store);
}

static struct shim_map *map_new(const char *name, __u32 type, __u32 key_size, __u32 value_size, __u32 max_entries)
{
	struct shim_map *map = calloc(1, sizeof(*map));

	if (!map)
		abort();
	*map = (struct shim_map){.self = map,
				 .name = name,
				 .type = type,
				 .key_size = key_size,
				 .value_size = value_size,
				 .max_entries = max_entries};
	if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS)
		return map;
	for (__u32 i = 0; i < SHIM_INSTANCES; i++)
		map->store[i] = store_make(map);
	return map;
}

struct shim_map *shim_map_make(void *object, const char *name, __u32 type, __u32 key_size, __u32 value_size,
			       __u32 max_entries)
{
	return *(struct shim_map **)object = map_new(name, type, key_size, value_size, max_entries);
}

void shim_map_nest(struct shim_map *outer, __u32 type, __u32 key_size, __u32 value_size, __u32 max_entries)
{
	outer->inner = calloc(outer->max_entries, sizeof(*outer->inner));
	if (!outer->inner)
		abort();
	for (__u32 i = 0; i < outer->max_entries; i++)
		outer->inner[i] = map_new(outer->name, type, key_size, value_size, max_entries);
}

void shim_map_clear(struct shim_map *map)
{
	for (__u32 i = 0; map->inner && i < map->max_entries; i++)
		shim_map_clear(map->inner[i]);
	if (!map->inner)
		store_reset(map, store_of(map));
}

void shim_map_free(struct shim_map *map)
{
	for (__u32 i = 0; map->inner && i < map->max_entries; i++)
		shim_map_free(map->inner[i]);
	free(map->inner);
	for (__u32 i = 0; i < SHIM_INSTANCES; i++)
		store_free(map->store[i]);
	free(map);
}

void *shim_map_first(const struct shim_map *map)
{
	return value_at(store_of(map), 0);
}

bool shim_map_contains(const struct shim_map *map, const void *place)
{
	const struct shim_store *store = store_of(map);
	const char *at = place;

	return at >= store->elements && at < store->elements + (size_t)store->places * store->stride;
}

__u32 shim_map_count(const struct shim_map *map)
{
	__u32 count = 0;

	for (__u32 i = 0; map->inner && i < map->max_entries; i++)
		count += shim_map_count(map->inner[i]);
	return map->inner ? count : store_of(map)->count;
}

static __u32 bucket_of(const struct shim_map *map, const struct shim_store *store, const void *key)
{
	__u64 hash = 0xcbf29ce484222325ULL;

	for (__u32 i = 0; i < map->key_size; i++)
		hash = (hash ^ ((const unsigned char *)key)[i]) * 0x100000001b3ULL;
	return (hash ^ hash >> 32) % store->buckets;
}

/* The link that leads to the element; *link is 0 where there is none. */
static __u32 *find_link(const struct shim_map *map, const struct shim_store *store, const void *key)
{
	__u32 *link = &store->bucket[bucket_of(map, store, key)];

	while (*link && memcmp(key_at(map, store, *link - 1), key, map->key_size))
		link = &store->next[*link - 1];
	return link;
}

static void release(struct shim_store *store, __u32 *link)
{
	__u32 place = *link;

	*link = store->next[place - 1];
	store->live[place - 1] = false;
	store->next[place - 1] = store->free;
	store->free = place;
	store->count--;
}

/* The longest prefix, of keys that begin with their length in bits. */
static void *trie_lookup(const struct shim_map *map, const struct shim_store *store, const void *key)
{
	const unsigned char *wanted = key, *have;
	__u32 best = 0, length, bits;
	void *found = NULL;

	for (__u32 i = 0; i < store->places; i++) {
		if (!store->live[i])
			continue;
		have = key_at(map, store, i);
		memcpy(&length, have, sizeof(length));
		bits = length % 8;
		if (memcmp(have + 4, wanted + 4, length / 8) ||
		    (bits && (have[4 + length / 8] ^ wanted[4 + length / 8]) >> (8 - bits)))
			continue;
		if (!found || length > best) {
			best = length;
			found = value_at(store, i);
		}
	}
	return found;
}

void *shim_lookup(const void *object, const void *key)
{
	struct shim_map *map = shim_map_of(object);
	struct shim_store *store;
	__u32 *link, index;

	call_hook(SHIM_LOOKUP, map, key, NULL);
	if (is_array(map) || map->inner) {
		memcpy(&index, key, sizeof(index));
		if (index >= map->max_entries)
			return NULL;
		if (map->inner)
			return map->inner[index];
		if (map->type == BPF_MAP_TYPE_PERCPU_ARRAY)
			index += shim_cpu * map->max_entries;
		return value_at(store_of(map), index);
	}
	store = store_of(map);
	if (map->type == BPF_MAP_TYPE_LPM_TRIE)
		return trie_lookup(map, store, key);
	link = find_link(map, store, key);
	if (!*link)
		return NULL;
	store->used[*link - 1] = ++uses;
	return value_at(store, *link - 1);
}

/* The kernel's LRU is approximate: mostly the least recently used goes, now and then another. */
static void evict(struct shim_map *map, struct shim_store *store)
{
	__u32 victim = 0, start = shim_random() % store->places;
	bool any = shim_random() % 8 == 0;
	__u32 *link;

	for (__u32 i = 0; i < store->places; i++) {
		__u32 at = (start + i) % store->places;

		if (store->live[at] && (!victim || store->used[at] < store->used[victim - 1]))
			victim = at + 1;
		if (victim && any)
			break;
	}
	link = find_link(map, store, key_at(map, store, victim - 1));
	if (shim_evicted)
		shim_evicted(map, key_at(map, store, victim - 1));
	release(store, link);
}

static long insert(struct shim_map *map, struct shim_store *store, const void *key, const void *value, __u64 flags)
{
	__u32 *link = find_link(map, store, key);
	__u32 place, bucket;

	if (*link && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!*link && flags == BPF_EXIST)
		return -ENOENT;
	if (!*link && store->count >= map->max_entries) {
		if (!is_lru(map))
			return map->type == BPF_MAP_TYPE_LPM_TRIE ? -ENOSPC : -E2BIG;
		evict(map, store);
		link = find_link(map, store, key);
	}
	store->empty = false;
	place = store->free;
	store->free = store->next[place - 1];
	memcpy(value_at(store, place - 1), value, map->value_size);
	memcpy(key_at(map, store, place - 1), key, map->key_size);
	if (*link)
		release(store, link);
	bucket = bucket_of(map, store, key);
	store->next[place - 1] = store->bucket[bucket];
	store->bucket[bucket] = place;
	store->live[place - 1] = true;
	store->used[place - 1] = ++uses;
	store->count++;
	return 0;
}

long shim_update(void *object, const void *key, const void *value, __u64 flags)
{
	struct shim_map *map = shim_map_of(object);
	__u32 index;
	long result;

	if (!call_hook(SHIM_UPDATE, map, key, value))
		return 0;
	if (is_array(map)) {
		memcpy(&index, key, sizeof(index));
		if (index >= map->max_entries)
			return -E2BIG;
		memcpy(value_at(store_of(map), index), value, map->value_size);
		return 0;
	}
	result = insert(map, store_of(map), key, value, flags);
	if (!result)
		call_hook(SHIM_UPDATED, map, key, value);
	return result;
}

long shim_delete(void *object, const void *key)
{
	struct shim_map *map = shim_map_of(object);
	struct shim_store *store;
	__u32 *link;

	call_hook(SHIM_DELETE, map, key, NULL);
	if (is_array(map))
		return -EINVAL;
	store = store_of(map);
	link = find_link(map, store, key);
	if (!*link)
		return -ENOENT;
	release(store, link);
	return 0;
}

long shim_for_each(void *object, void *callback, void *context)
{
	long (*call)(struct shim_map *, const void *, void *, void *) = callback;
	struct shim_map *map = shim_map_of(object);
	struct shim_store *store = store_of(map);
	long turns = 0;

	for (__u32 i = 0; i < store->places; i++) {
		if (!store->live[i])
			continue;
		turns++;
		if (call(map, key_at(map, store, i), value_at(store, i), context))
			break;
	}
	return turns;
}
