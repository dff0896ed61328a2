/* SPDX-License-Identifier: Apache-2.0 */
/* The mapping `rollout` of a service, and a plan's own file, which holds the same keys. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rollout_plan.h"
#include "core/text.h"
#include "io/config_schema.h"

#define WARMUP_PART 4 /* of a short bake; of a long one it is the default */
#define MIN_FLOWS_MAX 1000000000

#define TEXT_OF step_text
static const cyaml_schema_field_t step_fields[] = {STEP_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF
static const cyaml_schema_value_t step_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct step_text, step_fields),
};

#define TEXT_OF gate_text
static const cyaml_schema_field_t gate_fields[] = {GATE_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF
static const cyaml_schema_value_t gate_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gate_text, gate_fields),
};

#define TEXT_OF hooks_text
static const cyaml_schema_field_t hooks_fields[] = {HOOK_KEYS(TEXT) CYAML_FIELD_END};
#undef TEXT_OF

static const cyaml_schema_value_t window_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

#define TEXT_OF rollout_text
const cyaml_schema_field_t rollout_fields[] = {
	ROLLOUT_KEYS(TEXT) LIST(steps, OPTIONAL, step_schema),
	LIST(gates, OPTIONAL, gate_schema),
	LIST(freeze, OPTIONAL, window_schema),
	PART(hooks),
	PART(breaker),
	PART(lease),
	CYAML_FIELD_END,
};
#undef TEXT_OF
const cyaml_schema_value_t rollout_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct rollout_text, rollout_fields),
};

#define TEXT_OF plan_file_text
static const cyaml_schema_field_t plan_file_fields[] = {PART(rollout), CYAML_FIELD_END};
#undef TEXT_OF
const cyaml_schema_value_t plan_file_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct plan_file_text, plan_file_fields),
};

/* Digits with at most one sign and point: what strtod() takes beyond that nobody means. */
static int parse_number(const char *text, double *ret)
{
	char *end;
	double value = strtod(text, &end);

	if (!*text || strspn(text, "-.0123456789") != strlen(text) || *end || !isfinite(value))
		return -EINVAL;
	*ret = value;
	return 0;
}

static int read_number(const char *text, double *ret, struct problem *problem)
{
	return parse_number(text, ret) < 0
		       ? refuse_text(problem, "'%s' is not a number: give it like 2, 0.01 or -1.5", text)
		       : 0;
}

static int read_percent(const char *text, double *ret, struct problem *problem)
{
	double percent;

	if (parse_number(text, &percent) < 0)
		return refuse_text(problem, "'%s' is not a number of percent: give it like 1, 0.5 or 95", text);
	*ret = percent / 100;
	return 0;
}

static int read_duration(const char *text, unsigned *ret, struct problem *problem)
{
	if (parse_duration(text, 0, ROLLOUT_MAX_SECONDS, ret) < 0)
		return refuse_text(problem, "'%s' is not a time from 0 to 30d: give it like 30s, 10m or 1h30m", text);
	return 0;
}

static int read_line(const char *text, char ret[ROLLOUT_TEXT_LEN], struct problem *problem)
{
	if (strlen(text) >= ROLLOUT_TEXT_LEN)
		return refuse_text(problem, "it is longer than %d characters", ROLLOUT_TEXT_LEN - 1);
	strcpy(ret, text);
	return 0;
}

static int read_rollout_final_bake(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_duration(text, &plan->final_bake, problem);
}

static int read_weight(const char *text, int *ret, struct problem *problem)
{
	if (parse_weight(text, ret) < 0)
		return refuse_text(problem,
				   "'%s' is not a share: give percent from 0 to 100, with at most two decimals", text);
	return 0;
}

static int read_rollout_holdback(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_weight(text, &plan->holdback, problem);
}

static int read_rollout_alpha(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_number(text, &plan->alpha, problem);
}

static int read_rollout_max_harm(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_percent(text, &plan->max_harm, problem);
}

static int read_rollout_confidence(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_percent(text, &plan->confidence, problem);
}

