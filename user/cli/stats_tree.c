/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/guard.h"
#include "cli/outcomes.h"
#include "cli/output.h"
#include "cli/owner.h"
#include "cli/stats.h"
#include "cli/view.h"

#define X(NAME, name, help) #name,
const char *const stats_cohort_counters[] = {CANARY_COHORT_COUNTER_LIST(X)};
const char *const stats_backend_counters[] = {CANARY_BACKEND_COUNTER_LIST(X)};
const char *const stats_interface_counters[] = {CANARY_INTERFACE_COUNTER_LIST(X)};
#undef X

#define X(NAME, name, SCOPE, help) #name,
static const char *const reasons[] = {CANARY_REASON_LIST(X)};
#undef X

static void add_counters(json_t *object, const char *const *names, const __u64 *counts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_object_set_new(object, names[i], json_integer((json_int_t)counts[i]));
}

static json_t *view_drops(const __u64 *drops, const char *const *names, size_t count)
{
	json_t *object = json_object();
	__u64 total = 0;

	for (size_t i = 0; i < count; i++)
		total += drops[i];
	json_object_set_new(object, "total", json_integer((json_int_t)total));
	add_counters(object, names, drops, count);
	return object;
}

static int add_cohorts(json_t *view, struct dataplane *dataplane, const struct service_model *service)
{
	static const char *const names[] = {[CANARY_STABLE] = "stable", [CANARY_CANARY] = "canary"};
	json_t *cohorts = json_object();

	json_object_set_new(view, "cohorts", cohorts);
	for (int i = 0; i < CANARY_COHORTS; i++) {
		struct canary_cohort_counters counters = {};
		json_t *cohort = json_object();
		int err;

		json_object_set_new(cohorts, names[i], cohort);
		err = dataplane_cohort_counters(dataplane, service->id, i, &counters);
		if (err)
			return err;
		add_counters(cohort, stats_cohort_counters, counters.count, CANARY_COHORT_COUNTERS);
		json_object_set_new(
			cohort, "drops",
			view_drops(counters.drops, reasons + CANARY_FIRST_COHORT_REASON, CANARY_COHORT_REASONS));
	}
	return 0;
}

static int add_backends(json_t *view, struct dataplane *dataplane, const struct service_model *service)
{
	json_t *backends = json_array();

	json_object_set_new(view, "backends", backends);
	for (size_t i = 0; i < service->backend_count; i++) {
		struct canary_backend_counters counters = {};
		json_t *backend = view_backend(&service->backends[i]);
		int err;

		json_array_append_new(backends, backend);
		err = dataplane_backend_counters(dataplane, service->backends[i].index, &counters);
		if (err)
			return err;
		add_counters(backend, stats_backend_counters, counters.count, CANARY_BACKEND_COUNTERS);
	}
	return 0;
}

static int add_services(json_t *services, struct dataplane *dataplane, const struct model *model, struct error *error)
{
	for (size_t i = 0; i < model->service_count; i++) {
		json_t *service = view_service(&model->services[i]);
		int err = guard_add(service, dataplane, &model->services[i], error);

		json_array_append_new(services, service);
		if (err)
			return err;
		err = add_cohorts(service, dataplane, &model->services[i]);
		if (!err)
			err = add_backends(service, dataplane, &model->services[i]);
		if (!err)
			err = outcomes_add(service, dataplane, &model->services[i]);
		if (err)
			return fail(error, err, "cannot read the counters of %s: %s", model->services[i].name,
				    strerror(-err));
	}
	return 0;
}

static int add_interfaces(json_t *interfaces, struct dataplane *dataplane, struct error *error)
{
	struct interface *attached;
	size_t count;
	int err = list_interfaces(dataplane, &attached, &count, error);

	if (err)
		return err;
	for (size_t i = 0; !err && i < count; i++) {
		struct canary_interface_counters counters = {};
		json_t *interface = view_interface(&attached[i]);

		json_array_append_new(interfaces, interface);
		err = dataplane_interface_counters(dataplane, attached[i].ifindex, &counters);
		if (err)
			fail(error, err, "cannot read the counters of interface %s: %s", attached[i].name,
			     strerror(-err));
		add_counters(interface, stats_interface_counters, counters.count, CANARY_INTERFACE_COUNTERS);
		json_object_set_new(interface, "drops",
				    view_drops(counters.drops, reasons, CANARY_FIRST_COHORT_REASON));
	}
	free(attached);
	return err;
}

json_t *stats_of(const struct cli *cli, struct dataplane *dataplane, const struct model *model, struct error *error)
{
	json_t *services = json_array(), *interfaces = json_array();
	json_t *stats = json_pack("{s:o, s:o}", "services", services, "interfaces", interfaces);
	int err = 0;

	if (dataplane) {
		err = add_services(services, dataplane, model, error);
		if (!err)
			err = add_interfaces(interfaces, dataplane, error);
	}
	owner_show(cli, services);
	if (err) {
		json_decref(stats);
		return NULL;
	}
	return stats;
}

json_t *stats_read(const struct cli *cli, const char *service, struct error *error)
{
	struct dataplane *dataplane;
	struct model model;
	json_t *stats;

	if (read_running(cli, service, &dataplane, &model, error))
		return NULL;
	stats = stats_of(cli, dataplane, &model, error);
	model_free(&model);
	dataplane_close(dataplane);
	return stats;
}

static void add_rates(json_t *now, const json_t *before, const char *const *names, size_t count, double seconds)
{
	json_t *rates = json_object();

	for (size_t i = 0; i < count; i++) {
		/* To a tenth. Counters fall where the thing was deleted and added again. */
		double grown = before ? integer_of(now, names[i]) - integer_of(before, names[i]) : 0;
		long long tenths = grown > 0 ? (long long)(grown / seconds * 10 + 0.5) : 0;

		json_object_set_new(rates, names[i], json_real(tenths / 10.0));
	}
	json_object_set_new(now, "rates", rates);
}

/* The member of an array that has the same values of up to two keys. */
static const json_t *find_same(const json_t *array, const json_t *wanted, const char *key, const char *key2)
{
	json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		if (json_equal(json_object_get(item, key), json_object_get(wanted, key)) &&
		    (!key2 || json_equal(json_object_get(item, key2), json_object_get(wanted, key2))))
			return item;
	}
	return NULL;
}

static void add_service_rates(json_t *service, const json_t *before, double seconds)
{
	json_t *item;
	const char *name;
	size_t i;

	json_object_foreach (json_object_get(service, "cohorts"), name, item)
		add_rates(item, json_object_get(json_object_get(before, "cohorts"), name), stats_cohort_counters,
			  CANARY_COHORT_COUNTERS, seconds);
	json_array_foreach (json_object_get(service, "backends"), i, item)
		add_rates(item, find_same(json_object_get(before, "backends"), item, "address", "port"),
			  stats_backend_counters, CANARY_BACKEND_COUNTERS, seconds);
}

void stats_add_rates(json_t *now, const json_t *before, double seconds)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(now, "services"), i, item)
		add_service_rates(item, find_same(json_object_get(before, "services"), item, "name", NULL), seconds);
	json_array_foreach (json_object_get(now, "interfaces"), i, item)
		add_rates(item, find_same(json_object_get(before, "interfaces"), item, "name", NULL),
			  stats_interface_counters, CANARY_INTERFACE_COUNTERS, seconds);
}
