/* SPDX-License-Identifier: Apache-2.0 */
/* What a group runs on: services, frames, flows, and what must become of them. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include "../bpf/lib_run.h"

#include "bench.h"
#include "frame.h"

/* Odd: see frame.h. Flows are inserted in one order and visited in another. */
#define SUBJECT_STRIDE 0x9e3779b1U
#define SUBJECT_INSERT_STRIDE 0x85ebca6bU
/* Of a flow's SYN. */
#define SUBJECT_ISN 1000

struct subject {
	struct bench_group group;
	struct packet packet; /* of flow 0 */
	struct bench_frame frame;
	/* Where the last flow of a run goes, before and after the change that opened the window. */
	struct canary_addr last[BENCH_FLOWS][2];
};

/* A data plane with the group's service and nothing else. `last_run`: how many packets a timed run has. */
void subject_configure(const struct bench_group *group, unsigned last_run, struct subject *ret);
/* The frame of another packet of the same flows: its flags and sequence number are others. */
void subject_frame(const struct bench_group *group, unsigned flags, unsigned seq, struct packet *packet,
		   struct bench_frame *frame);
/* The flow that the last of `runs` runs is of. */
unsigned subject_last_flow(unsigned runs, enum bench_flows flows);
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
struct totals totals_take(void);
/* Fails where the counters did not move by what `runs` runs should move them by. */
void totals_check(const struct subject *subject, const struct totals *before, unsigned runs);

#endif
