/* SPDX-License-Identifier: Apache-2.0 */
/* A release's curve: that it keeps all that was counted, in a bounded number of points, and what the history keeps of one. */
#include "lib_model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "daemon/curve.h"

#define BEGUN_MS 1700000000000

static const struct rollout_plan plan = {
	.gate_count = 2,
	.alpha = 0.01,
	.gates = {{.name = "errors", .type = GATE_TYPE_FAILURES, .compare = true, .tolerance = 1.2},
		  {.name = "lost", .type = GATE_TYPE_DROPS, .max = 1}},
};

/* The second that ends at `second`, in which the canary had so many flows. */
static struct curve_point point_of(unsigned second, __u64 flows)
{
	struct curve_point point = {
		.until_ms = BEGUN_MS + second * 1000LL,
		.span_ms = 1000,
		.weight = 500,
		.cohorts[CANARY_CANARY] = {.flows = flows, .finished = flows, .failures = flows / 10, .drops = 1},
	};

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		for (int part = 0; part < CURVE_PERCENTILE_COUNT; part++)
			point.cohorts[cohort].handshake[part] = NAN;
	return point;
}

static __u64 sum_flows(const struct curve *curve)
{
	__u64 sum = 0;

	for (size_t i = 0; i < curve->count; i++)
		sum += curve->points[i].cohorts[CANARY_CANARY].flows;
	return sum;
}

static void test_it_keeps_every_second_while_there_is_room(void **state)
{
	struct curve *curve = NULL;

	(void)state;
	for (unsigned second = 1; second <= CURVE_POINTS; second++) {
		/* Ticks are a little early or late. */
		struct curve_point point = point_of(second, second);

		point.span_ms += second % 2 ? 40 : -40;
		curve_add(&curve, 1, &point);
	}
	assert_int_equal(curve->count, CURVE_POINTS);
	assert_int_equal(curve->points[9].until_ms, BEGUN_MS + 10000);
	assert_int_equal(curve->points[9].cohorts[CANARY_CANARY].flows, 10);
	free(curve);
}

static void test_a_day_has_no_more_points_and_loses_no_flow(void **state)
{
	struct curve *curve = NULL;
	__u64 added = 0;
	__s64 spans = 0;

	(void)state;
	for (unsigned second = 1; second <= 86400; second++) {
		struct curve_point point = point_of(second, second % 7);

		added += second % 7;
		curve_add(&curve, 1, &point);
		assert_true(curve->count <= CURVE_POINTS);
	}
	assert_true(curve->count >= CURVE_POINTS / 2);
	assert_int_equal(sum_flows(curve), added);
	for (size_t i = 0; i < curve->count; i++) {
		spans += curve->points[i].span_ms;
		assert_true(!i || curve->points[i].until_ms > curve->points[i - 1].until_ms);
		assert_int_equal(curve->points[i].cohorts[CANARY_CANARY].drops, curve->points[i].span_ms / 1000);
	}
	assert_int_equal(spans, 86400 * 1000LL);
	assert_int_equal(curve->points[curve->count - 1].until_ms, BEGUN_MS + 86400 * 1000LL);
	free(curve);
}

/* Two points become one when there is no room: the weight at the end, times by how many flows they are of. */
static void test_two_points_become_one(void **state)
{
	const struct {
		float first, second, wanted;
	} cases[] = {{10, 40, 30}, {NAN, 40, 40}, {10, NAN, 10}, {NAN, NAN, NAN}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct curve *curve = NULL;
		float got;

		for (unsigned second = 1; second <= CURVE_POINTS + 1; second++) {
			struct curve_point point = point_of(second, second % 2 ? 99 : 199);

			point.weight = (int)second;
			point.log_e[0] = (float)second;
			point.cohorts[CANARY_CANARY].handshake[CURVE_p99] =
				second % 2 ? cases[i].first : cases[i].second;
			curve_add(&curve, 1, &point);
		}
		assert_int_equal(curve->count, CURVE_POINTS / 2 + 1);
		assert_int_equal(curve->points[0].weight, 2);
		assert_true(curve->points[0].log_e[0] == 2);
		assert_int_equal(curve->points[0].cohorts[CANARY_CANARY].failures, 9 + 19);
		got = curve->points[0].cohorts[CANARY_CANARY].handshake[CURVE_p99];
		assert_true(isfinite(cases[i].wanted) ? fabsf(got - cases[i].wanted) < 0.01F : isnan(got));
		free(curve);
	}
}

