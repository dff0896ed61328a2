/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "canary/breaker.h"
#include "canary/select.h"
#include "model/world.h"

enum {
	RING_SIZE = 7,
	RING_WORDS = 2,
	ARENA_FIRST = 16,
	FAILED_FIRST = SMALL_ARENA / 2, /* the bitmaps of failed clients, of which two take turns */
	FAILED_WORDS = CANARY_THRESHOLD_ONE / 64,
};

struct world_member world_members[WORLD_SERVICES + 1][CANARY_COHORTS][WORLD_MEMBERS];

struct canary_addr world_addr(__u32 v4)
{
	return (struct canary_addr){{0, 0, __builtin_bswap32(0xffff), __builtin_bswap32(v4)}};
}

bool world_alive(__u32 index, __u32 generation)
{
	const struct canary_backend *backend = datapath_backend(index);

	return backend->flags & CANARY_BACKEND_LIVE && backend->generation == generation;
}

bool world_is_nat(__u32 service)
{
	return service == WORLD_NAT || service == WORLD_OTHER_NAT;
}

static __u32 ring_base(__u32 service, __u32 slot, __u32 cohort)
{
	return ARENA_FIRST + ((service * CANARY_CONFIGS + slot) * CANARY_COHORTS + cohort) * RING_WORDS;
}

static bool named_in(__u32 service, __u32 slot, __u32 index)
{
	const struct canary_config *config = datapath_config(service, slot);

	for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++)
		for (__u32 i = 0; i < config->ring[cohort].size; i++)
			if (canary_ring_backend(*datapath_arena(canary_ring_word(&config->ring[cohort], i)), i) ==
			    index)
				return true;
	return false;
}

/* An index that no configuration in force names; 0: none. */
static __u32 free_index(void)
{
	for (__u32 index = 1; index < SMALL_BACKENDS; index++) {
		bool busy = datapath_backend(index)->flags & CANARY_BACKEND_LIVE;

		for (__u32 id = 1; !busy && id <= WORLD_SERVICES; id++) {
			__u64 word = datapath_service(id)->word;

			busy = named_in(id, canary_word_now(word), index) ||
			       named_in(id, canary_word_oldest(word), index);
		}
		if (!busy)
			return index;
	}
	return 0;
}

void world_add_member(__u32 service, __u32 cohort, struct world_member *member)
{
	struct canary_backend *backend;
	__u32 index = free_index(), generation;

	*member = (struct world_member){.index = index};
	if (!index)
		return;
	backend = datapath_backend(index);
	generation = backend->generation;
	*backend = (struct canary_backend){.addr = world_addr(0x0a020000 + service * 256 + index),
					   .flags = CANARY_BACKEND_LIVE,
					   .service = service,
					   .generation = generation};
	if (world_is_nat(service)) {
		/* Shared with the other nat service, but for one cohort of one service there is one of each. */
		backend->addr = world_addr(0x0a030000 + cohort * 256 + (member - world_members[service][cohort]));
		backend->port = 8080;
	}
}

void world_build_ring(__u32 service, __u32 slot, __u32 cohort)
{
	struct canary_ring *ring = &datapath_config(service, slot)->ring[cohort];
	const struct world_member *list = world_members[service][cohort];
	__u32 candidates[WORLD_MEMBERS], count = 0;
	__u64 *word;

	for (__u32 i = 0; i < WORLD_MEMBERS; i++)
		if (list[i].index && !list[i].draining)
			candidates[count++] = list[i].index;
	*ring = (struct canary_ring){.base = ring_base(service, slot, cohort), .size = count ? RING_SIZE : 0};
	for (__u32 i = 0; i < RING_WORDS; i++)
		*datapath_arena(ring->base + i) = 0;
	for (__u32 i = 0; count && i < RING_SIZE; i++) {
		word = datapath_arena(canary_ring_word(ring, i));
		*word |= (__u64)candidates[pick(count)] << i % CANARY_RING_SLOTS_PER_WORD * 16;
	}
}

/* A record that copies another: rings are immutable, and so are copied too. */
void world_copy_record(__u32 service, __u32 from, __u32 to)
{
	*datapath_config(service, to) = *datapath_config(service, from);
	for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		datapath_config(service, to)->ring[cohort].base = ring_base(service, to, cohort);
		for (__u32 i = 0; i < RING_WORDS; i++)
			*datapath_arena(ring_base(service, to, cohort) + i) =
				*datapath_arena(ring_base(service, from, cohort) + i);
	}
}

static __s32 fixed_log(double x)
{
	return (__s32)lround(log(x) * CANARY_BREAKER_NAT);
}

