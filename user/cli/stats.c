/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl stats */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/stats.h"

#define NSEC_PER_SEC 1000000000LL

/* "0.1" to "3600", "" for 1, in nanoseconds: digits, and one decimal point at most among them. */
static int parse_interval(const char *text, long long *ret)
{
	size_t whole = strspn(text, "0123456789"), decimals = 0;
	double seconds;

	if (!*text) {
		*ret = NSEC_PER_SEC;
		return 0;
	}
	if (text[whole] == '.')
		decimals = strspn(text + whole + 1, "0123456789") + 1;
	if (!whole || whole > 4 || decimals == 1 || decimals > 10 || text[whole + decimals])
		return -EINVAL;
	/* The locale is never set: '.' is the decimal point. */
	seconds = strtod(text, NULL);
	if (seconds < 0.1 || seconds > 3600)
		return -EINVAL;
	*ret = (long long)(seconds * NSEC_PER_SEC);
	return 0;
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static void sleep_until(long long ns)
{
	const struct timespec until = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static void show(const struct cli *cli, json_t *stats)
{
	if (cli->json)
		print_json(json_incref(stats));
	else
		stats_print(cli, stats);
}

/* Until something fails: the reading, with a sentence, or the writing, which main() finds. */
static int watch(const struct cli *cli, long long interval, struct error *error)
{
	bool redraw = !cli->json && isatty(STDOUT_FILENO);
	json_t *stats, *before = NULL;
	long long next = now_ns(), read_ns, before_ns = 0;

	for (;;) {
		stats = stats_read(cli, cli->values[OPT_SERVICE], error);
		read_ns = now_ns();
		if (stats && before)
			stats_add_rates(stats, before, (double)(read_ns - before_ns) / NSEC_PER_SEC);
		if (redraw)
			fputs("\033[H\033[J", stdout);
		else if (before && !cli->json)
			putchar('\n');
		json_decref(before);
		before = stats;
		before_ns = read_ns;
		if (!stats)
			return CLI_FAILED;
		show(cli, stats);
		if (!output_flush())
			break;
		next += interval;
		/* After a stop (a suspended terminal) the missed turns are not made up for. */
		if (next < now_ns())
			next = now_ns();
		sleep_until(next);
	}
	json_decref(before);
	return CLI_DONE;
}

int cmd_stats(const struct cli *cli, struct error *error)
{
	const char *seconds = cli->values[OPT_WATCH];
	long long interval;
	json_t *stats;

	if (seconds && parse_interval(seconds, &interval))
		return fail(error, CLI_USAGE, "--watch is 0.1 to 3600 seconds, not \"%s\"", seconds);
	if (seconds)
		return watch(cli, interval, error);
	stats = stats_read(cli, cli->values[OPT_SERVICE], error);
	if (!stats)
		return CLI_FAILED;
	show(cli, stats);
	json_decref(stats);
	return CLI_DONE;
}
