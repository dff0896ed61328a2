/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of watched flows (see watch.h): sets of places, direct by the flow's hash, and a bit for each set in which
 * something goes on. A flow's word is its hash and state; whoever changes it by compare-and-swap has the say.
 */
#ifndef BPF_WATCHED_H
#define BPF_WATCHED_H

enum watch_state { /* in the lowest bits of a flow's word, of CANARY_WATCHED_STATE */
		   WATCH_FREE,
		   WATCH_BUSY, /* being written */
		   WATCH_OPENING,
		   WATCH_LATE,
		   WATCH_SETTLED,
		   WATCH_OPEN,
		   WATCH_ASKED,
};

#define WATCH_NONE CANARY_WATCHED_WAYS

/* The rank of states in which a flow gives its place to another, 0: never. */
const volatile __u8 watch_yields[CANARY_WATCHED_STATE + 1] = {
	[WATCH_FREE] = 5, [WATCH_SETTLED] = 4, [WATCH_LATE] = 3, [WATCH_OPEN] = 2, [WATCH_ASKED] = 1};

static __always_inline __u32 watch_place(__u64 hash)
{
	return hash >> 27 & (CANARY_WATCHED_SETS - 1); /* the bits below say where the flow is remembered */
}

static __always_inline struct canary_watched_set *watch_set(__u64 hash)
{
	__u32 key = watch_place(hash);

	return bpf_map_lookup_elem(&watched, &key);
}

static __always_inline __u64 watch_word(__u64 hash, __u32 state)
{
	return (hash & ~CANARY_WATCHED_STATE) | state;
}

static __always_inline __u64 *watch_bits(__u32 place)
{
	__u32 key = place / 64;

	return bpf_map_lookup_elem(&watching, &key);
}

static __always_inline bool watch_is_on(__u64 hash)
{
	__u32 place = watch_place(hash);
	__u64 *bits = watch_bits(place);

	return bits && *bits >> place % 64 & 1;
}

static __always_inline void watch_on(__u32 place)
{
	__u64 *bits = watch_bits(place);

	if (bits)
		__sync_fetch_and_or(bits, 1ULL << place % 64);
}

static __always_inline bool watch_goes_on(const struct canary_watched_set *set)
{
	for (int i = 0; i < CANARY_WATCHED_WAYS; i++) {
		__u32 state = *(volatile const __u64 *)&set->word[i] & CANARY_WATCHED_STATE;

		if (state > WATCH_BUSY && state != WATCH_SETTLED)
			return true;
	}
	return false;
}

/* Clears the set's bit if nothing goes on there. Who begins something meanwhile writes it first, and then the bit. */
GLOBAL int watch_off(__u32 place)
{
	struct canary_watched_set *set = bpf_map_lookup_elem(&watched, &place);
	__u64 *bits = watch_bits(place);

	if (!set || !bits || watch_goes_on(set))
		return 0;
	__sync_fetch_and_and(bits, ~(1ULL << place % 64));
	if (watch_goes_on(set))
		watch_on(place);
	return 0;
}

/* For a way that a function returned: the compiler knows its range and drops the mask, the verifier does not. */
#define watch_bound(way)                                                                                               \
	({                                                                                                             \
		__u32 bound = (way);                                                                                   \
		barrier_var(bound);                                                                                    \
		bound % CANARY_WATCHED_WAYS;                                                                           \
	})

/* The flow's word at its place, or 0: the place has become another's. */
static __always_inline __u64 watch_look(const struct canary_watched_set *set, __u32 way, __u64 hash)
{
	__u64 word = *(volatile const __u64 *)&set->word[way];

	return (word & ~CANARY_WATCHED_STATE) == watch_word(hash, 0) && (word & CANARY_WATCHED_STATE) > WATCH_BUSY
		       ? word
		       : 0;
}

/* Where the flow is in its set; WATCH_NONE: nowhere. */
GLOBAL int watch_find(__u64 hash)
{
	struct canary_watched_set *set = watch_set(hash);

	if (!set)
		return WATCH_NONE;
	for (__u32 i = 0; i < CANARY_WATCHED_WAYS; i++)
		if (watch_look(set, i, hash))
			return i;
	return WATCH_NONE;
}

/* Moves a flow on. False: somebody else did, and has counted what it means. */
static __always_inline bool watch_turn(struct canary_watched_set *set, __u32 way, __u64 from, __u32 state)
{
	__u64 to = state == WATCH_FREE ? 0 : (from & ~CANARY_WATCHED_STATE) | state;

	return __sync_val_compare_and_swap(&set->word[way], from, to) == from;
}

/*
 * Takes a place in the set: a free one, or that of a flow of which little more can be said. Not of one that is opening:
 * all its kind would then count as never having completed. WATCH_NONE: there is none.
 */
GLOBAL int watch_take(__u64 hash)
{
	struct canary_watched_set *set = watch_set(hash);
	__u32 way = WATCH_NONE, most = 0;
	__u64 word = 0;

	if (!set)
		return way;
	for (__u32 i = 0; i < CANARY_WATCHED_WAYS; i++) {
		__u64 it = *(volatile __u64 *)&set->word[i];
		__u32 yield = watch_yields[it & CANARY_WATCHED_STATE];

		if (yield > most) {
			most = yield;
			way = i;
			word = it;
		}
	}
	if (way == WATCH_NONE)
		return way;
	return __sync_val_compare_and_swap(&set->word[way % CANARY_WATCHED_WAYS], word, WATCH_BUSY) == word
		       ? way
		       : WATCH_NONE;
}

#endif
