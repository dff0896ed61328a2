/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing keeps a list of free places: what the state words name is occupied, all else is free. So whatever a command
 * prepared before it was killed is free again by itself. A record that was taken out of force a moment ago may still
 * be read by a packet on its way, and counts as occupied until that is over.
 *
 * To find what is taken is to look at all services, so it is done when somebody wants the first of a kind: a new weight
 * wants none.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "canary/select.h"
#include "canary/server_id.h"
#include "dataplane/internal.h"

#define GRACE_NS 1000000000ULL /* far longer than any run of the program */

struct extent {
	__u32 base;
	__u32 words;
};

struct occupied {
	struct dataplane *dataplane;
	/* Of each kind, `next` is where to look on: nothing is freed meanwhile. 0: what is taken is not known yet. */
	bool services[CANARY_MAX_SERVICES];
	__u32 next_service;
	struct extent *extents; /* sorted by base; may overlap */
	size_t extent_count, extent_room;
	size_t next_extent;
	__u32 next_word;
	__u32 *sets;
	size_t set_count;
	bool segments_begun;
	bool backends[CANARY_MAX_BACKENDS];
	__u32 next_backend;
};

/* Packets that are on their way may read what was taken out of force after that. */
static __u64 grace_begin(const struct dataplane *dataplane)
{
	__u64 since_ns = monotonic_ns() - GRACE_NS;

	return dataplane->quiet_ns > since_ns ? dataplane->quiet_ns : since_ns;
}

static bool record_in_use(const struct canary_service *service, __u32 slot, __u64 grace_ns)
{
	__u64 word = service->word;

	if (word && (canary_word_now(word) == slot || canary_word_oldest(word) == slot))
		return true;
	return service->retired_ns[slot] > grace_ns;
}

/* Calls for the records in use, of all services, until one call fails. */
static int each_record(struct occupied *occupied,
		       int (*call)(struct occupied *occupied, const struct canary_config *config))
{
	const struct dataplane *dataplane = occupied->dataplane;
	const struct canary_config *configs = all_records(dataplane);
	__u64 grace_ns = grace_begin(dataplane);
	int result = configs ? 0 : -errno;

	for (__u32 id = 1; !result && id < CANARY_MAX_SERVICES; id++)
		for (__u32 slot = 0; !result && slot < CANARY_CONFIGS; slot++)
			if (record_in_use(&dataplane->services[id], slot, grace_ns))
				result = call(occupied, &configs[id * CANARY_CONFIGS + slot]);
	return result;
}

