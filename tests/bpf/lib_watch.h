/* SPDX-License-Identifier: Apache-2.0 */
/* The service "web", whose connections are watched, and what was seen of them. */
#ifndef LIB_WATCH_H
#define LIB_WATCH_H

#include "lib_run.h"

void web(enum canary_forward forward, int weight);
/* What is to come within the timeout, and has not come by now, is late. */
void time_is_up(enum canary_forward forward, int weight);
/* The same, and the sweeper has seen it. */
void time_out(enum canary_forward forward, int weight);

/* The first port from `from` on whose flow the weight gives to a cohort, in a bucket that is watched, or in none of those. */
unsigned port_in(enum canary_cohort cohort, bool watched, unsigned from);
/* A packet of the client's for it, and the same sent. */
struct spec from_client(unsigned sport, unsigned flags, unsigned seq, unsigned payload);
void client(unsigned sport, unsigned flags, unsigned seq, unsigned payload);

/* A cohort's outcomes of all epochs. */
void sum(enum canary_cohort cohort, __u64 ret[CANARY_OUTCOMES]);
/* All outcomes of a cohort there are: "opened=2 completed=1". */
void saw(enum canary_cohort cohort, const char *expected);
/* How many times are in a histogram. */
unsigned timed(enum canary_cohort cohort, enum canary_histogram_kind kind);
/* No connection is watched any more. */
bool nothing_goes_on(void);

#endif
