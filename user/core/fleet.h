/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many balancers, one configuration: the protocol of a fleet, as functions of what stands in etcd. No clock, no I/O.
 *
 * All is level-triggered: a host compares what the record of a service says with what its data plane has, and does what is
 * missing; the leader looks at a record and at what the hosts have said, and writes the record's next state. A missed event, a
 * watch that was cut, a restart or another leader are no cases of their own: whoever reads anew goes on from there.
 *
 * The record of a service says three views of it (which configuration, weight and salt): `now`; `oldest`, what was in force
 * when the window opened; and `next`, while that is being prepared.
 *
 *     settled --propose--> preparing --commit--> open --close--> closing --settle--> settled
 *                              ^                  |                 |
 *                              +-----propose------+-----------------+        rollback: from anywhere to open
 *
 * What is kept: a flow whose birth its host did not count as exposed stays on its backend, whichever host its packets reach. A birth is
 * exposed if `oldest` and `now` choose differently for it, or its host has another default. Why that holds:
 *
 *  - Opening needs no agreement. A host gives a packet in mid-flow of which it knows nothing to what its *default* view
 *    chooses: `oldest` while its window is open, else `now`. While a fleet goes from settled on A to open on (B, oldest A), hosts
 *    that have not heard of it say A by default, and so do those that have.
 *  - Closing does. A host that closes first says B by default, one that has not says A: a flow born settled on the former
 *    breaks on the latter. So all hosts say that they have closed (`closing`), and only then births are settled again. A change
 *    meanwhile leaves two defaults in the fleet (`mixed`): all births are exposed until it is settled.
 *  - A window closes when no host has a flow left that `now` would choose otherwise (keys `held`), and idle_timeout has passed since
 *    the last commit and since anybody came or went: tables are each host's own, so a host that closed while another had
 *    such a flow would break it when a router moves it. max_window bounds that: what is left then is exposed.
 *  - Preparing is for second chances (gue), and to know before a change, not half-way through it, that every host can take it. A flow
 *    that is born inside a window is known to its own host alone. Another one guesses by default, and names as the alternate
 *    what `now` chooses, or while preparing `next`: so all must know `next` before one gives flows to it.
 *  - A rollback does not prepare. Its default is the same, so nothing unexposed moves; new flows go to stable wherever it has
 *    arrived. Exposed, in gue too, is what is born on a host that has it and moved to one that has not heard of it yet: for as
 *    long as a watch takes. A host that is cut off goes to weight 0 by its lease, which needs no word.
 *
 * Lease. A host's key `host` is bound to it. The host measures it from when it *sent* what renewed it, with a monotonic clock and
 * FLEET_LEASE_MARGIN to spare, so it always knows before etcd does; wall clocks decide nothing. It renews it only while it keeps up
 * with its watch: a lease that outlives what its host knows would be a lie. The data plane is given the same time, so that
 * it holds while the daemon restarts. When it is over the canary gets no new flows (or `hold`), with the default as it was; with
 * cut_off `withdraw` the host's routes go as well. One that serves on is a member still, and no window closes without it; one that
 * withdraws is out, and on return takes its default from the record before it announces. Whoever returns stays as it is until
 * it has read all: one change, no jump back and forth.
 *
 * Entering: read all; grant a lease; write `host` (and `held`) under it, if `host` is as it was read; read all again. Each write
 * of a host to its own keys compares their mod_revision: one that was long on its way must not bring an older lease back.
 *
 * Leader. Who creates the key `leader` (create_revision 0), bound to its lease. Each of its writes compares the key's
 * create_revision (a fencing token: the write of one who was deposed fails, however long it was on its way) and the
 * record's mod_revision. Operators compare the latter alone. The times that it measures, a new leader measures anew.
 *
 * Scale. A host acknowledges with one number, the revision up to which it has done everything, and names exceptions. Hosts watch
 * `service` and `leader` and read a `config` when a record names it; the keys that hosts write are watched by the leader alone, or traffic
 * would grow with the square of their number. It decides once for all that a watch brings at a time. See `make bench-fleet`.
 */
#ifndef CORE_FLEET_H
#define CORE_FLEET_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

