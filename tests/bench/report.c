/* SPDX-License-Identifier: Apache-2.0 */
/* One view of the results, as a table and as JSON. */
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include <jansson.h>

static void read_cpu_model(char *ret, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret, size, "unknown CPU");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(ret, size, "%s", value + 2);
		break;
	}
	if (file)
		fclose(file);
}

void bench_print_head(FILE *to, const struct bench_options *options, int cpu)
{
	struct utsname kernel;
	char model[128];

	uname(&kernel);
	read_cpu_model(model, sizeof(model));
	fprintf(to, "%s, Linux %s, CPU %d; %u packets a run, %u rounds\n", model, kernel.release, cpu, options->repeat,
		options->rounds);
	fprintf(to, "ns per packet, net of prologue and test run; floor: what the row is compared with; off: the same "
		    "with observing off\n\n");
	fprintf(to, "%-7s %-6s %-9s %-8s %-7s %6s  %7s %7s  %7s   %-6s %6s %7s   %7s %5s %5s\n", "forward", "family",
		"packet", "state", "observe", "flows", "net", "min", "gross", "floor", "net", "times", "off", "times",
		"gross");
}

void bench_print_group(FILE *to, const struct bench_result *result)
{
	const struct bench_group *group = &result->group;
	enum bench_floor floor = bench_floor_of(group);
	double ratio = bench_ratio_of_flows(result);

	for (int flows = 0; flows < BENCH_FLOWS; flows++) {
		struct bench_figure net = bench_net_row(result, flows);

		if (!result->row[flows].count)
			continue;
		fprintf(to, "%-7s %-6s %-9s %-8s %-7s %6s  %7.1f %7.1f  %7.1f   %-6s %6.1f %7.1f",
			bench_word(BENCH_AXIS_FORWARD, group->forward), bench_word(BENCH_AXIS_FAMILY, group->family),
			bench_word(BENCH_AXIS_PACKET, group->packet), bench_word(BENCH_AXIS_STATE, group->state),
			bench_word(BENCH_AXIS_OBSERVE, group->observe), bench_word(BENCH_AXIS_FLOWS, flows), net.median,
			net.min, bench_total(&result->row[flows]).median, bench_floor_name(floor),
			bench_net_floor(result, floor).median, bench_ratio_to_floor(result, flows));
		if (result->off[flows].count)
			fprintf(to, "   %7.1f %5.2f %5.2f", bench_net_off(result, flows).median,
				bench_ratio_to_off(result, flows), bench_gross_ratio_to_off(result, flows));
		if (flows == BENCH_FLOWS_1M && ratio)
			fprintf(to, "   1M/1 %.2f", ratio);
		fprintf(to, "\n");
	}
	fflush(to);
}

static json_t *figure(const char *kind, struct bench_figure net, struct bench_figure gross)
{
	return json_pack("{s:s, s:{s:f, s:f}, s:{s:f, s:f}}", "name", kind, "net_ns", "median", net.median, "min",
			 net.min, "gross_ns", "median", gross.median, "min", gross.min);
}

static json_t *group_json(const struct bench_result *result)
{
	const struct bench_group *group = &result->group;
	json_t *floors = json_array(), *rows = json_array();
	double ratio = bench_ratio_of_flows(result);
	json_t *json;

	for (int floor = 0; floor < BENCH_FLOORS; floor++)
		json_array_append_new(floors, figure(bench_floor_name(floor), bench_net_floor(result, floor),
						     bench_total(&result->floor[floor])));
	for (int flows = 0; flows < BENCH_FLOWS; flows++) {
		json_t *row;

		if (!result->row[flows].count)
			continue;
		row = figure(bench_word(BENCH_AXIS_FLOWS, flows), bench_net_row(result, flows),
			     bench_total(&result->row[flows]));
		json_object_set_new(row, "flows", json_integer(bench_flow_count(flows)));
		json_object_set_new(row, "times_floor", json_real(bench_ratio_to_floor(result, flows)));
		if (result->off[flows].count) {
			json_object_set_new(
				row, "off",
				figure("off", bench_net_off(result, flows), bench_total(&result->off[flows])));
			json_object_set_new(row, "times_off", json_real(bench_ratio_to_off(result, flows)));
			json_object_set_new(row, "gross_times_off", json_real(bench_gross_ratio_to_off(result, flows)));
		}
		json_array_append_new(rows, row);
	}
	json = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "forward", bench_word(BENCH_AXIS_FORWARD, group->forward),
		"family", bench_word(BENCH_AXIS_FAMILY, group->family), "packet",
		bench_word(BENCH_AXIS_PACKET, group->packet), "state", bench_word(BENCH_AXIS_STATE, group->state),
		"observe", bench_word(BENCH_AXIS_OBSERVE, group->observe), "floor",
		bench_floor_name(bench_floor_of(group)), "floors", floors, "rows", rows);
	if (ratio)
		json_object_set_new(json, "ratio_1m_to_1", json_real(ratio));
	return json;
}

int bench_write_json(FILE *to, const struct bench_options *options, int cpu, const struct bench_result *results,
		     size_t count)
{
	json_t *groups = json_array(), *json;
	struct utsname kernel;
	char model[128];
	int result;

	uname(&kernel);
	read_cpu_model(model, sizeof(model));
	for (size_t i = 0; i < count; i++)
		json_array_append_new(groups, group_json(&results[i]));
	json = json_pack("{s:{s:s, s:s, s:i}, s:i, s:i, s:o}", "machine", "cpu", model, "kernel", kernel.release,
			 "pinned_to", cpu, "repeat", (int)options->repeat, "rounds", (int)options->rounds, "groups",
			 groups);
	if (!json)
		return -ENOMEM;
	result = json_dumpf(json, to, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) ? -EIO : 0;
	json_decref(json);
	if (fputc('\n', to) == EOF || fflush(to))
		result = -EIO;
	return result;
}