/* What user space computes of what was asked for: threshold, observed buckets, the breaker's numbers. */
void world_derive(struct canary_config *config)
{
	__u32 capped = config->cap * (__u32)CANARY_THRESHOLD_ONE / CANARY_WEIGHT_ONE, others;
	double c, s, r = config->ratio / 100.0;

	config->threshold = config->weight * (__u32)CANARY_THRESHOLD_ONE / CANARY_WEIGHT_ONE;
	others = CANARY_THRESHOLD_ONE - config->threshold;
	config->watched[CANARY_CANARY] = config->threshold;
	if (!config->cap || (config->forward != CANARY_FORWARD_NAT && config->threshold > capped))
		config->watched[CANARY_CANARY] = capped;
	config->watched[CANARY_STABLE] = 4 * config->watched[CANARY_CANARY];
	if (config->watched[CANARY_STABLE] > others)
		config->watched[CANARY_STABLE] = others;
	c = config->watched[CANARY_CANARY];
	s = config->watched[CANARY_STABLE];
	config->step[CANARY_CANARY] = c && s ? fixed_log(r * (c + s) / (r * c + s)) : 0;
	config->step[CANARY_STABLE] = c && s ? fixed_log((c + s) / (r * c + s)) : 0;
	config->limit = config->breaker ? fixed_log(config->arl) : 0;
}

/* A new assignment: the kernel judges it anew. Some have a lease, which is over soon. */
void world_assign(__u32 service, struct canary_config *config)
{
	__u32 first = FAILED_FIRST + ++config->assignment % 2 * FAILED_WORDS;

	config->on_expiry = pick(CANARY_EXPIRIES);
	config->lease_ns = one_in(3) ? shim_now_ns + pick(20) * WORLD_SECOND_NS : 0;
	if (service != WORLD_ANY_PORT)
		return;
	for (__u32 i = 0; i < FAILED_WORDS; i++)
		*datapath_arena(first + i) = 0;
	config->failed = first;
}

static struct canary_config first_record(__u32 id)
{
	struct canary_config config = {.salt = shim_random(),
				       .weight = pick(CANARY_WEIGHT_ONE),
				       .forward = CANARY_FORWARD_L2,
				       .idle_timeout = WORLD_IDLE_NS / WORLD_SECOND_NS,
				       .max_window = 1000000,
				       .handshake_timeout = 1000 + pick(3000),
				       .breaker = !one_in(4),
				       .arl = 1000,
				       .ratio = 1000,
				       .cap = one_in(4) ? 0 : 1000 + pick(9000)};

	if (world_is_nat(id))
		config.forward = CANARY_FORWARD_NAT;
	if (id == WORLD_UDP)
		config.track = CANARY_TRACK_ALWAYS;
	if (id == WORLD_ANY_PORT)
		config.affinity = CANARY_AFFINITY_CLIENT;
	world_assign(id, &config);
	world_derive(&config);
	return config;
}

static void make_service(__u32 id)
{
	const struct canary_operation operation = {
		.type = CANARY_OP_ADD, .id = id, .word = 1ULL << CANARY_WORD_EPOCH_SHIFT};

	datapath_service(id)->key = (struct canary_service_key){.addr = world_addr(0x0a000000 + id),
								.port = id == WORLD_ANY_PORT ? 0 : 80,
								.proto = id == WORLD_UDP ? 17 : 6};
	*datapath_config(id, 0) = first_record(id);
	datapath_measure(id);
	for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		for (__u32 i = 0; i < 2; i++)
			world_add_member(id, cohort, &world_members[id][cohort][i]);
		world_build_ring(id, 0, cohort);
	}
	if (datapath_commit(&operation, 1))
		abort();
}

void world_make(void)
{
	memset(world_members, 0, sizeof(world_members));
	for (__u32 i = 0; i < sizeof(struct canary_keys) / 4; i++)
		((__u32 *)datapath_keys())[i] = shim_random();
	for (__u32 id = 1; id <= WORLD_SERVICES; id++)
		make_service(id);
}

__u32 world_choose_now(__u32 service, const struct canary_tuple *tuple)
{
	return datapath_choose(service, canary_view_now(datapath_service(service)->word), tuple).backend;
}

__u32 world_choose_oldest(__u32 service, const struct canary_tuple *tuple)
{
	__u64 word = datapath_service(service)->word;

	return datapath_choose(service, word & CANARY_WORD_OPEN ? canary_word_oldest(word) : canary_view_now(word),
			       tuple)
		.backend;
}