#define FLEET_FORMAT "canary-fleet 1" /* value of the key `format` */
#define FLEET_LEASE_MARGIN 10 /* percent of the lease: clocks that run differently fast, and the time to act */
#define FLEET_PART_LEN 65 /* a host's or a service's, with its zero */
#define FLEET_WHO_LEN 96
#define FLEET_KEY_LEN 320
#define FLEET_TEXT_LEN 512 /* a record */

/* X(NAME, name in the key, parts behind it, bound to the host's lease?) */
#define FLEET_KEY_LIST(X)                                                                                              \
	X(FORMAT, format, 0, false) /* FLEET_FORMAT, and whose fleet it is */                                          \
	X(KEYS, keys, 0, false) /* of the hashes, as in a key file */                                                  \
	X(LEADER, leader, 0, true) /* the leader's name */                                                             \
	X(SERVICE, service, 1, false) /* service/NAME: fleet_record */                                                 \
	X(CONFIG, config, 2, false) /* config/NAME/NUMBER: the service as canonical JSON; never changed */             \
	X(ROLLOUT, rollout, 1, false) /* rollout/NAME: the rollout's state, as in a history */                         \
	X(MEMBER, member, 1, false) /* member/HOST: fleet_member; until it is removed by hand */                       \
	X(HOST, host, 1, true) /* host/HOST: fleet_report */                                                           \
	X(HELD, held, 2, true) /* held/NAME/HOST: the host has flows that `now` would choose otherwise */              \
	X(COUNTERS, counters, 2, true) /* counters/HOST/NAME: of the record's assignment */

enum fleet_key_kind {
#define X(NAME, name, parts, leased) FLEET_KEY_##NAME,
	FLEET_KEY_LIST(X)
#undef X
		FLEET_KEY_KINDS
};

struct fleet_key {
	enum fleet_key_kind kind;
	char part[2][FLEET_PART_LEN];
};

/* PREFIX/name/part/part. 0, or -EINVAL: a part is missing or is no name, or it gets too long. */
int fleet_format_key(const char *prefix, const struct fleet_key *key, char buf[FLEET_KEY_LEN]);
/* 0, or -EINVAL: nothing of ours, *ret untouched. */
int fleet_parse_key(const char *prefix, const char *text, struct fleet_key *ret);
bool fleet_key_is_leased(enum fleet_key_kind kind);

/*
 * May this prefix be used? format: the value of its key, NULL: there is none; others: keys beside it. 0; -ENOENT: it is empty, to
 * be begun by `canaryctl fleet init`; -EPROTO: somebody else's, or of another version. With a sentence.
 */
int fleet_check_format(const char *prefix, const char *format, size_t others, struct error *error);

/* What chooses: immutable parts of a service, named. */
struct fleet_view {
	__u64 config; /* config/NAME/NUMBER */
	int weight; /* 1/100 percent */
	__u32 salt; /* salt_number */
};

#define FLEET_PHASES(X)                                                                                                \
	X(SETTLED, settled) /* `now` alone */                                                                          \
	X(PREPARING, preparing)                                                                                        \
	X(OPEN, open)                                                                                                  \
	X(CLOSING, closing)

enum fleet_phase {
#define X(NAME, name) FLEET_##NAME,
	FLEET_PHASES(X)
#undef X
		FLEET_PHASE_COUNT
};
const char *fleet_phase_name(enum fleet_phase phase); /* never NULL */

struct fleet_record {
	__u64 change; /* rises with every change that is proposed; never used twice */
	__u64 assignment; /* rises with every commit that sets weight or salt: what counters belong to */
	enum fleet_phase phase;
	bool window; /* `oldest` counts: always when open or closing, never when settled */
	/*
	 * A change came while a window was closing: some hosts may still say what that one's `oldest` chooses. All flows are exposed
	 * that are born until it is settled.
	 */
	bool mixed;
	struct fleet_view now, oldest, next; /* what does not count is zero */
	char who[FLEET_WHO_LEN]; /* asked for the change: "anna on lb2", "rollout" */
};

