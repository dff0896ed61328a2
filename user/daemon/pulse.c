/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pulse.h"

#include <math.h>
#include <stdlib.h>

#include "core/histogram.h"
#include "daemon/supervisor.h"

#define BASE_MS 5000
#define LEAST_HANDSHAKES 5 /* of fewer, percentiles would say nothing */
#define DRAWN_AFTER_END_MS 30000
#define MSEC_PER_SEC 1e3

/* Histograms begin anew with each assignment. */
static void take_handshakes(struct curve_cohort *point, const struct pulse_base *base, const struct senses *now,
			    enum canary_cohort cohort)
{
	static const double parts[] = {
#define X(name, part) part,
		CURVE_PERCENTILES(X)
#undef X
	};
	static const struct canary_histogram none;
	bool same = base->assignment == now->assignment;
	__u32 rise[CANARY_HISTOGRAM_BUCKETS];
	bool enough = false;

	/* There may be a thousand services, and few rollouts at a time. */
	if (now->has_histogram[CANARY_HISTOGRAM_HANDSHAKE]) {
		histogram_rise((same ? &base->handshakes[cohort] : &none)->count,
			       now->histograms[CANARY_HISTOGRAM_HANDSHAKE][cohort].count, rise);
		enough = histogram_count(rise) >= LEAST_HANDSHAKES;
	}
	for (int i = 0; i < CURVE_PERCENTILE_COUNT; i++) {
		double seconds = NAN;

		if (enough)
			histogram_percentile(rise, parts[i], &seconds);
		point->handshake[i] = (float)(seconds * MSEC_PER_SEC);
	}
}

static void move_bases(struct pulse *pulse, const struct senses *now, __s64 now_ms)
{
	struct pulse_base *newer = &pulse->bases[PULSE_BASES - 1];

	if (llabs(now_ms - newer->taken_ms) < BASE_MS)
		return;
	pulse->bases[0] = *newer;
	newer->taken_ms = now_ms;
	newer->assignment = now->assignment;
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		newer->handshakes[cohort] = now->histograms[CANARY_HISTOGRAM_HANDSHAKE][cohort];
}

void pulse_look(struct supervisor *supervisor)
{
	const struct senses *now = &supervisor->now;
	struct pulse *pulse = &supervisor->pulse;
	__s64 now_ms = wall_ms();
	bool first = !pulse->looked_ms || now_ms <= pulse->looked_ms;

	pulse->point = (struct curve_point){
		.until_ms = now_ms,
		.span_ms = first ? 0 : now_ms - pulse->looked_ms,
		.weight = supervisor_effective_weight(supervisor),
	};
	pulse->looked_ms = now_ms;
	for (int i = 0; i < CANARY_COHORTS; i++) {
		struct curve_cohort *point = &pulse->point.cohorts[i];
		__u64 flows = now->counters[i].count[CANARY_COHORT_FLOWS],
		      drops = supervisor_sum_drops(&now->counters[i]);

		/* Of a service that was deleted and added, they begin at zero. */
		point->flows = flows > pulse->flows[i] ? flows - pulse->flows[i] : 0;
		point->drops = drops > pulse->drops[i] ? drops - pulse->drops[i] : 0;
		take_handshakes(point, &pulse->bases[0], now, (enum canary_cohort)i);
		pulse->flows[i] = flows;
		pulse->drops[i] = drops;
	}
	move_bases(pulse, now, now_ms);
}

void pulse_end(struct supervisor *supervisor)
{
	const struct record *record = &supervisor->record;
	static const struct measure none;
	bool measured = supervisor->measure.run == record->run;
	struct pulse *pulse = &supervisor->pulse;

	curve_take_evidence(&pulse->point, measured ? &supervisor->measure : &none, &record->plan);
	if (!pulse->point.span_ms)
		return;
	if (rollout_owns_weight(&record->rollout) && record->rollout.state != ROLLOUT_SUCCEEDED)
		pulse->drawn_until_ms = pulse->point.until_ms + DRAWN_AFTER_END_MS;
	if (pulse->point.until_ms < pulse->drawn_until_ms)
		curve_add(&pulse->curve, record->rollout.release, &pulse->point);
}
