/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what was measured to a verdict on a step of a rollout: pass, fail, or why neither can be said. Missing data are
 * never a pass and never a fail. All of it is pure: numbers in, verdict out.
 */
#ifndef CORE_ANALYSIS_H
#define CORE_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/eprocess.h"
#include "core/evidence.h"
#include "core/histogram.h"

/* One list: the enum, the names in JSON and in the history, and what is said to a person. */
#define ANALYSIS_VERDICTS(X)                                                                                           \
	X(PASS, pass)                                                                                                  \
	X(FAIL, fail)                                                                                                  \
	X(INVALID, invalid) /* the experiment itself is not sound */                                                   \
	X(INCONCLUSIVE, inconclusive)

#define ANALYSIS_REASONS(X)                                                                                            \
	X(NONE, none, "everything that was asked for holds")                                                           \
	X(WORSE, worse, "the canary is worse than stable by more than is tolerated")                                   \
	X(ABOVE_MAX, above_max, "the value is outside its bound")                                                      \
	X(SAID_NO, said_no, "whoever was asked says no")                                                               \
	X(BREAKER, breaker, "the breaker in the kernel took the canary out")                                           \
	X(SAMPLE_RATIO, sample_ratio, "the cohorts' shares of new flows are not those of the weight")                  \
	X(BAKING, baking, "the step has not lasted long enough yet")                                                   \
	X(STALE_COUNTERS, stale_counters, "the counters are too old to say anything")                                  \
	X(NO_TRAFFIC, no_traffic, "no flow went to the canary")                                                        \
	X(NO_BASELINE, no_baseline, "stable had too few flows to compare with")                                        \
	X(FLOODED, flooded, "a flood of handshakes hides what the canary does")                                        \
	X(UNASKED, unasked, "whoever is to be asked has not answered in this step yet")                                \
	X(METRIC_UNAVAILABLE, metric_unavailable, "an external metric cannot be had")                                  \
	X(TOO_FEW_FLOWS, too_few_flows, "the canary had too few flows to judge it by")                                 \
	X(UNPROVEN, unproven, "it is not shown yet that the canary does no more harm than allowed")                    \
	X(UNOBSERVED, unobserved, "how flows of this protocol fare cannot be seen: a gate that asks others must tell")

enum verdict {
#define X(name, word) VERDICT_##name,
	ANALYSIS_VERDICTS(X)
#undef X
};

enum reason {
#define X(name, word, text) REASON_##name,
	ANALYSIS_REASONS(X)
#undef X
};

const char *verdict_name(enum verdict verdict);
const char *reason_name(enum reason reason);
const char *reason_text(enum reason reason); /* a clause, for "web: step 2 holds: …" */
int parse_verdict(const char *text, enum verdict *ret); /* 0 or -EINVAL, *ret untouched; for reading a history */
int parse_reason(const char *text, enum reason *ret);

struct finding {
	enum verdict verdict;
	enum reason reason;
};

/*
 * Gate on times: one e-process on each of three edges, stable's p50, p90 and p99 before the step. An event is a sample of
 * stable's above the edge, or one of the canary's above edge * tolerance: of a canary that is slower by no more than the
 * tolerance, events are no more frequent. E is the mean of the three, which is valid however they depend on one another.
 */
#define TIMES_EDGES 3
#define TIMES_SLACK                                                                                                    \
	0.001 /* s: what is slower by less is noise of the hosts, whatever the tolerance makes of microseconds */
/*
 * Delays come in bunches: what waits for a server that had to wait itself is slow together. So no call, which is a tick, may
 * decide alone: it takes at least so many.
 */
#define TIMES_AT_LEAST 2
#define TIMES_MIN_SAMPLES 500 /* of stable's, before a step's edges can be set */
struct times_gate {
	double tolerance; /* >= 1 */
	double bound; /* ln(1 / alpha) */
	bool has_edges;
	double edge[TIMES_EDGES]; /* s */
	__u32 stable_bucket[TIMES_EDGES]; /* samples in higher ones are events */
	__u32 canary_bucket[TIMES_EDGES];
	struct eprocess process[TIMES_EDGES];
	bool failed; /* E has reached 1 / alpha: for good */
};
struct times_gate times_gate_new(double tolerance, double alpha);
/* When a step begins: sets the edges, from samples that do not count as events later. -ENODATA: too few; as they were. */
int times_gate_set_edges(struct times_gate *gate, const __u32 stable[CANARY_HISTOGRAM_BUCKETS]);
/* Samples since the last call, of flows assigned while the canary had the share w; of several shares, a call for each. */
void times_gate_add(struct times_gate *gate, double w, const __u32 canary[CANARY_HISTOGRAM_BUCKETS],
		    const __u32 stable[CANARY_HISTOGRAM_BUCKETS]);
double times_gate_log(const struct times_gate *gate); /* ln E */

/* What gates say by themselves. Those that compare hold until they fail; whether that is enough is analysis_judge()'s. */
struct finding failures_finding(const struct eprocess *process,
				__u64 canary_flows); /* ... in the step: none say nothing */
struct finding feedback_finding(const struct eprocess *process); /* nobody need say anything: silence is a pass */
struct finding times_finding(const struct times_gate *gate);
/* A value with bounds, NAN where there is none: drops in percent, a metric. -INFINITY, INFINITY: no such bound. */
struct finding value_finding(bool available, double value, double min, double max);

/* A step and what was measured in it, since its warm-up. */
struct step_facts {
	unsigned elapsed; /* s; and how long it is to last */
	unsigned bake;
	__u64 canary_flows;
	__u64 stable_flows;
	__u64 min_flows;
	bool stale; /* counters could not be read, or do not move with the clock */
	bool flooded; /* handshakes were evicted before their outcome was known; what was counted then was not added */
	bool alone; /* by plan nothing stays on stable: nothing to compare with, absolute rules only */
	bool tripped; /* the breaker */
	bool unobserved; /* flows are counted, but not how they fare: what shows that there is no harm is a gate that passes */
	double sample_ratio; /* ln E, see evidence.h */
	double harm; /* ln E */
	double confidence; /* 1 - beta: 0.95 */
};

/* How gates are to be read. */
struct gate_finding {
	struct finding finding;
	bool reports; /* it is measured and recorded, and decides nothing */
	bool compares; /* with stable: says nothing in a step that is `alone` */
	bool handshakes; /* it counts what a flood of SYNs spoils */
};

struct judgement {
	struct finding finding;
	int gate; /* the gate that decided; -1: none in particular */
};

/*
 * Fails first: a dead canary's retransmitted SYNs must not turn its failure into a mismatch of samples. Then `invalid`,
 * then whatever keeps it from passing, the more fundamental first; pass if nothing does.
 */
struct judgement analysis_judge(const struct step_facts *facts, const struct gate_finding *gates, size_t count);

#endif
