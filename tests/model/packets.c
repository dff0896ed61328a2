/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "model/history.h"

static const char *const state_names[] = {"closed", "opening", "established", "ending"};

/* FIN shortens what is left of an entry's life: SWEEP_CLOSING_NS, and that of both sides SWEEP_CLOSED_NS. */
#define ENDING_NS (10 * WORLD_SECOND_NS)
#define CLOSED_NS (2 * WORLD_SECOND_NS)
/* The sweeper comes in between a packet's arrival and its lookups: the connection may fall idle meanwhile. */
#define UNDER_WAY_NS WORLD_SECOND_NS
/* How long a handshake takes at most: what the bits of opening flows last, and a little less. */
#define HANDSHAKE_NS (8 * WORLD_SECOND_NS)

struct canary_flow_key flow_key(const struct flow *flow)
{
	return (struct canary_flow_key){.client = flow->tuple.client,
					.service = flow->service,
					.client_port = flow->tuple.client_port,
					.port = flow->tuple.port};
}

struct flow *flow_of(const struct canary_flow_key *key)
{
	for (__u32 i = 0; i < history.options.flows; i++) {
		struct canary_flow_key have = flow_key(&history.flows[i]);

		if (!memcmp(&have, key, sizeof(have)))
			return &history.flows[i];
	}
	return NULL;
}

bool flow_is_tracked(const struct flow *flow)
{
	return world_is_nat(flow->service) || flow->service == WORLD_UDP;
}

static void spoil_packet(struct datapath_packet *packet, const struct flow *flow)
{
	struct canary_flow_key key = flow_key(flow);
	struct canary_flow *opening;

	if (history.options.mutant != MUTANT_PROMOTE_ANY_ACK || packet->tcp_flags & MODEL_SYN)
		return;
	opening = datapath_opening(&key);
	if (opening)
		packet->tcp_seq = opening->isn + 1;
}

static void spoil_after(const struct datapath_packet *packet, const struct flow *flow, __u64 skipped_ns)
{
	struct canary_flow_key key = flow_key(flow);
	struct canary_flow *opening, *established;

	if (history.options.mutant == MUTANT_SKIP_NOT_NOTED)
		datapath_service(flow->service)->skipped_ns = skipped_ns;
	if (history.options.mutant != MUTANT_PROMOTE_AT_SYN || !(packet->tcp_flags & MODEL_SYN))
		return;
	opening = datapath_opening(&key);
	established = datapath_find(&key);
	if (opening && established)
		*established = *opening;
}

static void trace(const struct datapath_packet *packet, const struct flow *flow, bool between)
{
	struct canary_flow_key key = flow_key(flow);
	const struct canary_flow *entry = datapath_find(&key), *opening = datapath_opening(&key);

	printf("  flow %d (%s): %s%s%s%s%sseq isn%+d%s -> %d, backend %u", (int)(flow - history.flows),
	       state_names[flow->state], packet->icmp_error ? "icmp " : "", packet->tcp_flags & MODEL_SYN ? "SYN " : "",
	       packet->tcp_flags & MODEL_ACK ? "ACK " : "", packet->tcp_flags & MODEL_FIN ? "FIN " : "",
	       packet->tcp_flags & MODEL_RST ? "RST " : "", packet->tcp_seq - flow->isn, between ? ", in between" : "",
	       packet->verdict, packet->backend);
	if (entry)
		printf(", remembered: %u, flags %u", entry->backend, entry->flags);
	if (opening)
		printf(", opening: %u, flags %u", opening->backend, opening->flags);
	printf("%s%s\n", history.exhausted ? ", limited" : "", shim_instance ? ", other instance" : "");
}

/* Sends a packet with the flow's tuple, by the flow itself or by a stranger. */
static void steer(struct datapath_packet *packet, struct flow *flow)
{
	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;
	__u64 skipped_ns = datapath_service(flow->service)->skipped_ns;
	struct flow *busy = history.busy;
	struct check_new before;

	packet->tuple = flow->tuple;
	packet->lease_unchecked = history.options.mutant == MUTANT_LEASE_UNCHECKED;
	spoil_packet(packet, flow);
	if (history.exhausted)
		datapath_exhaust(true);
	before = check_before(flow, packet);
	if (!busy) {
		history.busy = flow;
		history.countdown = one_in(4) ? 1 + pick(60) : 0;
		shim_hook = history_interleave;
	}
	history.retirements = changes_retired();
	datapath_steer(packet);
	shim_hook = outer;
	history.busy = busy;
	check_after(&before, flow, packet);
	spoil_after(packet, flow, skipped_ns);
	history.result->packets++;
	if (history.options.trace)
		trace(packet, flow, busy);
}

