/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "model/datapath.h"

#define CANARY_FLOW_SHARDS SMALL_SHARDS
#define CANARY_SHARD_FLOWS SMALL_SHARD_FLOWS
#define CANARY_MAX_EMBRYONIC SMALL_EMBRYONIC
#define CANARY_HELD_BITS SMALL_HELD_BITS
#define CANARY_MAX_SERVICES SMALL_SERVICES
#define CANARY_MAX_BACKENDS SMALL_BACKENDS
#define CANARY_ARENA_WORDS SMALL_ARENA
#define CANARY_MAX_SEGMENTS 256
#define CANARY_MAX_OPERATIONS 16
#define CANARY_WATCHED_SETS SMALL_WATCHED_SETS
#define CANARY_WATCHED_WAYS SMALL_WATCHED_WAYS
#define CANARY_EVENTS SMALL_EVENTS
#define CANARY_MAX_INTERFACES 4
#define CANARY_MAX_VLANS 4
#undef CANARY_OPENING_PASSES
#define CANARY_OPENING_PASSES SMALL_OPENING_PASSES
#undef CANARY_SWEEP_TICK_NS
#define CANARY_SWEEP_TICK_NS SMALL_TICK_NS

/* The compilers of user space warn of what a program for the kernel must be. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-value"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Waddress-of-packed-member"
#include "../../bpf/canary.bpf.c"

static struct shim_map *maps[36];
static __u32 map_count;

static void add(struct shim_map *map, bool shared)
{
	map->shared = shared;
	maps[map_count++] = map;
}

/* Whoever writes services here leaves the filter out: it lets everything through. */
static void pass_filter(void)
{
	memset(tables.filter, 0xff, sizeof(tables.filter));
}

void datapath_init(void)
{
	map_count = 0;
	add(SHIM_MAP(settings), true);
	add(SHIM_MAP(services), true);
	add(SHIM_MAP(arena), true);
	add(SHIM_MAP(interfaces), true);
	add(SHIM_MAP(operations), true);
	add(SHIM_MAP(service_ids), true);
	add(SHIM_MAP(segments), true);
	add(SHIM_MAP(egress), true);
	add(SHIM_MAP(cohort_counters), true);
	add(SHIM_MAP(backend_counters), true);
	add(SHIM_MAP(interface_counters), true);
	add(SHIM_MAP(guards), true);
	add(SHIM_MAP(outcomes), true);
	add(SHIM_MAP(histograms), true);
	add(SHIM_MAP(events), true);
	add(SHIM_MAP(event_head), true);
	add(SHIM_MAP(next_hops), false);
	add(SHIM_MAP(pkt_scratches), false);
	add(SHIM_MAP(sweep_scratch), false);
	add(SHIM_MAP(limits), false);
	add(SHIM_MAP(reverse), false);
	add(SHIM_MAP(embryonic), false);
	add(SHIM_MAP(reverse_embryonic), false);
	add(SHIM_MAP(fragments), false);
	add(SHIM_MAP(capture), true);
	add(SHIM_MAP(capture_cpus), false);
	add(SHIM_MAP(held), false);
	add(SHIM_MAP(sweeper), false);
	add(SHIM_MAP(watched), false);
	add(SHIM_MAP(watching), false);
	add(shim_map_make(&flows, "flows", BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(__u32), sizeof(__u32), SMALL_SHARDS),
	    false);
	shim_map_nest(datapath_flows(), BPF_MAP_TYPE_HASH, sizeof(struct canary_flow_key), sizeof(struct canary_flow),
		      SMALL_SHARD_FLOWS);
}

void datapath_exit(void)
{
	while (map_count)
		shim_map_free(maps[--map_count]);
}

void datapath_forget(void)
{
	for (__u32 i = 0; i < map_count; i++)
		if (!maps[i]->shared)
			shim_map_clear(maps[i]);
	shim_timers_forget();
}

void datapath_clear(void)
{
	for (__u32 i = 0; i < map_count; i++)
		if (maps[i]->shared)
			shim_map_clear(maps[i]);
	for (shim_instance = shim_instances; shim_instance--;)
		datapath_forget();
	shim_instance = 0;
	memset(&tables, 0, sizeof(tables));
	pass_filter();
}

/* What quic_find() reads off a packet. */
static void name_backend(struct pkt *p, __u32 index)
{
	const struct canary_backend *backend = backend_at(index);

	if (!index || !(backend->flags & CANARY_BACKEND_LIVE) || backend->service != p->service)
		return;
	p->flags |= PKT_NAMED;
	p->named.backend = index;
	p->named.generation = backend->generation;
	p->named.cohort = CANARY_STABLE;
}

