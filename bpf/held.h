/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which flows may be remembered: a bit for each. A flow whose bit is clear is not, and needs no lookup. A bit may be set
 * too long, never cleared too early.
 *
 *  - Bitmaps 0 and 1 stand for the table of flows. Packets read the active one while the sweeper makes the other anew;
 *    an insertion writes the table first and then both.
 *  - Bitmaps 2 and 3 stand for opening flows, which are in an LRU that nobody walks: a bit is written to the one whose
 *    turn it is, and lives for one to two turns. Packets read both.
 */
#ifndef BPF_HELD_H
#define BPF_HELD_H

#define HELD_WORDS (CANARY_HELD_BITS / 64)
#define HELD_BITMAPS 4

static __always_inline struct canary_sweeper *sweeper_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sweeper, &zero);
}

static __always_inline __u64 *held_word(__u32 bitmap, __u32 bit)
{
	__u32 key = bitmap % HELD_BITMAPS * HELD_WORDS + bit / 64;

	return bpf_map_lookup_elem(&held, &key);
}

static __always_inline bool held_in(__u32 bitmap, __u32 bit)
{
	__u64 *word = held_word(bitmap, bit);

	return word && *word >> bit % 64 & 1;
}

static __always_inline void held_set(__u32 bitmap, __u32 bit)
{
	__u64 *word = held_word(bitmap, bit);

	if (word)
		__sync_fetch_and_or(word, 1ULL << bit % 64);
}

static __always_inline bool held_test(__u32 bit)
{
	struct canary_sweeper *state = sweeper_state();

	if (!state)
		return false;
	return (state->flows && held_in(state->active, bit)) || (state->opened[0] && held_in(2, bit)) ||
	       (state->opened[1] && held_in(3, bit));
}

static __always_inline void held_remember(__u32 bit)
{
	held_set(0, bit);
	held_set(1, bit);
}

static __always_inline void held_opening(__u32 bit)
{
	struct canary_sweeper *state = sweeper_state();
	__u32 turn;

	if (!state)
		return;
	/* Read once: the sweeper may change turns in between, and a bit is only looked at where it was counted. */
	turn = *(volatile __u32 *)&state->opening & 1;
	__sync_fetch_and_add(&state->opened[turn], 1);
	held_set(2 + turn, bit);
}

#endif
