/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "canary/select.h"
#include "fleet/plane.h"

enum {
	RING_SIZE = 7,
	RING_WORDS = 2,
	ARENA_FIRST = 16,
	BACKENDS = CANARY_COHORTS * PLANE_MEMBERS,
	SCRATCH = HOSTS, /* beside the hosts: answers what a view chooses */
};
#define GRACE_NS 50000000ULL

static struct fleet_view views[HOSTS][CANARY_CONFIGS];
static struct fleet_state prepared[HOSTS]; /* has_next and next: the kernel has no place for it yet */

static __u32 id_of(unsigned host)
{
	return 1 + host;
}

static __u32 index_of(unsigned host, unsigned backend)
{
	return 1 + host * BACKENDS + backend;
}

static int number_of(unsigned host, __u32 index)
{
	return index ? (int)(index - index_of(host, 0)) : PLANE_NONE;
}

static struct canary_addr addr(__u32 v4)
{
	return (struct canary_addr){{0, 0, __builtin_bswap32(0xffff), __builtin_bswap32(v4)}};
}

static void fill_ring(unsigned host, __u32 slot, __u32 cohort, const struct fleet_view *view)
{
	struct canary_ring *ring = &datapath_config(id_of(host), slot)->ring[cohort];
	__u32 base = ARENA_FIRST + ((host * CANARY_CONFIGS + slot) * CANARY_COHORTS + cohort) * RING_WORDS;

	*ring = (struct canary_ring){.base = base, .size = RING_SIZE};
	for (__u32 i = 0; i < RING_WORDS; i++)
		*datapath_arena(base + i) = 0;
	for (__u32 i = 0; i < RING_SIZE; i++) {
		__u32 member = canary_mix64(view->config << 8 | cohort << 4 | i) % PLANE_MEMBERS;

		*datapath_arena(canary_ring_word(ring, i)) |= (__u64)index_of(host, cohort * PLANE_MEMBERS + member)
							      << i % CANARY_RING_SLOTS_PER_WORD * 16;
	}
}

static void fill(unsigned host, __u32 slot, const struct fleet_view *view, __u32 assignment)
{
	struct canary_config *config = datapath_config(id_of(host), slot);

	*config = (struct canary_config){.salt = canary_mix64(view->salt + 1),
					 .weight = (__u16)view->weight,
					 .threshold = (__u32)view->weight * CANARY_THRESHOLD_ONE / CANARY_WEIGHT_ONE,
					 .forward = CANARY_FORWARD_GUE,
					 .assignment = assignment,
					 .idle_timeout = PLANE_IDLE_NS / 1000000000ULL,
					 .max_window = 1000000,
					 .handshake_timeout = 3000};
	for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++)
		fill_ring(host, slot, cohort, view);
	if (host < HOSTS)
		views[host][slot] = *view;
}

static __u32 free_slot(unsigned host, int taken)
{
	const struct canary_service *service = datapath_service(id_of(host));

	for (int slot = 0; slot < CANARY_CONFIGS; slot++)
		if (slot != taken && slot != (int)canary_word_now(service->word) &&
		    slot != (int)canary_word_oldest(service->word) &&
		    (!service->retired_ns[slot] || shim_now_ns - service->retired_ns[slot] >= GRACE_NS))
			return (__u32)slot;
	abort();
}

static void add_service(unsigned host)
{
	const struct canary_operation add = {
		.type = CANARY_OP_ADD, .id = id_of(host), .word = 1ULL << CANARY_WORD_EPOCH_SHIFT};
	const struct fleet_view none = {};

	for (unsigned i = 0; i < BACKENDS; i++)
		*datapath_backend(index_of(host, i)) = (struct canary_backend){
			.addr = addr(0x0a020000 + i), .flags = CANARY_BACKEND_LIVE, .service = id_of(host)};
	datapath_service(id_of(host))->key =
		(struct canary_service_key){.addr = addr(0x0a000001), .port = (__u16)(1000 + host), .proto = 6};
	fill(host, 0, &none, 1);
	datapath_measure(id_of(host));
	if (datapath_commit(&add, 1))
		abort();
}

void plane_init(void)
{
	shim_instances = HOSTS;
	datapath_init();
}

void plane_exit(void)
{
	datapath_exit();
}

void plane_clear(void)
{
	datapath_clear();
	memset(prepared, 0, sizeof(prepared));
	for (__u32 i = 0; i < sizeof(struct canary_keys) / 4; i++)
		((__u32 *)datapath_keys())[i] = (__u32)shim_random();
	for (unsigned host = 0; host <= HOSTS; host++)
		add_service(host);
}

