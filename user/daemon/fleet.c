/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"
#include "ops/clock.h"

#define PAGE 500 /* keys of an answer */
#define STALE_MAX 3 /* readings, a second apart */

static void read_all(struct fleet *fleet);

__s64 fleet_now_ms(void)
{
	return (__s64)(clock_monotonic_ns() / 1000000);
}

bool fleet_is_cut_off(const struct fleet *fleet)
{
	return fleet_host_is_cut_off(&fleet->host, fleet_now_ms());
}

const char *fleet_key_text(const struct fleet *fleet, enum fleet_key_kind kind, const char *first, const char *second,
			   char buf[FLEET_KEY_LEN])
{
	struct fleet_key key = {.kind = kind};

	snprintf(key.part[0], sizeof(key.part[0]), "%s", first ? first : "");
	snprintf(key.part[1], sizeof(key.part[1]), "%s", second ? second : "");
	if (fleet_format_key(fleet->settings.prefix, &key, buf))
		buf[0] = '\0';
	return buf;
}

struct fleet_service *fleet_find(const struct fleet *fleet, const char *name)
{
	for (size_t i = 0; i < fleet->service_count; i++) {
		if (!strcmp(fleet->services[i]->name, name))
			return fleet->services[i];
	}
	return NULL;
}

bool fleet_has(const struct fleet *fleet, const char *service)
{
	const struct fleet_service *found = fleet ? fleet_find(fleet, service) : NULL;

	return found && found->revision;
}

static struct fleet_service *add_service(struct fleet *fleet, const char *name)
{
	struct fleet_service *service = fleet_find(fleet, name), **grown;

