/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_rollout.h"

const struct finding findings[CASES] = {
	[TICK_PASS] = {VERDICT_PASS, REASON_NONE},
	[TICK_FAIL] = {VERDICT_FAIL, REASON_WORSE},
	[TICK_INVALID] = {VERDICT_INVALID, REASON_SAMPLE_RATIO},
	[TICK_UNDECIDED] = {VERDICT_INCONCLUSIVE, REASON_NO_TRAFFIC},
	[TICK_BAKING] = {VERDICT_INCONCLUSIVE, REASON_BAKING},
};

struct rollout_event event_of(int which, __s64 now_ms)
{
	struct rollout_event event = {.type = (enum rollout_event_type)which, .now_ms = now_ms};

	if (which >= ROLLOUT_EVENT_COUNT) {
		event.type = ROLLOUT_EVENT_TICK;
		event.judgement = (struct judgement){findings[which], -1};
	}
	return event;
}

struct rollout rollout_in(enum rollout_state state)
{
	static const int steps[ROLLOUT_STATE_COUNT] = {
		[ROLLOUT_PROGRESSING] = 1, [ROLLOUT_PAUSED] = 1,      [ROLLOUT_INCONCLUSIVE] = 1, [ROLLOUT_BAKING] = 3,
		[ROLLOUT_SUCCEEDED] = 3,   [ROLLOUT_ROLLED_BACK] = 1, [ROLLOUT_FAILED] = 1,
	};
	static const int weights[] = {0, 2500, 0, 10000};
	struct rollout rollout = {.state = state, .step = steps[state], .now_ms = 1000};

	if (state != ROLLOUT_IDLE)
		rollout.release = 1;
	if (state != ROLLOUT_ROLLED_BACK)
		rollout.weight = weights[rollout.step];
	return rollout;
}
