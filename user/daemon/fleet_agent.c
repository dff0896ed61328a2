/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet's services on this host: what they are to be, by the fleet's records, against what the data plane has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"
#include "ops/clock.h"

#define STEPS_MAX 4 /* of one service in one go: more would be a mistake that never ends */

/* One look at a service. */
struct look {
	struct fleet *fleet;
	struct dataplane *dataplane; /* NULL: there is none */
	struct fleet_service *service;
	const struct service_model *running; /* NULL: it is not in the data plane */
	struct fleet_state have, wanted;
	bool leased, tripped; /* a lease is in force; the breaker has stopped the canary */
	struct window window;
};

static const struct instance *instance_of(const struct fleet *fleet)
{
	return &fleet->daemon->options.instance;
}

__s64 fleet_agent_remaining_s(const struct fleet *fleet)
{
	__s64 left = fleet->host.good_until_ms - fleet_now_ms();

	return left > 0 ? left / 1000 : 0;
}

/* ---- what it has ---- */

static void look_at_window(struct look *look)
{
	struct fleet_service *service = look->service;
	struct model oldest;
	struct error ignored;

	look->have.fallback = look->have.now;
	look->window = (struct window){};
	if (dataplane_window(look->dataplane, look->running, &look->window) || !look->window.open) {
		service->fallback = (struct fleet_view){};
		return;
	}
	if (!service->fallback.config && !dataplane_read_oldest(look->dataplane, look->running, &oldest, &ignored)) {
		/* From before this daemon began. Its backends are not held against a configuration's: only its choice. */
		service->fallback = (struct fleet_view){
			.config = look->wanted.fallback.config,
			.weight = oldest.services->weight,
			.salt = oldest.services->salt_number,
		};
		model_free(&oldest);
	}
	look->have.fallback = service->fallback;
}

static void look_at_guard(struct look *look)
{
	struct guard guard;

	if (dataplane_guard(look->dataplane, look->running, &guard))
		return;
	look->leased = guard.lease_expires_ns && !guard.lease_expired;
	/* What the breaker has taken away is not the fleet's to give back. */
	look->have.stopped = (look->running->word & CANARY_WORD_STOPPED) && !guard_has_tripped(&guard);
	look->tripped = guard_has_tripped(&guard);
}

static void look_at(struct look *look)
{
	struct fleet_service *service = look->service;

	look->have = (struct fleet_state){
		.now = {service->installed, look->running->weight, look->running->salt_number},
		.has_next = look->wanted.has_next && service->has_prepared &&
			    fleet_view_equal(&service->prepared, &look->wanted.next),
		.next = service->prepared,
	};
	look_at_guard(look);
	look_at_window(look);
}

/* After a start: does what runs come from the configuration that is wanted? */
static void find_installed(struct look *look)
{
	struct fleet_service *service = look->service;
	const struct service_model *config;
	struct error error;
	bool same;

	if (service->installed || !look->running)
		return;
	config = fleet_config(look->fleet, service, look->wanted.now.config, &error);
	if (config && !fleet_runs_as(instance_of(look->fleet), config, &same, &error) && same)
		service->installed = look->wanted.now.config;
}

/*
 * Cut off, it stays as it is until all is read: the lease in the kernel stops the canary, with nobody's help, and where a weight
 * was set without one it is stopped here.
 */
static void want_nothing(struct look *look)
{
	look->wanted = look->have;
	if (look->running->weight && look->running->on_expiry == CANARY_EXPIRY_STABLE && !look->leased &&
	    !look->tripped)
		look->wanted.stopped = true;
}

/* ---- what it does ---- */

static void refuse(struct fleet_service *service, const struct error *error)
{
	if (strncmp(service->refusal, error->text, sizeof(service->refusal) - 1) != 0)
		log_warning("fleet: %s: %s", service->name, error->text);
	snprintf(service->refusal, sizeof(service->refusal), "%.*s", (int)sizeof(service->refusal) - 1, error->text);
	service->undone = true;
}

static int install(struct look *look, const struct fleet_view *view, bool stopped, struct error *error)
{
	struct fleet *fleet = look->fleet;
	struct fleet_service *service = look->service;
	bool known = look->running && service->installed == view->config;
	__s64 lease = fleet_agent_remaining_s(fleet);
	const struct fleet_installation installation = {
		.instance = instance_of(fleet),
		.config = known ? NULL : fleet_config(fleet, service, view->config, error),
		.name = service->name,
		.weight = view->weight,
		.salt_number = view->salt,
		.lease = view->weight && !stopped ? (unsigned)(lease > 1 ? lease : 1) : 0,
		.stopped = stopped,
		.assigns = !look->running || look->have.now.weight != view->weight ||
			   look->have.now.salt != view->salt || look->have.stopped != stopped,
	};
	int err = known || installation.config ? fleet_install(&installation, error) : -EINVAL;

	if (err)
		return err;
	if (look->running)
		service->fallback = look->have.fallback;
	service->installed = view->config;
	if (!known)
		fleet_configure(fleet);
	return 0;
}

/* Could what is prepared be brought into force? The answer stays until another change is prepared. */
static int prepare(struct look *look, struct error *error)
{
	struct fleet_service *service = look->service;
	const struct fleet_view *next = &look->wanted.next;
	const struct service_model *config = fleet_config(look->fleet, service, next->config, error);
	int err = config ? fleet_check(config, next->weight, error) : -EINVAL;

	service->has_prepared = !err;
	service->prepared = *next;
	return err;
}

static int change(struct look *look, struct error *error)
{
	if (!fleet_view_equal(&look->have.now, &look->wanted.now) || look->have.stopped != look->wanted.stopped)
		return install(look, &look->wanted.now, look->wanted.stopped, error);
	return look->wanted.has_next ? prepare(look, error) : 0;
}

