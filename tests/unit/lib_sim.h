/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated rollouts, judged by the real analysis: a few in the unit tests, many in tests/sim. */
#ifndef TESTS_LIB_SIM_H
#define TESTS_LIB_SIM_H

#include <stdbool.h>

#include "core/evidence.h"
#include "lib_random.h"

#define SIM_ALPHA 0.01

/*
 * Mean number of the canary's connections until the failures gate fails, at a base failure rate of 0.1 %, with the share w
 * of what is observed in the canary; and the least that any test can do: ln(1 / alpha) over the Kullback-Leibler
 * divergence of theta(worse) from theta(tolerance) in events (Wald: "Sequential Analysis", 1947).
 */
double sim_flows_to_fail(struct random *random, double tolerance, double w, double worse, unsigned runs);
double sim_wald_bound(double tolerance, double w, double worse);

/*
 * The part of rollouts whose failures gate ever fails: four steps, at weights of 5, 25, 50 and 99, all of it observed, with
 * a look after each tick. The canary is `worse` times as bad as stable, the base rate is multiplied by up to 30 and back
 * again, twice in the rollout, if it `drifts`.
 */
struct sim_rollout {
	double tolerance;
	double worse;
	bool drifts;
	unsigned ticks; /* of each step */
	double events; /* in a tick, without a drift */
};
double sim_false_rollbacks(struct random *random, const struct sim_rollout *rollout, unsigned rollouts);

/* The same for clients that come with 1 to 1,000 flows, one in a hundred of which always fails, wherever it is sent. */
double sim_clustered_rollbacks(struct random *random, bool first_failures, unsigned rollouts);

/* The part of rollouts whose times gate ever fails: lognormal times, the canary's slower by a factor, 5 % observed. */
double sim_times_rollbacks(struct random *random, double tolerance, double slower, unsigned ticks, unsigned rollouts);

/* Mean number of flows until a share of `real` in place of w is found; and the part of right ones that is ever accused. */
double sim_flows_to_mismatch(struct random *random, double w, double real, unsigned runs);
double sim_false_mismatches(struct random *random, double w, unsigned flows, unsigned runs);

/*
 * The part of canaries that are ever shown to do no more harm than 1 %, at 95 %, within so many of their flows; and with
 * `ret_flows`, the mean number of flows that took. Stable has four flows for each of the canary's.
 */
double sim_proven(struct random *random, double base, double canary, unsigned flows, unsigned runs, double *ret_flows);

#endif
