/* SPDX-License-Identifier: Apache-2.0 */
/* From the rounds' samples to figures. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	unsigned first = *(const unsigned *)a, second = *(const unsigned *)b;

	return first < second ? -1 : first > second;
}

static int compare_ratios(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return first < second ? -1 : first > second;
}

struct bench_figure bench_total(const struct bench_samples *samples)
{
	unsigned sorted[BENCH_MAX_ROUNDS], n = samples->count;

	if (!n)
		return (struct bench_figure){};
	memcpy(sorted, samples->ns, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct bench_figure){.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0, .min = sorted[0]};
}

/*
 * What is before the program under test goes. Where it moves the packet's head, the prologue moves it back, at the same
 * price: half of what two such moves cost.
 */
static struct bench_figure net(const struct bench_result *result, const struct bench_samples *samples, bool moves_head)
{
	struct bench_figure total = bench_total(samples), before = bench_total(&result->floor[BENCH_FLOOR_TX]);
	struct bench_figure moved = bench_total(&result->floor[BENCH_FLOOR_ADJUST]);

	if (moves_head) {
		before.median += (moved.median - before.median) / 2;
		before.min += (moved.min - before.min) / 2;
	}
	return (struct bench_figure){.median = total.median - before.median, .min = total.min - before.min};
}

struct bench_figure bench_net_floor(const struct bench_result *result, enum bench_floor floor)
{
	return net(result, &result->floor[floor], floor == BENCH_FLOOR_ADJUST || floor == BENCH_FLOOR_IPIP);
}

struct bench_figure bench_net_row(const struct bench_result *result, enum bench_flows flows)
{
	return net(result, &result->row[flows], bench_tunnels(&result->group));
}

struct bench_figure bench_net_off(const struct bench_result *result, enum bench_flows flows)
{
	return net(result, &result->off[flows], bench_tunnels(&result->group));
}

enum bench_floor bench_floor_of(const struct bench_group *group)
{
	return bench_tunnels(group) ? BENCH_FLOOR_IPIP : BENCH_FLOOR_SWAP;
}

/* Samples are whole nanoseconds: what takes less than one takes one. */
static double ratio(double a, double b)
{
	return (a < 1 ? 1 : a) / (b < 1 ? 1 : b);
}

double bench_ratio_to_floor(const struct bench_result *result, enum bench_flows flows)
{
	if (!result->row[flows].count)
		return 0;
	return ratio(bench_net_row(result, flows).median,
		     bench_net_floor(result, bench_floor_of(&result->group)).median);
}

/* The median of the rounds' ratios: the two ran one after the other, so what slowed one down slowed the other. */
static double ratio_to_off(const struct bench_result *result, enum bench_flows flows, double before)
{
	const struct bench_samples *row = &result->row[flows], *off = &result->off[flows];
	double ratios[BENCH_MAX_ROUNDS];
	unsigned n = row->count;

	if (!n || off->count != n)
		return 0;
	for (unsigned i = 0; i < n; i++)
		ratios[i] = ratio(row->ns[i] - before, off->ns[i] - before);
	qsort(ratios, n, sizeof(*ratios), compare_ratios);
	return (ratios[(n - 1) / 2] + ratios[n / 2]) / 2;
}

double bench_ratio_to_off(const struct bench_result *result, enum bench_flows flows)
{
	return ratio_to_off(result, flows,
			    bench_total(&result->row[flows]).median - bench_net_row(result, flows).median);
}

double bench_gross_ratio_to_off(const struct bench_result *result, enum bench_flows flows)
{
	return ratio_to_off(result, flows, 0);
}

double bench_ratio_of_flows(const struct bench_result *result)
{
	if (!result->row[BENCH_FLOWS_1].count || !result->row[BENCH_FLOWS_1M].count)
		return 0;
	return ratio(bench_net_row(result, BENCH_FLOWS_1M).median, bench_net_row(result, BENCH_FLOWS_1).median);
}
