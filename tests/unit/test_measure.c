/* SPDX-License-Identifier: Apache-2.0 */
/* From the kernel's counters to samples, what they add up to, and that the history's replay comes to the same. */
#include "lib_model.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/measure.h"
#include "daemon/sample_json.h"
#include "lib_random.h"

#define FIRST 7 /* assignment of the run */

static struct random source;

static __u64 random_below(__u64 n)
{
	return random_bits(&source) % n;
}

static void open_epoch(struct canary_outcomes *outcomes, __u64 epoch, __u32 assignment, __u32 canary, __u32 stable)
{
	outcomes->epochs[epoch % CANARY_EPOCHS] =
		(struct canary_epoch){.epoch = epoch,
				      .assignment = assignment,
				      .watched = {[CANARY_STABLE] = stable, [CANARY_CANARY] = canary}};
}

/* Flows of a cohort in an epoch: so many that completed, and that were half open. */
static void flow(struct canary_outcomes *outcomes, __u64 epoch, enum canary_cohort cohort, __u64 good, __u64 bad)
{
	__u64 *count = outcomes->epochs[epoch % CANARY_EPOCHS].count[cohort];

	count[CANARY_OUTCOME_OPENED] += good + bad;
	count[CANARY_OUTCOME_COMPLETED] += good;
	count[CANARY_OUTCOME_HALF_OPEN] += bad;
	count[CANARY_OUTCOME_FAILED] += bad;
}

static struct sample take(const struct reading *before, const struct canary_outcomes *outcomes, __u32 current)
{
	struct reading now = reading_make(outcomes);
	struct sample sample = {.run = 1, .visit = 1, .distinct = true};

	assert_false(sample_take(before, &now, FIRST, current, &sample));
	return sample;
}

static void test_a_sample_is_what_came_between(void **state)
{
	struct canary_outcomes outcomes = {};
	struct reading before;
	struct sample sample;

	(void)state;
	open_epoch(&outcomes, 20, FIRST, 100, 400);
	flow(&outcomes, 20, CANARY_STABLE, 40, 1);
	before = reading_make(&outcomes);
	sample = take(&before, &outcomes, FIRST);
	assert_true(sample_is_empty(&sample));
	flow(&outcomes, 20, CANARY_CANARY, 9, 2);
	flow(&outcomes, 20, CANARY_STABLE, 30, 0);
	sample = take(&before, &outcomes, FIRST);
	assert_false(sample_is_empty(&sample));
	assert_int_equal(sample.share_count, 1);
	assert_true(sample.shares[0].w == 0.2);
	assert_int_equal(sample.shares[0].failed[CANARY_CANARY], 2);
	assert_int_equal(sample.shares[0].failed[CANARY_STABLE], 0);
	assert_int_equal(sample.tally[CANARY_CANARY].finished, 11);
	assert_int_equal(sample.tally[CANARY_STABLE].finished, 30);
}

static void test_failures_count_by_the_share_of_their_epoch(void **state)
{
	struct canary_outcomes outcomes = {};
	struct reading before;
	struct sample sample;

	(void)state;
	open_epoch(&outcomes, 19, FIRST - 1, 50, 200); /* somebody's before the run */
	open_epoch(&outcomes, 20, FIRST, 100, 400);
	before = reading_make(&outcomes);
	open_epoch(&outcomes, 21, FIRST + 1, 300, 300);
	flow(&outcomes, 19, CANARY_CANARY, 0, 5);
	flow(&outcomes, 20, CANARY_CANARY, 0, 1);
	flow(&outcomes, 21, CANARY_CANARY, 4, 3);
	sample = take(&before, &outcomes, FIRST + 1);
	assert_int_equal(sample.share_count, 2);
	assert_true(sample.shares[0].w == 0.2);
	assert_int_equal(sample.shares[0].failed[CANARY_CANARY], 1);
	assert_true(sample.shares[1].w == 0.5);
	assert_int_equal(sample.shares[1].failed[CANARY_CANARY], 3);
	/* The step's own flows are those of its assignment. */
	assert_int_equal(sample.tally[CANARY_CANARY].finished, 7);
	assert_true(sample.w == 0.5);
}

