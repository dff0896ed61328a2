/* SPDX-License-Identifier: Apache-2.0 */
/* What events do to a rollout, in its own words: for rollout.c alone. */
#ifndef CORE_ROLLOUT_TURN_H
#define CORE_ROLLOUT_TURN_H

#include "core/rollout.h"

/* One event under way. */
struct turn {
	const struct rollout_plan *plan;
	struct rollout *rollout;
	const struct rollout_event *event;
	struct rollout_transition *transition;
	struct error *error;
};

/* Time passes: for the step, and for its deadline unless it waits for somebody. */
void turn_advance(struct rollout *rollout, __s64 now_ms);

/* A step's clocks run: something is out and judged. */
bool turn_is_running(const struct rollout *rollout);
bool turn_is_weight_pending(const struct rollout *rollout);
bool turn_is_last(const struct rollout_plan *plan, int step);
enum rollout_state turn_state_of_step(const struct rollout_plan *plan, int step);

/* 0, or why a person may not send the rollout forward now: blocked, or in a freeze window. */
int turn_check_way(const struct turn *turn);
/* The same for a rollout that need not be told. */
enum rollout_wait turn_obstacle(const struct turn *turn);

/* The step's clocks begin anew; what was asked for and not yet carried out is overtaken. */
void turn_begin_clocks(struct rollout *rollout);
struct rollout_action *turn_push(struct rollout *rollout, enum rollout_action_type type);

/* These return a rollout_result. */
int turn_move(struct turn *turn, enum rollout_state to, int step, enum rollout_cause cause);
/* leaving: the step before was gone through. */
int turn_enter_step(struct turn *turn, int step, bool leaving, enum rollout_cause cause);
int turn_go_forward(struct turn *turn, enum rollout_cause cause); /* to the next step, or to the end */
int turn_roll_back(struct turn *turn, enum rollout_cause cause);

#endif
