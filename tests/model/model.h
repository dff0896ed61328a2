/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of a balancer: flows open, send, fall idle and end while weights, rings, segments and backends change,
 * windows close, strangers forge packets, tables fill, the sweeper and other CPUs come in between, the machine boots
 * again, flows come from another balancer, and the kernel guards the canary: by what it sees of handshakes, and by leases.
 *
 * The invariants: while its backend lives and it is not idle for longer than the idle timeout, an established connection
 * never changes its backend. While a service is stopped, or its lease over, no new flow gets to the canary for its bucket.
 * And each flow whose handshake is watched has one outcome.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "model/datapath.h"

/* Named defects: each must make some history fail. X(NAME, what is wrong) */
#define MUTANT_LIST(X)                                                                                                 \
	X(NONE, "nothing")                                                                                             \
	X(CLEAR_EARLY, "the sweeper clears the bitmap that packets read")                                              \
	X(OPENING_TOO_SHORT, "the bits of opening flows last for one pass only")                                       \
	X(PROMOTE_AT_SYN, "a SYN takes over an established flow's entry at once")                                      \
	X(PROMOTE_ANY_ACK, "any packet counts as the ACK that completes the handshake")                                \
	X(OPEN_NOT_STORED, "an opening flow is taken for remembered and is not")                                       \
	X(WINDOW_TOO_SHORT, "a window closes before the idle timeout")                                                 \
	X(CLOSE_DROPS_ALL, "all remembered flows go when a window closes")                                             \
	X(CHANGE_NO_WINDOW, "a change opens no window")                                                                \
	X(TRIP_NO_WINDOW, "the kernel's own change opens no window")                                                   \
	X(OLDEST_REPLACED, "a change in an open window replaces `oldest`")                                             \
	X(SKIP_NOT_NOTED, "a flow that was not remembered does not keep the window open")                              \
	X(LRU_TABLE, "the table of flows evicts")                                                                      \
	X(GENERATION_IGNORED, "a backend's index has a new owner and the same generation")                             \
	X(REBOOT_LOSES_OLDEST, "after a reboot only `now` is known")                                                   \
	X(REBOOT_NEW_KEYS, "after a reboot the hashes have other keys")                                                \
	X(MATERIALISE_KEEPS_THRESHOLD, "`oldest` says what was not in force, as the service was stopped")              \
	X(CHANGE_FORGETS_STOP, "a change that is no assignment gives the canary its new flows back")                   \
	X(OUTCOME_NOT_TAKEN, "who tells a watched flow's outcome does not see that another did")                       \
	X(LEASE_UNCHECKED, "packets leave the lease to the sweeper, and that stands still")

enum mutant {
#define X(NAME, text) MUTANT_##NAME,
	MUTANT_LIST(X)
#undef X
		MUTANTS
};

struct model_options {
	__u64 seed;
	__u32 steps;
	__u32 flows; /* that may be open at a time: more than the table holds make it fill up */
	__u32 focus; /* all that happens, happens to this service; 0: to any */
	enum mutant mutant;
	bool trace; /* prints every step */
};

struct model_result {
	__u64 operations;
	__u64 packets;
	__u64 moved; /* flows whose backend was retired */
	__u64 given_up; /* flows that were lost for want of room, or by a reboot that forgot them: see model.c */
	__u64 outcomes; /* of watched flows */
	__u64 tripped; /* times that the breaker did, of what it saw */
	__u64 expired; /* leases */
	__u64 late; /* changes that the kernel came before */
	__u32 step; /* of the violation */
	char violation[160]; /* empty: the invariant held */
};

void model_run(const struct model_options *options, struct model_result *ret);

#endif
