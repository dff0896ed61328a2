/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a watch's stream says: bytes as they come, cut anywhere, into news. Each line is an answer; one that etcd has cut into
 * fragments is news when its last one is there, so that all of a revision comes at once.
 */
#ifndef IO_ETCD_FEED_H
#define IO_ETCD_FEED_H

#include "io/etcd_json.h"

struct etcd_feed;

enum etcd_news_kind {
	ETCD_NEWS_NONE, /* more bytes are needed */
	ETCD_NEWS_CREATED, /* the watch has begun; revision: of the member */
	ETCD_NEWS_EVENTS, /* of none: there was nothing up to this revision */
	ETCD_NEWS_CANCELLED, /* by etcd: refusal.reason; compacted: the oldest revision there is, or 0 */
	ETCD_NEWS_REFUSED, /* refusal */
};

struct etcd_news {
	enum etcd_news_kind kind;
	__u64 cluster;
	__s64 revision; /* of events: up to here all is known. 0: nothing new is */
	__s64 compacted;
	struct etcd_refusal refusal;
	struct etcd_event *events;
	size_t count;
	char *bytes; /* of the keys and values */
};

/* `next`: events of earlier revisions are left out: they are known. NULL without memory. */
struct etcd_feed *etcd_feed_open(__s64 next);
void etcd_feed_close(struct etcd_feed *feed); /* NULL: nothing */
/* 0; -EMSGSIZE: there are more than ETCD_ANSWER_MAX bytes that are no news yet; -ENOMEM. */
int etcd_feed_add(struct etcd_feed *feed, const char *bytes, size_t len);
/* No more bytes come: what is there is a line. */
int etcd_feed_end(struct etcd_feed *feed);
/* The next news, to be cleared. 0; -EBADMSG: this is no stream of etcd's; -ENOMEM; with *ret untouched. */
int etcd_feed_next(struct etcd_feed *feed, struct etcd_news *ret);
void etcd_news_clear(struct etcd_news *news);

#endif
