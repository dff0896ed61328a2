/* SPDX-License-Identifier: Apache-2.0 */
/* Every event in every state of a rollout, and a million of them at random. */
#include "lib_rollout.h" /* before cmocka's macro named fail */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib_random.h"

/* The state after it, by its letter; '.': as it was, without a transition; '!': the event is refused. */
static const char letters[ROLLOUT_STATE_COUNT] = {
	[ROLLOUT_IDLE] = 'I',	[ROLLOUT_PROGRESSING] = 'P', [ROLLOUT_PAUSED] = 'Z',	  [ROLLOUT_INCONCLUSIVE] = '?',
	[ROLLOUT_BAKING] = 'B', [ROLLOUT_SUCCEEDED] = 'S',   [ROLLOUT_ROLLED_BACK] = 'R', [ROLLOUT_FAILED] = 'F',
};

static const char *const expected[CASES] = {
	/*                               I P Z ? B S R F */
	[ROLLOUT_EVENT_START] = /*     */ "P ! ! ! ! ! P !",	[ROLLOUT_EVENT_PAUSE] = /*     */ "! Z ! Z Z ! ! !",
	[ROLLOUT_EVENT_RESUME] = /*    */ "! ! P ! ! ! ! !",	[ROLLOUT_EVENT_PROMOTE] = /*   */ "! P P P S ! ! !",
	[ROLLOUT_EVENT_PROMOTE_FULL] = /**/ "! B B B S ! ! !",	[ROLLOUT_EVENT_ROLLBACK] = /*  */ "R R R R R R . R",
	[ROLLOUT_EVENT_FINISH] = /*    */ "! ! ! ! ! I ! !",	[ROLLOUT_EVENT_UNDO] = /*      */ "! ! ! ! ! ! ! !",
	[ROLLOUT_EVENT_RETRY] = /*     */ "! ! ! P ! ! P P",	[ROLLOUT_EVENT_BLOCK] = /*     */ ". . . . . . . .",
	[ROLLOUT_EVENT_UNBLOCK] = /*   */ ". . . . . . . .",	[ROLLOUT_EVENT_TRIP] = /*      */ ". R R R R R . R",
	[ROLLOUT_EVENT_MANUAL_WEIGHT] = /**/ ". Z . Z Z Z . .", [ROLLOUT_EVENT_HOOK_FAILED] = /**/ "! ! ! ! ! ! ! !",
	[ROLLOUT_EVENT_ERROR] = /*     */ "! ! ! ! ! ! ! !",	[TICK_PASS] = /*               */ ". P . P S . . .",
	[TICK_FAIL] = /*               */ ". R R R R . . .",	[TICK_INVALID] = /*            */ ". ? . . ? . . .",
	[TICK_UNDECIDED] = /*          */ ". ? . . ? . . .",	[TICK_BAKING] = /*             */ ". . . . . . . .",
};

static char outcome(enum rollout_state state, int which)
{
	const struct rollout_plan plan = rollout_plan_default();
	struct rollout rollout = rollout_in(state), before = rollout;
	struct rollout_event event = event_of(which, 2000);
	struct rollout_transition transition = {};
	struct error error = {};
	int result = rollout_apply(&plan, &rollout, &event, &transition, &error);

	if (result == -EBUSY) {
		assert_memory_equal(&rollout, &before, sizeof(rollout));
		assert_true(strlen(error.text) > 10);
		return '!';
	}
	assert_true(result >= 0);
	if (result != ROLLOUT_TRANSITION) {
		assert_int_equal(rollout.state, before.state);
		assert_int_equal(rollout.transitions, before.transitions);
		return '.';
	}
	assert_int_equal(transition.number, before.transitions + 1);
	assert_int_equal(transition.from, state);
	assert_int_equal(transition.to, rollout.state);
	assert_int_equal(transition.from_step, before.step);
	assert_int_equal(transition.to_step, rollout.step);
	return letters[rollout.state];
}

static void test_every_event_in_every_state(void **test)
{
	(void)test;
	for (int which = 0; which < CASES; which++) {
		if (which == ROLLOUT_EVENT_TICK)
			continue;
		for (int state = 0; state < ROLLOUT_STATE_COUNT; state++) {
			char got = outcome(state, which), wanted = expected[which][2 * (size_t)state];

			if (got != wanted)
				fail_msg("%s, %s %s: '%c', not '%c'", rollout_state_name(state),
					 rollout_event_name(event_of(which, 0).type),
					 which < ROLLOUT_EVENT_COUNT ? "" : reason_name(findings[which].reason), got,
					 wanted);
		}
	}
}

