/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "canary/select.h"
#include "model/world.h"

enum { MAX_FLOWS = 512 };

enum state {
	CLOSED,
	OPENING, /* TCP: the SYN is out */
	ESTABLISHED,
	ENDING, /* a FIN was sent */
};
static const char *const state_names[] = {"closed", "opening", "established", "ending"};

/* FIN shortens what is left of an entry's life: SWEEP_CLOSING_NS. */
#define ENDING_NS 10000000000ULL
/* How long a handshake takes at most: what the bits of opening flows last, and a little less. */
#define HANDSHAKE_NS 8000000000ULL

struct flow {
	struct canary_tuple tuple;
	__u32 service;
	enum state state;
	__u32 isn;
	__u32 sent; /* bytes */
	__u64 last_ns;
	__u32 backend;
	__u32 generation;
	__u32 instance; /* the balancer that ECMP sends it to */
	/* An LRU forgot it, or a stranger's SYN took its place there, while it was not yet in the table. */
	bool lost;
};

static struct {
	struct model_options options;
	struct model_result *result;
	struct flow flows[MAX_FLOWS];
	struct flow *busy; /* whose packet is on its way */
	__u32 retirements; /* before the packet */
	__u32 countdown; /* operations on maps until something comes in between; 0: nothing does */
	bool in_tick;
	bool exhausted; /* limits */
} m;

