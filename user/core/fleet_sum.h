/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum of a fleet's counters, and which of its hosts stand out.
 *
 * A rollout is judged by the sum: routers send flows to hosts whatever cohort they will get, so hosts are no strata to be told
 * apart. But one host may be broken where the sum looks well: its canary never gets its share, or a cable makes
 * handshakes fail on it alone. So each host is set against the sum of the others: of what both had in an interval, did the host get
 * more, or fewer, than `tolerance` times its part? That is the question of eprocess.h, with the host in the canary's place; it
 * may be asked after every interval, and what drifts for all hosts alike, or as a router shifts traffic among them, cancels.
 * Host, kind and direction are 8 questions a host: each gets its part of alpha (Bonferroni), so that the probability that *any*
 * host of a sound fleet is ever named in an assignment is alpha at most. No interval decides alone, as flows come in bunches.
 */
#ifndef CORE_FLEET_SUM_H
#define CORE_FLEET_SUM_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"
#include "core/eprocess.h"

#define FLEET_SUM_ALPHA 0.01
#define FLEET_SUM_TOLERANCE 1.5
#define FLEET_SUM_AT_LEAST 3 /* intervals until a host can be named */
#define FLEET_SUM_MOST 200 /* events of an interval that are looked at */

struct fleet_counts {
	__u64 flows[CANARY_COHORTS]; /* observed ones with an outcome */
	__u64 failures[CANARY_COHORTS]; /* of them */
};

/* What the two of a comparison are, X(NAME, name, what it counts) */
#define FLEET_RATIOS(X)                                                                                                \
	X(CANARY_SHARE, canary_share, "canary flows among its flows")                                                  \
	X(STABLE_SHARE, stable_share, "stable flows among its flows")                                                  \
	X(CANARY_FAILURES, canary_failures, "failures among its canary flows")                                         \
	X(STABLE_FAILURES, stable_failures, "failures among its stable flows")

enum fleet_ratio {
#define X(NAME, name, text) FLEET_##NAME,
	FLEET_RATIOS(X)
#undef X
		FLEET_RATIO_COUNT
};
const char *fleet_ratio_name(enum fleet_ratio ratio); /* never NULL */

struct fleet_watched {
	struct eprocess more[FLEET_RATIO_COUNT], fewer[FLEET_RATIO_COUNT];
	struct fleet_counts sum; /* of the host, since the assignment began */
};

struct fleet_counts fleet_sum(const struct fleet_counts *counts, size_t hosts);
/* When an assignment begins, or the number of hosts is another one. */
struct fleet_watched fleet_watched_new(size_t hosts);
/* What came since the last call; both arrays in the same order. */
void fleet_watched_add(struct fleet_watched *watched, const struct fleet_counts *counts, size_t hosts);

#define FLEET_OUTLIER_TEXT_LEN 160
/* "lb2 has 3.1 times as many failures among its canary flows as the others" in buf, or NULL: the host does not stand out. */
const char *fleet_outlier(const struct fleet_watched *watched, size_t hosts, size_t host, const char *name,
			  char buf[FLEET_OUTLIER_TEXT_LEN]);

#endif
