/* SPDX-License-Identifier: Apache-2.0 */
/* The bench as a program: what to measure, and where to write it. */
#include "../bpf/lib_env.h"

#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"

static const char usage[] =
	"bench [--repeat N] [--rounds N] [--cpu N] [--json FILE] [--plot FILE] [WORD...]\n"
	"\n"
	"ns per packet of the data plane. As root; in a network namespace of its own.\n"
	"\n"
	"  --repeat N   packets of a timed run (5000000; short runs are not to be trusted)\n"
	"  --rounds N   rounds, beside one that warms up (9)\n"
	"  --cpu N      the CPU to run on (the last one)\n"
	"  --json FILE  the results as JSON as well; -: to standard output, and the table to standard error\n"
	"  --plot FILE  and as a picture (SVG): ns against flows\n"
	"\n"
	"Words select rows; those of one line are alternatives, a line without any takes all:\n"
	"\n";

struct task {
	struct bench_options options;
	struct bench_selection selection;
	const char *json, *plot;
	unsigned cpu;
	bool cpu_given;
};

static void print_usage(FILE *to)
{
	fputs(usage, to);
	for (int axis = 0; axis < BENCH_AXES; axis++) {
		fputs(" ", to);
		for (unsigned i = 0; i < bench_axis_words(axis); i++)
			fprintf(to, " %s", bench_word(axis, i));
		fputs("\n", to);
	}
}

/* 0, or the exit code that a mistake deserves. */
static int parse_arguments(int argc, char **argv, struct task *task)
{
	static const struct option options[] = {
		{"repeat", required_argument, NULL, 'r'},
		{"rounds", required_argument, NULL, 'n'},
		{"cpu", required_argument, NULL, 'c'},
		{"json", required_argument, NULL, 'j'},
		{"plot", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int option, bad = 0;

	*task = (struct task){.options = {.repeat = 5000000, .rounds = 9}};
	while (!bad && (option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'r':
			bad = parse_unsigned(optarg, 1, 1000000000, &task->options.repeat);
			break;
		case 'n':
			bad = parse_unsigned(optarg, 1, BENCH_MAX_ROUNDS, &task->options.rounds);
			break;
		case 'c':
			bad = parse_unsigned(optarg, 0, 1023, &task->cpu);
			task->cpu_given = true;
			break;
		case 'j':
			task->json = optarg;
			break;
		case 'p':
			task->plot = optarg;
			break;
		case 'h':
			print_usage(stdout);
			exit(0);
		default:
			return 2;
		}
	if (bad) {
		fprintf(stderr, "bench: not a number that can be: %s\n", optarg);
		return 2;
	}
	for (; optind < argc; optind++)
		if (!bench_select(&task->selection, argv[optind])) {
			fprintf(stderr, "bench: no such word: %s\n\n", argv[optind]);
			print_usage(stderr);
			return 2;
		}
	return 0;
}

/* With statistics on, the kernel reads the clock twice a run, and that is what would be measured. */
static bool statistics_are_on(void)
{
	FILE *file = fopen("/proc/sys/kernel/bpf_stats_enabled", "re");
	int value = file ? fgetc(file) : EOF;

	if (file)
		fclose(file);
	return value != EOF && value != '0';
}

static void show_progress(const struct bench_group *group, unsigned done, unsigned count)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K[%u/%u] %s %s %s %s %s ...", done + 1, count,
			bench_word(BENCH_AXIS_FORWARD, group->forward), bench_word(BENCH_AXIS_FAMILY, group->family),
			bench_word(BENCH_AXIS_PACKET, group->packet), bench_word(BENCH_AXIS_STATE, group->state),
			bench_word(BENCH_AXIS_OBSERVE, group->observe));
}

static void hide_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static int write_json(const struct task *task, int cpu, const struct bench_result *results, size_t count)
{
	FILE *to = strcmp(task->json, "-") ? fopen(task->json, "we") : stdout;
	int result = to ? bench_write_json(to, &task->options, cpu, results, count) : -errno;

	if (to && to != stdout && fclose(to) && !result)
		result = -errno;
	if (result)
		fprintf(stderr, "bench: cannot write %s: %s\n", task->json, strerror(-result));
	return result;
}

static int write_plot(const char *path, const struct bench_result *results, size_t count)
{
	FILE *to = fopen(path, "we");
	int result = to ? bench_write_plot(to, results, count) : -errno;

	if (to && fclose(to) && !result)
		result = -errno;
	if (result)
		fprintf(stderr, "bench: cannot write %s: %s\n", path, strerror(-result));
	return result;
}

static int measure(void *arg)
{
	static struct bench_result results[BENCH_MAX_GROUPS];
	const struct task *task = arg;
	FILE *table = task->json && !strcmp(task->json, "-") ? stderr : stdout;
	unsigned index = 0, count = 0, done = 0;
	int cpu = bench_pin(task->cpu_given ? (int)task->cpu : -1);
	struct bench_group group;

	if (cpu < 0) {
		fprintf(stderr, "bench: cannot run on that CPU alone: %s\n", strerror(-cpu));
		return 1;
	}
	while (bench_next_group(&task->selection, &index, &group))
		count++;
	bench_print_head(table, &task->options, cpu);
	for (index = 0; bench_next_group(&task->selection, &index, &group); done++) {
		show_progress(&group, done, count);
		bench_run_group(&task->options, &task->selection, &group, &results[done]);
		hide_progress();
		bench_print_group(table, &results[done]);
	}
	if (task->json && write_json(task, cpu, results, done))
		return 1;
	return task->plot && write_plot(task->plot, results, done);
}

int main(int argc, char **argv)
{
	struct bench_group group;
	unsigned index = 0;
	struct task task;
	int code = parse_arguments(argc, argv, &task);

	if (code)
		return code;
	if (!bench_next_group(&task.selection, &index, &group)) {
		fputs("bench: there are no such rows\n", stderr);
		return 2;
	}
	if (geteuid()) {
		fputs("bench: only root may load kernel programs\n", stderr);
		return 1;
	}
	if (statistics_are_on()) {
		fputs("bench: kernel.bpf_stats_enabled is not 0: it would be most of what is measured\n", stderr);
		return 1;
	}
	return env_run("bench", measure, &task);
}
