/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/health.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/health.h"
#include "core/health_plan.h"
#include "core/lookup.h"
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
	struct canary_addr addr;
	int port;
	struct checked *next;
	struct tended *tended;
	char key[CANARY_NAME_LEN + ADDR_TEXT_LEN]; /* in `ours` */
	const char *endpoint; /* the end of `key` */
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

/* A service whose backends are. */
struct tended {
	struct keeper *keeper;
	const struct service_model *configured; /* the daemon's */
	struct checked *list;
	void *by_endpoint; /* the same, for tsearch() */
};

struct keeper {
	struct daemon *daemon;
	struct health_prober *prober;
	struct tended *services; /* those with checks, in the configuration's order; NULL: not looked for yet */
	size_t service_count;
	/* {"drained": {"web 10.0.0.21:8080": true}, "slowed": {"web 10.0.0.22:8080": 3}}: what we did; weights of before */
	json_t *ours;
};

/* What we did to a backend; NULL: nothing. */
static json_t *done_to(const struct checked *checked, const char *what)
{
	return json_object_get(json_object_get(checked->tended->keeper->ours, what), checked->key);
}

/* Takes the reference; NULL: it is undone. */
static void note_done(const struct checked *checked, const char *what, json_t *value)
{
	json_t *all = json_object_get(checked->tended->keeper->ours, what);

	if (value)
		json_object_set_new(all, checked->key, value);
	else
		json_object_del(all, checked->key);
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

static int compare_endpoints(const void *a, const void *b)
{
	const struct checked *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return order ? order : x->port - y->port;
}

static struct checked *find(const struct tended *tended, const struct backend_model *backend)
{
	const struct checked like = {.addr = backend->addr, .port = backend->port};
	struct checked **found = tfind(&like, &tended->by_endpoint, compare_endpoints);

	return found ? *found : NULL;
}

static void forget(struct checked **at)
{
	struct checked *checked = *at;

	*at = checked->next;
	tdelete(checked, &checked->tended->by_endpoint, compare_endpoints);
	health_probe_remove(checked->probe);
	free(checked);
}

void keeper_configure(struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->service_count; i++)
		while (keeper->services[i].list)
			forget(&keeper->services[i].list);
	free(keeper->services);
	keeper->services = NULL;
	keeper->service_count = 0;
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
static bool settle_cohort(const struct tended *tended, struct service_model *service, enum canary_cohort cohort)
{
	size_t count = 0;
	unsigned *weights = calloc(service->backend_count + 1, 3 * sizeof(*weights));
	unsigned *quarters = weights + service->backend_count, *wanted = quarters + service->backend_count;
	bool changed = false;

	for (size_t i = 0; weights && i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];
		const struct checked *checked = find(tended, backend);

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
		struct checked *checked = find(tended, backend);

		if (backend->cohort != cohort)
			continue;
		if (checked)
			changed |= settle(checked, backend, wanted[count]);
		count++;
	}
	free(weights);
	return changed;
}

