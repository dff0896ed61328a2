/* SPDX-License-Identifier: GPL-2.0 */
/* From a configuration and a flow's hashes to a backend, and whether a remembered backend is still that one. */
#ifndef BPF_BACKEND_H
#define BPF_BACKEND_H

struct assignment {
	__u32 backend; /* index, 0: none */
	__u32 generation;
	__u32 wanted; /* the cohort that bucket or segment asked for */
	__u32 cohort;
	__u32 slot; /* of the cohort's ring */
	__u32 bucket;
	bool random; /* bucket and weight placed the flow where it is */
};

static __always_inline struct canary_backend *backend_at(__u32 index)
{
	return bpf_map_lookup_elem(&backends, &index);
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

/* Fills in the backend at a->slot of the cohort's ring: none, if that is gone. */
static __always_inline void backend_take(__u32 arena_word, struct assignment *a)
{
	struct canary_backend *backend;
	__u64 *word = bpf_map_lookup_elem(&arena, &arena_word);
	__u32 index;

	a->backend = 0;
	if (!word)
		return;
	index = canary_ring_backend(*word, a->slot);
	backend = backend_at(index);
	if (!backend || !(backend->flags & CANARY_BACKEND_LIVE))
		return;
	a->backend = index;
	a->generation = backend->generation;
}

/* Chooses by a view of a configuration alone, and notes where the flow would be remembered. */
static __always_inline void backend_choose(struct pkt *p, const struct canary_config *config, __u32 view,
					   struct assignment *ret)
{
	__u32 zero = 0;
	struct canary_settings *global = bpf_map_lookup_elem(&settings, &zero);
	struct canary_hashes hashes;
	struct canary_choice choice;

	__builtin_memset(ret, 0, sizeof(*ret));
	if (!global)
		return;
	hashes = canary_hashes(&global->keys, &p->tuple, config->affinity, p->flags & PKT_ANY_PORT);
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
