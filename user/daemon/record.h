/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of one service's rollouts must outlive the daemon, and how the history keeps it: each transition's row has all of
 * it; what changes without a transition (an action that is done) follows as a row of counts with the state alone.
 */
#ifndef DAEMON_RECORD_H
#define DAEMON_RECORD_H

#include <jansson.h>

#include "core/rollout.h"
#include "daemon/curve.h"
#include "daemon/measure.h"
#include "io/history.h"

#define BOOT_ID_LEN 37

struct counts_mark {
	__u64 packets, drops, flows;
};

struct record {
	struct rollout rollout;
	struct rollout_plan plan; /* of the release */
	__u64 run, visit; /* see struct sample: numbers of transitions */
	__u32 first; /* the run's first assignment; 0: none yet */
	__u32 assignment; /* in force, as far as is known: that the rollout, or whoever came before or overrode it, made last */
	bool foreign; /* that is not the rollout's: nor is its lease */
	__u32 salt_number; /* of the release */
	/* Of the service's guards, those that the plan has changed, as they were before: they come back when the release ends. */
	struct guard_settings guards_before;
	/* The data plane's counters when a visit's warm-up was over. */
	struct {
		__u64 visit;
		struct counts_mark counts[CANARY_COHORTS];
	} mark;
	char boot[BOOT_ID_LEN]; /* of the host: assignments count from 1 after another */
	/* {"promoted": [endpoint, ...], "retired": [...]}: what `finish` made stable, and what was so before. NULL: none */
	json_t *swap;
	/* Not of the state itself. */
	char block_reason[256];
};

/* A copy with its own reference to `swap`; and the end of one. */
struct record record_copy(const struct record *record);
void record_free(struct record *record);

/* The state as JSON text; to be freed. With the plan for a transition. NULL without memory. */
char *record_text(const struct record *record, bool plan);

/* A row of counts: any of them may be NULL. To be freed. */
char *record_counts(const struct record *record, const struct sample *sample, const struct reading *reading,
		    const struct curve_point *point);

/*
 * What is known of a service from the history. *ret_measure, *ret_reading: of what was measured in its last run; *ret_curve:
 * of its last release, to be freed (also after a failure), or NULL.
 */
int record_load(struct history *history, const char *service, struct record *ret, struct measure *ret_measure,
		struct reading *ret_reading, struct curve **ret_curve, struct error *error);

/* The plan of a release, from its first transition. -ENOENT: there is none. */
int record_plan(struct history *history, const char *service, __u64 release, struct rollout_plan *ret,
		struct error *error);

#endif
