/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "canary/select.h"
#include "cli/guard.h"
#include "cli/outcomes.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/histogram.h"
#include "core/text.h"

#define MSEC_PER_SEC 1000

enum seen { ALWAYS, NAT };

static const struct {
	const char *name;
	enum seen seen;
	enum canary_outcome_kind kind;
} outcomes[CANARY_OUTCOMES] = {
#define X(NAME, name, SEEN, KIND, help) {#name, SEEN, CANARY_KIND_##KIND},
	CANARY_OUTCOME_LIST(X)
#undef X
};

static const struct {
	const char *name;
	enum seen seen;
} times[CANARY_HISTOGRAM_KINDS] = {
#define X(NAME, name, SEEN, help) {#name, SEEN},
	CANARY_HISTOGRAM_LIST(X)
#undef X
};

static const struct {
	const char *name;
	double part;
} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static json_t *view_counts(const __u64 *count)
{
	json_t *view = json_object();

	for (size_t i = 0; i < CANARY_OUTCOMES; i++)
		json_object_set_new(view, outcomes[i].name, json_integer((json_int_t)count[i]));
	return view;
}

/* w: the canary's share of what is watched. null: nothing is, or it is not one share. */
static json_t *view_share(const struct canary_epoch *epoch)
{
	double canary = epoch->watched[CANARY_CANARY], all = canary + epoch->watched[CANARY_STABLE];

	return epoch->epoch && all > 0 ? json_real(canary / all) : json_null();
}

/* The last of the array stands for all older ones, and has no number. */
static json_t *view_epoch(const struct canary_epoch *epoch)
{
	json_t *view = json_pack(
		"{s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "epoch",
		epoch->epoch ? json_integer((json_int_t)epoch->epoch) : json_null(), "assignment",
		epoch->epoch ? json_integer(epoch->assignment) : json_null(), "w", view_share(epoch), "watched",
		epoch->epoch ? view_cohorts(epoch->watched[CANARY_STABLE], epoch->watched[CANARY_CANARY]) : json_null(),
		"flooded", (json_int_t)epoch->flooded, "stable", view_counts(epoch->count[CANARY_STABLE]), "canary",
		view_counts(epoch->count[CANARY_CANARY]));

	return view;
}

/* Newest first. */
static json_t *view_epochs(const struct canary_outcomes *all, __u64 newest)
{
	json_t *views = json_array();

	for (__u64 epoch = newest; epoch && epoch + CANARY_EPOCHS > newest; epoch--)
		if (all->epochs[epoch % CANARY_EPOCHS].epoch == epoch)
			json_array_append_new(views, view_epoch(&all->epochs[epoch % CANARY_EPOCHS]));
	json_array_append_new(views, view_epoch(&all->epochs[CANARY_EPOCHS]));
	return views;
}

/*
 * The assignment to tell of: the one in force or, with nothing for the canary, the last that had something: whoever rolled
 * back wants to see why.
 */
static __u32 told_assignment(const struct canary_outcomes *all, const struct service_model *service)
{
	const struct canary_epoch *last = NULL;

	for (int i = 0; i < CANARY_EPOCHS; i++) {
		const struct canary_epoch *epoch = &all->epochs[i];

		if (epoch->epoch && epoch->watched[CANARY_CANARY] && (!last || epoch->epoch > last->epoch))
			last = epoch;
	}
	return service->weight || !last ? service->assignment : last->assignment;
}

/* What belongs to one assignment, of the epochs that are kept. */
static struct canary_epoch sum_of_assignment(const struct canary_outcomes *all, __u32 assignment)
{
	struct canary_epoch sum = {};

	for (int i = 0; i < CANARY_EPOCHS; i++) {
		const struct canary_epoch *epoch = &all->epochs[i];

		if (!epoch->epoch || epoch->assignment != assignment)
			continue;
		sum.flooded += epoch->flooded;
		for (int j = 0; j < CANARY_OUTCOMES; j++) {
			sum.count[CANARY_STABLE][j] += epoch->count[CANARY_STABLE][j];
			sum.count[CANARY_CANARY][j] += epoch->count[CANARY_CANARY][j];
		}
	}
	return sum;
}

static json_t *view_time(const struct canary_histogram *histogram)
{
	json_t *view = json_pack("{s:I}", "count", (json_int_t)histogram_count(histogram->count));

	for (size_t i = 0; i < PERCENTILES; i++) {
		double seconds;
		int err = histogram_percentile(histogram->count, percentiles[i].part, &seconds);

		json_object_set_new(view, percentiles[i].name, err ? json_null() : json_real(seconds));
	}
	return view;
}

static int add_times(json_t *cohort_view, struct dataplane *dataplane, const struct service_model *service,
		     enum canary_cohort cohort)
{
	json_t *view = json_object();

	json_object_set_new(cohort_view, "times", view);
	for (int i = 0; i < CANARY_HISTOGRAM_KINDS; i++) {
		struct canary_histogram histogram;
		int err = dataplane_histogram(dataplane, service, cohort, i, &histogram);

		if (err && err != -ENOENT)
			return err;
		json_object_set_new(view, times[i].name, err ? json_null() : view_time(&histogram));
	}
	return 0;
}