static int read_rollout_progress_deadline(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_duration(text, &plan->progress_deadline, problem);
}

static int read_otherwise(const char *text, enum otherwise *ret, struct problem *problem)
{
	return parse_otherwise(text, ret) < 0 ? refuse_word(problem, text, "what to do", otherwise_names()) : 0;
}

static int read_rollout_on_inconclusive(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_otherwise(text, &plan->on_inconclusive, problem);
}

static int read_rollout_on_deadline(const char *text, struct rollout_plan *plan, struct problem *problem)
{
	return read_otherwise(text, &plan->on_deadline, problem);
}

static int read_step_weight(const char *text, struct rollout_step *step, struct problem *problem)
{
	return read_weight(text, &step->weight, problem);
}

static int read_step_bake(const char *text, struct rollout_step *step, struct problem *problem)
{
	return read_duration(text, &step->bake, problem);
}

static int read_step_warmup(const char *text, struct rollout_step *step, struct problem *problem)
{
	return read_duration(text, &step->warmup, problem);
}

static int read_step_min_flows(const char *text, struct rollout_step *step, struct problem *problem)
{
	unsigned flows;

	if (parse_unsigned(text, 0, MIN_FLOWS_MAX, &flows) < 0)
		return refuse_text(problem, "'%s' is not a number of flows: give a whole number from 0 to %d", text,
				   MIN_FLOWS_MAX);
	step->min_flows = flows;
	return 0;
}

static int read_step_approval(const char *text, struct rollout_step *step, struct problem *problem)
{
	if (strcmp(text, "required") && strcmp(text, "none"))
		return refuse_word(problem, text, "an approval", "required or none");
	step->approval = !strcmp(text, "required");
	return 0;
}

static int read_gate_type(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	enum gate_type type;

	if (parse_gate_type(text, &type) < 0)
		return refuse_word(problem, text, "a kind of gate", gate_type_names());
	*gate = rollout_gate_default(type);
	return 0;
}

static int read_gate_name(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	if (strlen(text) >= sizeof(gate->name))
		return refuse_text(problem, "a name has at most %zu characters, and this one %zu",
				   sizeof(gate->name) - 1, strlen(text));
	strcpy(gate->name, text);
	return 0;
}

static int read_gate_mode(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	return parse_gate_mode(text, &gate->mode) < 0 ? refuse_word(problem, text, "a mode", gate_mode_names()) : 0;
}

static int read_gate_compare(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	if (strcmp(text, "stable"))
		return refuse_text(problem, "'%s' cannot be compared with: give stable, or leave it out", text);
	gate->compare = true;
	return 0;
}

static int read_gate_tolerance(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	return read_number(text, &gate->tolerance, problem);
}

static int read_gate_min(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	return read_number(text, &gate->min, problem);
}

static int read_gate_max(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	return read_number(text, &gate->max, problem);
}

static int read_gate_url(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	if (gate->type != GATE_TYPE_PROMETHEUS && gate->type != GATE_TYPE_WEBHOOK)
		return refuse_text(problem, "a %s gate asks nobody: leave it out", gate_type_name(gate->type));
	return read_line(text, gate->target, problem);
}

static int read_gate_query(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	if (gate->type != GATE_TYPE_PROMETHEUS)
		return refuse_text(problem, "only a prometheus gate has a query: leave it out");
	return read_line(text, gate->query, problem);
}

static int read_gate_command(const char *text, struct rollout_gate *gate, struct problem *problem)
{
	if (gate->type != GATE_TYPE_COMMAND)
		return refuse_text(problem, "only a command gate runs a command: leave it out");
	return read_line(text, gate->target, problem);
}

#define READER(key) read_rollout_##key
static int read_keys(const struct rollout_text *text, const char *path, struct rollout_plan *ret,
		     struct problem *problem)
{
	int err;

