/* SPDX-License-Identifier: GPL-2.0 */
/* From a configuration and a flow's hashes to a backend, and whether a remembered backend is still that one. */
#ifndef BPF_BACKEND_H
#define BPF_BACKEND_H

struct assignment {
	__u32 backend; /* index, 0: none */
	__u32 generation;
	__u32 wanted; /* the cohort that bucket or segment asked for */
	__u32 cohort;
};

static __always_inline struct canary_backend *backend_at(__u32 index)
{
	return bpf_map_lookup_elem(&backends, &index);
}

/* The backend a flow was assigned to, NULL where it is gone (or its index is another's by now). */
static __always_inline struct canary_backend *backend_alive(__u32 index, __u32 generation)
{
	struct canary_backend *backend = backend_at(index);

	if (!index || !backend || backend->generation != generation || !(backend->flags & CANARY_BACKEND_LIVE))
		return NULL;
	return backend;
}

/*
 * Chooses by the configuration alone. `step` moves on along the ring: 0 is the choice, 1.. are the others that nat
 * tries where the first cannot tell the client's connections apart.
 */
static __always_inline void backend_choose(const struct canary_config *config, const struct canary_tuple *tuple,
					   bool any_port, __u32 step, struct assignment *ret)
{
	__u32 zero = 0;
	struct canary_settings *global = bpf_map_lookup_elem(&settings, &zero);
	struct canary_backend *backend;
	struct canary_hashes hashes;
	struct canary_choice choice;
	__u64 *word;

	__builtin_memset(ret, 0, sizeof(*ret));
	if (!global)
		return;
	hashes = canary_hashes(&global->keys, tuple, config->affinity, any_port);
	hashes.slot += (__u64)step * 0x9e3779b97f4a7c15ULL; /* far along the ring, another place for each step */
	choice = canary_choose(config, &hashes, segment_find(config, &tuple->client));
	ret->wanted = choice.wanted;
	ret->cohort = choice.cohort;
	if (!choice.word)
		return;
	word = bpf_map_lookup_elem(&arena, &choice.word);
	if (!word)
		return;
	ret->backend = canary_ring_backend(*word, choice.slot);
	backend = backend_at(ret->backend);
	if (!ret->backend || !backend || !(backend->flags & CANARY_BACKEND_LIVE)) {
		ret->backend = 0;
		return;
	}
	ret->generation = backend->generation;
}

#endif
