/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in etcd below a fleet's prefix, as far as it was read: in the order of kinds and names. */
#ifndef DAEMON_FLEET_MIRROR_H
#define DAEMON_FLEET_MIRROR_H

#include "core/fleet.h"
#include "io/etcd.h"

struct mirror_entry {
	struct fleet_key key;
	char *value; /* text: what has a zero in it is none of ours */
	__s64 create_revision, mod_revision, lease;
	unsigned reading; /* in which it was seen last */
};

struct mirror {
	struct mirror_entry *entries;
	size_t count, capacity;
	unsigned reading;
	size_t foreign; /* keys that are no fleet's, in the last reading */
};

void mirror_clear(struct mirror *mirror);
/* All is read anew: what was not put until mirror_end_reading() is gone. */
void mirror_begin_reading(struct mirror *mirror);
void mirror_end_reading(struct mirror *mirror);
/* 0 with the key; -EINVAL: it is none of ours; -ENOMEM. */
int mirror_put(struct mirror *mirror, const char *prefix, const struct etcd_kv *kv, struct fleet_key *ret);
int mirror_delete(struct mirror *mirror, const char *prefix, const char *key, struct fleet_key *ret);

/* Valid until the next change; NULL: there is none. Parts that the kind has not are NULL. */
const struct mirror_entry *mirror_find(const struct mirror *mirror, enum fleet_key_kind kind, const char *first,
				       const char *second);
const char *mirror_text(const struct mirror *mirror, enum fleet_key_kind kind, const char *first, const char *second);
size_t mirror_count(const struct mirror *mirror, enum fleet_key_kind kind);
/* From the first of a kind (of those whose first part this is, unless it is NULL) to the next of them; NULL: no more. */
const struct mirror_entry *mirror_first(const struct mirror *mirror, enum fleet_key_kind kind, const char *part);
const struct mirror_entry *mirror_next(const struct mirror *mirror, const struct mirror_entry *entry, const char *part);

#endif
