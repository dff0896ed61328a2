/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/rollout_turn.h"

/* A tick. */

static int on_pass(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	enum rollout_wait wait = turn_obstacle(turn);
	int result;

	if (wait == ROLLOUT_WAIT_NOTHING && turn->plan->steps[rollout->step].approval)
		wait = ROLLOUT_WAIT_APPROVAL;
	if (wait == ROLLOUT_WAIT_NOTHING)
		return turn_go_forward(turn, ROLLOUT_CAUSE_PASSED);
	result = rollout->wait == wait ? ROLLOUT_UNCHANGED : ROLLOUT_CHANGED;
	rollout->wait = wait;
	if (rollout->state == ROLLOUT_INCONCLUSIVE)
		result = turn_move(turn, turn_state_of_step(turn->plan, rollout->step), rollout->step,
				   ROLLOUT_CAUSE_PASSED);
	return result;
}

static int on_undecided(struct turn *turn)
{
	const struct rollout_plan *plan = turn->plan;
	struct rollout *rollout = turn->rollout;
	bool over = plan->progress_deadline && rollout->deadline_ms >= plan->progress_deadline * 1000LL;
	bool noticed = over && !rollout->late;

	rollout->wait = ROLLOUT_WAIT_NOTHING;
	if (turn->event->judgement.finding.verdict == VERDICT_INCONCLUSIVE &&
	    plan->on_inconclusive == OTHERWISE_ROLLBACK)
		return turn_roll_back(turn, ROLLOUT_CAUSE_UNDECIDED);
	if (over && plan->on_deadline == OTHERWISE_ROLLBACK)
		return turn_roll_back(turn, ROLLOUT_CAUSE_DEADLINE);
	rollout->late = over;
	if (rollout->state != ROLLOUT_INCONCLUSIVE)
		return turn_move(turn, ROLLOUT_INCONCLUSIVE, rollout->step,
				 over ? ROLLOUT_CAUSE_DEADLINE : ROLLOUT_CAUSE_UNDECIDED);
	return noticed ? ROLLOUT_CHANGED : ROLLOUT_UNCHANGED;
}

static int on_fail(struct turn *turn)
{
	bool tripped = turn->event->judgement.finding.reason == REASON_BREAKER;

	return turn_roll_back(turn, tripped ? ROLLOUT_CAUSE_BREAKER : ROLLOUT_CAUSE_GATE);
}

static int tick(struct turn *turn)
{
	const struct finding *finding = &turn->event->judgement.finding;

	/* What is judged is not in force yet. */
	if (turn->rollout->pending_count)
		return ROLLOUT_UNCHANGED;
	if (finding->verdict == VERDICT_FAIL)
		return on_fail(turn);
	if (finding->verdict == VERDICT_PASS)
		return on_pass(turn);
	/* Too early to say anything: a step that has passed, before a restart, stays so. */
	if (finding->verdict == VERDICT_INCONCLUSIVE &&
	    (finding->reason == REASON_BAKING || finding->reason == REASON_UNASKED))
		return ROLLOUT_UNCHANGED;
	return on_undecided(turn);
}

/* Paused to have a look is no reason to let users suffer. Under another weight nothing is known of the step's. */
static int tick_paused(struct turn *turn)
{
	bool failed = turn->event->judgement.finding.verdict == VERDICT_FAIL;

	return failed && !turn->rollout->weight_due ? on_fail(turn) : ROLLOUT_UNCHANGED;
}

/* Requests. */

static int ignore(struct turn *turn)
{
	(void)turn;
	return ROLLOUT_UNCHANGED;
}

static int start(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	int err = turn_check_way(turn);

	if (err < 0)
		return err;
	if (rollout->pending_count)
		return fail(turn->error, -EBUSY, "the last change is still being carried out: try again in a moment");
	rollout->release++;
	rollout->salted = false;
	rollout->finished = false;
	return turn_enter_step(turn, 0, false, ROLLOUT_CAUSE_REQUEST);
}

static int pause(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;

	rollout->weight_due = turn_is_weight_pending(rollout);
	rollout->pending_count = 0;
	rollout->wait = ROLLOUT_WAIT_NOTHING;
	return turn_move(turn, ROLLOUT_PAUSED, rollout->step, ROLLOUT_CAUSE_REQUEST);
}

