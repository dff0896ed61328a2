/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan can find out with the traffic there is, before anything is out: how long each step needs to find a canary
 * that is so many times as bad, and until a healthy one has shown that it is. Means, by the analysis that judges rollouts;
 * they leave out the breaker, which is for canaries that fail altogether.
 */
#ifndef CORE_FORECAST_H
#define CORE_FORECAST_H

#include <linux/types.h>
#include <stdbool.h>

#include "core/rollout_plan.h"

#define FORECAST_RATIOS 4
extern const double forecast_ratios[FORECAST_RATIOS]; /* how many times as bad: 1.5, 2, 3, 10 */

/* The service, and what goes to it. */
struct forecast_traffic {
	double rate; /* new flows a second, > 0 */
	double base; /* the part of stable's that fail, 0 < base < 1 */
	unsigned observe_cap; /* as in struct service_model */
	bool observe_all; /* nat */
};

struct forecast {
	int weight; /* that holds, 1/100 percent: less the holdback */
	unsigned bake; /* s */
	double canary_flows; /* observed ones, in the bake after the warm-up */
	double share; /* w: the canary's share of what is observed. 1: nothing is left to compare with */
	/* After how many seconds a healthy canary has passed by its number of flows, and by evidence; INFINITY: never. */
	double min_flows_seconds;
	double proof_seconds;
	struct {
		double events; /* failures of both cohorts until the step fails it by itself; INFINITY: never */
		double seconds; /* from the end of the warm-up */
	} finds[FORECAST_RATIOS];
};

/* Of the plan's first deciding `failures` gate that compares; without one it finds nothing. */
struct forecast forecast_step(const struct rollout_plan *plan, size_t step, const struct forecast_traffic *traffic);

#endif
