/* SPDX-License-Identifier: GPL-2.0 */
/* From a configuration and a flow's hashes to a backend, and whether a remembered backend is still that one. */
#ifndef BPF_BACKEND_H
#define BPF_BACKEND_H

static __always_inline struct canary_backend *backend_at(__u32 index)
{
	return table_at(backends, index);
}

/* Is it this host itself? Then what would be sent to it comes from its own address. */
static __always_inline bool backend_is_here(const struct canary_backend *backend)
{
	return addr_same(&backend->tunnel_source, &backend->addr);
}

/* The backend a flow was assigned to, NULL where it is gone (or its index is another's by now). */
static __always_inline struct canary_backend *backend_alive(__u32 index, __u32 generation)
{
	struct canary_backend *backend = backend_at(index);

	if (!index || !backend || backend->generation != generation || !(backend->flags & CANARY_BACKEND_LIVE))
		return NULL;
	return backend;
}

/* The backend in a slot of a ring, and its index: NULL and 0, if it is gone. */
static __always_inline struct canary_backend *backend_in_ring(__u32 arena_word, __u32 slot, __u32 *ret)
{
	__u64 *word = bpf_map_lookup_elem(&arena, &arena_word);
	struct canary_backend *backend = NULL;

	*ret = 0;
	if (word) {
		*ret = canary_ring_backend(*word, slot);
		backend = backend_at(*ret);
	}
	if (backend && backend->flags & CANARY_BACKEND_LIVE)
		return backend;
	*ret = 0;
	return NULL;
}

/* Fills in the backend at a->slot of the cohort's ring: none, if that is gone. */
static __always_inline void backend_take(__u32 arena_word, struct assignment *a)
{
	struct canary_backend *backend = backend_in_ring(arena_word, a->slot, &a->backend);

	if (backend)
		a->generation = backend->generation;
}

static __always_inline struct canary_hashes backend_hashes(const struct pkt *p, const struct canary_config *config)
{
	return canary_hashes_from(&tables.keys, &p->tuple, p->address_hash, config->affinity, p->flags & PKT_ANY_PORT);
}

/* Chooses by a view of a configuration alone, and notes where the flow would be remembered. */
static __always_inline void backend_choose(struct pkt *p, const struct canary_config *config, __u32 view,
					   struct assignment *ret)
{
	struct canary_hashes hashes;
	struct canary_choice choice;

	__builtin_memset(ret, 0, sizeof(*ret));
	hashes = backend_hashes(p, config);
	p->hash = hashes.flow;
	p->held = canary_held_bit(&hashes);
	p->shard = canary_shard(&hashes);
	choice = canary_choose(config, &hashes, segment_find(config, &p->tuple.client), view & CANARY_VIEW_STOPPED);
	ret->wanted = choice.wanted;
	ret->cohort = choice.cohort;
	ret->slot = choice.slot;
	ret->bucket = choice.bucket;
	ret->random =
		!(view & CANARY_VIEW_STOPPED) && choice.why == CANARY_WHY_WEIGHT && choice.wanted == choice.cohort;
	if (choice.word)
		backend_take(choice.word, ret);
}

#endif
