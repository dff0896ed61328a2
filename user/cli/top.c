/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl top */
#include "cli/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/interval.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "core/text.h"
#include "ops/clock.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define PLAIN_COLUMNS 100
#define COUNT_MAX 1000000000

struct turns {
	__u64 interval, due;
	unsigned count; /* that are left; 0: no end */
};

static int parse_turns(const struct cli *cli, bool live, struct turns *ret, struct error *error)
{
	const char *interval = cli->values[OPT_INTERVAL], *count = cli->values[OPT_COUNT];

	ret->count = live ? 0 : 1;
	if (count && parse_unsigned(count, 1, COUNT_MAX, &ret->count))
		return fail(error, CLI_USAGE, "--count is a whole number from 1 on, not \"%s\"", count);
	return argument_interval("interval", interval ? interval : "1", &ret->interval, error);
}

/* Was that the last turn? */
static bool is_last(struct turns *turns)
{
	return turns->count && !--turns->count;
}

/*
 * What is printed goes to memory: all that views print with goes to stdout, which the GNU C library lets one set as any other
 * variable. To be freed.
 */
static char *print_to_memory(const struct top *top, int columns, bool utf8)
{
	FILE *terminal = stdout, *memory;
	char *text = NULL;
	size_t len;

	memory = must(open_memstream(&text, &len));
	stdout = memory;
	top_print(top, columns, utf8);
	stdout = terminal;
	fclose(memory);
	return must(text);
}

static void draw(const struct top *top, const struct turns *turns, bool utf8)
{
	int columns, rows;
	char choice[64] = "", last[160], *text;

	terminal_size(&columns, &rows);
	text = print_to_memory(top, columns, utf8);
	if (top->services > 1)
		snprintf(choice, sizeof(choice), "  service %zu of %zu: tab, arrows, 1-9", top->position,
			 top->services);
	snprintf(last, sizeof(last), "q quits%s  every %gs  %.19sZ", choice,
		 (double)turns->interval / (double)NSEC_PER_SEC, json_string_value(json_object_get(top->now, "time")));
	terminal_draw(text, last);
	free(text);
}

/* Reads, draws and waits, until it is to end: 0, or -errno with a sentence. */
static int run_live(struct top *top, struct turns *turns, struct error *error)
{
	bool utf8 = terminal_has_utf8();
	int digit = 0, err = top_read(top, top->cli->argument_count ? top->cli->arguments[0] : NULL, error);

	turns->due = next_turn(clock_monotonic_ns(), turns->interval);
	while (!err) {
		draw(top, turns, utf8);
		if (!output_flush())
			return 0; /* main() finds it */
		switch (terminal_wait(turns->due, &digit)) {
		case TERMINAL_QUIT:
			return 0;
		case TERMINAL_RESIZED:
			break;
		case TERMINAL_NEXT:
			err = top_choose(top, 1, 0, error);
			break;
		case TERMINAL_PREVIOUS:
			err = top_choose(top, -1, 0, error);
			break;
		case TERMINAL_DIGIT:
			err = top_choose(top, 0, (size_t)digit, error);
			break;
		case TERMINAL_TIME:
			if (is_last(turns))
				return 0;
			turns->due = next_turn(turns->due, turns->interval);
			err = top_read(top, NULL, error);
		}
	}
	return err;
}

/* Each block is of the interval before it. */
static int run_plain(struct top *top, struct turns *turns, struct error *error)
{
	const char *name = top->cli->argument_count ? top->cli->arguments[0] : NULL;
	int err = top_read(top, name, error);
	bool utf8 = terminal_has_utf8(), first = true;
	int columns = PLAIN_COLUMNS, rows;

	if (isatty(STDOUT_FILENO))
		terminal_size(&columns, &rows);
	turns->due = clock_monotonic_ns();
	while (!err) {
		turns->due = next_turn(turns->due, turns->interval);
		sleep_until(turns->due);
		err = top_read(top, name, error);
		if (err)
			break;
		if (top->cli->json) {
			print_json(json_incref(top->now));
		} else {
			printf("%s%s", first ? "" : "\n", json_string_value(json_object_get(top->now, "time")));
			if (!name && top->services > 1)
				printf("  service %zu of %zu: name another one", top->position, top->services);
			putchar('\n');
			top_print(top, columns, utf8);
		}
		first = false;
		if (!output_flush() || is_last(turns))
			break;
	}
	return err;
}

int cmd_top(const struct cli *cli, struct error *error)
{
	bool live = !cli->json && terminal_is_there();
	struct turns turns;
	struct top *top;
	int err = parse_turns(cli, live, &turns, error);

	if (err)
		return err;
	top = must(calloc(1, sizeof(*top)));
	top->cli = cli;
	top->span = turns.interval > MINUTE ? 1 : (size_t)(MINUTE / turns.interval);
	if (top->span > TOP_SPAN_MAX)
		top->span = TOP_SPAN_MAX;
	if (live)
		terminal_take();
	err = live ? run_live(top, &turns, error) : run_plain(top, &turns, error);
	terminal_give_back();
	top_forget(top);
	free(top);
	return err ? CLI_FAILED : CLI_DONE;
}