static int resume(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	int err;

	if (!rollout->weight_due)
		return turn_move(turn, turn_state_of_step(turn->plan, rollout->step), rollout->step,
				 ROLLOUT_CAUSE_REQUEST);
	err = turn_check_way(turn);
	return err < 0 ? err : turn_enter_step(turn, rollout->step, false, ROLLOUT_CAUSE_REQUEST);
}

/* A step that was never in force must not be skipped. */
static int check_step_in_force(const struct turn *turn)
{
	if (turn_is_weight_pending(turn->rollout))
		return fail(turn->error, -EBUSY, "the step's weight is just being set: try again in a moment");
	if (turn->rollout->weight_due)
		return fail(turn->error, -EBUSY, "the step's weight is not in force: resume first");
	return 0;
}

static int promote(struct turn *turn)
{
	int err = turn_check_way(turn);

	if (!err)
		err = check_step_in_force(turn);
	return err < 0 ? err : turn_go_forward(turn, ROLLOUT_CAUSE_REQUEST);
}

static int promote_full(struct turn *turn)
{
	int err;

	if (turn_is_last(turn->plan, turn->rollout->step))
		return promote(turn);
	err = turn_check_way(turn);
	return err < 0 ? err
		       : turn_enter_step(turn, (int)turn->plan->step_count - 1, !turn->rollout->weight_due,
					 ROLLOUT_CAUSE_REQUEST);
}

static int rollback(struct turn *turn)
{
	return turn_roll_back(turn, ROLLOUT_CAUSE_REQUEST);
}

static int finish(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	int result;

	turn_begin_clocks(rollout);
	rollout->finished = true;
	result = turn_move(turn, ROLLOUT_IDLE, rollout->step, ROLLOUT_CAUSE_REQUEST);
	turn_push(rollout, ROLLOUT_ACTION_MAKE_STABLE);
	return result;
}

static int undo(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	int result;

	if (!rollout->finished)
		return fail(turn->error, -EBUSY, "there is no finished release to take back");
	if (rollout->pending_count)
		return fail(turn->error, -EBUSY, "the last change is still being carried out: try again in a moment");
	rollout->finished = false;
	turn_begin_clocks(rollout);
	result = turn_move(turn, ROLLOUT_ROLLED_BACK, rollout->step, ROLLOUT_CAUSE_REQUEST);
	turn_push(rollout, ROLLOUT_ACTION_TAKE_BACK);
	return result;
}

/* The same release once more from its first step, with the salt it had. */
static int retry_release(struct turn *turn)
{
	int err = turn_check_way(turn);

	if (err < 0)
		return err;
	if (!turn->rollout->release || turn->rollout->finished)
		return fail(turn->error, -EBUSY, "there is no release to try again: start one");
	if (turn->rollout->pending_count)
		return fail(turn->error, -EBUSY, "the last change is still being carried out: try again in a moment");
	return turn_enter_step(turn, 0, false, ROLLOUT_CAUSE_REQUEST);
}

static int retry_step(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;

	turn_begin_clocks(rollout);
	return turn_move(turn, turn_state_of_step(turn->plan, rollout->step), rollout->step, ROLLOUT_CAUSE_REQUEST);
}

/* The step whose weight could not be set. */
static int retry_action(struct turn *turn)
{
	int err = turn_check_way(turn);

	return err < 0 ? err : turn_enter_step(turn, turn->rollout->step, false, ROLLOUT_CAUSE_REQUEST);
}

static int set_blocked(struct turn *turn)
{
	bool blocked = turn->event->type == ROLLOUT_EVENT_BLOCK;
	bool changed = turn->rollout->blocked != blocked;

	turn->rollout->blocked = blocked;
	return changed ? ROLLOUT_CHANGED : ROLLOUT_UNCHANGED;
}

/* What happened elsewhere. */

static int trip(struct turn *turn)
{
	return turn_roll_back(turn, ROLLOUT_CAUSE_BREAKER);
}