static void test_a_slot_that_another_epoch_took_begins_at_zero(void **state)
{
	struct canary_outcomes outcomes = {};
	struct reading before;
	struct sample sample;

	(void)state;
	open_epoch(&outcomes, 8, FIRST, 100, 400);
	flow(&outcomes, 8, CANARY_CANARY, 50, 50);
	before = reading_make(&outcomes);
	open_epoch(&outcomes, 8 + CANARY_EPOCHS, FIRST, 100, 400);
	flow(&outcomes, 8 + CANARY_EPOCHS, CANARY_CANARY, 3, 1);
	sample = take(&before, &outcomes, FIRST);
	assert_int_equal(sample.tally[CANARY_CANARY].finished, 4);
	assert_int_equal(sample.shares[0].failed[CANARY_CANARY], 1);
}

static void test_a_flood_is_told(void **state)
{
	struct canary_outcomes outcomes = {};
	struct reading before, now;
	struct sample sample = {};

	(void)state;
	open_epoch(&outcomes, 20, FIRST, 100, 400);
	before = reading_make(&outcomes);
	outcomes.epochs[20 % CANARY_EPOCHS].flooded = 3;
	now = reading_make(&outcomes);
	assert_true(sample_take(&before, &now, FIRST, FIRST, &sample));
	assert_false(sample_take(&now, &now, FIRST, FIRST, &sample));
}

static struct rollout_plan make_plan(void)
{
	struct rollout_plan plan = rollout_plan_default();

	plan.gates[1] = rollout_gate_default(GATE_TYPE_HANDSHAKE_TIME);
	plan.gates[2] = rollout_gate_default(GATE_TYPE_FEEDBACK);
	plan.gate_count = 3;
	return plan;
}

static struct sample failing(__u64 visit, __u64 canary, __u64 stable)
{
	return (struct sample){
		.run = 1,
		.visit = visit,
		.w = 0.2,
		.distinct = true,
		.share_count = 1,
		.shares = {{.w = 0.2, .failed = {stable, canary}}},
		.tally = {{.opened = 400, .finished = 400, .bad = stable, .failed = stable},
			  {.opened = 100, .finished = 100, .bad = canary, .failed = canary}},
	};
}

static void test_evidence_outlives_a_step_but_not_a_run(void **state)
{
	const struct rollout_plan plan = make_plan();
	struct measure measure = {};
	struct sample sample = failing(1, 3, 2);
	double after_one;

	(void)state;
	measure_add(&measure, &plan, &sample);
	after_one = measure_log(&measure, &plan, 0);
	assert_true(after_one > 0);
	assert_int_equal(measure.tally[CANARY_CANARY].finished, 100);
	sample.visit = 2;
	measure_add(&measure, &plan, &sample);
	assert_true(measure_log(&measure, &plan, 0) > after_one);
	assert_int_equal(measure.tally[CANARY_CANARY].finished, 100);
	assert_int_equal(measure.gates[0].events[CANARY_CANARY], 6);
	sample.run = 2;
	measure_add(&measure, &plan, &sample);
	assert_true(fabs(measure_log(&measure, &plan, 0) - after_one) < 1e-9);
	assert_int_equal(measure.gates[0].events[CANARY_CANARY], 3);
}

/* A failure after the handshake becomes known when the handshake itself was counted already. */
static void test_late_failures_are_not_lost(void **state)
{
	const struct rollout_plan plan = make_plan();
	struct measure late = {}, at_once = {};
	struct sample sample = failing(1, 0, 0);

	(void)state;
	sample.tally[CANARY_CANARY] = (struct tally){.finished = 10};
	measure_add(&late, &plan, &sample);
	sample.tally[CANARY_CANARY] = (struct tally){.finished = 2, .bad = 6};
	measure_add(&late, &plan, &sample);
	sample.tally[CANARY_CANARY] = (struct tally){.finished = 40};
	measure_add(&late, &plan, &sample);
	sample.tally[CANARY_CANARY] = (struct tally){.finished = 52};
	measure_add(&at_once, &plan, &sample);
	assert_true(harm_log(&late.harm) < harm_log(&at_once.harm));
	assert_int_equal(late.owed[CANARY_CANARY], 0);
}

