/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of rollouts. */
#include "lib_rollout.h" /* before cmocka's macro named fail */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static int apply(const struct rollout_plan *plan, struct rollout *rollout, int which, __s64 now_ms)
{
	struct rollout_event event = event_of(which, now_ms);
	struct rollout_transition transition;
	struct error error;

	return rollout_apply(plan, rollout, &event, &transition, &error);
}

static void carry_out(struct rollout *rollout, __s64 now_ms)
{
	while (rollout->pending_count)
		rollout_done(rollout, now_ms);
}

static void check_state(const struct rollout *rollout, enum rollout_state state, int step, int weight)
{
	if (rollout->state != state || rollout->step != step || rollout->weight != weight)
		fail_msg("the rollout is %s at step %d, weight %d; not %s at %d, %d",
			 rollout_state_name(rollout->state), rollout->step, rollout->weight, rollout_state_name(state),
			 step, weight);
}

static void test_a_healthy_release_goes_through_all_steps(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = {};
	__s64 now = 1000;

	(void)test;
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_START, now), ROLLOUT_TRANSITION);
	assert_int_equal(rollout.pending_count, 1);
	assert_true(rollout.pending[0].new_salt);
	assert_int_equal(rollout.pending[0].holdback, 100);
	check_state(&rollout, ROLLOUT_PROGRESSING, 0, 0);
	carry_out(&rollout, now);
	check_state(&rollout, ROLLOUT_PROGRESSING, 0, 500);
	apply(&plan, &rollout, TICK_BAKING, now += 600000);
	check_state(&rollout, ROLLOUT_PROGRESSING, 0, 500);
	assert_int_equal(rollout_elapsed(&rollout), 600);
	for (int step = 1; step < 4; step++) {
		apply(&plan, &rollout, TICK_PASS, now += 600000);
		assert_false(rollout.pending[0].new_salt);
		carry_out(&rollout, now);
		check_state(&rollout, step < 3 ? ROLLOUT_PROGRESSING : ROLLOUT_BAKING, step, plan.steps[step].weight);
		assert_int_equal(rollout_elapsed(&rollout), 0);
	}
	apply(&plan, &rollout, TICK_PASS, now += 1800000);
	check_state(&rollout, ROLLOUT_SUCCEEDED, 3, 10000);
	assert_int_equal(rollout.pending[0].holdback, 0);
	carry_out(&rollout, now);
	apply(&plan, &rollout, ROLLOUT_EVENT_FINISH, now);
	assert_int_equal(rollout.pending[0].type, ROLLOUT_ACTION_MAKE_STABLE);
	carry_out(&rollout, now);
	check_state(&rollout, ROLLOUT_IDLE, 3, 0);
	assert_int_equal(rollout.transitions, 6);
}

static void test_a_finished_release_can_be_taken_back_once(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_SUCCEEDED);

	(void)test;
	apply(&plan, &rollout, ROLLOUT_EVENT_FINISH, 2000);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_UNDO, 2000), -EBUSY);
	carry_out(&rollout, 2000);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_UNDO, 2000), ROLLOUT_TRANSITION);
	assert_int_equal(rollout.pending[0].type, ROLLOUT_ACTION_TAKE_BACK);
	carry_out(&rollout, 2000);
	check_state(&rollout, ROLLOUT_ROLLED_BACK, 3, 0);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_UNDO, 2000), -EBUSY);
}

static void test_cohorts_that_could_not_be_changed_leave_it_as_it_was(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_SUCCEEDED);

	(void)test;
	apply(&plan, &rollout, ROLLOUT_EVENT_FINISH, 2000);
	apply(&plan, &rollout, ROLLOUT_EVENT_ERROR, 2000);
	check_state(&rollout, ROLLOUT_SUCCEEDED, 3, 10000);
	apply(&plan, &rollout, ROLLOUT_EVENT_FINISH, 2000);
	carry_out(&rollout, 2000);
	apply(&plan, &rollout, ROLLOUT_EVENT_UNDO, 2000);
	apply(&plan, &rollout, ROLLOUT_EVENT_ERROR, 2000);
	check_state(&rollout, ROLLOUT_IDLE, 3, 0);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_UNDO, 2000), ROLLOUT_TRANSITION);
}

