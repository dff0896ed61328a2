/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/sample_json.h"

#include <errno.h>

/* Lists of numbers without names, stable's before the canary's: there is one of these a second. */

static void append(json_t *list, __u64 number)
{
	json_array_append_new(list, json_integer((json_int_t)number));
}

static __u64 number_at(const json_t *list, size_t at)
{
	return (__u64)json_integer_value(json_array_get(list, at));
}

static json_t *pack_tallies(const struct tally tally[CANARY_COHORTS])
{
	json_t *list = json_array();

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		append(list, tally[cohort].opened);
		append(list, tally[cohort].finished);
		append(list, tally[cohort].bad);
		append(list, tally[cohort].failed);
	}
	return list;
}

static void unpack_tallies(const json_t *list, struct tally ret[CANARY_COHORTS])
{
	for (size_t cohort = 0; cohort < CANARY_COHORTS; cohort++)
		ret[cohort] = (struct tally){
			.opened = number_at(list, cohort * 4),
			.finished = number_at(list, cohort * 4 + 1),
			.bad = number_at(list, cohort * 4 + 2),
			.failed = number_at(list, cohort * 4 + 3),
		};
}

static json_t *pack_shares(const struct sample *sample)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sample->share_count; i++) {
		const struct share *share = &sample->shares[i];

		json_array_append_new(list, json_pack("[f, I, I]", share->w, (json_int_t)share->failed[CANARY_STABLE],
						      (json_int_t)share->failed[CANARY_CANARY]));
	}
	return list;
}

static json_t *pack_times(const struct times_sample *times)
{
	json_t *view = json_object(), *above = json_array(), *edges = json_array();

	for (int edge = 0; edge < TIMES_EDGES; edge++) {
		append(above, times->above[CANARY_STABLE][edge]);
		append(above, times->above[CANARY_CANARY][edge]);
		json_array_append_new(edges, json_real(times->edge[edge]));
	}
	json_object_set_new(view, "above", above);
	if (times->has_edges)
		json_object_set(view, "edges", edges);
	json_decref(edges);
	return view;
}

static void unpack_times(const json_t *view, struct times_sample *ret)
{
	const json_t *above = json_object_get(view, "above"), *edges = json_object_get(view, "edges");

	ret->has_edges = edges;
	for (size_t edge = 0; edge < TIMES_EDGES; edge++) {
		ret->above[CANARY_STABLE][edge] = number_at(above, edge * 2);
		ret->above[CANARY_CANARY][edge] = number_at(above, edge * 2 + 1);
		ret->edge[edge] = json_number_value(json_array_get(edges, edge));
	}
}

static json_t *pack_gates(const struct sample *sample)
{
	json_t *list = json_array();

	for (int i = 0; i < ROLLOUT_MAX_GATES; i++)
		json_array_append_new(list, pack_times(&sample->times[i]));
	return list;
}

/* Most rollouts have none of these. */
static bool has_times(const struct sample *sample)
{
	for (int i = 0; i < ROLLOUT_MAX_GATES; i++) {
		const struct times_sample *times = &sample->times[i];

		if (times->has_edges)
			return true;
		for (int edge = 0; edge < TIMES_EDGES; edge++) {
			if (times->above[CANARY_STABLE][edge] || times->above[CANARY_CANARY][edge])
				return true;
		}
	}
	return false;
}

json_t *sample_json(const struct sample *sample)
{
	json_t *view = json_pack("{s:I, s:I, s:i, s:f, s:b, s:o, s:o}", "run", (json_int_t)sample->run, "visit",
				 (json_int_t)sample->visit, "step", sample->step, "w", sample->w, "distinct",
				 sample->distinct, "shares", pack_shares(sample), "flows", pack_tallies(sample->tally));

	if (has_times(sample))
		json_object_set_new(view, "times", pack_gates(sample));
	if (sample->words[CANARY_STABLE] || sample->words[CANARY_CANARY] || sample->unattributed)
		json_object_set_new(
			view, "feedback",
			json_pack("[f, I, I, I, I, I]", sample->feedback_w, (json_int_t)sample->unhappy[CANARY_STABLE],
				  (json_int_t)sample->unhappy[CANARY_CANARY], (json_int_t)sample->words[CANARY_STABLE],
				  (json_int_t)sample->words[CANARY_CANARY], (json_int_t)sample->unattributed));
	return view;
}

int sample_parse(const json_t *json, struct sample *ret)
{
	const json_t *shares = json_object_get(json, "shares"), *times = json_object_get(json, "times");
	const json_t *feedback = json_object_get(json, "feedback");
	struct sample sample = {
		.run = (__u64)json_integer_value(json_object_get(json, "run")),
		.visit = (__u64)json_integer_value(json_object_get(json, "visit")),
		.step = (int)json_integer_value(json_object_get(json, "step")),
		.w = json_number_value(json_object_get(json, "w")),
		.distinct = json_is_true(json_object_get(json, "distinct")),
		.share_count = json_array_size(shares),
		.feedback_w = json_number_value(json_array_get(feedback, 0)),
		.unhappy = {number_at(feedback, 1), number_at(feedback, 2)},
		.words = {number_at(feedback, 3), number_at(feedback, 4)},
		.unattributed = number_at(feedback, 5),
	};

	if (!sample.run || sample.share_count > CANARY_EPOCHS || json_array_size(times) > ROLLOUT_MAX_GATES)
		return -EINVAL;
	for (size_t i = 0; i < sample.share_count; i++) {
		const json_t *share = json_array_get(shares, i);

		sample.shares[i] = (struct share){
			.w = json_number_value(json_array_get(share, 0)),
			.failed = {number_at(share, 1), number_at(share, 2)},
		};
	}
	for (size_t i = 0; i < json_array_size(times); i++)
		unpack_times(json_array_get(times, i), &sample.times[i]);
	unpack_tallies(json_object_get(json, "flows"), sample.tally);
	*ret = sample;
	return 0;
}

json_t *reading_json(const struct reading *reading)
{
	json_t *list = json_array();

	for (int i = 0; i < CANARY_EPOCHS; i++) {
		const struct epoch_reading *epoch = &reading->epochs[i];

		json_array_append_new(list, epoch->epoch ? json_pack("[I, I, I, f, o]", (json_int_t)epoch->epoch,
								     (json_int_t)epoch->assignment,
								     (json_int_t)epoch->flooded, epoch->w,
								     pack_tallies(epoch->tally))
							 : json_null());
	}
	return list;
}

int reading_parse(const json_t *json, struct reading *ret)
{
	struct reading reading = {};

	if (json_array_size(json) != CANARY_EPOCHS)
		return -EINVAL;
	for (size_t i = 0; i < CANARY_EPOCHS; i++) {
		const json_t *from = json_array_get(json, i);
		struct epoch_reading *epoch = &reading.epochs[i];

		epoch->epoch = number_at(from, 0);
		epoch->assignment = (__u32)number_at(from, 1);
		epoch->flooded = (__u32)number_at(from, 2);
		epoch->w = json_number_value(json_array_get(from, 3));
		unpack_tallies(json_array_get(from, 4), epoch->tally);
	}
	*ret = reading;
	return 0;
}
