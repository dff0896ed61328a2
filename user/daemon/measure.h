/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From readings of the data plane's counters to what the gates know. Pure: a live rollout and a replay of its history go
 * through the same functions, with the same samples in the same order, and come to the same numbers.
 *
 *   reading  what the kernel had counted at one moment, by epoch
 *   sample   what came between two readings; this is what the history keeps
 *   measure  what all samples since the rollout's start add up to
 */
#ifndef DAEMON_MEASURE_H
#define DAEMON_MEASURE_H

#include "canary/abi.h"
#include "core/analysis.h"
#include "core/rollout_plan.h"

/* Of one cohort's watched flows that were assigned in one epoch. */
struct tally {
	__u64 opened;
	__u64 finished; /* whose handshake's outcome is known */
	__u64 bad; /* flows with a failure */
	__u64 failed; /* units with a failure: the same, or with affinity `client` clients */
};

struct epoch_reading {
	__u64 epoch; /* 0: none */
	__u32 assignment;
	__u32 flooded; /* flows that could not be watched */
	double w; /* the canary's share of what is observed */
	struct tally tally[CANARY_COHORTS];
};

struct reading {
	struct epoch_reading epochs[CANARY_EPOCHS];
};

struct reading reading_make(const struct canary_outcomes *outcomes);

struct share {
	double w;
	__u64 failed[CANARY_COHORTS];
};

struct times_sample {
	bool has_edges; /* these edges are in force from here on, its own counts included */
	double edge[TIMES_EDGES];
	__u64 above[CANARY_COHORTS][TIMES_EDGES];
};

struct sample {
	__u64 run; /* a start, or a retry of all: the evidence begins anew */
	__u64 visit; /* a step's, which it may have several of: what was measured in the step begins anew */
	int step;
	size_t share_count;
	struct share shares[CANARY_EPOCHS];
	/* Of flows that were assigned in this visit. */
	double w; /* of the assignment in force */
	bool distinct; /* flows are what is drawn: their numbers are to be as w says */
	struct tally tally[CANARY_COHORTS];
	struct times_sample times[ROLLOUT_MAX_GATES]; /* of gates on times that compare */
	__u64 unhappy[CANARY_COHORTS]; /* clients whose first bad word this was */
	__u64 words[CANARY_COHORTS]; /* all that was said, good or bad */
	__u64 unattributed; /* said by clients whose cohort is not known */
	double feedback_w; /* the canary's share of clients */
};

/*
 * What came since `before`, into the counts of *ret; `first` is the run's first assignment, `current` the one in force.
 * Whether SYNs came faster than they could be watched: then what it says of handshakes is not to be believed.
 */
bool sample_take(const struct reading *before, const struct reading *now, __u32 first, __u32 current,
		 struct sample *ret);
bool sample_is_empty(const struct sample *sample);

struct gate_measure {
	struct eprocess process; /* failures, feedback */
	struct times_gate times; /* handshake_time, response_time */
	__u64 events[CANARY_COHORTS];
	__u64 units[CANARY_COHORTS]; /* that they are part of */
};

struct measure {
	__u64 run, visit;
	int step;
	struct gate_measure gates[ROLLOUT_MAX_GATES];
	/* What users said in the run, whether a gate asks for it or not. */
	__u64 unhappy[CANARY_COHORTS], words[CANARY_COHORTS], unattributed;
	/* Since the visit's warm-up. */
	struct tally tally[CANARY_COHORTS];
	struct harm harm;
	double w;
	bool distinct;
	__u64 owed[CANARY_COHORTS]; /* failures that became known later than their handshake's outcome was counted */
};

/* All zero is none yet. Begins anew by itself when the sample's run or visit is another one. */
void measure_add(struct measure *measure, const struct rollout_plan *plan, const struct sample *sample);

double measure_sample_ratio(const struct measure *measure); /* ln E */
/* A gate's ln E and the bound it fails at; NAN: the gate has none. */
double measure_log(const struct measure *measure, const struct rollout_plan *plan, size_t gate);
double measure_bound(const struct rollout_plan *plan, size_t gate);

bool gate_has_process(const struct rollout_gate *gate);
bool gate_has_times(const struct rollout_gate *gate); /* ... and the three of a gate on times */

#endif
