/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of etcd (version 3.4 or later), by its JSON gateway over HTTP. Nobody waits for anything: the event loop
 * watches etcd_fd() for EPOLLIN and calls etcd_run(), which calls back. All of a client is for one thread.
 *
 * All goes to one member, as long as that answers. One that refuses, hangs, has lost its cluster, or is of another
 * cluster is left for the next, and after a round without any, the client waits (100 ms, doubled up to 5 s, with jitter). A
 * member is asked who it is before it is asked for anything else, so nothing is ever written to a foreign cluster.
 *
 * Callbacks come from etcd_run() alone, never from the call that asks for them. What they are given is valid until they
 * return. They may call anything here but etcd_close() and etcd_run(), where nothing else is said.
 *
 * Keys and values that are given are text, and copied. Those that come back may be any bytes, and have a zero behind them.
 */
#ifndef IO_ETCD_H
#define IO_ETCD_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/fleet_settings.h"

#define ETCD_CALLS_MAX 256 /* under way at once; one more is -EBUSY */
#define ETCD_ANSWER_MAX (16 << 20) /* bytes; a longer answer is none: read in pages */
#define ETCD_TXN_MAX 128 /* compares, and operations of a branch, that etcd takes as it comes (--max-txn-ops) */

struct etcd;
struct etcd_call; /* a request under way */
struct etcd_watch;

/*
 * Told when a member was found or lost, and why none is found, if that is another reason than before: for a log. It may call
 * nothing here. connected: the sentence has the member's URL.
 */
typedef void etcd_changed(bool connected, const char *sentence, void *arg);

/* Can the files of the settings be used? As etcd_open() finds. */
int etcd_check_files(const struct etcd_settings *settings, struct error *error);

/*
 * Connects in the background. cluster: its id as it was at another time (see etcd_cluster()); any other is foreign. 0: that
 * of the member that answers first. `changed` may be NULL. 0; -EPERM, -ENOENT, ...: a file of the settings cannot be used
 * (a key or password that others may read); -ENOMEM. With a sentence.
 */
int etcd_open(const struct etcd_settings *settings, __u64 cluster, etcd_changed *changed, void *arg, struct etcd **ret,
	      struct error *error);
void etcd_close(struct etcd *etcd); /* what is under way is cancelled; NULL: nothing */
int etcd_fd(const struct etcd *etcd);
void etcd_run(struct etcd *etcd);

__u64 etcd_cluster(const struct etcd *etcd); /* 0: not known yet. Stays the same for the client's life */
const char *etcd_member(const struct etcd *etcd); /* the URL of the one that is used; NULL: none */

struct etcd_kv {
	const char *key, *value; /* value "" with keys_only, and of a deleted key */
	size_t key_len, value_len;
	__s64 create_revision, mod_revision, version;
	__s64 lease; /* 0: none */
};

/* What came of one operation of a transaction. */
struct etcd_answer {
	const struct etcd_kv *kvs; /* of a range, in the order of keys */
	size_t count;
	__s64 deleted; /* keys, by a delete */
};

struct etcd_result {
	/*
	 * 0, or -errno: -ETIMEDOUT: no member answered in time; -EACCES: etcd refuses user, password or key; -ESTALE: the revision is
	 * compacted; -ERANGE: it is in the future; -ENOENT: there is no such lease; -ENOSPC: etcd's space is used up; -EMSGSIZE: the
	 * answer is too long; -EBADMSG: it makes no sense; -ECONNRESET: the connection broke; -EREMOTEIO: etcd refuses otherwise.
	 */
	int error;
	const char *sentence; /* with an error; else "" */
	/*
	 * With an error: it may have taken effect all the same. Only a read, or a keep-alive, is asked again of another
	 * member: of a write nobody knows, so read what holds now.
	 */
	bool unknown;
	__s64 revision; /* of the store, when it answered; of a range, that which its keys are as of */
	/* etcd_range() */
	const struct etcd_kv *kvs;
	size_t count;
	__s64 total; /* keys that match */
	bool more; /* another page comes, by a call of its own */
	/* etcd_txn(), etcd_put() */
	bool succeeded; /* the compares held, so `then` was done, else `otherwise` */
	const struct etcd_answer *answers; /* one for each operation */
	size_t answer_count;
	/* leases */
	__s64 lease, ttl; /* s */
};

/* Called once (of pages once each), unless the call is cancelled before. */
typedef void etcd_done(const struct etcd_result *result, void *arg);

/*
 * The calls below: `timeout` (ms) is for all of it, with waiting for a member; of pages for each. ret may be NULL: it is
 * not to be cancelled. 0; -EBUSY: too many are under way; -EINVAL: what is asked for is no question; -ENOMEM. With a sentence.
 */
