/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/rollout_plan.h"

static struct rollout_plan plan; /* the default one, before each test */

static int set_up(void **state)
{
	(void)state;
	plan = rollout_plan_default();
	return 0;
}

static void accepted(void)
{
	struct problem problem;

	if (rollout_plan_validate(&plan, &problem) < 0)
		fail_msg("%s: %s", problem.path, problem.text);
}

static void refused(const char *path, const char *part)
{
	struct problem problem = {};

	if (rollout_plan_validate(&plan, &problem) != -EINVAL)
		fail_msg("%s was not refused", path);
	if (strcmp(problem.path, path) || !strstr(problem.text, part))
		fail_msg("refused for %s: %s", problem.path, problem.text);
	plan = rollout_plan_default();
}

static struct rollout_gate *add_gate(enum gate_type type)
{
	struct rollout_gate *gate = &plan.gates[plan.gate_count++];

	*gate = rollout_gate_default(type);
	snprintf(gate->name, sizeof(gate->name), "another");
	return gate;
}

static void test_the_default_plan_is_5_25_50_100(void **state)
{
	(void)state;
	accepted();
	assert_int_equal(plan.step_count, 4);
	assert_int_equal(plan.steps[0].weight, 500);
	assert_int_equal(plan.steps[1].weight, 2500);
	assert_int_equal(plan.steps[2].weight, 5000);
	assert_int_equal(plan.steps[3].weight, 10000);
	assert_int_equal(rollout_step_bake(&plan, 0), 600);
	assert_int_equal(rollout_step_bake(&plan, 3), 1800);
	assert_int_equal(plan.gates[0].type, GATE_TYPE_FAILURES);
}

static void test_steps_rise_to_100(void **state)
{
	(void)state;
	plan.steps[1].weight = 500;
	refused("steps[1].weight", "does not rise");
	plan.steps[0].weight = 0;
	refused("steps[0].weight", "does not rise");
	plan.step_count = 3;
	refused("steps[2].weight", "ends at 100");
	plan.step_count = 0;
	refused("steps", "needs a step");
	plan.steps[3].weight = 10001;
	refused("steps[3].weight", "more than 100%");
	plan.steps[0] = rollout_step_default(CANARY_WEIGHT_ONE);
	plan.step_count = 1;
	accepted();
}

static void test_times_fit_into_one_another(void **state)
{
	(void)state;
	plan.steps[0].warmup = plan.steps[0].bake;
	refused("steps[0].warmup", "part of the bake");
	plan.progress_deadline = 600;
	refused("steps[0].bake", "progress_deadline");
	plan.progress_deadline = 1800;
	refused("final_bake", "progress_deadline");
	plan.progress_deadline = 0;
	plan.final_bake = ROLLOUT_MAX_SECONDS + 1;
	refused("final_bake", "too long");
	plan.progress_deadline = 0;
	plan.steps[0].bake = 0;
	plan.steps[0].warmup = 0;
	accepted();
}

static void test_numbers_have_ranges(void **state)
{
	(void)state;
	plan.alpha = 0;
	refused("alpha", "not a probability");
	plan.alpha = NAN;
	refused("alpha", "not a probability");
	plan.max_harm = 0.6;
	refused("max_harm", "60%");
	plan.confidence = 1;
	refused("confidence", "100%");
	plan.holdback = 5001;
	refused("holdback", "0 to 50");
	plan.steps[2].weight = 9950;
	refused("holdback", "leaves less");
}

static void test_gates_say_what_they_hold_against_what(void **state)
{
	(void)state;
	add_gate(GATE_TYPE_DROPS);
	refused("gates[1].max", "nothing to hold it against");
	add_gate(GATE_TYPE_DROPS)->max = 0.1;
	accepted();
	plan = rollout_plan_default();
	add_gate(GATE_TYPE_HANDSHAKE_TIME)->tolerance = 0.9;
	refused("gates[1].tolerance", "1 to 100");
	add_gate(GATE_TYPE_HANDSHAKE_TIME)->max = 50;
	refused("gates[1].compare", "two gates");
	add_gate(GATE_TYPE_FAILURES)->name[0] = '\0';
	refused("gates[1].name", "not a gate's name");
	snprintf(add_gate(GATE_TYPE_FAILURES)->name, CANARY_NAME_LEN, "failures");
	refused("gates[1].name", "already");
}

