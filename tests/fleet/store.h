/* SPDX-License-Identifier: Apache-2.0 */
/* What etcd is to a fleet: one linearizable store with revisions, leases, transactions, a log that is compacted. */
#ifndef FLEET_STORE_H
#define FLEET_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/fleet.h"
#include "fleet/plane.h"

/* The keys of a fleet with one service, by number. */
enum {
	KEY_LEADER,
	KEY_SERVICE,
	KEY_MEMBER, /* + host, and so on */
	KEY_HOST = KEY_MEMBER + HOSTS,
	KEY_HELD = KEY_HOST + HOSTS,
	KEYS = KEY_HELD + HOSTS,
};

struct store_kv {
	bool exists;
	char value[FLEET_TEXT_LEN];
	__s64 create_revision, mod_revision;
	__s64 lease;
};

struct store_event {
	__s64 revision;
	unsigned key;
	struct store_kv kv; /* deleted: exists is false */
};

struct store_compare {
	unsigned key;
	bool create; /* its create_revision, else its mod_revision */
	__s64 revision; /* 0: there is none */
};

struct store_put {
	unsigned key;
	bool deletes;
	char value[FLEET_TEXT_LEN];
	__s64 lease;
};

struct store_txn {
	struct store_compare compares[3];
	size_t compare_count;
	struct store_put puts[3];
	size_t put_count;
};

void store_clear(void);
void store_run(__s64 now_ms); /* leases run out */
__s64 store_revision(void);
const struct store_kv *store_get(unsigned key);
/* Nothing is written unless all compares hold and the leases exist. */
bool store_commit(const struct store_txn *txn);
__s64 store_grant(__s64 now_ms, __s64 ttl_ms);
bool store_renew(__s64 lease, __s64 now_ms);
/* The first event of that revision or a later one; NULL: none yet. */
const struct store_event *store_event_from(__s64 revision);
void store_compact(__s64 revision);
bool store_is_compacted(__s64 revision);

#endif
