/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "dataplane/internal.h"

#define COMMIT_TRIES 3

struct operations {
	struct canary_operation *list;
	__u32 count;
};

static int stale(struct error *error)
{
	return fail(error, -ESTALE, "somebody else changed a service at the same time: nothing was changed, try again");
}

static int push(struct operations *operations, struct canary_operation operation, struct error *error)
{
	if (operations->count == CANARY_MAX_OPERATIONS)
		return fail(error, -E2BIG,
			    "too much at once: a change takes at most %d operations: change some services first",
			    CANARY_MAX_OPERATIONS);
	operations->list[operations->count++] = operation;
	return 0;
}

/* The backends of `actual` that `desired` (NULL: none) has no more. */
static int retire_backends(struct operations *operations, const struct service_model *actual,
			   const struct service_model *desired, struct error *error)
{
	int result = 0;

	for (size_t i = 0; !result && i < actual->backend_count; i++)
		if (!find_by_index(desired, actual->backends[i].index))
			result = push(operations,
				      (struct canary_operation){.type = CANARY_OP_RETIRE_BACKEND,
								.id = actual->backends[i].index},
				      error);
	return result;
}

/*
 * The service's word that a change is to be made from. What the kernel did since `actual` was read (it closed the window,
 * or stopped the service) is no other command's doing: the record in force is still the same. For anything else the word
 * of `actual`, which the kernel will refuse.
 */
static __u64 word_to_change(const struct dataplane *dataplane, const struct service_model *actual)
{
	__u64 word = word_of(dataplane, actual->id), before = actual->word;
	__u64 stops = word & ~before & CANARY_WORD_STOPPED ? 1 : 0;

	return word && canary_word_now(word) == canary_word_now(before) &&
			       canary_word_epoch(word) == canary_word_epoch(before) + stops
		       ? word
		       : before;
}

/* After this change, is there a service left with the address of one that goes? */
static bool address_stays(const struct dataplane *dataplane, const struct model *actual, const struct model *desired,
			  const struct service_model *gone)
{
	for (size_t i = 0; i < desired->service_count; i++)
		if (addr_equal(&desired->services[i].addr, &gone->addr))
			return true;
	for (__u32 id = 1; id < CANARY_MAX_SERVICES; id++) {
		const struct canary_service *service = &dataplane->services[id];

		/* Those in `actual` stay only if they are in `desired`. */
		if (service->word && !find_by_id(actual, id) && addr_equal(&service->key.addr, &gone->addr))
			return true;
	}
	return false;
}

static int prepare_deletions(struct dataplane *dataplane, const struct model *actual, const struct model *desired,
			     struct operations *operations, struct error *error)
{
	int result = 0;

	for (size_t i = 0; !result && i < actual->service_count; i++) {
		const struct service_model *gone = &actual->services[i];

		if (find_by_id(desired, gone->id))
			continue;
		result = push(operations,
			      (struct canary_operation){.type = CANARY_OP_DELETE,
							.id = gone->id,
							.expected = canary_word_epoch(word_to_change(dataplane, gone)),
							.word = !address_stays(dataplane, actual, desired, gone)},
			      error);
		if (!result)
			result = retire_backends(operations, gone, NULL, error);
	}
	return result;
}

/* Has somebody added a service with this address, protocol and port since `actual` was read? */
static bool key_taken(const struct dataplane *dataplane, const struct model *actual,
		      const struct canary_service_key *key)
{
	for (__u32 id = 1; id < CANARY_MAX_SERVICES; id++)
		if (dataplane->services[id].word && !find_by_id(actual, id) &&
		    !memcmp(&dataplane->services[id].key, key, sizeof(*key)))
			return true;
	return false;
}

static int prepare_addition(struct dataplane *dataplane, struct occupied *occupied, const struct model *actual,
			    struct service_model *service, struct operations *operations, struct error *error)
{
	const struct canary_service_key key = {
		.addr = service->addr, .port = htons(service->port), .proto = service->proto};
	struct canary_service *state;
	int result;

