/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask of a fleet: transactions on what this host knows, and what becomes of them. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"

#define ANSWER_MS 15000 /* then who asked is told what it waits for */

struct fleet_order {
	struct fleet_order *next;
	struct fleet *fleet;
	struct http_call *call; /* NULL: nobody waits any more */
	struct etcd_call *question; /* the transaction */
	char service[FLEET_PART_LEN];
	struct fleet_record record; /* as it is to be written */
	struct fleet_view goal;
	int weight_before;
	__s64 revision; /* of the record that it follows */
	char *config; /* its text, where it is another one; or NULL */
	bool written;
	__s64 begun_ms;
	char reason[FLEET_WAITS_LEN]; /* for whom it waits */
};

static void forget(struct fleet_order *order)
{
	struct fleet_order **at = &order->fleet->orders;

	while (*at && *at != order)
		at = &(*at)->next;
	if (*at)
		*at = order->next;
	etcd_cancel(order->question);
	free(order->config);
	free(order);
}

static void on_gone(struct http_call *call, void *arg)
{
	struct fleet_order *order = arg;

	(void)call;
	order->call = NULL;
}

static void answer_failed(struct fleet_order *order, unsigned status, const char *sentence)
{
	if (order->call)
		http_reply_error(order->call, status, "%s", sentence);
	forget(order);
}

static void answer(struct fleet_order *order, bool changed, const char *state)
{
	if (order->call)
		http_reply(order->call, 200,
			   json_pack("{s:s, s:b, s:s, s:I, s:f, s:f, s:I, s:s}", "service", order->service, "changed",
				     changed, "state", state, "change", (json_int_t)order->record.change, "weight",
				     order->goal.weight / 100.0, "weight_before", order->weight_before / 100.0,
				     "took_ms", (json_int_t)(fleet_now_ms() - order->begun_ms), "waits",
				     order->reason));
	forget(order);
}

/* ---- what became of it ---- */

static void look_at(struct fleet_order *order, const struct fleet_service *service)
{
	const struct fleet_record *record = &service->record;
	struct fleet_record ignored;
	struct error reason = {};

	if (record->change > order->record.change) {
		fleet_conflict(order->service, record, &reason);
		answer_failed(order, 409, reason.text);
		return;
	}
	if (record->change < order->record.change)
		return; /* the watch has not come to it yet */
	if (record->phase == FLEET_PREPARING) {
		fleet_leader_decide(order->fleet, service, &ignored, &reason);
		if (*reason.text)
			snprintf(order->reason, sizeof(order->reason), "%.*s", (int)sizeof(order->reason) - 1,
				 reason.text);
	} else if (fleet_view_equal(&record->now, &order->goal)) {
		order->reason[0] = '\0';
		answer(order, true, "committed");
	} else {
		fail(&reason, 0, "the change of %s was taken back: %s", order->service,
		     *order->reason ? order->reason : "a host could not take it");
		answer_failed(order, 409, reason.text);
	}
}

void fleet_orders_run(struct fleet *fleet)
{
	struct fleet_order *order, *next;

	for (order = fleet->orders; order; order = next) {
		const struct fleet_service *service = fleet_find(fleet, order->service);
		bool late = fleet_now_ms() - order->begun_ms >= ANSWER_MS;

		next = order->next;
		if (late)
			answer(order, true, "preparing");
		else if (order->written && service && service->revision)
			look_at(order, service);
	}
}

void fleet_orders_close(struct fleet *fleet)
{
	while (fleet->orders)
		answer_failed(fleet->orders, 503, "canaryd ends");
}

/* ---- what is written ---- */

static int write_order(struct fleet_order *order, struct error *error);

static void note_written(struct fleet_order *order)
{
	log_notice("fleet: %s: change %llu, by %s", order->service, (unsigned long long)order->record.change,
		   order->record.who);
	order->written = true;
	fleet_orders_run(order->fleet);
}

