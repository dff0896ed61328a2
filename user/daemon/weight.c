/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/weight.h"

#include <errno.h>
#include <string.h>

#include "core/text.h"
#include "daemon/edit.h"
#include "daemon/log.h"
#include "io/history.h"
#include "io/owners.h"

/* With the lock: a command that changes weights reads it under the same. */
static int note_owner(const struct instance *instance, const struct owner *owner, bool owned, struct error *error)
{
	struct owners owners;
	char path[PATH_MAX];
	bool changed = false;
	int err = instance_file(instance, OWNERS_FILE, path, error);

	if (!err)
		err = owners_load(path, &owners, error);
	if (err)
		return err;
	if (owner->finished)
		err = owners_finish(&owners, owner->service, &changed);
	else if (owned)
		err = owners_take(&owners, owner->service, owner->weight, owner->guards, &changed);
	else
		changed = owners_leave(&owners, owner->service);
	if (err)
		err = fail(error, err, "out of memory");
	else if (changed)
		err = owners_save(path, &owners, error);
	owners_free(&owners);
	return err;
}

int weight_owned(const struct instance *instance, const char *service, int *ret, struct error *error)
{
	const struct owner *owner;
	struct owners owners;
	char path[PATH_MAX];
	int err = instance_file(instance, OWNERS_FILE, path, error);

	if (!err)
		err = owners_load(path, &owners, error);
	if (err)
		return err;
	owner = owners_find(&owners, service);
	*ret = owner ? owner->weight : -1;
	owners_free(&owners);
	return 0;
}

struct asker {
	const char *service;
	__u32 assignment;
	__s64 uid;
};

static int find_asker(const struct canary_event *event, void *arg)
{
	struct asker *asker = arg;

	if (event->type == CANARY_EVENT_WEIGHT_CHANGED && event->value[2] == asker->assignment &&
	    event->uid != CANARY_UID_KERNEL && !strcmp(event->name, asker->service))
		asker->uid = event->uid;
	return 0;
}

__s64 weight_asker(const struct instance *instance, const char *service, __u32 assignment)
{
	struct asker asker = {service, assignment, HISTORY_NO_UID};
	struct dataplane *dataplane;
	struct error error;
	__u64 last, lost;

	if (dataplane_open(instance->dir, DATAPLANE_READ, &dataplane, &error))
		return HISTORY_NO_UID;
	dataplane_events(dataplane, 0, find_asker, &asker, &last, &lost);
	dataplane_close(dataplane);
	return asker.uid;
}

/* Another weight, or the same by somebody else: in any case an assignment of its own. */
static void assign(struct service_model *service, const struct weight_change *change)
{
	guard_settings_apply(change->guards, service);
	service->weight = rollout_hold_back(change->weight, change->holdback);
	service->lease = service->weight ? service->lease_default : 0;
	service->reset_after = change->reset ? 0 : RESET_NEVER;
	service->assignment++;
	if (service->salt_number != change->salt_number) {
		service->salt_number = change->salt_number;
		service->salt = 0; /* derived from the number */
	}
}

/* Was it carried out before we were killed? */
static bool is_done(const struct edit *edit, const struct weight_change *change)
{
	const struct service_model *now = edit->actual.services;
	struct service_model wanted = *now;
	struct guard guard;

	if (!guard_settings_hold(change->guards, now))
		return false;
	if (!change->weight && !now->weight && !change->reset)
		return true;
	assign(&wanted, change);
	return now->assignment > change->known && now->weight == wanted.weight &&
	       now->salt_number == wanted.salt_number && !dataplane_guard(edit->dataplane, now, &guard) &&
	       !guard.stopped;
}

/* Is it as it was when the change was decided on? */
static int check_known(const struct edit *edit, const struct weight_change *change, struct error *error)
{
	const struct service_model *now = edit->actual.services;
	struct guard guard;

	if (!change->weight || change->unseen)
		return 0;
	if (now->assignment != change->known)
		return fail(error, -ESTALE, "somebody else has set the weight of %s meanwhile", now->name);
	if (change->stoppable && !dataplane_guard(edit->dataplane, now, &guard) && guard_has_tripped(&guard))
		return fail(error, -ESTALE, "the breaker has taken the canary of %s out meanwhile", now->name);
	return 0;
}

static int set(struct edit *edit, const struct weight_change *change, struct error *error)
{
	struct service_model *service = edit->service;
	struct owner owner = {.weight = change->weight, .guards = change->guards->given};
	struct error warning;
	bool done = is_done(edit, change);
	int err;

	if (change->weight && !service_backends_up(service, CANARY_CANARY))
		return fail(error, -EINVAL, "%s has no canary backend that takes new flows", service->name);
	err = done ? 0 : check_known(edit, change, error);
	if (err)
		return err;
	memcpy(owner.service, service->name, sizeof(owner.service));
	err = note_owner(edit->instance, &owner, change->owned, &warning);
	if (err && change->weight)
		return fail(error, err, "%s", warning.text);
	if (err)
		log_warning("%s", warning.text);
	if (done)
		return 0;
	assign(service, change);
	return edit_commit(edit, error);
}

