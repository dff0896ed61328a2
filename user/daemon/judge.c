/* SPDX-License-Identifier: Apache-2.0 */
/* From what was measured to a judgement on the step. */
#include <math.h>
#include <string.h>

#include "daemon/supervisor.h"

#define TIMES_MIN_CANARY 50 /* of the canary's samples, before it says anything that none of them were too slow */
#define VALUE_MIN_FLOWS 100 /* of the canary's, before a share of them means anything */
#define VALUE_MIN_PACKETS 1000
#define DROPS_FLOOR 0.1 /* percent: what is lost now and then is no reason to compare */
#define VALUE_MIN_WORDS 20

static const struct finding too_few = {VERDICT_INCONCLUSIVE, REASON_TOO_FEW_FLOWS};
static const struct finding unavailable = {VERDICT_INCONCLUSIVE, REASON_METRIC_UNAVAILABLE};

bool supervisor_has_measure(const struct supervisor *supervisor)
{
	return supervisor->measure.run == supervisor->record.run &&
	       supervisor->measure.visit == supervisor->record.visit;
}

static const struct finding unobserved = {VERDICT_INCONCLUSIVE, REASON_UNOBSERVED};

static struct tally tally_of(const struct supervisor *supervisor, enum canary_cohort cohort)
{
	return supervisor_has_measure(supervisor) ? supervisor->measure.tally[cohort] : (struct tally){};
}

/* A part of some, in percent, once there are enough of them. */
static struct finding judge_part(const struct rollout_gate *gate, __u64 part, __u64 all, __u64 enough, double *value)
{
	if (all < enough)
		return too_few;
	*value = 100.0 * (double)part / (double)all;
	return value_finding(true, *value, gate->min, gate->max);
}

static struct finding judge_failures(const struct supervisor *supervisor, size_t at, double *value)
{
	const struct rollout_gate *gate = &supervisor->record.plan.gates[at];
	struct tally canary = tally_of(supervisor, CANARY_CANARY);

	if (gate->compare)
		return failures_finding(&supervisor->measure.gates[at].process, canary.finished);
	return judge_part(gate, canary.bad, canary.finished, VALUE_MIN_FLOWS, value);
}

/* Edges may have been set only just now: until some samples were held against them, nothing was compared. */
static struct finding compare_times(const struct supervisor *supervisor, size_t at, enum canary_histogram_kind kind)
{
	struct finding finding = times_finding(&supervisor->measure.gates[at].times);
	__u64 samples = histogram_count(supervisor->now.histograms[kind][CANARY_CANARY].count);

	if (finding.verdict == VERDICT_PASS && samples < supervisor->edges_samples[at] + TIMES_MIN_CANARY)
		return too_few;
	return finding;
}

static struct finding judge_times(const struct supervisor *supervisor, size_t at, double *value)
{
	const struct rollout_gate *gate = &supervisor->record.plan.gates[at];
	enum canary_histogram_kind kind =
		gate->type == GATE_TYPE_RESPONSE_TIME ? CANARY_HISTOGRAM_RESPONSE : CANARY_HISTOGRAM_HANDSHAKE;

	if (!supervisor->now.has_histogram[kind])
		return unavailable;
	if (gate->compare)
		return compare_times(supervisor, at, kind);
	*value = supervisor_percentile(supervisor, kind, CANARY_CANARY, 0.99);
	if (isnan(*value) || tally_of(supervisor, CANARY_CANARY).finished < VALUE_MIN_FLOWS)
		return too_few;
	return value_finding(true, *value, gate->min, gate->max);
}

/* Packets are not what was drawn, so there is no test: the canary's share is held against stable's as it is. */
static struct finding judge_drops(const struct supervisor *supervisor, size_t at, double *value)
{
	const struct rollout_gate *gate = &supervisor->record.plan.gates[at];
	__u64 canary_packets, stable_packets;
	double stable = supervisor_drops(supervisor, CANARY_STABLE, &stable_packets);

