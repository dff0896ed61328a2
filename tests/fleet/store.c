/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/store.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS = 1 << 14, LEASES = 1024 };

static struct {
	struct store_kv keys[KEYS];
	struct store_event log[EVENTS];
	size_t events;
	__s64 revision, compacted;
	struct {
		__s64 ttl_ms, until_ms; /* until 0: it is over */
	} leases[LEASES];
	__s64 last_lease;
} store;

void store_clear(void)
{
	memset(&store, 0, sizeof(store));
	store.revision = 1;
}

__s64 store_revision(void)
{
	return store.revision;
}

const struct store_kv *store_get(unsigned key)
{
	return &store.keys[key];
}

/* Of the store's next revision. */
static void put(const struct store_put *put)
{
	struct store_kv *kv = &store.keys[put->key];

	if (put->deletes && !kv->exists)
		return;
	if (!kv->exists)
		kv->create_revision = store.revision + 1;
	kv->exists = !put->deletes;
	kv->mod_revision = store.revision + 1;
	kv->lease = put->lease;
	memcpy(kv->value, put->value, sizeof(kv->value));
	if (!kv->exists)
		*kv = (struct store_kv){.mod_revision = kv->mod_revision};
	if (store.events == EVENTS)
		abort();
	store.log[store.events++] = (struct store_event){.revision = store.revision + 1, .key = put->key, .kv = *kv};
}

static void end_revision(void)
{
	if (store.events && store.log[store.events - 1].revision > store.revision)
		store.revision++;
}

void store_run(__s64 now_ms)
{
	for (__s64 lease = 1; lease <= store.last_lease; lease++) {
		if (!store.leases[lease].until_ms || now_ms < store.leases[lease].until_ms)
			continue;
		store.leases[lease].until_ms = 0;
		for (unsigned key = 0; key < KEYS; key++)
			if (store.keys[key].exists && store.keys[key].lease == lease)
				put(&(struct store_put){.key = key, .deletes = true});
		end_revision();
	}
}

bool store_commit(const struct store_txn *txn)
{
	for (size_t i = 0; i < txn->compare_count; i++) {
		const struct store_compare *compare = &txn->compares[i];
		const struct store_kv *kv = &store.keys[compare->key];
		__s64 revision = compare->create ? kv->create_revision : kv->mod_revision;

		if ((kv->exists ? revision : 0) != compare->revision)
			return false;
	}
	for (size_t i = 0; i < txn->put_count; i++)
		if (txn->puts[i].lease && !store.leases[txn->puts[i].lease].until_ms)
			return false;
	for (size_t i = 0; i < txn->put_count; i++)
		put(&txn->puts[i]);
	end_revision();
	return true;
}

__s64 store_grant(__s64 now_ms, __s64 ttl_ms)
{
	if (++store.last_lease == LEASES)
		abort();
	store.leases[store.last_lease].ttl_ms = ttl_ms;
	store.leases[store.last_lease].until_ms = now_ms + ttl_ms;
	return store.last_lease;
}

bool store_renew(__s64 lease, __s64 now_ms)
{
	if (!store.leases[lease].until_ms)
		return false;
	store.leases[lease].until_ms = now_ms + store.leases[lease].ttl_ms;
	return true;
}

const struct store_event *store_event_from(__s64 revision)
{
	size_t low = 0, high = store.events;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (store.log[middle].revision < revision)
			low = middle + 1;
		else
			high = middle;
	}
	return low < store.events ? &store.log[low] : NULL;
}

void store_compact(__s64 revision)
{
	store.compacted = revision;
}

bool store_is_compacted(__s64 revision)
{
	return revision <= store.compacted;
}
