/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What became of watched flows, counted by the epoch in which they were assigned: a late failure is charged to the weight
 * that caused it.
 */
#ifndef BPF_OUTCOME_H
#define BPF_OUTCOME_H

/*
 * A service enters an epoch: the place of the one CANARY_EPOCHS before becomes its own, and what that one had counted goes
 * to the older ones. Counters are taken one at a time, so each count moves once.
 */
GLOBAL int outcome_begin(__u32 id, __u64 epoch, __u32 view)
{
	struct canary_outcomes *all = bpf_map_lookup_elem(&outcomes, &id);
	struct canary_config *config = config_at(id, view);
	struct canary_epoch *mine, *older;
	bool stopped = view & CANARY_VIEW_STOPPED;

	if (!all || !config)
		return 0;
	mine = &all->epochs[epoch % CANARY_EPOCHS];
	older = &all->epochs[CANARY_EPOCHS];
	mine->epoch = 0; /* who comes late from there is counted among the older ones */
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
#pragma unroll
		for (int i = 0; i < CANARY_OUTCOMES; i++)
			__sync_fetch_and_add(&older->count[cohort][i],
					     __sync_lock_test_and_set(&mine->count[cohort][i], 0));
	}
	__sync_fetch_and_add(&older->flooded, mine->flooded);
	mine->flooded = 0;
	mine->began_ns = bpf_ktime_get_ns();
	if (!older->began_ns)
		older->began_ns = mine->began_ns; /* the service's first epoch: it is not in force yet */
	mine->assignment = config->assignment;
	for (int i = 0; i < CANARY_COHORTS; i++) {
		mine->watched[i] = stopped ? 0 : config->watched[i];
		mine->step[i] = stopped ? 0 : config->step[i];
	}
	mine->limit = config->limit;
	__sync_lock_test_and_set(&mine->epoch, epoch);
	return 0;
}

/*
 * Of an epoch's lower half: its record or, where that is gone, that of the older ones. NULL for a flow that was opened before
 * the service began: that was another one's, which was deleted, and whose place this one has.
 */
static __always_inline struct canary_epoch *outcome_epoch(__u32 id, __u32 epoch, __u64 opened_ns)
{
	struct canary_outcomes *all = bpf_map_lookup_elem(&outcomes, &id);
	struct canary_epoch *record;

	if (!all || opened_ns < all->epochs[CANARY_EPOCHS].began_ns)
		return NULL;
	record = &all->epochs[epoch % CANARY_EPOCHS];
	return (__u32)record->epoch == epoch && record->epoch ? record : &all->epochs[CANARY_EPOCHS];
}

static __always_inline void outcome_add(struct canary_epoch *epoch, __u32 cohort, __u32 what)
{
	barrier_var(what); /* or kernel 6.1 forgets on the way what was checked before */
	if (what < CANARY_OUTCOMES)
		__sync_fetch_and_add(&epoch->count[cohort & 1][what], 1);
}

/* A time, in the histogram of the assignment in force. */
GLOBAL int outcome_time(__u32 service, __u32 cohort, __u32 kind, __u64 ns)
{
	struct canary_histogram_key key = {.service = service, .cohort = cohort, .kind = kind};
	struct canary_histogram *histogram = bpf_map_lookup_elem(&histograms, &key);
	__u32 place = canary_histogram_bucket(ns / 1000);

	barrier_var(place); /* or the compiler knows the bound, and does not tell the verifier */
	if (histogram && place < CANARY_HISTOGRAM_BUCKETS)
		__sync_fetch_and_add(&histogram->count[place], 1);
	return 0;
}

#endif
