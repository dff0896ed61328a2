/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The pure choice: flow and configuration -> bucket, cohort, slot, backend. The same code in the kernel program, in
 * `canaryctl explain` and in the tests.
 */
#ifndef CANARY_SELECT_H
#define CANARY_SELECT_H

#include "abi.h"
#include "hash.h"

CANARY_INLINE __u32 canary_word_now(__u64 word)
{
	return word & CANARY_WORD_SLOT_MASK;
}

CANARY_INLINE __u32 canary_word_oldest(__u64 word)
{
	return word >> CANARY_WORD_OLDEST_SHIFT & CANARY_WORD_SLOT_MASK;
}

CANARY_INLINE __u64 canary_word_epoch(__u64 word)
{
	return word >> CANARY_WORD_EPOCH_SHIFT;
}

/* The views: a record, and whether its threshold counts as 0. `oldest` is never stopped: see CANARY_CHANGE_OLDEST(). */
CANARY_INLINE __u32 canary_view_now(__u64 word)
{
	return canary_word_now(word) | (word & CANARY_WORD_STOPPED ? CANARY_VIEW_STOPPED : 0);
}

/* What a flow is, as far as choosing goes. The bucket's hash is salted later: salts belong to configurations. */
struct canary_hashes {
	__u64 bucket; /* unsalted */
	__u64 slot;
	__u64 flow; /* of the 5-tuple, always: says where the flow is remembered */
};

CANARY_INLINE __u64 canary_flow_hash(const struct canary_keys *keys, const struct canary_tuple *tuple)
{
	__u64 service = canary_hash_address(keys, &tuple->service);

	return canary_mix64(canary_hash_flow(keys, tuple, service) ^ keys->slot);
}

/*
 * With affinity `client` the bucket is the client's; and where the service takes every port, so is the slot: all of a
 * client's ports meet on one backend. service: canary_hash_address() of the tuple's.
 */
CANARY_INLINE struct canary_hashes canary_hashes_from(const struct canary_keys *keys, const struct canary_tuple *tuple,
						      __u64 service, __u32 affinity, int any_port)
{
	struct canary_hashes hashes = {.bucket = canary_hash_flow(keys, tuple, service)};

	hashes.slot = hashes.flow = canary_mix64(hashes.bucket ^ keys->slot);
	if (affinity == CANARY_AFFINITY_CLIENT) {
		hashes.bucket = canary_hash_client(keys, &tuple->client);
		if (any_port)
			hashes.slot = canary_mix64(hashes.bucket ^ keys->slot);
	}
	return hashes;
}

CANARY_INLINE struct canary_hashes canary_hashes(const struct canary_keys *keys, const struct canary_tuple *tuple,
						 __u32 affinity, int any_port)
{
	return canary_hashes_from(keys, tuple, canary_hash_address(keys, &tuple->service), affinity, any_port);
}

CANARY_INLINE __u32 canary_bucket(const struct canary_hashes *hashes, __u64 salt)
{
	return canary_mix64(hashes->bucket ^ salt) >> 48;
}

/* Scales the upper half of the slot's hash to 0..size-1. */
CANARY_INLINE __u32 canary_slot(const struct canary_hashes *hashes, __u32 size)
{
	return (hashes->slot >> 32) * size >> 32;
}

CANARY_INLINE __u32 canary_ring_word(const struct canary_ring *ring, __u32 slot)
{
	return ring->base + slot / CANARY_RING_SLOTS_PER_WORD;
}

CANARY_INLINE __u32 canary_ring_backend(__u64 word, __u32 slot)
{
	return word >> slot % CANARY_RING_SLOTS_PER_WORD * 16 & 0xffff;
}

/* The flow's bit in `held`, and its shard of `flows`: of the lower half of the hash, the slot is of the upper. */
CANARY_INLINE __u32 canary_held_bit(const struct canary_hashes *hashes)
{
	return hashes->flow & (CANARY_HELD_BITS - 1);
}

CANARY_INLINE __u32 canary_shard(const struct canary_hashes *hashes)
{
	return hashes->flow / CANARY_HELD_BITS % CANARY_FLOW_SHARDS;
}

/* Is every flow of a service remembered? Of the others, those alone that a change moves. */
CANARY_INLINE int canary_remembers_all(int udp, __u8 forward, __u8 affinity, __u8 track)
{
	return forward == CANARY_FORWARD_NAT ||
	       (udp &&
		(track == CANARY_TRACK_ALWAYS || (track == CANARY_TRACK_AUTO && affinity == CANARY_AFFINITY_QUIC)));
}

enum canary_why {
	CANARY_WHY_WEIGHT,
	CANARY_WHY_SEGMENT,
};

struct canary_choice {
	__u32 wanted; /* the cohort that segment or bucket asked for */
	__u32 cohort; /* the cohort that gets the flow: another where `wanted` has no backend */
	__u32 why;
	__u32 bucket; /* where the weight decided */
	__u32 slot;
	__u32 word; /* of the arena, where the slot's backend stands; 0: no cohort has a backend */
};

/* segment: the cohort the client's prefix is pinned to, or -1. stopped: no bucket is the canary's. */
CANARY_INLINE struct canary_choice canary_choose(const struct canary_config *config, const struct canary_hashes *hashes,
						 int segment, int stopped)
{
	struct canary_choice choice = {};
	const struct canary_ring *ring;

	if (segment >= 0) {
		choice.why = CANARY_WHY_SEGMENT;
		choice.wanted = segment & 1;
	} else {
		choice.bucket = canary_bucket(hashes, config->salt);
		choice.wanted = !stopped && choice.bucket < config->threshold;
	}
	choice.cohort = choice.wanted;
	if (!config->ring[choice.cohort & 1].size && config->overflow == CANARY_OVERFLOW_OTHER)
		choice.cohort = !choice.wanted;
	ring = &config->ring[choice.cohort & 1];
	if (!ring->size)
		return choice;
	choice.slot = canary_slot(hashes, ring->size);
	choice.word = canary_ring_word(ring, choice.slot);
	return choice;
}

#endif
