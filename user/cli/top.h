/* SPDX-License-Identifier: Apache-2.0 */
/* The view of `top`: one service, its cohorts side by side, and how their figures went in the last minute. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <jansson.h>
#include <linux/types.h>

#include "canary/abi.h"
#include "cli/cli.h"

/* What is compared, a row each. X(NAME, label, format, scale): as FORMAT_* and SCALE_* of top_view.c have it. */
#define TOP_ROWS(X)                                                                                                    \
	X(FLOWS, "flows/s", RATE, EACH)                                                                                \
	X(PACKETS, "packets/s", RATE, EACH)                                                                            \
	X(BYTES, "bytes/s", RATE, EACH)                                                                                \
	X(FAILURES, "failures", RATIO, BOTH)                                                                           \
	X(P50, "handshake p50", TIME, BOTH)                                                                            \
	X(P90, "handshake p90", TIME, BOTH)                                                                            \
	X(P99, "handshake p99", TIME, BOTH)                                                                            \
	X(DROPS, "drops/s", RATE, BOTH)

enum top_row {
#define X(NAME, ...) TOP_##NAME,
	TOP_ROWS(X)
#undef X
		TOP_ROW_COUNT
};

#define TOP_SPAN_MAX 600 /* samples in a minute, at the shortest interval */

struct top {
	const struct cli *cli;
	char service[CANARY_NAME_LEN]; /* "": there is none */
	size_t position, services; /* of it among all, from 1 */
	json_t *now,
		*before; /* as of stats, with `time`, and of the service `window` and `rollout_status`; NULL: not yet */
	__u64 now_ns;
	double value[CANARY_COHORTS][TOP_ROW_COUNT]; /* NAN: not known */

	/* The last minute, the newest last. */
	size_t span; /* samples in a minute */
	size_t count; /* of them there are */
	double track[CANARY_COHORTS][TOP_ROW_COUNT][TOP_SPAN_MAX];
};

/*
 * Reads the service of that name, or NULL: the one of `top->service`, the first where it is gone, and notes how it went since
 * the last time. 0, or -errno with a sentence.
 */
int top_read(struct top *top, const char *name, struct error *error);
/* Goes to another service: by `step` from the one that is shown or, with `position`, to the one there, from 1. */
int top_choose(struct top *top, int step, size_t position, struct error *error);
void top_forget(struct top *top);

/* To standard output. `columns`: how wide it may become, for the sparklines. */
void top_print(const struct top *top, int columns, bool utf8);

#endif