static void violation(const struct flow *flow, const char *format, ...)
{
	char what[100];
	va_list arguments;

	if (m.result->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(m.result->violation, sizeof(m.result->violation), "flow %d (service %u, %s): %s",
		 (int)(flow - m.flows), flow->service, state_names[flow->state], what);
	m.result->step = m.result->operations;
}

static struct canary_flow_key key_of(const struct flow *flow)
{
	return (struct canary_flow_key){.client = flow->tuple.client,
					.service = flow->service,
					.client_port = flow->tuple.client_port,
					.port = flow->tuple.port};
}

static struct flow *flow_of(const struct canary_flow_key *key)
{
	for (__u32 i = 0; i < m.options.flows; i++) {
		struct canary_flow_key have = key_of(&m.flows[i]);

		if (!memcmp(&have, key, sizeof(have)))
			return &m.flows[i];
	}
	return NULL;
}

static __u32 some_service(void)
{
	return m.options.focus ? m.options.focus : 1 + pick(WORLD_SERVICES);
}

static bool tracks_all(__u32 service)
{
	return service == WORLD_NAT || service == WORLD_OTHER_NAT || service == WORLD_UDP;
}

/* Packets. */

static void spoil_packet(struct datapath_packet *packet, const struct flow *flow)
{
	struct canary_flow_key key = key_of(flow);
	struct canary_flow *opening;

	if (m.options.mutant != MUTANT_PROMOTE_ANY_ACK || packet->tcp_flags & MODEL_SYN)
		return;
	opening = datapath_opening(&key);
	if (opening)
		packet->tcp_seq = opening->isn + 1;
}

static void spoil_after(const struct datapath_packet *packet, const struct flow *flow, __u64 skipped_ns)
{
	struct canary_flow_key key = key_of(flow);
	struct canary_flow *opening, *established;

	if (m.options.mutant == MUTANT_SKIP_NOT_NOTED)
		datapath_service(flow->service)->skipped_ns = skipped_ns;
	if (m.options.mutant != MUTANT_PROMOTE_AT_SYN || !(packet->tcp_flags & MODEL_SYN))
		return;
	opening = datapath_opening(&key);
	established = datapath_find(&key);
	if (opening && established)
		*established = *opening;
}

static bool interleave(enum shim_op op, struct shim_map *map, const void *key, const void *value);

static void trace(const struct datapath_packet *packet, const struct flow *flow, bool between)
{
	struct canary_flow_key key = key_of(flow);
	const struct canary_flow *entry = datapath_find(&key), *opening = datapath_opening(&key);

	printf("  flow %d (%s): %s%s%s%s%sseq isn%+d%s -> %d, backend %u", (int)(flow - m.flows),
	       state_names[flow->state], packet->icmp_error ? "icmp " : "", packet->tcp_flags & MODEL_SYN ? "SYN " : "",
	       packet->tcp_flags & MODEL_ACK ? "ACK " : "", packet->tcp_flags & MODEL_FIN ? "FIN " : "",
	       packet->tcp_flags & MODEL_RST ? "RST " : "", packet->tcp_seq - flow->isn, between ? ", in between" : "",
	       packet->verdict, packet->backend);
	if (entry)
		printf(", remembered: %u, flags %u", entry->backend, entry->flags);
	if (opening)
		printf(", opening: %u, flags %u", opening->backend, opening->flags);
	printf("%s%s\n", m.exhausted ? ", limited" : "", shim_instance ? ", other instance" : "");
}

/* Sends a packet with the flow's tuple, by the flow itself or by a stranger. */
static void steer(struct datapath_packet *packet, struct flow *flow)
{
	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;
	__u64 skipped_ns = datapath_service(flow->service)->skipped_ns;
	struct flow *busy = m.busy;

	packet->tuple = flow->tuple;
	spoil_packet(packet, flow);
	if (m.exhausted)
		datapath_exhaust(true);
	if (!busy) {
		m.busy = flow;
		m.countdown = one_in(4) ? 1 + pick(40) : 0;
		shim_hook = interleave;
	}
	m.retirements = world_retirements();
	datapath_steer(packet);
	shim_hook = outer;
	m.busy = busy;
	spoil_after(packet, flow, skipped_ns);
	m.result->packets++;
	if (m.options.trace)
		trace(packet, flow, busy);
}

static __u64 patience_ns(const struct flow *flow)
{
	if (flow->state == OPENING)
		return HANDSHAKE_NS;
	return flow->state == ENDING ? ENDING_NS : WORLD_IDLE_NS;
}

/* Is what happened to the flow no defect? It was lost where something had to be, or its backend is gone. */
static bool excused(struct flow *flow)
{
	if (!world_alive(flow->backend, flow->generation)) {
		m.result->moved++;
		return true;
	}
	if (flow->lost) {
		m.result->given_up++;
		return true;
	}
	return false;
}

static void check(struct flow *flow, const struct datapath_packet *packet)
{
	struct canary_flow_key key = key_of(flow);

	if (packet->verdict) {
		if (!excused(flow))
			violation(flow, "was dropped: %d", packet->verdict);
		flow->state = CLOSED;
		return;
	}
	if (m.retirements == world_retirements() && (!world_alive(packet->backend, packet->generation) ||
						     datapath_backend(packet->backend)->service != flow->service)) {
		violation(flow, "got backend %u, which is no live one of the service", packet->backend);
		return;
	}
	if (packet->backend != flow->backend || packet->generation != flow->generation) {
		if (!excused(flow))
			violation(flow, "moved from backend %u to %u", flow->backend, packet->backend);
		flow->state = CLOSED; /* the new backend knows nothing of it */
		return;
	}
	if (flow->service != WORLD_UDP && tracks_all(flow->service) && datapath_find(&key) &&
	    world_alive(packet->backend, packet->generation) && datapath_reply(packet) != flow->service)
		violation(flow, "has no way back");
}

/* A packet of the flow itself. */
static void send(struct flow *flow, __u32 tcp_flags)
{
	struct datapath_packet packet = {.tcp_flags = tcp_flags, .tcp_seq = flow->isn + 1 + flow->sent};
	__u32 instance = shim_instance;

	if (flow->state == CLOSED)
		return;
	if (shim_now_ns - flow->last_ns > patience_ns(flow)) {
		flow->state = CLOSED;
		return;
	}
	if (flow->service == WORLD_UDP)
		packet.tcp_flags = packet.tcp_seq = 0;
	if (tcp_flags & MODEL_SYN)
		packet.tcp_seq--;
	shim_instance = flow->instance;
	flow->last_ns = shim_now_ns; /* before what may come in between */
	steer(&packet, flow);
	check(flow, &packet);
	shim_instance = instance;
}

static void open_flow(struct flow *flow)
{
	struct datapath_packet packet = {.tcp_flags = MODEL_SYN};
	__u32 instance = shim_instance;

	flow->isn = shim_random();
	flow->sent = 0;
	flow->lost = false;
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
	struct canary_flow_key key = key_of(flow);

	__u32 instance = shim_instance;

	/* The ACK may be lost, and the first data. Where an earlier flow has the tuple, only that ACK takes it over. */
	shim_instance = flow->instance;
	flow->sent = one_in(4) && !datapath_find(&key) ? pick(10000) : 0;
	shim_instance = instance;
	send(flow, MODEL_ACK);
	if (flow->state == OPENING)
		flow->state = ESTABLISHED;
}

static void progress(struct flow *flow)
{
	switch (flow->state) {
	case CLOSED:
		open_flow(flow);
		break;
	case OPENING:
		if (one_in(4))
			retransmit(flow);
		else
			complete(flow);
		break;
	case ESTABLISHED:
		flow->sent += one_in(3) ? pick(100000000) : pick(3000);
		if (flow->service != WORLD_UDP && one_in(16)) {
			send(flow, MODEL_FIN | MODEL_ACK);
			if (flow->state == ESTABLISHED)
				flow->state = ENDING;
		} else if (flow->service != WORLD_UDP && one_in(32)) {
			send(flow, MODEL_RST);
			flow->state = CLOSED;
		} else if (one_in(32)) {
			flow->state = CLOSED; /* the client is gone without a word */
		} else {
			send(flow, MODEL_ACK);
		}
		break;
	case ENDING:
		send(flow, MODEL_ACK);
		if (one_in(4))
			flow->state = CLOSED;
	}
}

/* A stranger forges a packet with the flow's tuple. */
static void forge(struct flow *flow)
{
	struct datapath_packet packet = {.tcp_seq = shim_random(), .tcp_flags = one_in(2) ? MODEL_SYN : MODEL_ACK};
	__u32 instance = shim_instance;

	if (flow->service == WORLD_UDP)
		return; /* is the flow's own */
	shim_instance = flow->instance;
	if (one_in(8))
		packet = (struct datapath_packet){.icmp_error = true};
	steer(&packet, flow);
	if (packet.tcp_flags & MODEL_SYN && flow->state == OPENING)
		flow->lost = true;
	shim_instance = instance;
}

/* Packets from tuples that nobody else has. */
static void flood(void)
{
	struct datapath_packet packet;
	__u32 count = 1 + pick(2 * SMALL_EMBRYONIC), flags = one_in(2) ? MODEL_SYN : MODEL_ACK;
	__u32 service = some_service();

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
		if (m.exhausted)
			datapath_exhaust(true);
		datapath_steer(&packet);
		m.result->packets++;
	}
}

