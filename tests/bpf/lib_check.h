/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold of any packet that the program was given, whatever it is: read off the packet before and after by
 * lib_frame.c, and off the services as they were asked for. For packets that no description foresees, in the kernel
 * (test_random.c) as in user space (tests/fuzz/fuzz_packet.c). Without cmocka.
 */
#ifndef LIB_CHECK_H
#define LIB_CHECK_H

#include "core/model.h"
#include "lib_frame.h"

#define CHECK_MACS 2

/* What the program works for. Backends that ipip goes to have their tunnel_source. */
struct check_world {
	const struct model *model;
	__u8 mac[CHECK_MACS][6]; /* of our interfaces */
};

struct check_bytes {
	const __u8 *data;
	unsigned len;
};

struct check_run {
	const struct check_world *world;
	unsigned interface; /* that the packet came in by: place of its MAC */
	bool partial; /* senders there may leave checksums to their device */
	int verdict; /* enum xdp_action */
	struct check_bytes in, out;
};

/* What is seen from outside; check_packet() adds to it. */
struct check_tally {
	__u64 run, passed, forwarded, dropped;
	__u64 resets, told, echoes; /* among those forwarded: the program's own answers; `told`: the MTU */
	__u64 forwarded_bytes; /* of the others' IP packets as they came in */
	__u64 ours; /* sound and for a service, without those whose hop limit is at its end */
};

/* NULL: all is right; else what is wrong. */
const char *check_packet(const struct check_run *run, struct check_tally *tally);

/* Some services' address, protocol and port (-1: any). NULL: no service's. */
const struct service_model *check_service(const struct check_world *world, const struct canary_addr *addr, int proto,
					  int port);
bool check_is_backend(const struct check_world *world, const struct canary_addr *addr);

/* Is what came out the program's own answer to the packet's sender? What is forwarded keeps one of its addresses at least. */
bool check_is_answer(const struct frame *in, const struct frame *out);

/* What the program has counted, summed up. */
struct check_counts {
	__u64 passed, forwarded, dropped, faults, tx_errors; /* of interfaces; dropped of cohorts as well */
	__u64 packets, bytes, replies, reply_bytes, resets, told; /* of cohorts */
	__u64 backend_packets, backend_bytes;
};
void check_add_interface(struct check_counts *counts, const struct canary_interface_counters *values);
void check_add_cohort(struct check_counts *counts, const struct canary_cohort_counters *values);
void check_add_backend(struct check_counts *counts, const struct canary_backend_counters *values);
/* Does what moved add up, and is it what was seen? As check_packet(). */
const char *check_counted(const struct check_counts *before, const struct check_counts *after,
			  const struct check_tally *tally);

#endif
