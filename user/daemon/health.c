/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/health.h"
#include "core/health_plan.h"
#include "core/overflow.h"
#include "core/text.h"
#include "daemon/edit.h"
#include "daemon/log.h"
#include "daemon/status.h"
#include "daemon/words.h"
#include "io/health.h"
#include "io/json_file.h"

#define HALF_LIVES 5 /* of a flap's count, in the longest time that a backend is held down */

/* One backend that is checked. */
struct checked {
	struct checked *next;
	struct keeper *keeper;
	char service[CANARY_NAME_LEN];
	struct canary_addr addr;
	int port;
	enum canary_cohort cohort;
	struct health_settings settings;
	struct health health;
	struct health_probe *probe;
	struct words words; /* of its command */
	unsigned weight; /* of its full share */
	bool seen; /* in this tick */
	bool heard; /* there was a result */
	__s64 since_ms;
	char text[256]; /* why it is down, or cannot be checked */
};

struct keeper {
	struct daemon *daemon;
	struct health_prober *prober;
	struct checked *list;
	/* {"drained": {"web 10.0.0.21:8080": true}, "slowed": {"web 10.0.0.22:8080": 3}}: what we did; weights of before */
	json_t *ours;
};

static const char *endpoint_of(const struct checked *checked, char buf[ADDR_TEXT_LEN])
{
	return format_endpoint(&checked->addr, checked->port, buf);
}

/* What we did to a backend; NULL: nothing. */
static json_t *done_to(const struct checked *checked, const char *what)
{
	char key[CANARY_NAME_LEN + ADDR_TEXT_LEN], endpoint[ADDR_TEXT_LEN];

	snprintf(key, sizeof(key), "%s %s", checked->service, endpoint_of(checked, endpoint));
	return json_object_get(json_object_get(checked->keeper->ours, what), key);
}

/* Takes the reference; NULL: it is undone. */
static void note_done(const struct checked *checked, const char *what, json_t *value)
{
	char key[CANARY_NAME_LEN + ADDR_TEXT_LEN], endpoint[ADDR_TEXT_LEN];
	json_t *all = json_object_get(checked->keeper->ours, what);

	snprintf(key, sizeof(key), "%s %s", checked->service, endpoint_of(checked, endpoint));
	if (value)
		json_object_set_new(all, key, value);
	else
		json_object_del(all, key);
}

static int path_of(const struct keeper *keeper, char path[PATH_MAX], struct error *error)
{
	return instance_file(&keeper->daemon->options.instance, "down", path, error);
}

static void save_ours(const struct keeper *keeper)
{
	char path[PATH_MAX];
	struct error error;

	bool any = json_object_size(json_object_get(keeper->ours, "drained")) ||
		   json_object_size(json_object_get(keeper->ours, "slowed"));

	if (path_of(keeper, path, &error) || json_file_save(path, any ? json_incref(keeper->ours) : NULL, &error))
		log_warning("which backends are down is not known after a restart: %s", error.text);
}

static int on_prober(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	(void)fd;
	(void)revents;
	health_prober_run(keeper->prober);
	return 0;
}

int keeper_open(struct daemon *daemon, struct keeper **ret, struct error *error)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	char path[PATH_MAX];
	int err;

	if (!keeper)
		return fail(error, -ENOMEM, "out of memory");
	keeper->daemon = daemon;
	err = path_of(keeper, path, error);
	if (!err)
		err = health_prober_open(&keeper->prober, error);
	if (!err)
		err = daemon_watch(daemon, health_prober_fd(keeper->prober), on_prober, keeper, NULL);
	if (err < 0) {
		keeper_close(keeper);
		return err;
	}
	keeper->ours = json_load_file(path, 0, NULL);
	if (!json_is_object(json_object_get(keeper->ours, "drained")) ||
	    !json_is_object(json_object_get(keeper->ours, "slowed"))) {
		json_decref(keeper->ours);
		keeper->ours = json_pack("{s:{}, s:{}}", "drained", "slowed");
	}
	*ret = keeper;
	return 0;
}

