/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "canary/select.h"
#include "model/history.h"

struct history history;

__u32 history_service(void)
{
	return history.options.focus ? history.options.focus : 1 + pick(WORLD_SERVICES);
}

static void spoil_sweeper(struct canary_sweeper *state)
{
	if (history.options.mutant == MUTANT_CLEAR_EARLY && !state->step)
		for (__u32 bit = 0; bit < SMALL_HELD_BITS; bit += 64)
			*datapath_held(state->active, bit) = 0;
	if (history.options.mutant == MUTANT_OPENING_TOO_SHORT)
		state->passes = SMALL_OPENING_PASSES - 1;
}

/* One of the sweeper's. */
static void tick(bool all)
{
	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;
	__u64 before[WORLD_SERVICES + 1];
	bool inside = history.busy;

	if (history.options.mutant == MUTANT_LEASE_UNCHECKED)
		return;
	for (__u32 id = 1; id <= WORLD_SERVICES; id++)
		before[id] = datapath_service(id)->word;
	if (all)
		shim_now_ns += SMALL_TICK_NS; /* it is not early, the packet is late */
	spoil_sweeper(datapath_sweeper());
	if (!inside) {
		history.in_tick = true;
		history.countdown = one_in(8) ? 1 + pick(80) : 0;
		shim_hook = history_interleave;
	}
	shim_timers_run(all);
	shim_hook = outer;
	if (!inside)
		history.in_tick = false;
	for (__u32 id = 1; history.options.mutant == MUTANT_CLOSE_DROPS_ALL && id <= WORLD_SERVICES; id++)
		if (before[id] & ~datapath_service(id)->word & CANARY_WORD_OPEN)
			shim_map_clear(datapath_flows());
}

static void advance(__u64 ns)
{
	__u64 until = shim_now_ns + ns;

	while (shim_now_ns < until) {
		shim_now_ns += until - shim_now_ns < SMALL_TICK_NS ? until - shim_now_ns : SMALL_TICK_NS;
		for (shim_instance = 0; shim_instance < shim_instances; shim_instance++)
			tick(false);
		shim_instance = 0;
	}
	history.exhausted = one_in(6);
	datapath_exhaust(history.exhausted);
}

static void change(__u32 service);

/* What comes in between the operations of a packet, a tick or a commit. */
static void other_cpu(void)
{
	struct flow *flow = &history.flows[pick(history.options.flows)];
	__u32 instance = shim_instance;
	bool ours = history.busy;

	shim_cpu = 1;
	if (!ours)
		history.busy = flow;
	if (one_in(2))
		shim_now_ns += pick(6000000);
	switch (pick(5)) {
	case 0:
		if (!history.in_commit) { /* commands take turns */
			change(history_service());
			break;
		}
		/* fall through */
	case 1:
		change_trip(history_service(), &history.options);
		break;
	case 2:
		if (!history.in_tick) {
			tick(true);
			break;
		}
		/* fall through */
	case 3:
		if (flow != history.busy || !ours)
			packets_progress(flow);
		break;
	default:
		if (history.busy != flow && history.busy->state == ESTABLISHED)
			packets_forge(one_in(2) ? history.busy : flow);
	}
	if (!ours)
		history.busy = NULL;
	shim_cpu = 0;
	shim_instance = instance;
}

/* As user space changes a service: the kernel may come in between its preparations and the commit, and in the commit. */
static void change(__u32 service)
{
	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;
	struct change change;
	int error;

	if (!change_prepare(service, history.options.mutant, &change))
		return;
	if (!history.busy && !history.in_tick) {
		history.in_commit = true;
		if (one_in(8))
			other_cpu();
		history.countdown = one_in(2) ? 1 + pick(80) : 0;
		shim_hook = history_interleave;
	}
	error = datapath_commit(change.operations, change.count);
	shim_hook = outer;
	history.in_commit = false;
	change_finish(&change, error, &history.options);
	history.result->late += error != 0;
}

/* A writer that is interrupted for long just where the sweeper could take advantage of it. */
static void slow_writer(void)
{
	for (__u32 ticks = one_in(8) ? 1 + pick(SMALL_PASS) : 0; ticks; ticks--)
		tick(true);
}

