/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl backend add|drain|del|list */
#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary/select.h"
#include "cli/change.h"
#include "cli/flows.h"
#include "cli/next_hops.h"
#include "cli/output.h"
#include "cli/view.h"
#include "cli/vlans.h"
#include "core/server_id.h"
#include "core/text.h"
#include "core/validate.h"

/* The arguments of add, drain and del. */
struct target {
	const char *service;
	enum canary_cohort cohort; /* add only */
	struct canary_addr addr;
	int port; /* PORT_DEFAULT: not given */
	unsigned weight; /* 0: not given */
	struct canary_server_id server_id;
	unsigned server_id_length; /* 0: not given */
};

static int parse_target(const struct cli *cli, const char *endpoint, struct target *ret, struct error *error)
{
	const char *weight = cli->values[OPT_WEIGHT], *id = cli->values[OPT_SERVER_ID];

	ret->service = cli->arguments[0];
	if (weight && parse_unsigned(weight, 1, CANARY_MAX_BACKEND_WEIGHT, &ret->weight))
		return fail(error, CLI_USAGE, "--weight is a whole number from 1 to %d, not \"%s\"",
			    CANARY_MAX_BACKEND_WEIGHT, weight);
	if (id && parse_server_id(id, &ret->server_id, &ret->server_id_length))
		return fail(error, CLI_USAGE, "--server-id is 1 to %d bytes in hexadecimal, like 0a00000b, not \"%s\"",
			    CANARY_SERVER_ID_MAX, id);
	return argument_endpoint(endpoint, &ret->addr, &ret->port, error);
}

static struct backend_model *find_target(const struct service_model *service, const struct target *target)
{
	return service_find_backend(service, &target->addr, target->port);
}

/* Says that there is no such backend, and which there is at that address. */
static int no_target(const struct service_model *service, const struct target *target, struct error *error)
{
	int port = target->port == PORT_DEFAULT ? service->port : target->port;
	char wanted[ADDR_TEXT_LEN], other[ADDR_TEXT_LEN];

	format_endpoint(&target->addr, port, wanted);
	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		if (addr_equal(&backend->addr, &target->addr))
			return fail(error, -ENOENT, "%s has no backend %s, but it has %s", service->name, wanted,
				    format_endpoint(&backend->addr, backend->port, other));
	}
	return fail(error, -ENOENT, "%s has no backend %s: see canaryctl backend list %s", service->name, wanted,
		    service->name);
}

static bool gives_other_id(const struct target *target, const struct backend_model *backend)
{
	return target->server_id_length && (target->server_id_length != backend->server_id_length ||
					    memcmp(&target->server_id, &backend->server_id, sizeof(target->server_id)));
}

/* What add does to the model: nothing (NULL with a sentence), or what *ret_done says. */
static struct backend_model *add_backend(struct service_model *service, const struct target *target,
					 const char **ret_done, struct error *error)
{
	struct backend_model *backend = find_target(service, target);
	char endpoint[ADDR_TEXT_LEN];

	if (!backend) {
		backend = service_add_backend(service);
		if (!backend) {
			fail(error, -ENOMEM, "out of memory");
			return NULL;
		}
		backend->addr = target->addr;
		backend->port = target->port;
		backend->cohort = target->cohort;
		*ret_done = "added";
	} else if (backend->cohort != target->cohort) {
		fail(error, -EEXIST, "%s is a %s backend of %s: delete it there first",
		     format_endpoint(&backend->addr, backend->port, endpoint), cohort_name(backend->cohort),
		     service->name);
		return NULL;
	} else if (backend->draining) {
		backend->draining = false;
		*ret_done = "taken back";
	} else if ((target->weight && target->weight != backend->weight) || gives_other_id(target, backend)) {
		*ret_done = "changed";
	} else {
		fail(error, -EEXIST, "%s is a %s backend of %s already",
		     format_endpoint(&backend->addr, backend->port, endpoint), cohort_name(backend->cohort),
		     service->name);
		return NULL;
	}
	if (target->weight)
		backend->weight = target->weight;
	if (target->server_id_length) {
		backend->server_id = target->server_id;
		backend->server_id_length = target->server_id_length;
	}
	return backend;
}

