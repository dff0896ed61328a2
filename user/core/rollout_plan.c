/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rollout_plan.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define BAKE_DEFAULT 600
#define FINAL_BAKE_DEFAULT 1800
#define WARMUP_DEFAULT 30
#define MIN_FLOWS_DEFAULT 500
#define HOLDBACK_DEFAULT 100
#define DEADLINE_DEFAULT 7200
#define TOLERANCE_DEFAULT 1.2
#define ALPHA_DEFAULT 0.01
#define MAX_HARM_DEFAULT 0.01
#define CONFIDENCE_DEFAULT 0.95

struct rollout_step rollout_step_default(int weight)
{
	return (struct rollout_step){
		.weight = weight,
		.bake = BAKE_DEFAULT,
		.warmup = WARMUP_DEFAULT,
		.min_flows = MIN_FLOWS_DEFAULT,
	};
}

/* What the balancer measures in both cohorts is compared; all else is held against bounds. */
static bool compares_by_default(enum gate_type type)
{
	return type == GATE_TYPE_FAILURES || type == GATE_TYPE_HANDSHAKE_TIME || type == GATE_TYPE_RESPONSE_TIME ||
	       type == GATE_TYPE_FEEDBACK;
}

struct rollout_gate rollout_gate_default(enum gate_type type)
{
	struct rollout_gate gate = {
		.type = type,
		.compare = compares_by_default(type),
		.tolerance = TOLERANCE_DEFAULT,
		.min = -INFINITY,
		.max = INFINITY,
	};

	snprintf(gate.name, sizeof(gate.name), "%s", gate_type_name(type));
	return gate;
}

struct rollout_plan rollout_plan_default(void)
{
	static const int weights[] = {500, 2500, 5000, CANARY_WEIGHT_ONE};
	struct rollout_plan plan = {
		.step_count = sizeof(weights) / sizeof(weights[0]),
		.final_bake = FINAL_BAKE_DEFAULT,
		.holdback = HOLDBACK_DEFAULT,
		.gates = {rollout_gate_default(GATE_TYPE_FAILURES)},
		.gate_count = 1,
		.alpha = ALPHA_DEFAULT,
		.max_harm = MAX_HARM_DEFAULT,
		.confidence = CONFIDENCE_DEFAULT,
		.progress_deadline = DEADLINE_DEFAULT,
	};

	for (size_t i = 0; i < plan.step_count; i++)
		plan.steps[i] = rollout_step_default(weights[i]);
	return plan;
}

unsigned rollout_step_bake(const struct rollout_plan *plan, size_t step)
{
	return step + 1 == plan->step_count ? plan->final_bake : plan->steps[step].bake;
}

int rollout_hold_back(int weight, int holdback)
{
	int most = CANARY_WEIGHT_ONE - holdback;

	return weight < most ? weight : most;
}

int rollout_effective_weight(const struct rollout_plan *plan, int weight)
{
	return rollout_hold_back(weight, plan->holdback);
}

double rollout_gate_alpha(const struct rollout_plan *plan)
{
	unsigned deciding = 0;

	for (size_t i = 0; i < plan->gate_count; i++)
		deciding += plan->gates[i].compare && plan->gates[i].mode == GATE_MODE_DECIDE;
	return plan->alpha / (deciding ? deciding : 1);
}

static void set_text(struct problem *problem, const char *format, va_list args)
{
	vsnprintf(problem->text, sizeof(problem->text), format, args);
}

__attribute__((format(printf, 3, 4))) static int refuse(struct problem *problem, const char *path, const char *format,
							...)
{
	va_list args;

	snprintf(problem->path, sizeof(problem->path), "%s", path);
	va_start(args, format);
	set_text(problem, format, args);
	va_end(args);
	return -EINVAL;
}

__attribute__((format(printf, 5, 6))) static int refuse_item(struct problem *problem, const char *list, size_t at,
							     const char *field, const char *format, ...)
{
	va_list args;

	snprintf(problem->path, sizeof(problem->path), "%s[%zu].%s", list, at, field);
	va_start(args, format);
	set_text(problem, format, args);
	va_end(args);
	return -EINVAL;
}

static int check_step(const struct rollout_plan *plan, size_t at, struct problem *problem)
{
	const struct rollout_step *step = &plan->steps[at];
	int before = at ? plan->steps[at - 1].weight : 0;

	if (step->weight <= before)
		return refuse_item(problem, "steps", at, "weight", "%d.%02d%% does not rise above %s%d.%02d%%",
				   step->weight / 100, step->weight % 100, at ? "the step before, " : "", before / 100,
				   before % 100);
	if (step->weight > CANARY_WEIGHT_ONE)
		return refuse_item(problem, "steps", at, "weight", "more than 100%%");
	if (at + 1 == plan->step_count && step->weight != CANARY_WEIGHT_ONE)
		return refuse_item(problem, "steps", at, "weight",
				   "the last step is %d.%02d%%: a rollout ends at 100, add {weight: 100}",
				   step->weight / 100, step->weight % 100);
	return 0;
}

static int check_bake(const struct rollout_plan *plan, size_t at, struct problem *problem)
{
	unsigned bake = rollout_step_bake(plan, at), warmup = plan->steps[at].warmup;
	char path[48] = "final_bake", text[DURATION_TEXT_LEN];

	if (at + 1 < plan->step_count)
		snprintf(path, sizeof(path), "steps[%zu].bake", at);
	if (bake > ROLLOUT_MAX_SECONDS)
		return refuse(problem, path, "%u seconds is too long: give up to 30d", bake);
	if (plan->progress_deadline && bake >= plan->progress_deadline)
		return refuse(problem, path,
			      "the progress_deadline would be over before it: give a later one, or 0 for none");
	if (warmup && warmup >= bake)
		return refuse_item(problem, "steps", at, "warmup",
				   "it is part of the bake, which is over after %s: give less",
				   format_duration(bake, text));
	return 0;
}

