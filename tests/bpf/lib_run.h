/* SPDX-License-Identifier: Apache-2.0 */
/* One packet through the program: verdict, packet out, and exactly the counters that moved. */
#ifndef LIB_RUN_H
#define LIB_RUN_H

#include "lib_env.h"
#include "lib_packet.h"

#include <linux/bpf.h>

struct outcome {
	int verdict; /* enum xdp_action */
	struct packet packet;
};

/* Runs the program on a packet that arrives at an interface. */
void run_packet(enum side side, const struct packet *in, struct outcome *ret);

/* The same with a packet that has to be redirected, whatever it becomes otherwise. */
struct outcome run_redirected(enum side side, const struct spec *in);
/* One that arrives at FRONT: the last number of the address of the host that the frame goes to, as its MAC says. */
unsigned redirected_to(const struct spec *in);

/*
 * The counters that must have moved, separated by spaces, and no others:
 *
 *   front.passed               one; "front.passed=3" three
 *   web.stable.nat_collision   of a service's cohort: counters and reasons
 *   10.0.0.11:8080.flows       of a backend (of whichever service has it)
 *   flow:web.stable:10.0.0.11:8080     a flow's first packet: forwarded, packets, bytes, flows of both
 *   packet:web.stable:10.0.0.11:8080   the same without a new flow
 *   reply:web.stable           the way back
 *
 * The three with a colon count the packet's bytes; the interface's part is of the interface that it came in at.
 */
struct counters;
struct counters *counters_take(void);
void counters_free(struct counters *counters);
/* True if that is what moved between; else says what did. */
bool counters_moved(const struct counters *before, enum side side, unsigned bytes, const char *expected);

/* want NULL: untouched. */
void expect_packet(const char *file, int line, const char *what, enum side side, const struct spec *in, int verdict,
		   const struct spec *want, const char *counters);
#define EXPECT(what, side, in, verdict, want, counters)                                                                \
	expect_packet(__FILE__, __LINE__, what, side, in, verdict, want, counters)

/* The frame as it should go out: from our interface to a neighbour, one hop on. */
struct spec sent_on(struct spec in, enum side side, const char *next_hop);
/* The same, translated to a backend. */
struct spec translated(struct spec in, enum side side, const char *backend, unsigned port);

#endif
