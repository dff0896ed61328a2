/* SPDX-License-Identifier: Apache-2.0 */
/* Rollouts in each state, and what can happen to them. */
#ifndef LIB_ROLLOUT_H
#define LIB_ROLLOUT_H

#include "core/rollout.h"

/* A tick is an event for each judgement that it can bring. */
enum { TICK_PASS = ROLLOUT_EVENT_COUNT, TICK_FAIL, TICK_INVALID, TICK_UNDECIDED, TICK_BAKING, CASES };
extern const struct finding findings[CASES]; /* of those ticks */

struct rollout_event event_of(int which, __s64 now_ms);

/* By the default plan. */
struct rollout rollout_in(enum rollout_state state);

#endif