static bool measures_times(const struct rollout_gate *gate)
{
	return gate->type == GATE_TYPE_HANDSHAKE_TIME || gate->type == GATE_TYPE_RESPONSE_TIME;
}

/* What a gate asks, and whom. */
static int check_gate_source(const struct rollout_gate *gate, size_t at, struct problem *problem)
{
	bool asks = gate->type == GATE_TYPE_PROMETHEUS || gate->type == GATE_TYPE_WEBHOOK;

	if (asks && strncmp(gate->target, "http://", 7) && strncmp(gate->target, "https://", 8))
		return refuse_item(problem, "gates", at, "url", "a %s gate needs a URL: give http://… or https://…",
				   gate_type_name(gate->type));
	if (gate->type == GATE_TYPE_COMMAND && !gate->target[0])
		return refuse_item(problem, "gates", at, "command", "a command gate needs a command");
	if (gate->type == GATE_TYPE_PROMETHEUS && !gate->query[0])
		return refuse_item(problem, "gates", at, "query", "a prometheus gate needs a query");
	if (gate->type == GATE_TYPE_PROMETHEUS && gate->compare && !strstr(gate->query, "$cohort"))
		return refuse_item(problem, "gates", at, "query",
				   "to compare, it is asked once for each cohort: say where with $cohort");
	return 0;
}

static int check_gate_bounds(const struct rollout_gate *gate, size_t at, struct problem *problem)
{
	bool bounded = gate->min > -INFINITY || gate->max < INFINITY;
	bool answers = gate->type == GATE_TYPE_COMMAND || gate->type == GATE_TYPE_WEBHOOK;

	if (answers && (gate->compare || bounded))
		return refuse_item(problem, "gates", at, "type",
				   "a %s gate gives the verdict itself: it takes neither compare nor min and max",
				   gate_type_name(gate->type));
	if (answers)
		return 0;
	if (gate->compare && bounded)
		return refuse_item(problem, "gates", at, "compare",
				   "give compare with a tolerance, or min and max: make two gates of it for both");
	if (gate->compare && !(gate->tolerance >= 1 && gate->tolerance <= 100))
		return refuse_item(problem, "gates", at, "tolerance", "%g is not a factor from 1 to 100",
				   gate->tolerance);
	if (!gate->compare && !bounded)
		return refuse_item(problem, "gates", at, "max",
				   "there is nothing to hold it against: give %s, or compare",
				   measures_times(gate) ? "max, in ms" : "min or max");
	if (!gate->compare && !(gate->min <= gate->max))
		return refuse_item(problem, "gates", at, "min", "%g is more than max, %g", gate->min, gate->max);
	return 0;
}

static int check_gate(const struct rollout_plan *plan, size_t at, struct problem *problem)
{
	const struct rollout_gate *gate = &plan->gates[at];
	int err;

	if (!name_is_valid(gate->name))
		return refuse_item(problem, "gates", at, "name",
				   "'%s' is not a gate's name: use letters, digits, '-', '_' and '.'", gate->name);
	for (size_t i = 0; i < at; i++) {
		if (!strcmp(plan->gates[i].name, gate->name))
			return refuse_item(problem, "gates", at, "name", "there is a gate named '%s' already",
					   gate->name);
	}
	err = check_gate_source(gate, at, problem);
	return err < 0 ? err : check_gate_bounds(gate, at, problem);
}

static int check_numbers(const struct rollout_plan *plan, struct problem *problem)
{
	if (!(plan->alpha >= 1e-6 && plan->alpha <= 0.5))
		return refuse(problem, "alpha", "%g is not a probability from 0.000001 to 0.5", plan->alpha);
	if (!(plan->max_harm >= 1e-5 && plan->max_harm <= 0.5))
		return refuse(problem, "max_harm", "%g%% is not from 0.001%% to 50%%", plan->max_harm * 100);
	if (!(plan->confidence >= 0.5 && plan->confidence <= 0.99999))
		return refuse(problem, "confidence", "%g%% is not from 50%% to 99.999%%", plan->confidence * 100);
	if (plan->holdback < 0 || plan->holdback > CANARY_WEIGHT_ONE / 2)
		return refuse(problem, "holdback", "give 0 to 50: percent of new flows that stay on stable");
	if (plan->step_count > 1 && plan->steps[plan->step_count - 2].weight > CANARY_WEIGHT_ONE - plan->holdback)
		return refuse(problem, "holdback", "the step before 100 leaves less to stable than that");
	if (plan->progress_deadline > ROLLOUT_MAX_SECONDS)
		return refuse(problem, "progress_deadline", "%u seconds is too long: give up to 30d",
			      plan->progress_deadline);
	return 0;
}

int rollout_plan_validate(const struct rollout_plan *plan, struct problem *ret)
{
	int err;

	if (!plan->step_count)
		return refuse(ret, "steps", "a rollout needs a step: give {weight: 100}, at least");
	err = check_numbers(plan, ret);
	for (size_t i = 0; !err && i < plan->step_count; i++)
		err = check_step(plan, i, ret);
	for (size_t i = 0; !err && i < plan->step_count; i++)
		err = check_bake(plan, i, ret);
	for (size_t i = 0; !err && i < plan->gate_count; i++)
		err = check_gate(plan, i, ret);
	return err;
}
