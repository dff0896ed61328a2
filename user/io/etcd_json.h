/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to etcd's JSON gateway, and what it says: bytes are base64, 64-bit numbers strings, and what is zero, false or
 * empty is left out (proto3's JSON; etcd's api/etcdserverpb/rpc.proto).
 */
#ifndef IO_ETCD_JSON_H
#define IO_ETCD_JSON_H

#include <jansson.h>

#include "io/etcd.h"

#define ETCD_REASON_LEN 256

/* Bodies of requests: to be freed. NULL without memory. */

/* From a key on. `prefix`: all that begin so, else that key alone. */
struct etcd_range_from {
	const char *key;
	size_t key_len;
	const char *prefix; /* NULL: none */
	__s64 revision; /* 0: as it is now */
	unsigned limit; /* 0: none */
	bool keys_only;
};
char *etcd_range_json(const struct etcd_range_from *range);
char *etcd_txn_json(const struct etcd_txn *txn);
char *etcd_lease_json(__s64 lease);
char *etcd_grant_json(__s64 ttl);
char *etcd_watch_json(const char *prefix, __s64 revision);
char *etcd_login_json(const char *user, const char *password);

/* What an answer refuses with. gRPC's code (its statuscodes.md); of none, all is zero. */
struct etcd_refusal {
	int code;
	char reason[ETCD_REASON_LEN]; /* cleaned, for people */
};

/* An answer of any kind: what it does not have is zero. */
struct etcd_reply {
	__u64 cluster, leader;
	__s64 revision;
	bool refused;
	struct etcd_refusal refusal;
	char *token;
	bool succeeded, more;
	__s64 count, lease, ttl;
	struct etcd_kv *kvs; /* its own, and then those of its parts */
	size_t kv_count; /* its own */
	struct etcd_answer *answers;
	size_t answer_count;
	char *bytes; /* of the keys and values */
};

/* 0; -EBADMSG: this is no answer of etcd's; -ENOMEM. To be cleared, if it is 0. */
int etcd_reply_parse(const char *text, size_t len, struct etcd_reply *ret);
void etcd_reply_clear(struct etcd_reply *reply);

/* The parts of answers. 0, or -EBADMSG; what is not there is 0. */
int etcd_take_number(const json_t *object, const char *key, __s64 *ret);
int etcd_take_header(const json_t *object, __u64 *ret_cluster, __s64 *ret_revision);
/* Key and value go to *bytes, which moves on: 3 bytes of 4 characters, and a zero each. */
int etcd_take_kv(const json_t *kv, char **bytes, struct etcd_kv *ret);
/* Is there an `error`? */
bool etcd_take_refusal(const json_t *object, struct etcd_refusal *ret);
void etcd_take_reason(const char *text, char ret[ETCD_REASON_LEN]);

#endif
