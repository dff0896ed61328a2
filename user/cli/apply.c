/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl apply, validate */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/apply.h"
#include "cli/fleet.h"
#include "cli/host.h"
#include "cli/next_hops.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "ops/state.h"
#include "core/text.h"
#include "io/config.h"

static int check_canaries(const struct change *change, struct error *error)
{
	char weight[WEIGHT_TEXT_LEN];

	for (size_t i = 0; i < change->desired.service_count; i++) {
		const struct service_model *service = &change->desired.services[i];
		const struct service_model *now = model_find_service(&change->actual, service->name);

		/* What is so already is no reason to refuse; a file that says so itself was refused before. */
		if (!service->id || !service->weight || service_backends_up(service, CANARY_CANARY) ||
		    !service_backends_up(now, CANARY_CANARY))
			continue;
		return fail(error, -EBUSY,
			    "this would delete the last canary backend of %s, whose weight in force is %s: say "
			    "`weight: 0` in the file, or give --force",
			    service->name, format_weight(service->weight, weight));
	}
	return 0;
}

int apply_load(struct apply *apply, const struct cli *cli, const char *file, struct error *error)
{
	*apply = (struct apply){.cli = cli};
	return config_load(file, &apply->wanted, error);
}

/* What of the guards the rollout has set stays as it is. */
static void leave_guards(struct apply *apply, struct service_model *service, unsigned guards)
{
	const struct service_model *now = model_find_same(&apply->change.actual, service);
	struct guard_settings settings;

	if (!now)
		return;
	settings = guard_settings_of(now, guards);
	if (guard_settings_hold(&settings, service))
		return;
	guard_settings_apply(&settings, service);
	json_array_append_new(apply->notes,
			      json_sprintf("the breaker and the lease of %s stay as its rollout's plan has them: apply "
					   "again when it is over",
					   service->name));
}

/* A rollout's weight is the rollout's, whatever the file says. */
static int leave_to_owners(struct apply *apply, struct error *error)
{
	int err = owner_read(apply->cli, &apply->owners, error);

	apply->notes = json_array();
	for (size_t i = 0; i < apply->wanted.service_count; i++) {
		struct service_model *service = &apply->wanted.services[i];
		const struct owner *owner = owners_find(&apply->owners, service->name);

		if (!owner)
			continue;
		leave_guards(apply, service, owner->guards);
		if (service->weight == WEIGHT_KEEP)
			continue;
		service->weight = WEIGHT_KEEP;
		json_array_append_new(apply->notes,
				      json_sprintf("the weight of %s stays: it belongs to its rollout", service->name));
	}
	return err;
}

/* Before the lock, which is not to be held while waiting. Are the kernel's routes those that packets take? */
static bool apply_prepare(struct apply *apply)
{
	struct dataplane *dataplane;
	struct model running;
	struct error ignored;
	bool ours;

	/* What is wrong with it the change itself will say. */
	if (read_running(apply->cli, NULL, &dataplane, &running, &ignored))
		return false;
	ours = next_hops_are_ours(apply->cli, dataplane);
	if (ours)
		next_hops_prepare(apply->cli, &apply->wanted, &running);
	model_free(&running);
	dataplane_close(dataplane);
	return ours;
}

static bool has_new(const struct change *change)
{
	for (size_t i = 0; i < change->desired.service_count; i++)
		if (!model_find_same(&change->actual, &change->desired.services[i]))
			return true;
	return false;
}

/* Was a new service called otherwise until now? Then that name, else NULL. */
static const char *former_name(const struct change *change, const struct service_model *service)
{
	for (size_t i = 0; !service->id && i < change->actual.service_count; i++) {
		const struct service_model *before = &change->actual.services[i];

		if (addr_equal(&before->addr, &service->addr) && before->port == service->port &&
		    before->proto == service->proto)
			return before->name;
	}
	return NULL;
}

/* What may surprise about the plan. */
static void add_notes(const struct change *change, json_t *notes)
{
	for (size_t i = 0; i < change->desired.service_count; i++) {
		const struct service_model *service = &change->desired.services[i];
		const char *before = former_name(change, service);

		if (before)
			json_array_append_new(notes,
					      json_sprintf("%s is %s under another name: it is deleted and added, so "
							   "its connections may break",
							   service->name, before));
	}
}

/* The backend that a file of before a release's end would make the canary again; NULL: none. */
static const struct backend_model *find_turned(const struct service_model *now, const struct service_model *desired)
{
	for (size_t i = 0; now && i < desired->backend_count; i++) {
		const struct backend_model *wanted = &desired->backends[i];
		const struct backend_model *backend = service_find_backend(now, &wanted->addr, wanted->port);

		/* One that drains was stable before, and may well be the next release's canary. */
		if (backend && backend->cohort == CANARY_STABLE && !backend->draining &&
		    wanted->cohort == CANARY_CANARY)
			return backend;
	}
	return NULL;
}