/* The sweeper. */

static void spoil_sweeper(struct canary_sweeper *state)
{
	if (m.options.mutant == MUTANT_CLEAR_EARLY && !state->step)
		for (__u32 bit = 0; bit < SMALL_HELD_BITS; bit += 64)
			*datapath_held(state->active, bit) = 0;
	if (m.options.mutant == MUTANT_OPENING_TOO_SHORT)
		state->passes = SMALL_OPENING_PASSES - 1;
}

static void tick(bool all)
{
	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;
	__u64 before[WORLD_SERVICES + 1];
	bool inside = m.busy;

	for (__u32 id = 1; id <= WORLD_SERVICES; id++)
		before[id] = datapath_service(id)->word;
	if (all)
		shim_now_ns += SMALL_TICK_NS; /* it is not early, the packet is late */
	spoil_sweeper(datapath_sweeper());
	if (!inside) {
		m.in_tick = true;
		m.countdown = one_in(8) ? 1 + pick(60) : 0;
		shim_hook = interleave;
	}
	shim_timers_run(all);
	shim_hook = outer;
	if (!inside)
		m.in_tick = false;
	for (__u32 id = 1; m.options.mutant == MUTANT_CLOSE_DROPS_ALL && id <= WORLD_SERVICES; id++)
		if (before[id] & ~datapath_service(id)->word & CANARY_WORD_OPEN)
			shim_map_clear(datapath_flows());
}

