/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fleet_status.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

/* What a report says of all services that it names. */
static json_t *list_undone(const struct fleet *fleet, const char *report)
{
	json_t *list = json_array();
	struct fleet_exception exception;
	__s64 done;

	for (size_t i = 0; i < fleet->service_count; i++) {
		if (fleet_parse_report(report, fleet->services[i]->name, &done, &exception) || !exception.revision)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "service", exception.service, "revision",
						      (json_int_t)exception.revision, "refusal",
						      text_or_null(exception.refusal)));
	}
	return list;
}

static json_t *view_host(const struct fleet *fleet, const char *name, const char *leader)
{
	const char *report = mirror_text(&fleet->mirror, FLEET_KEY_HOST, name, NULL);
	struct fleet_exception exception;
	__s64 done = 0;

	if (report && fleet_parse_report(report, "", &done, &exception))
		done = 0;
	return json_pack("{s:s, s:b, s:b, s:b, s:I, s:o}", "name", name, "alive", report != NULL, "leader",
			 leader && !strcmp(leader, name), "here", !strcmp(fleet->settings.name, name), "done",
			 (json_int_t)done, "undone", report ? list_undone(fleet, report) : json_array());
}

static json_t *list_hosts(const struct fleet *fleet, const char *leader)
{
	json_t *list = json_array();

	for (const struct mirror_entry *entry = mirror_first(&fleet->mirror, FLEET_KEY_MEMBER, NULL); entry;
	     entry = mirror_next(&fleet->mirror, entry, NULL))
		json_array_append_new(list, view_host(fleet, entry->key.part[0], leader));
	return list;
}

static json_t *list_held(const struct fleet *fleet, const char *service)
{
	json_t *list = json_array();

	for (const struct mirror_entry *entry = mirror_first(&fleet->mirror, FLEET_KEY_HELD, service); entry;
	     entry = mirror_next(&fleet->mirror, entry, service))
		json_array_append_new(list, json_string(entry->key.part[1]));
	return list;
}

static json_t *view_service(const struct fleet *fleet, const struct fleet_service *service)
{
	const struct fleet_record *record = &service->record;
	bool preparing = record->phase == FLEET_PREPARING;
	struct fleet_record ignored;
	struct error reason = {};

	fleet_leader_decide(fleet, service, &ignored, &reason);
	return json_pack("{s:s, s:I, s:I, s:s, s:s, s:f, s:o, s:I, s:I, s:b, s:b, s:I, s:o, s:o}", "service",
			 service->name, "change", (json_int_t)record->change, "assignment",
			 (json_int_t)record->assignment, "phase", fleet_phase_name(record->phase), "who", record->who,
			 "weight", record->now.weight / 100.0, "next_weight",
			 preparing ? json_real(record->next.weight / 100.0) : json_null(), "config",
			 (json_int_t)record->now.config, "salt", (json_int_t)record->now.salt, "window", record->window,
			 "mixed", record->mixed, "revision", (json_int_t)service->revision, "waits",
			 text_or_null(reason.text), "held", list_held(fleet, service->name));
}

json_t *fleet_status(const struct fleet *fleet)
{
	const char *leader = mirror_text(&fleet->mirror, FLEET_KEY_LEADER, NULL, NULL);
	json_t *services = json_array(), *view;

	for (size_t i = 0; i < fleet->service_count; i++) {
		if (fleet->services[i]->revision)
			json_array_append_new(services, view_service(fleet, fleet->services[i]));
	}
	view = json_pack("{s:s, s:s, s:i, s:o, s:o, s:b, s:I, s:o, s:o, s:o}", "name", fleet->settings.name, "prefix",
			 fleet->settings.prefix, "lease", (int)fleet->terms.lease, "connected",
			 text_or_null(etcd_member(fleet->etcd)), "fault", text_or_null(fleet->fault.text), "cut_off",
			 fleet_is_cut_off(fleet), "revision", (json_int_t)fleet->host.followed, "leader",
			 text_or_null(leader), "hosts", list_hosts(fleet, leader), "services", services);
	return view;
}