	if (key_taken(dataplane, actual, &key))
		return stale(error);
	service->id = occupied_take_service(occupied);
	if (!service->id)
		return fail(error, -ENOSPC, "%s: there are %d services already, no more fit", service->name,
			    CANARY_MAX_SERVICES - 1);
	if (!service->assignment)
		service->assignment = 1;
	if (record_zero_service(dataplane, service->id) || guard_zero(dataplane, service->id) ||
	    outcomes_make(dataplane, service->id, service, true))
		return fail(error, -ENOSPC, "%s: there is no memory for its counters", service->name);
	state = &dataplane->services[service->id];
	*state = (struct canary_service){.key = key};
	memcpy(state->name, service->name, sizeof(state->name));
	result = record_build(dataplane, occupied, NULL, service, record_at(dataplane, service->id, 0), error);
	if (result)
		return result;
	service->word = 1ULL << CANARY_WORD_EPOCH_SHIFT | (service->begin_stopped ? CANARY_WORD_STOPPED : 0);
	return push(operations,
		    (struct canary_operation){.type = CANARY_OP_ADD, .id = service->id, .word = service->word}, error);
}

/* For the time when no window is open and nothing but the word says that the service is stopped: a record that does. */
static __u32 materialise(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *actual,
			 __u64 word)
{
	__u32 slot = occupied_free_slot(dataplane, occupied, actual->id, CANARY_CONFIGS);

	*record_at(dataplane, actual->id, slot) =
		record_materialise(record_at(dataplane, actual->id, canary_word_now(word)));
	return slot;
}

static int prepare_change(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *actual,
			  struct service_model *desired, struct operations *operations, struct error *error)
{
	__u64 word = word_to_change(dataplane, actual), change = 0;
	__u32 slot, taken = CANARY_CONFIGS;
	struct canary_config config;
	int result;

	desired->word = word;
	result = record_build(dataplane, occupied, actual, desired, &config, error);
	if (!result && actual->forward != desired->forward && outcomes_make(dataplane, actual->id, desired, false))
		result = fail(error, -ENOMEM, "%s: there is no memory for its histograms", desired->name);
	if (result)
		return result;
	if (word & CANARY_WORD_STOPPED) {
		taken = materialise(dataplane, occupied, actual, word);
		change = CANARY_CHANGE_OLDEST(taken);
	}
	slot = occupied_free_slot(dataplane, occupied, actual->id, taken);
	*record_at(dataplane, actual->id, slot) = config;
	result = push(
		operations,
		(struct canary_operation){.type = CANARY_OP_CHANGE,
					  .id = actual->id,
					  .expected = canary_word_epoch(word),
					  .word = change | slot | (desired->begin_stopped ? CANARY_VIEW_STOPPED : 0)},
		error);
	if (!result)
		result = retire_backends(operations, actual, desired, error);
	return result;
}

static int prepare(struct dataplane *dataplane, const struct model *actual, struct model *desired,
		   struct operations *operations, struct error *error)
{
	struct occupied *occupied;
	int result = occupied_find(dataplane, &occupied);

	if (result)
		return fail(error, result, "cannot read the state: %s", explain_errno(result));
	result = prepare_deletions(dataplane, actual, desired, operations, error);
	for (size_t i = 0; !result && i < desired->service_count; i++) {
		struct service_model *service = &desired->services[i];
		const struct service_model *before = find_by_id(actual, service->id);

		if (before && services_differ(before, service))
			result = prepare_change(dataplane, occupied, before, service, operations, error);
	}
	for (size_t i = 0; !result && i < desired->service_count; i++)
		if (!desired->services[i].id)
			result =
				prepare_addition(dataplane, occupied, actual, &desired->services[i], operations, error);
	occupied_free(occupied);
	return result;
}

