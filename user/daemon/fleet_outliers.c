/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts of a fleet stand out (core/fleet_sum.h), from what they have told of themselves. */
#include <stdlib.h>
#include <string.h>

#include "core/fleet_sum.h"
#include "core/text.h"
#include "daemon/fleet_private.h"

/* The hosts of a service, in the order of names, while they and the assignment are the same. */
struct outliers {
	__u64 assignment;
	size_t count;
	struct {
		char name[FLEET_PART_LEN];
		struct fleet_counts told; /* the last time */
	} * hosts;
	struct fleet_watched *watched;
};

static struct fleet_counts parse_counts(const json_t *view)
{
	const json_t *cohorts = json_object_get(view, "cohorts");
	struct fleet_counts counts = {};

	for (int i = 0; i < CANARY_COHORTS; i++) {
		const json_t *cohort = json_object_get(cohorts, cohort_name((enum canary_cohort)i));

		counts.flows[i] = (__u64)json_integer_value(json_object_get(cohort, "finished"));
		counts.failures[i] = (__u64)json_integer_value(json_object_get(cohort, "failed"));
	}
	return counts;
}

void fleet_outliers_free(struct fleet_service *service)
{
	if (service->hosts) {
		free(service->hosts->hosts);
		free(service->hosts->watched);
	}
	free(service->hosts);
	service->hosts = NULL;
}

/* What the hosts have told of the assignment in force. NULL without memory. */
static struct outliers *collect(const struct fleet *fleet, const struct fleet_service *service)
{
	struct outliers *now = calloc(1, sizeof(*now));

	if (now)
		now->hosts = calloc(mirror_count(&fleet->mirror, FLEET_KEY_HOST) + 1, sizeof(*now->hosts));
	if (!now || !now->hosts) {
		free(now);
		return NULL;
	}
	now->assignment = service->record.assignment;
	for (const struct mirror_entry *host = mirror_first(&fleet->mirror, FLEET_KEY_HOST, NULL); host;
	     host = mirror_next(&fleet->mirror, host, NULL)) {
		const char *name = host->key.part[0];
		const char *text = mirror_text(&fleet->mirror, FLEET_KEY_COUNTERS, name, service->name);
		json_t *view = text ? json_loads(text, 0, NULL) : NULL;

		if ((__u64)json_integer_value(json_object_get(view, "assignment")) == now->assignment) {
			memcpy(now->hosts[now->count].name, name, sizeof(now->hosts->name));
			now->hosts[now->count++].told = parse_counts(view);
		}
		json_decref(view);
	}
	return now;
}

static bool are_the_same(const struct outliers *before, const struct outliers *now)
{
	if (!before || before->assignment != now->assignment || before->count != now->count)
		return false;
	for (size_t i = 0; i < now->count; i++) {
		if (strcmp(before->hosts[i].name, now->hosts[i].name) != 0)
			return false;
	}
	return true;
}

/* From nothing: what was told before is of no interval. */
static bool begin(struct outliers *now)
{
	now->watched = calloc(now->count + 1, sizeof(*now->watched));
	for (size_t i = 0; now->watched && i < now->count; i++)
		now->watched[i] = fleet_watched_new(now->count);
	return now->watched;
}

static __u64 rise(__u64 before, __u64 now)
{
	return now > before ? now - before : 0;
}

static bool go_on(struct outliers *before, struct outliers *now)
{
	struct fleet_counts *rises = calloc(now->count + 1, sizeof(*rises));

	for (size_t i = 0; rises && i < now->count; i++) {
		const struct fleet_counts *from = &before->hosts[i].told, *to = &now->hosts[i].told;

		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
			rises[i].flows[cohort] = rise(from->flows[cohort], to->flows[cohort]);
			rises[i].failures[cohort] = rise(from->failures[cohort], to->failures[cohort]);
		}
	}
	if (rises)
		fleet_watched_add(before->watched, rises, now->count);
	now->watched = before->watched;
	before->watched = NULL;
	free(rises);
	return now->watched;
}

void fleet_outliers_tick(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->service_count; i++) {
		struct fleet_service *service = fleet->services[i];
		struct outliers *before = service->hosts, *now = collect(fleet, service);
		bool fine = now && (are_the_same(before, now) ? go_on(before, now) : begin(now));

		fleet_outliers_free(service);
		service->hosts = now;
		if (!fine)
			fleet_outliers_free(service);
	}
}

json_t *fleet_outliers_view(const struct fleet_service *service)
{
	const struct outliers *outliers = service->hosts;
	char buf[FLEET_OUTLIER_TEXT_LEN];
	json_t *list = json_array();

	for (size_t i = 0; outliers && i < outliers->count; i++) {
		const char *name = outliers->hosts[i].name;
		const char *text = fleet_outlier(outliers->watched, outliers->count, i, name, buf);

		if (text)
			json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "text", text));
	}
	return list;
}