	ROLLOUT_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_step_##key
static int read_step(const struct step_text *text, const char *path, struct rollout_step *ret, struct problem *problem)
{
	int err;

	STEP_KEYS(READ)
	return 0;
}
#undef READER

#define READER(key) read_gate_##key
static int read_gate(const struct gate_text *text, const char *path, struct rollout_gate *ret, struct problem *problem)
{
	int err;

	GATE_KEYS(READ)
	/* What has a bound, and does not say that it compares, does not. */
	if ((text->min || text->max) && !text->compare)
		ret->compare = false;
	if (text->tolerance && !ret->compare) {
		snprintf(problem->path, sizeof(problem->path), "%.100stolerance", path);
		return refuse_text(problem,
				   "it says how much worse than stable is tolerated: give compare: stable, too");
	}
	return 0;
}
#undef READER

static int refuse_count(const char *path, const char *list, unsigned most, struct problem *problem)
{
	snprintf(problem->path, sizeof(problem->path), "%.90s%s", path, list);
	return refuse_text(problem, "a rollout takes at most %u of them", most);
}

/* Part of the bake is for warming up, where nothing else is said: never all of a short one. */
static void settle_warmup(struct rollout_plan *plan, size_t step)
{
	unsigned bake = rollout_step_bake(plan, step);

	if (plan->steps[step].warmup > bake / WARMUP_PART)
		plan->steps[step].warmup = bake / WARMUP_PART;
}

/* What the file says of a step's bake. NULL: nothing. */
static const char *given_bake(const struct rollout_text *text, unsigned step)
{
	return step < text->steps_count ? text->steps[step].bake : NULL;
}

/* Everybody gets the new version in the end, whether the file says so or not. */
static void settle_last_step(struct rollout_plan *plan)
{
	if (plan->steps[plan->step_count - 1].weight < CANARY_WEIGHT_ONE && plan->step_count < ROLLOUT_MAX_STEPS)
		plan->steps[plan->step_count++] = rollout_step_default(CANARY_WEIGHT_ONE);
}

/* The last step holds for its own bake, where it has one, and for the final one. */
static void settle_last_bake(const struct rollout_text *text, struct rollout_plan *plan)
{
	unsigned last = plan->step_count - 1;

	if (given_bake(text, last))
		plan->final_bake = plan->steps[last].bake + (text->final_bake ? plan->final_bake : 0);
}

/* Where nothing else is said, a step has time to pass: no bake is longer than half of the deadline. */
static void settle_deadline(const struct rollout_text *text, struct rollout_plan *plan)
{
	unsigned last = plan->step_count - 1, half = plan->progress_deadline / 2, longest = 0;

	for (unsigned i = 0; i <= last; i++) {
		bool given = given_bake(text, i) || (i == last && text->final_bake);
		unsigned *bake = i == last ? &plan->final_bake : &plan->steps[i].bake;

		if (!given && text->progress_deadline && half && *bake > half)
			*bake = half;
		if (*bake > longest)
			longest = *bake;
	}
	if (!text->progress_deadline && longest > half)
		plan->progress_deadline = 2 * longest < ROLLOUT_MAX_SECONDS ? 2 * longest : ROLLOUT_MAX_SECONDS;
}

static int read_steps(const struct rollout_text *text, const char *path, struct rollout_plan *plan,
		      struct problem *problem)
{
	char step_path[96];
	int err;

	if (text->steps_count > ROLLOUT_MAX_STEPS)
		return refuse_count(path, "steps", ROLLOUT_MAX_STEPS, problem);
	if (text->steps)
		plan->step_count = text->steps_count;
	for (size_t i = 0; i < text->steps_count; i++) {
		const struct step_text *from = &text->steps[i];

		plan->steps[i] = rollout_step_default(0);
		snprintf(step_path, sizeof(step_path), "%.64ssteps[%zu].", path, i);
		err = read_step(from, step_path, &plan->steps[i], problem);
		if (err < 0)
			return err;
	}
	if (text->steps_count)
		settle_last_step(plan);
	settle_last_bake(text, plan);
	settle_deadline(text, plan);
	for (size_t i = 0; i < plan->step_count; i++) {
		if (i >= text->steps_count || !text->steps[i].warmup)
			settle_warmup(plan, i);
	}
	return 0;
}

static int read_gates(const struct rollout_text *text, const char *path, struct rollout_plan *plan,
		      struct problem *problem)
{
	char gate_path[96];
	int err;

