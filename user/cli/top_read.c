/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/change.h"
#include "cli/outcomes.h"
#include "cli/output.h"
#include "cli/rollout.h"
#include "cli/stats.h"
#include "cli/top.h"
#include "cli/view.h"
#include "cli/windows.h"
#include "core/text.h"
#include "ops/clock.h"

#define DAEMON_PATIENCE_MS 500 /* a daemon that hangs does not stop the view */
#define NSEC_PER_SEC 1e9

static json_t *cohort_of(const json_t *service, int cohort)
{
	return json_object_get(json_object_get(service, "cohorts"), cohort_name(cohort));
}

static json_t *service_of(const json_t *stats)
{
	return json_array_get(json_object_get(stats, "services"), 0);
}

static const json_t *member(const json_t *object, const char *first, const char *second)
{
	return json_object_get(json_object_get(object, first), second);
}

/* Null without a daemon, or where it knows nothing of the service. */
static void add_rollout(const struct cli *cli, json_t *service)
{
	const struct rollout_question question = {
		.method = "GET", .service = text_of(service, "name"), .tail = "", .timeout_ms = DAEMON_PATIENCE_MS};
	struct error ignored;
	json_t *status;

	json_object_set_new(service, "rollout_status",
			    rollout_ask(cli, &question, &status, &ignored) ? json_null() : status);
}

/* Chooses which service to show, by name or the one that was, and where it stands among all. */
static int find_service(struct top *top, const struct model *heads, const char *name, struct error *error)
{
	const char *wanted = name ? name : top->service;
	size_t found = heads->service_count;

	for (size_t i = 0; i < heads->service_count; i++)
		if (!strcmp(heads->services[i].name, wanted))
			found = i;
	if (found == heads->service_count && name)
		return fail(error, -ENOENT, "there is no service \"%s\": see canaryctl service list", name);
	if (found == heads->service_count)
		found = 0;
	top->services = heads->service_count;
	top->position = heads->service_count ? found + 1 : 0;
	wanted = heads->service_count ? heads->services[found].name : "";
	if (strcmp(wanted, top->service) != 0)
		top_forget(top);
	snprintf(top->service, sizeof(top->service), "%s", wanted);
	return 0;
}

/* The tree of now, of the one service. Costs what one costs, however many there are. */
static json_t *read_tree(struct top *top, struct dataplane *dataplane, struct error *error)
{
	struct model model = {};
	json_t *tree, *window = NULL;
	int err = *top->service ? dataplane_read(dataplane, top->service, &model, error) : 0;

	tree = err ? NULL : stats_of(top->cli, dataplane, &model, error);
	if (tree && model.service_count) {
		window = view_window(dataplane, model.services, error);
		if (window)
			json_object_set_new(service_of(tree), "window", window);
		else
			json_decref(tree);
		tree = window ? tree : NULL;
	}
	model_free(&model);
	return tree;
}

/* Counts of an interval fall where another assignment began in it: nothing is known of that. */
static double ratio(json_int_t part, json_int_t whole)
{
	return whole > 0 && part >= 0 ? (double)part / (double)whole : NAN;
}

/* What is shown, and what is drawn in the sparkline: of failures those of the interval, else the same. */
static void evaluate(struct top *top, int cohort, double plotted[TOP_ROW_COUNT])
{
	const json_t *now = cohort_of(service_of(top->now), cohort),
		     *before = cohort_of(service_of(top->before), cohort);
	const json_t *rates = json_object_get(now, "rates"), *times = member(now, "times", "handshake");
	const json_t *counts = json_object_get(now, "outcomes"), *earlier = json_object_get(before, "outcomes");
	json_int_t drops = integer_of(json_object_get(now, "drops"), "total");
	double *value = top->value[cohort];

	for (int i = 0; i < TOP_ROW_COUNT; i++)
		value[i] = NAN;
	if (rates) {
		value[TOP_FLOWS] = number_of(rates, "flows");
		value[TOP_PACKETS] = number_of(rates, "packets");
		value[TOP_BYTES] = number_of(rates, "bytes");
		drops -= integer_of(json_object_get(before, "drops"), "total");
		value[TOP_DROPS] = drops > 0 ? (double)drops / number_of(top->now, "interval") : 0;
	}
	value[TOP_FAILURES] = ratio(outcomes_bad(counts), outcomes_finished(counts));
	if (integer_of(times, "count")) {
		value[TOP_P50] = number_of(times, "p50");
		value[TOP_P90] = number_of(times, "p90");
		value[TOP_P99] = number_of(times, "p99");
	}
	memcpy(plotted, value, sizeof(*value) * TOP_ROW_COUNT);
	plotted[TOP_FAILURES] = ratio(outcomes_bad(counts) - outcomes_bad(earlier),
				      outcomes_finished(counts) - outcomes_finished(earlier));
}