/* A random walk. */

struct walk {
	struct rollout_plan plan;
	struct rollout rollout;
	bool back; /* rolled back, and not started again */
	int reached; /* the last step whose weight was in force in this run of the release */
	__u64 recorded; /* number of the last transition */
};

static void check_walk(const struct walk *walk, const struct rollout *before, int which)
{
	const struct rollout *rollout = &walk->rollout;
	bool out = rollout_owns_weight(rollout) || rollout->state == ROLLOUT_FAILED;

	if (out && rollout->weight > walk->plan.steps[rollout->step].weight)
		fail_msg("weight %d at step %d", rollout->weight, rollout->step);
	if (walk->back && !rollout->pending_count && rollout->weight)
		fail_msg("weight %d after a rollback", rollout->weight);
	for (size_t i = 0; walk->back && i < rollout->pending_count; i++)
		assert_int_equal(rollout->pending[i].weight, 0);
	if (out && rollout->step > walk->reached + 1 && which != ROLLOUT_EVENT_PROMOTE_FULL)
		fail_msg("from step %d to %d by %s", walk->reached, rollout->step,
			 rollout_event_name(event_of(which, 0).type));
	if (before->state != rollout->state || before->step != rollout->step)
		assert_int_equal(before->transitions + 1, rollout->transitions);
	assert_in_range(rollout->pending_count, 0, ROLLOUT_MAX_PENDING);
	assert_in_range(rollout->step, 0, walk->plan.step_count - 1);
}

static void walk_event(struct walk *walk, struct random *random, __s64 now_ms)
{
	int which = (int)(random_bits(random) % CASES);
	struct rollout_event event = event_of(which, now_ms);
	struct rollout before = walk->rollout;
	struct rollout_transition transition;
	struct error error;
	int result;

	/* More of what leads on, or most of the walk would be spent rolled back. */
	if (random_chance(random, 0.4))
		event = event_of(which = rollout_owns_weight(&before) ? TICK_PASS : ROLLOUT_EVENT_START, now_ms);
	event.week_minute = (unsigned)(random_bits(random) % WEEK_MINUTES);
	event.reset = random_chance(random, 0.1);
	result = rollout_apply(&walk->plan, &walk->rollout, &event, &transition, &error);
	if (result < 0)
		return;
	if (result == ROLLOUT_TRANSITION) {
		assert_int_equal(transition.number, ++walk->recorded);
		if (transition.to == ROLLOUT_ROLLED_BACK || transition.to == ROLLOUT_IDLE)
			walk->back = transition.to == ROLLOUT_ROLLED_BACK;
		if (event.type == ROLLOUT_EVENT_START || (event.type == ROLLOUT_EVENT_RETRY && walk->back)) {
			walk->back = false;
			walk->reached = -1;
		}
		if (event.type == ROLLOUT_EVENT_PROMOTE_FULL)
			walk->reached = transition.to_step - 1;
	}
	assert_int_equal(walk->rollout.transitions, walk->recorded);
	check_walk(walk, &before, which);
}

static void test_a_million_random_events_break_no_rule(void **test)
{
	struct walk walk = {.plan = rollout_plan_default(), .reached = -1};
	unsigned entered[ROLLOUT_STATE_COUNT] = {};
	struct random random = random_seeded(1);

	(void)test;
	walk.plan.steps[2].approval = true;
	walk.plan.on_deadline = OTHERWISE_ROLLBACK;
	parse_freeze("22:00 - 06:00", &walk.plan.freezes[walk.plan.freeze_count++]);
	for (int hook = 0; hook < HOOK_COUNT; hook++)
		snprintf(walk.plan.hooks[hook], sizeof(walk.plan.hooks[hook]), "true");
	for (__s64 now = 1; now <= 1000000; now++) {
		walk_event(&walk, &random, now * 60000);
		while (walk.rollout.pending_count && random_chance(&random, 0.8)) {
			bool sets = walk.rollout.pending[0].type == ROLLOUT_ACTION_SET_WEIGHT;

			rollout_done(&walk.rollout, now * 60000);
			if (sets && walk.rollout.weight)
				walk.reached = walk.rollout.step;
			check_walk(&walk, &walk.rollout, ROLLOUT_EVENT_TICK);
		}
		entered[walk.rollout.state]++;
	}
	for (int state = 0; state < ROLLOUT_STATE_COUNT; state++) {
		print_message("%s: %u\n", rollout_state_name(state), entered[state]);
		assert_true(entered[state] > 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_event_in_every_state),
		cmocka_unit_test(test_a_million_random_events_break_no_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