static void test_a_mismatch_of_shares(void **state)
{
	const struct rollout_plan plan = make_plan();
	struct measure measure = {};
	struct sample sample = failing(1, 0, 0);

	(void)state;
	sample.tally[CANARY_CANARY].opened = 2000;
	sample.tally[CANARY_STABLE].opened = 8000;
	measure_add(&measure, &plan, &sample);
	assert_true(measure_sample_ratio(&measure) < SAMPLE_RATIO_BOUND);
	sample.tally[CANARY_CANARY].opened = 1500;
	sample.visit = 2;
	measure_add(&measure, &plan, &sample);
	assert_true(measure_sample_ratio(&measure) >= SAMPLE_RATIO_BOUND);
	/* Clients have several connections each: their numbers say nothing. */
	sample.distinct = false;
	measure_add(&measure, &plan, &sample);
	assert_true(measure_sample_ratio(&measure) == 0);
}

static struct sample random_sample(__u64 i)
{
	struct sample sample = failing(1 + i / 40, random_below(4), random_below(9));

	sample.run = 1 + i / 100;
	sample.step = (int)(i / 40 % 4);
	sample.shares[1] = (struct share){.w = 0.5, .failed = {random_below(3), random_below(3)}};
	sample.share_count = 1 + random_below(2);
	sample.words[CANARY_CANARY] = random_below(3);
	sample.unhappy[CANARY_CANARY] = sample.words[CANARY_CANARY] ? random_below(2) : 0;
	sample.unattributed = random_below(2);
	sample.feedback_w = 0.05;
	sample.times[1].has_edges = i % 40 == 3;
	for (int edge = 0; edge < TIMES_EDGES; edge++) {
		sample.times[1].edge[edge] = sample.times[1].has_edges ? 0.001 * (edge + 1) : 0;
		sample.times[1].above[CANARY_CANARY][edge] = random_below(5);
		sample.times[1].above[CANARY_STABLE][edge] = random_below(20);
	}
	return sample;
}

/* What the daemon knows after a restart is what it knew before, to the last bit. */
static void test_a_replay_comes_to_the_same(void **state)
{
	const struct rollout_plan plan = make_plan();
	static struct measure live, replayed;

	(void)state;
	source = random_seeded(5);
	for (__u64 i = 0; i < 300; i++) {
		struct sample sample = random_sample(i), back;
		json_t *json = sample_json(&sample), *parsed;
		char *text = json_dumps(json, JSON_COMPACT);

		parsed = json_loads(text, 0, NULL);
		assert_int_equal(sample_parse(parsed, &back), 0);
		measure_add(&live, &plan, &sample);
		measure_add(&replayed, &plan, &back);
		json_decref(json);
		json_decref(parsed);
		free(text);
	}
	for (size_t gate = 0; gate < plan.gate_count; gate++)
		assert_true(measure_log(&live, &plan, gate) == measure_log(&replayed, &plan, gate));
	assert_true(harm_log(&live.harm) == harm_log(&replayed.harm));
	assert_memory_equal(live.tally, replayed.tally, sizeof(live.tally));
	assert_memory_equal(live.words, replayed.words, sizeof(live.words));
	assert_true(live.unattributed && live.unattributed == replayed.unattributed);
}

static void test_a_word_that_nobody_can_attribute_is_something_to_keep(void **state)
{
	struct sample sample = {.run = 1};

	(void)state;
	assert_true(sample_is_empty(&sample));
	sample.unattributed = 1;
	assert_false(sample_is_empty(&sample));
}

static void test_a_damaged_sample_is_refused(void **state)
{
	struct sample sample = {.step = 77};
	struct reading reading = {};
	json_t *json = json_pack("{s:i}", "visit", 1);

	(void)state;
	assert_true(sample_parse(json, &sample) < 0);
	assert_true(sample_parse(NULL, &sample) < 0);
	assert_true(reading_parse(json, &reading) < 0);
	assert_int_equal(sample.step, 77);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sample_is_what_came_between),
		cmocka_unit_test(test_failures_count_by_the_share_of_their_epoch),
		cmocka_unit_test(test_a_slot_that_another_epoch_took_begins_at_zero),
		cmocka_unit_test(test_a_flood_is_told),
		cmocka_unit_test(test_evidence_outlives_a_step_but_not_a_run),
		cmocka_unit_test(test_late_failures_are_not_lost),
		cmocka_unit_test(test_a_mismatch_of_shares),
		cmocka_unit_test(test_a_replay_comes_to_the_same),
		cmocka_unit_test(test_a_word_that_nobody_can_attribute_is_something_to_keep),
		cmocka_unit_test(test_a_damaged_sample_is_refused),
	};

	return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