/* As canary_xdp and to_backend do, between the parser and the route. */
void datapath_steer(struct datapath_packet *packet)
{
	const struct canary_backend *backend;
	struct canary_config *config;
	struct assignment a = {};
	struct pkt *p = pkt_new();

	p->tuple = packet->tuple;
	p->tcp_flags = packet->tcp_flags;
	p->tcp_seq = packet->tcp_seq;
	p->flags = (packet->icmp_error ? PKT_ICMP_ERROR : 0) | (packet->data ? PKT_DATA : 0);
	p->service = packet->only ? packet->only : service_find(p);
	if (packet->only)
		p->address_hash = canary_hash_address(&tables.keys, &p->tuple.service);
	p->alternate = 0;
	packet->backend = packet->alternate = 0;
	packet->verdict = XDP_PASS;
	packet->service = p->service;
	config = service_config(p);
	if (!p->service || !config)
		return;
	if (config->lease_ns && !packet->lease_unchecked && flow_may_open(p) &&
	    guard_lease(p->service, p->word, pkt_now(p))) {
		p->word = 0;
		config = service_config(p);
	}
	name_backend(p, packet->named);
	backend = assign_settled(p, config);
	if (backend) {
		packet->verdict = 0;
		packet->backend = p->backend;
		packet->generation = backend->generation;
		packet->cohort = p->cohort;
		return;
	}
	packet->verdict = flow_steer(p, config, &a);
	if (packet->verdict)
		return;
	packet->backend = a.backend;
	packet->generation = a.generation;
	packet->cohort = a.cohort;
	packet->alternate = p->alternate;
	watch(p, config, &a);
}

/* As canary_xdp and from_backend do. */
__u32 datapath_reply(const struct datapath_packet *packet, __u32 tcp_flags, bool data)
{
	const struct canary_backend *backend = datapath_backend(packet->backend);
	struct canary_service *service;
	struct canary_reverse *entry;
	struct pkt *p = pkt_new();

	p->tuple = (struct canary_tuple){.client = backend->addr,
					 .service = packet->tuple.client,
					 .client_port = backend->port ? backend->port : packet->tuple.port,
					 .port = packet->tuple.client_port,
					 .proto = packet->tuple.proto};
	p->tcp_flags = tcp_flags;
	p->flags = PKT_FROM_BACKEND | (data ? PKT_DATA : 0);
	entry = reverse_find(p);
	if (!entry)
		return 0;
	service = datapath_service(entry->service);
	p->word = service->word;
	p->service = entry->service;
	p->cohort = entry->cohort;
	p->backend = entry->backend;
	watch_reply(p, service, entry->port);
	return p->service;
}

int datapath_frame(struct shim_frame *frame)
{
	return canary_xdp(frame);
}

void datapath_arm(void)
{
	if (sweep_arm())
		abort();
}

int datapath_commit(const struct canary_operation *list, __u32 count)
{
	struct canary_commit_args args = {.count = count};

	for (__u32 i = 0; i < count; i++)
		if (shim_update(&operations, &i, &list[i], BPF_ANY))
			abort();
	if (canary_commit(&args))
		abort();
	return args.error;
}

bool datapath_trip(__u32 service)
{
	__u64 word = datapath_service(service)->word;

	return !(word & CANARY_WORD_STOPPED) && guard_stop(service, word, config_at(service, canary_view_now(word)),
							   guard_of(service), CANARY_STOP_RELATIVE, 0);
}

struct datapath_choice datapath_choose(__u32 service, __u32 view, const struct canary_tuple *tuple)
{
	struct pkt p = {.tuple = *tuple,
			.service = service,
			.address_hash = canary_hash_address(&tables.keys, &tuple->service)};
	struct assignment a;

	if (!datapath_service(service)->key.port)
		p.flags |= PKT_ANY_PORT;
	backend_choose(&p, config_at(service, view), view, &a);
	return (struct datapath_choice){.backend = a.backend, .cohort = a.cohort};
}

struct older {
	__u32 service;
	__u32 count;
};

static long count_older(struct shim_map *map, const struct canary_flow_key *key, struct canary_flow *flow,
			struct older *older)
{
	const struct canary_service *service = datapath_service(key->service);
	const struct canary_tuple tuple = {.client = key->client,
					   .service = service->key.addr,
					   .client_port = key->client_port,
					   .port = key->port,
					   .proto = service->key.proto};

	(void)map;
	if (key->service == older->service)
		older->count +=
			datapath_choose(key->service, canary_view_now(service->word), &tuple).backend != flow->backend;
	return 0;
}

__u32 datapath_older(__u32 service)
{
	struct older older = {.service = service};

	for (__u32 i = 0; i < SMALL_SHARDS; i++)
		shim_for_each(datapath_flows()->inner[i], count_older, &older);
	return older.count;
}

