/* SPDX-License-Identifier: Apache-2.0 */
/* The failures gate. The simulations are small ones of `make sim`. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/eprocess.h"
#include "lib_sim.h"

static void test_no_event_is_no_evidence(void **state)
{
	struct eprocess process = eprocess_new(1.2, 0.01);

	(void)state;
	assert_true(fabs(eprocess_log(&process)) < 1e-9);
	eprocess_add(&process, 0.05, 0, 0);
	assert_true(fabs(eprocess_log(&process)) < 1e-9);
	assert_false(process.failed);
}

static void test_without_one_of_the_cohorts_events_say_nothing(void **state)
{
	struct eprocess process = eprocess_new(1, 0.01);

	(void)state;
	eprocess_add(&process, 0, 1000, 1000);
	eprocess_add(&process, 1, 1000, 0);
	assert_true(fabs(eprocess_log(&process)) < 1e-9);
	assert_int_equal(process.canary + process.stable, 0);
}

/* At the tolerance the next E is, on average, this one: at every state, near the bound too. */
static void test_the_next_e_is_this_one_on_average(void **state)
{
	const double w = 0.05, tolerance = 1.2, share = tolerance * w / (tolerance * w + 1 - w);
	struct random random = random_seeded(1);

	(void)state;
	for (int run = 0; run < 200; run++) {
		struct eprocess process = eprocess_new(tolerance, 0.01);

		for (int n = 0; n < 60 && !process.failed; n++) {
			struct eprocess up = process, down = process;
			bool canary = random_chance(&random, 0.3);
			double mean;

			eprocess_add(&up, w, 1, 0);
			eprocess_add(&down, w, 0, 1);
			mean = share * exp(eprocess_log(&up)) + (1 - share) * exp(eprocess_log(&down));
			assert_true(fabs(mean / exp(eprocess_log(&process)) - 1) < 1e-9);
			assert_true(eprocess_log(&up) <= process.bound);
			process = canary ? up : down;
		}
	}
}

static void test_a_failure_is_for_good(void **state)
{
	struct eprocess process = eprocess_new(1, 0.01);

	(void)state;
	eprocess_add(&process, 0.05, 10, 0);
	assert_true(process.failed);
	assert_true(eprocess_log(&process) == process.bound);
	eprocess_add(&process, 0.05, 0, 100000);
	assert_true(process.failed);
	assert_true(eprocess_log(&process) == process.bound);
}