int outcomes_add(json_t *view, struct dataplane *dataplane, const struct service_model *service)
{
	json_t *cohorts = json_object_get(view, "cohorts");
	struct canary_outcomes all = {};
	struct canary_epoch sum;
	__u32 assignment;
	int err = dataplane_outcomes(dataplane, service, &all);

	if (err && err != -ENOENT)
		return err;
	assignment = told_assignment(&all, service);
	sum = sum_of_assignment(&all, assignment);
	for (int i = 0; i < CANARY_COHORTS; i++) {
		json_t *cohort = json_object_get(cohorts, cohort_name(i));

		json_object_set_new(cohort, "outcomes", view_counts(sum.count[i]));
		err = add_times(cohort, dataplane, service, i);
		if (err)
			return err;
	}
	json_object_set_new(view, "epochs", view_epochs(&all, canary_word_epoch(service->word)));
	json_object_set_new(view, "outcomes_assignment", json_integer(assignment));
	json_object_set_new(view, "inconclusive", json_boolean(sum.flooded));
	return 0;
}

static bool is_visible(const json_t *view, enum seen seen)
{
	return seen == ALWAYS || !strcmp(text_of(view, "forward"), forward_name(CANARY_FORWARD_NAT));
}

static bool is_watched(const json_t *view)
{
	return !strcmp(text_of(view, "protocol"), "tcp");
}

static const json_t *part_of(const json_t *view, int cohort, const char *part)
{
	return json_object_get(json_object_get(json_object_get(view, "cohorts"), cohort_name(cohort)), part);
}

json_int_t outcomes_finished(const json_t *counts)
{
	return integer_of(counts, "completed") + integer_of(counts, "refused") + integer_of(counts, "client_reset") +
	       integer_of(counts, "half_open");
}

json_int_t outcomes_bad(const json_t *counts)
{
	json_int_t bad = 0;

	for (size_t i = 0; i < CANARY_OUTCOMES; i++)
		if (outcomes[i].kind == CANARY_KIND_HARD || outcomes[i].kind == CANARY_KIND_SOFT)
			bad += integer_of(counts, outcomes[i].name);
	return bad;
}

/* Of the handshakes that are over, how many were completed. */
static void success_row(struct table *table, const json_t *view)
{
	table_left(table, STYLE_PLAIN, "handshake success");
	for (int i = 0; i < CANARY_COHORTS; i++) {
		const json_t *counts = part_of(view, i, "outcomes");
		double completed = integer_of(counts, "completed"), all = outcomes_finished(counts);

		if (all > 0)
			table_right(table, STYLE_PLAIN, "%.2f%%", 100 * completed / all);
		else
			table_right(table, STYLE_PLAIN, "-");
	}
	table_end_row(table);
}

static void outcome_row(struct table *table, const json_t *view, size_t outcome)
{
	const char *name = outcomes[outcome].name;
	bool failure = outcomes[outcome].kind == CANARY_KIND_HARD;

	table_left(table, STYLE_PLAIN, "%s", name);
	for (int i = 0; i < CANARY_COHORTS; i++) {
		json_int_t count = integer_of(part_of(view, i, "outcomes"), name);

		table_right(table, failure && count ? STYLE_ALARM : STYLE_PLAIN, "%lld", (long long)count);
	}
	table_end_row(table);
}

static void time_row(struct table *table, const json_t *view, const char *time, const char *percentile)
{
	table_left(table, STYLE_PLAIN, "%s %s", time, percentile);
	for (int i = 0; i < CANARY_COHORTS; i++) {
		const json_t *seconds = json_object_get(json_object_get(part_of(view, i, "times"), time), percentile);

		if (json_is_real(seconds))
			table_right(table, STYLE_PLAIN, "%.3f ms", json_real_value(seconds) * MSEC_PER_SEC);
		else
			table_right(table, STYLE_PLAIN, "-");
	}
	table_end_row(table);
}

void outcomes_rows(struct table *table, const json_t *view)
{
	if (!is_watched(view))
		return;
	success_row(table, view);
	for (size_t i = 0; i < CANARY_OUTCOMES; i++)
		if (is_visible(view, outcomes[i].seen))
			outcome_row(table, view, i);
	for (size_t i = 0; i < CANARY_HISTOGRAM_KINDS; i++)
		for (size_t j = 0; j < PERCENTILES && is_visible(view, times[i].seen); j++)
			time_row(table, view, times[i].name, percentiles[j].name);
}

/* ", name" or "name", to stdout. */
static const char *print_item(const char *separator, const char *name, const char *suffix)
{
	printf("%s%s%s", separator, name, suffix);
	return ", ";
}

void outcomes_print_notes(const struct cli *cli, const json_t *view)
{
	const char *separator = "";

	if (json_is_true(json_object_get(view, "inconclusive")))
		printf("%s  flooded: SYN flood: handshake figures are inconclusive%s\n", style_begin(cli, STYLE_ALARM),
		       style_end(cli, STYLE_ALARM));
	if (is_watched(view) && integer_of(view, "outcomes_assignment") != integer_of(view, "assignment"))
		puts("  nothing is out: these connections are those of the last assignment that had a canary");
	if (!is_watched(view) || is_visible(view, NAT))
		return;
	printf("  %s sees only the clients' packets: ", text_of(view, "forward"));
	for (size_t i = 0; i < CANARY_OUTCOMES; i++)
		if (!is_visible(view, outcomes[i].seen))
			separator = print_item(separator, outcomes[i].name, "");
	for (size_t i = 0; i < CANARY_HISTOGRAM_KINDS; i++)
		if (!is_visible(view, times[i].seen))
			separator = print_item(separator, times[i].name, " times");
	puts(" need nat");
}