int weight_set(const struct instance *instance, const struct weight_change *change, __u32 *ret_assignment,
	       struct error *error)
{
	struct weight_change settled = *change;
	struct guard_settings guards = *change->guards;
	struct edit edit;
	int err = edit_begin(&edit, instance, change->service, DATAPLANE_CHANGE, error);

	if (!err && change->in_place_of)
		guards = guard_settings_in_place_of(change->guards, change->in_place_of, edit.actual.services);
	settled.guards = &guards;
	if (!err)
		err = set(&edit, &settled, error);
	if (!err)
		*ret_assignment = edit.service->assignment;
	edit_end(&edit);
	return err;
}

int weight_prepare(const struct instance *instance, const char *service, unsigned guards,
		   struct guard_settings *ret_guards, __u32 *ret_assignment, struct error *error)
{
	struct edit edit;
	int err = edit_begin(&edit, instance, service, DATAPLANE_READ, error);

	if (!err && !service_backends_up(edit.service, CANARY_CANARY))
		err = fail(error, -EBUSY,
			   "%s has no canary backend that takes new flows: add one, or see in canaryctl status what "
			   "drains them",
			   service);
	if (!err) {
		*ret_guards = guard_settings_of(edit.service, guards);
		*ret_assignment = edit.service->assignment;
	}
	edit_end(&edit);
	return err;
}

static json_t *pack_cohort(const struct service_model *service, enum canary_cohort cohort)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		if (backend->cohort == cohort && !(cohort == CANARY_STABLE && backend->draining))
			json_array_append_new(list, json_string(format_endpoint(&backend->addr, backend->port, text)));
	}
	return list;
}

int swap_plan(const struct instance *instance, const char *service, json_t **ret, struct error *error)
{
	struct edit edit;
	int err = edit_begin(&edit, instance, service, DATAPLANE_READ, error);

	if (!err && !service_backends_up(edit.service, CANARY_CANARY))
		err = fail(error, -EINVAL, "%s has no canary backend that could become stable", service);
	if (!err)
		*ret = json_pack("{s:o, s:o}", "promoted", pack_cohort(edit.service, CANARY_CANARY), "retired",
				 pack_cohort(edit.service, CANARY_STABLE));
	edit_end(&edit);
	return err;
}

/* A backend that is gone meanwhile is not missed. */
static void move(struct service_model *service, const json_t *endpoints, enum canary_cohort cohort, int draining)
{
	size_t i;
	json_t *endpoint;

	json_array_foreach (endpoints, i, endpoint) {
		struct backend_model *backend = NULL;
		struct canary_addr addr;
		int port;

		if (!parse_endpoint(json_string_value(endpoint), &addr, &port))
			backend = service_find_backend(service, &addr, port);
		if (!backend)
			continue;
		backend->cohort = cohort;
		if (draining >= 0)
			backend->draining = draining;
	}
}

#define AS_IT_IS (-1)

/* Is one of those that were stable before in the canary, of a later release? */
static bool is_in_canary(const struct service_model *service, const json_t *retired)
{
	size_t i;
	json_t *endpoint;

	json_array_foreach (retired, i, endpoint) {
		const struct backend_model *backend = NULL;
		struct canary_addr addr;
		int port;

		if (!parse_endpoint(json_string_value(endpoint), &addr, &port))
			backend = service_find_backend((struct service_model *)service, &addr, port);
		if (backend && backend->cohort == CANARY_CANARY)
			return true;
	}
	return false;
}

static int make(struct edit *edit, const json_t *swap, bool back, const struct guard_settings *guards,
		struct error *error)
{
	const json_t *promoted = json_object_get(swap, "promoted"), *retired = json_object_get(swap, "retired");
	struct service_model *service = edit->service;
	struct owner owner = {.finished = !back};
	struct error warning;

	if (back && is_in_canary(service, retired))
		return fail(error, -EINVAL,
			    "what was stable before that release is the canary of a later one by now: apply the "
			    "configuration that is wanted");
	move(service, promoted, back ? CANARY_CANARY : CANARY_STABLE, AS_IT_IS);
	move(service, retired, CANARY_STABLE, !back);
	if (!service_backends_up(service, CANARY_STABLE))
		return fail(error, -EINVAL, "%s would have no stable backend that takes new flows", service->name);
	guard_settings_apply(guards, service);
	service->weight = 0;
	service->lease = 0;
	service->reset_after = RESET_NEVER;
	if (edit->actual.services->weight)
		service->assignment++;
	memcpy(owner.service, service->name, sizeof(owner.service));
	if (note_owner(edit->instance, &owner, false, &warning))
		log_warning("%s", warning.text);
	return edit_commit(edit, error);
}

int swap_make(const struct instance *instance, const char *service, const json_t *swap, bool back,
	      const struct guard_settings *guards, __u32 *ret_assignment, struct error *error)
{
	struct edit edit;
	int err = edit_begin(&edit, instance, service, DATAPLANE_CHANGE, error);

	if (!err)
		err = make(&edit, swap, back, guards, error);
	if (!err)
		*ret_assignment = edit.service->assignment;
	edit_end(&edit);
	return err;
}
