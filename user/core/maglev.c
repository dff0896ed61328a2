/* SPDX-License-Identifier: Apache-2.0 */
#include "core/maglev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "canary/hash.h"

/* The least primes above 2^12, 2^14 and 2^16: a permutation's step must have no divisor in common with the size. */
static const __u32 sizes[] = {4099, 16411, 65537};

enum {
	MIN_SLOTS = 100, /* of the lightest backend: one slot is then 1 % of its share */
	/*
	 * A turn is one word to sort by: time, then rank. A time is below 2^17; those of different weights differ by
	 * 1 / (2 * w * w') at least, or not at all.
	 */
	TIME_FRACTION_BITS = 24,
	RANK_BITS = 16,
};
_Static_assert(2 * CANARY_MAX_BACKEND_WEIGHT * CANARY_MAX_BACKEND_WEIGHT <= 1 << TIME_FRACTION_BITS,
	       "two times must not be rounded into one");

/* A backend while the ring is built: an array of them is in the order of addresses and ports, its rank. */
struct member {
	const struct maglev_backend *backend;
	__u32 quota; /* how many slots it gets */
	__u32 remainder; /* what largest remainder compares */
	__u32 next; /* the next slot of its permutation */
	__u32 skip;
};

static __u64 total_weight(const struct maglev_backend *backends, size_t count)
{
	__u64 total = 0;

	for (size_t i = 0; i < count; i++)
		total += backends[i].weight;
	return total;
}

__u32 maglev_size(const struct maglev_backend *backends, size_t count)
{
	const size_t last = sizeof(sizes) / sizeof(sizes[0]) - 1;
	__u64 total = total_weight(backends, count);
	__u64 least;
	size_t i;

	if (!count)
		return 0;
	least = backends[0].weight;
	for (i = 1; i < count; i++)
		if (backends[i].weight < least)
			least = backends[i].weight;
	for (i = 0; i < last; i++)
		if (MIN_SLOTS * total <= sizes[i] * least)
			break;
	return sizes[i];
}

static bool is_valid(const struct maglev_backend *backends, size_t count, __u32 size)
{
	bool listed = false;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		listed |= size == sizes[i];
	if (!listed || !count || count > size || count > 1 << RANK_BITS)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!backends[i].weight || backends[i].weight > CANARY_MAX_BACKEND_WEIGHT || !backends[i].value)
			return false;
	return true;
}

/* By bytes as in the packet, so that hosts of either byte order agree. */
static int compare_addresses(const void *a, const void *b)
{
	const struct maglev_backend *one = ((const struct member *)a)->backend;
	const struct maglev_backend *other = ((const struct member *)b)->backend;
	int order = memcmp(&one->addr, &other->addr, sizeof(one->addr));

	return order ? order : memcmp(&one->port, &other->port, sizeof(one->port));
}

/* The permutation: where it begins and its step, from the address and port (host order: alike on every host). */
static void set_permutation(struct member *member, __u32 size)
{
	const __u32 *word = member->backend->addr.word;
	__u64 hash = ntohs(member->backend->port);

	hash = canary_mix64(hash + 0x9e3779b97f4a7c15ULL); /* SplitMix64's increment: mix64(0) is 0 */
	hash = canary_mix64(hash ^ ((__u64)ntohl(word[0]) << 32 | ntohl(word[1])));
	hash = canary_mix64(hash + ((__u64)ntohl(word[2]) << 32 | ntohl(word[3])));
	member->next = (hash >> 32) % size;
	member->skip = (hash & 0xffffffff) % (size - 1) + 1;
}

static int compare_remainders(const void *a, const void *b)
{
	const struct member *one = *(const struct member *const *)a;
	const struct member *other = *(const struct member *const *)b;

	if (one->remainder != other->remainder)
		return one->remainder > other->remainder ? -1 : 1;
	return one < other ? -1 : one > other; /* by rank */
}

/*
 * Shares below one slot become one slot, the other slots go by largest remainder to the other backends. Giving one away
 * makes a slot dearer for the rest, so that another share may sink below one: hence the outer loop.
 */
