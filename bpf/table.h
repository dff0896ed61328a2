/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of remembered flows: established ones in shards that never evict, opening ones (and those of which one
 * packet was seen) in an LRU. A flow is in `embryonic` until its client has shown that it is no forgery; only that
 * promotion, or the memory of an older flow, writes to the table.
 */
#ifndef BPF_TABLE_H
#define BPF_TABLE_H

/* How many flows a shard holds. User space makes them, and says. */
const volatile __u32 table_room = CANARY_SHARD_FLOWS;

static __always_inline void table_key(struct pkt *p)
{
	p->key.client = p->tuple.client;
	p->key.service = p->service;
	p->key.client_port = p->tuple.client_port;
	p->key.port = p->tuple.port;
}

static __always_inline void *table_shard(__u32 shard)
{
	shard %= CANARY_FLOW_SHARDS;
	return bpf_map_lookup_elem(&flows, &shard);
}

static __always_inline struct canary_flow *table_find(const struct pkt *p)
{
	void *shard = table_shard(p->shard);

	return shard ? bpf_map_lookup_elem(shard, &p->key) : NULL;
}

/* Is less than a part (in 1/8) of the flow's shard in use? */
static __always_inline bool table_below(const struct pkt *p, __u32 eighths)
{
	struct canary_sweeper *state = sweeper_state();

	return state && state->shard[p->shard % CANARY_FLOW_SHARDS] < table_room / 8 * eighths;
}

static __always_inline void table_account(__u32 service, __u32 shard, int n)
{
	struct canary_service *of = bpf_map_lookup_elem(&services, &service);
	struct canary_sweeper *state = sweeper_state();

	if (!of || !state)
		return;
	__sync_fetch_and_add(&of->flows, n);
	__sync_fetch_and_add(&state->shard[shard % CANARY_FLOW_SHARDS], n);
	__sync_fetch_and_add(&state->flows, n);
}

static __always_inline void table_fill(struct pkt *p, const struct assignment *a, __u32 isn, __u32 flags)
{
	p->entry.backend = a->backend;
	p->entry.generation = a->generation;
	p->entry.seen_ns = p->now_ns;
	p->entry.isn = isn;
	p->entry.flags = flags | (a->cohort == CANARY_CANARY ? CANARY_FLOW_CANARY : 0);
	p->entry.held = p->held;
	p->entry.alternate = p->alternate;
}

/* Puts a flow into the table, in the place of what it may have there. The table first, then both bitmaps: see held.h. */
static __always_inline bool table_put(struct pkt *p, const struct assignment *a, __u32 isn, __u32 flags)
{
	void *shard = table_shard(p->shard);

	if (!shard)
		return false;
	table_fill(p, a, isn, flags);
	/* The sweeper may take an old entry away between two attempts. */
	if (bpf_map_update_elem(shard, &p->key, &p->entry, BPF_EXIST)) {
		if (bpf_map_update_elem(shard, &p->key, &p->entry, BPF_NOEXIST))
			return false;
		table_account(p->service, p->shard, 1);
	}
	if (!(p->flags & PKT_ALWAYS))
		held_remember(p->held);
	return true;
}

/* Remembers a flow that opens, or one of which one packet was seen, until it is promoted or forgotten. */
static __always_inline bool table_open(struct pkt *p, const struct assignment *a, __u32 flags)
{
	table_fill(p, a, p->tcp_seq, flags);
	if (bpf_map_update_elem(&embryonic, &p->key, &p->entry, BPF_ANY))
		return false;
	if (!(p->flags & PKT_ALWAYS))
		held_opening(p->held);
	return true;
}

#endif
