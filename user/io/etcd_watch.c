/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: streams that go on from where they were at another member, with nothing missed and nothing told twice. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/etcd_private.h"

struct etcd_watch {
	struct etcd *etcd;
	struct etcd_watch *next, **self;
	char *prefix;
	__s64 revision; /* the next that is to be told */
	const struct etcd_watcher *watcher;
	void *arg;
	bool calling, cancelled; /* it is being called back; and was cancelled from there */
	/* The stream. */
	struct http_transfer *transfer;
	struct etcd_feed *feed; /* NULL: none was asked for */
	__s64 created_by; /* when it has to have begun; INT64_MAX: it has */
	bool logged_in_again; /* since it began the last time */
	bool outdated; /* the store has gone back behind it */
	/* The stream is over: why. */
	bool ended;
	int error;
	struct error why;
};

static void stream_close(struct etcd_watch *watch)
{
	http_client_cancel(watch->transfer);
	watch->transfer = NULL;
	etcd_feed_close(watch->feed);
	watch->feed = NULL;
	watch->ended = false;
}

static void watch_free(struct etcd_watch *watch)
{
	stream_close(watch);
	*watch->self = watch->next;
	if (watch->next)
		watch->next->self = watch->self;
	free(watch->prefix);
	free(watch);
}

void etcd_watch_cancel(struct etcd_watch *watch)
{
	if (!watch)
		return;
	if (watch->calling)
		watch->cancelled = true;
	else
		watch_free(watch);
}

__attribute__((format(printf, 3, 4))) static void lose(struct etcd_watch *watch, int code, const char *format, ...)
{
	char sentence[sizeof(((struct error *)0)->text)];
	struct error error;
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	fail(&error, code, "%s", sentence);
	watch->outdated = false;
	watch->calling = true;
	watch->watcher->lost(code, error.text, watch->arg);
	watch_free(watch);
}

int etcd_watch(struct etcd *etcd, const char *prefix, __s64 revision, const struct etcd_watcher *watcher, void *arg,
	       struct etcd_watch **ret, struct error *error)
{
	struct etcd_watch *watch;

	if (revision < 1)
		return fail(error, -EINVAL, "a watch begins at a revision of 1 or more");
	watch = calloc(1, sizeof(*watch));
	if (watch)
		watch->prefix = strdup(prefix);
	if (!watch || !watch->prefix) {
		free(watch);
		return fail(error, -ENOMEM, "out of memory");
	}
	watch->etcd = etcd;
	watch->revision = revision;
	watch->watcher = watcher;
	watch->arg = arg;
	watch->self = &etcd->watches;
	watch->next = etcd->watches;
	if (watch->next)
		watch->next->self = &watch->next;
	etcd->watches = watch;
	if (ret)
		*ret = watch;
	etcd_wake(etcd);
	return 0;
}

static bool take(const char *bytes, size_t len, void *arg)
{
	struct etcd_watch *watch = arg;

	return !etcd_feed_add(watch->feed, bytes, len);
}

/* What it said before that is looked at first. */
static void ended(const struct http_result *result, void *arg)
{
	struct etcd_watch *watch = arg;

	watch->transfer = NULL;
	watch->ended = true;
	watch->error = result->error;
	if (result->error)
		fail(&watch->why, 0, "%s", result->sentence);
	else
		fail(&watch->why, 0, "%s: ended the watch (status %u)", etcd_url(watch->etcd), result->status);
	etcd_feed_end(watch->feed);
}

static void stream_open(struct etcd_watch *watch)
{
	struct http_request request = {.take = take};
	struct error error = {.text = "out of memory"};
	char *body = etcd_watch_json(watch->prefix, watch->revision);

	request.json = body;
	watch->feed = etcd_feed_open(watch->revision);
	watch->created_by = clock_ms() + ETCD_ATTEMPT_MS;
	if (!body || !watch->feed ||
	    etcd_post(watch->etcd, "/v3/watch", &request, ended, watch, &watch->transfer, &error))
		etcd_leave(watch->etcd, "%s", error.text);
	free(body);
}

/* Some versions refuse a watch with a token that is over as if its user might not: with a new one it is known. */
static void take_denial(struct etcd_watch *watch, const char *reason)
{
	struct etcd *etcd = watch->etcd;

	if (!etcd->settings.user[0] || watch->logged_in_again) {
		lose(watch, -EACCES, "%s: does not let us watch %s: %s", etcd_url(etcd), watch->prefix, reason);
		return;
	}
	stream_close(watch);
	watch->logged_in_again = true;
	etcd_login_again(etcd);
}

static void take_refusal(struct etcd_watch *watch, const struct etcd_refusal *refusal)
{
	struct etcd *etcd = watch->etcd;
	int code = 0;

	switch (etcd_judge(refusal, &code)) {
	case ETCD_LOGIN_OVER:
		take_denial(watch, refusal->reason);
		break;
	case ETCD_REFUSED:
		lose(watch, code, "%s: ended the watch: %s", etcd_url(etcd), refusal->reason);
		break;
	default:
		etcd_leave(etcd, "%s: ended the watch: %s", etcd_url(etcd), refusal->reason);
	}
}