void etcd_cancel(struct etcd_call *call); /* a write may take effect all the same. NULL: nothing */

struct etcd_range {
	const char *key;
	bool prefix; /* all keys that begin so; "": all */
	__s64 revision; /* 0: as it is now. Pages are all as of the first */
	unsigned page; /* so many keys at a time; 0: all in one answer */
	bool keys_only;
};
int etcd_range(struct etcd *etcd, const struct etcd_range *range, unsigned timeout, etcd_done *done, void *arg,
	       struct etcd_call **ret, struct error *error);

/* lease 0: it stays until it is deleted. */
int etcd_put(struct etcd *etcd, const char *key, const char *value, __s64 lease, unsigned timeout, etcd_done *done,
	     void *arg, struct etcd_call **ret, struct error *error);

/* X(etcd's word, the key in its JSON) */
#define ETCD_TARGETS(X)                                                                                                \
	X(VERSION, version) /* 0: there is no such key */                                                              \
	X(CREATE, create_revision)                                                                                     \
	X(MOD, mod_revision)                                                                                           \
	X(LEASE, lease)                                                                                                \
	X(VALUE, value)
#define ETCD_RELATIONS(X) X(EQUAL) X(GREATER) X(LESS) X(NOT_EQUAL)

enum etcd_target {
#define X(NAME, key) ETCD_##NAME,
	ETCD_TARGETS(X)
#undef X
};
enum etcd_relation {
#define X(NAME) ETCD_##NAME,
	ETCD_RELATIONS(X)
#undef X
};

/* Holds if the key's target has this relation to number, or to value. */
struct etcd_compare {
	const char *key;
	enum etcd_target target;
	enum etcd_relation relation;
	__s64 number;
	const char *value; /* of ETCD_VALUE */
};

enum etcd_operation_type { ETCD_PUT, ETCD_DELETE, ETCD_RANGE };

struct etcd_operation {
	enum etcd_operation_type type;
	const char *key;
	bool prefix; /* delete and range: all keys that begin so */
	const char *value; /* put */
	__s64 lease; /* put; 0: none */
};

struct etcd_txn {
	const struct etcd_compare *compares;
	size_t compare_count;
	const struct etcd_operation *then, *otherwise; /* if all compares hold; if not */
	size_t then_count, otherwise_count;
};
int etcd_txn(struct etcd *etcd, const struct etcd_txn *txn, unsigned timeout, etcd_done *done, void *arg,
	     struct etcd_call **ret, struct error *error);

/* ttl in s. The result has the lease's id and the ttl that etcd gave. */
int etcd_lease_grant(struct etcd *etcd, __s64 ttl, unsigned timeout, etcd_done *done, void *arg, struct etcd_call **ret,
		     struct error *error);
/* Once: its ttl begins anew. -ENOENT: it is over, and its keys are gone. */
int etcd_lease_keepalive(struct etcd *etcd, __s64 lease, unsigned timeout, etcd_done *done, void *arg,
			 struct etcd_call **ret, struct error *error);
/* Its keys are deleted. */
int etcd_lease_revoke(struct etcd *etcd, __s64 lease, unsigned timeout, etcd_done *done, void *arg,
		      struct etcd_call **ret, struct error *error);

struct etcd_event {
	bool deleted; /* else put. Of a deletion kv has key and mod_revision alone */
	struct etcd_kv kv;
};

struct etcd_watcher {
	/*
	 * What happened, in order, and all of a revision in one call. `revision`: up to here, nothing more is to come. Without
	 * events: nothing happened up to here.
	 */
	void (*events)(const struct etcd_event *events, size_t count, __s64 revision, void *arg);
	/*
	 * The watch is over and cannot go on without a gap: read anew, and watch from there. -ESTALE: what came next is
	 * compacted, or the store has gone back to an earlier state (a backup); -EACCES, -EMSGSIZE, -EREMOTEIO.
	 */
	void (*lost)(int error, const char *sentence, void *arg);
};

/*
 * Watches the keys that begin with `prefix`, from a revision on (the one behind that of a range's result: revision + 1).
 * It goes on over lost members, with no event missed or repeated. 0; -EINVAL; -ENOMEM.
 */
int etcd_watch(struct etcd *etcd, const char *prefix, __s64 revision, const struct etcd_watcher *watcher, void *arg,
	       struct etcd_watch **ret, struct error *error);
void etcd_watch_cancel(struct etcd_watch *watch); /* not after `lost`. NULL: nothing */

#endif
