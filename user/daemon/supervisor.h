/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who walks one service's rollout: once a second it looks at what the kernel has counted, has it judged, and does what the
 * state machine (core/rollout.h) says, which is on the disk before it is done.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include "core/health_plan.h"
#include "daemon/daemon.h"
#include "daemon/external.h"
#include "daemon/measure.h"
#include "daemon/pulse.h"
#include "dataplane/dataplane.h"
#include "io/command.h"

/* What the kernel knew of a service at one moment. */
struct senses {
	struct reading reading;
	struct guard guard;
	struct canary_cohort_counters counters[CANARY_COHORTS];
	struct canary_histogram histograms[CANARY_HISTOGRAM_KINDS][CANARY_COHORTS];
	bool has_histogram[CANARY_HISTOGRAM_KINDS];
	__u32 assignment;
};

struct entries;

struct supervisor {
	struct daemon *daemon;
	char name[CANARY_NAME_LEN];
	struct rollout_plan plan; /* what a start takes: the configuration's, or the default */
	struct record record;
	struct measure measure;

	/* The service as it runs, without its backends and segments. */
	bool present;
	struct service_model running;
	bool stale;

	struct senses before, now; /* the last two looks */
	struct pulse pulse;
	struct senses mark; /* when the visit's warm-up was over; after a restart, nothing: see record.mark */
	struct canary_histogram baseline[CANARY_HISTOGRAM_KINDS]; /* stable's, of the visit before */
	__u64 edges_visit[ROLLOUT_MAX_GATES]; /* the visit that a gate's edges are of */
	__u64 edges_samples[ROLLOUT_MAX_GATES]; /* the canary's when they were set, which were not held against them */
	__s64 flooded_until_ms;
	__u64 unhappy[CANARY_COHORTS], words[CANARY_COHORTS]; /* feedback since the last sample */
	__u64 unattributed; /* the same, of clients whose cohort is not known */
	__u8 heard[CANARY_THRESHOLD_ONE / 8]; /* buckets of clients that were unhappy in this run */
	__u64 heard_run;

	struct external externals[ROLLOUT_MAX_GATES];
	struct step_facts facts;
	struct gate_finding findings[ROLLOUT_MAX_GATES];
	double values[ROLLOUT_MAX_GATES]; /* of gates with a bound; NAN: none */
	struct judgement judgement;
	bool judged;

	struct command *hook; /* pending[0], which runs */
	sd_event_source *hook_source;
	struct rollout_action hook_action;
	struct entries *owed; /* to the history, oldest first: see transition.h */
	bool unsaved; /* the state in memory is ahead of the history's: a rollback that a full disk must not keep */
	__s64 renewed_ms; /* the lease */
	char error[512]; /* why pending[0] is not done yet; "": it is not known to fail */
};

/* 0 or -errno; *ret to be freed. Actions that were under way are gone on with at the first tick. */
int supervisor_open(struct daemon *daemon, const char *service, struct supervisor **ret, struct error *error);
void supervisor_free(struct supervisor *supervisor);

/* Takes the configuration's plan for the next start; NULL: the default. */
void supervisor_configure(struct supervisor *supervisor, const struct service_model *service);

/* running: NULL: there is no such service. stale: nobody knows whether the counters move. */
void supervisor_tick(struct supervisor *supervisor, struct dataplane *dataplane, const struct service_model *running,
		     bool stale);

/* What somebody asks for, or what happened. */
struct request {
	enum rollout_event_type type;
	__s64 uid; /* HISTORY_NO_UID: nobody's */
	bool reset; /* ROLLBACK */
	bool by_hand; /* MANUAL_WEIGHT, ROLLBACK: by the weight that somebody has set, which is the one that runs */
	const struct rollout_plan *plan; /* START: NULL: the configuration's */
	const char *reason; /* BLOCK */
	struct judgement judgement; /* TICK, TRIP */
};

/* 0, or -EBUSY (not now), -EIO, -ENOSPC ... (it cannot be written down) with a sentence, and nothing is changed. */
int supervisor_request(struct supervisor *supervisor, const struct request *request, struct error *error);

/* Has pending actions done as far as they can be now. See actions.c. */
void supervisor_carry_out(struct supervisor *supervisor);
/* Ends a hook that is not wanted any more. */
void supervisor_settle_hook(struct supervisor *supervisor);
/* Sets the rollout's weight again, as an assignment of its own: after a reboot, or when a lease is over. */
void supervisor_reassert(struct supervisor *supervisor, const char *why);
/* Saves the state without a transition. 0 or -errno. */
int supervisor_save(struct supervisor *supervisor, struct error *error);

/* What fails again and again is said once, and shown as long as it does. */
void supervisor_note_error(struct supervisor *supervisor, const struct error *error);

/* Is it of the visit under way? */
bool supervisor_has_measure(const struct supervisor *supervisor);
/* The weight that holds, and the one asked for, in 1/100 percent. */
int supervisor_effective_weight(const struct supervisor *supervisor);
int supervisor_weight(const struct supervisor *supervisor);
int supervisor_holdback(const struct supervisor *supervisor);

/* sense.c: looks at the kernel's counters, and takes a sample if it is time for that. 0 or -errno. */
int supervisor_sense(struct supervisor *supervisor, struct dataplane *dataplane, struct error *error);
__u64 supervisor_sum_drops(const struct canary_cohort_counters *counters);
/* What was said since the last sample belongs to no sample any more. */
void supervisor_forget_feedback(struct supervisor *supervisor);
/* judge.c: facts, findings, judgement. */
void supervisor_judge(struct supervisor *supervisor);

/* Milliseconds of a percentile of a cohort's times in the step; NAN: too few to say. */
double supervisor_percentile(const struct supervisor *supervisor, enum canary_histogram_kind kind,
			     enum canary_cohort cohort, double part);
/* Flows, or datagrams, that a cohort got in the step. */
__u64 supervisor_flows(const struct supervisor *supervisor, enum canary_cohort cohort);
/* Does the kernel see how the service's connections fare? */
bool supervisor_is_observed(const struct supervisor *supervisor);
/* Percent of a cohort's packets in the step that were dropped, *ret_packets of how many. */
double supervisor_drops(const struct supervisor *supervisor, enum canary_cohort cohort, __u64 *ret_packets);

#endif
