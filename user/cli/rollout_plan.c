/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl rollout validate, plan: what a file plans, and what that can find out. Neither asks anybody. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/table.h"
#include "cli/view.h"
#include "core/forecast.h"
#include "core/text.h"
#include "io/config.h"
#include "io/plan_json.h"

#define DEFAULT_FILE "/etc/canary/canary.yaml"

/* A file, and the service of it that is meant; NULL: all. */
struct planned {
	struct model model;
	const struct service_model *service;
};

static struct rollout_plan plan_of(const struct service_model *service)
{
	return service->rollout ? *service->rollout : rollout_plan_default();
}

/* 0 or -errno; model_free() is due on success. */
static int load(const struct cli *cli, struct planned *ret, struct error *error)
{
	const char *file = cli->values[OPT_FILE] ? cli->values[OPT_FILE] : DEFAULT_FILE;
	const char *name = cli->argument_count ? cli->arguments[0] : "plan";
	int err = config_or_plan_load(file, name, &ret->model, error);

	ret->service = NULL;
	if (err || !cli->argument_count)
		return err;
	ret->service = pick_service(&ret->model, cli->arguments[0], error);
	if (ret->service)
		return 0;
	model_free(&ret->model);
	return -ENOENT;
}

static json_t *view_plan(const struct service_model *service)
{
	const struct rollout_plan plan = plan_of(service);

	return json_pack("{s:o, s:b, s:o}", "service", json_text(service->name), "default", !service->rollout, "plan",
			 must(plan_json(&plan)));
}