static void test_pauses_do_not_count_and_downtime_does(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	apply(&plan, &rollout, TICK_BAKING, 61000);
	assert_int_equal(rollout_elapsed(&rollout), 60);
	assert_true(rollout_is_warm(&plan, &rollout));
	apply(&plan, &rollout, ROLLOUT_EVENT_PAUSE, 71000);
	apply(&plan, &rollout, TICK_PASS, 500000);
	apply(&plan, &rollout, ROLLOUT_EVENT_RESUME, 900000);
	assert_int_equal(rollout_elapsed(&rollout), 70);
	check_state(&rollout, ROLLOUT_PROGRESSING, 1, 2500);
	apply(&plan, &rollout, TICK_BAKING, 901000);
	assert_int_equal(rollout_elapsed(&rollout), 71);
	apply(&plan, &rollout, TICK_BAKING, 1000); /* the clock is set back */
	apply(&plan, &rollout, TICK_BAKING, 2000);
	assert_int_equal(rollout_elapsed(&rollout), 72);
}

static void test_approval_waits_for_a_person_and_stops_the_deadline(void **test)
{
	struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	plan.steps[1].approval = true;
	plan.on_deadline = OTHERWISE_ROLLBACK;
	assert_int_equal(apply(&plan, &rollout, TICK_PASS, 601000), ROLLOUT_CHANGED);
	assert_int_equal(apply(&plan, &rollout, TICK_PASS, 90000000), ROLLOUT_UNCHANGED);
	check_state(&rollout, ROLLOUT_PROGRESSING, 1, 2500);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_APPROVAL);
	assert_int_equal(rollout.deadline_ms, 600000);
	apply(&plan, &rollout, ROLLOUT_EVENT_PROMOTE, 90001000);
	carry_out(&rollout, 90001000);
	check_state(&rollout, ROLLOUT_PROGRESSING, 2, 5000);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_NOTHING);
}

static void test_no_step_forward_in_a_freeze_window_and_rollback_always(void **test)
{
	struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);
	struct rollout_event event = event_of(TICK_PASS, 601000);
	struct rollout_transition transition;
	struct error error;

	(void)test;
	parse_freeze("Fri 16:00 - Mon 08:00", &plan.freezes[plan.freeze_count++]);
	event.week_minute = week_minute(6, 12, 0);
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), ROLLOUT_CHANGED);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_FREEZE);
	event.type = ROLLOUT_EVENT_PROMOTE;
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), -EBUSY);
	assert_non_null(strstr(error.text, "Fri 16:00 - Mon 08:00"));
	event = event_of(TICK_PASS, 602000);
	event.week_minute = week_minute(1, 8, 0);
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), ROLLOUT_TRANSITION);
	assert_int_equal(transition.cause, ROLLOUT_CAUSE_PASSED);
	event = event_of(TICK_FAIL, 603000);
	event.week_minute = week_minute(6, 12, 0);
	carry_out(&rollout, 602000);
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), ROLLOUT_TRANSITION);
	assert_int_equal(transition.to, ROLLOUT_ROLLED_BACK);
}

static void test_what_is_refused_says_why_in_the_words_of_the_command_line(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = {};
	struct rollout_event event = event_of(ROLLOUT_EVENT_PROMOTE_FULL, 1000);
	struct rollout_transition transition;
	struct error error;

	(void)test;
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), -EBUSY);
	assert_string_equal(error.text, "the rollout is idle, so 'promote --full' means nothing: start one");
	apply(&plan, &rollout, ROLLOUT_EVENT_BLOCK, 1000);
	event = event_of(ROLLOUT_EVENT_START, 1000);
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), -EBUSY);
	assert_string_equal(error.text, "rollouts are blocked: unblock first");
	event.block_reason = "the database moves";
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), -EBUSY);
	assert_string_equal(error.text, "rollouts are blocked (the database moves): unblock first");
}

static void test_blocked_rollouts_neither_start_nor_go_on(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = {};

	(void)test;
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_BLOCK, 1000), ROLLOUT_CHANGED);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_START, 1000), -EBUSY);
	apply(&plan, &rollout, ROLLOUT_EVENT_UNBLOCK, 1000);
	apply(&plan, &rollout, ROLLOUT_EVENT_START, 1000);
	carry_out(&rollout, 1000);
	apply(&plan, &rollout, ROLLOUT_EVENT_BLOCK, 1000);
	apply(&plan, &rollout, TICK_PASS, 601000);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_UNBLOCKING);
	check_state(&rollout, ROLLOUT_PROGRESSING, 0, 500);
	apply(&plan, &rollout, ROLLOUT_EVENT_UNBLOCK, 601000);
	apply(&plan, &rollout, TICK_PASS, 602000);
	check_state(&rollout, ROLLOUT_PROGRESSING, 1, 500);
}

