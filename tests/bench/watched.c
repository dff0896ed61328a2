/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane's outcomes say whether it watched what it should, and saw what there was. */
#include "subject.h"

#include <arpa/inet.h>
#include <string.h>

/* Of a flow: is it watched, and as whose? */
enum watch { UNKNOWN, WATCHED_STABLE, WATCHED_CANARY, NOT_WATCHED };

struct watched_totals watched_take(const struct subject *subject)
{
	struct watched_totals totals = {};
	struct canary_outcomes outcomes;

	if (subject_proto(&subject->group) != IPPROTO_TCP)
		return totals; /* of datagrams nothing is known */
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service(subject->name), &outcomes), 0);
	for (int i = 0; i <= CANARY_EPOCHS; i++) {
		totals.flooded += outcomes.epochs[i].flooded;
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			for (int what = 0; what < CANARY_OUTCOMES; what++)
				totals.count[cohort][what] += outcomes.epochs[i].count[cohort][what];
	}
	return totals;
}

static enum watch explain(const struct subject *subject, const struct canary_epoch *epoch, unsigned flow)
{
	struct canary_addr client = make_addr(subject_clients(&subject->group));
	struct explanation why;
	struct error error;
	__u32 at;

	client.word[3] += htonl(flow % BENCH_HOSTS);
	if (dataplane_explain(env.dataplane, find_service(subject->name), &client,
			      BENCH_FIRST_PORT + (flow >> BENCH_HOST_BITS), subject->port, &why, &error))
		fail_msg("%s", error.text);
	at = why.cohort == CANARY_CANARY ? why.bucket : why.bucket - why.threshold;
	if (at >= epoch->watched[why.cohort])
		return NOT_WATCHED;
	return why.cohort == CANARY_CANARY ? WATCHED_CANARY : WATCHED_STABLE;
}

/* How many of the connections of `runs` runs are watched, by cohort. */
static void expect(const struct subject *subject, enum bench_flows flows, unsigned runs, __u64 ret[CANARY_COHORTS])
{
	static enum watch known[BENCH_MAX_FLOWS]; /* a word's: as long as the service is as it is */
	static __u64 of;
	const struct service_model *service = find_service(subject->name);
	unsigned count = subject_connections(&subject->group, runs);
	struct canary_outcomes outcomes;
	const struct canary_epoch *epoch;

	assert_int_equal(dataplane_outcomes(env.dataplane, service, &outcomes), 0);
	epoch = &outcomes.epochs[(service->word >> CANARY_WORD_EPOCH_SHIFT) % CANARY_EPOCHS];
	if (of != epoch->began_ns)
		memset(known, 0, sizeof(known));
	of = epoch->began_ns;
	ret[CANARY_STABLE] = ret[CANARY_CANARY] = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned flow = subject_flow(i, flows);

		if (known[flow] == UNKNOWN)
			known[flow] = explain(subject, epoch, flow);
		if (known[flow] != NOT_WATCHED)
			ret[known[flow] == WATCHED_CANARY]++;
	}
}

/* One that found no place is not watched: the sweeper may come between in the very moment. But that is for once. */
void watched_check(const struct subject *subject, const struct watched_totals *before, enum bench_flows flows,
		   unsigned runs)
{
	struct watched_totals after = watched_take(subject);
	__u64 expected[CANARY_COHORTS] = {}, missed = after.flooded - before->flooded, all = 0, seen = 0;

	if (bench_connects(&subject->group) && subject->group.observe != BENCH_OBSERVE_OFF)
		expect(subject, flows, runs, expected);
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		__u64 moved[CANARY_OUTCOMES];

		for (int what = 0; what < CANARY_OUTCOMES; what++)
			moved[what] = after.count[cohort][what] - before->count[cohort][what];
		assert_int_equal(moved[CANARY_OUTCOME_COMPLETED], moved[CANARY_OUTCOME_OPENED]);
		assert_in_range(moved[CANARY_OUTCOME_OPENED], expected[cohort] - (expected[cohort] ? missed : 0),
				expected[cohort]);
		for (int what = CANARY_OUTCOME_COMPLETED + 1; what < CANARY_OUTCOMES; what++)
			assert_int_equal(moved[what], 0);
		all += expected[cohort];
		seen += moved[CANARY_OUTCOME_OPENED];
	}
	assert_int_equal(seen + missed, all);
	assert_in_range(missed, 0, 4);
}
