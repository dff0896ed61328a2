/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of watches, cut anywhere: what they say, whatever they say. */
/* Before cmocka.h, which makes fail() a macro. */
#include "io/etcd_feed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HEADER(revision) "\"header\":{\"cluster_id\":\"17\",\"member_id\":\"1\",\"revision\":\"" revision "\"}"
#define CREATED "{\"result\":{" HEADER("9") ",\"created\":true}}\n"
#define PUT(key, revision) "{\"kv\":{\"key\":\"" key "\",\"mod_revision\":\"" revision "\",\"value\":\"dg==\"}}"
#define DELETE(key, revision) "{\"type\":\"DELETE\",\"kv\":{\"key\":\"" key "\",\"mod_revision\":\"" revision "\"}}"
#define EVENTS(revision, events) "{\"result\":{" HEADER(revision) ",\"events\":[" events "]}}\n"
#define FRAGMENT(revision, events) "{\"result\":{" HEADER(revision) ",\"events\":[" events "],\"fragment\":true}}\n"
#define PROGRESS(revision) "{\"result\":{" HEADER(revision) "}}\n"

static const char usual[] = CREATED EVENTS("5", PUT("YQ==", "5") "," PUT("Yg==", "5")) "\n" PROGRESS("8")
	FRAGMENT("11", PUT("YQ==", "10") "," DELETE("YQ==", "11")) FRAGMENT("11", DELETE("Yg==", "11"))
		EVENTS("11", DELETE("Yw==", "11"));
static const char usual_said[] = "created 9\n5: a=v 5, b=v 5, \n8: \n11: a=v 10, a- 11, b- 11, c- 11, \n";

static void say(const struct etcd_news *news, char *said, size_t size)
{
	static const char *const kinds[] = {"", "created ", "", "cancelled ", "refused "};
	size_t len = strlen(said);

	len += (size_t)snprintf(said + len, size - len, "%s", kinds[news->kind]);
	if (news->kind == ETCD_NEWS_REFUSED || news->kind == ETCD_NEWS_CANCELLED)
		len += (size_t)snprintf(said + len, size - len, "%d %lld %s", news->refusal.code, news->compacted,
					news->refusal.reason);
	else
		len += (size_t)snprintf(said + len, size - len, "%lld", news->revision);
	if (news->kind == ETCD_NEWS_EVENTS)
		len += (size_t)snprintf(said + len, size - len, ": ");
	for (size_t i = 0; i < news->count; i++) {
		const struct etcd_kv *kv = &news->events[i].kv;

		len += (size_t)snprintf(said + len, size - len, "%s%s%s %lld, ", kv->key,
					news->events[i].deleted ? "-" : "=", kv->value, kv->mod_revision);
	}
	snprintf(said + len, size - len, "\n");
}

/* What is said by then is appended. 0, or the error. */
static int listen_to(struct etcd_feed *feed, char *said, size_t size)
{
	for (;;) {
		struct etcd_news news = {};
		int err = etcd_feed_next(feed, &news);

		if (err || news.kind == ETCD_NEWS_NONE)
			return err;
		say(&news, said, size);
		etcd_news_clear(&news);
	}
}

static void assert_says(const char *text, __s64 next, int error, const char *wanted)
{
	struct etcd_feed *feed = etcd_feed_open(next);
	char said[2048] = "";
	int err;

	assert_int_equal(etcd_feed_add(feed, text, strlen(text)), 0);
	err = listen_to(feed, said, sizeof(said));
	if (!err) {
		assert_int_equal(etcd_feed_end(feed), 0);
		err = listen_to(feed, said, sizeof(said));
	}
	if (err != error || strcmp(said, wanted) != 0)
		fail_msg("%s\nsays (%d)\n%s\nand should say (%d)\n%s", text, err, said, error, wanted);
	etcd_feed_close(feed);
}

static void test_a_stream_says_the_same_wherever_it_is_cut(void **state)
{
	size_t len = strlen(usual);

	(void)state;
	assert_says(usual, 1, 0, usual_said);
	for (size_t cut = 1; cut < len; cut++) {
		struct etcd_feed *feed = etcd_feed_open(1);
		char said[2048] = "";

		/* In two, and in pieces of this size. */
		for (size_t at = 0; at < len; at += cut) {
			assert_int_equal(etcd_feed_add(feed, usual + at, at + cut < len ? cut : len - at), 0);
			assert_int_equal(listen_to(feed, said, sizeof(said)), 0);
		}
		assert_string_equal(said, usual_said);
		etcd_feed_close(feed);
	}
}