static int set_quotas(struct member *members, size_t count, __u64 total, __u32 size)
{
	struct member **rest = calloc(count, sizeof(struct member *));
	__u32 left = size;
	size_t resting = 0, before;

	if (!rest)
		return -ENOMEM;
	do {
		before = left;
		for (size_t i = 0; i < count; i++) {
			__u32 weight = members[i].backend->weight;

			if (members[i].quota || (__u64)weight * left >= total)
				continue;
			members[i].quota = 1;
			left--;
			total -= weight;
		}
	} while (left != before);

	for (size_t i = 0, slots = left; i < count; i++) {
		__u64 share = members[i].backend->weight * (__u64)slots;

		if (members[i].quota)
			continue;
		members[i].quota = share / total;
		members[i].remainder = share % total;
		left -= members[i].quota;
		rest[resting++] = &members[i];
	}
	qsort(rest, resting, sizeof(*rest), compare_remainders);
	for (size_t i = 0; i < left; i++)
		rest[i]->quota++;
	free(rest);
	return 0;
}

/* When a backend takes its n-th turn, n from 0: in the middle of its n-th interval of 1 / weight. */
static __u64 turn_time(__u64 n, __u32 weight)
{
	return ((2 * n + 1) << (TIME_FRACTION_BITS - 1)) / weight;
}

/*
 * The order of turns, as ranks of members, into turns[size]. `total` turns go by in a unit of time, so a turn's time
 * says to within a few where it belongs: a counting sort by that place, and an insertion sort among those of one place
 * do in linear time what a heap takes log(count) for.
 *
 * Times depend on no other backend: adding or removing one leaves the turns of all others in their order.
 */
static int schedule(const struct member *members, size_t count, __u64 total, __u64 *turns, __u32 size)
{
	__u32 *starts = calloc(size + 1, sizeof(*starts));

	if (!starts)
		return -ENOMEM;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t rank = 0; rank < count; rank++) {
			for (__u32 n = 0; n < members[rank].quota; n++) {
				__u64 time = turn_time(n, members[rank].backend->weight);
				__u64 place = time * total >> TIME_FRACTION_BITS;

				place = place < size ? place : size - 1;
				if (pass)
					turns[starts[place]++] = time << RANK_BITS | rank;
				else
					starts[place + 1]++;
			}
		}
		for (__u32 place = 0; !pass && place < size; place++)
			starts[place + 1] += starts[place];
	}
	free(starts);

	for (__u32 i = 1; i < size; i++) {
		__u64 turn = turns[i];
		__u32 at = i;

		for (; at && turns[at - 1] > turn; at--)
			turns[at] = turns[at - 1];
		turns[at] = turn;
	}
	return 0;
}

/*
 * Each turn tries 1 / (free part) slots on average: size * ln(size) tries for a ring, about 11 a slot. They are random
 * accesses to 128 KiB at most, which a core's own cache holds.
 */
static void fill(struct member *members, const __u64 *turns, __u16 *slots, __u32 size)
{
	memset(slots, 0, size * sizeof(*slots));
	for (__u32 i = 0; i < size; i++) {
		struct member *member = &members[turns[i] & ((1 << RANK_BITS) - 1)];
		__u32 slot = member->next, skip = member->skip;

		while (slots[slot]) {
			slot += skip;
			slot -= slot >= size ? size : 0;
		}
		slots[slot] = member->backend->value;
		member->next = slot;
	}
}

int maglev_build(const struct maglev_backend *backends, size_t count, __u16 *slots, __u32 size)
{
	struct member *members;
	__u64 *turns;
	__u64 total;
	int error = -ENOMEM;

	if (!is_valid(backends, count, size))
		return -EINVAL;
	members = calloc(count, sizeof(*members));
	turns = calloc(size, sizeof(*turns));
	if (!members || !turns)
		goto cleanup;

	for (size_t i = 0; i < count; i++) {
		members[i].backend = &backends[i];
		set_permutation(&members[i], size);
	}
	qsort(members, count, sizeof(*members), compare_addresses);
	total = total_weight(backends, count);
	error = set_quotas(members, count, total, size);
	if (!error)
		error = schedule(members, count, total, turns, size);
	if (!error)
		fill(members, turns, slots, size);
cleanup:
	free(turns);
	free(members);
	return error;
}
