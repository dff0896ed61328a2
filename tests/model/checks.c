/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "canary/select.h"
#include "model/history.h"

void check_violated(const struct flow *flow, const char *format, ...)
{
	char what[100];
	va_list arguments;

	if (history.result->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(history.result->violation, sizeof(history.result->violation), "flow %d (service %u): %s",
		 (int)(flow - history.flows), flow->service, what);
	history.result->step = history.result->operations;
}

/* Is what happened to the flow no defect? It was lost where something had to be, or its backend is gone. */
static bool excused(struct flow *flow)
{
	if (!world_alive(flow->backend, flow->generation)) {
		history.result->moved++;
		return true;
	}
	if (flow->lost) {
		history.result->given_up++;
		return true;
	}
	return false;
}

void check_connection(struct flow *flow, const struct datapath_packet *packet)
{
	struct canary_flow_key key = flow_key(flow);

	if (packet->verdict) {
		if (!excused(flow))
			check_violated(flow, "was dropped: %d", packet->verdict);
		flow->state = CLOSED;
		return;
	}
	if (history.retirements == changes_retired() && (!world_alive(packet->backend, packet->generation) ||
							 datapath_backend(packet->backend)->service != flow->service)) {
		check_violated(flow, "got backend %u, which is no live one of the service", packet->backend);
		return;
	}
	if (packet->backend != flow->backend || packet->generation != flow->generation) {
		if (!excused(flow))
			check_violated(flow, "moved from backend %u to %u", flow->backend, packet->backend);
		flow->state = CLOSED; /* the new backend knows nothing of it */
		return;
	}
	if (world_is_nat(flow->service) && datapath_find(&key) && world_alive(packet->backend, packet->generation) &&
	    datapath_reply(packet, MODEL_ACK, false) != flow->service)
		check_violated(flow, "has no way back");
}

/* Was the assignment in force ever seen stopped? Then it still has to be. */
static bool is_stopped(__u32 service)
{
	__u64 word = datapath_service(service)->word;
	const struct canary_config *config = datapath_config(service, canary_word_now(word));

	if (word & CANARY_WORD_STOPPED)
		history.stopped[service] = config->assignment;
	return history.stopped[service] == config->assignment;
}

static bool is_lease_over(const struct canary_config *config, const struct canary_guard *guard)
{
	__u64 until_ns = config->lease_ns;

	if (!until_ns || config->on_expiry != CANARY_EXPIRY_STABLE)
		return false;
	if (guard->renewed_assignment == config->assignment && guard->renewed_ns > until_ns)
		until_ns = guard->renewed_ns;
	return datapath_coarse_ns() >= until_ns;
}

/* Is there something that the packet's flow would rightly be given its backend by? */
static bool is_remembered(const struct flow *flow, const struct datapath_packet *packet)
{
	struct canary_flow_key key = flow_key(flow);
	const struct canary_flow *opening = datapath_opening(&key);

	return datapath_find(&key) || (opening && (flow->service == WORLD_UDP || opening->isn == packet->tcp_seq));
}

struct check_new check_before(const struct flow *flow, const struct datapath_packet *packet)
{
	__u64 word = datapath_service(flow->service)->word;
	const struct canary_config *config = datapath_config(flow->service, canary_word_now(word));
	const struct canary_guard *guard = datapath_guard(flow->service);
	struct check_new before = {.changes = changes_made()};

	if (packet->icmp_error || packet->named || (flow->service != WORLD_UDP && !(packet->tcp_flags & MODEL_SYN)))
		return before;
	before.applies = is_stopped(flow->service) || is_lease_over(config, guard);
	before.remembered = is_remembered(flow, packet);
	before.fallbacks = datapath_count(flow->service, CANARY_COHORT_FALLBACK);
	return before;
}

void check_after(const struct check_new *before, const struct flow *flow, const struct datapath_packet *packet)
{
	__u32 now = canary_word_now(datapath_service(flow->service)->word);

	if (!before->applies || packet->verdict || packet->cohort != CANARY_CANARY)
		return;
	/* An assignment may have come in between; and what cannot be remembered gets the older choice. */
	if (before->remembered || before->changes != changes_made() ||
	    before->fallbacks != datapath_count(flow->service, CANARY_COHORT_FALLBACK))
		return;
	/* A segment, or as stable has no backend. */
	if (datapath_choose(flow->service, now | CANARY_VIEW_STOPPED, &flow->tuple).cohort == CANARY_CANARY)
		return;
	check_violated(flow, "went to the canary, which new flows must not");
}

/* Counts what the kernel did by itself since the last look. */
void check_guards(void)
{
	for (__u32 id = 1; id <= WORLD_SERVICES; id++) {
		const struct canary_guard *guard = datapath_guard(id);

		is_stopped(id);
		if (guard->stopped_ns == history.stopped_ns[id])
			continue;
		history.stopped_ns[id] = guard->stopped_ns;
		history.result->expired += guard->stop_reason == CANARY_STOP_LEASE;
		history.result->tripped += guard->stopped_sum > 0; /* the others are the model's own: change_trip() */
	}
}

static void check_sum(__u32 service, const char *what, bool holds)
{
	if (holds || history.result->violation[0])
		return;
	snprintf(history.result->violation, sizeof(history.result->violation), "service %u: %s", service, what);
	history.result->step = history.result->operations;
}

static void check_service(__u32 id)
{
	__u64 count[CANARY_OUTCOMES], early, failures, opening = history.forgotten[id];

	for (enum canary_outcome what = 0; what < CANARY_OUTCOMES; what++)
		count[what] = datapath_outcome(id, what);
	for (shim_instance = 0; shim_instance < shim_instances; shim_instance++)
		opening += datapath_watched_opening(id);
	shim_instance = 0;
	early = count[CANARY_OUTCOME_SERVER_RESET_EARLY] + count[CANARY_OUTCOME_NO_REPLY] +
		count[CANARY_OUTCOME_CLIENT_RESET_EARLY];
	failures = count[CANARY_OUTCOME_REFUSED] + count[CANARY_OUTCOME_CLIENT_RESET] +
		   count[CANARY_OUTCOME_HALF_OPEN] + early;
	check_sum(id, "not every watched flow has one outcome",
		  count[CANARY_OUTCOME_OPENED] == count[CANARY_OUTCOME_COMPLETED] + failures - early + opening);
	check_sum(id, "more connections failed than failures were counted", count[CANARY_OUTCOME_FAILED] <= failures);
	check_sum(id, "more ended early than completed", early <= count[CANARY_OUTCOME_COMPLETED]);
	check_sum(id, "more were late than half open", count[CANARY_OUTCOME_LATE] <= count[CANARY_OUTCOME_HALF_OPEN]);
	history.result->outcomes += count[CANARY_OUTCOME_COMPLETED] + failures;
}

void check_outcomes(void)
{
	for (__u32 id = 1; id <= WORLD_SERVICES; id++)
		check_service(id);
}