static int write_operations(struct dataplane *dataplane, const struct operations *operations, struct error *error)
{
	int fd = dataplane->fd[MAP_operations];

	for (__u32 i = 0; i < operations->count; i++)
		if (bpf_map_update_elem(fd, &i, &operations->list[i], BPF_ANY))
			return fail(error, -errno, "cannot write the change: %s", explain_errno(errno));
	return 0;
}

static int run_commit(struct dataplane *dataplane, __u32 count, struct error *error)
{
	struct canary_commit_args args = {.count = count};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
	int program = object_open_program(dataplane, PROGRAM_COMMIT, error);
	int result;

	if (program < 0)
		return program;
	result = bpf_prog_test_run_opts(program, &options) ? -errno : 0;
	close(program);
	if (result)
		return fail(error, result, "cannot run the commit: %s", explain_errno(result));
	if (args.error == -ESTALE)
		return stale(error);
	if (args.error)
		return fail(error, args.error, "the kernel refused operation %u of the change: %s", args.at,
			    explain_errno(args.error));
	return 0;
}

/* Gives up the places that a change which did not come about had taken: they are looked for anew. */
static void forget_places(const struct model *actual, struct model *desired)
{
	for (size_t i = 0; i < desired->service_count; i++) {
		struct service_model *service = &desired->services[i];
		const struct service_model *before = find_by_id(actual, service->id);

		if (!before)
			service->id = 0;
		for (size_t j = 0; j < service->backend_count; j++)
			if (!find_by_index(before, service->backends[j].index))
				service->backends[j].index = 0;
	}
}

static bool takes_away(const struct operations *operations)
{
	for (__u32 i = 0; i < operations->count; i++)
		if (operations->list[i].type == CANARY_OP_DELETE ||
		    operations->list[i].type == CANARY_OP_RETIRE_BACKEND)
			return true;
	return false;
}

static int try_commit(struct dataplane *dataplane, const struct model *actual, struct model *desired,
		      struct error *error)
{
	struct operations operations = {};
	int result;

	operations.list = calloc(CANARY_MAX_OPERATIONS, sizeof(*operations.list));
	if (!operations.list)
		return fail(error, -ENOMEM, "out of memory");
	result = prepare(dataplane, actual, desired, &operations, error);
	if (!result && operations.count) {
		result = write_operations(dataplane, &operations, error);
		if (!result) {
			filter_add(dataplane, desired);
			result = run_commit(dataplane, operations.count, error);
		}
	}
	/* What is gone and still in the filter costs a lookup, no more. */
	if (!result && takes_away(&operations))
		filter_renew(dataplane);
	free(operations.list);
	return result;
}

/* What comes with a change that is done, and whose failure would be no reason to take it back. */
static void complete(struct dataplane *dataplane, const struct model *actual, struct model *desired)
{
	for (size_t i = 0; i < actual->service_count; i++)
		if (!find_by_id(desired, actual->services[i].id))
			outcomes_remove(dataplane, actual->services[i].id);
	for (size_t i = 0; i < desired->service_count; i++) {
		struct service_model *service = &desired->services[i];
		const struct service_model *before = find_by_id(actual, service->id);

		service->word = dataplane->services[service->id].word;
		if (before)
			outcomes_settle(dataplane, before, service);
	}
	events_of_change(dataplane, actual, desired);
}

int dataplane_commit(struct dataplane *dataplane, const struct model *actual, struct model *desired,
		     struct error *error)
{
	int result = -ESTALE;

	/* The kernel may stop a service between the preparation and the commit: an emergency brake must not fail by that. */
	for (int i = 0; i < COMMIT_TRIES && result == -ESTALE; i++) {
		if (i)
			forget_places(actual, desired);
		result = try_commit(dataplane, actual, desired, error);
	}
	if (!result)
		complete(dataplane, actual, desired);
	return result;
}