static void forget(struct checked **at)
{
	struct checked *checked = *at;

	*at = checked->next;
	health_probe_remove(checked->probe);
	free(checked);
}

void keeper_configure(struct keeper *keeper)
{
	while (keeper->list)
		forget(&keeper->list);
}

void keeper_close(struct keeper *keeper)
{
	if (!keeper)
		return;
	keeper_configure(keeper);
	health_prober_close(keeper->prober);
	json_decref(keeper->ours);
	free(keeper);
}

static struct checked *find(const struct keeper *keeper, const char *service, const struct backend_model *backend)
{
	for (struct checked *checked = keeper->list; checked; checked = checked->next) {
		if (!strcmp(checked->service, service) && addr_equal(&checked->addr, &backend->addr) &&
		    checked->port == backend->port)
			return checked;
	}
	return NULL;
}

/* What `backend` of the running service is to be, by its health. Whether that is another thing than it is. */
static bool settle(struct checked *checked, struct backend_model *backend, unsigned weight)
{
	const struct backend_model before = *backend;
	bool up = checked->health.state == HEALTH_UP;

	if (!up && !backend->draining) {
		backend->draining = true;
		note_done(checked, "drained", json_true());
	} else if (up && done_to(checked, "drained")) {
		backend->draining = false;
		note_done(checked, "drained", NULL);
	}
	if (up && weight && weight != checked->weight) {
		backend->weight = weight;
		note_done(checked, "slowed", json_integer(checked->weight));
	} else if (done_to(checked, "slowed")) {
		backend->weight = checked->weight;
		note_done(checked, "slowed", NULL);
	}
	return before.draining != backend->draining || before.weight != backend->weight;
}

/* The weights of one cohort, by what share each backend is to have. */
static bool settle_cohort(struct keeper *keeper, struct service_model *service, enum canary_cohort cohort)
{
	size_t count = 0;
	unsigned *weights = calloc(service->backend_count + 1, 3 * sizeof(*weights));
	unsigned *quarters = weights + service->backend_count, *wanted = quarters + service->backend_count;
	bool changed = false;

	for (size_t i = 0; weights && i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];
		const struct checked *checked = find(keeper, service->name, backend);

		if (backend->cohort != cohort)
			continue;
		weights[count] = checked ? checked->weight : backend->weight;
		quarters[count++] =
			checked ? health_quarters(&checked->health, &checked->settings, wall_ms()) : HEALTH_QUARTERS;
	}
	if (count)
		health_weights(weights, quarters, count, wanted);
	count = 0;
	for (size_t i = 0; weights && i < service->backend_count; i++) {
		struct backend_model *backend = &service->backends[i];
		struct checked *checked = find(keeper, service->name, backend);

		if (backend->cohort != cohort)
			continue;
		if (checked)
			changed |= settle(checked, backend, wanted[count]);
		count++;
	}
	free(weights);
	return changed;
}

/* `canaryctl events` tells of it as well, with whatever else begins or ends it. */
static void announce_overflows(const struct edit *edit)
{
	const struct service_model *before = edit->actual.services, *after = edit->service;

	for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
		struct overflow overflow;
		bool was = service_overflows(before, cohort, &overflow);
		bool is = service_overflows(after, cohort, &overflow);

		if (is && !was)
			log_warning("%s: no backend of %s is left that takes new flows: its share %s", after->name,
				    cohort_name(cohort),
				    overflow.dropped ? "is dropped" : "overflows to the other cohort");
		else if (was && !is)
			log_notice("%s: %s has a backend again: its share overflows no longer", after->name,
				   cohort_name(cohort));
	}
}

