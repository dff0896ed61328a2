/* SPDX-License-Identifier: Apache-2.0 */
/* What a group runs on: services, frames, flows, and what must become of them. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include "../bpf/lib_run.h"

#include "core/text.h"

#include "bench.h"
#include "frame.h"

/* Odd: see frame.h. Flows are inserted in one order and visited in another. */
#define SUBJECT_STRIDE 0x9e3779b1U
#define SUBJECT_INSERT_STRIDE 0x85ebca6bU
/* Of a flow's SYN. */
#define SUBJECT_ISN 1000

/* Texts that a description of a packet points to. */
struct names {
	char client[ADDR_TEXT_LEN], backend[ADDR_TEXT_LEN];
};

/* A service, and the packets that are for it. */
struct subject {
	struct bench_group group;
	const char *name; /* the service's */
	unsigned port, backend_port;
	struct packet packet; /* of flow 0 */
	struct bench_frame frame;
	/* Where the last flow of a run goes, before and after the change that opened the window. */
	struct canary_addr last[BENCH_FLOWS][2];
};

/*
 * A data plane with the group's service and, if something of that is observed, a twin that nothing is observed of; and
 * no other. How many. `last_run`: how many packets a timed run has.
 */
size_t subject_configure(const struct bench_group *group, unsigned last_run, struct subject ret[2]);
const char *subject_clients(const struct bench_group *group);
const char *subject_address(const struct bench_group *group);
int subject_proto(const struct bench_group *group);
/* Fills in packet and frame. */
void subject_load(struct subject *subject);
/* The packets that open the same flows. How many each has. */
unsigned subject_opening(const struct subject *subject, struct packet *packet, struct bench_frame *frame);
/* How many connections so many runs are; and at least so many runs that all of them are at their end. */
unsigned subject_connections(const struct bench_group *group, unsigned runs);
unsigned subject_whole_runs(const struct bench_group *group, unsigned runs);
/* The flow that a connection is of. */
unsigned subject_flow(unsigned connection, enum bench_flows flows);
/* The packet of the last of `runs` runs. */
struct spec subject_last_spec(const struct subject *subject, unsigned runs, enum bench_flows flows,
			      struct names *names);
/* What is known of the packet that the last run sends: fails where `got` is another. */
void subject_check(const struct subject *subject, enum bench_flows flows, unsigned runs, const struct outcome *got);
/* The same for a floor. */
void subject_check_floor(const struct subject *subject, enum bench_floor floor, enum bench_flows flows, unsigned runs,
			 const struct outcome *got);

/* Sums of the data plane's counters. */
struct totals {
	__u64 passed, not_ours, forwarded; /* of the interface */
	__u64 packets, bytes, flows; /* of cohorts */
	__u64 backend_packets, backend_bytes, backend_flows;
	__u64 dropped; /* for whatever reason */
	__u64 remembering; /* what only an open window counts */
	__u64 other;
};
struct totals totals_take(const struct subject *subject);
/* Fails where the counters did not move by what `runs` runs should move them by. */
void totals_check(const struct subject *subject, const struct totals *before, unsigned runs);

/* What became of the connections that the service watches: all epochs' sums. */
struct watched_totals {
	__u64 count[CANARY_COHORTS][CANARY_OUTCOMES];
	__u64 flooded;
};
struct watched_totals watched_take(const struct subject *subject);
/* The same, for connections: each of a bucket that is watched has opened and completed, and nothing else was seen. */
void watched_check(const struct subject *subject, const struct watched_totals *before, enum bench_flows flows,
		   unsigned runs);

#endif
