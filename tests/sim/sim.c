/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulations of the analysis, with many runs, as tables beside what the design asks for. Exit code 1 if one of them
 * does not hold. The unit tests run a few of the same.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib_sim.h"

#define ROLLOUTS 10000

static bool failed;

/* Notes what does not hold; what chance does to so many runs is allowed for, at three standard deviations. */
static const char *judged(bool holds)
{
	failed |= !holds;
	return holds ? "ok" : "FAILS";
}

static double at_most(double probability, unsigned runs)
{
	return probability + 3 * sqrt(probability * (1 - probability) / runs);
}

static void print_power(struct random *random)
{
	/* flows: of the design's table, at w = 5 %; 0: it has none */
	static const struct {
		double tolerance, worse, flows;
	} rows[] = {{1, 1.5, 57600}, {1, 2, 16200},  {1, 3, 4900},	 {1, 5, 0},	  {1, 10, 510},
		    {1, 30, 0},	     {1, 100, 0},    {1.2, 1.5, 380000}, {1.2, 2, 30000}, {1.2, 3, 6600},
		    {1.2, 5, 0},     {1.2, 10, 570}, {1.2, 30, 0},	 {1.2, 100, 0}};
	static const double shares[] = {0.05, 0.2, 0.5};

	puts("Canary connections until FAIL, base failure rate 0.1 %");
	puts("    w  tolerance  times as bad      mean     Wald  mean / Wald   design");
	for (size_t j = 0; j < sizeof(shares) / sizeof(shares[0]); j++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			double tolerance = rows[i].tolerance, worse = rows[i].worse;
			unsigned runs = worse < 2 ? 1000 : 4000;
			double flows = sim_flows_to_fail(random, tolerance, shares[j], worse, runs);
			double wald = sim_wald_bound(tolerance, shares[j], worse);

			printf("%5.2f %10.1f %13.1f %9.0f %8.0f %12.2f", shares[j], tolerance, worse, flows, wald,
			       flows / wald);
			if (j || rows[i].flows == 0)
				puts("");
			else
				printf(" %8.0f %s\n", rows[i].flows, judged(flows <= rows[i].flows));
		}
	}
}

static void print_rate(const char *what, double rate, double allowed, unsigned runs)
{
	printf("%-64s %7.3f %% of %u, %.3g %% allowed: %s\n", what, rate * 100, runs, allowed * 100,
	       judged(rate <= at_most(allowed, runs)));
}

static void print_false_rollbacks(struct random *random)
{
	static const struct {
		const char *what;
		struct sim_rollout rollout;
	} rows[] = {
		{"A/A, tolerance 1, as bad as stable", {1, 1, false, 500, 2}},
		{"A/A, tolerance 1.2, as bad as stable", {1.2, 1, false, 500, 2}},
		{"tolerance 1.2, 1.2 times as bad", {1.2, 1.2, false, 500, 2}},
		{"tolerance 1, base rate drifts by 1:30", {1, 1, true, 200, 0.5}},
		{"tolerance 1, rare events", {1, 1, false, 500, 0.05}},
	};

	puts("\nRollouts that were rolled back, with a look after each tick of four steps");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_rate(rows[i].what, sim_false_rollbacks(random, &rows[i].rollout, ROLLOUTS), SIM_ALPHA, ROLLOUTS);
	print_rate("clients with many flows, first failures", sim_clustered_rollbacks(random, true, ROLLOUTS),
		   SIM_ALPHA, ROLLOUTS);
	printf("%-64s %7.3f %%: why only first failures count\n", "the same clients, every failure",
	       sim_clustered_rollbacks(random, false, 1000) * 100);
	print_rate("handshake times, tolerance 1, equal", sim_times_rollbacks(random, 1, 1, 100, ROLLOUTS), SIM_ALPHA,
		   ROLLOUTS);
	print_rate("handshake times, tolerance 1.5, 1.5 times as slow",
		   sim_times_rollbacks(random, 1.5, 1.5, 100, ROLLOUTS), SIM_ALPHA, ROLLOUTS);
	printf("%-64s %7.3f %%\n", "handshake times, tolerance 1.5, twice as slow, 2,000 samples",
	       sim_times_rollbacks(random, 1.5, 2, 100, 1000) * 100);
}

static void print_mismatch(struct random *random)
{
	printf("\nSample-ratio mismatch: 6 %% in place of 5 %% found after %.0f flows\n",
	       sim_flows_to_mismatch(random, 0.05, 0.06, 2000));
	print_rate("right ratios accused in 50,000 flows", sim_false_mismatches(random, 0.05, 50000, ROLLOUTS), 0.001,
		   ROLLOUTS);
}

static void print_harm(struct random *random)
{
	static const double bases[] = {0, 0.001, 0.005, 0.01, 0.03, 0.05};

	puts("\nCanary flows until it is shown, at 95 %, that the canary is not worse by 1 %; and canaries that are, "
	     "but pass");
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		double flows;
		char what[64];

		sim_proven(random, bases[i], bases[i], 100000, 1000, &flows);
		snprintf(what, sizeof(what), "base %.1f %%: %.0f flows; worse by 1 %%", bases[i] * 100, flows);
		print_rate(what, sim_proven(random, bases[i], bases[i] + 0.01, 20000, ROLLOUTS, NULL), 0.05, ROLLOUTS);
	}
}

int main(void)
{
	struct random random = random_seeded(20);

	print_power(&random);
	print_false_rollbacks(&random);
	print_mismatch(&random);
	print_harm(&random);
	return failed;
}