static void report_backend(const struct cli *cli, const struct service_model *service,
			   const struct backend_model *backend, const char *done)
{
	char endpoint[ADDR_TEXT_LEN];
	json_t *details = service_epoch(service);

	json_object_set_new(details, "backend", view_backend(backend));
	report(cli, true, details, "%s: %s backend %s (weight %u) %s, epoch %llu", service->name,
	       cohort_name(backend->cohort), format_endpoint(&backend->addr, backend->port, endpoint), backend->weight,
	       done, (unsigned long long)canary_word_epoch(service->word));
}

/*
 * Has the next hop resolved of what is to be added, before the lock, which is not to be held while waiting. *ret is what
 * would run then, or nothing. Are the kernel's routes those that packets take?
 */
static bool prepare_backend(const struct cli *cli, const struct target *target, struct model *ret)
{
	struct service_model *service;
	struct dataplane *dataplane;
	struct problem problem;
	struct model running;
	struct error ignored;
	const char *done;
	bool ours;

	*ret = (struct model){};
	/* What is wrong with it the change itself will say. */
	if (read_running(cli, NULL, &dataplane, &running, &ignored))
		return false;
	ours = next_hops_are_ours(cli, dataplane);
	if (ours && !model_copy(&running, ret)) {
		service = model_find_service(ret, target->service);
		if (service && add_backend(service, target, &done, &ignored) && !validate_running(ret, &problem))
			next_hops_prepare(cli, ret, &running);
	}
	model_free(&running);
	dataplane_close(dataplane);
	return ours;
}

static int commit_backend(struct change *change, const struct target *target, const struct model *prepared,
			  struct error *error)
{
	struct service_model *service = pick_service(&change->desired, target->service, error);
	const char *done;
	int err;

	if (!service || !add_backend(service, target, &done, error))
		return -EINVAL;
	next_hops_adopt(prepared, &change->desired);
	err = change_commit(change, error);
	if (!err)
		report_backend(change->cli, service, find_target(service, target), done);
	return err;
}