static __u64 patience_ns(const struct flow *flow)
{
	if (flow->state == OPENING)
		return HANDSHAKE_NS;
	if (flow->state == ENDING)
		return flow->answered ? CLOSED_NS : ENDING_NS;
	return WORLD_IDLE_NS - UNDER_WAY_NS;
}

/* A packet of the flow itself. */
static void send(struct flow *flow, __u32 tcp_flags)
{
	struct datapath_packet packet = {
		.tcp_flags = tcp_flags, .tcp_seq = flow->isn + 1 + flow->sent, .data = one_in(2)};
	__u32 instance = shim_instance;

	if (flow->state == CLOSED)
		return;
	if (shim_now_ns - flow->last_ns > patience_ns(flow)) {
		flow->state = CLOSED;
		return;
	}
	if (flow->service == WORLD_UDP) {
		packet.tcp_flags = packet.tcp_seq = 0;
		packet.named = one_in(4) ? flow->backend : 0;
	}
	if (tcp_flags & MODEL_SYN)
		packet.tcp_seq--;
	shim_instance = flow->instance;
	flow->last_ns = shim_now_ns; /* before what may come in between */
	steer(&packet, flow);
	check_connection(flow, &packet);
	shim_instance = instance;
}

static void open_flow(struct flow *flow)
{
	struct datapath_packet packet = {.tcp_flags = MODEL_SYN};
	__u32 instance = shim_instance;

	flow->isn = shim_random();
	flow->sent = 0;
	flow->lost = false;
	flow->answered = false;
	flow->last_ns = shim_now_ns;
	flow->state = CLOSED;
	packet.tcp_seq = flow->isn;
	if (flow->service == WORLD_UDP)
		packet.tcp_flags = packet.tcp_seq = 0;
	shim_instance = flow->instance;
	steer(&packet, flow);
	shim_instance = instance;
	if (packet.verdict) /* no backend, or in nat none that is free */
		return;
	flow->backend = packet.backend;
	flow->generation = packet.generation;
	flow->state = flow->service == WORLD_UDP ? ESTABLISHED : OPENING;
}

/* The SYN again. A flow whose first SYN was settled is not remembered: a change in between gives it a new backend. */
static void retransmit(struct flow *flow)
{
	struct datapath_packet packet = {.tcp_flags = MODEL_SYN, .tcp_seq = flow->isn};
	__u32 instance = shim_instance;

	if (shim_now_ns - flow->last_ns > patience_ns(flow)) {
		flow->state = CLOSED;
		return;
	}
	shim_instance = flow->instance;
	steer(&packet, flow);
	shim_instance = instance;
	if (packet.verdict) {
		flow->state = CLOSED;
		return;
	}
	flow->last_ns = shim_now_ns;
	flow->backend = packet.backend;
	flow->generation = packet.generation;
}

static void complete(struct flow *flow)
{
	struct canary_flow_key key = flow_key(flow);

	__u32 instance = shim_instance;

	/* The ACK may be lost, and the first data. Where an earlier flow has the tuple, only that ACK takes it over. */
	shim_instance = flow->instance;
	flow->sent = one_in(4) && !datapath_find(&key) ? pick(10000) : 0;
	shim_instance = instance;
	send(flow, MODEL_ACK);
	if (flow->state == OPENING)
		flow->state = ESTABLISHED;
}

/* nat: a packet of the flow's backend. */
static void reply(const struct flow *flow, __u32 tcp_flags, bool data)
{
	const struct datapath_packet packet = {.tuple = flow->tuple, .backend = flow->backend};
	__u32 instance = shim_instance;

	if (!world_alive(flow->backend, flow->generation))
		return;
	shim_instance = flow->instance;
	datapath_reply(&packet, tcp_flags, data);
	shim_instance = instance;
	history.result->packets++;
	if (history.options.trace)
		printf("  flow %d: its backend answers, flags %#x\n", (int)(flow - history.flows), tcp_flags);
}

