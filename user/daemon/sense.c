/* SPDX-License-Identifier: Apache-2.0 */
/* From the kernel's counters to samples, which are in the history before they count. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/histogram.h"
#include "daemon/supervisor.h"

#define FLOOD_MARGIN_MS 1000

static int look(const struct supervisor *supervisor, struct dataplane *dataplane, struct senses *ret,
		struct error *error)
{
	const struct service_model *service = &supervisor->running;
	struct canary_outcomes outcomes;
	int err = dataplane_guard(dataplane, service, &ret->guard);

	ret->assignment = service->assignment;
	for (int cohort = 0; !err && cohort < CANARY_COHORTS; cohort++)
		err = dataplane_cohort_counters(dataplane, service->id, cohort, &ret->counters[cohort]);
	if (err)
		return fail(error, err, "cannot read the counters of %s: %s", service->name, strerror(-err));
	/* There may be a thousand services, and few rollouts at a time. */
	if (!rollout_owns_weight(&supervisor->record.rollout))
		return 0;
	err = dataplane_outcomes(dataplane, service, &outcomes);
	if (!err)
		ret->reading = reading_make(&outcomes);
	else if (err != -ENOENT) /* of UDP nothing is watched */
		return fail(error, err, "cannot read the outcomes of %s: %s", service->name, strerror(-err));
	for (int kind = 0; kind < CANARY_HISTOGRAM_KINDS; kind++) {
		ret->has_histogram[kind] = true;
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			ret->has_histogram[kind] &=
				!dataplane_histogram(dataplane, service, cohort, kind, &ret->histograms[kind][cohort]);
	}
	return 0;
}

/* What came between two looks at histograms, which begin anew with each assignment. */
static void take_rise(const struct senses *before, const struct senses *now, enum canary_histogram_kind kind,
		      enum canary_cohort cohort, __u32 ret[CANARY_HISTOGRAM_BUCKETS])
{
	static const struct canary_histogram none;
	bool same = before->assignment == now->assignment;

	histogram_rise((same ? &before->histograms[kind][cohort] : &none)->count, now->histograms[kind][cohort].count,
		       ret);
}

static enum canary_histogram_kind kind_of(const struct rollout_gate *gate)
{
	return gate->type == GATE_TYPE_RESPONSE_TIME ? CANARY_HISTOGRAM_RESPONSE : CANARY_HISTOGRAM_HANDSHAKE;
}

static bool set_edges(const struct rollout_gate *gate, const struct canary_histogram *stable, struct times_sample *ret)
{
	struct times_gate times = {.tolerance = gate->tolerance};

	if (times_gate_set_edges(&times, stable->count))
		return false;
	memcpy(ret->edge, times.edge, sizeof(ret->edge));
	ret->has_edges = true;
	return true;
}

/*
 * The edges of a visit are stable's percentiles of the one before, or where there were too few, of the visit so far: the
 * samples that set them do not count as events.
 */
static void sample_times(struct supervisor *supervisor, size_t at, struct times_sample *ret)
{
	const struct rollout_gate *gate = &supervisor->record.plan.gates[at];
	const struct times_gate *times = &supervisor->measure.gates[at].times;
	enum canary_histogram_kind kind = kind_of(gate);
	bool known = supervisor->measure.run == supervisor->record.run && times->has_edges;
	const double *edges = times->edge;
	__u32 rise[CANARY_HISTOGRAM_BUCKETS];

	if (!supervisor->now.has_histogram[kind])
		return;
	if (supervisor->edges_visit[at] != supervisor->record.visit) {
		if (set_edges(gate, &supervisor->baseline[kind], ret)) {
			supervisor->edges_visit[at] = supervisor->record.visit;
			supervisor->edges_samples[at] = 0;
		} else if (set_edges(gate, &supervisor->now.histograms[kind][CANARY_STABLE], ret)) {
			supervisor->edges_visit[at] = supervisor->record.visit;
			supervisor->edges_samples[at] =
				histogram_count(supervisor->now.histograms[kind][CANARY_CANARY].count);
			return;
		}
	}
	if (ret->has_edges)
		edges = ret->edge;
	else if (!known)
		return;
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		double factor = cohort == CANARY_CANARY ? gate->tolerance : 1;

		take_rise(&supervisor->before, &supervisor->now, kind, cohort, rise);
		for (int edge = 0; edge < TIMES_EDGES; edge++)
			ret->above[cohort][edge] = histogram_above(rise, histogram_bucket(edges[edge] * factor));
	}
}

