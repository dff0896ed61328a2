/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of a fleet: hosts that run the real protocol over the real data plane, an etcd, a network that loses, delays,
 * reorders and parts, clients' flows that routers move among hosts whenever they like.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include <stdarg.h>

#include "fleet/store.h"

/* Named defects: each must make some history fail. X(NAME, what is wrong) */
#define FLEET_MUTANTS(X)                                                                                               \
	X(NONE, "nothing")                                                                                             \
	X(COMMIT_UNPREPARED, "the leader commits before all have prepared")                                            \
	X(SETTLE_UNCLOSED, "the leader settles before all have closed")                                                \
	X(CLOSE_EARLY, "a window closes while hosts have older flows")                                                 \
	X(ACK_EARLY, "a host says that it has done what its data plane has not")                                       \
	X(LEADER_UNCOMPARED, "a leader's write does not compare the leader's key")                                     \
	X(WRITE_UNCOMPARED, "an operator's write does not compare the revision")                                       \
	X(OWN_UNCOMPARED, "a late write of a host's own key brings an older lease back")                               \
	X(LEASE_IGNORED, "a host whose lease is over keeps its weight")                                                \
	X(LEASE_FROM_ANSWER, "a host takes its lease to begin when the answer comes")                                  \
	X(RETURN_UNREAD, "a host that returns goes on with what it knew")                                              \
	X(OLD_READ, "a host takes an answer that is older than what it knows")                                         \
	X(DEFAULT_KEPT, "a host that returns keeps its own default")                                                   \
	X(ROLLBACK_PREPARES, "a rollback waits for hosts to prepare")

enum mutant {
#define X(NAME, text) MUTANT_##NAME,
	FLEET_MUTANTS(X)
#undef X
		MUTANTS
};

struct fleet_options {
	__u64 seed;
	unsigned steps;
	enum mutant mutant;
	bool trace;
};

struct fleet_result {
	__u64 packets, moves; /* of flows to other hosts */
	__u64 exposed, broken; /* flows born exposed; those of them that a move broke */
	__u64 saved; /* by the second chance */
	__u64 commits, rollbacks, settled, elections, returns, read_anew;
	__s64 rollback_ms; /* the longest until all had it that were not cut off */
	__s64 takeover_ms; /* the longest without a leader while somebody could lead */
	char violation[200];
	unsigned step;
};

void fleet_run(const struct fleet_options *options, struct fleet_result *ret);

/* Between the files that play a history. */

enum { LEASE_MS = 3000 };
extern struct fleet_options fleet_options;
extern struct fleet_result *fleet_result;
extern __s64 fleet_now_ms;
extern enum fleet_missing fleet_missing;
static inline unsigned pick(unsigned n)
{
	return (unsigned)(shim_random() % n);
}
static inline bool one_in(unsigned n)
{
	return !pick(n);
}
static inline bool mutated(enum mutant mutant)
{
	return fleet_options.mutant == mutant;
}
void fleet_violated(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fleet_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The network: questions to the store and their answers, and who is cut off from it. */
enum call_type { CALL_TXN, CALL_GRANT, CALL_RENEW, CALL_READ };
enum call_purpose { FOR_NOTHING, FOR_ENTERING, FOR_REPORT, FOR_LEADING };
struct call {
	enum call_type type;
	enum call_purpose purpose;
	unsigned host;
	unsigned life; /* of the host: what was asked in a former one is not answered */
	__s64 sent_ms, due_ms;
	bool answered; /* on its way back */
	struct store_txn txn;
	__s64 lease;
	/* the answer */
	bool succeeded;
	__s64 revision;
	struct store_kv keys[KEYS];
};
/* At the store, which checks who may write what. */
bool fleet_commit_txn(const struct call *call);
void network_clear(void);
void network_send(struct call call);
void network_run(void); /* calls host_answered() */
void network_part(unsigned host, __s64 until_ms);
bool network_is_parted(unsigned host);

/* A host. */
void hosts_clear(void);
void host_start(unsigned host); /* it boots */
void host_crash(unsigned host); /* all is lost */
void host_restart_daemon(unsigned host); /* the kernel goes on */
void host_run(unsigned host);
void host_answered(const struct call *call);
bool host_is_up(unsigned host);
bool host_is_announced(unsigned host);
bool host_is_cut_off(unsigned host);
bool host_is_installed(unsigned host); /* its data plane has a service */
bool host_is_done(unsigned host); /* ... as its record says */
bool host_is_leader(unsigned host); /* as far as it knows */
void host_ask_rollback(unsigned host);
void host_ask_change(unsigned host, const struct fleet_view *view);
const struct fleet_record *host_record(unsigned host); /* as it knows it; NULL */

/* Clients. */
void flows_clear(void);
void flows_run(void);

#endif
