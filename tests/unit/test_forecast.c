/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/forecast.h"

static const struct forecast_traffic busy = {.rate = 1000, .base = 0.001, .observe_cap = 500};

static struct rollout_plan one_percent_plan(void)
{
	struct rollout_plan plan = rollout_plan_default();

	plan.steps[0].bake = 600;
	plan.steps[0].warmup = 0;
	return plan;
}

/* 5 % of 1000 flows a second, and of stable's four times as many are observed: w is 1/5. */
static void test_traffic_of_a_step(void **state)
{
	struct rollout_plan plan = one_percent_plan();
	struct forecast forecast = forecast_step(&plan, 0, &busy);

	(void)state;
	assert_int_equal(forecast.weight, 500);
	assert_int_equal(forecast.bake, 600);
	assert_float_equal(forecast.share, 0.2, 1e-3);
	assert_float_equal(forecast.canary_flows, 30000, 30);
	assert_float_equal(forecast.min_flows_seconds, 500 / 50.0, 0.1);
}

/* The evidence of no failures takes 330 flows, see evidence.h; with some it takes more, and with the harm itself it never comes. */
static void test_time_until_it_is_shown(void **state)
{
	struct rollout_plan plan = one_percent_plan();
	struct forecast_traffic traffic = busy;
	double before;

	(void)state;
	traffic.base = 1e-9;
	before = forecast_step(&plan, 0, &traffic).proof_seconds;
	assert_float_equal(before * 50, 330, 30);
	traffic.base = 0.02;
	assert_true(forecast_step(&plan, 0, &traffic).proof_seconds > before);
	plan.max_harm = 0.0001;
	traffic.rate = 1e-3;
	assert_true(forecast_step(&plan, 0, &traffic).proof_seconds > 86400);
}

/* The same as the simulations of the analysis say: some 1.2 of Wald's bound, which is 22,400 canary flows at w = 5 %. */
static void test_what_is_worse_is_found_sooner(void **state)
{
	struct rollout_plan plan = one_percent_plan();
	struct forecast forecast = forecast_step(&plan, 0, &busy);

	(void)state;
	for (int i = 1; i < FORECAST_RATIOS; i++)
		assert_true(forecast.finds[i].seconds < forecast.finds[i - 1].seconds);
	/* 2 times as bad, in seconds of 50 canary flows: w = 20 % takes about a quarter more than w = 5 %. */
	assert_true(forecast.finds[1].seconds * 50 > 22400);
	assert_true(forecast.finds[1].seconds * 50 < 45000);
	/* Events and seconds say the same. */
	assert_float_equal(forecast.finds[1].seconds, forecast.finds[1].events / (0.001 * (2 * 50 + 200)), 2);
}

static void test_what_cannot_be_found(void **state)
{
	struct rollout_plan plan = one_percent_plan();

	(void)state;
	plan.gates[0].tolerance = 2;
	assert_true(isinf(forecast_step(&plan, 0, &busy).finds[1].seconds));
	assert_false(isinf(forecast_step(&plan, 0, &busy).finds[2].seconds));
	plan.gates[0].mode = GATE_MODE_REPORT;
	assert_true(isinf(forecast_step(&plan, 0, &busy).finds[3].seconds));
	/* Without a holdback the last step has nothing to compare with. */
	plan = one_percent_plan();
	plan.holdback = 0;
	assert_float_equal(forecast_step(&plan, 3, &busy).share, 1, 0);
	assert_true(isinf(forecast_step(&plan, 3, &busy).finds[3].seconds));
}

/* No canary fails more than always. */
static void test_base_rates_that_leave_no_room(void **state)
{
	struct rollout_plan plan = one_percent_plan();
	struct forecast_traffic traffic = busy;
	struct forecast forecast;

	(void)state;
	traffic.base = 0.5;
	forecast = forecast_step(&plan, 0, &traffic);
	assert_float_equal(forecast.finds[3].events, forecast.finds[1].events, 1e-9);
}

static void test_nothing_is_observed(void **state)
{
	struct rollout_plan plan = one_percent_plan();
	struct forecast_traffic traffic = busy;
	struct forecast forecast;

	(void)state;
	traffic.observe_cap = 0;
	forecast = forecast_step(&plan, 0, &traffic);
	assert_float_equal(forecast.share, 0, 0);
	assert_true(isinf(forecast.min_flows_seconds) && isinf(forecast.proof_seconds));
	assert_true(isinf(forecast.finds[3].seconds));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traffic_of_a_step),
		cmocka_unit_test(test_time_until_it_is_shown),
		cmocka_unit_test(test_what_is_worse_is_found_sooner),
		cmocka_unit_test(test_what_cannot_be_found),
		cmocka_unit_test(test_base_rates_that_leave_no_room),
		cmocka_unit_test(test_nothing_is_observed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
