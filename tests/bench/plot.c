/* SPDX-License-Identifier: Apache-2.0 */
/* The results as a picture: net ns per packet against the number of flows, a line for each group. */
#include "bench.h"

#include <errno.h>

#define WIDTH 960
#define HEIGHT 540
#define LEFT 60
#define RIGHT 700 /* the legend is beyond */
#define TOP 40
#define BOTTOM 490
#define LINE_HEIGHT 16
#define COLOURS 12
#define TICKS 8

/* What the picture's height stands for. */
static double highest(const struct bench_result *results, size_t count)
{
	double most = 10, step = TICKS * 5;

	for (size_t i = 0; i < count; i++)
		for (int flows = 0; flows < BENCH_FLOWS; flows++)
			if (results[i].row[flows].count && bench_net_row(&results[i], flows).median > most)
				most = bench_net_row(&results[i], flows).median;
	/* A round number at each tick. */
	return ((unsigned)((most - 1) / step) + 1) * step;
}

/* Numbers of flows are evenly spaced, by their place in the list: which is nearly that of their logarithm. */
static double x_of(int flows)
{
	return LEFT + (RIGHT - LEFT) * (double)flows / (BENCH_FLOWS - 1);
}

static double y_of(double ns, double most)
{
	return BOTTOM - (BOTTOM - TOP) * (ns > 0 ? ns : 0) / most;
}

static void draw_axes(FILE *to, double most)
{
	fprintf(to, "<path d='M%d %dV%dH%d' fill='none' stroke='#333'/>\n", LEFT, TOP, BOTTOM, RIGHT);
	for (int i = 0; i <= TICKS; i++)
		fprintf(to, "<text x='%d' y='%.1f' text-anchor='end'>%.0f</text>\n", LEFT - 6,
			y_of(most * i / TICKS, most) + 4, most * i / TICKS);
	for (int flows = 0; flows < BENCH_FLOWS; flows++)
		fprintf(to, "<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n", x_of(flows), BOTTOM + 18,
			bench_word(BENCH_AXIS_FLOWS, flows));
	fprintf(to, "<text x='%d' y='%d'>net ns per packet, median</text>\n", LEFT, TOP - 14);
	fprintf(to, "<text x='%d' y='%d' text-anchor='end'>flows</text>\n", RIGHT, BOTTOM + 36);
}

static void draw_line(FILE *to, const struct bench_result *result, size_t number, double most)
{
	const struct bench_group *group = &result->group;
	unsigned hue = number % COLOURS * 360 / COLOURS, lightness = 35 + number / COLOURS % 3 * 12;
	double y = TOP + LINE_HEIGHT * (double)number;

	fprintf(to, "<g stroke='hsl(%u,70%%,%u%%)' fill='hsl(%u,70%%,%u%%)'>\n<polyline fill='none' points='", hue,
		lightness, hue, lightness);
	for (int flows = 0; flows < BENCH_FLOWS; flows++)
		if (result->row[flows].count)
			fprintf(to, "%.1f,%.1f ", x_of(flows), y_of(bench_net_row(result, flows).median, most));
	fprintf(to, "'/>\n");
	for (int flows = 0; flows < BENCH_FLOWS; flows++)
		if (result->row[flows].count)
			fprintf(to, "<circle r='2.5' cx='%.1f' cy='%.1f'/>\n", x_of(flows),
				y_of(bench_net_row(result, flows).median, most));
	fprintf(to, "<text stroke='none' x='%d' y='%.1f'>%s %s %s %s %s</text>\n</g>\n", RIGHT + 16, y + 4,
		bench_word(BENCH_AXIS_FORWARD, group->forward), bench_word(BENCH_AXIS_FAMILY, group->family),
		bench_word(BENCH_AXIS_PACKET, group->packet), bench_word(BENCH_AXIS_STATE, group->state),
		bench_word(BENCH_AXIS_OBSERVE, group->observe));
}

int bench_write_plot(FILE *to, const struct bench_result *results, size_t count)
{
	size_t legend = TOP + LINE_HEIGHT * (count + 1);
	double most = highest(results, count);

	fprintf(to,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%zu' font-family='sans-serif' "
		"font-size='12'>\n<rect width='100%%' height='100%%' fill='#fff'/>\n",
		WIDTH, legend > HEIGHT ? legend : HEIGHT);
	draw_axes(to, most);
	for (size_t i = 0; i < count; i++)
		draw_line(to, &results[i], i, most);
	fputs("</svg>\n", to);
	return fflush(to) || ferror(to) ? -EIO : 0;
}