/* Sees that the rings of a service are as the health of its backends demands. */
static void enforce(struct keeper *keeper, const char *service)
{
	json_t *before = json_deep_copy(keeper->ours);
	struct error error;
	struct edit edit;
	bool changed = false;
	int err = edit_begin(&edit, &keeper->daemon->options.instance, service, DATAPLANE_CHANGE, &error);

	for (int cohort = 0; !err && cohort < CANARY_COHORTS; cohort++)
		changed |= settle_cohort(keeper, edit.service, cohort);
	if (!err && !json_equal(before, keeper->ours))
		save_ours(keeper);
	if (!err && changed) {
		err = edit_commit(&edit, &error);
		if (!err)
			announce_overflows(&edit);
	}
	edit_end(&edit);
	if (err) {
		log_warning("%s: its rings are not as its backends' health demands: %s", service, error.text);
		json_decref(keeper->ours);
		keeper->ours = json_incref(before);
	}
	json_decref(before);
}

/* Why it is not up, or cannot be checked. */
static const char *text_of(const struct checked *checked)
{
	if (checked->health.state == HEALTH_HELD && !checked->text[0])
		return "its checks are good, but it was down too often lately";
	return checked->text;
}

static void announce(struct checked *checked)
{
	const char *text = text_of(checked);
	char endpoint[ADDR_TEXT_LEN];

	checked->since_ms = wall_ms();
	log_notice("%s: %s is %s%s%s", checked->service, endpoint_of(checked, endpoint),
		   health_state_name(checked->health.state), *text ? ": " : "", text);
}

static void reported(const struct health_report *report, void *arg)
{
	struct checked *checked = arg;
	bool good = report->outcome == HEALTH_GOOD;

	snprintf(checked->text, sizeof(checked->text), "%s", good ? "" : report->sentence);
	if (report->outcome == HEALTH_UNKNOWN)
		return;
	checked->heard = true;
	if (!health_result(&checked->health, &checked->settings, wall_ms(), good))
		return;
	announce(checked);
	enforce(checked->keeper, checked->service);
}

static struct health_settings settings_of(const struct health_plan *plan)
{
	return (struct health_settings){
		.rise = plan->rise,
		.fall = plan->fall,
		.max_hold = plan->damping * 1000,
		.half_life = plan->damping * 1000 / HALF_LIVES,
		.slow_start = plan->slow_start * 1000,
	};
}

static int begin_probe(struct checked *checked, const struct health_plan *plan, const struct service_model *service,
		       const struct backend_model *backend, struct error *error)
{
	const struct health_target target = {
		.service = service->name,
		.address = service->addr,
		.port = service->port,
		.forward = service->forward,
		.gue_port = service->gue_port,
		.backend = backend->addr,
		.backend_port = backend->port,
	};
	const struct health_check check = {
		.kind = plan->type == HEALTH_TYPE_HTTP	    ? HEALTH_HTTP
			: plan->type == HEALTH_TYPE_COMMAND ? HEALTH_COMMAND
							    : HEALTH_TCP,
		.interval = plan->interval,
		.timeout = plan->timeout,
		.port = plan->port,
		.path = plan->path,
		.host = plan->host[0] ? plan->host : NULL,
		.argv = checked->words.argv,
	};

	if (plan->type == HEALTH_TYPE_COMMAND && words_split(plan->command, &checked->words))
		return fail(error, -EINVAL, "this is no command: %s", plan->command);
	return health_probe_add(checked->keeper->prober, &target, &check, reported, checked, &checked->probe, error);
}