/* Sees that the rings of a service are as the health of its backends demands. */
static void enforce(const struct tended *tended)
{
	struct keeper *keeper = tended->keeper;
	json_t *before = json_deep_copy(keeper->ours);
	struct error error;
	struct edit edit;
	bool changed = false;
	int err = edit_begin(&edit, &keeper->daemon->options.instance, tended->configured->name, DATAPLANE_CHANGE,
			     &error);

	for (int cohort = 0; !err && cohort < CANARY_COHORTS; cohort++)
		changed |= settle_cohort(tended, edit.service, cohort);
	if (!err && !json_equal(before, keeper->ours))
		save_ours(keeper);
	if (!err && changed) {
		err = edit_commit(&edit, &error);
		if (!err)
			edit_log_overflows(&edit);
	}
	edit_end(&edit);
	if (err) {
		log_warning("%s: its rings are not as its backends' health demands: %s", tended->configured->name,
			    error.text);
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

	checked->since_ms = wall_ms();
	log_notice("%s: %s is %s%s%s", checked->tended->configured->name, checked->endpoint,
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
	enforce(checked->tended);
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
	return health_probe_add(checked->tended->keeper->prober, &target, &check, reported, checked, &checked->probe,
				error);
}

/* NULL: without memory. It is tried again in a second. */
static struct checked *begin(struct tended *tended, const struct service_model *service,
			     const struct backend_model *backend)
{
	struct checked *checked = calloc(1, sizeof(*checked));
	char endpoint[ADDR_TEXT_LEN];
	struct error error;

	if (!checked)
		return NULL;
	*checked = (struct checked){
		.addr = backend->addr,
		.port = backend->port,
		.next = tended->list,
		.tended = tended,
		.settings = settings_of(tended->configured->health),
		.since_ms = wall_ms(),
	};
	if (!tsearch(checked, &tended->by_endpoint, compare_endpoints)) {
		free(checked);
		return NULL;
	}
	tended->list = checked;
	format_endpoint(&checked->addr, checked->port, endpoint);
	snprintf(checked->key, sizeof(checked->key), "%s %s", service->name, endpoint);
	checked->endpoint = checked->key + strlen(service->name) + 1;
	checked->health = health_new(!(backend->draining && done_to(checked, "drained")), wall_ms());
	if (begin_probe(checked, tended->configured->health, service, backend, &error)) {
		snprintf(checked->text, sizeof(checked->text), "%.255s", error.text);
		log_warning("%s: a backend is not checked: %s", service->name, error.text);
	}
	return checked;
}

/* Time alone may bring a backend back, or give one that came back more. */
static bool pass_time(struct checked *checked)
{
	__s64 now = wall_ms();

	if (health_tick(&checked->health, &checked->settings, now))
		announce(checked);
	return health_quarters(&checked->health, &checked->settings, now) != HEALTH_QUARTERS;
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

static void tend(struct tended *tended, const struct service_model *service)
{
	bool due = false;

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];
		struct checked *checked = find(tended, backend);

		if (!checked)
			checked = begin(tended, service, backend);
		if (!checked)
			continue;
		checked->seen = true;
		checked->cohort = backend->cohort;
		checked->weight = base_weight(checked, backend);
		due |= pass_time(checked);
		due |= checked->probe && differs(checked, backend);
	}
	if (due)
		enforce(tended);
}

static void forget_unseen(struct tended *tended)
{
	struct checked **at = &tended->list;

	while (*at) {
		if (!(*at)->seen) {
			forget(at);
			continue;
		}
		(*at)->seen = false;
		at = &(*at)->next;
	}
}

static int compare_names(const void *a, const void *b)
{
	const struct service_model *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void look_for_services(struct keeper *keeper)
{
	const struct model *model = &keeper->daemon->model;

	keeper->services = calloc(model->service_count + 1, sizeof(*keeper->services));
	for (size_t i = 0; keeper->services && i < model->service_count; i++)
		if (model->services[i].health)
			keeper->services[keeper->service_count++] =
				(struct tended){.keeper = keeper, .configured = &model->services[i]};
}

void keeper_tick(struct keeper *keeper, struct dataplane *dataplane)
{
	struct lookup by_name = {};
	struct model running = {};
	struct error error;

	if (!keeper->services)
		look_for_services(keeper);
	if (!keeper->service_count)
		return;
	if (dataplane_read(dataplane, NULL, &running, &error))
		return;
	if (!lookup_make(running.services, running.service_count, sizeof(*running.services), compare_names, &by_name)) {
		for (size_t i = 0; i < keeper->service_count; i++) {
			struct tended *tended = &keeper->services[i];
			const struct service_model *service = lookup_find(&by_name, tended->configured);

			if (service)
				tend(tended, service);
			forget_unseen(tended);
		}
		lookup_free(&by_name);
	}
	model_free(&running);
}

static json_t *checked_view(const struct checked *checked)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "service", checked->tended->configured->name, "backend",
			 checked->endpoint, "cohort", cohort_name(checked->cohort), "state",
			 checked->heard ? health_state_name(checked->health.state) : "unknown", "since",
			 time_view(checked->since_ms), "text", text_of(checked));
}

json_t *keeper_view(const struct keeper *keeper, const char *service)
{
	json_t *backends = json_array();

	for (size_t i = 0; i < keeper->service_count; i++) {
		const struct tended *tended = &keeper->services[i];

		if (service && strcmp(service, tended->configured->name))
			continue;
		for (const struct checked *checked = tended->list; checked; checked = checked->next)
			json_array_append_new(backends, checked_view(checked));
	}
	return json_pack("{s:o}", "backends", backends);
}
