/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout's state machine: (plan, state, event, now) -> state, transition, actions. No clock, no I/O.
 *
 * How a daemon uses it, so that it can be killed at any moment:
 *
 *   1. rollout_apply() changes a copy of the state; the actions it asks for are in that copy, under `pending`.
 *   2. Save the copy and the transition, durably, in one. From here on it has happened.
 *   3. Carry out pending[0], call rollout_done(), save; and so on until none is left.
 *
 * After a start, go on with 3: an action may be carried out twice (the one that was under way), never left out: setting a
 * weight again changes nothing, and a hook must bear it. Then ROLLOUT_EVENT_TICK: the time that has passed counts.
 *
 * A release keeps the plan that it was started with: save that too, whatever the configuration says later.
 *
 * struct rollout is plain data without pointers. All zero is a rollout that never was: idle.
 */
#ifndef CORE_ROLLOUT_H
#define CORE_ROLLOUT_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/analysis.h"
#include "core/error.h"
#include "core/rollout_plan.h"

#define ROLLOUT_STATES(X)                                                                                              \
	X(IDLE, idle) /* none under way: nothing new is out */                                                         \
	X(PROGRESSING, progressing)                                                                                    \
	X(PAUSED, paused) /* the weight and the clocks stay; only a failure is acted on */                             \
	X(INCONCLUSIVE, inconclusive) /* the bake is over and the step has not passed */                               \
	X(BAKING, baking) /* the last step */                                                                          \
	X(SUCCEEDED, succeeded) /* at 100 %, until `finish` or `rollback` */                                           \
	X(ROLLED_BACK, rolled_back) /* at 0 */                                                                         \
	X(FAILED, failed) /* an action could not be carried out; the weight is as it was */

#define ROLLOUT_EVENTS(X)                                                                                              \
	X(START, start)                                                                                                \
	X(TICK, tick) /* with the judgement on the step */                                                             \
	X(PAUSE, pause)                                                                                                \
	X(RESUME, resume)                                                                                              \
	X(PROMOTE, promote) /* to the next step */                                                                     \
	X(PROMOTE_FULL, promote_full) /* to the last one */                                                            \
	X(ROLLBACK, rollback)                                                                                          \
	X(FINISH, finish) /* the canary's backends become stable */                                                    \
	X(UNDO, undo) /* takes the last `finish` back */                                                               \
	X(RETRY, retry) /* the step that is inconclusive or failed, or all of what was rolled back */                  \
	X(BLOCK, block) /* no start and no step forward until UNBLOCK */                                               \
	X(UNBLOCK, unblock)                                                                                            \
	X(TRIP, trip) /* the breaker in the kernel took the canary out */                                              \
	X(MANUAL_WEIGHT, manual_weight) /* somebody set another weight by force */                                     \
	X(HOOK_FAILED, hook_failed) /* pending[0] was a hook, and did not succeed */                                   \
	X(ERROR, error) /* pending[0] cannot be carried out; of a rollback it stays, to be tried again */

#define ROLLOUT_WAITS(X)                                                                                               \
	X(NOTHING, nothing)                                                                                            \
	X(APPROVAL, approval)                                                                                          \
	X(FREEZE, freeze)                                                                                              \
	X(UNBLOCKING, unblock)

#define ROLLOUT_CAUSES(X)                                                                                              \
	X(REQUEST, request) /* a person's */                                                                           \
	X(PASSED, passed)                                                                                              \
	X(GATE, gate) /* judgement and gate say which */                                                               \
	X(UNDECIDED, undecided) /* the bake is over; the reason says what is missing */                                \
	X(DEADLINE, deadline)                                                                                          \
	X(BREAKER, breaker)                                                                                            \
	X(OVERRIDE, override) /* a weight set by force */                                                              \
	X(HOOK, hook)                                                                                                  \
	X(BROKEN, broken)

#define ROLLOUT_ACTIONS(X)                                                                                             \
	X(SET_WEIGHT, set_weight) /* `weight`, less `holdback`; with `new_salt`, `reset` */                            \
	X(RUN_HOOK, run_hook)                                                                                          \
	X(MAKE_STABLE, make_stable) /* the canary's backends become stable's, weight 0, no flow moves */               \
	X(TAKE_BACK, take_back) /* the opposite, with weight 0: what was stable before is so again */

#define X(name, word) ROLLOUT_##name,
enum rollout_state { ROLLOUT_STATES(X) ROLLOUT_STATE_COUNT };
#undef X
#define X(name, word) ROLLOUT_EVENT_##name,
enum rollout_event_type { ROLLOUT_EVENTS(X) ROLLOUT_EVENT_COUNT };
#undef X
#define X(name, word) ROLLOUT_WAIT_##name,
enum rollout_wait { ROLLOUT_WAITS(X) ROLLOUT_WAIT_COUNT };
#undef X
#define X(name, word) ROLLOUT_CAUSE_##name,
enum rollout_cause { ROLLOUT_CAUSES(X) ROLLOUT_CAUSE_COUNT };
#undef X
#define X(name, word) ROLLOUT_ACTION_##name,
enum rollout_action_type { ROLLOUT_ACTIONS(X) ROLLOUT_ACTION_COUNT };
#undef X