static void test_the_deadline_does_what_the_plan_says(void **test)
{
	struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	apply(&plan, &rollout, TICK_UNDECIDED, 601000);
	check_state(&rollout, ROLLOUT_INCONCLUSIVE, 1, 2500);
	assert_int_equal(apply(&plan, &rollout, TICK_UNDECIDED, 7202000), ROLLOUT_CHANGED);
	assert_true(rollout.late);
	check_state(&rollout, ROLLOUT_INCONCLUSIVE, 1, 2500);
	plan.on_deadline = OTHERWISE_ROLLBACK;
	apply(&plan, &rollout, TICK_UNDECIDED, 7203000);
	check_state(&rollout, ROLLOUT_ROLLED_BACK, 1, 2500);

	rollout = rollout_in(ROLLOUT_PROGRESSING);
	plan.on_inconclusive = OTHERWISE_ROLLBACK;
	apply(&plan, &rollout, TICK_INVALID, 601000);
	check_state(&rollout, ROLLOUT_INCONCLUSIVE, 1, 2500);
	apply(&plan, &rollout, TICK_UNDECIDED, 602000);
	check_state(&rollout, ROLLOUT_ROLLED_BACK, 1, 2500);
}

static void test_another_weight_pauses_and_resume_begins_the_step_again(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	apply(&plan, &rollout, ROLLOUT_EVENT_MANUAL_WEIGHT, 300000);
	check_state(&rollout, ROLLOUT_PAUSED, 1, 2500);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_PROMOTE, 300000), -EBUSY);
	assert_int_equal(apply(&plan, &rollout, TICK_FAIL, 300000), ROLLOUT_UNCHANGED);
	apply(&plan, &rollout, ROLLOUT_EVENT_RESUME, 301000);
	assert_int_equal(rollout.pending[0].weight, 2500);
	carry_out(&rollout, 302000);
	assert_int_equal(rollout_elapsed(&rollout), 0);
}

/* As after a daemon that hung for longer than its lease: only what comes afterwards is baked. */
static void test_time_without_the_weight_is_not_baked(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	apply(&plan, &rollout, TICK_BAKING, 300000);
	assert_int_equal(rollout_elapsed(&rollout), 299);
	rollout_weight_is_back(&rollout, 800000);
	assert_int_equal(rollout_elapsed(&rollout), 0);
	assert_false(rollout_is_warm(&plan, &rollout));
	apply(&plan, &rollout, TICK_BAKING, 801000);
	assert_int_equal(rollout_elapsed(&rollout), 1);
	/* The step has taken as long as it has. */
	assert_int_equal(rollout.deadline_ms, 800000);
	check_state(&rollout, ROLLOUT_PROGRESSING, 1, 2500);
}

static void test_a_step_that_had_passed_waits_for_nothing_when_its_bake_begins_anew(void **test)
{
	struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	plan.steps[1].approval = true;
	apply(&plan, &rollout, TICK_PASS, 601000);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_APPROVAL);
	rollout_weight_is_back(&rollout, 700000);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_NOTHING);
	apply(&plan, &rollout, TICK_PASS, 1400000);
	assert_int_equal(rollout.wait, ROLLOUT_WAIT_APPROVAL);
	check_state(&rollout, ROLLOUT_PROGRESSING, 1, 2500);
}

static void test_hooks_come_in_order_and_one_before_a_step_can_stop_it(void **test)
{
	struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	for (int hook = 0; hook < HOOK_COUNT; hook++)
		snprintf(plan.hooks[hook], sizeof(plan.hooks[hook]), "true");
	apply(&plan, &rollout, TICK_PASS, 601000);
	assert_int_equal(rollout.pending_count, 3);
	assert_int_equal(rollout.pending[0].hook, HOOK_AFTER_STEP);
	assert_int_equal(rollout.pending[0].step, 1);
	assert_int_equal(rollout.pending[1].hook, HOOK_BEFORE_STEP);
	assert_int_equal(rollout.pending[1].step, 2);
	assert_int_equal(rollout.pending[2].type, ROLLOUT_ACTION_SET_WEIGHT);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_HOOK_FAILED, 602000), ROLLOUT_CHANGED);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_HOOK_FAILED, 603000), ROLLOUT_TRANSITION);
	check_state(&rollout, ROLLOUT_PAUSED, 2, 2500);
	assert_int_equal(rollout.pending_count, 0);
	apply(&plan, &rollout, ROLLOUT_EVENT_RESUME, 604000);
	carry_out(&rollout, 604000);
	check_state(&rollout, ROLLOUT_PROGRESSING, 2, 5000);
	/* Back at once; hooks come after it. */
	apply(&plan, &rollout, TICK_FAIL, 605000);
	assert_int_equal(rollout.pending[0].type, ROLLOUT_ACTION_SET_WEIGHT);
	assert_int_equal(rollout.pending[1].hook, HOOK_ROLLBACK);
}