/* Somebody was quicker; unless that was this order, whose first answer was lost. */
static void look_at_theirs(struct fleet_order *order, const struct etcd_result *result)
{
	const struct etcd_answer *answers = result->answers;
	const char *text = result->answer_count && answers->count ? answers->kvs[0].value : "";
	char ours[FLEET_TEXT_LEN];
	struct fleet_record theirs;
	struct error error;

	if (!strcmp(text, fleet_format_record(&order->record, ours))) {
		note_written(order);
		return;
	}
	if (!fleet_parse_record(text, &theirs))
		fleet_conflict(order->service, &theirs, &error);
	else
		fail(&error, 0, "%s was changed by somebody meanwhile: see what holds now, and ask again",
		     order->service);
	answer_failed(order, 409, error.text);
}

/* A write of which nobody knows whether it was done may be done again: its comparison holds once at most. */
static void on_written(const struct etcd_result *result, void *arg)
{
	struct fleet_order *order = arg;
	bool again = result->unknown && fleet_now_ms() - order->begun_ms < ANSWER_MS - FLEET_WRITE_MS;
	struct error error;

	order->question = NULL;
	if (result->error && again && !write_order(order, &error))
		return;
	if (result->error) {
		fail(&error, 0, "%s%s", result->sentence,
		     result->unknown ? ", or was done: see canaryctl fleet status" : "");
		answer_failed(order, 503, error.text);
	} else if (result->succeeded) {
		note_written(order);
	} else {
		look_at_theirs(order, result);
	}
}

static int write_order(struct fleet_order *order, struct error *error)
{
	struct fleet *fleet = order->fleet;
	char config_key[FLEET_KEY_LEN], number[24];
	struct fleet_write write;
	int err =
		fleet_write_record(fleet->settings.prefix, order->service, &order->record, order->revision, 0, &write);
	const struct etcd_compare compares[] = {
		{.key = write.key, .target = ETCD_MOD, .number = write.mod_revision},
		{.key = config_key, .target = ETCD_CREATE},
	};
	const struct etcd_operation then[] = {
		{.type = ETCD_PUT, .key = write.key, .value = write.value},
		{.type = ETCD_PUT, .key = config_key, .value = order->config},
	};
	const struct etcd_operation otherwise = {.type = ETCD_RANGE, .key = write.key};
	const size_t count = order->config ? 2 : 1;
	const struct etcd_txn txn = {compares, count, then, &otherwise, count, 1};

	snprintf(number, sizeof(number), "%llu", (unsigned long long)order->goal.config);
	if (!err && !*fleet_key_text(fleet, FLEET_KEY_CONFIG, order->service, number, config_key))
		err = -EINVAL;
	if (err)
		return fail(error, err, "\"%s\" is no service's name", order->service);
	return etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_written, order, &order->question, error);
}

/* ---- what is to be written ---- */

/* "anna on lb2" */
static const char *name_asker(const struct fleet *fleet, const struct http_call *call, char buf[FLEET_WHO_LEN])
{
	__s64 uid = http_uid(call);
	const struct passwd *user = uid == HTTP_UID_UNKNOWN ? NULL : getpwuid((uid_t)uid);
	char asker[HTTP_ASKER_LEN];

	if (user)
		snprintf(buf, FLEET_WHO_LEN, "%.24s on %s", user->pw_name, fleet->settings.name);
	else if (uid != HTTP_UID_UNKNOWN)
		snprintf(buf, FLEET_WHO_LEN, "uid %lld on %s", (long long)uid, fleet->settings.name);
	else
		snprintf(buf, FLEET_WHO_LEN, "%.24s by %s", http_asker(call, asker), fleet->settings.name);
	return buf;
}

static __u64 next_config(const struct fleet *fleet, const char *service)
{
	__u64 highest = 0;

	for (const struct mirror_entry *entry = mirror_first(&fleet->mirror, FLEET_KEY_CONFIG, service); entry;
	     entry = mirror_next(&fleet->mirror, entry, service)) {
		__u64 number = strtoull(entry->key.part[1], NULL, 10);

		if (number > highest)
			highest = number;
	}
	return highest + 1;
}

static bool is_the_same(const struct fleet *fleet, const struct fleet_service *service, const char *config)
{
	char number[24];
	const char *text;

	snprintf(number, sizeof(number), "%llu", (unsigned long long)service->record.now.config);
	text = mirror_text(&fleet->mirror, FLEET_KEY_CONFIG, service->name, number);
	return text && !strcmp(text, config);
}