/*
 * The window is the fleet's: the kernel is to close it when the fleet says so. Its own bound never comes to be, so a second of it
 * more or less makes a change that keeps the window open.
 */
static void keep_open(const struct look *look)
{
	const struct fleet_record *record = &look->service->record;
	__u64 half = service_idle_timeout(look->running) * 500000000ULL;
	unsigned bound = look->running->max_window == MAX_WINDOW_MAX ? MAX_WINDOW_MAX - 1 : MAX_WINDOW_MAX;
	struct error error;

	if (!record->window || record->phase == FLEET_CLOSING || !look->window.open ||
	    look->window.closes_ns > clock_monotonic_ns() + half)
		return;
	if (fleet_bound_window(instance_of(look->fleet), look->service->name, bound, &error))
		log_warning("fleet: the window of %s may close too early: %s", look->service->name, error.text);
}

/* The kernel closes it by its bound: the leader has seen to it that no flow needs it, for as long as a flow may be idle. */
static int let_close(const struct look *look, struct error *error)
{
	unsigned idle = service_idle_timeout(look->running);

	look->service->undone = true;
	if (look->running->max_window == idle)
		return 0;
	return fleet_bound_window(instance_of(look->fleet), look->service->name, idle, error);
}

/*
 * While canaryd did not run, the kernel may have closed a window that the fleet's is still open. What this host has seen it
 * remembers; only flows that it did not see and that come to it in mid-flow find another default.
 */
static void note_closed(struct fleet_service *service)
{
	if (!service->told_late)
		log_warning("fleet: the window of %s was closed here before the fleet's: flows that a router moves "
			    "here now may "
			    "break",
			    service->name);
	service->told_late = true;
}

/* One step towards what is wanted. 1: look again; 0: there is nothing more to do now. */
static int step(struct look *look, struct error *error)
{
	struct fleet_service *service = look->service;
	bool cut = fleet_is_cut_off(look->fleet);
	int err;

	look->wanted = fleet_wanted(&service->record, false);
	if (!look->running) {
		err = cut ? 0 : install(look, &look->wanted.fallback, false, error);
		return err || cut ? err : 1;
	}
	if (!cut)
		find_installed(look);
	look_at(look);
	if (cut)
		want_nothing(look);
	service->undone = false;
	switch (fleet_act(&look->have, &look->wanted)) {
	case FLEET_ACT_CHANGE:
		err = change(look, error);
		return err ? err : 1;
	case FLEET_ACT_CLOSE:
		return let_close(look, error);
	case FLEET_ACT_ADOPT:
		note_closed(service);
		return 0;
	default:
		service->told_late = false;
		keep_open(look);
		return 0;
	}
}

/* The data plane as it is until something is changed: opened once for all services. */
struct sight {
	struct dataplane *dataplane;
	struct model heads;
	int err; /* why there is none */
	struct error error;
};

static void open_sight(const struct fleet *fleet, struct sight *sight)
{
	*sight = (struct sight){};
	sight->err = dataplane_open(instance_of(fleet)->dir, DATAPLANE_READ, &sight->dataplane, &sight->error);
	if (!sight->err)
		sight->err = dataplane_read_heads(sight->dataplane, &sight->heads, &sight->error);
}

static void close_sight(struct sight *sight)
{
	model_free(&sight->heads);
	dataplane_close(sight->dataplane);
}

static int tend_once(struct fleet *fleet, struct fleet_service *service, const struct sight *sight, struct error *error)
{
	struct look look = {
		.fleet = fleet,
		.dataplane = sight->dataplane,
		.service = service,
		.running = model_find_service(&sight->heads, service->name),
	};

	if (!look.running)
		service->installed = 0;
	if (sight->err == -ENOENT) {
		/* Nothing is attached here, so no packet comes: whatever is asked of it is done. */
		service->undone = false;
		return 0;
	}
	if (sight->err)
		*error = sight->error;
	return sight->err ? sight->err : step(&look, error);
}

static void tend(struct fleet *fleet, struct fleet_service *service, struct sight *sight)
{
	struct error error = {};
	int result = 1;

	for (int i = 0; result > 0 && i < STEPS_MAX; i++) {
		result = tend_once(fleet, service, sight, &error);
		if (result > 0) {
			close_sight(sight);
			open_sight(fleet, sight);
		}
	}
	if (result < 0)
		refuse(service, &error);
	else
		service->refusal[0] = '\0';
}

void fleet_agent_renew(struct fleet *fleet)
{
	__s64 left = fleet_agent_remaining_s(fleet);
	struct dataplane *dataplane;
	struct model heads = {};
	struct error error;

	if (!fleet->usable || fleet_is_cut_off(fleet) || left < 1 ||
	    dataplane_open(instance_of(fleet)->dir, DATAPLANE_CHANGE, &dataplane, &error))
		return;
	if (!dataplane_read_heads(dataplane, &heads, &error)) {
		for (size_t i = 0; i < heads.service_count; i++) {
			/* One that has no lease, or whose lease is over, is tended to. */
			if (heads.services[i].weight && fleet_has(fleet, heads.services[i].name))
				dataplane_renew_lease(dataplane, &heads.services[i], (unsigned)left, &error);
		}
	}
	model_free(&heads);
	dataplane_close(dataplane);
}

void fleet_agent_run(struct fleet *fleet)
{
	struct sight sight;
	bool opened = false;

	for (size_t i = 0; i < fleet->service_count; i++) {
		struct fleet_service *service = fleet->services[i];

		if (service->revision && service->due) {
			if (!opened)
				open_sight(fleet, &sight);
			opened = true;
			tend(fleet, service, &sight);
		}
		service->due = false;
	}
	if (opened)
		close_sight(&sight);
	fleet_report(fleet);
}