static void test_what_cannot_be_carried_out_fails_and_a_rollback_goes_on_trying(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	apply(&plan, &rollout, TICK_PASS, 601000);
	apply(&plan, &rollout, ROLLOUT_EVENT_ERROR, 601000);
	check_state(&rollout, ROLLOUT_FAILED, 2, 2500);
	apply(&plan, &rollout, ROLLOUT_EVENT_RETRY, 601000);
	carry_out(&rollout, 602000);
	check_state(&rollout, ROLLOUT_PROGRESSING, 2, 5000);
	apply(&plan, &rollout, ROLLOUT_EVENT_ROLLBACK, 603000);
	assert_int_equal(apply(&plan, &rollout, ROLLOUT_EVENT_ERROR, 604000), ROLLOUT_UNCHANGED);
	assert_int_equal(rollout.pending_count, 1);
	assert_int_equal(rollout.pending[0].weight, 0);
}

static void test_a_rollback_can_be_asked_for_again_with_a_reset(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_ROLLED_BACK);
	struct rollout_event event = event_of(ROLLOUT_EVENT_ROLLBACK, 2000);
	struct rollout_transition transition;
	struct error error;

	(void)test;
	event.reset = true;
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), ROLLOUT_CHANGED);
	assert_int_equal(rollout_apply(&plan, &rollout, &event, &transition, &error), ROLLOUT_CHANGED);
	assert_int_equal(rollout.pending_count, 1);
	assert_true(rollout.pending[0].reset);
}

static void test_a_rollback_asked_for_again_does_not_wait_for_a_hook(void **test)
{
	struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(ROLLOUT_PROGRESSING);

	(void)test;
	strcpy(plan.hooks[HOOK_ROLLBACK], "/bin/hangs");
	apply(&plan, &rollout, ROLLOUT_EVENT_ROLLBACK, 2000);
	rollout_done(&rollout, 2000);
	assert_int_equal(rollout.pending[0].type, ROLLOUT_ACTION_RUN_HOOK);
	apply(&plan, &rollout, ROLLOUT_EVENT_ROLLBACK, 3000);
	assert_int_equal(rollout.pending_count, 2);
	assert_int_equal(rollout.pending[0].type, ROLLOUT_ACTION_SET_WEIGHT);
	assert_int_equal(rollout.pending[1].type, ROLLOUT_ACTION_RUN_HOOK);
}

static void test_a_retried_release_keeps_its_salt_and_a_new_one_gets_another(void **test)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = {};

	(void)test;
	apply(&plan, &rollout, ROLLOUT_EVENT_START, 1000);
	carry_out(&rollout, 1000);
	apply(&plan, &rollout, ROLLOUT_EVENT_ROLLBACK, 2000);
	carry_out(&rollout, 2000);
	apply(&plan, &rollout, ROLLOUT_EVENT_RETRY, 3000);
	assert_false(rollout.pending[0].new_salt);
	carry_out(&rollout, 3000);
	apply(&plan, &rollout, ROLLOUT_EVENT_ROLLBACK, 4000);
	carry_out(&rollout, 4000);
	apply(&plan, &rollout, ROLLOUT_EVENT_START, 5000);
	assert_true(rollout.pending[0].new_salt);
	assert_int_equal(rollout.release, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_healthy_release_goes_through_all_steps),
		cmocka_unit_test(test_a_finished_release_can_be_taken_back_once),
		cmocka_unit_test(test_cohorts_that_could_not_be_changed_leave_it_as_it_was),
		cmocka_unit_test(test_pauses_do_not_count_and_downtime_does),
		cmocka_unit_test(test_approval_waits_for_a_person_and_stops_the_deadline),
		cmocka_unit_test(test_no_step_forward_in_a_freeze_window_and_rollback_always),
		cmocka_unit_test(test_what_is_refused_says_why_in_the_words_of_the_command_line),
		cmocka_unit_test(test_blocked_rollouts_neither_start_nor_go_on),
		cmocka_unit_test(test_the_deadline_does_what_the_plan_says),
		cmocka_unit_test(test_another_weight_pauses_and_resume_begins_the_step_again),
		cmocka_unit_test(test_time_without_the_weight_is_not_baked),
		cmocka_unit_test(test_a_step_that_had_passed_waits_for_nothing_when_its_bake_begins_anew),
		cmocka_unit_test(test_hooks_come_in_order_and_one_before_a_step_can_stop_it),
		cmocka_unit_test(test_what_cannot_be_carried_out_fails_and_a_rollback_goes_on_trying),
		cmocka_unit_test(test_a_rollback_can_be_asked_for_again_with_a_reset),
		cmocka_unit_test(test_a_rollback_asked_for_again_does_not_wait_for_a_hook),
		cmocka_unit_test(test_a_retried_release_keeps_its_salt_and_a_new_one_gets_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
