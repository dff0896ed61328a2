/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a service's state word changes: always by compare-and-swap on the whole word, so that nobody's change (a
 * command's, the sweeper's, the packet path's) is lost or overwritten unseen, and with no lock. (A spin lock would do,
 * but kernel 6.1 has none for the programs that commands run.)
 */
#ifndef BPF_TRANSITION_H
#define BPF_TRANSITION_H

#define TRANSITION_TRIES 8

/* Packets that are on their way may still read the record: user space lets it be for a while. */
static __always_inline void transition_retire(struct canary_service *service, __u32 slot, __u64 now_ns)
{
	service->retired_ns[slot & CANARY_WORD_SLOT_MASK] = now_ns;
}

/*
 * Is the service in the epoch that a change was made for? If the kernel has stopped it since, it is as good as that: a change
 * of many services must not fail half-way, nor an emergency brake.
 */
static __always_inline bool transition_expected(__u32 id, __u64 word, __u64 epoch)
{
	struct canary_guard *guard = bpf_map_lookup_elem(&guards, &id);
	__u64 now = canary_word_epoch(word);

	return now == epoch || (guard && now == epoch + 1 && word & CANARY_WORD_STOPPED && guard->stopped_epoch == now);
}

/* A stop lasts until the next assignment. */
static __always_inline bool transition_stays_stopped(__u32 id, __u64 word, __u64 change)
{
	struct canary_config *now = config_at(id, canary_word_now(word)), *next = config_at(id, change);

	return change & CANARY_VIEW_STOPPED ||
	       (word & CANARY_WORD_STOPPED && now && next && now->assignment == next->assignment);
}

/*
 * Brings a view into force (see CANARY_OP_CHANGE). With no window open, the record in force until now becomes `oldest`, and a
 * window opens; in an open window `oldest` stays. 0 with the new word, or -ESTALE: the service is not in the epoch that the
 * change was made for, or it is stopped and there is no record that says so.
 */
static __always_inline int transition_change(struct canary_service *service, __u32 id, __u64 change, __u64 epoch,
					     __u64 *ret_word)
{
	__u64 now_ns = bpf_ktime_get_ns();

	for (int i = 0; i < TRANSITION_TRIES; i++) {
		__u64 word = *(volatile __u64 *)&service->word, next;
		bool open = word & CANARY_WORD_OPEN;
		__u32 oldest = open ? canary_word_oldest(word) : canary_word_now(word);

		if (!word || !transition_expected(id, word, epoch))
			return -CANARY_ESTALE;
		if (word & CANARY_WORD_STOPPED && !open) {
			if (!(change & CANARY_CHANGE_HAS_OLDEST))
				return -CANARY_ESTALE;
			oldest = change >> CANARY_CHANGE_OLDEST_SHIFT & CANARY_WORD_SLOT_MASK;
		}
		next = (change & CANARY_WORD_SLOT_MASK) | oldest << CANARY_WORD_OLDEST_SHIFT | CANARY_WORD_OPEN |
		       (transition_stays_stopped(id, word, change) ? CANARY_WORD_STOPPED : 0) |
		       (canary_word_epoch(word) + 1) << CANARY_WORD_EPOCH_SHIFT;
		/* Before the word: the sweeper must not take a new window for an old one. */
		service->changed_ns = now_ns;
		if (!open)
			service->opened_ns = now_ns;
		if (__sync_val_compare_and_swap(&service->word, word, next) != word)
			continue;
		if (canary_word_now(word) != oldest)
			transition_retire(service, canary_word_now(word), now_ns);
		*ret_word = next;
		return 0;
	}
	return -CANARY_ESTALE;
}

/* The threshold counts as 0 from now on: a change of the same record, if the service is still as it was in `word`. */
static __always_inline bool transition_stop(struct canary_service *service, __u64 word)
{
	bool open = word & CANARY_WORD_OPEN;
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 oldest = open ? canary_word_oldest(word) : canary_word_now(word);
	__u64 next = canary_word_now(word) | oldest << CANARY_WORD_OLDEST_SHIFT | CANARY_WORD_OPEN |
		     CANARY_WORD_STOPPED | (canary_word_epoch(word) + 1) << CANARY_WORD_EPOCH_SHIFT;

	if (!word)
		return false;
	service->changed_ns = now_ns;
	if (!open)
		service->opened_ns = now_ns;
	return __sync_val_compare_and_swap(&service->word, word, next) == word;
}

/* Closes the window, if the service is still as it was in `word`. The epoch stays: nothing was configured. */
static __always_inline bool transition_close(struct canary_service *service, __u64 word, __u64 now_ns)
{
	__u32 now = canary_word_now(word), oldest = canary_word_oldest(word);
	__u64 next = (word & ~(CANARY_WORD_OPEN | CANARY_WORD_SLOT_MASK << CANARY_WORD_OLDEST_SHIFT)) |
		     now << CANARY_WORD_OLDEST_SHIFT;

	if (__sync_val_compare_and_swap(&service->word, word, next) != word)
		return false;
	if (oldest != now)
		transition_retire(service, oldest, now_ns);
	return true;
}

#endif
