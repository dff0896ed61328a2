/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"
#include "daemon/api_wait.h"
#include "daemon/explain.h"
#include "daemon/feedback.h"
#include "daemon/fleet.h"
#include "daemon/fleet_api.h"
#include "daemon/health.h"
#include "daemon/log.h"
#include "daemon/metrics.h"
#include "daemon/page.h"
#include "daemon/status.h"
#include "daemon/stream.h"
#include "io/config.h"
#include "io/plan_json.h"

#define HISTORY_LIMIT 100
#define HISTORY_LIMIT_MAX 10000
#define NUMBER_MAX 2000000000U

static unsigned status_of(int err)
{
	switch (err) {
	case -EBUSY:
		return 409;
	case -EINVAL:
		return 400;
	case -ENOENT:
		return 404;
	case -ENOSPC:
		return 507;
	default:
		return 500;
	}
}

static void reply_failed(struct http_call *call, int err, const struct error *error)
{
	http_reply_error(call, status_of(err), "%s", error->text);
}

/* The service that the path names; NULL: answered. */
static struct supervisor *find(struct http_call *call, struct daemon *daemon)
{
	const char *name = http_part(call, "service");
	struct supervisor *supervisor = daemon_find(daemon, name);

	if (!supervisor)
		http_reply_error(call, 404, "there is no service \"%s\"", name);
	return supervisor;
}

/* ?name=N. false: answered. */
static bool read_number(struct http_call *call, const char *name, unsigned otherwise, unsigned *ret)
{
	const char *text = http_query(call, name);

	*ret = otherwise;
	if (!text || !parse_unsigned(text, 0, NUMBER_MAX, ret))
		return true;
	http_reply_error(call, 400, "%s is a number, not \"%s\"", name, text);
	return false;
}

static void get_version(struct http_call *call, void *arg)
{
	const struct daemon *daemon = arg;

	http_reply(call, 200,
		   json_pack("{s:s, s:i, s:I}", "version", CANARY_VERSION, "pid", (int)getpid(), "uptime",
			     (json_int_t)((wall_ms() - daemon->started_ms) / 1000)));
}

static json_t *services_view(const struct daemon *daemon, const struct http_call *call)
{
	json_t *services = json_array();

	for (size_t i = 0; i < daemon->supervisor_count; i++)
		json_array_append_new(services, status_view(daemon->supervisors[i], call));
	return json_pack("{s:o}", "services", services);
}

static void get_services(struct http_call *call, void *arg)
{
	struct daemon *daemon = arg;

	kept_reply_view(&daemon->services, call, daemon, services_view);
}

static void get_rollout(struct http_call *call, void *arg)
{
	struct supervisor *supervisor = find(call, arg);
	unsigned transitions, seconds;

	if (!supervisor || !read_number(call, "transitions", 0, &transitions) ||
	    !read_number(call, "timeout", WAIT_MAX_S, &seconds))
		return;
	if (!http_query(call, "transitions"))
		http_reply(call, 200, status_view(supervisor, call));
	else
		waiters_add(supervisor, call, transitions, seconds < WAIT_MAX_S ? seconds : WAIT_MAX_S);
}

static const char *body_text(const struct http_call *call, const char *key)
{
	return json_string_value(json_object_get(http_body(call), key));
}

static bool body_flag(const struct http_call *call, const char *key)
{
	return json_is_true(json_object_get(http_body(call), key));
}

/* What people may ask for; the rest are the daemon's own. */
static bool may_be_asked(enum rollout_event_type type)
{
	return type != ROLLOUT_EVENT_TICK && type != ROLLOUT_EVENT_TRIP && type != ROLLOUT_EVENT_MANUAL_WEIGHT &&
	       type != ROLLOUT_EVENT_HOOK_FAILED && type != ROLLOUT_EVENT_ERROR && type != ROLLOUT_EVENT_PROMOTE_FULL;
}

enum member_kind { MEMBER_TEXT, MEMBER_FLAG };

