/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/curve.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define INTERVAL_MS 1000
/* Ticks come a little late now and then: two of them are not to become one point for that. */
#define JITTER_MS 100

/* Percentiles cannot be added: the mean, by how many flows each is of. */
static float merge_times(float a, __u64 flows_a, float b, __u64 flows_b)
{
	double weight_a = (double)flows_a + 1, weight_b = (double)flows_b + 1;

	if (!isfinite(a) || !isfinite(b))
		return isfinite(a) ? a : b;
	return (float)((a * weight_a + b * weight_b) / (weight_a + weight_b));
}

/* Into the earlier of two. */
static void merge(struct curve_point *point, const struct curve_point *later)
{
	for (int i = 0; i < CANARY_COHORTS; i++) {
		struct curve_cohort *to = &point->cohorts[i];
		const struct curve_cohort *from = &later->cohorts[i];

		for (int part = 0; part < CURVE_PERCENTILE_COUNT; part++)
			to->handshake[part] =
				merge_times(to->handshake[part], to->flows, from->handshake[part], from->flows);
#define X(name) to->name += from->name;
		CURVE_COUNTS(X)
#undef X
	}
	point->until_ms = later->until_ms;
	point->span_ms += later->span_ms;
	point->weight = later->weight;
	memcpy(point->log_e, later->log_e, sizeof(point->log_e));
}

static void halve(struct curve *curve)
{
	for (size_t i = 0; i < CURVE_POINTS / 2; i++) {
		struct curve_point point = curve->points[2 * i];

		merge(&point, &curve->points[2 * i + 1]);
		curve->points[i] = point;
	}
	curve->count = CURVE_POINTS / 2;
	curve->interval_ms *= 2;
}

void curve_add(struct curve **at, __u64 release, const struct curve_point *point)
{
	struct curve *curve = *at;
	struct curve_point *last;

	if (!curve)
		curve = *at = calloc(1, sizeof(*curve));
	if (!curve)
		return;
	if (curve->release != release) {
		curve->release = release;
		curve->interval_ms = INTERVAL_MS;
		curve->count = 0;
	}
	last = curve->count ? &curve->points[curve->count - 1] : NULL;
	if (last && last->span_ms + point->span_ms <= curve->interval_ms + JITTER_MS) {
		merge(last, point);
		return;
	}
	if (curve->count == CURVE_POINTS)
		halve(curve);
	curve->points[curve->count++] = *point;
}

void curve_take_sample(struct curve_point *point, const struct sample *sample)
{
	for (int i = 0; i < CANARY_COHORTS; i++) {
		point->cohorts[i].finished = sample->tally[i].finished;
		point->cohorts[i].failures = sample->tally[i].bad;
	}
}

void curve_take_evidence(struct curve_point *point, const struct measure *measure, const struct rollout_plan *plan)
{
	for (size_t i = 0; i < ROLLOUT_MAX_GATES; i++)
		point->log_e[i] = i < plan->gate_count ? (float)measure_log(measure, plan, i) : NAN;
}

/* Rounded to a thousandth: what is shown needs no more. */
static json_t *rounded(double value)
{
	return isfinite(value) ? json_real(round(value * 1000) / 1000) : json_null();
}

json_t *curve_point_json(const struct curve_point *point)
{
	json_t *list = json_pack("[I, i]", (json_int_t)point->span_ms, point->weight);

	for (int i = 0; i < CANARY_COHORTS; i++) {
		const struct curve_cohort *cohort = &point->cohorts[i];

		json_array_append_new(list, json_integer((json_int_t)cohort->flows));
		json_array_append_new(list, json_integer((json_int_t)cohort->drops));
		for (int part = 0; part < CURVE_PERCENTILE_COUNT; part++)
			json_array_append_new(list, rounded(cohort->handshake[part]));
	}
	return list;
}

int curve_point_parse(const json_t *list, struct curve_point *ret)
{
	const size_t each = 2 + CURVE_PERCENTILE_COUNT;
	struct curve_point point = {
		.span_ms = json_integer_value(json_array_get(list, 0)),
		.weight = (int)json_integer_value(json_array_get(list, 1)),
	};

	if (json_array_size(list) != 2 + CANARY_COHORTS * each || point.span_ms <= 0)
		return -EINVAL;
	for (size_t i = 0; i < CANARY_COHORTS; i++) {
		struct curve_cohort *cohort = &point.cohorts[i];
		size_t at = 2 + i * each;

		cohort->flows = (__u64)json_integer_value(json_array_get(list, at));
		cohort->drops = (__u64)json_integer_value(json_array_get(list, at + 1));
		for (size_t part = 0; part < CURVE_PERCENTILE_COUNT; part++) {
			const json_t *value = json_array_get(list, at + 2 + part);

			cohort->handshake[part] = json_is_number(value) ? (float)json_number_value(value) : NAN;
		}
	}
	*ret = point;
	return 0;
}

/* A list with a number of each point. */
#define COLUMN(view, key, value)                                                                                       \
	do {                                                                                                           \
		json_t *column = json_array();                                                                         \
                                                                                                                       \
		for (size_t i = 0; i < count; i++)                                                                     \
			json_array_append_new(column, value);                                                          \
		json_object_set_new(view, key, column);                                                                \
	} while (0)

static json_t *cohort_view(const struct curve_point *points, size_t count, enum canary_cohort cohort)
{
	json_t *view = json_object();

#define X(name) COLUMN(view, #name, json_integer((json_int_t)points[i].cohorts[cohort].name));
	CURVE_COUNTS(X)
#undef X
#define X(name, part) COLUMN(view, "handshake_" #name, rounded(points[i].cohorts[cohort].handshake[CURVE_##name]));
	CURVE_PERCENTILES(X)
#undef X
	return view;
}

static json_t *gates_view(const struct curve_point *points, size_t count, const struct rollout_plan *plan)
{
	json_t *gates = json_array();

	for (size_t gate = 0; gate < plan->gate_count; gate++) {
		json_t *view = json_pack("{s:s, s:o}", "name", plan->gates[gate].name, "bound",
					 rounded(measure_bound(plan, gate)));

		COLUMN(view, "log_e", rounded(points[i].log_e[gate]));
		json_array_append_new(gates, view);
	}
	return gates;
}

json_t *curve_view(const struct curve_point *points, size_t count, const struct rollout_plan *plan)
{
	json_t *view = json_object();

	COLUMN(view, "time", json_real((double)points[i].until_ms / 1000));
	COLUMN(view, "seconds", json_real((double)points[i].span_ms / 1000));
	COLUMN(view, "weight", json_real(points[i].weight / 100.0));
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		json_object_set_new(view, cohort_name((enum canary_cohort)cohort),
				    cohort_view(points, count, (enum canary_cohort)cohort));
	json_object_set_new(view, "gates", gates_view(points, count, plan));
	return view;
}
