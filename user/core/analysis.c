/* SPDX-License-Identifier: Apache-2.0 */
#include "core/analysis.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const verdict_names[] = {
#define X(name, word) [VERDICT_##name] = #word,
	ANALYSIS_VERDICTS(X)
#undef X
};

static const struct {
	const char *name;
	const char *text;
} reasons[] = {
#define X(name, word, text) [REASON_##name] = {#word, text},
	ANALYSIS_REASONS(X)
#undef X
};

const char *verdict_name(enum verdict verdict)
{
	return (unsigned)verdict < COUNT(verdict_names) ? verdict_names[verdict] : "unknown";
}

const char *reason_name(enum reason reason)
{
	return (unsigned)reason < COUNT(reasons) ? reasons[reason].name : "unknown";
}

const char *reason_text(enum reason reason)
{
	return (unsigned)reason < COUNT(reasons) ? reasons[reason].text : "unknown";
}

int parse_verdict(const char *text, enum verdict *ret)
{
	for (unsigned i = 0; i < COUNT(verdict_names); i++) {
		if (!strcmp(text, verdict_names[i])) {
			*ret = (enum verdict)i;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_reason(const char *text, enum reason *ret)
{
	for (unsigned i = 0; i < COUNT(reasons); i++) {
		if (!strcmp(text, reasons[i].name)) {
			*ret = (enum reason)i;
			return 0;
		}
	}
	return -EINVAL;
}

static const double edge_parts[TIMES_EDGES] = {0.5, 0.9, 0.99};

struct times_gate times_gate_new(double tolerance, double alpha)
{
	struct times_gate gate = {.tolerance = tolerance, .bound = -log(alpha)};

	/* The mean of three is to reach 1 / alpha: one alone may have to reach three times that. */
	for (int i = 0; i < TIMES_EDGES; i++)
		gate.process[i] = eprocess_new(1, alpha / TIMES_EDGES);
	return gate;
}

int times_gate_set_edges(struct times_gate *gate, const __u32 stable[CANARY_HISTOGRAM_BUCKETS])
{
	if (histogram_count(stable) < TIMES_MIN_SAMPLES)
		return -ENODATA;
	for (int i = 0; i < TIMES_EDGES; i++) {
		double edge;

		histogram_percentile(stable, edge_parts[i], &edge);
		gate->edge[i] = edge;
		gate->stable_bucket[i] = histogram_bucket(edge);
		/* Up to a whole bucket in the canary's favour: of tolerances near 1, samples are not finer than buckets. */
		gate->canary_bucket[i] = histogram_bucket(fmax(edge * gate->tolerance, edge + TIMES_SLACK));
	}
	gate->has_edges = true;
	return 0;
}

void times_gate_add(struct times_gate *gate, double w, const __u32 canary[CANARY_HISTOGRAM_BUCKETS],
		    const __u32 stable[CANARY_HISTOGRAM_BUCKETS])
{
	if (!gate->has_edges)
		return;
	for (int i = 0; i < TIMES_EDGES; i++)
		eprocess_add_bounded(&gate->process[i], w, histogram_above(canary, gate->canary_bucket[i]),
				     histogram_above(stable, gate->stable_bucket[i]),
				     gate->process[i].bound / TIMES_AT_LEAST);
	gate->failed |= times_gate_log(gate) >= gate->bound;
}

double times_gate_log(const struct times_gate *gate)
{
	double sum = 0;

	for (int i = 0; i < TIMES_EDGES; i++)
		sum += exp(eprocess_log(&gate->process[i]));
	return log(sum / TIMES_EDGES);
}

static struct finding found(enum verdict verdict, enum reason reason)
{
	return (struct finding){verdict, reason};
}

struct finding failures_finding(const struct eprocess *process, __u64 canary_flows)
{
	struct finding finding = feedback_finding(process);

	return finding.verdict == VERDICT_PASS && !canary_flows ? found(VERDICT_INCONCLUSIVE, REASON_TOO_FEW_FLOWS)
								: finding;
}

struct finding feedback_finding(const struct eprocess *process)
{
	return process->failed ? found(VERDICT_FAIL, REASON_WORSE) : found(VERDICT_PASS, REASON_NONE);
}

struct finding times_finding(const struct times_gate *gate)
{
	if (gate->failed)
		return found(VERDICT_FAIL, REASON_WORSE);
	return gate->has_edges ? found(VERDICT_PASS, REASON_NONE) : found(VERDICT_INCONCLUSIVE, REASON_NO_BASELINE);
}

struct finding value_finding(bool available, double value, double min, double max)
{
	if (!available || isnan(value))
		return found(VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE);
	if (value < min || value > max)
		return found(VERDICT_FAIL, REASON_ABOVE_MAX);
	return found(VERDICT_PASS, REASON_NONE);
}

static bool decides(const struct step_facts *facts, const struct gate_finding *gate)
{
	return !gate->reports && !(facts->alone && gate->compares);
}

/* What keeps the step from passing, apart from what gates found. */
static enum reason obstacle(const struct step_facts *facts)
{
	if (facts->elapsed < facts->bake)
		return REASON_BAKING;
	if (facts->stale)
		return REASON_STALE_COUNTERS;
	if (!facts->canary_flows)
		return REASON_NO_TRAFFIC;
	if (!facts->stable_flows && !facts->alone)
		return REASON_NO_BASELINE;
	return REASON_NONE;
}

/* The same, of what more traffic would mend. */
static enum reason shortage(const struct step_facts *facts, bool some_gate_passes)
{
	if (facts->canary_flows < facts->min_flows)
		return REASON_TOO_FEW_FLOWS;
	if (facts->unobserved)
		return some_gate_passes ? REASON_NONE : REASON_UNOBSERVED;
	/* Also where either is not a number. */
	if (!(facts->harm >= -log(1 - facts->confidence)))
		return REASON_UNPROVEN;
	return REASON_NONE;
}

static int first_with(const struct step_facts *facts, const struct gate_finding *gates, size_t count,
		      enum verdict verdict)
{
	for (size_t i = 0; i < count; i++) {
		if (decides(facts, &gates[i]) && gates[i].finding.verdict == verdict)
			return (int)i;
	}
	return -1;
}

static int first_flooded(const struct step_facts *facts, const struct gate_finding *gates, size_t count)
{
	for (size_t i = 0; facts->flooded && i < count; i++) {
		if (decides(facts, &gates[i]) && gates[i].handshakes)
			return (int)i;
	}
	return -1;
}

struct judgement analysis_judge(const struct step_facts *facts, const struct gate_finding *gates, size_t count)
{
	int gate = first_with(facts, gates, count, VERDICT_FAIL);
	enum reason reason;

	if (facts->tripped)
		return (struct judgement){found(VERDICT_FAIL, REASON_BREAKER), -1};
	if (gate >= 0)
		return (struct judgement){gates[gate].finding, gate};
	if (facts->sample_ratio >= SAMPLE_RATIO_BOUND)
		return (struct judgement){found(VERDICT_INVALID, REASON_SAMPLE_RATIO), -1};
	reason = obstacle(facts);
	if (reason != REASON_NONE)
		return (struct judgement){found(VERDICT_INCONCLUSIVE, reason), -1};
	gate = first_flooded(facts, gates, count);
	if (gate >= 0)
		return (struct judgement){found(VERDICT_INCONCLUSIVE, REASON_FLOODED), gate};
	gate = first_with(facts, gates, count, VERDICT_INVALID);
	if (gate < 0)
		gate = first_with(facts, gates, count, VERDICT_INCONCLUSIVE);
	if (gate >= 0)
		return (struct judgement){gates[gate].finding, gate};
	reason = shortage(facts, first_with(facts, gates, count, VERDICT_PASS) >= 0);
	return (struct judgement){found(reason == REASON_NONE ? VERDICT_PASS : VERDICT_INCONCLUSIVE, reason), -1};
}