/* A service that etcd has. 0, or -EALREADY, or another -errno with a sentence. */
static int order_change(struct fleet_order *order, const struct fleet_request *request, const char *who,
			struct error *error)
{
	const struct fleet_service *service = fleet_find(order->fleet, request->service);
	const struct fleet_record *record = &service->record;

	if (request->if_change && request->if_change != record->change)
		return fleet_conflict(service->name, record, error);
	order->record = *record;
	order->goal = record->now;
	order->weight_before = record->now.weight;
	if (request->kind == FLEET_ORDER_ROLLBACK) {
		order->goal.weight = 0;
		return fleet_rollback(record, who, &order->record);
	}
	if (request->kind == FLEET_ORDER_WEIGHT)
		order->goal.weight = request->weight;
	else if (!is_the_same(order->fleet, service, request->config))
		order->goal.config = next_config(order->fleet, service->name);
	order->goal.salt += request->new_salt;
	return fleet_propose(record, &order->goal, who, &order->record, error);
}

/* One that it has not. */
static int order_first(struct fleet_order *order, const struct fleet_request *request, const char *who,
		       struct error *error)
{
	if (request->kind != FLEET_ORDER_APPLY)
		return fail(error, -ENOENT, "the fleet has no service \"%s\": canaryctl apply --fleet puts it there",
			    request->service);
	order->goal =
		(struct fleet_view){.config = next_config(order->fleet, request->service), .weight = request->weight};
	order->record = fleet_first(&order->goal, who);
	return 0;
}

static unsigned status_of(int err)
{
	return err == -ENOENT ? 404 : err == -EINVAL ? 400 : err == -EBUSY || err == -ESTALE ? 409 : 503;
}

static int check(const struct fleet *fleet, const struct fleet_request *request, struct error *error)
{
	struct model model;
	int err = 0;

	if (!fleet->usable)
		return fail(error, -EAGAIN, "%s", *fleet->fault.text ? fleet->fault.text : "etcd has not answered yet");
	if (fleet_is_cut_off(fleet))
		return fail(error, -EAGAIN, "this host is cut off from etcd: ask another one");
	if (request->kind == FLEET_ORDER_APPLY)
		err = fleet_config_parse(request->service, 0, request->config, &model, error);
	if (!err && request->kind == FLEET_ORDER_APPLY)
		model_free(&model);
	return err;
}

/* 0: it is asked; else it is answered, and over. */
static int ask(struct fleet_order *order, const struct fleet_request *request)
{
	const struct fleet_service *service = fleet_find(order->fleet, request->service);
	char who[FLEET_WHO_LEN];
	struct error error = {};
	int err;

	order->revision = service ? service->revision : 0;
	name_asker(order->fleet, order->call, who);
	err = order->revision ? order_change(order, request, who, &error) : order_first(order, request, who, &error);
	if (!err && request->kind == FLEET_ORDER_APPLY) {
		order->config = strdup(request->config);
		err = order->config ? 0 : fail(&error, -ENOMEM, "out of memory");
	}
	if (!err)
		err = write_order(order, &error);
	if (err == -EALREADY)
		answer(order, false, fleet_phase_name(order->record.phase));
	else if (err)
		answer_failed(order, status_of(err), error.text);
	return err;
}

static struct fleet_order *add_order(struct fleet *fleet, struct http_call *call, const char *service)
{
	struct fleet_order *order = calloc(1, sizeof(*order));

	if (!order) {
		http_reply_error(call, 500, "out of memory");
		return NULL;
	}
	*order = (struct fleet_order){.next = fleet->orders, .fleet = fleet, .call = call, .begun_ms = fleet_now_ms()};
	snprintf(order->service, sizeof(order->service), "%s", service);
	fleet->orders = order;
	return order;
}

/* The answer comes later. */
static void wait_for(struct fleet_order *order)
{
	if (http_wait(order->call, on_gone, order))
		order->call = NULL;
}

void fleet_ask(struct fleet *fleet, struct http_call *call, const struct fleet_request *request)
{
	struct fleet_order *order;
	struct error error;
	int err = check(fleet, request, &error);

	if (err) {
		http_reply_error(call, status_of(err), "%s", error.text);
		return;
	}
	order = add_order(fleet, call, request->service);
	if (order && !ask(order, request))
		wait_for(order);
}

