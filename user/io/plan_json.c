/* SPDX-License-Identifier: Apache-2.0 */
#include "io/plan_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/text.h"

#define NUMBER_TEXT_LEN 64

/* All values are texts, as the configuration's are: of a number, the shortest one that gives it back. */
static void set(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void set_duration(json_t *object, const char *key, unsigned seconds)
{
	char text[DURATION_TEXT_LEN];

	set(object, key, format_duration(seconds, text));
}

static void set_hundredths(json_t *object, const char *key, int value)
{
	char text[HUNDREDTHS_TEXT_LEN];

	set(object, key, format_hundredths((unsigned)value, text));
}

static void set_number(json_t *object, const char *key, double value)
{
	char text[NUMBER_TEXT_LEN];
	int decimals = 0;

	do
		snprintf(text, sizeof(text), "%.*f", decimals, value);
	while (strtod(text, NULL) != value && ++decimals <= 17);
	set(object, key, text);
}

/* A part, given in percent: rounded where the division by 100 was. */
static void set_percent(json_t *object, const char *key, double part)
{
	set_number(object, key, round(part * 1e9) / 1e7);
}

static json_t *view_step(const struct rollout_plan *plan, size_t at)
{
	const struct rollout_step *step = &plan->steps[at];
	json_t *view = json_object();

	set_hundredths(view, "weight", step->weight);
	if (at + 1 < plan->step_count)
		set_duration(view, "bake", step->bake);
	set_duration(view, "warmup", step->warmup);
	json_object_set_new(view, "min_flows", json_sprintf("%llu", (unsigned long long)step->min_flows));
	set(view, "approval", step->approval ? "required" : "none");
	return view;
}

static json_t *view_gate(const struct rollout_gate *gate)
{
	json_t *view = json_object();

	set(view, "name", gate->name);
	set(view, "type", gate_type_name(gate->type));
	set(view, "mode", gate_mode_name(gate->mode));
	if (gate->compare) {
		set(view, "compare", "stable");
		set_number(view, "tolerance", gate->tolerance);
	}
	if (gate->min > -INFINITY)
		set_number(view, "min", gate->min);
	if (gate->max < INFINITY)
		set_number(view, "max", gate->max);
	if (gate->target[0])
		set(view, gate->type == GATE_TYPE_COMMAND ? "command" : "url", gate->target);
	if (gate->query[0])
		set(view, "query", gate->query);
	return view;
}

static json_t *view_hooks(const struct rollout_plan *plan)
{
	json_t *view = json_object();

	for (int i = 0; i < HOOK_COUNT; i++) {
		if (plan->hooks[i][0])
			set(view, hook_name((enum hook)i), plan->hooks[i]);
	}
	return view;
}

static bool is_given(const struct guard_settings *guards, enum guard_setting which)
{
	return guards->given & 1U << which;
}

static json_t *view_breaker(const struct guard_settings *guards)
{
	json_t *view = json_object();

	if (is_given(guards, GUARD_SETTING_breaker))
		set(view, "enabled", guards->breaker ? "true" : "false");
	if (is_given(guards, GUARD_SETTING_breaker_ratio))
		set_hundredths(view, "ratio", (int)guards->breaker_ratio);
	if (is_given(guards, GUARD_SETTING_breaker_arl))
		json_object_set_new(view, "arl", json_sprintf("%u", guards->breaker_arl));
	return view;
}

static json_t *view_lease(const struct guard_settings *guards)
{
	json_t *view = json_object();

	if (is_given(guards, GUARD_SETTING_lease_default))
		set_duration(view, "duration", guards->lease_default);
	if (is_given(guards, GUARD_SETTING_on_expiry))
		set(view, "on_expiry", on_expiry_name(guards->on_expiry));
	return view;
}

json_t *plan_json(const struct rollout_plan *plan)
{
	json_t *view = json_object(), *steps = json_array(), *gates = json_array(), *freezes = json_array();
	char text[FREEZE_TEXT_LEN];

	for (size_t i = 0; i < plan->step_count; i++)
		json_array_append_new(steps, view_step(plan, i));
	for (size_t i = 0; i < plan->gate_count; i++)
		json_array_append_new(gates, view_gate(&plan->gates[i]));
	for (size_t i = 0; i < plan->freeze_count; i++)
		json_array_append_new(freezes, json_string(format_freeze(&plan->freezes[i], text)));
	json_object_set_new(view, "steps", steps);
	set_duration(view, "final_bake", plan->final_bake);
	set_hundredths(view, "holdback", plan->holdback);
	set_number(view, "alpha", plan->alpha);
	json_object_set_new(view, "gates", gates);
	set_duration(view, "progress_deadline", plan->progress_deadline);
	set(view, "on_inconclusive", otherwise_name(plan->on_inconclusive));
	set(view, "on_deadline", otherwise_name(plan->on_deadline));
	set_percent(view, "max_harm", plan->max_harm);
	set_percent(view, "confidence", plan->confidence);
	json_object_set_new(view, "freeze", freezes);
	json_object_set_new(view, "hooks", view_hooks(plan));
	json_object_set_new(view, "breaker", view_breaker(&plan->guards));
	json_object_set_new(view, "lease", view_lease(&plan->guards));
	return view;
}