void datapath_measure(__u32 service)
{
	static const struct canary_outcomes no_outcomes;
	static const struct canary_histogram no_times;
	struct canary_histogram_key key = {.service = service};

	if (shim_update(&outcomes, &service, &no_outcomes, BPF_NOEXIST))
		abort();
	for (key.cohort = 0; key.cohort < CANARY_COHORTS; key.cohort++)
		for (key.kind = 0; key.kind < CANARY_HISTOGRAM_KINDS; key.kind++)
			if (shim_update(&histograms, &key, &no_times, BPF_NOEXIST))
				abort();
}

__u64 datapath_outcome(__u32 service, enum canary_outcome what)
{
	const struct canary_outcomes *all = shim_lookup(&outcomes, &service);
	__u64 sum = 0;

	for (__u32 i = 0; i <= CANARY_EPOCHS; i++)
		for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++)
			sum += all->epochs[i].count[cohort][what];
	return sum;
}

__u32 datapath_watched_opening(__u32 service)
{
	__u32 count = 0;

	for (__u32 place = 0; place < SMALL_WATCHED_SETS; place++) {
		const struct canary_watched_set *set = shim_lookup(&watched, &place);

		for (__u32 way = 0; way < SMALL_WATCHED_WAYS; way++)
			count += (set->word[way] & CANARY_WATCHED_STATE) == WATCH_OPENING &&
				 set->flow[way].service == service;
	}
	return count;
}

bool datapath_is_watched_word(const void *place)
{
	return shim_map_contains(shim_map_of(&watched), place);
}

struct canary_guard *datapath_guard(__u32 id)
{
	return guard_of(id);
}

__u64 datapath_coarse_ns(void)
{
	return bpf_ktime_get_coarse_ns();
}

struct canary_service *datapath_service(__u32 id)
{
	return shim_lookup(&services, &id);
}

struct canary_config *datapath_config(__u32 id, __u32 slot)
{
	return config_at(id, slot);
}

struct canary_backend *datapath_backend(__u32 index)
{
	return backend_at(index);
}

struct canary_keys *datapath_keys(void)
{
	return &tables.keys;
}

struct canary_settings *datapath_settings(void)
{
	__u32 zero = 0;

	return shim_lookup(&settings, &zero);
}

struct canary_interface *datapath_interface(__u32 ifindex)
{
	__u32 place = ifindex % CANARY_MAX_INTERFACES;

	return shim_lookup(&interfaces, &place);
}

void datapath_vlan(__u32 ifindex, const struct canary_egress *below)
{
	if (shim_update(&egress, &ifindex, below, BPF_ANY))
		abort();
}

struct canary_cohort_counters *datapath_cohort_counters(__u32 service, __u32 cohort)
{
	return cohort_counters_of(service, cohort);
}

struct canary_backend_counters *datapath_backend_counters(__u32 index)
{
	return shim_lookup(&backend_counters, &index);
}

struct canary_interface_counters *datapath_interface_counters(__u32 ifindex)
{
	__u32 place = ifindex % CANARY_MAX_INTERFACES;

	return shim_lookup(&interface_counters, &place);
}

struct canary_sweeper *datapath_sweeper(void)
{
	return sweeper_state();
}

__u64 *datapath_arena(__u32 word)
{
	return shim_lookup(&arena, &word);
}

__u64 *datapath_held(__u32 bitmap, __u32 bit)
{
	return held_word(bitmap, bit);
}

__u64 datapath_count(__u32 service, enum canary_cohort_counter counter)
{
	__u32 before = shim_cpu;
	__u64 sum = 0;

	for (shim_cpu = 0; shim_cpu < SHIM_CPUS; shim_cpu++)
		for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++)
			sum += cohort_counters_of(service, cohort)->count[counter];
	shim_cpu = before;
	return sum;
}

void datapath_segment(__u32 set, const struct canary_addr *addr, __u32 prefix_length, __u32 cohort)
{
	struct canary_segment_key key = {.prefixlen = 32 + prefix_length, .set = set, .addr = *addr};

	shim_update(&segments, &key, &cohort, BPF_ANY); /* no room: there is no such segment */
}

void datapath_exhaust(bool exhausted)
{
	for (__u32 kind = 0; kind < LIMIT_KINDS; kind++) {
		struct limit *limit = shim_lookup(&limits, &kind);

		limit->slice_ns = exhausted ? bpf_ktime_get_coarse_ns() : 0;
		limit->used = exhausted ? ~0U : 0;
	}
}

struct shim_map *datapath_flows(void)
{
	return shim_map_of(&flows);
}

struct shim_map *datapath_embryonic(void)
{
	return shim_map_of(&embryonic);
}

struct shim_map *datapath_reverse(void)
{
	return shim_map_of(&reverse);
}

struct canary_flow *datapath_find(const struct canary_flow_key *key)
{
	struct canary_flow *flow = NULL;

	for (__u32 i = 0; !flow && i < SMALL_SHARDS; i++)
		flow = shim_lookup(table_shard(i), key);
	return flow;
}

struct canary_flow *datapath_opening(const struct canary_flow_key *key)
{
	return shim_lookup(&embryonic, key);
}
