/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: on their way to a member, to another one if that fails, and back. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/etcd_private.h"

#define FLYING_MAX 8 /* each has a connection of its own */
#define PROBE_MS (10 * ETCD_ATTEMPT_MS)
#define LOGINS_MAX 2 /* for the same request: the next refusal is the answer */

static const char range_path[] = "/v3/kv/range", txn_path[] = "/v3/kv/txn", grant_path[] = "/v3/lease/grant";
static const char keepalive_path[] = "/v3/lease/keepalive", revoke_path[] = "/v3/lease/revoke";

struct etcd_call {
	struct etcd *etcd;
	struct etcd_call *next, **self;
	const char *path;
	char *body;
	unsigned timeout;
	__s64 deadline;
	bool probe; /* our own: goes before others */
	bool done_calling, cancelled; /* `done` is being called; and cancelled the call meanwhile */
	/* The attempt that is under way. */
	struct http_transfer *transfer;
	unsigned turn;
	size_t member;
	__s64 slow_at; /* when it takes long */
	__s64 floor; /* what was known of the store's revision when it began */
	unsigned login, logins; /* the one that it was sent with; how many were refused */
	/* Of a range: as of when, 0: not known yet; and of one that comes in pages. */
	__s64 revision;
	char *prefix;
	unsigned page;
	bool keys_only;
	etcd_done *done;
	void *arg;
};

static bool is_range(const struct etcd_call *call)
{
	return call->path == range_path;
}

/* What may be done twice without a difference. */
static bool is_repeatable(const struct etcd_call *call)
{
	return is_range(call) || call->path == keepalive_path;
}

/* Answered by what the whole cluster agrees on, and not by what one member has heard of. */
static bool is_linear(const struct etcd_call *call)
{
	return is_range(call) || call->path == txn_path;
}

static void call_free(struct etcd_call *call)
{
	*call->self = call->next;
	if (call->next)
		call->next->self = call->self;
	call->etcd->call_count--;
	http_client_cancel(call->transfer);
	free(call->prefix);
	free(call->body);
	free(call);
}

void etcd_cancel(struct etcd_call *call)
{
	if (!call)
		return;
	if (call->done_calling)
		call->cancelled = true;
	else
		call_free(call);
}

/* false: it is gone, or will be: it was cancelled from there. */
static bool call_back(struct etcd_call *call, const struct etcd_result *result)
{
	call->done_calling = true;
	call->done(result, call->arg);
	call->done_calling = false;
	return !call->cancelled;
}

__attribute__((format(printf, 4, 5))) static void finish(struct etcd_call *call, int code, bool unknown,
							 const char *format, ...)
{
	struct etcd_result result = {.error = code, .unknown = unknown};
	char sentence[sizeof(((struct error *)0)->text)];
	struct error error;
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	fail(&error, code, "%s%s", sentence, unknown ? " (it may have taken effect)" : "");
	result.sentence = error.text;
	call_back(call, &result);
	call_free(call);
}

/* The member was left. Of a write that may have got there, nobody knows. */
static void ask_again(struct etcd_call *call, bool sent, int code, const char *sentence)
{
	if (sent && !is_repeatable(call))
		finish(call, code, true, "%s", sentence);
	else
		etcd_wake(call->etcd);
}

static void take_refusal(struct etcd_call *call, const char *url, const struct etcd_refusal *refusal)
{
	bool current = call->turn == call->etcd->turn;
	struct error error;
	int code = 0;
	const enum etcd_verdict verdict = etcd_judge(refusal, &code);

	fail(&error, 0, "%s: %s", url, refusal->reason);
	switch (verdict) {
	case ETCD_LOGIN_OVER:
		if (!call->etcd->settings.user[0])
			finish(call, -EACCES, false, "%s: it wants to know who asks: give user and password_file",
			       error.text);
		else if (call->logins++ == LOGINS_MAX)
			finish(call, -EACCES, false, "%s", error.text);
		else if (current && call->login == call->etcd->login)
			etcd_login_again(call->etcd);
		break;
	case ETCD_ELSEWHERE:
	case ETCD_UNSURE:
		if (current)
			etcd_leave(call->etcd, "%s", error.text);
		ask_again(call, verdict == ETCD_UNSURE, -ETIMEDOUT, error.text);
		break;
	default:
		if (current)
			etcd_heard(call->etcd);
		finish(call, code, false, "%s", error.text);
	}
}