static void take_feedback(struct supervisor *supervisor, struct sample *sample)
{
	double share = supervisor_effective_weight(supervisor) / (double)CANARY_WEIGHT_ONE;

	memcpy(sample->unhappy, supervisor->unhappy, sizeof(sample->unhappy));
	memcpy(sample->words, supervisor->words, sizeof(sample->words));
	sample->unattributed = supervisor->unattributed;
	sample->feedback_w = share;
}

void supervisor_forget_feedback(struct supervisor *supervisor)
{
	memset(supervisor->unhappy, 0, sizeof(supervisor->unhappy));
	memset(supervisor->words, 0, sizeof(supervisor->words));
	supervisor->unattributed = 0;
}

static int keep_sample(struct supervisor *supervisor, const struct sample *sample, struct error *error)
{
	char *text = record_counts(NULL, sample, &supervisor->now.reading, &supervisor->pulse.point);
	const struct history_entry entry = {
		.kind = HISTORY_COUNTS,
		.service = supervisor->name,
		.rollout = (__s64)supervisor->record.rollout.release,
		.time = wall_ms(),
		.counts = {.step = sample->step, .counts = text},
	};
	int err = text ? history_append(supervisor->daemon->history, &entry, 1, error) : -ENOMEM;

	free(text);
	return err;
}

static int take_sample(struct supervisor *supervisor, struct error *error)
{
	struct record *record = &supervisor->record;
	struct sample sample = {
		.run = record->run,
		.visit = record->visit,
		.step = record->rollout.step,
		.distinct = supervisor->running.affinity != CANARY_AFFINITY_CLIENT,
	};
	bool flooded = sample_take(&supervisor->before.reading, &supervisor->now.reading, record->first,
				   record->assignment, &sample);
	int err;

	if (flooded) {
		supervisor->flooded_until_ms = wall_ms() + supervisor->running.handshake_timeout + FLOOD_MARGIN_MS;
		return 0;
	}
	for (size_t i = 0; i < record->plan.gate_count; i++) {
		if (gate_has_times(&record->plan.gates[i]))
			sample_times(supervisor, i, &sample.times[i]);
	}
	take_feedback(supervisor, &sample);
	if (sample_is_empty(&sample))
		return 0;
	err = keep_sample(supervisor, &sample, error);
	if (err)
		return err;
	measure_add(&supervisor->measure, &record->plan, &sample);
	curve_take_sample(&supervisor->pulse.point, &sample);
	supervisor_forget_feedback(supervisor);
	return 0;
}

/* Begins a visit: what the one before has seen of stable is what its times are held against. */
static void note_visit(struct supervisor *supervisor)
{
	const struct reading counted = supervisor->before.reading;

	/* After a restart the history knows which outcomes were counted, but of times those of the meantime are left out. */
	if (!supervisor->before.assignment) {
		supervisor->before = supervisor->now;
		supervisor->before.reading = counted;
	}
	if (supervisor->before.assignment == supervisor->now.assignment)
		return;
	for (int kind = 0; kind < CANARY_HISTOGRAM_KINDS; kind++)
		supervisor->baseline[kind] = supervisor->before.histograms[kind][CANARY_STABLE];
}