	if (text->gates_count > ROLLOUT_MAX_GATES)
		return refuse_count(path, "gates", ROLLOUT_MAX_GATES, problem);
	if (text->gates)
		plan->gate_count = text->gates_count;
	for (size_t i = 0; i < text->gates_count; i++) {
		snprintf(gate_path, sizeof(gate_path), "%.64sgates[%zu].", path, i);
		err = read_gate(&text->gates[i], gate_path, &plan->gates[i], problem);
		if (err < 0)
			return err;
	}
	return 0;
}

static int read_freezes(const struct rollout_text *text, const char *path, struct rollout_plan *plan,
			struct problem *problem)
{
	if (text->freeze_count > ROLLOUT_MAX_FREEZES)
		return refuse_count(path, "freeze", ROLLOUT_MAX_FREEZES, problem);
	for (size_t i = 0; i < text->freeze_count; i++) {
		snprintf(problem->path, sizeof(problem->path), "%.64sfreeze[%zu]", path, i);
		if (parse_freeze(text->freeze[i], &plan->freezes[i]) < 0)
			return refuse_text(problem,
					   "'%s' is not a window: give it like \"Fri 16:00 - Mon 08:00\", or \"22:00 - "
					   "06:00\" for every day",
					   text->freeze[i]);
	}
	plan->freeze_count = text->freeze_count;
	return 0;
}

static int read_hooks(const struct hooks_text *text, const char *path, struct rollout_plan *plan,
		      struct problem *problem)
{
	const char *const commands[HOOK_COUNT] = {text->before_step, text->after_step, text->promote, text->rollback};

	for (int i = 0; i < HOOK_COUNT; i++) {
		snprintf(problem->path, sizeof(problem->path), "%.64shooks.%s", path, hook_name((enum hook)i));
		if (commands[i] && read_line(commands[i], plan->hooks[i], problem) < 0)
			return -EINVAL;
	}
	return 0;
}

/* By the service's own readers. Which of them are given is the plan's to know: the rest stays as the service has it. */
static int read_guards(const struct rollout_text *text, const char *path, struct rollout_plan *plan,
		       struct problem *problem)
{
	struct service_model service = service_defaults();
	unsigned given = 0;
	char part_path[96];
	int err = 0;

	if (text->breaker) {
		snprintf(part_path, sizeof(part_path), "%.64sbreaker.", path);
		err = read_breaker(text->breaker, part_path, &service, problem);
	}
	if (!err && text->lease) {
		snprintf(part_path, sizeof(part_path), "%.64slease.", path);
		err = read_lease(text->lease, part_path, &service, problem);
	}
#define X(part, key, type, member) given |= text->part && text->part->key ? 1U << GUARD_SETTING_##member : 0;
	GUARD_SETTINGS(X)
#undef X
	plan->guards = guard_settings_of(&service, given);
	return err;
}

int read_rollout(const struct rollout_text *text, const char *path, struct rollout_plan *ret, struct problem *problem)
{
	struct problem found = {};
	int err;

	*ret = rollout_plan_default();
	err = read_keys(text, path, ret, problem);
	if (!err)
		err = read_steps(text, path, ret, problem);
	if (!err)
		err = read_gates(text, path, ret, problem);
	if (!err)
		err = read_freezes(text, path, ret, problem);
	if (!err && text->hooks)
		err = read_hooks(text->hooks, path, ret, problem);
	if (!err)
		err = read_guards(text, path, ret, problem);
	if (!err)
		err = rollout_plan_validate(ret, &found);
	if (found.text[0]) {
		snprintf(problem->path, sizeof(problem->path), "%.60s%.60s", path, found.path);
		snprintf(problem->text, sizeof(problem->text), "%s", found.text);
	}
	return err;
}