static void take_cancellation(struct etcd_watch *watch, const struct etcd_news *news)
{
	if (news->compacted)
		lose(watch, -ESTALE, "what etcd had at revision %" PRId64 " is compacted, up to %" PRId64,
		     (int64_t)watch->revision, (int64_t)news->compacted);
	else if (strstr(news->refusal.reason, "invalid auth token") ||
		 strstr(news->refusal.reason, "permission denied"))
		take_denial(watch, news->refusal.reason);
	else
		lose(watch, -EREMOTEIO, "%s: ended the watch: %s", etcd_url(watch->etcd), news->refusal.reason);
}

static void take_events(struct etcd_watch *watch, const struct etcd_news *news)
{
	if (!news->revision)
		return;
	watch->revision = news->revision + 1;
	etcd_note_revision(watch->etcd, 0, news->revision);
	watch->calling = true;
	watch->watcher->events(news->events, news->count, news->revision, watch->arg);
	watch->calling = false;
	if (watch->cancelled)
		watch_free(watch);
}

static void take_news(struct etcd_watch *watch, const struct etcd_news *news)
{
	struct etcd *etcd = watch->etcd;

	if (news->kind != ETCD_NEWS_REFUSED && !etcd_is_ours(etcd, news->cluster))
		return;
	switch (news->kind) {
	case ETCD_NEWS_REFUSED:
		take_refusal(watch, &news->refusal);
		break;
	case ETCD_NEWS_CANCELLED:
		take_cancellation(watch, news);
		break;
	case ETCD_NEWS_CREATED:
		watch->created_by = INT64_MAX;
		watch->logged_in_again = false;
		etcd_heard(etcd);
		/* One that is behind others, or gone back to an earlier state, would be silent. */
		etcd_probe(etcd, watch->prefix);
		break;
	default:
		etcd_heard(etcd);
		take_events(watch, news);
	}
}

/* Looks at one thing that came. false: there is nothing. */
static bool turn_to(struct etcd_watch *watch)
{
	struct etcd_news news = {};
	int err = watch->feed ? etcd_feed_next(watch->feed, &news) : 0;

	if (err)
		etcd_leave(watch->etcd, "%s: what it says of a watch makes no sense", etcd_url(watch->etcd));
	else if (news.kind != ETCD_NEWS_NONE)
		take_news(watch, &news);
	else if (watch->ended && watch->error == -EMSGSIZE)
		lose(watch, -EMSGSIZE, "%s: more happened at once than can be taken in", etcd_url(watch->etcd));
	else if (watch->ended)
		etcd_leave(watch->etcd, "%s", watch->why.text);
	else
		return false;
	etcd_news_clear(&news);
	return true;
}

/* Calling back may change the list: it is gone through from its beginning then. */
static bool turn_to_one(struct etcd *etcd)
{
	for (struct etcd_watch *watch = etcd->watches; watch; watch = watch->next)
		if (turn_to(watch))
			return true;
	return false;
}

void etcd_watches_run(struct etcd *etcd)
{
	__s64 now = clock_ms();

	while (turn_to_one(etcd))
		continue;
	for (struct etcd_watch *watch = etcd->watches; watch && etcd->stage == ETCD_CONNECTED; watch = watch->next) {
		if (!watch->feed)
			stream_open(watch);
		else if (now >= watch->created_by)
			etcd_leave(etcd, "%s: did not begin a watch within %d ms", etcd_url(etcd), ETCD_ATTEMPT_MS);
	}
	if (etcd->watches && etcd->stage == ETCD_CONNECTED && now >= etcd->probe_due)
		etcd_probe(etcd, etcd->watches->prefix);
}

__s64 etcd_watches_due(const struct etcd *etcd)
{
	__s64 due = INT64_MAX;

	for (const struct etcd_watch *watch = etcd->watches; watch; watch = watch->next)
		if (watch->feed && watch->created_by < due)
			due = watch->created_by;
	if (etcd->watches && etcd->stage == ETCD_CONNECTED && etcd->probe_due < due)
		due = etcd->probe_due;
	return due;
}

void etcd_watches_leave(struct etcd *etcd)
{
	for (struct etcd_watch *watch = etcd->watches; watch; watch = watch->next)
		stream_close(watch);
}

static struct etcd_watch *find_outdated(const struct etcd *etcd)
{
	struct etcd_watch *watch = etcd->watches;

	while (watch && !watch->outdated)
		watch = watch->next;
	return watch;
}

void etcd_watches_went_back(struct etcd *etcd, __s64 revision)
{
	struct etcd_watch *watch;

	for (watch = etcd->watches; watch; watch = watch->next)
		watch->outdated = watch->revision > revision + 1;
	while ((watch = find_outdated(etcd)))
		lose(watch, -ESTALE,
		     "etcd is at revision %" PRId64 ", and was at %" PRId64
		     " or a later one: it has gone back, to a backup perhaps",
		     (int64_t)revision, (int64_t)watch->revision - 1);
}

void etcd_watches_close(struct etcd *etcd)
{
	while (etcd->watches)
		watch_free(etcd->watches);
}
