/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor.h"

struct snapshot {
	struct model model;
	struct service_scrape *services;
	struct interface *interfaces;
	struct interface_scrape *interface_scrapes;
	size_t interface_count;
};

static void snapshot_free(struct snapshot *snapshot)
{
	for (size_t i = 0; snapshot->services && i < snapshot->model.service_count; i++)
		free(snapshot->services[i].backends);
	free(snapshot->services);
	free(snapshot->interfaces);
	free(snapshot->interface_scrapes);
	model_free(&snapshot->model);
	*snapshot = (struct snapshot){};
}

static int read_outcomes(struct dataplane *dataplane, struct service_scrape *ret)
{
	struct canary_outcomes outcomes;
	int err = dataplane_outcomes(dataplane, ret->model, &outcomes);

	if (err)
		return err == -ENOENT ? 0 : err;
	ret->observed = true;
	for (size_t i = 0; i < sizeof(outcomes.epochs) / sizeof(outcomes.epochs[0]); i++)
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			for (int outcome = 0; outcome < CANARY_OUTCOMES; outcome++)
				ret->connections[cohort][outcome] += (double)outcomes.epochs[i].count[cohort][outcome];
	return 0;
}

static void read_times(struct dataplane *dataplane, struct service_scrape *ret)
{
	for (int kind = 0; kind < CANARY_HISTOGRAM_KINDS; kind++) {
		ret->has_times[kind] = true;
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
			ret->has_times[kind] &=
				!dataplane_histogram(dataplane, ret->model, cohort, kind, &ret->times[kind][cohort]);
	}
}

static int read_service(struct dataplane *dataplane, struct service_scrape *ret)
{
	const struct service_model *model = ret->model;
	int err = dataplane_guard(dataplane, model, &ret->guard);

	if (!err)
		err = dataplane_window(dataplane, model, &ret->window);
	for (int cohort = 0; !err && cohort < CANARY_COHORTS; cohort++)
		err = dataplane_cohort_counters(dataplane, model->id, cohort, &ret->cohorts[cohort]);
	ret->backends = calloc(model->backend_count + 1, sizeof(*ret->backends));
	if (!err && !ret->backends)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < model->backend_count; i++)
		err = dataplane_backend_counters(dataplane, model->backends[i].index, &ret->backends[i]);
	if (!err)
		err = read_outcomes(dataplane, ret);
	if (!err)
		read_times(dataplane, ret);
	return err;
}

static int read_interfaces(struct dataplane *dataplane, struct snapshot *ret, struct error *error)
{
	int err = dataplane_interfaces(dataplane, &ret->interfaces, &ret->interface_count, error);

	if (err)
		return err;
	ret->interface_scrapes = calloc(ret->interface_count + 1, sizeof(*ret->interface_scrapes));
	if (!ret->interface_scrapes)
		return fail(error, -ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < ret->interface_count; i++) {
		ret->interface_scrapes[i].name = ret->interfaces[i].name;
		err = dataplane_interface_counters(dataplane, ret->interfaces[i].ifindex,
						   &ret->interface_scrapes[i].counters);
	}
	return err ? fail(error, err, "cannot read the counters of interfaces: %s", strerror(-err)) : 0;
}

static int read_all(struct dataplane *dataplane, struct snapshot *ret, struct dataplane_info *ret_info,
		    struct error *error)
{
	int err = dataplane_info(dataplane, ret_info, error);

	if (!err)
		err = dataplane_read(dataplane, NULL, &ret->model, error);
	if (err)
		return err;
	ret->services = calloc(ret->model.service_count + 1, sizeof(*ret->services));
	if (!ret->services)
		return fail(error, -ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < ret->model.service_count; i++) {
		ret->services[i].model = &ret->model.services[i];
		err = read_service(dataplane, &ret->services[i]);
		if (err)
			fail(error, err, "cannot read the counters of %s: %s", ret->model.services[i].name,
			     strerror(-err));
	}
	return err ? err : read_interfaces(dataplane, ret, error);
}

static bool take_snapshot(const struct daemon *daemon, struct snapshot *ret, struct dataplane_info *ret_info)
{
	struct dataplane *dataplane = NULL;
	struct error error;
	int err = dataplane_open(daemon->options.instance.dir, DATAPLANE_READ, &dataplane, &error);

	if (!err)
		err = read_all(dataplane, ret, ret_info, &error);
	dataplane_close(dataplane);
	if (err)
		snapshot_free(ret);
	return !err;
}

static void write_family(FILE *out, const struct metric_family *family, struct scrape *scrape,
			 const struct snapshot *snapshot)
{
	exposition_family(out, family->name, family->type, family->help);
	switch (family->scope) {
	case METRIC_OF_DAEMON:
		family->write(out, family, scrape);
		break;
	case METRIC_OF_INTERFACE:
		for (size_t i = 0; i < snapshot->interface_count; i++) {
			scrape->interface = &snapshot->interface_scrapes[i];
			family->write(out, family, scrape);
		}
		break;
	case METRIC_OF_SERVICE:
		for (size_t i = 0; i < snapshot->model.service_count; i++) {
			scrape->service = &snapshot->services[i];
			family->write(out, family, scrape);
		}
		break;
	case METRIC_OF_ROLLOUT:
		for (size_t i = 0; i < scrape->daemon->supervisor_count; i++) {
			scrape->supervisor = scrape->daemon->supervisors[i];
			family->write(out, family, scrape);
		}
		break;
	}
}

int metrics_text(struct daemon *daemon, char **ret, size_t *ret_len)
{
	struct scrape scrape = {.daemon = daemon};
	struct snapshot snapshot = {};
	FILE *out = open_memstream(ret, ret_len);
	bool failed;

	if (!out)
		return -ENOMEM;
	scrape.up = take_snapshot(daemon, &snapshot, &scrape.info);
	for (size_t i = 0; i < metric_family_count; i++)
		write_family(out, &metric_families[i], &scrape, &snapshot);
	snapshot_free(&snapshot);
	failed = ferror(out);
	failed |= fclose(out);
	if (!failed)
		return 0;
	free(*ret);
	return -ENOMEM;
}