static void backend_opens(struct flow *flow)
{
	if (one_in(8)) {
		reply(flow, MODEL_RST | MODEL_ACK, false);
		flow->state = CLOSED;
	} else if (one_in(2)) {
		reply(flow, MODEL_SYN | MODEL_ACK, false);
	}
}

static void backend_talks(struct flow *flow)
{
	switch (pick(8)) {
	case 0:
		reply(flow, MODEL_RST, false);
		flow->state = CLOSED;
		break;
	case 1:
		reply(flow, MODEL_FIN | MODEL_ACK, false);
		flow->answered = true;
		break;
	default:
		reply(flow, MODEL_ACK, one_in(2));
	}
}

/* Before the handshake is over. An earlier flow with its tuple may get the RST: only an ACK ends its right to it. */
static void give_up(struct flow *flow)
{
	struct datapath_packet packet = {.tcp_flags = MODEL_RST, .tcp_seq = flow->isn + 1};
	__u32 instance = shim_instance;

	shim_instance = flow->instance;
	steer(&packet, flow);
	shim_instance = instance;
	flow->state = CLOSED;
}

static void client_opens(struct flow *flow)
{
	if (one_in(4)) {
		retransmit(flow);
	} else if (one_in(16)) {
		give_up(flow);
	} else {
		complete(flow);
	}
}

static void client_talks(struct flow *flow)
{
	bool tcp = flow->service != WORLD_UDP;

	flow->sent += one_in(3) ? pick(100000000) : pick(3000);
	if (tcp && one_in(16)) {
		send(flow, MODEL_FIN | MODEL_ACK);
		if (flow->state == ESTABLISHED)
			flow->state = ENDING;
	} else if (tcp && one_in(32)) {
		send(flow, MODEL_RST);
		flow->state = CLOSED;
	} else if (one_in(32)) {
		flow->state = CLOSED; /* the client is gone without a word */
	} else {
		send(flow, MODEL_ACK);
	}
}

void packets_progress(struct flow *flow)
{
	bool answers = world_is_nat(flow->service);

	switch (flow->state) {
	case CLOSED:
		open_flow(flow);
		break;
	case OPENING:
		if (answers && one_in(2))
			backend_opens(flow);
		else
			client_opens(flow);
		break;
	case ESTABLISHED:
		if (answers && one_in(4))
			backend_talks(flow);
		else
			client_talks(flow);
		break;
	case ENDING:
		send(flow, MODEL_ACK);
		if (one_in(4))
			flow->state = CLOSED;
	}
}

static __u32 some_backend(__u32 service)
{
	return world_members[service][pick(CANARY_COHORTS)][pick(WORLD_MEMBERS)].index;
}

void packets_forge(struct flow *flow)
{
	struct datapath_packet packet = {.tcp_seq = shim_random(), .tcp_flags = one_in(2) ? MODEL_SYN : MODEL_ACK};
	__u32 instance = shim_instance;

	if (one_in(8))
		packet = (struct datapath_packet){.icmp_error = true};
	else if (flow->service == WORLD_UDP)
		packet = (struct datapath_packet){.named = some_backend(flow->service)};
	if (flow->service == WORLD_UDP && !packet.icmp_error && !packet.named)
		return; /* is the flow's own */
	shim_instance = flow->instance;
	steer(&packet, flow);
	if (packet.tcp_flags & MODEL_SYN && flow->state == OPENING)
		flow->lost = true;
	shim_instance = instance;
}

void packets_flood(void)
{
	struct datapath_packet packet;
	__u32 count = 1 + pick(2 * SMALL_EMBRYONIC), flags = one_in(2) ? MODEL_SYN : MODEL_ACK;
	__u32 service = history_service();

	for (__u32 i = 0; i < count; i++) {
		packet = (struct datapath_packet){
			.tuple = {.client = world_addr(0x50000000 + pick(1 << 24)),
				  .service = world_addr(0x0a000000 + service),
				  .client_port = shim_random(),
				  .port = 80,
				  .proto = service == WORLD_UDP ? 17 : 6},
			.tcp_flags = service == WORLD_UDP ? 0 : flags,
			.tcp_seq = service == WORLD_UDP ? 0 : shim_random(),
		};
		if (history.exhausted)
			datapath_exhaust(true);
		datapath_steer(&packet);
		history.result->packets++;
	}
}
