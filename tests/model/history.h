/* SPDX-License-Identifier: Apache-2.0 */
/* A history that is going on: shared by the files that play it (model.c), send its packets and check it. */
#ifndef MODEL_HISTORY_H
#define MODEL_HISTORY_H

#include "model/change.h"

enum { MAX_FLOWS = 512 };

enum flow_state {
	CLOSED,
	OPENING, /* TCP: the SYN is out */
	ESTABLISHED,
	ENDING, /* a FIN was sent */
};

struct flow {
	struct canary_tuple tuple;
	__u32 service;
	enum flow_state state;
	__u32 isn;
	__u32 sent; /* bytes */
	__u64 last_ns;
	__u32 backend;
	__u32 generation;
	__u32 instance; /* the balancer that ECMP sends it to */
	/* An LRU forgot it, or a stranger's SYN took its place there, while it was not yet in the table. */
	bool lost;
	bool answered; /* its backend said what ends it */
};

struct history {
	struct model_options options;
	struct model_result *result;
	struct flow flows[MAX_FLOWS];
	struct flow *busy; /* whose packet is on its way */
	__u32 retirements; /* before the packet */
	__u32 countdown; /* operations on maps until something comes in between; 0: nothing does */
	bool in_tick;
	bool in_commit;
	bool exhausted; /* limits */
	__u32 stopped[WORLD_SERVICES + 1]; /* the last assignment of each that was */
	__u64 stopped_ns[WORLD_SERVICES + 1]; /* when the kernel last stopped each, as far as was looked */
	__u32 forgotten[WORLD_SERVICES +
			1]; /* watched flows whose outcome was yet to come when the machine booted again */
};
extern struct history history;

/* Is called at every operation on maps of a packet, tick or commit: see shim_hook. */
bool history_interleave(enum shim_op op, struct shim_map *map, const void *key, const void *value);
__u32 history_service(void); /* some service that things happen to */

struct canary_flow_key flow_key(const struct flow *flow);
struct flow *flow_of(const struct canary_flow_key *key);
bool flow_is_tracked(const struct flow *flow); /* always: nat and sticky UDP */

/* What the flow's client does next. */
void packets_progress(struct flow *flow);
/* A stranger forges a packet with the flow's tuple. */
void packets_forge(struct flow *flow);
/* Packets from tuples that nobody else has. */
void packets_flood(void);

void check_violated(const struct flow *flow, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What became of a packet of the flow's. */
void check_connection(struct flow *flow, const struct datapath_packet *packet);

/* Is the canary closed to new flows? Looked at before a packet, and again after it. */
struct check_new {
	bool applies;
	bool remembered; /* the packet's flow, or another one with its tuple */
	__u32 changes;
	__u64 fallbacks;
};
struct check_new check_before(const struct flow *flow, const struct datapath_packet *packet);
void check_after(const struct check_new *before, const struct flow *flow, const struct datapath_packet *packet);

void check_guards(void);
/* At the end: what was counted adds up. */
void check_outcomes(void);

#endif