int parse_rollout_state(const char *text, enum rollout_state *ret); /* 0, or -EINVAL with *ret untouched; so all */
int parse_rollout_event(const char *text, enum rollout_event_type *ret);
int parse_rollout_wait(const char *text, enum rollout_wait *ret);
int parse_rollout_cause(const char *text, enum rollout_cause *ret);
int parse_rollout_action(const char *text, enum rollout_action_type *ret);
const char *rollout_state_name(enum rollout_state state); /* never NULL; so all */
const char *rollout_event_name(enum rollout_event_type type);
const char *
rollout_event_verb(enum rollout_event_type type); /* as it is asked for on the command line: "promote --full" */
const char *rollout_wait_name(enum rollout_wait wait);
const char *rollout_cause_name(enum rollout_cause cause);
const char *rollout_action_name(enum rollout_action_type type);

struct rollout_action {
	enum rollout_action_type type;
	int weight; /* SET_WEIGHT: as asked for, 1/100 percent */
	int holdback; /* SET_WEIGHT: 1/100 percent that stay on stable; see rollout_effective_weight() */
	bool new_salt; /* SET_WEIGHT: the release's first: draw a salt, so that not always the same clients come first */
	bool reset; /* SET_WEIGHT: reset the connections that the canary has */
	enum hook hook; /* RUN_HOOK: and the step it is about */
	int step;
};

#define ROLLOUT_MAX_PENDING 4

struct rollout {
	enum rollout_state state;
	int step; /* index into the plan's steps; the last one there was, if none is under way */
	int weight; /* that the last SET_WEIGHT carried out asked for, 1/100 percent */
	__u64 release; /* rises with every start */
	__u64 transitions; /* so many; the last one's number */
	__s64 now_ms; /* of the last event */
	__s64 step_ms; /* how long the step's weight has been in force, without pauses: the bake */
	__s64 deadline_ms; /* how long the step has taken, without pauses and waits: against progress_deadline */
	enum rollout_wait wait; /* passed: what keeps it from the next step */
	bool late; /* the deadline is over and the plan says `hold` */
	bool blocked;
	bool finished; /* the last release was finished: `undo` is possible */
	bool salted; /* the release has its salt */
	bool weight_due; /* paused, and the step's weight is not in force: `resume` sets it */
	struct rollout_action pending[ROLLOUT_MAX_PENDING];
	size_t pending_count;
};
_Static_assert(ROLLOUT_IDLE == 0, "all zero is idle");

struct rollout_event {
	enum rollout_event_type type;
	__s64 now_ms; /* any clock that goes on over restarts; one that is set back stands still */
	unsigned week_minute; /* of local time, see week_minute(): for freeze windows */
	struct judgement judgement; /* TICK */
	bool reset; /* ROLLBACK */
	const char *block_reason; /* why rollouts are blocked, where they are and it is known; or NULL or "" */
};

/* For the history. `number` is unique in a service and has no gaps. */
struct rollout_transition {
	__u64 number;
	__u64 release;
	enum rollout_state from, to;
	int from_step, to_step;
	enum rollout_cause cause;
	struct judgement judgement; /* of a TICK */
};

enum rollout_result {
	ROLLOUT_UNCHANGED = 0, /* nothing that must be saved at once */
	ROLLOUT_CHANGED = 1, /* save; there is no transition */
	ROLLOUT_TRANSITION = 2, /* save, with *ret_transition */
};

/*
 * A rollout_result; or -EBUSY (not in this state, blocked, in a freeze window), with a sentence in *error, and nothing is
 * changed. A tick while actions are pending does nothing: what it judges is not in force yet.
 */
int rollout_apply(const struct rollout_plan *plan, struct rollout *rollout, const struct rollout_event *event,
		  struct rollout_transition *ret_transition, struct error *error);

/* pending[0], of which there must be one, is carried out. The step's time begins when its weight is set. */
void rollout_done(struct rollout *rollout, __s64 now_ms);

/*
 * The step's weight was not in force for a time (a lease was over, the host began anew), and is set again: the bake begins
 * anew, as nobody knows how much of it was spent without the canary. The deadline goes on: the step does take that long.
 */
void rollout_weight_is_back(struct rollout *rollout, __s64 now_ms);

/* Is there a release whose weight belongs to the rollout? Then commands and files leave the weight alone. */
bool rollout_owns_weight(const struct rollout *rollout);

/* For step_facts: how long the step has lasted and is to last, in seconds; and whether its warm-up is over. */
unsigned rollout_elapsed(const struct rollout *rollout);
unsigned rollout_bake(const struct rollout_plan *plan, const struct rollout *rollout);
bool rollout_is_warm(const struct rollout_plan *plan, const struct rollout *rollout);

#endif
