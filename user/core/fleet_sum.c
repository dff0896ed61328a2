/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fleet_sum.h"

#include <math.h>
#include <stdio.h>

static const struct {
	const char *name, *text;
} ratios[FLEET_RATIO_COUNT] = {
#define X(NAME, name, text) [FLEET_##NAME] = {#name, text},
	FLEET_RATIOS(X)
#undef X
};

const char *fleet_ratio_name(enum fleet_ratio ratio)
{
	return ratio < FLEET_RATIO_COUNT ? ratios[ratio].name : "unknown";
}

static void add(struct fleet_counts *sum, const struct fleet_counts *counts)
{
	for (int i = 0; i < CANARY_COHORTS; i++) {
		sum->flows[i] += counts->flows[i];
		sum->failures[i] += counts->failures[i];
	}
}

struct fleet_counts fleet_sum(const struct fleet_counts *counts, size_t hosts)
{
	struct fleet_counts sum = {};

	for (size_t i = 0; i < hosts; i++)
		add(&sum, &counts[i]);
	return sum;
}

struct fleet_watched fleet_watched_new(size_t hosts)
{
	double alpha = FLEET_SUM_ALPHA / (2.0 * FLEET_RATIO_COUNT * (double)(hosts ? hosts : 1));
	struct fleet_watched watched = {};

	for (int i = 0; i < FLEET_RATIO_COUNT; i++)
		watched.more[i] = watched.fewer[i] = eprocess_new(FLEET_SUM_TOLERANCE, alpha);
	return watched;
}

static __u64 events(const struct fleet_counts *counts, enum fleet_ratio ratio)
{
	switch (ratio) {
	case FLEET_CANARY_SHARE:
		return counts->flows[CANARY_CANARY];
	case FLEET_STABLE_SHARE:
		return counts->flows[CANARY_STABLE];
	case FLEET_CANARY_FAILURES:
		return counts->failures[CANARY_CANARY];
	default:
		return counts->failures[CANARY_STABLE];
	}
}

static __u64 among(const struct fleet_counts *counts, enum fleet_ratio ratio)
{
	switch (ratio) {
	case FLEET_CANARY_FAILURES:
		return counts->flows[CANARY_CANARY];
	case FLEET_STABLE_FAILURES:
		return counts->flows[CANARY_STABLE];
	default:
		return counts->flows[CANARY_CANARY] + counts->flows[CANARY_STABLE];
	}
}

/*
 * More events than that in an interval are thinned out in proportion: that takes less time, and from E more of its variance than of
 * its mean, so it errs on the side of naming nobody.
 */
static void compare(struct eprocess *process, double w, __u64 ours, __u64 others)
{
	__u64 all = ours + others;

	if (all > FLEET_SUM_MOST) {
		ours = (ours * FLEET_SUM_MOST + all / 2) / all;
		others = FLEET_SUM_MOST - ours;
	}
	eprocess_add_bounded(process, w, ours, others, process->bound / FLEET_SUM_AT_LEAST);
}

void fleet_watched_add(struct fleet_watched *watched, const struct fleet_counts *counts, size_t hosts)
{
	struct fleet_counts sum = fleet_sum(counts, hosts);

	for (size_t i = 0; i < hosts; i++) {
		for (enum fleet_ratio ratio = 0; ratio < FLEET_RATIO_COUNT; ratio++) {
			__u64 ours = events(&counts[i], ratio), others = events(&sum, ratio) - ours;
			double all = (double)among(&sum, ratio),
			       w = all > 0 ? (double)among(&counts[i], ratio) / all : 0;

			compare(&watched[i].more[ratio], w, ours, others);
			compare(&watched[i].fewer[ratio], 1 - w, others, ours);
		}
		add(&watched[i].sum, &counts[i]);
	}
}

/* How many times as often as for the others. INFINITY: they have none. */
static double times(const struct fleet_watched *watched, size_t hosts, size_t host, enum fleet_ratio ratio)
{
	double ours = (double)events(&watched[host].sum, ratio) / (double)among(&watched[host].sum, ratio), others = 0,
	       all = 0;

	for (size_t i = 0; i < hosts; i++) {
		if (i == host)
			continue;
		others += (double)events(&watched[i].sum, ratio);
		all += (double)among(&watched[i].sum, ratio);
	}
	return others > 0 ? ours / (others / all) : INFINITY;
}

const char *fleet_outlier(const struct fleet_watched *watched, size_t hosts, size_t host, const char *name,
			  char buf[FLEET_OUTLIER_TEXT_LEN])
{
	for (int i = FLEET_RATIO_COUNT - 1; i >= 0; i--) {
		const struct fleet_watched *w = &watched[host];
		double factor;

		if (!w->more[i].failed && !w->fewer[i].failed)
			continue;
		factor = times(watched, hosts, host, (enum fleet_ratio)i);
		if (isinf(factor))
			snprintf(buf, FLEET_OUTLIER_TEXT_LEN, "%s alone has %s", name, ratios[i].text);
		else
			snprintf(buf, FLEET_OUTLIER_TEXT_LEN, "%s has %.2g times as many %s as the others", name,
				 factor, ratios[i].text);
		return buf;
	}
	return NULL;
}