static void test_the_same_calls_give_the_same_state(void **state)
{
	struct eprocess a = eprocess_new(1.2, 0.01), b = eprocess_new(1.2, 0.01);

	(void)state;
	for (unsigned n = 0; n < 40; n++) {
		eprocess_add(&a, 0.05 + n * 0.01, n % 3, 5);
		eprocess_add(&b, 0.05 + n * 0.01, n % 3, 5);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	assert_false(a.failed);
}

/* So many that their order is not drawn: still the likelihood ratio, and still bounded. */
static void test_millions_of_events_at_once_are_judged_too(void **state)
{
	struct eprocess equal = eprocess_new(1, 0.01), worse = eprocess_new(1, 0.01);

	(void)state;
	eprocess_add(&equal, 0.05, 500000, 9500000);
	assert_false(equal.failed);
	assert_true(eprocess_log(&equal) < 0);
	eprocess_add(&worse, 0.05, 600000, 9400000);
	assert_true(worse.failed);
	assert_true(eprocess_log(&worse) == worse.bound);
}

/* Upper ends of what chance does to so many runs, at four standard deviations. */
static double at_most(double probability, unsigned runs)
{
	return probability + 4 * sqrt(probability * (1 - probability) / runs);
}

static void check_false_rollbacks(struct sim_rollout rollout, double probability)
{
	const unsigned rollouts = 2000;
	struct random random = random_seeded(2);
	double rate = sim_false_rollbacks(&random, &rollout, rollouts);

	print_message("tolerance %.1f, canary %.1f times as bad%s: %.2f %% rolled back\n", rollout.tolerance,
		      rollout.worse, rollout.drifts ? ", drifting" : "", rate * 100);
	if (rate > at_most(probability, rollouts))
		fail_msg("%.2f %% of rollouts were rolled back: %.2f %% are allowed", rate * 100, probability * 100);
}

static void test_looks_at_every_tick_roll_back_no_more_healthy_canaries_than_alpha(void **state)
{
	(void)state;
	check_false_rollbacks((struct sim_rollout){.tolerance = 1, .worse = 1, .ticks = 200, .events = 1}, SIM_ALPHA);
	check_false_rollbacks((struct sim_rollout){.tolerance = 1.2, .worse = 1.2, .ticks = 200, .events = 1},
			      SIM_ALPHA);
	check_false_rollbacks((struct sim_rollout){.tolerance = 1.2, .worse = 1, .ticks = 200, .events = 1},
			      SIM_ALPHA / 4);
}

/* All that is known of a tick's events is how many they are: no order of them may be better than another. */
static void test_many_events_in_a_tick_are_no_excuse(void **state)
{
	(void)state;
	check_false_rollbacks((struct sim_rollout){.tolerance = 1, .worse = 1, .ticks = 50, .events = 40}, SIM_ALPHA);
}

static void test_a_base_rate_that_drifts_is_not_taken_for_the_canary(void **state)
{
	(void)state;
	check_false_rollbacks(
		(struct sim_rollout){.tolerance = 1, .worse = 1, .drifts = true, .ticks = 100, .events = 0.5},
		SIM_ALPHA);
}

static void test_first_failures_of_clients_roll_back_no_more_than_alpha(void **state)
{
	const unsigned rollouts = 1000;
	struct random random = random_seeded(3);
	double first = sim_clustered_rollbacks(&random, true, rollouts);
	double every = sim_clustered_rollbacks(&random, false, rollouts);

	(void)state;
	print_message("first failures: %.2f %% rolled back; all failures: %.2f %%\n", first * 100, every * 100);
	assert_true(first <= at_most(SIM_ALPHA, rollouts));
	assert_true(every > 0.2); /* else the simulation shows nothing */
}

/* The design's table, in the canary's connections until it fails, and this much for the noise of small simulations. */
static void test_finds_worse_canaries_no_later_than_the_design_asks(void **state)
{
	static const struct {
		double tolerance, worse, flows;
	} table[] = {{1, 2, 16200}, {1, 3, 4900}, {1, 10, 510}, {1.2, 2, 30000}, {1.2, 3, 6600}, {1.2, 10, 570}};
	struct random random = random_seeded(4);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		double flows = sim_flows_to_fail(&random, table[i].tolerance, 0.05, table[i].worse, 400);
		double wald = sim_wald_bound(table[i].tolerance, 0.05, table[i].worse);

		print_message("tolerance %.1f, %.0f times as bad: %.0f connections, %.2f times Wald's bound\n",
			      table[i].tolerance, table[i].worse, flows, flows / wald);
		assert_true(flows < table[i].flows * 1.05);
		assert_true(flows < wald * 1.3);
	}
}

static void test_a_plan_is_told_how_long_it_takes(void **state)
{
	static const double ratios[] = {1.5, 2, 3, 10};
	struct random random = random_seeded(5);

	(void)state;
	for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		double share = ratios[i] * 0.05 / (ratios[i] * 0.05 + 0.95);
		double flows = eprocess_delay(1, SIM_ALPHA, 0.05, ratios[i]) * share / ratios[i] / 0.001;
		double simulated = sim_flows_to_fail(&random, 1, 0.05, ratios[i], 200);

		assert_true(fabs(flows / simulated - 1) < 0.3);
	}
	assert_true(isinf(eprocess_delay(1.2, SIM_ALPHA, 0.05, 1.2)));
	assert_true(isinf(eprocess_delay(1.2, SIM_ALPHA, 0, 2)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_event_is_no_evidence),
		cmocka_unit_test(test_without_one_of_the_cohorts_events_say_nothing),
		cmocka_unit_test(test_the_next_e_is_this_one_on_average),
		cmocka_unit_test(test_a_failure_is_for_good),
		cmocka_unit_test(test_the_same_calls_give_the_same_state),
		cmocka_unit_test(test_millions_of_events_at_once_are_judged_too),
		cmocka_unit_test(test_looks_at_every_tick_roll_back_no_more_healthy_canaries_than_alpha),
		cmocka_unit_test(test_many_events_in_a_tick_are_no_excuse),
		cmocka_unit_test(test_a_base_rate_that_drifts_is_not_taken_for_the_canary),
		cmocka_unit_test(test_first_failures_of_clients_roll_back_no_more_than_alpha),
		cmocka_unit_test(test_finds_worse_canaries_no_later_than_the_design_asks),
		cmocka_unit_test(test_a_plan_is_told_how_long_it_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
