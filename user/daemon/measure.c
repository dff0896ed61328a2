/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/measure.h"

#include <math.h>
#include <string.h>

static const enum canary_outcome finishing[] = {
	CANARY_OUTCOME_COMPLETED,
	CANARY_OUTCOME_REFUSED,
	CANARY_OUTCOME_CLIENT_RESET,
	CANARY_OUTCOME_HALF_OPEN,
};

static const enum canary_outcome_kind kinds[CANARY_OUTCOMES] = {
#define X(NAME, name, SEEN, KIND, help) [CANARY_OUTCOME_##NAME] = CANARY_KIND_##KIND,
	CANARY_OUTCOME_LIST(X)
#undef X
};

static struct tally tally_make(const __u64 count[CANARY_OUTCOMES])
{
	struct tally tally = {.opened = count[CANARY_OUTCOME_OPENED], .failed = count[CANARY_OUTCOME_FAILED]};

	for (size_t i = 0; i < sizeof(finishing) / sizeof(finishing[0]); i++)
		tally.finished += count[finishing[i]];
	for (int i = 0; i < CANARY_OUTCOMES; i++) {
		if (kinds[i] == CANARY_KIND_HARD || kinds[i] == CANARY_KIND_SOFT)
			tally.bad += count[i];
	}
	return tally;
}

struct reading reading_make(const struct canary_outcomes *outcomes)
{
	struct reading reading = {};

	for (int i = 0; i < CANARY_EPOCHS; i++) {
		const struct canary_epoch *from = &outcomes->epochs[i];
		double watched = (double)from->watched[CANARY_CANARY] + from->watched[CANARY_STABLE];

		if (!from->epoch)
			continue;
		reading.epochs[i] = (struct epoch_reading){
			.epoch = from->epoch,
			.assignment = from->assignment,
			.flooded = from->flooded,
			.w = watched > 0 ? from->watched[CANARY_CANARY] / watched : 0,
			.tally = {tally_make(from->count[CANARY_STABLE]), tally_make(from->count[CANARY_CANARY])},
		};
	}
	return reading;
}

/* A counter never falls; one that has is another one. */
static __u64 rise(__u64 before, __u64 now)
{
	return now > before ? now - before : 0;
}

static struct tally tally_rise(const struct tally *before, const struct tally *now)
{
	return (struct tally){
		.opened = rise(before->opened, now->opened),
		.finished = rise(before->finished, now->finished),
		.bad = rise(before->bad, now->bad),
		.failed = rise(before->failed, now->failed),
	};
}

static void tally_add(struct tally *tally, const struct tally *more)
{
	tally->opened += more->opened;
	tally->finished += more->finished;
	tally->bad += more->bad;
	tally->failed += more->failed;
}

static void add_share(struct sample *sample, double w, const struct tally rises[CANARY_COHORTS])
{
	if (!rises[CANARY_STABLE].failed && !rises[CANARY_CANARY].failed)
		return;
	sample->shares[sample->share_count++] = (struct share){
		.w = w,
		.failed = {rises[CANARY_STABLE].failed, rises[CANARY_CANARY].failed},
	};
}

bool sample_take(const struct reading *before, const struct reading *now, __u32 first, __u32 current,
		 struct sample *ret)
{
	static const struct epoch_reading nothing;
	bool flooded = false;

	for (int i = 0; i < CANARY_EPOCHS; i++) {
		const struct epoch_reading *epoch = &now->epochs[i], *old = &before->epochs[i];
		struct tally rises[CANARY_COHORTS];

		if (!epoch->epoch || epoch->assignment < first)
			continue;
		if (old->epoch != epoch->epoch)
			old = &nothing;
		flooded |= epoch->flooded > old->flooded;
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			rises[cohort] = tally_rise(&old->tally[cohort], &epoch->tally[cohort]);
		add_share(ret, epoch->w, rises);
		if (epoch->assignment != current)
			continue;
		ret->w = epoch->w;
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			tally_add(&ret->tally[cohort], &rises[cohort]);
	}
	return flooded;
}

static bool times_are_empty(const struct times_sample *times)
{
	static const __u64 none[CANARY_COHORTS][TIMES_EDGES];

	return !times->has_edges && !memcmp(times->above, none, sizeof(none));
}

bool sample_is_empty(const struct sample *sample)
{
	static const struct tally none[CANARY_COHORTS];

	for (int i = 0; i < ROLLOUT_MAX_GATES; i++) {
		if (!times_are_empty(&sample->times[i]))
			return false;
	}
	return !sample->share_count && !memcmp(sample->tally, none, sizeof(none)) && !sample->words[CANARY_STABLE] &&
	       !sample->words[CANARY_CANARY] && !sample->unattributed;
}

bool gate_has_times(const struct rollout_gate *gate)
{
	return gate->compare && (gate->type == GATE_TYPE_HANDSHAKE_TIME || gate->type == GATE_TYPE_RESPONSE_TIME);
}

bool gate_has_process(const struct rollout_gate *gate)
{
	return gate->compare && (gate->type == GATE_TYPE_FAILURES || gate->type == GATE_TYPE_FEEDBACK);
}

