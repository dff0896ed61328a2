/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane's own counters say whether every run did what it should. */
#include "subject.h"

static void add_interface(struct totals *totals)
{
	struct canary_interface_counters values;

	assert_int_equal(dataplane_interface_counters(env.dataplane, env.interfaces[FRONT].ifindex, &values), 0);
	totals->passed = values.count[CANARY_INTERFACE_PASSED];
	totals->not_ours = values.count[CANARY_INTERFACE_NOT_OURS];
	totals->forwarded = values.count[CANARY_INTERFACE_FORWARDED];
	totals->other = values.count[CANARY_INTERFACE_TX_ERRORS];
	for (int i = 0; i < CANARY_REASONS; i++)
		totals->dropped += values.drops[i];
}

static void add_cohort(struct totals *totals, const struct canary_cohort_counters *values)
{
	for (int i = 0; i < CANARY_COHORT_COUNTERS; i++)
		switch (i) {
		case CANARY_COHORT_PACKETS:
			totals->packets += values->count[i];
			break;
		case CANARY_COHORT_BYTES:
			totals->bytes += values->count[i];
			break;
		case CANARY_COHORT_FLOWS:
			totals->flows += values->count[i];
			break;
		case CANARY_COHORT_FALLBACK:
		case CANARY_COHORT_SKIPPED:
		case CANARY_COHORT_SECOND_CHANCE:
			totals->remembering += values->count[i];
			break;
		default:
			totals->other += values->count[i];
		}
	for (int i = 0; i < CANARY_COHORT_REASONS; i++)
		totals->dropped += values->drops[i];
}

struct totals totals_take(const struct subject *subject)
{
	const struct service_model *service = find_service(subject->name);
	struct totals totals = {};

	add_interface(&totals);
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct canary_cohort_counters values;

		assert_int_equal(dataplane_cohort_counters(env.dataplane, service->id, cohort, &values), 0);
		add_cohort(&totals, &values);
	}
	for (size_t i = 0; i < service->backend_count; i++) {
		struct canary_backend_counters values;

		assert_int_equal(dataplane_backend_counters(env.dataplane, service->backends[i].index, &values), 0);
		totals.backend_packets += values.count[CANARY_BACKEND_PACKETS];
		totals.backend_bytes += values.count[CANARY_BACKEND_BYTES];
		totals.backend_flows += values.count[CANARY_BACKEND_FLOWS];
	}
	return totals;
}

/* In a window, flows that are not settled and already remembered are not counted again. */
static void check_flows(const struct bench_group *group, __u64 flows, unsigned runs)
{
	if (bench_connects(group))
		assert_int_equal(flows, subject_connections(group, runs));
	else if (group->packet == BENCH_PACKET_ACK || group->forward == BENCH_FORWARD_NAT)
		assert_int_equal(flows, 0);
	else if (group->state == BENCH_STATE_SETTLED || group->packet == BENCH_PACKET_UDP)
		assert_int_equal(flows, runs);
	else
		assert_in_range(flows, 0, runs);
}

void totals_check(const struct subject *subject, const struct totals *before, unsigned runs)
{
	const struct bench_group *group = &subject->group;
	unsigned ours = group->forward == BENCH_FORWARD_NONE ? 0 : runs;
	__u64 bytes = (__u64)ours * subject->packet.ip_len;
	struct totals after = totals_take(subject);

	assert_int_equal(after.forwarded - before->forwarded, ours);
	assert_int_equal(after.passed - before->passed, runs - ours);
	assert_int_equal(after.not_ours - before->not_ours, runs - ours);
	assert_int_equal(after.packets - before->packets, ours);
	assert_int_equal(after.bytes - before->bytes, bytes);
	assert_int_equal(after.backend_packets - before->backend_packets, ours);
	assert_int_equal(after.backend_bytes - before->backend_bytes, bytes);
	assert_int_equal(after.dropped, before->dropped);
	assert_int_equal(after.other, before->other);
	assert_int_equal(after.backend_flows - before->backend_flows, after.flows - before->flows);
	if (group->state == BENCH_STATE_SETTLED)
		assert_int_equal(after.remembering, before->remembering);
	if (ours)
		check_flows(group, after.flows - before->flows, runs);
}