/* What `rollout finish` made stable is so until the file says so, too. */
static int check_finished(const struct apply *apply, struct error *error)
{
	const struct change *change = &apply->change;
	const struct backend_model *turned = NULL;
	char text[ADDR_TEXT_LEN];
	int err = 0;

	for (size_t i = 0; !err && i < change->desired.service_count; i++) {
		const struct service_model *service = &change->desired.services[i];

		if (owners_have_finished(&apply->owners, service->name))
			turned = find_turned(model_find_same(&change->actual, service), service);
		if (turned)
			err = fail(error, -EBUSY,
				   "%s's last release is finished, so its backend %s is stable, and the file has it as "
				   "canary: move it in the file, or give --force",
				   service->name, format_endpoint(&turned->addr, turned->port, text));
	}
	return err;
}

/*
 * With another affinity it is others who get the canary, and other things that are counted: what a rollout has measured so
 * far says nothing of them. By force it is as a weight set by force: an assignment of its own, which pauses the rollout.
 */
static int check_affinity(struct apply *apply, bool force, struct error *error)
{
	struct change *change = &apply->change;

	for (size_t i = 0; i < change->desired.service_count; i++) {
		struct service_model *service = &change->desired.services[i];
		const struct service_model *now = model_find_same(&change->actual, service);

		if (!now || now->affinity == service->affinity || !owners_find(&apply->owners, service->name))
			continue;
		if (!force)
			return fail(
				error, -EBUSY,
				"this would change the affinity of %s during its rollout, see canaryctl rollout "
				"status: roll back with canaryctl rollout rollback, or give --force, which pauses the "
				"rollout",
				service->name);
		service->assignment++;
		/* Nobody has said that what the breaker or a lease took from the canary is to be given back. */
		service->begin_stopped = now->word & CANARY_WORD_STOPPED;
		json_array_append_new(
			apply->notes,
			json_sprintf("the affinity of %s changes during its rollout, which is paused", service->name));
	}
	return 0;
}

/* A service with another address is another one, too. */
static int check_deletions(const struct apply *apply, struct error *error)
{
	const struct change *change = &apply->change;

	for (size_t i = 0; i < change->actual.service_count; i++) {
		const struct service_model *service = &change->actual.services[i];

		if (!model_find_same(&change->desired, service) && owners_find(&apply->owners, service->name))
			return owner_refuse_deletion(service->name, error);
	}
	return 0;
}

int apply_begin(struct apply *apply, enum dataplane_access access, bool force, struct error *error)
{
	const struct instance instance = {apply->cli->dir, apply->cli->key_file};
	struct change *change = &apply->change;
	struct error warning;
	int err = change_begin(change, apply->cli, access, NULL, error);

	/* Where nothing is yet, a dry run compares with nothing. */
	if (err == -ENOENT && access == DATAPLANE_READ)
		err = 0;
	if (!err)
		err = leave_to_owners(apply, error);
	if (err)
		return err;
	model_free(&change->desired);
	change->desired = apply->wanted;
	apply->wanted = (struct model){};
	if (has_new(change)) {
		if (state_load(&instance, &apply->saved, &warning))
			print_warning(apply->cli, "%s", warning.text);
		state_settle(&apply->saved, &change->actual, &change->desired);
	}
	if (plan_make(&change->actual, &change->desired, &apply->plan))
		return fail(error, -ENOMEM, "out of memory");
	add_notes(change, apply->notes);
	err = check_affinity(apply, force, error);
	if (err || force)
		return err;
	err = check_deletions(apply, error);
	if (!err)
		err = check_finished(apply, error);
	return err ? err : check_canaries(change, error);
}

/* Exchanges the services of `first` that had a window for what they were when it opened. How many. */
static size_t go_back(struct apply *apply, struct model *first, bool *restored)
{
	size_t count = 0;

	for (size_t i = 0; i < first->service_count; i++) {
		struct service_model *service = &first->services[i], now = *service;
		struct service_model *oldest = service->id ? NULL : state_open_window(&apply->saved, service);

		if (!oldest)
			continue;
		*service = *oldest;
		*oldest = now;
		restored[i] = true;
		count++;
	}
	next_hops_adopt(&apply->change.desired, first);
	return count;
}

/* The salts as they were before the reboot: plan_make() has them as those of the older configuration. */
static void settle_again(struct apply *apply, const bool *restored)
{
	for (size_t i = 0; i < apply->change.desired.service_count; i++) {
		struct service_model *service = &apply->change.desired.services[i];
		const struct service_model *saved = model_find_same(&apply->saved.services, service);

		if (!restored[i] || !saved || saved->salt_number == service->salt_number)
			continue;
		service->salt_number = saved->salt_number;
		service->salt = 0; /* derived from the number */
	}
}

/*
 * Before a reboot, connections that were older than an open window followed an older configuration. They do so again if
 * that one is put in force first: the change from it to the one of now then opens the window once more. Where that fails,
 * nothing was changed, and the change is made at once.
 */