/* The next page, as of the same revision, from behind the last key of this one: that is the key with a zero behind it. */
static void turn_page(struct etcd_call *call, const struct etcd_reply *reply)
{
	const struct etcd_kv *last = &reply->kvs[reply->kv_count - 1];
	char *body = etcd_range_json(&(struct etcd_range_from){
		.key = last->key,
		.key_len = last->key_len + 1,
		.prefix = call->prefix,
		.revision = call->revision,
		.limit = call->page,
		.keys_only = call->keys_only,
	});

	if (!body) {
		finish(call, -ENOMEM, false, "out of memory");
		return;
	}
	free(call->body);
	call->body = body;
	call->deadline = clock_ms() + call->timeout;
	etcd_wake(call->etcd);
}

static void take_reply(struct etcd_call *call, const struct etcd_reply *reply)
{
	const struct etcd_result result = {
		.sentence = "",
		.revision = call->revision ? call->revision : reply->revision,
		.kvs = reply->kvs,
		.count = reply->kv_count,
		.total = reply->count,
		.more = reply->more && call->page,
		.succeeded = reply->succeeded,
		.answers = reply->answers,
		.answer_count = reply->answer_count,
		.lease = reply->lease,
		.ttl = reply->ttl,
	};

	if (call->path == keepalive_path && !reply->ttl) {
		finish(call, -ENOENT, false, "the lease is over: etcd does not know it any more");
		return;
	}
	if (result.more && !reply->kv_count) {
		finish(call, -EBADMSG, false, "%s: says that there are more keys, and gives none",
		       etcd_url(call->etcd));
		return;
	}
	if (is_range(call))
		call->revision = result.revision;
	if (call_back(call, &result) && result.more)
		turn_page(call, reply);
	else
		call_free(call);
}

static void take_body(struct etcd_call *call, const char *url, const struct http_result *result)
{
	struct etcd *etcd = call->etcd;
	const __s64 floor = is_linear(call) ? call->floor : 0;
	struct etcd_reply reply;
	struct error error;
	int err = etcd_reply_parse(result->body, result->len, &reply);

	if (err) {
		fail(&error, err, "%s: its answer (status %u) makes no sense", url, result->status);
		if (call->turn == etcd->turn)
			etcd_leave(etcd, "%s", error.text);
		ask_again(call, true, err, error.text);
		return;
	}
	if (reply.refused) {
		take_refusal(call, url, &reply.refusal);
	} else if (reply.cluster != etcd->cluster) {
		if (call->turn == etcd->turn)
			etcd_is_ours(etcd, reply.cluster);
		fail(&error, 0, "%s: is of another cluster of etcd", url);
		ask_again(call, true, -EBADMSG, error.text);
	} else {
		if (call->turn == etcd->turn)
			etcd_heard(etcd);
		take_reply(call, &reply);
		/* After it: who is told that watches are lost may cancel any call. */
		etcd_note_revision(etcd, floor, reply.revision);
	}
	etcd_reply_clear(&reply);
}

static void answered(const struct http_result *result, void *arg)
{
	struct etcd_call *call = arg;
	struct etcd *etcd = call->etcd;

	call->transfer = NULL;
	if (result->error == -EMSGSIZE) {
		finish(call, result->error, !is_repeatable(call), "%s", result->sentence);
	} else if (result->error) {
		if (call->turn == etcd->turn)
			etcd_leave_after(etcd, result);
		ask_again(call, result->sent, result->error == -ETIMEDOUT ? -ETIMEDOUT : -ECONNRESET, result->sentence);
	} else {
		take_body(call, etcd->settings.endpoints[call->member], result);
	}
}

