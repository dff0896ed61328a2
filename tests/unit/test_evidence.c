/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/evidence.h"
#include "lib_sim.h"

#define PROVEN 2.995732273553991 /* ln(1 / 0.05) */

static unsigned clean_flows(double max_harm, struct outcomes stable)
{
	struct harm harm = harm_new(max_harm);
	unsigned flows = 0;

	while (harm_log(&harm) < PROVEN && flows < 100000) {
		harm_add(&harm, (struct outcomes){1, 0}, stable);
		flows++;
	}
	return flows;
}

static void test_about_300_clean_flows_show_that_the_harm_is_below_one_percent(void **state)
{
	(void)state;
	assert_in_range(clean_flows(0.01, (struct outcomes){4, 0}), 299, 335);
	/* No stable flow at all, as at 100 %: the same, absolutely. */
	assert_in_range(clean_flows(0.01, (struct outcomes){0, 0}), 299, 335);
	assert_in_range(clean_flows(0.001, (struct outcomes){4, 0}), 2995, 3350);
}

static void test_it_does_not_matter_in_how_many_pieces_clean_flows_come(void **state)
{
	struct harm one = harm_new(0.01), many = harm_new(0.01);

	(void)state;
	harm_add(&one, (struct outcomes){1000, 0}, (struct outcomes){4000, 0});
	for (int i = 0; i < 100; i++)
		harm_add(&many, (struct outcomes){10, 0}, (struct outcomes){40, 0});
	assert_true(fabs(harm_log(&one) - harm_log(&many)) < 1e-6);
}

static void test_no_flows_are_no_evidence(void **state)
{
	struct harm harm = harm_new(0.01);

	(void)state;
	harm_add(&harm, (struct outcomes){0, 0}, (struct outcomes){1000, 500});
	assert_true(fabs(harm_log(&harm)) < 1e-9);
}

static void test_a_canary_that_fails_loses_its_evidence(void **state)
{
	struct harm harm = harm_new(0.01);

	(void)state;
	harm_add(&harm, (struct outcomes){1000, 0}, (struct outcomes){4000, 0});
	assert_true(harm_log(&harm) > PROVEN);
	harm_add(&harm, (struct outcomes){1000, 100}, (struct outcomes){4000, 0});
	assert_true(harm_log(&harm) < 0);
	harm_add(&harm, (struct outcomes){1000, 1000}, (struct outcomes){4000, 4000});
	assert_true(isfinite(harm_log(&harm)));
}

static double choose(unsigned n, unsigned k)
{
	return tgamma(n + 1) / tgamma(k + 1) / tgamma(n - k + 1);
}

/* The mean of E over all outcomes of so many flows, with a canary that is worse by just max_harm. */
static double mean_e(unsigned canary_flows, unsigned stable_flows)
{
	const double max_harm = 0.05, p_stable = 0.1, p_canary = 0.15;
	double mean = 0;

	for (unsigned x = 0; x <= canary_flows; x++) {
		for (unsigned y = 0; y <= stable_flows; y++) {
			struct harm harm = harm_new(max_harm);

			harm_add(&harm, (struct outcomes){canary_flows, x}, (struct outcomes){stable_flows, y});
			mean += choose(canary_flows, x) * pow(p_canary, x) * pow(1 - p_canary, canary_flows - x) *
				choose(stable_flows, y) * pow(p_stable, y) * pow(1 - p_stable, stable_flows - y) *
				exp(harm_log(&harm));
		}
	}
	return mean;
}

static void test_e_does_not_rise_on_average_where_the_harm_is_as_large_as_said(void **state)
{
	(void)state;
	for (unsigned canary = 1; canary < 5; canary++) {
		for (unsigned stable = 0; stable < 20; stable++) {
			double mean = mean_e(canary, stable);

			if (!(mean <= 1 + 1e-9))
				fail_msg("with %u flows, and %u of stable's, E is %g on average", canary, stable, mean);
		}
	}
}

static void test_a_flow_that_is_set_against_one_to_four_of_stables_wastes_nothing(void **state)
{
	(void)state;
	for (unsigned stable = 1; stable <= 4; stable++)
		assert_true(fabs(mean_e(1, stable) - 1) < 1e-9);
	assert_true(mean_e(1, 0) < 1); /* against a stable that never fails */
}

static void test_a_canary_that_is_worse_by_as_much_as_is_allowed_passes_in_5_percent_at_most(void **state)
{
	static const double bases[] = {0, 0.001, 0.01, 0.05};
	const unsigned runs = 1000;
	struct random random = random_seeded(1);

	(void)state;
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		double part = sim_proven(&random, bases[i], bases[i] + 0.01, 10000, runs, NULL);

		print_message("base %.1f %%, 1 %% worse: %.1f %% pass\n", bases[i] * 100, part * 100);
		assert_true(part <= 0.05 + 4 * sqrt(0.05 * 0.95 / runs));
	}
}

static void test_a_healthy_canary_passes_soon_whatever_the_base_rate(void **state)
{
	static const struct {
		double base, flows;
	} cases[] = {{0, 335}, {0.001, 550}, {0.01, 2000}, {0.03, 5000}};
	struct random random = random_seeded(2);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double flows, part = sim_proven(&random, cases[i].base, cases[i].base, 40000, 300, &flows);

		print_message("base %.1f %%: shown after %.0f of the canary's flows\n", cases[i].base * 100, flows);
		assert_true(part == 1);
		assert_true(flows < cases[i].flows);
	}
}

static void test_finds_a_real_6_in_place_of_5_percent_in_about_9000_flows(void **state)
{
	struct random random = random_seeded(3);
	double flows = sim_flows_to_mismatch(&random, 0.05, 0.06, 300);

	(void)state;
	print_message("6 %% in place of 5 %% found after %.0f flows\n", flows);
	assert_true(flows > 7000 && flows < 10000);
}

static void test_right_ratios_are_not_accused(void **state)
{
	const unsigned runs = 2000;
	struct random random = random_seeded(4);

	(void)state;
	assert_true(sim_false_mismatches(&random, 0.05, 20000, runs) <= 0.001 + 4 * sqrt(0.001 / runs));
	assert_true(sample_ratio_log(0, 1000, 0) == 0);
	assert_true(sample_ratio_log(1000, 1000, 1) == 0);
	assert_true(fabs(sample_ratio_log(0, 0, 0.05)) < 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_about_300_clean_flows_show_that_the_harm_is_below_one_percent),
		cmocka_unit_test(test_it_does_not_matter_in_how_many_pieces_clean_flows_come),
		cmocka_unit_test(test_no_flows_are_no_evidence),
		cmocka_unit_test(test_a_canary_that_fails_loses_its_evidence),
		cmocka_unit_test(test_e_does_not_rise_on_average_where_the_harm_is_as_large_as_said),
		cmocka_unit_test(test_a_flow_that_is_set_against_one_to_four_of_stables_wastes_nothing),
		cmocka_unit_test(test_a_canary_that_is_worse_by_as_much_as_is_allowed_passes_in_5_percent_at_most),
		cmocka_unit_test(test_a_healthy_canary_passes_soon_whatever_the_base_rate),
		cmocka_unit_test(test_finds_a_real_6_in_place_of_5_percent_in_about_9000_flows),
		cmocka_unit_test(test_right_ratios_are_not_accused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
