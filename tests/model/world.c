/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary/select.h"
#include "model/world.h"

enum {
	RING_SIZE = 7,
	RING_WORDS = 2,
	ARENA_FIRST = 16,
	MEMBERS = 3, /* at most, of a cohort */
};
#define GRACE_NS 50000000ULL /* as user space: packets that are on their way may still read a record */

/* The backends of a cohort; draining ones are not in the ring. */
struct member {
	__u32 index;
	bool draining;
};

static struct member members[WORLD_SERVICES + 1][CANARY_COHORTS][MEMBERS];
static __u32 next_set;
static __u32 retirements;

struct canary_addr world_addr(__u32 v4)
{
	return (struct canary_addr){{0, 0, __builtin_bswap32(0xffff), __builtin_bswap32(v4)}};
}

bool world_alive(__u32 index, __u32 generation)
{
	const struct canary_backend *backend = datapath_backend(index);

	return backend->flags & CANARY_BACKEND_LIVE && backend->generation == generation;
}

__u32 world_retirements(void)
{
	return retirements;
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

static void add_member(__u32 service, __u32 cohort, struct member *member)
{
	struct canary_backend *backend;
	__u32 index = free_index(), generation;

	*member = (struct member){.index = index};
	if (!index)
		return;
	backend = datapath_backend(index);
	generation = backend->generation;
	*backend = (struct canary_backend){.addr = world_addr(0x0a020000 + service * 256 + index),
					   .flags = CANARY_BACKEND_LIVE,
					   .service = service,
					   .generation = generation};
	if (service == WORLD_NAT || service == WORLD_OTHER_NAT) {
		/* Shared with the other nat service, but for one cohort of one service there is one of each. */
		backend->addr = world_addr(0x0a030000 + cohort * 256 + (member - members[service][cohort]));
		backend->port = 8080;
	}
}

/* A ring with turns drawn at random; none where the cohort has no backend. */
static void build_ring(__u32 service, __u32 slot, __u32 cohort)
{
	struct canary_ring *ring = &datapath_config(service, slot)->ring[cohort];
	const struct member *list = members[service][cohort];
	__u32 candidates[MEMBERS], count = 0;
	__u64 *word;

	for (__u32 i = 0; i < MEMBERS; i++)
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
static void copy_record(__u32 service, __u32 from, __u32 to)
{
	*datapath_config(service, to) = *datapath_config(service, from);
	for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		datapath_config(service, to)->ring[cohort].base = ring_base(service, to, cohort);
		for (__u32 i = 0; i < RING_WORDS; i++)
			*datapath_arena(ring_base(service, to, cohort) + i) =
				*datapath_arena(ring_base(service, from, cohort) + i);
	}
}

void world_make(void)
{
	memset(members, 0, sizeof(members));
	next_set = 1;
	for (__u32 i = 0; i < sizeof(struct canary_keys) / 4; i++)
		((__u32 *)&datapath_settings()->keys)[i] = shim_random();
	for (__u32 id = 1; id <= WORLD_SERVICES; id++) {
		struct canary_config *config = datapath_config(id, 0);
		struct canary_service *service = datapath_service(id);
		const struct canary_operation operation = {
			.type = CANARY_OP_ADD, .id = id, .word = 1ULL << CANARY_WORD_EPOCH_SHIFT};

		service->key = (struct canary_service_key){
			.addr = world_addr(0x0a000000 + id), .port = 80, .proto = id == WORLD_UDP ? 17 : 6};
		if (id == WORLD_ANY_PORT)
			service->key.port = 0;
		*config = (struct canary_config){.salt = shim_random(),
						 .threshold = pick(CANARY_THRESHOLD_ONE),
						 .forward = CANARY_FORWARD_L2,
						 .idle_timeout = WORLD_IDLE_NS / 1000000000,
						 .max_window = 1000000};
		if (id == WORLD_NAT || id == WORLD_OTHER_NAT)
			config->forward = CANARY_FORWARD_NAT;
		if (id == WORLD_UDP)
			config->track = CANARY_TRACK_ALWAYS;
		if (id == WORLD_ANY_PORT)
			config->affinity = CANARY_AFFINITY_CLIENT;
		for (__u32 cohort = 0; cohort < CANARY_COHORTS; cohort++) {
			for (__u32 i = 0; i < 2; i++)
				add_member(id, cohort, &members[id][cohort][i]);
			build_ring(id, 0, cohort);
		}
		if (datapath_commit(&operation, 1))
			abort();
	}
}

static int free_slot(const struct canary_service *service)
{
	__u64 word = service->word;

	for (__u32 slot = 0; slot < CANARY_CONFIGS; slot++)
		if (slot != canary_word_now(word) && slot != canary_word_oldest(word) &&
		    (!service->retired_ns[slot] || shim_now_ns - service->retired_ns[slot] >= GRACE_NS))
			return slot;
	return -1;
}

static void change_segments(struct canary_config *config)
{
	struct canary_addr addr = world_addr(0xc0000000 + pick(8) * 4);

	config->segment_set = one_in(3) ? 0 : next_set++;
	if (!config->segment_set)
		return;
	datapath_segment(config->segment_set, &addr, 126, pick(2));
	addr = world_addr(0xc0000000 + pick(32));
	datapath_segment(config->segment_set, &addr, 128, pick(2));
}

/* Changes a member of the cohort. The index of one that is to be retired, or 0. */
static __u32 change_member(__u32 service, __u32 cohort)
{
	struct member *member = &members[service][cohort][pick(MEMBERS)];
	__u32 retired = 0;

	if (!member->index) {
		add_member(service, cohort, member);
	} else if (one_in(2)) {
		member->draining = !member->draining;
	} else {
		retired = member->index;
		*member = (struct member){};
	}
	return retired;
}

static void change_record(__u32 id, __u32 slot, __u32 kind, struct canary_operation *retire)
{
	static const __u32 thresholds[] = {0, 6554, 32768, CANARY_THRESHOLD_ONE};
	struct canary_config *config = datapath_config(id, slot);
	__u32 cohort = pick(2);

	switch (kind) {
	case 0:
		config->salt = shim_random();
		break;
	case 1:
		build_ring(id, slot, cohort);
		break;
	case 2:
	case 3:
		retire->id = change_member(id, cohort);
		build_ring(id, slot, cohort);
		break;
	case 4:
		change_segments(config);
		break;
	case 5:
		config->overflow = pick(CANARY_OVERFLOWS);
		break;
	default:
		config->threshold = thresholds[pick(4)];
	}
}

/* What the mutants do to a change that was made. */
static void spoil(struct canary_service *service, __u64 before, enum mutant mutant, bool trip)
{
	__u64 oldest = (__u64)canary_word_now(before) << CANARY_WORD_OLDEST_SHIFT;

	if (mutant == MUTANT_OLDEST_REPLACED && before & CANARY_WORD_OPEN)
		service->word = (service->word & ~(CANARY_WORD_SLOT_MASK << CANARY_WORD_OLDEST_SHIFT)) | oldest;
	if (mutant == MUTANT_CHANGE_NO_WINDOW || (mutant == MUTANT_TRIP_NO_WINDOW && trip))
		service->word =
			(service->word & ~(CANARY_WORD_OPEN | CANARY_WORD_SLOT_MASK << CANARY_WORD_OLDEST_SHIFT)) |
			(__u64)canary_word_now(service->word) << CANARY_WORD_OLDEST_SHIFT;
	if (mutant == MUTANT_WINDOW_TOO_SHORT && service->changed_ns > WORLD_IDLE_NS / 2)
		service->changed_ns -= WORLD_IDLE_NS / 2;
}

void world_change(__u32 id, enum mutant mutant, bool trip, bool trace)
{
	struct canary_service *service = datapath_service(id);
	struct canary_operation operations[2] = {{.type = CANARY_OP_CHANGE, .id = id},
						 {.type = CANARY_OP_RETIRE_BACKEND}};
	__u64 before = service->word;
	int slot = free_slot(service);
	__u32 kind = pick(10);

	if (slot < 0)
		return;
	copy_record(id, canary_word_now(before), slot);
	if (trip) {
		datapath_config(id, slot)->threshold = 0;
		if (datapath_trip(id, slot))
			abort();
	} else {
		change_record(id, slot, kind, &operations[1]);
		operations[0].expected = canary_word_epoch(before);
		operations[0].word = slot;
		if (datapath_commit(operations, operations[1].id ? 2 : 1))
			abort();
		if (mutant == MUTANT_GENERATION_IGNORED && operations[1].id)
			datapath_backend(operations[1].id)->generation--;
	}
	spoil(service, before, mutant, trip);
	if (trace)
		printf("  service %u %s %u: slot %d, oldest %u, threshold %u, retired %u\n", id,
		       trip ? "trip" : "change", kind, slot, canary_word_oldest(service->word),
		       datapath_config(id, slot)->threshold, operations[1].id);
	retirements += operations[1].id != 0;
}

void world_restore(enum mutant mutant)
{
	for (__u32 id = 1; id <= WORLD_SERVICES; id++) {
		struct canary_service *service = datapath_service(id);

		service->flows = 0;
		service->changed_ns = service->opened_ns = shim_now_ns;
		service->skipped_ns = service->closing_epoch = 0;
		if (mutant == MUTANT_REBOOT_LOSES_OLDEST)
			spoil(service, service->word, MUTANT_CHANGE_NO_WINDOW, false);
	}
	if (mutant == MUTANT_REBOOT_NEW_KEYS)
		datapath_settings()->keys.slot = shim_random();
}

__u32 world_choose_now(__u32 service, const struct canary_tuple *tuple)
{
	return datapath_choose(service, canary_word_now(datapath_service(service)->word), tuple);
}

__u32 world_choose_oldest(__u32 service, const struct canary_tuple *tuple)
{
	__u64 word = datapath_service(service)->word;

	return datapath_choose(service, word & CANARY_WORD_OPEN ? canary_word_oldest(word) : canary_word_now(word),
			       tuple);
}