static bool start(struct etcd_call *call)
{
	struct etcd *etcd = call->etcd;
	struct http_request request = {
		.json = call->body,
		/* Of all but probes it is the deadline that counts. */
		.timeout = call->probe ? ETCD_ATTEMPT_MS : call->timeout + ETCD_ATTEMPT_MS,
		.limit = ETCD_ANSWER_MAX,
		.once = !is_repeatable(call),
	};
	struct error error;

	call->turn = etcd->turn;
	call->member = etcd->member;
	call->slow_at = call->probe ? INT64_MAX : clock_ms() + ETCD_SLOW_MS;
	call->login = etcd->login;
	call->floor = etcd->revision;
	return !etcd_post(etcd, call->path, &request, answered, call, &call->transfer, &error);
}

static void expire(struct etcd_call *call)
{
	struct etcd *etcd = call->etcd;

	/* It may be the member's fault, or that of little time. */
	if (call->transfer && call->turn == etcd->turn)
		etcd_probe(etcd, "/");
	if (call->transfer)
		finish(call, -ETIMEDOUT, !is_repeatable(call), "%s: did not answer within %u ms",
		       etcd->settings.endpoints[call->member], call->timeout);
	else if (etcd->stage == ETCD_CONNECTED)
		finish(call, -ETIMEDOUT, false, "etcd was not asked within %u ms: too much was before it",
		       call->timeout);
	else
		finish(call, -ETIMEDOUT, false, "no member of etcd answered within %u ms%s%s", call->timeout,
		       etcd->why.text[0] ? ": " : "", etcd->why.text);
}

/* One that is over, if there is any: calling back may change the list. */
static struct etcd_call *find_over(const struct etcd *etcd, __s64 now)
{
	struct etcd_call *call = etcd->calls;

	while (call && now < call->deadline)
		call = call->next;
	return call;
}

static bool is_flying(const struct etcd_call *call)
{
	return call->transfer && call->turn == call->etcd->turn;
}

void etcd_calls_run(struct etcd *etcd)
{
	__s64 now = clock_ms();
	struct etcd_call *call;
	unsigned flying = 0;

	while ((call = find_over(etcd, now)))
		expire(call);
	if (etcd->stage != ETCD_CONNECTED)
		return;
	for (call = etcd->calls; call; call = call->next) {
		flying += is_flying(call);
		if (is_flying(call) && now >= call->slow_at) {
			call->slow_at = now + ETCD_SLOW_MS;
			etcd_probe(etcd, "/");
		}
	}
	for (call = etcd->calls; call; call = call->next)
		if (!call->transfer && (flying < FLYING_MAX || call->probe))
			flying += start(call);
}

__s64 etcd_calls_due(const struct etcd *etcd)
{
	__s64 due = INT64_MAX;

	for (const struct etcd_call *call = etcd->calls; call; call = call->next) {
		due = call->deadline < due ? call->deadline : due;
		due = is_flying(call) && call->slow_at < due ? call->slow_at : due;
	}
	return due;
}

void etcd_calls_leave(struct etcd *etcd)
{
	for (struct etcd_call *call = etcd->calls; call; call = call->next) {
		if (!is_repeatable(call))
			continue;
		http_client_cancel(call->transfer);
		call->transfer = NULL;
	}
}

void etcd_calls_close(struct etcd *etcd)
{
	while (etcd->calls)
		call_free(etcd->calls);
}

/* Appends a call. The body is its own whatever comes; NULL: there was no memory for it. */
static int call_add(struct etcd *etcd, const struct etcd_call *model, struct etcd_call **ret, struct error *error)
{
	struct etcd_call *call = model->body ? malloc(sizeof(*call)) : NULL, **end = &etcd->calls;

	if (!call || etcd->call_count == ETCD_CALLS_MAX) {
		bool full = call;

		free(call);
		free(model->body);
		free(model->prefix);
		return full ? fail(error, -EBUSY, "%d requests to etcd are under way already", ETCD_CALLS_MAX)
			    : fail(error, -ENOMEM, "out of memory");
	}
	*call = *model;
	call->etcd = etcd;
	call->deadline = clock_ms() + call->timeout;
	while (*end)
		end = &(*end)->next;
	call->self = end;
	*end = call;
	etcd->call_count++;
	if (ret)
		*ret = call;
	etcd_wake(etcd);
	return 0;
}