bool fleet_view_equal(const struct fleet_view *a, const struct fleet_view *b);
/* Lines of words, in a fixed order. Parse: 0 or -EINVAL with *ret untouched. */
const char *fleet_format_record(const struct fleet_record *record, char buf[FLEET_TEXT_LEN]);
int fleet_parse_record(const char *text, struct fleet_record *ret);

/*
 * The ways of the picture above. *ret may be record. 0; -EALREADY: it is so, nothing to write; -EBUSY: not from here; with a
 * sentence that says who is in the way. What follows must be written with a comparison of the record's mod_revision: see
 * fleet_write_record().
 */
struct fleet_record fleet_first(const struct fleet_view *view, const char *who);
int fleet_propose(const struct fleet_record *record, const struct fleet_view *next, const char *who,
		  struct fleet_record *ret, struct error *error);
int fleet_rollback(const struct fleet_record *record, const char *who, struct fleet_record *ret); /* 0, -EALREADY */
int fleet_commit(const struct fleet_record *record, struct fleet_record *ret);
int fleet_abort(const struct fleet_record *record, struct fleet_record *ret);
int fleet_close(const struct fleet_record *record, struct fleet_record *ret);
int fleet_settle(const struct fleet_record *record, struct fleet_record *ret);

/* What is to be written, if the compares hold. */
struct fleet_write {
	char key[FLEET_KEY_LEN];
	char value[FLEET_TEXT_LEN];
	__s64 mod_revision; /* of `key`; 0: there is no such key */
	char leader_key[FLEET_KEY_LEN]; /* "": an operator's */
	__s64 leader_revision; /* create_revision of leader_key */
};
/* leader_revision 0: an operator's. 0, or -EINVAL of prefix and service. */
int fleet_write_record(const char *prefix, const char *service, const struct fleet_record *record, __s64 mod_revision,
		       __s64 leader_revision, struct fleet_write *ret);
/* The compares did not hold, and the record is now this: -ESTALE, with who was there first. */
int fleet_conflict(const char *service, const struct fleet_record *theirs, struct error *error);

/* A host's side: what its data plane is to have, and has. */
struct fleet_state {
	struct fleet_view now,
		fallback; /* fallback: the default view of packets in mid-flow of which nothing is known */
	bool has_next;
	struct fleet_view next;
	bool stopped; /* the canary gets no new flows */
};

/* stopped: the lease is over, and says `stable`. */
struct fleet_state fleet_wanted(const struct fleet_record *record, bool stopped);

enum fleet_act {
	FLEET_ACT_NONE, /* as wanted: may be acknowledged. While a window is wanted, keep the kernel from closing it. */
	FLEET_ACT_CHANGE, /* the ordinary change of view: opens a window with what was in force, or keeps the open one */
	FLEET_ACT_CLOSE, /* let the window close; acknowledge when it has. Unannounced, a host has no flows: adopt instead. */
	FLEET_ACT_ADOPT, /* the default is another's: as after a reboot, install `now` with `fallback` as the older view */
};
enum fleet_act fleet_act(const struct fleet_state *have, const struct fleet_state *wanted);
bool fleet_is_done(const struct fleet_state *have, const struct fleet_state *wanted);
/* Membership of a host: its lease, and how far it has followed. All times from one monotonic clock, in ms. */
struct fleet_host {
	__s64 lease_ms; /* how long a lease lasts */
	__s64 good_until_ms;
	bool held; /* it has a lease, as far as it knows */
	bool returned; /* ... and has read all since */
	bool reading; /* the watch is lost, or never was: read all */
	__s64 followed; /* revision up to which all was seen */
	__s64 heard; /* the newest revision that an answer has told of */
	__s64 granted; /* the revision at which it got its lease: what it reads must not be older */
	__s64 mark; /* a revision that was heard of and has not come by the watch yet ... */
	__s64 behind_ms; /* ... since then; 0: there is none */
	__s64 next_ms; /* when a lease is asked for, or renewed, next */
};

struct fleet_host fleet_host_new(__s64 lease_ms);
/*
 * The host has entered, under a lease that was asked for then; its key was written at this revision. Or it was renewed: by a question
 * that was sent then, whose answer told of this revision.
 */