static void test_another_release_begins_anew(void **state)
{
	struct curve_point point = point_of(1, 5);
	struct curve *curve = NULL;

	(void)state;
	for (unsigned second = 1; second <= 2 * CURVE_POINTS; second++)
		curve_add(&curve, 1, &point);
	curve_add(&curve, 2, &point);
	assert_int_equal(curve->release, 2);
	assert_int_equal(curve->count, 1);
	assert_int_equal(curve->interval_ms, 1000);
	free(curve);
}

static void test_the_history_gives_a_point_back(void **state)
{
	struct curve_point point = point_of(1, 1234), back;
	const struct sample sample = {.tally[CANARY_CANARY] = {.finished = 1234, .bad = 123}};
	json_t *json;

	(void)state;
	point.cohorts[CANARY_CANARY].handshake[CURVE_p50] = 1.25F;
	json = curve_point_json(&point);
	assert_int_equal(curve_point_parse(json, &back), 0);
	curve_take_sample(&back, &sample);
	assert_int_equal(back.span_ms, 1000);
	assert_int_equal(back.weight, 500);
	assert_int_equal(back.cohorts[CANARY_CANARY].flows, 1234);
	assert_int_equal(back.cohorts[CANARY_CANARY].failures, 123);
	assert_int_equal(back.cohorts[CANARY_CANARY].drops, 1);
	assert_true(back.cohorts[CANARY_CANARY].handshake[CURVE_p50] == 1.25F);
	assert_true(isnan(back.cohorts[CANARY_STABLE].handshake[CURVE_p50]));
	/* What is none: an older version's row has no point, or another's has one of another form. */
	assert_int_equal(curve_point_parse(NULL, &back), -EINVAL);
	json_array_remove(json, 3);
	assert_int_equal(curve_point_parse(json, &back), -EINVAL);
	json_decref(json);
}

static double number_at(const json_t *view, const char *column, size_t at)
{
	return json_number_value(json_array_get(json_object_get(view, column), at));
}

static void test_it_is_shown_as_columns_of_equal_length(void **state)
{
	static const struct measure nothing;
	struct curve_point points[] = {point_of(1, 10), point_of(2, 20)};
	json_t *view, *canary, *gates;

	(void)state;
	points[1].cohorts[CANARY_CANARY].handshake[CURVE_p90] = 0.0625F;
	for (size_t i = 0; i < 2; i++)
		curve_take_evidence(&points[i], &nothing, &plan);
	view = curve_view(points, 2, &plan);
	canary = json_object_get(view, "canary");
	gates = json_object_get(view, "gates");
	assert_true(number_at(view, "time", 1) == BEGUN_MS / 1000.0 + 2);
	assert_true(number_at(view, "seconds", 0) == 1);
	assert_true(number_at(view, "weight", 0) == 5);
	assert_true(number_at(canary, "flows", 1) == 20);
	assert_true(number_at(canary, "failures", 1) == 2);
	assert_true(json_is_null(json_array_get(json_object_get(canary, "handshake_p90"), 0)));
	assert_true(fabs(number_at(canary, "handshake_p90", 1) - 0.0625) < 0.001);
	assert_int_equal(json_array_size(json_object_get(json_object_get(view, "stable"), "drops")), 2);
	/* A gate that compares has evidence and a bound, another has neither. */
	assert_true(number_at(json_array_get(gates, 0), "log_e", 1) == 0);
	assert_true(json_number_value(json_object_get(json_array_get(gates, 0), "bound")) > 4.6);
	assert_true(json_is_null(json_object_get(json_array_get(gates, 1), "bound")));
	assert_true(json_is_null(json_array_get(json_object_get(json_array_get(gates, 1), "log_e"), 0)));
	json_decref(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_keeps_every_second_while_there_is_room),
		cmocka_unit_test(test_a_day_has_no_more_points_and_loses_no_flow),
		cmocka_unit_test(test_two_points_become_one),
		cmocka_unit_test(test_another_release_begins_anew),
		cmocka_unit_test(test_the_history_gives_a_point_back),
		cmocka_unit_test(test_it_is_shown_as_columns_of_equal_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