bool history_interleave(enum shim_op op, struct shim_map *map, const void *key, const void *value)
{
	bool table = map && map->value_size == sizeof(struct canary_flow) && map->type == BPF_MAP_TYPE_HASH;

	(void)value;
	if (history.options.mutant == MUTANT_OPEN_NOT_STORED && op == SHIM_UPDATE && map == datapath_embryonic())
		return false;
	if (history.options.mutant == MUTANT_OUTCOME_NOT_TAKEN && op == SHIM_SWAP && datapath_is_watched_word(key))
		return false;
	if (history.busy && table && (op == SHIM_UPDATE || op == SHIM_UPDATED))
		slow_writer();
	/* Between its last look at an entry and the deletion the sweeper cannot know better: nanoseconds. */
	if (history.in_tick && table && op == SHIM_DELETE)
		return true;
	if (history.countdown && !--history.countdown)
		other_cpu();
	return true;
}

static void evicted(const struct shim_map *map, const void *key)
{
	struct canary_flow_key forgotten;
	const struct canary_flow *entry;
	struct flow *flow;

	bool (*outer)(enum shim_op, struct shim_map *, const void *, const void *) = shim_hook;

	if (map != datapath_embryonic())
		return;
	shim_hook = NULL;
	forgotten = *(const struct canary_flow_key *)key;
	flow = flow_of(&forgotten);
	entry = datapath_find(&forgotten); /* maybe of an earlier flow */
	if (flow && flow->instance == shim_instance &&
	    (flow->state == OPENING || flow->service == WORLD_UDP || !entry || entry->backend != flow->backend))
		flow->lost = true;
	shim_hook = outer;
}

/* All maps are lost, but for what files bring back. What only the table knew is lost too. */
static void reboot(void)
{
	for (__u32 i = 0; i < history.options.flows; i++) {
		struct flow *flow = &history.flows[i];

		if (world_is_nat(flow->service))
			flow->lost = !flow->instance; /* its way back may be another's by now */
		if (flow->state != CLOSED && !flow->instance &&
		    (flow->service == WORLD_UDP || /* any datagram may open a flow */
		     world_choose_oldest(flow->service, &flow->tuple) != flow->backend))
			flow->state = CLOSED;
	}
	shim_instance = 0;
	for (__u32 id = 1; id <= WORLD_SERVICES; id++)
		history.forgotten[id] += datapath_watched_opening(id);
	datapath_forget();
	datapath_arm();
	change_restore(history.options.mutant);
	if (history.options.trace)
		printf("  reboot\n");
}

/* ECMP sends the flow to the other balancer: a settled one lives on. */
static void reroute(struct flow *flow)
{
	struct canary_flow_key key = flow_key(flow);
	bool known;

	if (flow->state != ESTABLISHED || flow_is_tracked(flow) ||
	    world_choose_now(flow->service, &flow->tuple) != flow->backend ||
	    world_choose_oldest(flow->service, &flow->tuple) != flow->backend)
		return;
	shim_instance = !flow->instance;
	known = datapath_find(&key) || datapath_opening(&key); /* of an earlier flow */
	shim_instance = 0;
	if (known)
		return;
	flow->instance = !flow->instance;
	if (history.options.trace)
		printf("  flow %d goes to instance %u\n", (int)(flow - history.flows), flow->instance);
}

static void step(void)
{
	struct flow *flow = &history.flows[pick(history.options.flows)];
	__u32 kind = pick(1000);

	if (history.options.trace)
		printf("step %" PRIu64 " at %.3f s\n", (uint64_t)history.result->operations, (double)shim_now_ns / 1e9);
	if (kind < 40)
		change(history_service());
	else if (kind < 45)
		change_trip(history_service(), &history.options);
	else if (kind < 50)
		change_renew_lease(history_service());
	else if (kind < 110)
		packets_forge(flow);
	else if (kind < 120)
		packets_flood();
	else if (kind < 122)
		reboot();
	else if (kind < 126)
		datapath_arm(); /* an upgrade */
	else if (kind < 140)
		reroute(flow);
	else if (kind < 150)
		advance((__u64)pick(2 * WORLD_IDLE_NS / 1000000) * 1000000);
	else
		packets_progress(flow);
	advance((__u64)pick(one_in(8) ? 400 : 20) * 1000000);
}

static void make_flows(void)
{
	for (__u32 i = 0; i < history.options.flows; i++) {
		struct flow *flow = &history.flows[i];
		__u32 service = history_service();

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
	memset(&history, 0, sizeof(history));
	*ret = (struct model_result){};
	history.options = *options;
	history.result = ret;
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
	for (shim_instance = 0; shim_instance < shim_instances; shim_instance++)
		datapath_arm();
	shim_instance = 0;
	make_flows();
	while (ret->operations < options->steps && !ret->violation[0]) {
		ret->operations++;
		step();
		check_guards();
	}
	check_outcomes();
}
