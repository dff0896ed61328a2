/* SPDX-License-Identifier: Apache-2.0 */
/* The names of rollouts' enums: the half of rollout_plan.h and rollout.h that is tables. */
#include <errno.h>
#include <string.h>

#include "core/rollout.h"
#include "core/rollout_plan.h"

static int find(const char *const *names, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(names[i], text))
			return (int)i;
	}
	return -EINVAL;
}

#define WORD(name, word) #word,

/* parse_WHAT() and WHAT_name() of an enum from its list. */
#define DEFINE(what, type, list)                                                                                       \
	static const char *const what##_words[] = {list(WORD)};                                                        \
	int parse_##what(const char *text, enum type *ret)                                                             \
	{                                                                                                              \
		int value = find(what##_words, sizeof(what##_words) / sizeof(what##_words[0]), text);                  \
                                                                                                                       \
		if (value < 0)                                                                                         \
			return value;                                                                                  \
		*ret = (enum type)value;                                                                               \
		return 0;                                                                                              \
	}                                                                                                              \
	const char *what##_name(enum type value)                                                                       \
	{                                                                                                              \
		return (unsigned)value < sizeof(what##_words) / sizeof(what##_words[0]) ? what##_words[value]          \
											: "unknown";                   \
	}

DEFINE(gate_type, gate_type, GATE_TYPES)
DEFINE(gate_mode, gate_mode, GATE_MODES)
DEFINE(otherwise, otherwise, OTHERWISES)
DEFINE(hook, hook, HOOKS)
DEFINE(rollout_state, rollout_state, ROLLOUT_STATES)
DEFINE(rollout_event, rollout_event_type, ROLLOUT_EVENTS)
DEFINE(rollout_wait, rollout_wait, ROLLOUT_WAITS)
DEFINE(rollout_cause, rollout_cause, ROLLOUT_CAUSES)
DEFINE(rollout_action, rollout_action_type, ROLLOUT_ACTIONS)

const char *gate_type_names(void)
{
	return "failures, handshake_time, response_time, drops, prometheus, command, webhook or feedback";
}

const char *gate_mode_names(void)
{
	return "decide or report";
}

const char *otherwise_names(void)
{
	return "hold or rollback";
}

const char *rollout_event_verb(enum rollout_event_type type)
{
	return type == ROLLOUT_EVENT_PROMOTE_FULL ? "promote --full" : rollout_event_name(type);
}