static void begin_run(struct measure *measure, const struct rollout_plan *plan, __u64 run)
{
	double alpha = rollout_gate_alpha(plan);

	*measure = (struct measure){.run = run};
	for (size_t i = 0; i < plan->gate_count; i++) {
		const struct rollout_gate *gate = &plan->gates[i];

		if (gate_has_process(gate))
			measure->gates[i].process = eprocess_new(gate->tolerance, alpha);
		if (gate_has_times(gate))
			measure->gates[i].times = times_gate_new(gate->tolerance, alpha);
	}
}

static void begin_visit(struct measure *measure, const struct rollout_plan *plan, const struct sample *sample)
{
	measure->visit = sample->visit;
	measure->step = sample->step;
	measure->harm = harm_new(plan->max_harm);
	memset(measure->tally, 0, sizeof(measure->tally));
	memset(measure->owed, 0, sizeof(measure->owed));
}

/* A failure after the handshake may become known in another sample than the handshake's own outcome. */
static struct outcomes settle(struct measure *measure, enum canary_cohort cohort, const struct tally *tally)
{
	__u64 failures = tally->bad + measure->owed[cohort];
	struct outcomes outcomes = {.flows = tally->finished, .failures = failures};

	if (failures > tally->finished)
		outcomes.failures = tally->finished;
	measure->owed[cohort] = failures - outcomes.failures;
	return outcomes;
}

static void add_failures(struct gate_measure *gate, const struct sample *sample)
{
	for (size_t i = 0; i < sample->share_count; i++) {
		const struct share *share = &sample->shares[i];

		eprocess_add(&gate->process, share->w, share->failed[CANARY_CANARY], share->failed[CANARY_STABLE]);
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			gate->events[cohort] += share->failed[cohort];
	}
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		gate->units[cohort] += sample->tally[cohort].finished;
}

static void add_times(struct gate_measure *gate, double w, const struct times_sample *times)
{
	if (times->has_edges) {
		memcpy(gate->times.edge, times->edge, sizeof(times->edge));
		gate->times.has_edges = true;
	}
	if (!gate->times.has_edges)
		return;
	for (int edge = 0; edge < TIMES_EDGES; edge++)
		eprocess_add(&gate->times.process[edge], w, times->above[CANARY_CANARY][edge],
			     times->above[CANARY_STABLE][edge]);
	gate->times.failed |= times_gate_log(&gate->times) >= gate->times.bound;
	/* Those above the lowest edge: the others are among them. */
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		gate->events[cohort] += times->above[cohort][0];
}

static void add_feedback(struct gate_measure *gate, bool compare, const struct sample *sample)
{
	if (compare)
		eprocess_add(&gate->process, sample->feedback_w, sample->unhappy[CANARY_CANARY],
			     sample->unhappy[CANARY_STABLE]);
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		gate->events[cohort] += sample->unhappy[cohort];
		gate->units[cohort] += sample->words[cohort];
	}
}

void measure_add(struct measure *measure, const struct rollout_plan *plan, const struct sample *sample)
{
	struct outcomes outcomes[CANARY_COHORTS];

	if (measure->run != sample->run)
		begin_run(measure, plan, sample->run);
	if (measure->visit != sample->visit)
		begin_visit(measure, plan, sample);
	if (sample->w > 0)
		measure->w = sample->w;
	measure->distinct = sample->distinct;
	measure->unattributed += sample->unattributed;
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		measure->words[cohort] += sample->words[cohort];
		measure->unhappy[cohort] += sample->unhappy[cohort];
		tally_add(&measure->tally[cohort], &sample->tally[cohort]);
		outcomes[cohort] = settle(measure, cohort, &sample->tally[cohort]);
	}
	harm_add(&measure->harm, outcomes[CANARY_CANARY], outcomes[CANARY_STABLE]);
	for (size_t i = 0; i < plan->gate_count; i++) {
		const struct rollout_gate *gate = &plan->gates[i];

		if (gate->type == GATE_TYPE_FAILURES && gate->compare)
			add_failures(&measure->gates[i], sample);
		else if (gate_has_times(gate))
			add_times(&measure->gates[i], sample->w, &sample->times[i]);
		else if (gate->type == GATE_TYPE_FEEDBACK)
			add_feedback(&measure->gates[i], gate->compare, sample);
	}
}

double measure_sample_ratio(const struct measure *measure)
{
	__u64 canary = measure->tally[CANARY_CANARY].opened;

	if (!measure->distinct)
		return 0;
	return sample_ratio_log(canary, canary + measure->tally[CANARY_STABLE].opened, measure->w);
}

double measure_log(const struct measure *measure, const struct rollout_plan *plan, size_t gate)
{
	if (gate_has_process(&plan->gates[gate]))
		return measure->run ? eprocess_log(&measure->gates[gate].process) : 0;
	if (gate_has_times(&plan->gates[gate]))
		return measure->run ? times_gate_log(&measure->gates[gate].times) : 0;
	return NAN;
}

double measure_bound(const struct rollout_plan *plan, size_t gate)
{
	return gate_has_process(&plan->gates[gate]) || gate_has_times(&plan->gates[gate])
		       ? -log(rollout_gate_alpha(plan))
		       : NAN;
}