int etcd_range(struct etcd *etcd, const struct etcd_range *range, unsigned timeout, etcd_done *done, void *arg,
	       struct etcd_call **ret, struct error *error)
{
	struct etcd_call call = {
		.path = range_path,
		.timeout = timeout,
		.revision = range->revision,
		.prefix = range->prefix ? strdup(range->key) : NULL,
		.page = range->page,
		.keys_only = range->keys_only,
		.done = done,
		.arg = arg,
	};

	if (!range->prefix && !range->key[0])
		return fail(error, -EINVAL, "a key has at least one character");
	if (!range->prefix || call.prefix)
		call.body = etcd_range_json(&(struct etcd_range_from){
			.key = range->key,
			.key_len = strlen(range->key),
			.prefix = call.prefix,
			.revision = range->revision,
			.limit = range->page,
			.keys_only = range->keys_only,
		});
	return call_add(etcd, &call, ret, error);
}

int etcd_txn(struct etcd *etcd, const struct etcd_txn *txn, unsigned timeout, etcd_done *done, void *arg,
	     struct etcd_call **ret, struct error *error)
{
	const struct etcd_call call = {
		.path = txn_path, .body = etcd_txn_json(txn), .timeout = timeout, .done = done, .arg = arg};

	return call_add(etcd, &call, ret, error);
}

int etcd_put(struct etcd *etcd, const char *key, const char *value, __s64 lease, unsigned timeout, etcd_done *done,
	     void *arg, struct etcd_call **ret, struct error *error)
{
	const struct etcd_operation put = {.type = ETCD_PUT, .key = key, .value = value, .lease = lease};

	return etcd_txn(etcd, &(struct etcd_txn){.then = &put, .then_count = 1}, timeout, done, arg, ret, error);
}

int etcd_lease_grant(struct etcd *etcd, __s64 ttl, unsigned timeout, etcd_done *done, void *arg, struct etcd_call **ret,
		     struct error *error)
{
	const struct etcd_call call = {
		.path = grant_path, .body = etcd_grant_json(ttl), .timeout = timeout, .done = done, .arg = arg};

	return call_add(etcd, &call, ret, error);
}

int etcd_lease_keepalive(struct etcd *etcd, __s64 lease, unsigned timeout, etcd_done *done, void *arg,
			 struct etcd_call **ret, struct error *error)
{
	const struct etcd_call call = {
		.path = keepalive_path, .body = etcd_lease_json(lease), .timeout = timeout, .done = done, .arg = arg};

	return call_add(etcd, &call, ret, error);
}

int etcd_lease_revoke(struct etcd *etcd, __s64 lease, unsigned timeout, etcd_done *done, void *arg,
		      struct etcd_call **ret, struct error *error)
{
	const struct etcd_call call = {
		.path = revoke_path, .body = etcd_lease_json(lease), .timeout = timeout, .done = done, .arg = arg};

	return call_add(etcd, &call, ret, error);
}

static void probed(const struct etcd_result *result, void *arg)
{
	struct etcd *etcd = arg;

	(void)result;
	etcd->probing = false;
}

void etcd_probe(struct etcd *etcd, const char *key)
{
	const struct etcd_range range = {.key = key[0] ? key : "/", .keys_only = true};
	struct etcd_call *call;
	struct error error;

	etcd->probe_due = clock_ms() + ETCD_SILENCE_MS;
	if (etcd->probing)
		return;
	/* For longer than an attempt: a member that does not answer it is left. */
	if (!etcd_range(etcd, &range, PROBE_MS, probed, etcd, &call, &error))
		etcd->probing = call->probe = true;
}