static int add_extent(struct occupied *occupied, __u32 base, __u32 words)
{
	if (!words)
		return 0;
	if (occupied->extent_count == occupied->extent_room) {
		size_t room = occupied->extent_room ? occupied->extent_room * 2 : 1024;
		struct extent *grown = reallocarray(occupied->extents, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		occupied->extents = grown;
		occupied->extent_room = room;
	}
	occupied->extents[occupied->extent_count++] = (struct extent){base, words};
	return 0;
}

static int add_set(struct occupied *occupied, __u32 set)
{
	__u32 *grown;

	if (!set)
		return 0;
	grown = reallocarray(occupied->sets, occupied->set_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	occupied->sets = grown;
	grown[occupied->set_count++] = set;
	return 0;
}

static int add_members(struct occupied *occupied, const struct canary_config *config)
{
	const __u64 *members = words_at(occupied->dataplane, config->members, config->member_count);

	if (!members)
		return -errno;
	for (__u32 i = 0; i < config->member_count; i++)
		occupied->backends[CANARY_MEMBER_BACKEND(members[i]) % CANARY_MAX_BACKENDS] = true;
	return 0;
}

static int add_record(struct occupied *occupied, const struct canary_config *config)
{
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		const struct canary_ring *ring = &config->ring[cohort];
		__u32 words = (ring->size + CANARY_RING_SLOTS_PER_WORD - 1) / CANARY_RING_SLOTS_PER_WORD;

		if (add_extent(occupied, ring->base, words))
			return -ENOMEM;
	}
	return add_extent(occupied, config->members, canary_member_words(config)) ||
			       add_extent(occupied, config->segments, config->segment_count * CANARY_SEGMENT_WORDS) ||
			       add_extent(occupied, config->failed, config->failed ? FAILED_WORDS : 0) ||
			       add_set(occupied, config->segment_set)
		       ? -ENOMEM
		       : 0;
}

static int by_base(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

static void know_services(struct occupied *occupied)
{
	__u64 grace_ns = grace_begin(occupied->dataplane);

	if (occupied->next_service)
		return;
	for (__u32 id = 1; id < CANARY_MAX_SERVICES; id++) {
		const struct canary_service *service = &occupied->dataplane->services[id];

		occupied->services[id] = service->word;
		for (__u32 slot = 0; !occupied->services[id] && slot < CANARY_CONFIGS; slot++)
			occupied->services[id] = record_in_use(service, slot, grace_ns);
	}
	occupied->next_service = 1;
}

static int know_arena(struct occupied *occupied)
{
	int result;

	if (occupied->next_word)
		return 0;
	result = each_record(occupied, add_record);
	if (result)
		return result;
	if (occupied->extent_count)
		qsort(occupied->extents, occupied->extent_count, sizeof(*occupied->extents), by_base);
	occupied->next_word = 1; /* word 0 is "none" */
	return 0;
}

static int know_backends(struct occupied *occupied)
{
	int result;

	if (occupied->next_backend)
		return 0;
	result = each_record(occupied, add_members);
	if (!result)
		occupied->next_backend = 1;
	return result;
}

struct occupied *occupied_begin(struct dataplane *dataplane)
{
	struct occupied *occupied = calloc(1, sizeof(*occupied));

	if (occupied)
		occupied->dataplane = dataplane;
	return occupied;
}

void occupied_free(struct occupied *occupied)
{
	if (!occupied)
		return;
	free(occupied->extents);
	free(occupied->sets);
	free(occupied);
}

int occupied_take_service(struct occupied *occupied, __u32 *ret)
{
	know_services(occupied);
	for (; occupied->next_service < CANARY_MAX_SERVICES; occupied->next_service++) {
		if (occupied->services[occupied->next_service])
			continue;
		*ret = occupied->next_service++;
		return 0;
	}
	return -ENOSPC;
}

int occupied_take_backend(struct occupied *occupied, __u32 *ret)
{
	int result = know_backends(occupied);

	for (; !result && occupied->next_backend < CANARY_MAX_BACKENDS; occupied->next_backend++) {
		if (occupied->backends[occupied->next_backend])
			continue;
		*ret = occupied->next_backend++;
		return 0;
	}
	return result ? result : -ENOSPC;
}

__u64 *occupied_take_words(struct occupied *occupied, __u32 count, __u32 *ret_base)
{
	int result = know_arena(occupied);
	__u32 base = occupied->next_word;

	while (!result && occupied->next_extent < occupied->extent_count) {
		const struct extent *next = &occupied->extents[occupied->next_extent];

		if (base + count <= next->base)
			break;
		if (next->base + next->words > base)
			base = next->base + next->words;
		occupied->next_extent++;
	}
	if (result || base + count > CANARY_ARENA_WORDS) {
		errno = result ? -result : ENOSPC;
		return NULL;
	}
	occupied->next_word = base + count;
	*ret_base = base;
	return words_at(occupied->dataplane, base, count);
}

bool occupied_has_segment_set(const struct occupied *occupied, __u32 set)
{
	for (size_t i = 0; i < occupied->set_count; i++)
		if (occupied->sets[i] == set)
			return true;
	return false;
}

bool occupied_first_segments(struct occupied *occupied)
{
	bool first = !occupied->segments_begun;

	occupied->segments_begun = true;
	return first;
}

/*
 * Programs run as RCU readers, and membarrier waits for all that there are now: once for transitions that have noted the
 * time and not changed the word yet, and then for packets that had read the word before that. Without membarrier the
 * time itself has to pass.
 */
static void wait_for_packets(struct dataplane *dataplane)
{
	__u64 now_ns = monotonic_ns();
	int result = 0;

	for (int i = 0; !result && i < 2; i++)
		result = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (result)
		usleep(GRACE_NS / 1000);
	dataplane->quiet_ns = now_ns;
}

__u32 occupied_free_slot(struct dataplane *dataplane, __u32 service, __u32 taken)
{
	const struct canary_service *state = &dataplane->services[service];
	__u32 candidate = CANARY_CONFIGS;
	__u64 grace_ns = grace_begin(dataplane);

	for (__u32 slot = 0; slot < CANARY_CONFIGS; slot++) {
		if (slot == taken)
			continue;
		if (!record_in_use(state, slot, grace_ns))
			return slot;
		if (canary_word_now(state->word) != slot && canary_word_oldest(state->word) != slot)
			candidate = slot;
	}
	/* Many changes within a second. */
	wait_for_packets(dataplane);
	return candidate;
}

bool occupied_wait(struct dataplane *dataplane)
{
	__u64 grace_ns = grace_begin(dataplane);

	for (__u32 id = 1; id < CANARY_MAX_SERVICES; id++)
		for (__u32 slot = 0; slot < CANARY_CONFIGS; slot++)
			if (dataplane->services[id].retired_ns[slot] > grace_ns) {
				wait_for_packets(dataplane);
				return true;
			}
	return false;
}