static void note(struct top *top)
{
	if (top->count == top->span) {
		for (int i = 0; i < CANARY_COHORTS * TOP_ROW_COUNT; i++) {
			double *track = top->track[i / TOP_ROW_COUNT][i % TOP_ROW_COUNT];

			memmove(track, track + 1, sizeof(*track) * (top->span - 1));
		}
		top->count--;
	}
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		double plotted[TOP_ROW_COUNT];

		evaluate(top, cohort, plotted);
		for (int i = 0; i < TOP_ROW_COUNT; i++)
			top->track[cohort][i][top->count] = top->before ? plotted[i] : NAN;
	}
	top->count++;
}

static int read_now(struct top *top, const char *name, struct dataplane *dataplane, json_t **ret, struct error *error)
{
	struct model heads = {};
	int err = dataplane ? dataplane_read_heads(dataplane, &heads, error) : 0;

	if (!err)
		err = find_service(top, &heads, name, error);
	model_free(&heads);
	if (err)
		return err;
	*ret = dataplane ? read_tree(top, dataplane, error) : stats_of(top->cli, NULL, &(const struct model){}, error);
	return *ret ? 0 : -EIO;
}

int top_read(struct top *top, const char *name, struct error *error)
{
	struct dataplane *dataplane = NULL;
	char time[CLOCK_TEXT_LEN];
	json_t *tree;
	__u64 now;
	int err = dataplane_open(top->cli->dir, DATAPLANE_READ, &dataplane, error);

	if (err == -ENOENT)
		err = 0;
	if (!err)
		err = read_now(top, name, dataplane, &tree, error);
	now = clock_monotonic_ns();
	dataplane_close(dataplane);
	if (err)
		return err;
	json_decref(top->before);
	top->before = top->now;
	top->now = tree;
	json_object_set_new(tree, "time", json_string(clock_wall_text_ms(now, time)));
	if (top->before) {
		double seconds = (double)(now - top->now_ns) / NSEC_PER_SEC;

		json_object_set_new(tree, "interval", json_real(seconds));
		stats_add_rates(tree, top->before, seconds);
	}
	top->now_ns = now;
	if (*top->service)
		add_rollout(top->cli, service_of(tree));
	note(top);
	return 0;
}

void top_forget(struct top *top)
{
	json_decref(top->now);
	json_decref(top->before);
	top->now = top->before = NULL;
	top->count = 0;
}

int top_choose(struct top *top, int step, size_t position, struct error *error)
{
	struct dataplane *dataplane;
	struct model heads;
	char name[CANARY_NAME_LEN] = "";
	size_t wanted;
	int err;

	if (!top->services || position > top->services)
		return 0;
	wanted = position ? position - 1 : (top->position - 1 + top->services + (size_t)step) % top->services;
	err = dataplane_open(top->cli->dir, DATAPLANE_READ, &dataplane, error);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = dataplane_read_heads(dataplane, &heads, error);
	dataplane_close(dataplane);
	if (err)
		return err;
	if (wanted < heads.service_count)
		snprintf(name, sizeof(name), "%s", heads.services[wanted].name);
	model_free(&heads);
	return *name && strcmp(name, top->service) != 0 ? top_read(top, name, error) : 0;
}