int cmd_backend_add(const struct cli *cli, struct error *error)
{
	struct target target = {};
	struct model prepared;
	struct change change;
	bool ours;
	int err;

	if (argument_cohort(cli->arguments[1], &target.cohort, error) ||
	    parse_target(cli, cli->arguments[2], &target, error))
		return CLI_USAGE;

	ours = prepare_backend(cli, &target, &prepared);
	/* All services: what is wrong with a backend may lie in another one. */
	err = change_begin(&change, cli, DATAPLANE_CHANGE, NULL, error);
	if (!err && ours)
		vlans_prepare(cli, change.dataplane);
	if (!err)
		err = commit_backend(&change, &target, &prepared, error);
	model_free(&prepared);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

/* Is the canary's weight above 0, and this its last backend that takes flows? */
static bool is_last_canary(const struct service_model *service, const struct backend_model *backend)
{
	return service->weight > 0 && backend->cohort == CANARY_CANARY && !backend->draining &&
	       service_backends_up(service, CANARY_CANARY) == 1;
}

static void warn_no_canary(const struct cli *cli, const struct service_model *service)
{
	char weight[WEIGHT_TEXT_LEN];

	print_warning(cli, "%s has no canary backend left that takes new flows: the canary's %s of them %s",
		      service->name, format_weight(service->weight, weight),
		      service->overflow == CANARY_OVERFLOW_DROP ? "are dropped" : "go to stable");
}

static int drain_backend(const struct cli *cli, struct change *change, const struct target *target, struct error *error)
{
	struct service_model *service = change->desired.services;
	struct backend_model *backend = find_target(service, target);
	bool last;
	int err;

	if (!backend)
		return no_target(service, target, error);
	if (backend->draining) {
		report(cli, false, service_epoch(service), "%s: %s is draining already", service->name,
		       cli->arguments[1]);
		return 0;
	}
	last = is_last_canary(service, backend);
	backend->draining = true;
	err = change_commit(change, error);
	if (err)
		return err;
	report_backend(cli, service, backend, "drains: it keeps its flows and gets no new ones");
	if (last)
		warn_no_canary(cli, service);
	return 0;
}

int cmd_backend_drain(const struct cli *cli, struct error *error)
{
	struct target target = {};
	struct change change;
	int err;

	if (parse_target(cli, cli->arguments[1], &target, error))
		return CLI_USAGE;

	err = change_begin(&change, cli, DATAPLANE_CHANGE, target.service, error);
	if (!err)
		err = drain_backend(cli, &change, &target, error);
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

static int delete_backend(struct change *change, const struct target *target, bool force, bool *ret_last,
			  struct error *error)
{
	struct service_model *service = change->desired.services;
	struct backend_model *backend = find_target(service, target);
	char weight[WEIGHT_TEXT_LEN];
	bool last;

	if (!backend)
		return no_target(service, target, error);
	last = is_last_canary(service, backend);
	if (last && !force)
		return fail(error, -EBUSY,
			    "this is the last canary backend of %s that takes flows, and the weight is %s: set the "
			    "weight to 0 first, or give --force",
			    service->name, format_weight(service->weight, weight));
	service_remove_backend(service, backend);
	*ret_last = last;
	return change_commit(change, error);
}

int cmd_backend_del(const struct cli *cli, struct error *error)
{
	struct target target = {};
	struct change change;
	bool last = false;
	int err;

	if (parse_target(cli, cli->arguments[1], &target, error))
		return CLI_USAGE;

	err = change_begin(&change, cli, DATAPLANE_CHANGE, target.service, error);
	if (!err)
		err = delete_backend(&change, &target, cli->values[OPT_FORCE], &last, error);
	if (!err) {
		report_backend(cli, change.desired.services, find_target(change.actual.services, &target), "deleted");
		if (last)
			warn_no_canary(cli, change.desired.services);
	}
	change_end(&change);
	return err ? CLI_FAILED : CLI_DONE;
}

static void print_backends(const struct cli *cli, const json_t *backends)
{
	struct table table = {};
	json_t *backend;
	size_t i;

	table_left(&table, STYLE_BOLD, "SERVICE");
	table_left(&table, STYLE_BOLD, "COHORT");
	table_left(&table, STYLE_BOLD, "ADDRESS");
	table_right(&table, STYLE_BOLD, "WEIGHT");
	table_left(&table, STYLE_BOLD, "STATE");
	table_end_row(&table);
	json_array_foreach (backends, i, backend) {
		char endpoint[96], state[64];

		table_left(&table, STYLE_PLAIN, "%s", text_of(backend, "service"));
		table_left(&table, STYLE_PLAIN, "%s", text_of(backend, "cohort"));
		table_left(&table, STYLE_PLAIN, "%s", endpoint_of(backend, endpoint));
		table_right(&table, STYLE_PLAIN, "%lld", (long long)integer_of(backend, "weight"));
		table_left(&table, STYLE_PLAIN, "%s", state_of(backend, state));
		table_end_row(&table);
	}
	table_print(&table, cli, 0);
}

int cmd_backend_list(const struct cli *cli, struct error *error)
{
	struct dataplane *dataplane;
	struct model model;
	json_t *backends;
	unsigned *flows;
	int err;

	if (read_running(cli, cli->argument_count ? cli->arguments[0] : NULL, &dataplane, &model, error))
		return CLI_FAILED;
	err = flows_of_draining(dataplane, &model, &flows, error);
	backends = json_array();
	for (size_t i = 0; !err && i < model.service_count; i++) {
		for (size_t j = 0; j < model.services[i].backend_count; j++) {
			json_t *backend = json_pack("{s:o}", "service", json_text(model.services[i].name));
			json_t *rest = view_backend_flows(&model.services[i].backends[j], flows);

			json_object_update(backend, rest);
			json_decref(rest);
			json_array_append_new(backends, backend);
		}
	}
	if (!err && cli->json)
		print_json(json_pack("{s:O}", "backends", backends));
	else if (!err && json_array_size(backends))
		print_backends(cli, backends);
	else if (!err)
		puts("no backends");
	json_decref(backends);
	free(flows);
	model_free(&model);
	dataplane_close(dataplane);
	return err ? CLI_FAILED : CLI_DONE;
}
