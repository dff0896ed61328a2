/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What etcd says of a watch, and as an answer: whatever it is, cut anywhere, it is news in order, or refused. The first byte
 * is the size of the pieces that the rest comes in.
 */
#include "fuzz/fuzz.h"
#include "io/etcd_feed.h"

/* Events rise, and none is known already. */
static void check_news(const struct etcd_news *news, __s64 *next)
{
	__s64 last = *next;

	if (news->kind != ETCD_NEWS_EVENTS)
		return;
	for (size_t i = 0; i < news->count; i++) {
		const struct etcd_kv *kv = &news->events[i].kv;

		if (kv->mod_revision < last)
			fuzz_fail("an event of revision %lld comes after one of %lld", kv->mod_revision, last);
		last = kv->mod_revision;
		if (kv->key[kv->key_len] || kv->value[kv->value_len])
			fuzz_fail("no zero is behind a key or value");
	}
	if (news->count && news->revision != last)
		fuzz_fail("all is known up to %lld, but the last event is of %lld", news->revision, last);
	if (news->revision)
		*next = news->revision + 1;
}

/* false: it is no stream of etcd's. */
static bool listen_to(struct etcd_feed *feed, __s64 *next)
{
	struct etcd_news news;

	do {
		news = (struct etcd_news){};
		if (etcd_feed_next(feed, &news))
			return false;
		check_news(&news, next);
		etcd_news_clear(&news);
	} while (news.kind != ETCD_NEWS_NONE);
	return true;
}

static void check_stream(const char *text, size_t size, size_t piece)
{
	struct etcd_feed *feed = etcd_feed_open(1);
	__s64 next = 1;
	bool good = feed;

	for (size_t at = 0; good && at < size; at += piece)
		good = !etcd_feed_add(feed, text + at, at + piece < size ? piece : size - at) && listen_to(feed, &next);
	if (good && !etcd_feed_end(feed))
		listen_to(feed, &next);
	etcd_feed_close(feed);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct etcd_reply reply;

	if (size < 2)
		return 0;
	check_stream(text, size - 1, data[0] + 1U);
	if (!etcd_reply_parse(text, size - 1, &reply))
		etcd_reply_clear(&reply);
	return 0;
}
