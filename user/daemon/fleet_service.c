/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet's service in this host's data plane. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/plan.h"
#include "core/text.h"
#include "core/validate.h"
#include "daemon/fleet_private.h"
#include "daemon/log.h"
#include "io/netlink.h"

struct edition {
	const struct instance *instance;
	struct dataplane *dataplane;
	struct model actual, desired;
};

/* The service as it runs, if it does. */
static int begin(struct edition *edition, const struct instance *instance, const char *service,
		 enum dataplane_access access, struct error *error)
{
	int err;

	*edition = (struct edition){.instance = instance};
	err = dataplane_open(instance->dir, access, &edition->dataplane, error);
	if (err)
		return err;
	err = dataplane_read(edition->dataplane, service, &edition->actual, error);
	return err == -ENOENT ? 0 : err;
}

static void end(struct edition *edition)
{
	model_free(&edition->actual);
	model_free(&edition->desired);
	dataplane_close(edition->dataplane);
}

static int add_copy(const struct service_model *service, struct model *ret, struct error *error)
{
	const struct model one = {.services = (struct service_model *)service, .service_count = 1};

	return model_copy(&one, ret) ? fail(error, -ENOMEM, "out of memory") : 0;
}

/* What the kernel knows of the ways to backends that are new here: the rest is looked after since they came. */
static void prepare_ways(struct service_model *service)
{
	struct netlink *netlink = netlink_open();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; netlink && i < service->backend_count; i++) {
		struct backend_model *backend = &service->backends[i];
		struct route route;

		if (backend->index)
			continue;
		if (netlink_route(netlink, &backend->addr, &route)) {
			log_warning("%s: no route to backend %s: packets to it are dropped as no_route", service->name,
				    format_addr(&backend->addr, text));
			continue;
		}
		backend->tunnel_source = route.local ? backend->addr : route.source;
		if (!route.local)
			netlink_manage_neighbour(netlink, route.ifindex, &route.next_hop);
	}
	netlink_close(netlink);
}

/* What is left open is settled against what runs: ids, salts, the assignment. */
static int settle(struct edition *edition, struct error *error)
{
	struct plan plan = {};

	if (plan_make(&edition->actual, &edition->desired, &plan))
		return fail(error, -ENOMEM, "out of memory");
	plan_free(&plan);
	return 0;
}

static void assign(struct service_model *service, const struct fleet_installation *installation)
{
	service->weight = installation->weight;
	if (service->salt_number != installation->salt_number) {
		service->salt_number = installation->salt_number;
		service->salt = 0; /* derived from the number */
	}
	/* The fleet's window is bounded by the leader: the kernel's bound is not to come before it. */
	service->max_window = MAX_WINDOW_MAX;
	if (!installation->assigns)
		return;
	service->assignment++;
	service->lease = installation->lease;
	service->begin_stopped = installation->stopped;
}

static int commit(struct edition *edition, struct error *error)
{
	struct problem problem = {.text = "out of memory"};
	struct error warning;
	int err = validate_running(&edition->desired, &problem);

	if (err)
		return fail(error, err, "%s", problem.text);
	prepare_ways(edition->desired.services);
	err = dataplane_commit(edition->dataplane, &edition->actual, &edition->desired, error);
	if (!err && state_save(edition->instance, edition->dataplane, &warning))
		log_warning("%s", warning.text);
	return err;
}

int fleet_install(const struct fleet_installation *installation, struct error *error)
{
	struct edition edition;
	int err = begin(&edition, installation->instance, installation->name, DATAPLANE_CHANGE, error);

	if (!err && !installation->config && !edition.actual.service_count)
		err = fail(error, -ENOENT, "%s is not in the data plane any more", installation->name);
	if (!err)
		err = add_copy(installation->config ? installation->config : edition.actual.services, &edition.desired,
			       error);
	if (!err && installation->config)
		err = settle(&edition, error);
	if (!err) {
		assign(edition.desired.services, installation);
		err = commit(&edition, error);
	}
	end(&edition);
	return err;
}

int fleet_bound_window(const struct instance *instance, const char *service, unsigned max_window, struct error *error)
{
	struct edition edition;
	int err = begin(&edition, instance, service, DATAPLANE_CHANGE, error);

	if (!err && !edition.actual.service_count)
		err = fail(error, -ENOENT, "%s is not in the data plane any more", service);
	if (!err)
		err = add_copy(edition.actual.services, &edition.desired, error);
	if (!err) {
		edition.desired.services->max_window = max_window;
		err = dataplane_commit(edition.dataplane, &edition.actual, &edition.desired, error);
	}
	end(&edition);
	return err;
}

/* Health checks drain backends, and lower the weight of those that come back. */
static void level(const struct service_model *running, struct service_model *config)
{
	config->weight = running->weight;
	config->max_window = running->max_window;
	for (size_t i = 0; i < config->backend_count; i++) {
		struct backend_model *backend = &config->backends[i];
		const struct backend_model *same = service_find_backend(running, &backend->addr, backend->port);

		if (same) {
			backend->draining = same->draining;
			backend->weight = same->weight;
		}
	}
}

int fleet_runs_as(const struct instance *instance, const struct service_model *config, bool *ret, struct error *error)
{
	struct edition edition;
	struct plan plan = {};
	int err = begin(&edition, instance, config->name, DATAPLANE_READ, error);

	*ret = false;
	if (!err && edition.actual.service_count) {
		err = add_copy(config, &edition.desired, error);
		if (!err)
			level(edition.actual.services, edition.desired.services);
		if (!err && plan_make(&edition.actual, &edition.desired, &plan))
			err = fail(error, -ENOMEM, "out of memory");
		*ret = !err && !plan.count;
	}
	plan_free(&plan);
	end(&edition);
	return err;
}

int fleet_check(const struct service_model *config, int weight, struct error *error)
{
	struct problem problem = {.text = "out of memory"};
	struct model checked = {};
	int err = add_copy(config, &checked, error);

	if (!err) {
		checked.services->weight = weight;
		err = validate_model(&checked, &problem);
		if (err)
			fail(error, err, "%s: %s", problem.path, problem.text);
	}
	model_free(&checked);
	return err;
}