static void test_gates_that_ask_others_say_whom_and_what(void **state)
{
	struct rollout_gate *gate = add_gate(GATE_TYPE_PROMETHEUS);

	(void)state;
	gate->min = 2.5;
	refused("gates[1].url", "needs a URL");
	gate = add_gate(GATE_TYPE_PROMETHEUS);
	gate->min = 2.5;
	snprintf(gate->target, sizeof(gate->target), "http://127.0.0.1:9090");
	refused("gates[1].query", "needs a query");
	gate = add_gate(GATE_TYPE_PROMETHEUS);
	snprintf(gate->target, sizeof(gate->target), "http://127.0.0.1:9090");
	snprintf(gate->query, sizeof(gate->query), "errors");
	gate->compare = true;
	refused("gates[1].query", "$cohort");
	add_gate(GATE_TYPE_COMMAND);
	refused("gates[1].command", "needs a command");
	gate = add_gate(GATE_TYPE_WEBHOOK);
	snprintf(gate->target, sizeof(gate->target), "https://gate.example/verdict");
	gate->max = 1;
	refused("gates[1].type", "gives the verdict itself");
	gate = add_gate(GATE_TYPE_WEBHOOK);
	snprintf(gate->target, sizeof(gate->target), "https://gate.example/verdict");
	accepted();
}

static void test_alpha_is_shared_out_among_the_gates_that_compare_and_decide(void **state)
{
	(void)state;
	assert_true(rollout_gate_alpha(&plan) == 0.01);
	add_gate(GATE_TYPE_HANDSHAKE_TIME);
	assert_true(rollout_gate_alpha(&plan) == 0.005);
	plan.gates[1].mode = GATE_MODE_REPORT;
	assert_true(rollout_gate_alpha(&plan) == 0.01);
	plan.gate_count = 0;
	assert_true(rollout_gate_alpha(&plan) == 0.01);
}

static void test_the_holdback_is_taken_off_at_the_top_only(void **state)
{
	(void)state;
	plan.holdback = 100;
	assert_int_equal(rollout_effective_weight(&plan, 5000), 5000);
	assert_int_equal(rollout_effective_weight(&plan, 10000), 9900);
}

static void test_words_read_back(void **state)
{
	(void)state;
	for (int i = 0; i < GATE_TYPE_COUNT; i++) {
		enum gate_type type;

		assert_int_equal(parse_gate_type(gate_type_name(i), &type), 0);
		assert_int_equal(type, i);
		assert_non_null(strstr(gate_type_names(), gate_type_name(i)));
	}
	for (int i = 0; i < HOOK_COUNT; i++) {
		enum hook hook;

		assert_int_equal(parse_hook(hook_name(i), &hook), 0);
		assert_int_equal(hook, i);
	}
	for (int i = 0; i < OTHERWISE_COUNT; i++)
		assert_non_null(strstr(otherwise_names(), otherwise_name(i)));
	for (int i = 0; i < GATE_MODE_COUNT; i++)
		assert_non_null(strstr(gate_mode_names(), gate_mode_name(i)));
	assert_int_equal(parse_gate_type("luck", &(enum gate_type){0}), -EINVAL);
	assert_string_equal(gate_type_name(GATE_TYPE_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_default_plan_is_5_25_50_100, set_up),
		cmocka_unit_test_setup(test_steps_rise_to_100, set_up),
		cmocka_unit_test_setup(test_times_fit_into_one_another, set_up),
		cmocka_unit_test_setup(test_numbers_have_ranges, set_up),
		cmocka_unit_test_setup(test_gates_say_what_they_hold_against_what, set_up),
		cmocka_unit_test_setup(test_gates_that_ask_others_say_whom_and_what, set_up),
		cmocka_unit_test_setup(test_alpha_is_shared_out_among_the_gates_that_compare_and_decide, set_up),
		cmocka_unit_test_setup(test_the_holdback_is_taken_off_at_the_top_only, set_up),
		cmocka_unit_test_setup(test_words_read_back, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