static void test_what_is_known_is_not_said_again(void **state)
{
	(void)state;
	assert_says(EVENTS("7", PUT("YQ==", "5") "," PUT("Yg==", "6") "," PUT("Yw==", "7")), 6, 0,
		    "7: b=v 6, c=v 7, \n");
	assert_says(EVENTS("7", PUT("YQ==", "5")) EVENTS("7", PUT("YQ==", "5")), 5, 0, "5: a=v 5, \n0: \n");
	/* A progress that is behind is none. */
	assert_says(PROGRESS("4") PROGRESS("5") PROGRESS("5"), 5, 0, "0: \n5: \n0: \n");
}

static void test_ends_and_refusals(void **state)
{
	(void)state;
	assert_says("{\"result\":{" HEADER("9") ",\"created\":true,\"canceled\":true,\"cancel_reason\":\"etcdserver: "
						"permission denied\"}}\n",
		    1, 0, "cancelled 0 0 permission denied\n");
	assert_says("{\"result\":{" HEADER("9") ",\"canceled\":true,\"compact_revision\":\"12\"}}\n", 1, 0,
		    "cancelled 0 12 it does not say why\n");
	assert_says("{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"etcdserver: no leader\"}}\n", 1, 0,
		    "refused 14 0 no leader\n");
	assert_says("{\"error\":\"etcdserver: invalid auth token\",\"message\":\"etcdserver: invalid auth "
		    "token\",\"code\":16}",
		    1, 0, "refused 16 0 invalid auth token\n");
	/* As version 3.6 has it; and what would move a terminal's cursor. */
	assert_says("{\"code\":16,\"message\":\"a\\u001b[2Jb\\nc\",\"details\":[]}", 1, 0, "refused 16 0 a?[2Jb\n");
}

static void test_what_is_no_stream_of_etcds(void **state)
{
	static const char *const texts[] = {
		"{}\n",
		"[]\n",
		"1\n",
		"{\"result\":1}\n",
		"{\"result\":{}\n",
		"<html>\n",
		"{\"result\":null}\n",
		EVENTS("5", PUT("YQ==", "5") "," PUT("YQ==", "4")),
		EVENTS("5", PUT("YQ==", "0")),
		EVENTS("5", PUT("YQ==", "-1")),
		EVENTS("5", PUT("YQ==", "5x")),
		EVENTS("5", PUT("YQ==", "99999999999999999999")),
		EVENTS("5", PUT("YQ=", "5")),
		EVENTS("5", "{}"),
		EVENTS("5", "1"),
		EVENTS("x", PUT("YQ==", "5")),
		"{\"result\":{\"events\":[{\"kv\":{\"key\":1,\"mod_revision\":\"5\"}}]}}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_says(texts[i], 1, -EBADMSG, "");
	/* Numbers may be numbers, and what is left out is zero. */
	assert_says("{\"result\":{\"events\":[{\"kv\":{\"key\":\"YQ==\",\"mod_revision\":5}}]}}\n", 1, 0,
		    "5: a= 5, \n");
	/* Half a line, when no more comes. */
	assert_says("{\"result\":", 1, -EBADMSG, "");
}

static void test_there_is_a_bound(void **state)
{
	struct etcd_feed *feed = etcd_feed_open(1);
	static char piece[1 << 20];
	char said[64] = "";
	int err = 0;
	size_t i;

	(void)state;
	memset(piece, ' ', sizeof(piece));
	for (i = 0; !err && i < 100; i++)
		err = etcd_feed_add(feed, piece, sizeof(piece));
	assert_int_equal(err, -EMSGSIZE);
	assert_int_equal(i, ETCD_ANSWER_MAX / sizeof(piece) + 1);
	etcd_feed_close(feed);
	/* Fragments that never end. */
	feed = etcd_feed_open(1);
	for (i = 0, err = 0; !err && i < 1000000; i++) {
		err = etcd_feed_add(feed, FRAGMENT("5", PUT("YQ==", "5")), strlen(FRAGMENT("5", PUT("YQ==", "5"))));
		assert_int_equal(listen_to(feed, said, sizeof(said)), 0);
	}
	assert_int_equal(err, -EMSGSIZE);
	assert_string_equal(said, "");
	etcd_feed_close(feed);
	/* What was said takes none of it. */
	feed = etcd_feed_open(1);
	for (i = 0; i < 400000; i++) {
		assert_int_equal(etcd_feed_add(feed, PROGRESS("5"), strlen(PROGRESS("5"))), 0);
		said[0] = '\0';
		assert_int_equal(listen_to(feed, said, sizeof(said)), 0);
	}
	etcd_feed_close(feed);
	etcd_feed_close(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stream_says_the_same_wherever_it_is_cut),
		cmocka_unit_test(test_what_is_known_is_not_said_again),
		cmocka_unit_test(test_ends_and_refusals),
		cmocka_unit_test(test_what_is_no_stream_of_etcds),
		cmocka_unit_test(test_there_is_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