static void advance(__u64 ns)
{
	__u64 until = shim_now_ns + ns;

	while (shim_now_ns < until) {
		shim_now_ns += until - shim_now_ns < SMALL_TICK_NS ? until - shim_now_ns : SMALL_TICK_NS;
		for (shim_instance = 0; shim_instance < SHIM_INSTANCES; shim_instance++)
			tick(false);
		shim_instance = 0;
	}
	m.exhausted = one_in(6);
	datapath_exhaust(m.exhausted);
}

/* What comes in between the operations of a packet or a tick. */

static void other_cpu(void)
{
	struct flow *flow = &m.flows[pick(m.options.flows)];
	__u32 instance = shim_instance;

	shim_cpu = 1;
	if (m.in_tick && !m.busy)
		m.busy = flow;
	if (one_in(2))
		shim_now_ns += pick(6000000);
	switch (pick(4)) {
	case 0:
		world_change(some_service(), m.options.mutant, one_in(4), m.options.trace);
		break;
	case 1:
		if (!m.in_tick) {
			tick(true);
			break;
		}
		/* fall through */
	case 2:
		if (flow != m.busy || m.in_tick)
			progress(flow);
		break;
	default:
		if (m.busy != flow && m.busy->state == ESTABLISHED)
			forge(one_in(2) ? m.busy : flow);
	}
	if (m.in_tick)
		m.busy = NULL;
	shim_cpu = 0;
	shim_instance = instance;
}

/* A writer that is interrupted for long just where the sweeper could take advantage of it. */
static void slow_writer(void)
{
	for (__u32 ticks = one_in(8) ? 1 + pick(SMALL_PASS) : 0; ticks; ticks--)
		tick(true);
}

static bool interleave(enum shim_op op, struct shim_map *map, const void *key, const void *value)
{
	bool table = map && map->value_size == sizeof(struct canary_flow) && map->type == BPF_MAP_TYPE_HASH;

	(void)key;
	(void)value;
	if (m.options.mutant == MUTANT_OPEN_NOT_STORED && op == SHIM_UPDATE && map == datapath_embryonic())
		return false;
	if (m.busy && table && (op == SHIM_UPDATE || op == SHIM_UPDATED))
		slow_writer();
	/* Between its last look at an entry and the deletion the sweeper cannot know better: nanoseconds. */
	if (m.in_tick && table && op == SHIM_DELETE)
		return true;
	if (m.countdown && !--m.countdown)
		other_cpu();
	return true;
}

static void evicted(const struct shim_map *map, const void *key)
{
	struct canary_flow_key flow_key;
	const struct canary_flow *entry;
	struct flow *flow;

	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;

	if (map != datapath_embryonic())
		return;
	shim_hook = NULL;
	flow_key = *(const struct canary_flow_key *)key;
	flow = flow_of(&flow_key);
	entry = datapath_find(&flow_key); /* maybe of an earlier flow */
	if (flow && flow->instance == shim_instance &&
	    (flow->state == OPENING || flow->service == WORLD_UDP || !entry || entry->backend != flow->backend))
		flow->lost = true;
	shim_hook = outer;
}

/* All maps are lost, but for what files bring back. What only the table knew is lost too. */
static void reboot(void)
{
	for (__u32 i = 0; i < m.options.flows; i++) {
		struct flow *flow = &m.flows[i];

		if (flow->service == WORLD_NAT || flow->service == WORLD_OTHER_NAT)
			flow->lost = !flow->instance; /* its way back may be another's by now */
		if (flow->state != CLOSED && !flow->instance &&
		    (flow->service == WORLD_UDP || /* any datagram may open a flow */
		     world_choose_oldest(flow->service, &flow->tuple) != flow->backend))
			flow->state = CLOSED;
	}
	shim_instance = 0;
	datapath_forget();
	datapath_arm();
	world_restore(m.options.mutant);
	if (m.options.trace)
		printf("  reboot\n");
}

