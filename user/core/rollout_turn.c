/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rollout_turn.h"

#include <errno.h>

bool turn_is_last(const struct rollout_plan *plan, int step)
{
	return (size_t)step + 1 >= plan->step_count;
}

enum rollout_state turn_state_of_step(const struct rollout_plan *plan, int step)
{
	return turn_is_last(plan, step) ? ROLLOUT_BAKING : ROLLOUT_PROGRESSING;
}

bool turn_is_running(const struct rollout *rollout)
{
	return rollout->state == ROLLOUT_PROGRESSING || rollout->state == ROLLOUT_BAKING ||
	       rollout->state == ROLLOUT_INCONCLUSIVE;
}

bool turn_is_weight_pending(const struct rollout *rollout)
{
	for (size_t i = 0; i < rollout->pending_count; i++) {
		if (rollout->pending[i].type == ROLLOUT_ACTION_SET_WEIGHT)
			return true;
	}
	return false;
}

void turn_advance(struct rollout *rollout, __s64 now_ms)
{
	__s64 passed = rollout->now_ms ? now_ms - rollout->now_ms : 0;

	rollout->now_ms = now_ms;
	if (passed <= 0 || !turn_is_running(rollout))
		return;
	rollout->step_ms += passed;
	if (rollout->wait == ROLLOUT_WAIT_NOTHING)
		rollout->deadline_ms += passed;
}

int turn_move(struct turn *turn, enum rollout_state to, int step, enum rollout_cause cause)
{
	struct rollout *rollout = turn->rollout;

	*turn->transition = (struct rollout_transition){
		.number = ++rollout->transitions,
		.release = rollout->release,
		.from = rollout->state,
		.to = to,
		.from_step = rollout->step,
		.to_step = step,
		.cause = cause,
		.judgement = turn->event->judgement,
	};
	rollout->state = to;
	rollout->step = step;
	return ROLLOUT_TRANSITION;
}

struct rollout_action *turn_push(struct rollout *rollout, enum rollout_action_type type)
{
	struct rollout_action *action = &rollout->pending[rollout->pending_count++];

	*action = (struct rollout_action){.type = type, .step = rollout->step};
	return action;
}

static struct rollout_action *push_weight(const struct turn *turn, int weight, int holdback)
{
	struct rollout_action *action = turn_push(turn->rollout, ROLLOUT_ACTION_SET_WEIGHT);

	action->weight = weight;
	action->holdback = holdback;
	action->new_salt = weight && !turn->rollout->salted;
	return action;
}

static void push_hook(const struct turn *turn, enum hook hook, int step)
{
	struct rollout_action *action;

	if (!turn->plan->hooks[hook][0])
		return;
	action = turn_push(turn->rollout, ROLLOUT_ACTION_RUN_HOOK);
	action->hook = hook;
	action->step = step;
}

static void reset_clocks(struct rollout *rollout)
{
	rollout->step_ms = 0;
	rollout->deadline_ms = 0;
	rollout->wait = ROLLOUT_WAIT_NOTHING;
	rollout->late = false;
	rollout->weight_due = false;
}

void turn_begin_clocks(struct rollout *rollout)
{
	rollout->pending_count = 0;
	reset_clocks(rollout);
}

int turn_enter_step(struct turn *turn, int step, bool leaving, enum rollout_cause cause)
{
	struct rollout *rollout = turn->rollout;
	int left = rollout->step, result;

	turn_begin_clocks(rollout);
	result = turn_move(turn, turn_state_of_step(turn->plan, step), step, cause);
	if (leaving)
		push_hook(turn, HOOK_AFTER_STEP, left);
	push_hook(turn, HOOK_BEFORE_STEP, step);
	push_weight(turn, turn->plan->steps[step].weight, turn->plan->holdback);
	return result;
}