	if (service)
		return service;
	grown = reallocarray(fleet->services, fleet->service_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	fleet->services = grown;
	service = calloc(1, sizeof(*service));
	if (!service)
		return NULL;
	snprintf(service->name, sizeof(service->name), "%s", name);
	fleet->services[fleet->service_count++] = service;
	return service;
}

/* ---- what is read ---- */

/* A leader measures from when it has seen something. */
static void note_record(struct fleet_service *service, const struct fleet_record *record, __s64 revision)
{
	const struct fleet_record *before = &service->record;
	__s64 now = fleet_now_ms();

	if (revision == service->revision)
		return;
	if (!service->revision || !fleet_view_equal(&before->now, &record->now))
		service->quiet_ms = now;
	if (!service->revision || !before->window)
		service->window_ms = now;
	service->seen_ms = now;
	service->due = true;
	service->record = *record;
	service->revision = revision;
}

static void take_record(struct fleet *fleet, const char *name)
{
	const struct mirror_entry *entry = mirror_find(&fleet->mirror, FLEET_KEY_SERVICE, name, NULL);
	struct fleet_service *service = entry ? add_service(fleet, name) : fleet_find(fleet, name);
	struct fleet_record record;

	if (!service)
		return;
	if (!entry)
		service->revision = 0;
	else if (fleet_parse_record(entry->value, &record))
		log_error("%s: what etcd has of it makes no sense to this version, and is left alone", name);
	else
		note_record(service, &record, entry->mod_revision);
}

static void take_key(struct fleet *fleet, const struct fleet_key *key)
{
	if (key->kind == FLEET_KEY_SERVICE)
		take_record(fleet, key->part[0]);
	else if (key->kind == FLEET_KEY_HOST && !mirror_find(&fleet->mirror, FLEET_KEY_HOST, key->part[0], NULL))
		fleet->members_ms = fleet_now_ms();
}

/* A report that follows another says nothing of who is there; the first of a host does. */
static void note_arrival(struct fleet *fleet, const struct etcd_kv *kv)
{
	struct fleet_key key;

	if (!fleet_parse_key(fleet->settings.prefix, kv->key, &key) && key.kind == FLEET_KEY_HOST &&
	    kv->create_revision == kv->mod_revision)
		fleet->members_ms = fleet_now_ms();
}

static void on_events(const struct etcd_event *events, size_t count, __s64 revision, void *arg)
{
	struct fleet *fleet = arg;
	const char *prefix = fleet->settings.prefix;
	struct fleet_key key;

	for (size_t i = 0; i < count; i++) {
		const struct etcd_event *event = &events[i];
		int err = event->deleted ? mirror_delete(&fleet->mirror, prefix, event->kv.key, &key)
					 : mirror_put(&fleet->mirror, prefix, &event->kv, &key);

		if (!event->deleted)
			note_arrival(fleet, &event->kv);
		if (!err)
			take_key(fleet, &key);
	}
	fleet_host_followed(&fleet->host, fleet_now_ms(), revision);
	fleet_run(fleet);
}

static void on_lost(int error, const char *sentence, void *arg)
{
	struct fleet *fleet = arg;

	(void)error;
	log_warning("fleet: all is read anew: %s", sentence);
	fleet->watch = NULL;
	fleet_host_lost_watch(&fleet->host);
	fleet_run(fleet);
}

static const struct etcd_watcher watcher = {on_events, on_lost};

static const char *below(const struct fleet *fleet, char buf[FLEET_KEY_LEN])
{
	snprintf(buf, FLEET_KEY_LEN, "%s/", fleet->settings.prefix);
	return buf;
}

static void say_fault(struct fleet *fleet, const struct error *error)
{
	if (strcmp(fleet->fault.text, error->text) != 0)
		log_warning("fleet: %s", error->text);
	fleet->fault = *error;
}

/* What was read is complete: is it a fleet's, and may this host be one of it? */
static void judge_prefix(struct fleet *fleet)
{
	const struct mirror *mirror = &fleet->mirror;
	const char *format = mirror_text(mirror, FLEET_KEY_FORMAT, NULL, NULL);
	const char *keys = mirror_text(mirror, FLEET_KEY_KEYS, NULL, NULL);
	struct error error = {};
	int err = fleet_check_format(fleet->settings.prefix, format, mirror->count + mirror->foreign, &error);

	if (!err && !keys)
		err = fail(&error, -EPROTO, "the fleet in etcd under %s has no keys of the hashes",
			   fleet->settings.prefix);
	if (!err)
		err = fleet_keys_adopt(&fleet->daemon->options.instance, keys, &error);
	if (err) {
		fleet->usable = false;
		say_fault(fleet, &error);
		return;
	}
	fleet_terms_parse(format, &fleet->terms);
	fleet->host.lease_ms = fleet->terms.lease * 1000LL;
	fleet->fault.text[0] = '\0';
	fleet->usable = true;
}

/*
 * What is older than what is known already is no answer: it is read once more. Only where etcd was set up from a backup it
 * stays so, and then this host begins as after a restart.
 */
static bool take_revision(struct fleet *fleet, __s64 revision)
{
	if (fleet_host_read(&fleet->host, fleet_now_ms(), revision)) {
		fleet->stale = 0;
		return true;
	}
	fleet_host_lost_watch(&fleet->host);
	if (++fleet->stale == STALE_MAX) {
		log_warning("fleet: etcd has gone back to an earlier state: this host begins anew");
		fleet->host = fleet_host_new(fleet->terms.lease * 1000LL);
		fleet->stale = 0;
	}
	return false;
}

/* false: not yet. */
static bool begin_watching(struct fleet *fleet, __s64 revision)
{
	char prefix[FLEET_KEY_LEN];
	struct error error;

	if (!take_revision(fleet, revision))
		return false;
	if (etcd_watch(fleet->etcd, below(fleet, prefix), revision + 1, &watcher, fleet, &fleet->watch, &error)) {
		say_fault(fleet, &error);
		fleet_host_lost_watch(&fleet->host);
	}
	return fleet->watch;
}

/* Services that were deleted meanwhile, and those that are new. */
static void take_all(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->service_count; i++)
		take_record(fleet, fleet->services[i]->name);
	for (const struct mirror_entry *entry = mirror_first(&fleet->mirror, FLEET_KEY_SERVICE, NULL); entry;
	     entry = mirror_next(&fleet->mirror, entry, NULL))
		take_record(fleet, entry->key.part[0]);
	fleet->members_ms = fleet_now_ms();
}

static void on_read(const struct etcd_result *result, void *arg)
{
	struct fleet *fleet = arg;
	struct fleet_key key;

	if (result->error) {
		struct error error;

		fleet->reading = false;
		fail(&error, result->error, "etcd cannot be read: %s", result->sentence);
		say_fault(fleet, &error);
		return;
	}
	for (size_t i = 0; i < result->count; i++)
		mirror_put(&fleet->mirror, fleet->settings.prefix, &result->kvs[i], &key);
	if (result->more)
		return;
	fleet->reading = false;
	mirror_end_reading(&fleet->mirror);
	take_all(fleet);
	fleet->usable = false;
	if (begin_watching(fleet, result->revision))
		fleet_run(fleet);
}