static void begin(struct keeper *keeper, const struct service_model *configured, const struct service_model *service,
		  const struct backend_model *backend)
{
	struct checked *checked = calloc(1, sizeof(*checked));
	struct error error;

	if (!checked)
		return;
	*checked = (struct checked){
		.next = keeper->list,
		.keeper = keeper,
		.addr = backend->addr,
		.port = backend->port,
		.settings = settings_of(configured->health),
		.since_ms = wall_ms(),
	};
	snprintf(checked->service, sizeof(checked->service), "%s", service->name);
	checked->health = health_new(!(backend->draining && done_to(checked, "drained")), wall_ms());
	keeper->list = checked;
	if (begin_probe(checked, configured->health, service, backend, &error)) {
		snprintf(checked->text, sizeof(checked->text), "%.255s", error.text);
		log_warning("%s: a backend is not checked: %s", service->name, error.text);
	}
}

/* Time alone may bring a backend back, or give one that came back more. */
static bool pass_time(struct keeper *keeper, const char *service)
{
	bool due = false;

	for (struct checked *checked = keeper->list; checked; checked = checked->next) {
		if (strcmp(checked->service, service))
			continue;
		if (health_tick(&checked->health, &checked->settings, wall_ms()))
			announce(checked);
		due |= health_quarters(&checked->health, &checked->settings, wall_ms()) != HEALTH_QUARTERS;
	}
	return due;
}

static bool differs(const struct checked *checked, const struct backend_model *backend)
{
	bool up = checked->health.state == HEALTH_UP;

	return up ? done_to(checked, "drained") || done_to(checked, "slowed") : !backend->draining;
}

/* Of before a slow start: what somebody changes it to meanwhile is overtaken. */
static unsigned base_weight(const struct checked *checked, const struct backend_model *backend)
{
	const json_t *slowed = done_to(checked, "slowed");

	return slowed ? (unsigned)json_integer_value(slowed) : backend->weight;
}

static void tend(struct keeper *keeper, const struct service_model *configured, const struct service_model *service)
{
	bool due;

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		if (!find(keeper, service->name, backend))
			begin(keeper, configured, service, backend);
	}
	due = pass_time(keeper, service->name);
	for (size_t i = 0; i < service->backend_count; i++) {
		struct checked *checked = find(keeper, service->name, &service->backends[i]);

		if (!checked)
			continue;
		checked->seen = true;
		checked->cohort = service->backends[i].cohort;
		checked->weight = base_weight(checked, &service->backends[i]);
		due |= checked->probe && differs(checked, &service->backends[i]);
	}
	if (due)
		enforce(keeper, service->name);
}

static void tend_service(struct keeper *keeper, const struct service_model *configured)
{
	struct dataplane *dataplane = NULL;
	struct model running = {};
	struct error error;
	int err;

	if (!configured->health)
		return;
	err = dataplane_open(keeper->daemon->options.instance.dir, DATAPLANE_READ, &dataplane, &error);
	if (!err)
		err = dataplane_read(dataplane, configured->name, &running, &error);
	dataplane_close(dataplane);
	if (!err)
		tend(keeper, configured, &running.services[0]);
	model_free(&running);
}

void keeper_tick(struct keeper *keeper)
{
	const struct model *model = &keeper->daemon->model;
	struct checked **at = &keeper->list;

	for (struct checked *checked = keeper->list; checked; checked = checked->next)
		checked->seen = false;
	for (size_t i = 0; i < model->service_count; i++)
		tend_service(keeper, &model->services[i]);
	while (*at) {
		if ((*at)->seen)
			at = &(*at)->next;
		else
			forget(at);
	}
}

json_t *keeper_view(const struct keeper *keeper, const char *service)
{
	json_t *backends = json_array();
	char endpoint[ADDR_TEXT_LEN];

	for (const struct checked *checked = keeper->list; checked; checked = checked->next) {
		if (service && strcmp(service, checked->service))
			continue;
		json_array_append_new(backends,
				      json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "service", checked->service,
						"backend", endpoint_of(checked, endpoint), "cohort",
						cohort_name(checked->cohort), "state",
						checked->heard ? health_state_name(checked->health.state) : "unknown",
						"since", time_view(checked->since_ms), "text", text_of(checked)));
	}
	return json_pack("{s:o}", "backends", backends);
}
