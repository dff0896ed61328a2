/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_sim.h"

#include <math.h>
#include <string.h>

#include "core/analysis.h"

#define BASE_RATE 0.001

static double theta(double ratio, double w)
{
	return ratio * w / (ratio * w + 1 - w);
}

/* The canary's connections for one event: events are so frequent, and so much of all connections is the canary's. */
static double flows_of_event(double w, double worse)
{
	return w / (BASE_RATE * (worse * w + 1 - w));
}

double sim_flows_to_fail(struct random *random, double tolerance, double w, double worse, unsigned runs)
{
	double share = theta(worse, w), events = 0;

	for (unsigned run = 0; run < runs; run++) {
		struct eprocess process = eprocess_new(tolerance, SIM_ALPHA);

		while (!process.failed && process.canary + process.stable < 1000000) {
			bool canary = random_chance(random, share);

			eprocess_add(&process, w, canary, !canary);
		}
		events += (double)(process.canary + process.stable);
	}
	return events / runs * flows_of_event(w, worse);
}

double sim_wald_bound(double tolerance, double w, double worse)
{
	double a = theta(worse, w), b = theta(tolerance, w);
	double divergence = a * log(a / b) + (1 - a) * log((1 - a) / (1 - b));

	return -log(SIM_ALPHA) / divergence * flows_of_event(w, worse);
}

static bool fails(struct random *random, const struct sim_rollout *rollout)
{
	static const double weights[] = {0.05, 0.25, 0.5, 0.99};
	struct eprocess process = eprocess_new(rollout->tolerance, SIM_ALPHA);

	for (unsigned tick = 0; tick < 4 * rollout->ticks && !process.failed; tick++) {
		double w = weights[tick / rollout->ticks], phase = tick / (2.0 * rollout->ticks);
		double drift = rollout->drifts ? pow(30, 0.5 - 0.5 * cos(2 * M_PI * phase)) : 1;
		double events = rollout->events * drift;

		eprocess_add(&process, w, random_poisson(random, events * w * rollout->worse),
			     random_poisson(random, events * (1 - w)));
	}
	return process.failed;
}

double sim_false_rollbacks(struct random *random, const struct sim_rollout *rollout, unsigned rollouts)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < rollouts; i++)
		failed += fails(random, rollout);
	return (double)failed / rollouts;
}

double sim_clustered_rollbacks(struct random *random, bool first_failures, unsigned rollouts)
{
	const double w = 0.05;
	unsigned failed = 0;

	for (unsigned i = 0; i < rollouts; i++) {
		struct eprocess process = eprocess_new(1, SIM_ALPHA);

		/* So many clients that always fail; the others make no event. */
		for (unsigned client = 0; client < 1000 && !process.failed; client++) {
			unsigned flows = first_failures ? 1 : (unsigned)fmin(1 / (1 - random_unit(random)), 1000);
			bool canary = random_chance(random, w);

			eprocess_add(&process, w, canary ? flows : 0, canary ? 0 : flows);
		}
		failed += process.failed;
	}
	return (double)failed / rollouts;
}

static void draw_times(struct random *random, unsigned samples, double median_us,
		       __u32 counts[CANARY_HISTOGRAM_BUCKETS])
{
	memset(counts, 0, CANARY_HISTOGRAM_BUCKETS * sizeof(counts[0]));
	while (samples--)
		counts[canary_histogram_bucket((__u64)(median_us * exp(random_normal(random))))]++;
}

double sim_times_rollbacks(struct random *random, double tolerance, double slower, unsigned ticks, unsigned rollouts)
{
	static __u32 stable[CANARY_HISTOGRAM_BUCKETS], canary[CANARY_HISTOGRAM_BUCKETS];
	const double w = 0.2, median = 20000; /* us */
	unsigned failed = 0;

	for (unsigned i = 0; i < rollouts; i++) {
		struct times_gate gate = times_gate_new(tolerance, SIM_ALPHA);

		draw_times(random, 1000, median, stable);
		times_gate_set_edges(&gate, stable);
		for (unsigned tick = 0; tick < ticks && !gate.failed; tick++) {
			draw_times(random, random_poisson(random, 80), median, stable);
			draw_times(random, random_poisson(random, 20), median * slower, canary);
			times_gate_add(&gate, w, canary, stable);
		}
		failed += gate.failed;
	}
	return (double)failed / rollouts;
}

double sim_flows_to_mismatch(struct random *random, double w, double real, unsigned runs)
{
	double flows = 0;

	for (unsigned run = 0; run < runs; run++) {
		__u64 canary = 0, all = 0;

		do {
			canary += random_binomial(random, 50, real);
			all += 50;
		} while (sample_ratio_log(canary, all, w) < SAMPLE_RATIO_BOUND && all < 1000000);
		flows += (double)all;
	}
	return flows / runs;
}

double sim_false_mismatches(struct random *random, double w, unsigned flows, unsigned runs)
{
	unsigned accused = 0;

	for (unsigned run = 0; run < runs; run++) {
		__u64 canary = 0, all = 0;
		double log_e = 0;

		while (all < flows && log_e < SAMPLE_RATIO_BOUND) {
			canary += random_binomial(random, 50, w);
			all += 50;
			log_e = sample_ratio_log(canary, all, w);
		}
		accused += log_e >= SAMPLE_RATIO_BOUND;
	}
	return (double)accused / runs;
}

double sim_proven(struct random *random, double base, double canary, unsigned flows, unsigned runs, double *ret_flows)
{
	const unsigned tick = 10;
	double sum = 0;
	unsigned proven = 0;

	for (unsigned run = 0; run < runs; run++) {
		struct harm harm = harm_new(0.01);

		for (unsigned n = tick; n <= flows; n += tick) {
			harm_add(&harm, (struct outcomes){tick, random_binomial(random, tick, canary)},
				 (struct outcomes){4 * tick, random_binomial(random, 4 * tick, base)});
			if (harm_log(&harm) >= log(20)) {
				proven++;
				sum += n;
				break;
			}
		}
	}
	if (ret_flows)
		*ret_flows = proven ? sum / proven : NAN;
	return (double)proven / runs;
}