static void read_all(struct fleet *fleet)
{
	char prefix[FLEET_KEY_LEN];
	const struct etcd_range range = {.key = below(fleet, prefix), .prefix = true, .page = PAGE};
	struct error error;

	if (fleet->reading)
		return;
	etcd_watch_cancel(fleet->watch);
	fleet->watch = NULL;
	mirror_begin_reading(&fleet->mirror);
	if (etcd_range(fleet->etcd, &range, FLEET_CALL_MS, on_read, fleet, NULL, &error))
		say_fault(fleet, &error);
	else
		fleet->reading = true;
}

/* ---- what is due ---- */

static void look_at_all(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->service_count; i++)
		fleet->services[i]->due = true;
}

static void note_cut(struct fleet *fleet)
{
	bool cut = fleet_is_cut_off(fleet);

	if (cut == fleet->was_cut_off)
		return;
	look_at_all(fleet);
	fleet->was_cut_off = cut;
	if (cut)
		log_warning("fleet: cut off from etcd for longer than the lease: canaries are as their on_expiry says");
	else
		log_notice("fleet: %s is one of it", fleet->settings.name);
}

void fleet_run(struct fleet *fleet)
{
	if (fleet->host.reading)
		read_all(fleet);
	if (!fleet->watch)
		return;
	if (!fleet->usable)
		judge_prefix(fleet);
	if (!fleet->usable)
		return;
	fleet_lease_run(fleet);
	note_cut(fleet);
	fleet_agent_run(fleet);
	fleet_leader_run(fleet);
	fleet_orders_run(fleet);
}

void fleet_tick(struct fleet *fleet, struct dataplane *dataplane, const struct model *heads)
{
	if (!fleet)
		return;
	look_at_all(fleet);
	fleet_run(fleet);
	/* Also with no word from etcd. */
	if (fleet->usable && !fleet->watch) {
		fleet_lease_run(fleet);
		note_cut(fleet);
		fleet_agent_run(fleet);
	}
	fleet_orders_run(fleet);
	if (!fleet->usable || !heads || fleet_is_cut_off(fleet))
		return;
	fleet_held_tick(fleet, dataplane, heads);
	fleet_counters_tick(fleet, dataplane, heads);
	fleet_outliers_tick(fleet);
}

/* ---- its life ---- */

static void on_changed(bool connected, const char *sentence, void *arg)
{
	struct fleet *fleet = arg;

	if (connected)
		log_notice("fleet %s: %s", fleet->settings.prefix, sentence);
	else
		log_warning("fleet %s: %s", fleet->settings.prefix, sentence);
}

static int on_etcd(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct fleet *fleet = arg;

	(void)source;
	(void)fd;
	(void)revents;
	etcd_run(fleet->etcd);
	return 0;
}

int fleet_join(struct daemon *daemon, struct fleet **ret, struct error *error)
{
	struct fleet *fleet;
	int err;

	*ret = NULL;
	if (!daemon->model.fleet)
		return 0;
	fleet = calloc(1, sizeof(*fleet));
	if (!fleet)
		return fail(error, -ENOMEM, "out of memory");
	fleet->daemon = daemon;
	fleet->settings = *daemon->model.fleet;
	fleet->terms = fleet_terms_default();
	fleet->host = fleet_host_new(fleet->terms.lease * 1000LL);
	fleet->was_cut_off = true;
	err = etcd_open(&fleet->settings.etcd, 0, on_changed, fleet, &fleet->etcd, error);
	if (!err && daemon_watch(daemon, etcd_fd(fleet->etcd), on_etcd, fleet, NULL) < 0)
		err = fail(error, -ENOMEM, "etcd cannot be watched");
	if (err)
		fleet_leave(fleet);
	else
		*ret = fleet;
	return err;
}

void fleet_leave(struct fleet *fleet)
{
	if (!fleet)
		return;
	etcd_close(fleet->etcd);
	fleet_orders_close(fleet);
	for (size_t i = 0; i < fleet->service_count; i++) {
		model_free(&fleet->services[i]->config);
		fleet_outliers_free(fleet->services[i]);
		free(fleet->services[i]);
	}
	free(fleet->services);
	mirror_clear(&fleet->mirror);
	free(fleet);
}