/* The members that bodies may have, of each verb one at most. */
static const struct member {
	enum rollout_event_type type;
	const char *key;
	enum member_kind kind;
} members[] = {
	{ROLLOUT_EVENT_START, "plan", MEMBER_TEXT},
	{ROLLOUT_EVENT_PROMOTE, "full", MEMBER_FLAG},
	{ROLLOUT_EVENT_ROLLBACK, "reset", MEMBER_FLAG},
	{ROLLOUT_EVENT_BLOCK, "reason", MEMBER_TEXT},
};

static const struct member *find_member(enum rollout_event_type type, const char *key)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (members[i].type == type && !strcmp(members[i].key, key))
			return &members[i];
	}
	return NULL;
}

/* What is misspelt must not be done without it. false: answered. */
static bool check_body(struct http_call *call, enum rollout_event_type type)
{
	/* A copy: with a call that is answered its body is gone. */
	json_t *body = json_deep_copy(http_body(call)), *value;
	const char *verb = rollout_event_name(type), *key;
	bool fine = true;

	json_object_foreach (body, key, value) {
		const struct member *member = find_member(type, key);

		fine = member && (member->kind == MEMBER_TEXT ? json_is_string(value) : json_is_boolean(value));
		if (!member)
			http_reply_error(call, 400, "the body of '%s' has no member \"%s\"", verb, key);
		else if (!fine)
			http_reply_error(call, 400, "\"%s\" of '%s' is %s", key, verb,
					 member->kind == MEMBER_TEXT ? "a text" : "true or false");
		if (!fine)
			break;
	}
	json_decref(body);
	return fine;
}

/* The weight is the fleet's: what one host's rollout could do to it, no other would know. */
static void post_fleet_verb(struct http_call *call, void *arg, enum rollout_event_type type)
{
	if (type == ROLLOUT_EVENT_ROLLBACK && body_flag(call, "reset"))
		http_reply_error(call, 409, "a fleet's rollback resets no connections: ask without it");
	else if (type == ROLLOUT_EVENT_ROLLBACK)
		fleet_post_rollback(call, arg);
	else
		http_reply_error(call, 409, "the weight of %s is the fleet's: use canaryctl set-weight --fleet",
				 http_part(call, "service"));
}

static void post_verb(struct http_call *call, void *arg)
{
	struct supervisor *supervisor = find(call, arg);
	const char *verb = http_part(call, "verb"), *text = body_text(call, "plan");
	struct request request = {
		.uid = http_uid(call),
		.reset = body_flag(call, "reset"),
		.reason = body_text(call, "reason"),
		.judgement = {.gate = -1},
	};
	char asker[HTTP_ASKER_LEN];
	struct rollout_plan plan;
	struct error error;
	int err = 0;

	if (!supervisor)
		return;
	if (parse_rollout_event(verb, &request.type) || !may_be_asked(request.type)) {
		http_reply_error(call, 404, "there is no '%s' of a rollout", verb);
		return;
	}
	if (!check_body(call, request.type))
		return;
	if (fleet_has(supervisor->daemon->fleet, supervisor->name)) {
		post_fleet_verb(call, arg, request.type);
		return;
	}
	if (request.type == ROLLOUT_EVENT_PROMOTE && body_flag(call, "full"))
		request.type = ROLLOUT_EVENT_PROMOTE_FULL;
	if (request.type == ROLLOUT_EVENT_START && text) {
		err = plan_parse("plan", text, &plan, &error);
		request.plan = &plan;
	}
	if (!err)
		err = supervisor_request(supervisor, &request, &error);
	if (!err && *http_asker(call, asker))
		log_notice("%s: %s, as was asked with a token from %s", supervisor->name, verb, asker);
	if (err)
		reply_failed(call, err, &error);
	else
		http_reply(call, 200, status_view(supervisor, call));
}

static void get_plan(struct http_call *call, void *arg)
{
	struct supervisor *supervisor = find(call, arg);

	if (supervisor)
		http_reply(call, 200,
			   json_pack("{s:s, s:o}", "service", supervisor->name, "plan", plan_json(&supervisor->plan)));
}