void fleet_host_granted(struct fleet_host *host, __s64 sent_ms, __s64 now_ms, __s64 revision);
void fleet_host_renewed(struct fleet_host *host, __s64 sent_ms, __s64 now_ms, __s64 revision);
void fleet_host_lost_lease(struct fleet_host *host); /* etcd says that there is none */
void fleet_host_lost_watch(struct fleet_host *host);
/*
 * All was read, as of this revision. False: the answer is older than what is known, or than the lease: it is to be thrown away, and asked
 * for again. (Where etcd itself has gone back, to a backup, only a new fleet_host follows.)
 */
bool fleet_host_read(struct fleet_host *host, __s64 now_ms, __s64 revision);
/* The watch has come to this revision. */
void fleet_host_followed(struct fleet_host *host, __s64 now_ms, __s64 revision);
/* Stopped: what follows from the lease is in force. After a start it is so too, until all is read. */
bool fleet_host_is_cut_off(const struct fleet_host *host, __s64 now_ms);
/* Is that to be asked for now? It is not due again until a part of the lease has passed. */
bool fleet_host_must_grant(struct fleet_host *host, __s64 now_ms);
bool fleet_host_must_renew(struct fleet_host *host, __s64 now_ms);

/* member/HOST */
struct fleet_member {
	bool withdraws; /* cut_off: withdraw; else it serves on, stopped */
	char address[FLEET_PART_LEN];
};

/* The leader's side. What is known of a host for a service, of keys member/HOST and host/HOST. */
struct fleet_peer {
	const char *name;
	bool member;
	bool alive; /* host/HOST is there */
	bool withdraws;
	__s64 done; /* revision up to which it has done everything */
	__s64 undone; /* ... but for this service, of which it has not done what came with this revision; 0: no exception */
	const char *refusal; /* why it cannot take the change; NULL or "" */
};

enum fleet_missing {
	FLEET_MISSING_GO_ON,
	FLEET_MISSING_WAIT
}; /* a change that hosts whose lease is over have not prepared */

struct fleet_question {
	const struct fleet_record *record;
	__s64 revision; /* its mod_revision */
	const struct fleet_peer *peers;
	size_t peer_count;
	size_t held; /* keys held/NAME/... */
	enum fleet_missing missing;
	__s64 idle_ms, max_window_ms,
		prepare_ms; /* prepare_ms: an alive host that takes longer is named, and the change aborted */
	__s64 now_ms;
	__s64 seen_ms; /* since when this leader has seen the record at this revision */
	__s64 quiet_ms; /* since when it has seen no commit, and nobody come or go */
	__s64 window_ms; /* since when it has seen the window open */
};

enum fleet_decision { FLEET_WAITS, FLEET_COMMITS, FLEET_ABORTS, FLEET_CLOSES, FLEET_SETTLES };

/* *ret: the record's next state, unless it waits. *reason: for whom it waits, or why it aborts; or "". */
enum fleet_decision fleet_decide(const struct fleet_question *question, struct fleet_record *ret, struct error *reason);

/* host/HOST: a line "done REVISION", then for each exception "undone SERVICE REVISION [why it refuses]". */
struct fleet_exception {
	char service[FLEET_PART_LEN];
	__s64 revision; /* what came with it is not done yet */
	char refusal[FLEET_WHO_LEN]; /* why it cannot be done; "": it will be */
};

/* Like snprintf(): the length it has, or would have. */
size_t fleet_format_report(__s64 done, const struct fleet_exception *exceptions, size_t count, char *buf, size_t size);
/* What a report says of a service: *ret_exception.revision is 0 where it is none. 0 or -EINVAL, nothing touched. */
int fleet_parse_report(const char *text, const char *service, __s64 *ret_done, struct fleet_exception *ret_exception);

/* member/HOST: "withdraw ADDRESS" or "serve ADDRESS". */
const char *fleet_format_member(const struct fleet_member *member, char buf[FLEET_TEXT_LEN]);
int fleet_parse_member(const char *text, struct fleet_member *ret); /* 0 or -EINVAL, *ret untouched */

#endif