static int succeed(struct turn *turn, enum rollout_cause cause)
{
	struct rollout *rollout = turn->rollout;
	int result;

	turn_begin_clocks(rollout);
	result = turn_move(turn, ROLLOUT_SUCCEEDED, rollout->step, cause);
	push_weight(turn, CANARY_WEIGHT_ONE, 0);
	push_hook(turn, HOOK_AFTER_STEP, rollout->step);
	push_hook(turn, HOOK_PROMOTE, rollout->step);
	return result;
}

int turn_go_forward(struct turn *turn, enum rollout_cause cause)
{
	if (turn_is_last(turn->plan, turn->rollout->step))
		return succeed(turn, cause);
	return turn_enter_step(turn, turn->rollout->step + 1, true, cause);
}

/* Backends that are changing their cohort do so to the end; of all else only this counts now. */
static void keep_changes_of_cohorts(struct rollout *rollout)
{
	enum rollout_action_type first = rollout->pending[0].type;

	if (rollout->pending_count && (first == ROLLOUT_ACTION_MAKE_STABLE || first == ROLLOUT_ACTION_TAKE_BACK))
		rollout->pending_count = 1;
	else
		rollout->pending_count = 0;
}

/* A hook may hang: no weight of a rollback waits for it, and it is run again after that. */
static void put_weight_before_hook(struct rollout *rollout)
{
	for (size_t i = rollout->pending_count - 1; i > 0; i--) {
		struct rollout_action weight = rollout->pending[i];

		if (rollout->pending[i - 1].type != ROLLOUT_ACTION_RUN_HOOK)
			return;
		rollout->pending[i] = rollout->pending[i - 1];
		rollout->pending[i - 1] = weight;
	}
}

/* Once more where it is rolled back already: somebody wants to be sure. */
static int repeat_rollback(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;

	for (size_t i = 0; i < rollout->pending_count; i++) {
		if (rollout->pending[i].type == ROLLOUT_ACTION_SET_WEIGHT) {
			rollout->pending[i].reset |= turn->event->reset;
			return ROLLOUT_CHANGED;
		}
	}
	push_weight(turn, 0, 0)->reset = turn->event->reset;
	put_weight_before_hook(rollout);
	return ROLLOUT_CHANGED;
}

int turn_roll_back(struct turn *turn, enum rollout_cause cause)
{
	struct rollout *rollout = turn->rollout;
	bool was_out = rollout->state != ROLLOUT_IDLE;
	int result;

	if (rollout->state == ROLLOUT_ROLLED_BACK)
		return repeat_rollback(turn);
	/* A weight set by hand, before any release: what is rolled back has a number, as all that the history tells. */
	if (!rollout->release)
		rollout->release++;
	keep_changes_of_cohorts(rollout);
	reset_clocks(rollout);
	result = turn_move(turn, ROLLOUT_ROLLED_BACK, rollout->step, cause);
	push_weight(turn, 0, 0)->reset = turn->event->reset;
	if (was_out)
		push_hook(turn, HOOK_ROLLBACK, rollout->step);
	return result;
}

enum rollout_wait turn_obstacle(const struct turn *turn)
{
	if (turn->rollout->blocked)
		return ROLLOUT_WAIT_UNBLOCKING;
	if (freeze_holds(turn->plan->freezes, turn->plan->freeze_count, turn->event->week_minute) >= 0)
		return ROLLOUT_WAIT_FREEZE;
	return ROLLOUT_WAIT_NOTHING;
}

static int refuse_blocked(const struct turn *turn)
{
	const char *reason = turn->event->block_reason;
	bool known = reason && *reason;

	return fail(turn->error, -EBUSY, "rollouts are blocked%s%s%s: unblock first", known ? " (" : "",
		    known ? reason : "", known ? ")" : "");
}

int turn_check_way(const struct turn *turn)
{
	char text[FREEZE_TEXT_LEN];
	int window;

	if (turn->rollout->blocked)
		return refuse_blocked(turn);
	window = freeze_holds(turn->plan->freezes, turn->plan->freeze_count, turn->event->week_minute);
	if (window >= 0)
		return fail(turn->error, -EBUSY, "this is in the freeze window %s: no step forward until it is over",
			    format_freeze(&turn->plan->freezes[window], text));
	return 0;
}