static void get_curve(struct http_call *call, void *arg)
{
	struct supervisor *supervisor = find(call, arg);
	const struct curve *curve;
	__u64 release;
	json_t *view;

	if (!supervisor)
		return;
	curve = supervisor->pulse.curve;
	release = supervisor->record.rollout.release;
	if (curve && curve->release != release)
		curve = NULL; /* of the one before */
	view = curve_view(curve ? curve->points : NULL, curve ? curve->count : 0, &supervisor->record.plan);
	json_object_set_new(view, "service", json_string(supervisor->name));
	json_object_set_new(view, "release", json_integer((json_int_t)release));
	http_reply(call, 200, view);
}

static void get_stream(struct http_call *call, void *arg)
{
	struct daemon *daemon = arg;
	const char *name = http_query(call, "service");
	struct supervisor *supervisor = NULL;

	if (name)
		supervisor = daemon_find(daemon, name);
	else if (daemon->supervisor_count)
		supervisor = daemon->supervisors[0];
	if (supervisor)
		streams_add(supervisor, call);
	else if (name)
		http_reply_error(call, 404, "there is no service \"%s\"", name);
	else
		http_reply_error(call, 404, "there is no service yet");
}

static int append_entry(const struct history_entry *entry, void *arg)
{
	json_array_append_new(arg, entry_view(entry));
	return 0;
}

static int compare_times(const void *a, const void *b)
{
	const char *x = json_string_value(json_object_get(*(json_t *const *)a, "time"));
	const char *y = json_string_value(json_object_get(*(json_t *const *)b, "time"));

	return strcmp(y, x);
}

/* Kinds are kept apart; a person reads them as one. Those of one second stay in the order of the kinds. */
static json_t *merge(json_t *entries, size_t limit)
{
	size_t count = json_array_size(entries), i;
	json_t **sorted = calloc(count + 1, sizeof(*sorted)), *merged = json_array(), *entry;

	if (!sorted)
		return merged;
	json_array_foreach (entries, i, entry)
		sorted[i] = entry;
	qsort(sorted, count, sizeof(*sorted), compare_times);
	for (i = 0; i < count && i < limit; i++)
		json_array_append(merged, sorted[i]);
	free(sorted);
	return merged;
}