static void note_next(unsigned host, const struct fleet_state *state)
{
	prepared[host].has_next = state->has_next;
	prepared[host].next = state->next;
}

void plane_adopt(unsigned host, const struct fleet_state *state)
{
	struct canary_service *service = datapath_service(id_of(host));
	__u32 assignment = datapath_config(id_of(host), canary_word_now(service->word))->assignment;
	__u32 now = free_slot(host, -1), oldest = free_slot(host, (int)now);
	bool open = !fleet_view_equal(&state->now, &state->fallback);

	fill(host, now, &state->now, assignment + 1);
	fill(host, oldest, &state->fallback, assignment);
	service->word = now | (open ? oldest : now) << CANARY_WORD_OLDEST_SHIFT | (open ? CANARY_WORD_OPEN : 0) |
			(canary_word_epoch(service->word) + 1) << CANARY_WORD_EPOCH_SHIFT;
	service->changed_ns = service->opened_ns = shim_now_ns;
	service->skipped_ns = service->closing_epoch = 0;
	note_next(host, state);
	if (state->stopped)
		datapath_trip(id_of(host));
}

void plane_install(unsigned host, const struct fleet_state *state)
{
	shim_instance = host;
	datapath_forget();
	datapath_arm();
	datapath_service(id_of(host))->flows = 0;
	plane_adopt(host, state);
}

struct fleet_state plane_have(unsigned host)
{
	__u64 word = datapath_service(id_of(host))->word;
	struct fleet_state have = prepared[host];

	have.now = views[host][canary_word_now(word)];
	have.fallback = word & CANARY_WORD_OPEN ? views[host][canary_word_oldest(word)] : have.now;
	have.stopped = word & CANARY_WORD_STOPPED;
	return have;
}

static void change_view(unsigned host, const struct fleet_view *view)
{
	__u64 word = datapath_service(id_of(host))->word;
	__u32 slot = free_slot(host, -1);
	struct canary_operation change = {
		.type = CANARY_OP_CHANGE, .id = id_of(host), .expected = canary_word_epoch(word), .word = slot};

	fill(host, slot, view, datapath_config(id_of(host), canary_word_now(word))->assignment + 1);
	if (datapath_commit(&change, 1))
		abort();
}

void plane_change(unsigned host, const struct fleet_state *state)
{
	struct fleet_state have = plane_have(host);
	__u64 word = datapath_service(id_of(host))->word;

	shim_instance = host;
	note_next(host, state);
	/* The kernel wants a record that says what the stopped one means: the same as to begin anew. */
	if (word & CANARY_WORD_STOPPED && !(word & CANARY_WORD_OPEN)) {
		plane_adopt(host, state);
		return;
	}
	if (!fleet_view_equal(&have.now, &state->now) || (have.stopped && !state->stopped))
		change_view(host, &state->now);
	if (state->stopped)
		datapath_trip(id_of(host));
}

void plane_keep(unsigned host, bool open)
{
	datapath_service(id_of(host))->changed_ns = open ? shim_now_ns : 0;
}

void plane_sweep(unsigned host)
{
	shim_instance = host;
	shim_timers_run(false);
}

static int choose_by_view(unsigned host, __u32 view, const struct canary_tuple *tuple)
{
	return number_of(host, datapath_choose(id_of(host), view, tuple).backend);
}

int plane_choose(const struct fleet_view *view, const struct canary_tuple *tuple)
{
	fill(SCRATCH, 1, view, 1);
	return choose_by_view(SCRATCH, 1, tuple);
}

/* What the data plane names; or what is prepared, for which it has no place yet. */
static int alternate_of(unsigned host, const struct datapath_packet *packet, int backend)
{
	int next;

	if (packet->alternate)
		return number_of(host, packet->alternate);
	next = prepared[host].has_next ? plane_choose(&prepared[host].next, &packet->tuple) : PLANE_NONE;
	return next != backend ? next : PLANE_NONE;
}

struct plane_verdict plane_packet(unsigned host, const struct canary_tuple *tuple, __u32 tcp_flags, __u32 seq)
{
	struct datapath_packet packet = {.tuple = *tuple, .tcp_flags = tcp_flags, .tcp_seq = seq, .only = id_of(host)};
	int backend;

	shim_instance = host;
	datapath_steer(&packet);
	backend = packet.verdict ? PLANE_NONE : number_of(host, packet.backend);
	return (struct plane_verdict){.backend = backend, .alternate = alternate_of(host, &packet, backend)};
}

unsigned plane_older(unsigned host)
{
	shim_instance = host;
	return datapath_older(id_of(host));
}