/* ECMP sends the flow to the other balancer: a settled one lives on. */
static void reroute(struct flow *flow)
{
	struct canary_flow_key key = key_of(flow);
	bool known;

	if (flow->state != ESTABLISHED || tracks_all(flow->service) ||
	    world_choose_now(flow->service, &flow->tuple) != flow->backend ||
	    world_choose_oldest(flow->service, &flow->tuple) != flow->backend)
		return;
	shim_instance = !flow->instance;
	known = datapath_find(&key) || datapath_opening(&key); /* of an earlier flow */
	shim_instance = 0;
	if (known)
		return;
	flow->instance = !flow->instance;
	if (m.options.trace)
		printf("  flow %d goes to instance %u\n", (int)(flow - m.flows), flow->instance);
}

static void step(void)
{
	struct flow *flow = &m.flows[pick(m.options.flows)];
	__u32 kind = pick(1000);

	if (m.options.trace)
		printf("step %" PRIu64 " at %.3f s\n", (uint64_t)m.result->operations, (double)shim_now_ns / 1e9);
	if (kind < 40)
		world_change(some_service(), m.options.mutant, one_in(8), m.options.trace);
	else if (kind < 110)
		forge(flow);
	else if (kind < 120)
		flood();
	else if (kind < 122)
		reboot();
	else if (kind < 126)
		datapath_arm(); /* an upgrade */
	else if (kind < 140)
		reroute(flow);
	else if (kind < 150)
		advance((__u64)pick(2 * WORLD_IDLE_NS / 1000000) * 1000000);
	else
		progress(flow);
	advance((__u64)pick(one_in(8) ? 400 : 20) * 1000000);
}

static void make_flows(void)
{
	for (__u32 i = 0; i < m.options.flows; i++) {
		struct flow *flow = &m.flows[i];
		__u32 service = some_service();

		*flow = (struct flow){.service = service,
				      .tuple = {.client = world_addr(0xc0000000 + pick(32)),
						.service = world_addr(0x0a000000 + service),
						.client_port = 1000 + i,
						.port = service == WORLD_ANY_PORT ? 1 + pick(3) : 80,
						.proto = service == WORLD_UDP ? 17 : 6}};
		/* Two services that share backends, and one client port. */
		if (i % 2 && service == WORLD_OTHER_NAT && flow[-1].service == WORLD_NAT) {
			flow->tuple.client = flow[-1].tuple.client;
			flow->tuple.client_port = flow[-1].tuple.client_port;
		}
	}
}

void model_run(const struct model_options *options, struct model_result *ret)
{
	memset(&m, 0, sizeof(m));
	*ret = (struct model_result){};
	m.options = *options;
	m.result = ret;
	shim_seed(options->seed);
	shim_hook = NULL;
	shim_evicted = evicted;
	shim_now_ns = 1000000000000ULL;
	datapath_clear();
	world_make();
	for (__u32 i = 0; i < SMALL_SHARDS; i++) {
		struct shim_map *shard = datapath_flows()->inner[i];
		bool evicts = options->mutant == MUTANT_LRU_TABLE;

		/* Smaller, or what is let in would never fill it. */
		shard->type = evicts ? BPF_MAP_TYPE_LRU_HASH : BPF_MAP_TYPE_HASH;
		shard->max_entries = evicts ? SMALL_SHARD_FLOWS / 8 : SMALL_SHARD_FLOWS;
	}
	for (shim_instance = 0; shim_instance < SHIM_INSTANCES; shim_instance++)
		datapath_arm();
	shim_instance = 0;
	make_flows();
	while (ret->operations < options->steps && !ret->violation[0]) {
		ret->operations++;
		step();
	}
}
