/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/guard.h"
#include "cli/outcomes.h"
#include "cli/output.h"
#include "cli/stats.h"
#include "cli/view.h"

static const char *const cohort_names_in_order[] = {"stable", "canary"};
#define COHORTS 2

static const json_t *cohort_of(const json_t *service, int cohort)
{
	return json_object_get(json_object_get(service, "cohorts"), cohort_names_in_order[cohort]);
}

static void percent_cell(struct table *table, double part, double whole)
{
	if (whole > 0)
		table_right(table, STYLE_PLAIN, "%.2f%%", 100 * part / whole);
	else
		table_right(table, STYLE_PLAIN, "-");
}

static void count_cell(struct table *table, json_int_t count, enum style style)
{
	table_right(table, style, "%lld", (long long)count);
}

static void rate_cells(struct table *table, const json_t *object, const char *const *names, size_t count)
{
	const json_t *rates = json_object_get(object, "rates");

	for (size_t i = 0; rates && i < count; i++)
		table_right(table, STYLE_PLAIN, "%.1f", number_of(rates, names[i]));
}

/* A row of the cohorts' table. One that is 0 for both is left out where `rare`. */
static void counter_row(struct table *table, const json_t *const *cohorts, const char *name, const char *prefix,
			bool rare, enum style style)
{
	if (rare && !integer_of(cohorts[0], name) && !integer_of(cohorts[1], name))
		return;
	table_left(table, STYLE_PLAIN, "%s%s", prefix, name);
	for (int i = 0; i < COHORTS; i++) {
		json_int_t count = integer_of(cohorts[i], name);

		count_cell(table, count, count ? style : STYLE_PLAIN);
	}
	table_end_row(table);
}

static void rate_row(struct table *table, const json_t *const *cohorts, const char *name)
{
	if (!json_object_get(cohorts[0], "rates"))
		return;
	table_left(table, STYLE_PLAIN, "%s/s", name);
	for (int i = 0; i < COHORTS; i++)
		table_right(table, STYLE_PLAIN, "%.1f", number_of(json_object_get(cohorts[i], "rates"), name));
	table_end_row(table);
}

static void print_cohorts(const struct cli *cli, const json_t *service)
{
	const char *const *counters = stats_cohort_counters;
	const json_t *cohorts[COHORTS], *drops[COHORTS];
	double weight = number_of(service, "weight"), flows = 0;
	struct table table = {};
	const char *name;
	json_t *value;

	/* The corner above the names. */
	table_left(&table, STYLE_PLAIN, "%s", "");
	for (int i = 0; i < COHORTS; i++) {
		cohorts[i] = cohort_of(service, i);
		drops[i] = json_object_get(cohorts[i], "drops");
		flows += integer_of(cohorts[i], "flows");
		table_right(&table, STYLE_BOLD, "%s", cohort_names_in_order[i]);
	}
	table_end_row(&table);

	table_left(&table, STYLE_PLAIN, "weight");
	percent_cell(&table, 100 - weight, 100);
	percent_cell(&table, weight, 100);
	table_end_row(&table);
	table_left(&table, STYLE_PLAIN, "share of flows");
	for (int i = 0; i < COHORTS; i++)
		percent_cell(&table, integer_of(cohorts[i], "flows"), flows);
	table_end_row(&table);

	for (size_t i = 0; i < CANARY_COHORT_COUNTERS; i++) {
		counter_row(&table, cohorts, counters[i], "", i > CANARY_COHORT_FLOWS, STYLE_PLAIN);
		if (i <= CANARY_COHORT_FLOWS)
			rate_row(&table, cohorts, counters[i]);
	}
	json_object_foreach ((json_t *)drops[0], name, value)
		if (strcmp(name, "total"))
			counter_row(&table, drops, name, "dropped: ", true, STYLE_ALARM);
	outcomes_rows(&table, service);
	table_print(&table, cli, 2);
	outcomes_print_notes(cli, service);
}

