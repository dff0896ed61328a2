/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/change.h"
#include "cli/rollout_bar.h"
#include "cli/table.h"
#include "cli/view.h"
#include "core/text.h"

#define BAR_MIN 4
#define BAR_MAX 200
#define STEPS_WIDTH 60 /* of all steps together at most: longer says no more */

static int columns(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return 80;
}

static int clamp(int value, int low, int high)
{
	return value < low ? low : value > high ? high : value;
}

/* "####----": `part` of it is full. */
static const char *bar(int width, double part, char buf[BAR_MAX + 1])
{
	int full = clamp((int)(part * width + 0.5), 0, width);

	memset(buf, '#', (size_t)full);
	memset(buf + full, '-', (size_t)(width - full));
	buf[width] = '\0';
	return buf;
}

static double part_of(const json_t *status)
{
	double bake = number_of(status, "bake");

	return bake > 0 ? number_of(status, "elapsed") / bake : 0;
}

/* "plan      5% #### 25% ##-- 50% ---- 100% ----" */
static void print_plan(const struct cli *cli, const json_t *status)
{
	const json_t *steps = json_object_get(json_object_get(status, "plan"), "steps");
	long long now = integer_of(status, "step");
	bool over = !strcmp(text_of(status, "state"), "succeeded");
	int count = (int)json_array_size(steps);
	int width = count ? clamp(clamp(columns() - 12, 0, STEPS_WIDTH) / count - 6, BAR_MIN, BAR_MAX) : 0;
	char full[BAR_MAX + 1];
	json_t *step;
	size_t i;

	if (!count)
		return;
	printf("  %-10s", "plan");
	json_array_foreach (steps, i, step) {
		bool current = (long long)i + 1 == now && !over;
		double part = over || (long long)i + 1 < now ? 1 : current ? part_of(status) : 0;
		const json_t *weight = json_object_get(step, "weight");
		enum style style = current ? STYLE_BOLD : STYLE_PLAIN;

		/* As in a file: text, or a number. */
		printf("%s%s", i ? " " : "", style_begin(cli, style));
		if (json_is_number(weight))
			printf("%g", json_number_value(weight));
		else
			printf("%s", json_is_string(weight) ? json_string_value(weight) : "");
		printf("%% %s%s", bar(width, part, full), style_end(cli, style));
	}
	putchar('\n');
}

static void print_bake(const json_t *status)
{
	char elapsed[DURATION_TEXT_LEN], bake[DURATION_TEXT_LEN], full[BAR_MAX + 1];
	int width = clamp(columns() - 44, BAR_MIN, STEPS_WIDTH);
	double part = part_of(status);

	printf("  %-10s%s  %s of %s%s\n", "bake", bar(width, part, full),
	       format_duration((unsigned)number_of(status, "elapsed"), elapsed),
	       format_duration((unsigned)number_of(status, "bake"), bake),
	       json_is_false(json_object_get(status, "warm")) ? ", warming up" : "");
}

void rollout_print_bars(const struct cli *cli, const json_t *status)
{
	const char *state = text_of(status, "state");

	print_plan(cli, status);
	if (strcmp(state, "succeeded") && strcmp(state, "rolled_back") && strcmp(state, "idle"))
		print_bake(status);
}
