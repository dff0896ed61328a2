/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's breaker needs to know of a configuration (include/canary/breaker.h says what it does with it): which
 * buckets are observed, and what a failure of each cohort is worth.
 */
#ifndef CORE_BREAKER_H
#define CORE_BREAKER_H

#include <linux/types.h>
#include <stdbool.h>

#include "canary/breaker.h"

#define OBSERVE_STABLE_RATIO 4 /* stable buckets for one of the canary's */

/* How many buckets of each cohort are observed, of CANARY_THRESHOLD_ONE in all. */
struct observed_buckets {
	__u32 canary;
	__u32 stable;
};

/*
 * threshold: 0..CANARY_THRESHOLD_ONE. cap: 0..CANARY_WEIGHT_ONE, how much of all traffic may be observed for the canary's
 * part; 0: none of either cohort's. all: every bucket of the canary's, whatever the cap above 0 (nat tracks every flow
 * anyway).
 */
struct observed_buckets observed_buckets(__u32 threshold, unsigned cap, bool all);

/*
 * ratio: how many times as often as stable's the canary's flows must fail, in 1/100, BREAKER_RATIO_MIN.._MAX.
 * arl: BREAKER_ARL_MIN.._MAX (core/model.h). 0, or -EINVAL with *ret untouched. With no observed bucket of one of the
 * cohorts there is nothing to compare, and the relative steps are 0.
 */
int breaker_rule(const struct observed_buckets *observed, unsigned ratio, unsigned arl,
		 struct canary_breaker_rule *ret);

#define BREAKER_TEXT_LEN 160
/*
 * Why it tripped: "canary 12 failures in 12 flows, stable 0 in 48: ...", of the numbers at that time. relative: by the rule
 * that compares. buf.
 */
const char *format_breaker(bool relative, const __u32 flows[CANARY_COHORTS], const __u32 failures[CANARY_COHORTS],
			   char buf[BREAKER_TEXT_LEN]);

#endif