static void backend_heads(struct table *table, bool rates)
{
	static const char *const heads[] = {"backend", "cohort", "state",     "weight",	 "packets", "bytes",
					    "flows",   "share",	 "packets/s", "bytes/s", "flows/s"};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]) - (rates ? 0 : 3); i++) {
		if (i < 3)
			table_left(table, STYLE_BOLD, "%s", heads[i]);
		else
			table_right(table, STYLE_BOLD, "%s", heads[i]);
	}
	table_end_row(table);
}

void stats_print_backends(const struct cli *cli, const json_t *service)
{
	const char *const *counters = stats_backend_counters;
	const json_t *backends = json_object_get(service, "backends");
	struct table table = {};
	json_t *backend;
	size_t i;

	if (!json_array_size(backends))
		return;
	putchar('\n');
	backend_heads(&table, json_object_get(json_array_get(backends, 0), "rates"));
	json_array_foreach (backends, i, backend) {
		const char *cohort = text_of(backend, "cohort");
		char endpoint[96];

		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(backend, endpoint));
		table_left(&table, STYLE_PLAIN, "%s", cohort);
		table_left(&table, STYLE_PLAIN, "%s", text_of(backend, "state"));
		count_cell(&table, integer_of(backend, "weight"), STYLE_PLAIN);
		for (size_t j = 0; j < CANARY_BACKEND_COUNTERS; j++)
			count_cell(&table, integer_of(backend, counters[j]), STYLE_PLAIN);
		percent_cell(&table, integer_of(backend, "flows"),
			     integer_of(cohort_of(service, !strcmp(cohort, "canary")), "flows"));
		rate_cells(&table, backend, counters, CANARY_BACKEND_COUNTERS);
		table_end_row(&table);
	}
	table_print(&table, cli, 2);
}

static void print_drops(const struct cli *cli, const json_t *interfaces)
{
	json_t *interface, *count;
	const char *reason;
	size_t i;

	json_array_foreach (interfaces, i, interface)
		json_object_foreach (json_object_get(interface, "drops"), reason, count)
			if (strcmp(reason, "total") && json_integer_value(count))
				printf("%s  %s: dropped: %s %lld%s\n", style_begin(cli, STYLE_ALARM),
				       text_of(interface, "name"), reason, (long long)json_integer_value(count),
				       style_end(cli, STYLE_ALARM));
}

void stats_print_interfaces(const struct cli *cli, const json_t *interfaces)
{
	const char *const *counters = stats_interface_counters;
	bool rates = json_object_get(json_array_get(interfaces, 0), "rates");
	struct table table = {};
	json_t *interface;
	size_t i;

	if (!json_array_size(interfaces)) {
		puts("nothing is attached");
		return;
	}
	table_left(&table, STYLE_BOLD, "interface");
	table_left(&table, STYLE_BOLD, "mode");
	for (size_t j = 0; j < CANARY_INTERFACE_COUNTERS; j++)
		table_right(&table, STYLE_BOLD, "%s", counters[j]);
	for (size_t j = 0; rates && j < CANARY_INTERFACE_COUNTERS; j++)
		table_right(&table, STYLE_BOLD, "%s/s", counters[j]);
	table_end_row(&table);
	json_array_foreach (interfaces, i, interface) {
		table_left(&table, STYLE_PLAIN, "%s", text_of(interface, "name"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(interface, "mode"));
		for (size_t j = 0; j < CANARY_INTERFACE_COUNTERS; j++) {
			json_int_t count = integer_of(interface, counters[j]);

			count_cell(&table, count, count && j == CANARY_INTERFACE_TX_ERRORS ? STYLE_ALARM : STYLE_PLAIN);
		}
		rate_cells(&table, interface, counters, CANARY_INTERFACE_COUNTERS);
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
	print_drops(cli, interfaces);
}

void stats_print(const struct cli *cli, const json_t *stats)
{
	const json_t *services = json_object_get(stats, "services");
	json_t *service;
	size_t i;

	json_array_foreach (services, i, service) {
		print_service_line(cli, service);
		guard_print_alarms(cli, service);
		print_cohorts(cli, service);
		stats_print_backends(cli, service);
		putchar('\n');
	}
	if (!json_array_size(services))
		puts("no services");
	stats_print_interfaces(cli, json_object_get(stats, "interfaces"));
}
