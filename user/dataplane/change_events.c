/* SPDX-License-Identifier: Apache-2.0 */
/* What a commit did, written down once it is done. */
#include <string.h>

#include "canary/select.h"
#include "core/overflow.h"
#include "dataplane/internal.h"

enum backend_state { BACKEND_DELETED, BACKEND_UP, BACKEND_DRAINING };

/* A service before and after; NULL: it was, or is, not there. */
struct change {
	struct event_ring *ring;
	const struct service_model *before, *after;
};

static void put(const struct change *change, enum canary_event_type type, const __u64 value[4])
{
	const struct service_model *service = change->after ? change->after : change->before;
	struct canary_event event = {.type = type, .epoch = canary_word_epoch(service->word)};

	memcpy(event.name, service->name, sizeof(event.name));
	memcpy(event.value, value, sizeof(event.value));
	event_ring_put(change->ring, &event);
}

static void put_backend(const struct change *change, enum canary_event_type type, const struct backend_model *backend,
			enum backend_state state)
{
	__u64 value[4] = {[2] = (__u64)backend->port | (__u64)backend->cohort << 16 | (__u64)state << 24};

	memcpy(value, &backend->addr, sizeof(backend->addr));
	put(change, type, value);
}

static enum backend_state state_of(const struct backend_model *backend)
{
	return backend->draining ? BACKEND_DRAINING : BACKEND_UP;
}

static void put_backends(const struct change *change)
{
	const struct service_model *before = change->before, *after = change->after;

	for (size_t i = 0; i < before->backend_count; i++)
		if (!find_by_index(after, before->backends[i].index))
			put_backend(change, CANARY_EVENT_BACKEND_DELETED, &before->backends[i], BACKEND_DELETED);
	for (size_t i = 0; i < after->backend_count; i++) {
		const struct backend_model *now = &after->backends[i], *was = find_by_index(before, now->index);

		if (!was)
			put_backend(change, CANARY_EVENT_BACKEND_ADDED, now, state_of(now));
		else if (backend_differs(was, now))
			put_backend(change, CANARY_EVENT_BACKEND_CHANGED, now, state_of(now));
	}
}

/* The backend by which a cohort has lost its last one that takes flows, or gained its first; NULL: another change did it. */
static const struct backend_model *turning_point(const struct change *change, enum canary_cohort cohort, bool lost)
{
	const struct service_model *with = lost ? change->before : change->after;
	const struct service_model *without = lost ? change->after : change->before;

	for (size_t i = 0; with && i < with->backend_count; i++) {
		const struct backend_model *backend = &with->backends[i];
		const struct backend_model *then = find_by_index(without, backend->index);

		if (backend->cohort == cohort && !backend->draining &&
		    (!then || then->cohort != cohort || then->draining))
			return backend;
	}
	return NULL;
}

static void put_overflow(const struct change *change, enum canary_event_type type, enum canary_cohort cohort,
			 const struct overflow *overflow)
{
	bool begun = type == CANARY_EVENT_OVERFLOW_BEGUN;
	const struct backend_model *backend = turning_point(change, cohort, begun), *now = backend;
	__u64 value[4] = {[2] = (__u64)cohort << 16, [3] = (__u64)overflow->share | (__u64)overflow->dropped << 32};

	if (begun && backend)
		now = find_by_index(change->after, backend->index);
	if (backend) {
		memcpy(value, &backend->addr, sizeof(backend->addr));
		value[2] |= (__u64)backend->port | (__u64)(now ? state_of(now) : BACKEND_DELETED) << 24;
	}
	put(change, type, value);
}

/* Once where it begins or ends; where its flows go elsewhere than before, it begins anew. */
static void put_overflows(const struct change *change)
{
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct overflow before, after;
		bool was = change->before && service_overflows(change->before, cohort, &before);
		bool is = service_overflows(change->after, cohort, &after);

		if (is && (!was || before.dropped != after.dropped))
			put_overflow(change, CANARY_EVENT_OVERFLOW_BEGUN, cohort, &after);
		else if (was && !is)
			put_overflow(change, CANARY_EVENT_OVERFLOW_ENDED, cohort, &before);
	}
}

static void put_change(const struct change *change)
{
	const struct service_model *before = change->before, *after = change->after;
	bool assigned = before->assignment != after->assignment;

	if (assigned) {
		const __u64 value[4] = {before->weight, after->weight, after->assignment,
					before->salt_number != after->salt_number};

		put(change, CANARY_EVENT_WEIGHT_CHANGED, value);
	}
	put_backends(change);
	if (settings_differ(before, after))
		put(change, CANARY_EVENT_SERVICE_CHANGED, (const __u64[4]){});
}

void events_of_change(struct dataplane *dataplane, const struct model *actual, const struct model *desired)
{
	struct event_ring ring;
	struct change change = {.ring = &ring};

	if (event_ring_open(dataplane, true, &ring))
		return; /* what it would tell of is done: there is nothing to take back */
	for (size_t i = 0; i < actual->service_count; i++) {
		change.before = &actual->services[i];
		change.after = NULL;
		if (!find_by_id(desired, change.before->id))
			put(&change, CANARY_EVENT_SERVICE_DELETED, (const __u64[4]){});
	}
	for (size_t i = 0; i < desired->service_count; i++) {
		change.after = &desired->services[i];
		change.before = find_by_id(actual, change.after->id);
		if (!change.before)
			put(&change, CANARY_EVENT_SERVICE_ADDED, (const __u64[4]){change.after->weight});
		else if (change.before->word != change.after->word)
			put_change(&change);
		put_overflows(&change);
	}
	event_ring_close(&ring);
}