static int overridden(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;

	turn_begin_clocks(rollout);
	rollout->weight_due = true;
	if (rollout->state == ROLLOUT_PAUSED)
		return ROLLOUT_CHANGED;
	return turn_move(turn, ROLLOUT_PAUSED, rollout->step, ROLLOUT_CAUSE_OVERRIDE);
}

static int check_pending(const struct turn *turn, bool hook)
{
	const struct rollout *rollout = turn->rollout;

	if (!rollout->pending_count || (hook && rollout->pending[0].type != ROLLOUT_ACTION_RUN_HOOK))
		return fail(turn->error, -EBUSY, "no %s is being carried out", hook ? "hook" : "action");
	return 0;
}

/* Only what should come before a step can keep it from coming; of the others it is known and that is all. */
static int hook_failed(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	int err = check_pending(turn, true);

	if (err < 0)
		return err;
	if (rollout->pending[0].hook != HOOK_BEFORE_STEP) {
		rollout_done(rollout, turn->event->now_ms);
		return ROLLOUT_CHANGED;
	}
	rollout->pending_count = 0;
	rollout->weight_due = true;
	return turn_move(turn, ROLLOUT_PAUSED, rollout->step, ROLLOUT_CAUSE_HOOK);
}

static int broken(struct turn *turn)
{
	struct rollout *rollout = turn->rollout;
	enum rollout_state to = ROLLOUT_FAILED;
	int err = check_pending(turn, false);

	if (err < 0)
		return err;
	if (rollout->pending[0].type == ROLLOUT_ACTION_RUN_HOOK)
		return hook_failed(turn);
	/* A rollback is tried until it works: there is nothing better to do. */
	if (rollout->state == ROLLOUT_ROLLED_BACK && rollout->pending[0].type == ROLLOUT_ACTION_SET_WEIGHT)
		return ROLLOUT_UNCHANGED;
	if (rollout->pending[0].type == ROLLOUT_ACTION_MAKE_STABLE) {
		rollout->finished = false;
		to = ROLLOUT_SUCCEEDED;
	} else if (rollout->pending[0].type == ROLLOUT_ACTION_TAKE_BACK) {
		rollout->finished = true;
		to = ROLLOUT_IDLE;
	}
	rollout->pending_count = 0;
	return turn_move(turn, to, rollout->step, ROLLOUT_CAUSE_BROKEN);
}

typedef int (*handler)(struct turn *turn);

/* What is not here is refused. */
#define ALWAYS                                                                                                         \
	[ROLLOUT_EVENT_ROLLBACK] = rollback, [ROLLOUT_EVENT_BLOCK] = set_blocked,                                      \
	[ROLLOUT_EVENT_UNBLOCK] = set_blocked, [ROLLOUT_EVENT_HOOK_FAILED] = hook_failed,                              \
	[ROLLOUT_EVENT_ERROR] = broken
#define NOT_OWNED [ROLLOUT_EVENT_TICK] = ignore, [ROLLOUT_EVENT_TRIP] = ignore, [ROLLOUT_EVENT_MANUAL_WEIGHT] = ignore
#define OWNED [ROLLOUT_EVENT_TRIP] = trip, [ROLLOUT_EVENT_MANUAL_WEIGHT] = overridden
#define UNDER_WAY OWNED, [ROLLOUT_EVENT_PROMOTE] = promote, [ROLLOUT_EVENT_PROMOTE_FULL] = promote_full