static void print_steps(const struct cli *cli, const json_t *plan)
{
	const json_t *steps = json_object_get(plan, "steps");
	struct table table = {};
	json_t *step;
	size_t i;

	json_array_foreach (steps, i, step) {
		bool last = i + 1 == json_array_size(steps);
		bool approval = !strcmp(text_of(step, "approval"), "required");

		table_right(&table, STYLE_BOLD, "%s%%", text_of(step, "weight"));
		table_left(&table, STYLE_PLAIN, "for %s", last ? text_of(plan, "final_bake") : text_of(step, "bake"));
		table_left(&table, STYLE_PLAIN, "warm-up %s", text_of(step, "warmup"));
		table_left(&table, STYLE_PLAIN, "at least %s flows%s", text_of(step, "min_flows"),
			   approval ? ", then an approval" : "");
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
}

static void print_gates(const struct cli *cli, const json_t *gates)
{
	struct table table = {};
	json_t *gate;
	size_t i;

	json_array_foreach (gates, i, gate) {
		const char *min = text_of(gate, "min"), *max = text_of(gate, "max");

		table_left(&table, STYLE_PLAIN, "gate %s", text_of(gate, "name"));
		table_left(&table, STYLE_PLAIN, "%s%s", text_of(gate, "type"),
			   strcmp(text_of(gate, "mode"), "report") ? "" : " (reports only)");
		if (json_object_get(gate, "compare"))
			table_left(&table, STYLE_PLAIN, "at most %s times stable's", text_of(gate, "tolerance"));
		else
			table_left(&table, STYLE_PLAIN, "%s%s%s%s%s", *min ? "at least " : "", min,
				   *min && *max ? ", " : "", *max ? "at most " : "", max);
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
}

static void print_plan(const struct cli *cli, const json_t *view)
{
	const json_t *plan = json_object_get(view, "plan");

	printf("%s%s%s%s\n", style_begin(cli, STYLE_BOLD), text_of(view, "service"), style_end(cli, STYLE_BOLD),
	       json_is_true(json_object_get(view, "default")) ? "  (says nothing: the default plan)" : "");
	print_steps(cli, plan);
	print_gates(cli, json_object_get(plan, "gates"));
	printf("  holdback %s%%, alpha %s, deadline of a step %s, then %s; undecided: %s\n", text_of(plan, "holdback"),
	       text_of(plan, "alpha"), text_of(plan, "progress_deadline"), text_of(plan, "on_deadline"),
	       text_of(plan, "on_inconclusive"));
}

int cmd_rollout_validate(const struct cli *cli, struct error *error)
{
	json_t *views = json_array(), *view;
	struct planned planned;
	size_t i;

	if (load(cli, &planned, error)) {
		json_decref(views);
		return CLI_FAILED;
	}
	for (i = 0; i < planned.model.service_count; i++) {
		const struct service_model *service = &planned.model.services[i];

		if (!planned.service || planned.service == service)
			json_array_append_new(views, view_plan(service));
	}
	make_harmless(views);
	if (cli->json) {
		print_json(json_pack("{s:b, s:O}", "valid", true, "services", views));
	} else {
		json_array_foreach (views, i, view)
			print_plan(cli, view);
	}
	json_decref(views);
	model_free(&planned.model);
	return CLI_DONE;
}

/* Forecasting. */

/* A decimal number: what strtod() takes beyond that nobody means. */
static int parse_decimal(const char *text, double *ret)
{
	char *end;

	if (!*text || strspn(text, ".0123456789") != strlen(text))
		return -EINVAL;
	*ret = strtod(text, &end);
	return *end ? -EINVAL : 0;
}

static int parse_traffic(const struct cli *cli, struct forecast_traffic *ret, struct error *error)
{
	const char *rate = cli->values[OPT_RATE], *base = cli->values[OPT_BASE];

	if (parse_decimal(rate, &ret->rate) || ret->rate <= 0 || ret->rate > 1e9)
		return fail(error, -EINVAL, "--rate is a number of flows a second, above 0, not \"%s\"", rate);
	if (parse_decimal(base, &ret->base) || ret->base <= 0 || ret->base >= 100)
		return fail(error, -EINVAL, "--base is percent, above 0 and below 100, not \"%s\"", base);
	ret->base /= 100;
	return 0;
}

/* null where it never comes. */
static json_t *seconds_or_never(double seconds)
{
	return isfinite(seconds) ? json_real(round(seconds * 10) / 10) : json_null();
}

static json_t *view_forecast(const struct rollout_plan *plan, size_t step, const struct forecast_traffic *traffic)
{
	const struct forecast forecast = forecast_step(plan, step, traffic);
	json_t *finds = json_array();

	for (int i = 0; i < FORECAST_RATIOS; i++)
		json_array_append_new(finds, json_pack("{s:f, s:o, s:o}", "times_as_bad", forecast_ratios[i],
						       "failures", seconds_or_never(forecast.finds[i].events),
						       "seconds", seconds_or_never(forecast.finds[i].seconds)));
	return json_pack("{s:f, s:f, s:i, s:i, s:f, s:f, s:o, s:o, s:o}", "weight", plan->steps[step].weight / 100.0,
			 "effective_weight", forecast.weight / 100.0, "bake", (int)forecast.bake, "warmup",
			 (int)plan->steps[step].warmup, "w", forecast.share, "canary_flows",
			 round(forecast.canary_flows), "min_flows_seconds",
			 seconds_or_never(forecast.min_flows_seconds), "proof_seconds",
			 seconds_or_never(forecast.proof_seconds), "finds", finds);
}

static json_t *view_forecasts(const struct service_model *service, struct forecast_traffic *traffic)
{
	const struct rollout_plan plan = plan_of(service);
	json_t *steps = json_array();

	/* Only TCP's connections begin in a way that tells. */
	traffic->observe_cap = service->proto == IPPROTO_TCP ? service->observe_cap : 0;
	traffic->observe_all = service->forward == CANARY_FORWARD_NAT;
	for (size_t i = 0; i < plan.step_count; i++)
		json_array_append_new(steps, view_forecast(&plan, i, traffic));
	return json_pack("{s:o, s:f, s:f, s:o}", "service", json_text(service->name), "rate", traffic->rate, "base",
			 traffic->base * 100, "steps", steps);
}

/* A time after the warm-up; red where the bake is over by then. */
static void time_cell(struct table *table, const json_t *step, const json_t *seconds)
{
	double time = json_number_value(seconds);
	bool late = time + number_of(step, "warmup") > number_of(step, "bake");
	char text[DURATION_TEXT_LEN];

	if (time >= 3600)
		time = round(time / 60) * 60;
	if (!json_is_number(seconds))
		table_right(table, STYLE_ALARM, "never");
	else if (time < 10)
		table_right(table, STYLE_PLAIN, "%.1fs", time);
	else if (time > UINT32_MAX)
		table_right(table, STYLE_ALARM, "never");
	else
		table_right(table, late ? STYLE_ALARM : STYLE_PLAIN, "%s%s", format_duration((unsigned)time, text),
			    late ? " (late)" : "");
}

static void print_forecasts(const struct cli *cli, const json_t *view)
{
	const json_t *steps = json_object_get(view, "steps");
	struct table table = {};
	char text[DURATION_TEXT_LEN];
	json_t *step, *find;
	size_t i, j;

	printf("%s%s%s  %g flows/s, of which %g%% fail\n\n", style_begin(cli, STYLE_BOLD), text_of(view, "service"),
	       style_end(cli, STYLE_BOLD), number_of(view, "rate"), number_of(view, "base"));
	table_right(&table, STYLE_BOLD, "weight");
	table_right(&table, STYLE_BOLD, "bake");
	table_right(&table, STYLE_BOLD, "canary flows");
	table_right(&table, STYLE_BOLD, "min_flows");
	table_right(&table, STYLE_BOLD, "proof");
	json_array_foreach (json_object_get(json_array_get(steps, 0), "finds"), j, find)
		table_right(&table, STYLE_BOLD, "finds %gx", number_of(find, "times_as_bad"));
	table_end_row(&table);
	json_array_foreach (steps, i, step) {
		table_right(&table, STYLE_PLAIN, "%g%%", number_of(step, "weight"));
		table_right(&table, STYLE_PLAIN, "%s", format_duration((unsigned)integer_of(step, "bake"), text));
		table_right(&table, STYLE_PLAIN, "%.0f", number_of(step, "canary_flows"));
		time_cell(&table, step, json_object_get(step, "min_flows_seconds"));
		time_cell(&table, step, json_object_get(step, "proof_seconds"));
		json_array_foreach (json_object_get(step, "finds"), j, find)
			time_cell(&table, step, json_object_get(find, "seconds"));
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
	puts("\n  Means after the warm-up, each step alone (evidence adds up over steps), by simulation of the "
	     "failures\n"
	     "  gate. min_flows and proof: when a healthy canary has had enough flows, and has shown that it does no "
	     "more\n"
	     "  harm than max_harm. late: not within the step's bake. A canary that fails altogether is out before any "
	     "of\n"
	     "  this, by the breaker.");
}

int cmd_rollout_plan(const struct cli *cli, struct error *error)
{
	struct forecast_traffic traffic;
	struct planned planned;
	json_t *view = NULL;

	if (parse_traffic(cli, &traffic, error))
		return CLI_USAGE;
	if (load(cli, &planned, error))
		return CLI_FAILED;
	if (!planned.service)
		planned.service = pick_service(&planned.model, NULL, error);
	if (planned.service)
		view = view_forecasts(planned.service, &traffic);
	model_free(&planned.model);
	if (!view)
		return CLI_FAILED;
	if (cli->json) {
		print_json(view);
		return CLI_DONE;
	}
	print_forecasts(cli, view);
	json_decref(view);
	return CLI_DONE;
}