/* ---- a member that is gone ---- */

static void on_removed(const struct etcd_result *result, void *arg)
{
	struct fleet_order *order = arg;

	order->question = NULL;
	if (result->error)
		answer_failed(order, 503, result->sentence);
	else if (!result->succeeded)
		answer_failed(order, 409, "it is alive: end its canaryd first");
	else
		answer(order, result->answers[0].deleted, "removed");
}

static int write_removal(struct fleet_order *order, const char *host, struct error *error)
{
	struct fleet *fleet = order->fleet;
	char alive_key[FLEET_KEY_LEN], member_key[FLEET_KEY_LEN];
	const struct etcd_compare gone = {.key = fleet_key_text(fleet, FLEET_KEY_HOST, host, NULL, alive_key),
					  .target = ETCD_CREATE};
	const struct etcd_operation then = {.type = ETCD_DELETE,
					    .key = fleet_key_text(fleet, FLEET_KEY_MEMBER, host, NULL, member_key)};
	const struct etcd_txn txn = {.compares = &gone, .compare_count = 1, .then = &then, .then_count = 1};

	if (!*alive_key)
		return fail(error, -EINVAL, "\"%s\" is no host's name", host);
	return etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_removed, order, &order->question, error);
}

void fleet_remove(struct fleet *fleet, struct http_call *call, const char *host)
{
	struct fleet_order *order;
	struct error error;
	int err;

	if (!fleet->usable || !mirror_find(&fleet->mirror, FLEET_KEY_MEMBER, host, NULL)) {
		http_reply_error(call, 404, "the fleet has no host \"%s\"", host);
		return;
	}
	order = add_order(fleet, call, "");
	if (!order)
		return;
	err = write_removal(order, host, &error);
	if (err)
		answer_failed(order, status_of(err), error.text);
	else
		wait_for(order);
}

/* ---- a new fleet ---- */

static void on_begun(const struct etcd_result *result, void *arg)
{
	struct fleet_order *order = arg;

	order->question = NULL;
	if (result->error)
		answer_failed(order, 503, result->sentence);
	else if (!result->succeeded)
		answer_failed(order, 409, "somebody else has begun the fleet meanwhile");
	else
		answer(order, true, "begun");
}

static int write_beginning(struct fleet_order *order, const struct fleet_terms *terms, const char *hash_keys,
			   struct error *error)
{
	const struct fleet *fleet = order->fleet;
	char format[FLEET_KEY_LEN], keys[FLEET_KEY_LEN], text[FLEET_TEXT_LEN];
	const struct etcd_compare compare = {.key = fleet_key_text(fleet, FLEET_KEY_FORMAT, NULL, NULL, format),
					     .target = ETCD_CREATE};
	const struct etcd_operation then[] = {
		{.type = ETCD_PUT, .key = format, .value = fleet_terms_format(terms, text)},
		{.type = ETCD_PUT, .key = fleet_key_text(fleet, FLEET_KEY_KEYS, NULL, NULL, keys), .value = hash_keys},
	};
	const struct etcd_txn txn = {.compares = &compare, .compare_count = 1, .then = then, .then_count = 2};

	return etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_begun, order, &order->question, error);
}

void fleet_begin(struct fleet *fleet, struct http_call *call, const struct fleet_terms *terms)
{
	const struct mirror *mirror = &fleet->mirror;
	struct fleet_order *order;
	struct error error;
	char *keys = NULL;
	int err;

	if (!fleet->watch) {
		http_reply_error(call, 503, "%s", *fleet->fault.text ? fleet->fault.text : "etcd has not answered yet");
		return;
	}
	if (mirror->count + mirror->foreign) {
		http_reply_error(call, 409, "there is something in etcd under %s already%s", fleet->settings.prefix,
				 fleet->usable ? ": a fleet" : "");
		return;
	}
	order = add_order(fleet, call, "");
	if (!order)
		return;
	err = fleet_keys_read(&fleet->daemon->options.instance, &keys, &error);
	if (!err)
		err = write_beginning(order, terms, keys, &error);
	free(keys);
	if (err)
		answer_failed(order, status_of(err), error.text);
	else
		wait_for(order);
}
