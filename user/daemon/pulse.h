/* SPDX-License-Identifier: Apache-2.0 */
/* The point of a service's curve that a tick makes, from what the kernel has counted since the tick before. */
#ifndef DAEMON_PULSE_H
#define DAEMON_PULSE_H

#include "daemon/curve.h"

#define PULSE_BASES 2

struct senses;
struct supervisor;

struct pulse {
	struct curve_point point; /* the last tick's; of no time (span_ms 0): there is none */
	__s64 looked_ms;
	__u64 flows[CANARY_COHORTS], drops[CANARY_COHORTS];
	/* A second has few handshakes: percentiles are of those since the older of these, five to ten seconds ago. */
	struct pulse_base {
		__s64 taken_ms;
		__u32 assignment;
		struct canary_histogram handshakes[CANARY_COHORTS];
	} bases[PULSE_BASES];
	__s64 drawn_until_ms; /* the curve goes on a little after the end, to show what became of it */
	struct curve *curve; /* of the last release; NULL: none */
};

/* Begins the tick's point: after a look at the kernel's counters. */
void pulse_look(struct supervisor *supervisor);
/* Ends it, when all that was measured has been judged. */
void pulse_end(struct supervisor *supervisor);

#endif
