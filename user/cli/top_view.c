/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/guard.h"
#include "cli/rollout.h"
#include "cli/rollout_bar.h"
#include "cli/stats.h"
#include "cli/top.h"
#include "cli/view.h"
#include "core/sparkline.h"
#include "core/text.h"

enum {
	FIXED = 40, /* columns that the table takes without sparklines */
	SPARKLINE_MIN = 6, /* less says nothing */
	VALUE_LEN = 32,
};

enum format { FORMAT_RATE, FORMAT_RATIO, FORMAT_TIME };
/* How high is a bar: by the cohort's own peak, or by that of both, so that one sees which fares worse. */
enum scale { SCALE_EACH, SCALE_BOTH };

static const struct {
	const char *label;
	enum format format;
	enum scale scale;
} rows[TOP_ROW_COUNT] = {
#define X(NAME, label, format, scale) {label, FORMAT_##format, SCALE_##scale},
	TOP_ROWS(X)
#undef X
};

static const char *format_value(double value, enum format format, char buf[VALUE_LEN])
{
	if (isnan(value))
		snprintf(buf, VALUE_LEN, "-");
	else if (format == FORMAT_RATIO)
		snprintf(buf, VALUE_LEN, "%.2f%%", 100 * value);
	else if (format == FORMAT_TIME)
		snprintf(buf, VALUE_LEN, "%.3f ms", 1000 * value);
	else if (value < 1e6)
		snprintf(buf, VALUE_LEN, "%.1f", value);
	else
		snprintf(buf, VALUE_LEN, value < 1e9 ? "%.2f M" : "%.2f G", value < 1e9 ? value / 1e6 : value / 1e9);
	return buf;
}

static int sparkline_width(const struct top *top, int columns)
{
	int width = (columns - FIXED) / CANARY_COHORTS - 2;

	if (width > SPARKLINE_MAX)
		width = SPARKLINE_MAX;
	if (width > (int)top->span)
		width = (int)top->span;
	return width < SPARKLINE_MIN && width < (int)top->span ? 0 : width;
}

static void track_cell(struct table *table, const struct top *top, int cohort, enum top_row row, int width, bool utf8)
{
	double own = sparkline_peak(top->track[cohort][row], top->count);
	double other = sparkline_peak(top->track[!cohort][row], top->count);
	char text[SPARKLINE_TEXT_LEN];

	table_left(table, STYLE_PLAIN, "%s",
		   sparkline(top->track[cohort][row], top->count, top->span,
			     rows[row].scale == SCALE_BOTH && other > own ? other : own, width, utf8, text));
}

static void print_cohorts(const struct top *top, const json_t *service, int columns, bool utf8)
{
	double weight = number_of(service, "effective_weight");
	int width = sparkline_width(top, columns);
	struct table table = {};

	table_left(&table, STYLE_PLAIN, "%s", "");
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		table_right(&table, STYLE_BOLD, "%10s", cohort_name(cohort));
		if (width && cohort == CANARY_STABLE)
			table_left(&table, STYLE_PLAIN, "%s", "");
	}
	table_end_row(&table);
	table_left(&table, STYLE_PLAIN, "weight");
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		table_right(&table, STYLE_PLAIN, "%.2f%%", cohort == CANARY_CANARY ? weight : 100 - weight);
		if (width && cohort == CANARY_STABLE)
			table_left(&table, STYLE_PLAIN, "%s", "");
	}
	table_end_row(&table);
	for (int row = 0; row < TOP_ROW_COUNT; row++) {
		table_left(&table, STYLE_PLAIN, "%s", rows[row].label);
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
			double value = top->value[cohort][row];
			bool bad = row == TOP_DROPS && value > 0;
			char text[VALUE_LEN];

			table_right(&table, bad ? STYLE_ALARM : STYLE_PLAIN, "%s",
				    format_value(value, rows[row].format, text));
			if (width)
				track_cell(&table, top, cohort, row, width, utf8);
		}
		table_end_row(&table);
	}
	table_print(&table, top->cli, 2);
}

/* Since the service is there. */
static void print_drops(const struct top *top, const json_t *service)
{
	const json_t *cohorts = json_object_get(service, "cohorts");
	const json_t *stable = json_object_get(json_object_get(cohorts, "stable"), "drops");
	const json_t *canary = json_object_get(json_object_get(cohorts, "canary"), "drops");
	struct table table = {};
	const char *reason;
	json_t *count;

	json_object_foreach ((json_t *)stable, reason, count) {
		json_int_t both[] = {json_integer_value(count), integer_of(canary, reason)};

		if (!strcmp(reason, "total") || (!both[0] && !both[1]))
			continue;
		table_left(&table, STYLE_PLAIN, "dropped: %s", reason);
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			table_right(&table, both[cohort] ? STYLE_ALARM : STYLE_PLAIN, "%lld", (long long)both[cohort]);
		table_end_row(&table);
	}
	table_print(&table, top->cli, 2);
}

/* "12:15:00Z" of a time in RFC 3339. */
static const char *time_of_day(const json_t *object, const char *key)
{
	const char *text = text_of(object, key), *time = strchr(text, 'T');

	return time ? time + 1 : text;
}

static void print_guards(const json_t *service)
{
	const json_t *lease = json_object_get(service, "lease"), *window = json_object_get(service, "window");

	printf("  breaker %s", text_of(json_object_get(service, "breaker"), "state"));
	if (!json_is_object(lease))
		printf("  no lease");
	else
		printf("  lease %s %s", json_is_true(json_object_get(lease, "expired")) ? "expired" : "until",
		       time_of_day(lease, "expires_at"));
	if (json_is_true(json_object_get(window, "open")))
		printf("  window closes %s, %lld flows held\n", time_of_day(window, "closes_at"),
		       (long long)integer_of(window, "held"));
	else
		printf("  no window open\n");
}

static void print_rollout(const struct top *top, const json_t *service)
{
	const json_t *status = json_object_get(service, "rollout_status");

	if (!json_is_object(status)) {
		if (json_is_true(json_object_get(service, "rollout")))
			printf("%s  its weight belongs to a rollout, and canaryd does not answer%s\n",
			       style_begin(top->cli, STYLE_ALARM), style_end(top->cli, STYLE_ALARM));
		return;
	}
	if (!integer_of(status, "release"))
		return;
	printf("  rollout of ");
	rollout_print_line(status);
	putchar('\n');
	if (integer_of(status, "step"))
		rollout_print_bars(top->cli, status);
}

void top_print(const struct top *top, int columns, bool utf8)
{
	const json_t *service = json_array_get(json_object_get(top->now, "services"), 0);

	if (!service) {
		puts("no services");
	} else {
		print_service_line(top->cli, service);
		guard_print_alarms(top->cli, service);
		print_guards(service);
		print_rollout(top, service);
		print_cohorts(top, service, columns, utf8);
		print_drops(top, service);
		stats_print_backends(top->cli, service);
		putchar('\n');
	}
	stats_print_interfaces(top->cli, json_object_get(top->now, "interfaces"));
}