__u64 supervisor_sum_drops(const struct canary_cohort_counters *counters)
{
	__u64 sum = 0;

	for (int reason = 0; reason < CANARY_COHORT_REASONS; reason++)
		sum += counters->drops[reason];
	return sum;
}

/* The warm-up is over: from here on drops and flows count. Over a restart as well. */
static int set_mark(struct supervisor *supervisor, struct error *error)
{
	struct record *record = &supervisor->record;
	bool same = supervisor->before.assignment == supervisor->now.assignment;
	const struct senses *from = same ? &supervisor->before : &supervisor->now;

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		record->mark.counts[cohort] = (struct counts_mark){
			.packets = from->counters[cohort].count[CANARY_COHORT_PACKETS],
			.drops = supervisor_sum_drops(&from->counters[cohort]),
			.flows = from->counters[cohort].count[CANARY_COHORT_FLOWS],
		};
	record->mark.visit = record->visit;
	supervisor->mark = *from;
	return supervisor_save(supervisor, error);
}

int supervisor_sense(struct supervisor *supervisor, struct dataplane *dataplane, struct error *error)
{
	const struct record *record = &supervisor->record;
	int err;

	memset(&supervisor->now, 0, sizeof(supervisor->now));
	err = look(supervisor, dataplane, &supervisor->now, error);
	if (err)
		return err;
	note_visit(supervisor);
	pulse_look(supervisor);
	if (!record->run || record->rollout.weight_due || !rollout_is_warm(&record->plan, &record->rollout)) {
		/* What the warm-up brings is not counted. */
		supervisor->before = supervisor->now;
		return 0;
	}
	if (record->mark.visit != record->visit)
		err = set_mark(supervisor, error);
	if (!err)
		err = take_sample(supervisor, error);
	/* What could not be written down is counted with the next sample. */
	if (!err)
		supervisor->before = supervisor->now;
	return err;
}

double supervisor_percentile(const struct supervisor *supervisor, enum canary_histogram_kind kind,
			     enum canary_cohort cohort, double part)
{
	static const struct senses nothing;
	/* Of before a restart, a histogram is not kept: its assignment has begun with the visit. */
	bool marked = supervisor->mark.assignment == supervisor->now.assignment;
	__u32 rise[CANARY_HISTOGRAM_BUCKETS];
	double seconds;

	if (!supervisor->now.has_histogram[kind])
		return NAN;
	take_rise(marked ? &supervisor->mark : &nothing, &supervisor->now, kind, cohort, rise);
	return histogram_percentile(rise, part, &seconds) ? NAN : seconds * 1000;
}

/* What the visit began with, and nothing before its warm-up is over. */
static struct counts_mark counts_of_visit(const struct supervisor *supervisor, enum canary_cohort cohort)
{
	const struct canary_cohort_counters *now = &supervisor->now.counters[cohort];
	const struct counts_mark *mark = &supervisor->record.mark.counts[cohort];

	if (supervisor->record.mark.visit != supervisor->record.visit)
		return (struct counts_mark){};
	return (struct counts_mark){
		.packets = now->count[CANARY_COHORT_PACKETS] - mark->packets,
		.drops = supervisor_sum_drops(now) - mark->drops,
		.flows = now->count[CANARY_COHORT_FLOWS] - mark->flows,
	};
}

double supervisor_drops(const struct supervisor *supervisor, enum canary_cohort cohort, __u64 *ret_packets)
{
	struct counts_mark counts = counts_of_visit(supervisor, cohort);
	__u64 packets = counts.packets + counts.drops;

	*ret_packets = packets;
	return packets ? 100.0 * (double)counts.drops / (double)packets : 0;
}

__u64 supervisor_flows(const struct supervisor *supervisor, enum canary_cohort cohort)
{
	return counts_of_visit(supervisor, cohort).flows;
}

bool supervisor_is_observed(const struct supervisor *supervisor)
{
	return supervisor->running.proto != IPPROTO_UDP;
}
