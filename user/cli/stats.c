/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl stats */
#include <stdio.h>
#include <unistd.h>

#include "cli/fleet.h"
#include "cli/interval.h"
#include "cli/output.h"
#include "cli/stats.h"
#include "ops/clock.h"

static void show(const struct cli *cli, json_t *stats)
{
	if (cli->json)
		print_json(json_incref(stats));
	else
		stats_print(cli, stats);
}

/* Until something fails: the reading, with a sentence, or the writing, which main() finds. */
static int watch(const struct cli *cli, __u64 interval, struct error *error)
{
	bool redraw = !cli->json && isatty(STDOUT_FILENO);
	json_t *stats, *before = NULL;
	__u64 next = clock_monotonic_ns(), read_ns, before_ns = 0;

	for (;;) {
		stats = stats_read(cli, cli->values[OPT_SERVICE], error);
		read_ns = clock_monotonic_ns();
		if (stats && before)
			stats_add_rates(stats, before, (double)(read_ns - before_ns) / (double)NSEC_PER_SEC);
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
		next = next_turn(next, interval);
		sleep_until(next);
	}
	json_decref(before);
	return CLI_DONE;
}

int cmd_stats(const struct cli *cli, struct error *error)
{
	const char *seconds = cli->values[OPT_WATCH];
	__u64 interval;
	json_t *stats;

	if (cli->values[OPT_FLEET])
		return fleet_stats(cli, error);
	if (seconds && argument_interval("watch", seconds, &interval, error))
		return CLI_USAGE;
	if (seconds)
		return watch(cli, interval, error);
	stats = stats_read(cli, cli->values[OPT_SERVICE], error);
	if (!stats)
		return CLI_FAILED;
	show(cli, stats);
	json_decref(stats);
	return CLI_DONE;
}