static void get_history(struct http_call *call, void *arg)
{
	static const enum history_kind kinds[] = {HISTORY_TRANSITION, HISTORY_VERDICT, HISTORY_BLOCK, HISTORY_FEEDBACK};
	struct daemon *daemon = arg;
	struct supervisor *supervisor = find(call, daemon);
	struct history_filter filter = {.newest_first = true};
	unsigned limit, release;
	struct error error;
	json_t *entries;
	int err = 0;

	if (!supervisor || !read_number(call, "limit", HISTORY_LIMIT, &limit) ||
	    !read_number(call, "release", 0, &release))
		return;
	filter.service = supervisor->name;
	filter.rollout = release;
	filter.limit = limit && limit < HISTORY_LIMIT_MAX ? limit : HISTORY_LIMIT_MAX;
	entries = json_array();
	for (size_t i = 0; !err && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		err = history_list(daemon->history, kinds[i], &filter, append_entry, entries, &error);
	if (err)
		reply_failed(call, err, &error);
	else
		http_reply(call, 200,
			   json_pack("{s:s, s:o}", "service", supervisor->name, "entries",
				     merge(entries, (size_t)filter.limit)));
	json_decref(entries);
}

static void get_explanation(struct http_call *call, void *arg)
{
	struct supervisor *supervisor = find(call, arg);
	unsigned release;
	struct error error;
	json_t *view;

	if (!supervisor || !read_number(call, "release", 0, &release))
		return;
	view = explain_view(supervisor, release, &error);
	if (view)
		http_reply(call, 200, view);
	else
		http_reply_error(call, 404, "%s", error.text);
}

/* Of which service; where there is one, nobody needs to say. */
static struct supervisor *pick(const struct http_call *call, struct daemon *daemon)
{
	const char *name = body_text(call, "service");

	if (name)
		return daemon_find(daemon, name);
	return daemon->supervisor_count == 1 ? daemon->supervisors[0] : NULL;
}

static void post_feedback(struct http_call *call, void *arg)
{
	struct supervisor *supervisor = pick(call, arg);
	const char *client = body_text(call, "client"), *verdict = body_text(call, "verdict");
	const char *service = body_text(call, "service");
	bool good = verdict && !strcmp(verdict, "good"), bad = verdict && !strcmp(verdict, "bad");
	const struct word word = {client, good, body_text(call, "note"), http_uid(call)};
	struct feedback_result result;
	struct error error;
	int err;

	if (!supervisor && service) {
		http_reply_error(call, 404, "there is no service \"%s\"", service);
		return;
	}
	if (!supervisor) {
		http_reply_error(call, 400, "say which service this is about: {\"service\": NAME, ...}");
		return;
	}
	if (!client || (!good && !bad)) {
		http_reply_error(call, 400, "give {\"client\": ADDRESS, \"verdict\": \"good\" or \"bad\"}");
		return;
	}
	err = feedback_take(supervisor, &word, &result, &error);
	if (err)
		reply_failed(call, err, &error);
	else
		http_reply(call, 200,
			   json_pack("{s:s, s:s, s:s?, s:b, s:s?}", "service", supervisor->name, "client", client,
				     "cohort", result.cohort, "counted", result.counted, "text", result.text));
}

static json_t *health_view(const struct daemon *daemon, const struct http_call *call)
{
	(void)call;
	return keeper_view(daemon->keeper, NULL);
}

static void get_health(struct http_call *call, void *arg)
{
	struct daemon *daemon = arg;

	kept_reply_view(&daemon->health, call, daemon, health_view);
}

static void get_metrics(struct http_call *call, void *arg)
{
	struct daemon *daemon = arg;

	kept_reply_text(&daemon->metrics, call, daemon, EXPOSITION_TYPE, metrics_text);
}

const struct http_route api_routes[] = {
	{"GET", "/", HTTP_EVERYBODY, page_get},
	{"GET", "/assets/{file}", HTTP_EVERYBODY, page_get_asset},
	{"GET", "/v1/stream", HTTP_EVERYBODY, get_stream},
	{"GET", "/v1/version", HTTP_EVERYBODY, get_version},
	{"GET", "/v1/services", HTTP_EVERYBODY, get_services},
	{"GET", "/v1/services/{service}/rollout", HTTP_EVERYBODY, get_rollout},
	{"GET", "/v1/services/{service}/rollout/plan", HTTP_FULL_TOKEN, get_plan},
	{"GET", "/v1/services/{service}/rollout/history", HTTP_FULL_TOKEN, get_history},
	{"GET", "/v1/services/{service}/rollout/curve", HTTP_EVERYBODY, get_curve},
	{"GET", "/v1/services/{service}/rollout/explain", HTTP_FULL_TOKEN, get_explanation},
	{"POST", "/v1/services/{service}/rollout/{verb}", HTTP_FULL_TOKEN, post_verb},
	{"GET", "/v1/health", HTTP_EVERYBODY, get_health},
	{"GET", "/v1/fleet", HTTP_FULL_TOKEN, fleet_get},
	{"GET", "/v1/fleet/counters", HTTP_FULL_TOKEN, fleet_get_counters},
	{"POST", "/v1/fleet", HTTP_FULL_TOKEN, fleet_post},
	{"POST", "/v1/fleet/hosts/{host}/remove", HTTP_FULL_TOKEN, fleet_post_remove},
	{"POST", "/v1/fleet/services/{service}", HTTP_FULL_TOKEN, fleet_post_service},
	{"POST", "/v1/fleet/services/{service}/weight", HTTP_FULL_TOKEN, fleet_post_weight},
	{"POST", "/v1/fleet/services/{service}/rollback", HTTP_FULL_TOKEN, fleet_post_rollback},
	{"POST", "/v1/feedback", HTTP_ANY_TOKEN, post_feedback},
	{"GET", "/metrics", HTTP_EVERYBODY, get_metrics},
	{},
};
