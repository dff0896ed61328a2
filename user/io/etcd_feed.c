/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 4096

struct etcd_feed {
	__s64 next;
	/* Bytes that are no line yet, or whose line was not looked at. */
	char *text;
	size_t begin, len, room; /* from begin up to len */
	size_t searched; /* up to here is no end of a line */
	/* Fragments of an answer whose last one is to come, and how many bytes they had. */
	json_t *fragments;
	size_t fragments_len;
};

struct etcd_feed *etcd_feed_open(__s64 next)
{
	struct etcd_feed *feed = calloc(1, sizeof(*feed));

	if (!feed)
		return NULL;
	feed->next = next;
	feed->fragments = json_array();
	if (!feed->fragments) {
		free(feed);
		return NULL;
	}
	return feed;
}

void etcd_feed_close(struct etcd_feed *feed)
{
	if (!feed)
		return;
	json_decref(feed->fragments);
	free(feed->text);
	free(feed);
}

static int make_room(struct etcd_feed *feed, size_t len)
{
	size_t room = feed->room ? feed->room : ROOM_MIN;
	char *text;

	if (feed->begin)
		memmove(feed->text, feed->text + feed->begin, feed->len - feed->begin);
	feed->len -= feed->begin;
	feed->searched -= feed->begin;
	feed->begin = 0;
	while (room < feed->len + len)
		room *= 2;
	if (room == feed->room)
		return 0;
	text = realloc(feed->text, room);
	if (!text)
		return -ENOMEM;
	feed->text = text;
	feed->room = room;
	return 0;
}

int etcd_feed_add(struct etcd_feed *feed, const char *bytes, size_t len)
{
	if (feed->len - feed->begin + feed->fragments_len + len > ETCD_ANSWER_MAX)
		return -EMSGSIZE;
	if (feed->len + len > feed->room && make_room(feed, len))
		return -ENOMEM;
	memcpy(feed->text + feed->len, bytes, len);
	feed->len += len;
	return 0;
}

int etcd_feed_end(struct etcd_feed *feed)
{
	return feed->begin < feed->len ? etcd_feed_add(feed, "\n", 1) : 0;
}

/* NULL: there is none yet. An empty line is none. */
static const char *next_line(struct etcd_feed *feed, size_t *ret_len)
{
	while (feed->searched < feed->len) {
		const char *line = feed->text + feed->begin;
		const char *end = memchr(feed->text + feed->searched, '\n', feed->len - feed->searched);

		if (!end) {
			feed->searched = feed->len;
			return NULL;
		}
		feed->begin = feed->searched = (size_t)(end - feed->text) + 1;
		*ret_len = (size_t)(end - line);
		if (*ret_len)
			return line;
	}
	return NULL;
}

static int take_event(const json_t *json, char **bytes, struct etcd_event *ret)
{
	const char *type = json_string_value(json_object_get(json, "type"));

	ret->deleted = type && !strcmp(type, "DELETE");
	return etcd_take_kv(json_object_get(json, "kv"), bytes, &ret->kv);
}

static size_t count_events(const json_t *fragments)
{
	const json_t *fragment;
	size_t count = 0, i;

	json_array_foreach (fragments, i, fragment)
		count += json_array_size(json_object_get(fragment, "events"));
	return count;
}

/* Those that are new, in order: a revision that is less than the one before is no answer of etcd's. */
static int take_events(struct etcd_feed *feed, const json_t *events, char **bytes, struct etcd_news *news)
{
	const json_t *json;
	size_t i;

	json_array_foreach (events, i, json) {
		struct etcd_event *event = &news->events[news->count];
		int err = take_event(json, bytes, event);

		if (err || event->kv.mod_revision <= 0 || event->kv.mod_revision < news->revision)
			return -EBADMSG;
		if (event->kv.mod_revision < feed->next)
			continue;
		news->revision = event->kv.mod_revision;
		news->count++;
	}
	return 0;
}

/* The answer whose last fragment has come. */
static int take_answer(struct etcd_feed *feed, struct etcd_news *news)
{
	const json_t *fragment;
	char *bytes;
	size_t i;
	int err = 0;

	news->kind = ETCD_NEWS_EVENTS;
	news->bytes = bytes = malloc(feed->fragments_len + 1);
	news->events = calloc(count_events(feed->fragments) + 1, sizeof(*news->events));
	if (!news->bytes || !news->events)
		return -ENOMEM;
	json_array_foreach (feed->fragments, i, fragment) {
		if (!err)
			err = take_events(feed, json_object_get(fragment, "events"), &bytes, news);
	}
	json_array_clear(feed->fragments);
	feed->fragments_len = 0;
	if (!err && news->revision)
		feed->next = news->revision + 1;
	return err;
}

/* Of an answer without events, the header's revision is that up to which nothing happened. */
static void take_progress(struct etcd_feed *feed, __s64 revision, struct etcd_news *news)
{
	news->kind = ETCD_NEWS_EVENTS;
	if (revision < feed->next)
		return;
	news->revision = revision;
	feed->next = revision + 1;
}

static int take_result(struct etcd_feed *feed, json_t *result, size_t len, struct etcd_news *news)
{
	const char *reason = json_string_value(json_object_get(result, "cancel_reason"));
	__s64 revision = 0;
	int err = json_is_object(result) ? etcd_take_header(result, &news->cluster, &revision) : -EBADMSG;

	if (!err)
		err = etcd_take_number(result, "compact_revision", &news->compacted);
	if (err)
		return err;
	/* Of one that is refused at once, both are said. */
	if (json_is_true(json_object_get(result, "canceled"))) {
		news->kind = ETCD_NEWS_CANCELLED;
		etcd_take_reason(reason ? reason : "it does not say why", news->refusal.reason);
		return 0;
	}
	if (json_is_true(json_object_get(result, "created"))) {
		news->kind = ETCD_NEWS_CREATED;
		news->revision = revision;
		return 0;
	}
	if (!json_object_get(result, "events") && !json_array_size(feed->fragments)) {
		take_progress(feed, revision, news);
		return 0;
	}
	if (json_array_append(feed->fragments, result))
		return -ENOMEM;
	feed->fragments_len += len;
	return json_is_true(json_object_get(result, "fragment")) ? 0 : take_answer(feed, news);
}

static int take_line(struct etcd_feed *feed, const char *line, size_t len, struct etcd_news *news)
{
	json_t *json = json_loadb(line, len, 0, NULL);
	int err = 0;

	if (json_is_object(json) && etcd_take_refusal(json, &news->refusal))
		news->kind = ETCD_NEWS_REFUSED;
	else
		err = json ? take_result(feed, json_object_get(json, "result"), len, news) : -EBADMSG;
	json_decref(json);
	return err;
}

int etcd_feed_next(struct etcd_feed *feed, struct etcd_news *ret)
{
	struct etcd_news news = {};
	const char *line;
	size_t len;
	int err = 0;

	while (!err && news.kind == ETCD_NEWS_NONE && (line = next_line(feed, &len)))
		err = take_line(feed, line, len, &news);
	if (err)
		etcd_news_clear(&news);
	else
		*ret = news;
	return err;
}

void etcd_news_clear(struct etcd_news *news)
{
	free(news->events);
	free(news->bytes);
	*news = (struct etcd_news){};
}