	*value = supervisor_drops(supervisor, CANARY_CANARY, &canary_packets);
	if (canary_packets < VALUE_MIN_PACKETS || (gate->compare && stable_packets < VALUE_MIN_PACKETS))
		return too_few;
	if (gate->compare)
		return value_finding(true, *value, -INFINITY, fmax(stable * gate->tolerance, DROPS_FLOOR));
	return value_finding(true, *value, gate->min, gate->max);
}

static struct finding judge_feedback(const struct supervisor *supervisor, size_t at, double *value)
{
	const struct rollout_gate *gate = &supervisor->record.plan.gates[at];
	const struct gate_measure *measure = &supervisor->measure.gates[at];

	if (gate->compare)
		return feedback_finding(&measure->process);
	return judge_part(gate, measure->events[CANARY_CANARY], measure->units[CANARY_CANARY], VALUE_MIN_WORDS, value);
}

/* Of a gate that compares, before the first sample of a run. */
static struct finding judge_nothing(const struct rollout_gate *gate)
{
	static const struct gate_measure none;

	if (gate_has_times(gate))
		return times_finding(&none.times);
	return gate->type == GATE_TYPE_FAILURES ? failures_finding(&none.process, 0) : feedback_finding(&none.process);
}

static struct finding judge_gate(const struct supervisor *supervisor, size_t at, double *value)
{
	const struct rollout_gate *gate = &supervisor->record.plan.gates[at];

	*value = NAN;
	if (!supervisor_is_observed(supervisor) && (gate->type == GATE_TYPE_FAILURES || gate_has_times(gate)))
		return unobserved;
	if (supervisor->measure.run != supervisor->record.run && gate->compare && gate->type != GATE_TYPE_PROMETHEUS)
		return judge_nothing(gate);
	switch (gate->type) {
	case GATE_TYPE_FAILURES:
		return judge_failures(supervisor, at, value);
	case GATE_TYPE_HANDSHAKE_TIME:
	case GATE_TYPE_RESPONSE_TIME:
		return judge_times(supervisor, at, value);
	case GATE_TYPE_DROPS:
		return judge_drops(supervisor, at, value);
	case GATE_TYPE_FEEDBACK:
		return judge_feedback(supervisor, at, value);
	default:
		return external_finding(supervisor, at, value);
	}
}

static __u64 flows_of(const struct supervisor *supervisor, enum canary_cohort cohort)
{
	return supervisor_is_observed(supervisor) ? tally_of(supervisor, cohort).finished
						  : supervisor_flows(supervisor, cohort);
}

static struct step_facts find_facts(const struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;
	const struct measure *measure = &supervisor->measure;
	bool measured = supervisor_has_measure(supervisor);

	return (struct step_facts){
		.elapsed = rollout_elapsed(&record->rollout),
		.bake = rollout_bake(&record->plan, &record->rollout),
		.canary_flows = flows_of(supervisor, CANARY_CANARY),
		.stable_flows = flows_of(supervisor, CANARY_STABLE),
		.min_flows = record->plan.steps[record->rollout.step].min_flows,
		.stale = supervisor->stale,
		.flooded = wall_ms() < supervisor->flooded_until_ms,
		.unobserved = !supervisor_is_observed(supervisor),
		.alone = supervisor_effective_weight(supervisor) == CANARY_WEIGHT_ONE,
		.sample_ratio = measured ? measure_sample_ratio(measure) : 0,
		.harm = measured ? harm_log(&measure->harm) : 0,
		.confidence = record->plan.confidence,
	};
}

void supervisor_judge(struct supervisor *supervisor)
{
	const struct rollout_plan *plan = &supervisor->record.plan;

	for (size_t i = 0; i < plan->gate_count; i++) {
		const struct rollout_gate *gate = &plan->gates[i];

		supervisor->findings[i] = (struct gate_finding){
			.finding = judge_gate(supervisor, i, &supervisor->values[i]),
			.reports = gate->mode == GATE_MODE_REPORT,
			.compares = gate->compare,
			.handshakes = gate->type == GATE_TYPE_FAILURES || gate->type == GATE_TYPE_HANDSHAKE_TIME,
		};
	}
	supervisor->facts = find_facts(supervisor);
	supervisor->judgement = analysis_judge(&supervisor->facts, supervisor->findings, plan->gate_count);
	supervisor->judged = true;
}
