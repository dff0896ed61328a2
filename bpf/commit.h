/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commit of a change that user space has prepared: a list of operations, each checked, then each done, in one run
 * of a program.
 */
#ifndef BPF_COMMIT_H
#define BPF_COMMIT_H

struct commit {
	__s32 error;
	__u32 at;
};

static __always_inline struct canary_service *commit_service(__u32 id)
{
	return id ? bpf_map_lookup_elem(&services, &id) : NULL;
}

static long commit_check(__u32 i, struct commit *commit)
{
	struct canary_operation *op = bpf_map_lookup_elem(&operations, &i);
	struct canary_service *service;

	commit->at = i;
	commit->error = -CANARY_EINVAL;
	if (!op)
		return 1;
	switch (op->type) {
	case CANARY_OP_ADD:
	case CANARY_OP_CHANGE:
	case CANARY_OP_DELETE:
		service = commit_service(op->id);
		if (!service)
			return 1;
		commit->error = -CANARY_ESTALE;
		if (!transition_expected(op->id, service->word, op->expected))
			return 1;
		break;
	case CANARY_OP_RETIRE_BACKEND:
		if (!op->id || op->id >= CANARY_MAX_BACKENDS)
			return 1;
		break;
	default:
		return 1;
	}
	commit->error = 0;
	return 0;
}

static __always_inline int commit_add(struct canary_service *service, __u32 id, __u64 word)
{
	struct canary_service_key address = {.addr = service->key.addr};
	__u32 in_use = CANARY_ADDRESS_IN_USE;

	/* The word first: an id without a word is passed by, a word without an id is not reached. */
	service->word = word;
	if (!bpf_map_update_elem(&service_ids, &service->key, &id, BPF_NOEXIST) &&
	    !bpf_map_update_elem(&service_ids, &address, &in_use, BPF_ANY))
		return 0;
	/* Should never happen: user space checked the key, and the map has room for all services. */
	service->word = 0;
	return -CANARY_E2BIG;
}

static __always_inline void commit_delete(struct canary_service *service, bool last_of_address)
{
	struct canary_service_key address = {.addr = service->key.addr};

	bpf_map_delete_elem(&service_ids, &service->key);
	if (last_of_address)
		bpf_map_delete_elem(&service_ids, &address);
	transition_retire(service, canary_word_now(service->word), bpf_ktime_get_ns());
	transition_retire(service, canary_word_oldest(service->word), bpf_ktime_get_ns());
	service->word = 0;
}

static __always_inline void commit_retire_backend(__u32 index)
{
	struct canary_backend *backend = table_at(backends, index);

	backend->flags = 0;
	backend->generation++;
}

static long commit_do(__u32 i, struct commit *commit)
{
	struct canary_operation *op = bpf_map_lookup_elem(&operations, &i);
	struct canary_service *service;
	__u64 word = 0;

	if (!op)
		return 1;
	if (op->type == CANARY_OP_RETIRE_BACKEND) {
		commit_retire_backend(op->id);
		return 0;
	}
	service = commit_service(op->id);
	if (!service)
		return 1;
	switch (op->type) {
	case CANARY_OP_ADD:
		outcome_begin(op->id, canary_word_epoch(op->word), canary_view_now(op->word));
		commit->error = commit_add(service, op->id, op->word);
		break;
	case CANARY_OP_CHANGE:
		commit->error = transition_change(service, op->id, op->word, op->expected, &word);
		if (!commit->error)
			outcome_begin(op->id, canary_word_epoch(word), canary_view_now(word));
		break;
	case CANARY_OP_DELETE:
		commit_delete(service, op->word);
		break;
	}
	commit->at = i;
	return commit->error != 0;
}

static __always_inline int commit(struct canary_commit_args *args)
{
	struct commit state = {};
	__u32 count = args->count;

	if (count > CANARY_MAX_OPERATIONS)
		return -CANARY_EINVAL;
	bpf_loop(count, commit_check, &state, 0);
	if (!state.error)
		bpf_loop(count, commit_do, &state, 0);
	args->error = state.error;
	args->at = state.at;
	return 0;
}

#endif