static bool restore_windows(struct apply *apply)
{
	struct change *change = &apply->change;
	bool *restored = must(calloc(change->desired.service_count + 1, sizeof(*restored)));
	struct model first = {};
	struct plan ignored = {};
	struct error error;
	bool done = false;

	if (model_copy(&change->desired, &first))
		must(NULL);
	if (!go_back(apply, &first, restored)) {
		model_free(&first);
	} else if (dataplane_commit(change->dataplane, &change->actual, &first, &error)) {
		print_warning(apply->cli, "connections of before the reboot may change their backend: %s", error.text);
		model_free(&first);
	} else {
		model_free(&change->actual);
		change->actual = first;
		if (plan_make(&change->actual, &change->desired, &ignored))
			must(NULL);
		plan_free(&ignored);
		settle_again(apply, restored);
		done = true;
	}
	free(restored);
	return done;
}

int apply_commit(struct apply *apply, struct error *error)
{
	bool restored = apply->saved.oldest.service_count && restore_windows(apply);
	int err = change_commit(&apply->change, error);

	if (err && restored)
		print_warning(apply->cli, "services are as they were some changes before the reboot: apply again");
	return err;
}

void apply_end(struct apply *apply)
{
	plan_free(&apply->plan);
	json_decref(apply->notes);
	owners_free(&apply->owners);
	saved_state_free(&apply->saved);
	model_free(&apply->wanted);
	change_end(&apply->change);
}

json_t *apply_operations(const struct plan *plan)
{
	json_t *operations = json_array();

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_step *step = &plan->steps[i];

		json_array_append_new(operations, json_pack("{s:s, s:o, s:o}", "op", step_name(step->type), "service",
							    json_text(step->service), "text", json_text(step->text)));
	}
	return operations;
}

static char step_sign(enum step_type type)
{
	switch (type) {
	case STEP_ADD_SERVICE:
	case STEP_ADD_BACKEND:
	case STEP_ADD_SEGMENT:
		return '+';
	case STEP_DELETE_SERVICE:
	case STEP_DELETE_BACKEND:
	case STEP_DELETE_SEGMENT:
		return '-';
	default:
		return '~';
	}
}

void apply_print(const struct apply *apply)
{
	json_t *note;
	size_t i;

	for (i = 0; i < apply->plan.count; i++) {
		const struct plan_step *step = &apply->plan.steps[i];

		printf("%c %s: %s\n", step_sign(step->type), step->service, step->text);
	}
	json_array_foreach (apply->notes, i, note)
		printf("note: %s\n", json_string_value(note));
}

static void report_apply(const struct apply *apply, bool applied)
{
	const struct model *desired = &apply->change.desired;
	size_t count = apply->plan.count;
	json_t *services, *details;

	if (!apply->cli->json) {
		apply_print(apply);
		if (!count)
			puts("nothing to do: it runs as the file says");
		return;
	}
	services = json_array();
	for (size_t i = 0; applied && i < desired->service_count; i++)
		json_array_append_new(services, service_epoch(&desired->services[i]));
	details = json_pack("{s:o, s:O, s:b, s:o}", "operations", apply_operations(&apply->plan), "notes", apply->notes,
			    "applied", applied, "services", services);
	report(apply->cli, applied && count, details, "%zu operations%s", count, applied ? "" : " to be done");
}

static int apply_for_real(struct apply *apply, bool force, struct error *error)
{
	bool ours = apply_prepare(apply);
	int err = apply_begin(apply, DATAPLANE_CREATE, force, error);

	if (err)
		return err;
	if (ours)
		next_hops_refresh(apply->cli, apply->change.dataplane, &apply->change.desired);
	return apply->plan.count ? apply_commit(apply, error) : 0;
}

int cmd_apply(const struct cli *cli, struct error *error)
{
	bool dry = cli->values[OPT_DRY_RUN], force = cli->values[OPT_FORCE];
	struct apply apply;
	int err;

	if (cli->values[OPT_FLEET])
		return fleet_apply(cli, cli->values[OPT_FILE], error);
	err = apply_load(&apply, cli, cli->values[OPT_FILE], error);
	if (!err && dry)
		err = apply_begin(&apply, DATAPLANE_READ, force, error);
	else if (!err)
		err = apply_for_real(&apply, force, error);
	if (!err)
		report_apply(&apply, !dry);
	apply_end(&apply);
	if (!err && !dry)
		host_follow(cli);
	return err ? CLI_FAILED : CLI_DONE;
}

int cmd_validate(const struct cli *cli, struct error *error)
{
	const char *file = cli->arguments[0];
	struct model model;

	if (config_load(file, &model, error))
		return CLI_FAILED;
	if (cli->json)
		print_json(json_pack("{s:b, s:I}", "valid", true, "services", (json_int_t)model.service_count));
	else
		report(cli, false, NULL, "%s: %zu service%s, ok", file, model.service_count,
		       model.service_count == 1 ? "" : "s");
	model_free(&model);
	return CLI_DONE;
}