static const handler handlers[ROLLOUT_STATE_COUNT][ROLLOUT_EVENT_COUNT] = {
	[ROLLOUT_IDLE] = {ALWAYS, NOT_OWNED, [ROLLOUT_EVENT_START] = start, [ROLLOUT_EVENT_UNDO] = undo},
	[ROLLOUT_PROGRESSING] = {ALWAYS, UNDER_WAY, [ROLLOUT_EVENT_TICK] = tick, [ROLLOUT_EVENT_PAUSE] = pause},
	[ROLLOUT_PAUSED] = {ALWAYS, UNDER_WAY, [ROLLOUT_EVENT_TICK] = tick_paused, [ROLLOUT_EVENT_RESUME] = resume},
	[ROLLOUT_INCONCLUSIVE] = {ALWAYS, UNDER_WAY, [ROLLOUT_EVENT_TICK] = tick, [ROLLOUT_EVENT_PAUSE] = pause,
				  [ROLLOUT_EVENT_RETRY] = retry_step},
	[ROLLOUT_BAKING] = {ALWAYS, UNDER_WAY, [ROLLOUT_EVENT_TICK] = tick, [ROLLOUT_EVENT_PAUSE] = pause},
	[ROLLOUT_SUCCEEDED] = {ALWAYS, OWNED, [ROLLOUT_EVENT_TICK] = ignore, [ROLLOUT_EVENT_FINISH] = finish},
	[ROLLOUT_ROLLED_BACK] = {ALWAYS, NOT_OWNED, [ROLLOUT_EVENT_START] = start, [ROLLOUT_EVENT_UNDO] = undo,
				 [ROLLOUT_EVENT_RETRY] = retry_release},
	[ROLLOUT_FAILED] = {ALWAYS, [ROLLOUT_EVENT_TICK] = ignore, [ROLLOUT_EVENT_TRIP] = trip,
			    [ROLLOUT_EVENT_MANUAL_WEIGHT] = ignore, [ROLLOUT_EVENT_RETRY] = retry_action},
};

static const char *what_to_do(enum rollout_state state)
{
	switch (state) {
	case ROLLOUT_IDLE:
		return "start one";
	case ROLLOUT_PAUSED:
		return "resume, promote or roll back";
	case ROLLOUT_SUCCEEDED:
		return "finish or roll back";
	case ROLLOUT_ROLLED_BACK:
		return "retry, or start another";
	case ROLLOUT_FAILED:
		return "retry or roll back";
	default:
		return "pause, promote or roll back";
	}
}

int rollout_apply(const struct rollout_plan *plan, struct rollout *rollout, const struct rollout_event *event,
		  struct rollout_transition *ret_transition, struct error *error)
{
	struct rollout next = *rollout;
	struct rollout_transition transition;
	struct turn turn = {plan, &next, event, &transition, error};
	handler handle = handlers[rollout->state][event->type];
	int result;

	if (!handle)
		return fail(error, -EBUSY, "the rollout is %s, so '%s' means nothing: %s",
			    rollout_state_name(rollout->state), rollout_event_verb(event->type),
			    what_to_do(rollout->state));
	turn_advance(&next, event->now_ms);
	result = handle(&turn);
	if (result < 0)
		return result;
	*rollout = next;
	if (result == ROLLOUT_TRANSITION)
		*ret_transition = transition;
	return result;
}

void rollout_done(struct rollout *rollout, __s64 now_ms)
{
	const struct rollout_action action = rollout->pending[0];

	turn_advance(rollout, now_ms);
	rollout->pending_count--;
	memmove(rollout->pending, rollout->pending + 1, rollout->pending_count * sizeof(rollout->pending[0]));
	if (action.type == ROLLOUT_ACTION_RUN_HOOK)
		return;
	rollout->weight = action.weight;
	rollout->salted |= action.new_salt;
	rollout->step_ms = 0;
	rollout->deadline_ms = 0;
}

void rollout_weight_is_back(struct rollout *rollout, __s64 now_ms)
{
	turn_advance(rollout, now_ms);
	rollout->step_ms = 0;
	rollout->wait = ROLLOUT_WAIT_NOTHING;
}

bool rollout_owns_weight(const struct rollout *rollout)
{
	return turn_is_running(rollout) || rollout->state == ROLLOUT_PAUSED || rollout->state == ROLLOUT_SUCCEEDED;
}

unsigned rollout_elapsed(const struct rollout *rollout)
{
	return (unsigned)(rollout->step_ms / 1000);
}

unsigned rollout_bake(const struct rollout_plan *plan, const struct rollout *rollout)
{
	return rollout_step_bake(plan, (size_t)rollout->step);
}

bool rollout_is_warm(const struct rollout_plan *plan, const struct rollout *rollout)
{
	return !turn_is_weight_pending(rollout) && rollout->step_ms >= plan->steps[rollout->step].warmup * 1000LL;
}
