/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fleet_counters.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "daemon/fleet_private.h"
#include "daemon/log.h"
#include "daemon/measure.h"
#include "daemon/supervisor.h"

/* X(name): what is counted of a cohort. */
#define COUNTS(X) X(packets) X(bytes) X(flows) X(drops) X(finished) X(failed)

struct counts {
#define X(name) __u64 name;
	COUNTS(X)
#undef X
};

/* ---- here ---- */

/* Of the assignment in force: all its epochs. */
static void take_outcomes(struct dataplane *dataplane, const struct service_model *running,
			  struct counts counts[CANARY_COHORTS])
{
	struct canary_outcomes outcomes;
	struct reading reading;

	if (dataplane_outcomes(dataplane, running, &outcomes))
		return;
	reading = reading_make(&outcomes);
	for (int i = 0; i < CANARY_EPOCHS; i++) {
		const struct epoch_reading *epoch = &reading.epochs[i];

		for (int cohort = 0; epoch->epoch && cohort < CANARY_COHORTS; cohort++) {
			if (epoch->assignment != running->assignment)
				continue;
			counts[cohort].finished += epoch->tally[cohort].finished;
			counts[cohort].failed += epoch->tally[cohort].bad;
		}
	}
}

static json_t *pack_counts(const struct counts *counts)
{
	json_t *view = json_object();

#define X(name) json_object_set_new(view, #name, json_integer((json_int_t)counts->name));
	COUNTS(X)
#undef X
	return view;
}

static json_t *pack_cohorts(const struct counts counts[CANARY_COHORTS])
{
	json_t *view = json_object();

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++)
		json_object_set_new(view, cohort_name((enum canary_cohort)cohort), pack_counts(&counts[cohort]));
	return view;
}

/* To be freed. NULL: it cannot be read, or what is counted is not the record's assignment. */
static char *count_here(struct dataplane *dataplane, const struct fleet_service *service,
			const struct service_model *running)
{
	struct counts counts[CANARY_COHORTS] = {};
	struct canary_cohort_counters counters;
	struct window window;
	json_t *view;
	char *text;

	if (running->weight != service->record.now.weight || running->salt_number != service->record.now.salt ||
	    dataplane_window(dataplane, running, &window))
		return NULL;
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		if (dataplane_cohort_counters(dataplane, running->id, (enum canary_cohort)cohort, &counters))
			return NULL;
		counts[cohort].packets = counters.count[CANARY_COHORT_PACKETS];
		counts[cohort].bytes = counters.count[CANARY_COHORT_BYTES];
		counts[cohort].flows = counters.count[CANARY_COHORT_FLOWS];
		counts[cohort].drops = supervisor_sum_drops(&counters);
	}
	take_outcomes(dataplane, running, counts);
	view = json_pack("{s:I, s:I, s:o}", "assignment", (json_int_t)service->record.assignment, "exposed",
			 (json_int_t)window.held, "cohorts", pack_cohorts(counts));
	text = json_dumps(view, JSON_COMPACT);
	json_decref(view);
	return text;
}

static void on_told(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;

	(void)result; /* what is not there is told the next time */
	fleet->counting = false;
}

/* As many of the services that have changed as one transaction takes; the others come next. */
void fleet_counters_tick(struct fleet *fleet, struct dataplane *dataplane, const struct model *heads)
{
	char keys[ETCD_TXN_MAX][FLEET_KEY_LEN];
	struct etcd_operation puts[ETCD_TXN_MAX];
	char *texts[ETCD_TXN_MAX];
	char fence_key[FLEET_KEY_LEN];
	const struct etcd_compare fence = fleet_fence(fleet, fence_key);
	struct etcd_txn txn = {.compares = &fence, .compare_count = 1, .then = puts};
	const char *here = fleet->settings.name;
	struct error error;

	if (fleet->counting)
		return;
	for (size_t i = 0; i < heads->service_count && txn.then_count < ETCD_TXN_MAX; i++) {
		size_t at = (fleet->counted + i) % heads->service_count, put = txn.then_count;
		const struct service_model *running = &heads->services[at];
		const struct fleet_service *service = fleet_find(fleet, running->name);
		const char *before = mirror_text(&fleet->mirror, FLEET_KEY_COUNTERS, here, running->name);
		char *text = service && service->revision ? count_here(dataplane, service, running) : NULL;

		if (!text || (before && !strcmp(before, text))) {
			free(text);
			continue;
		}
		texts[put] = text;
		puts[put] = (struct etcd_operation){
			.type = ETCD_PUT,
			.key = fleet_key_text(fleet, FLEET_KEY_COUNTERS, here, running->name, keys[put]),
			.value = text,
			.lease = fleet->lease};
		txn.then_count++;
		fleet->counted = at + 1;
	}
	if (txn.then_count)
		fleet->counting = !etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_told, fleet, NULL, &error);
	for (size_t i = 0; i < txn.then_count; i++)
		free(texts[i]);
}

/* ---- of all ---- */

static void add_counts(const json_t *view, struct counts counts[CANARY_COHORTS])
{
	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		const json_t *from =
			json_object_get(json_object_get(view, "cohorts"), cohort_name((enum canary_cohort)cohort));

#define X(name) counts[cohort].name += (__u64)json_integer_value(json_object_get(from, #name));
		COUNTS(X)
#undef X
	}
}

/* The hosts that have told of the service's assignment in force. */
static json_t *list_hosts(const struct fleet *fleet, const struct fleet_service *service)
{
	json_t *list = json_array();

	for (const struct mirror_entry *entry = mirror_first(&fleet->mirror, FLEET_KEY_COUNTERS, NULL); entry;
	     entry = mirror_next(&fleet->mirror, entry, NULL)) {
		const char *name = entry->key.part[0];
		json_t *view =
			strcmp(entry->key.part[1], service->name) == 0 ? json_loads(entry->value, 0, NULL) : NULL;

		if (!view)
			continue;
		json_object_set_new(view, "name", json_string(name));
		json_object_set_new(view, "alive",
				    json_boolean(mirror_find(&fleet->mirror, FLEET_KEY_HOST, name, NULL)));
		json_array_append_new(list, view);
	}
	return list;
}

static json_t *view_service(const struct fleet *fleet, const struct fleet_service *service)
{
	json_t *hosts = list_hosts(fleet, service), *host;
	struct counts sum[CANARY_COHORTS] = {};
	json_int_t exposed = 0;
	size_t i;

	json_array_foreach (hosts, i, host) {
		add_counts(host, sum);
		exposed += json_integer_value(json_object_get(host, "exposed"));
	}
	return json_pack("{s:s, s:I, s:o, s:{s:I, s:o}, s:o}", "service", service->name, "assignment",
			 (json_int_t)service->record.assignment, "hosts", hosts, "sum", "exposed", exposed, "cohorts",
			 pack_cohorts(sum), "stands_out", fleet_outliers_view(service));
}

json_t *fleet_counters_view(const struct fleet *fleet)
{
	json_t *services = json_array();

	for (size_t i = 0; i < fleet->service_count; i++) {
		if (fleet->services[i]->revision)
			json_array_append_new(services, view_service(fleet, fleet->services[i]));
	}
	return json_pack("{s:o}", "services", services);
}
