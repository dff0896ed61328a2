/* SPDX-License-Identifier: Apache-2.0 */
/* What etcd is asked and what it answers, as its JSON gateway has them. */
/* Before cmocka.h, which makes fail() a macro. */
#include "io/etcd_private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_text(char *text, const char *wanted)
{
	assert_string_equal(text, wanted);
	free(text);
}

static void test_ranges_are_asked_for(void **state)
{
	(void)state;
	assert_text(etcd_range_json(&(struct etcd_range_from){.key = "/a", .key_len = 2}),
		    "{\"key\":\"L2E=\",\"revision\":\"0\",\"limit\":\"0\",\"keys_only\":false}");
	/* "/a/" up to "/a0"; from a key with a zero behind it. */
	assert_text(etcd_range_json(&(struct etcd_range_from){"/a/b", 5, "/a/", 7, 100, true}),
		    "{\"key\":\"L2EvYgA=\",\"range_end\":\"L2Ew\",\"revision\":\"7\",\"limit\":\"100\",\"keys_only\":"
		    "true}");
	/* All there is; and all behind a prefix that has no next. */
	assert_text(etcd_range_json(&(struct etcd_range_from){.key = "", .prefix = ""}),
		    "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"revision\":\"0\",\"limit\":\"0\",\"keys_only\":false}");
	assert_text(etcd_range_json(&(struct etcd_range_from){.key = "\xff", .key_len = 1, .prefix = "\xff"}),
		    "{\"key\":\"/w==\",\"range_end\":\"AA==\",\"revision\":\"0\",\"limit\":\"0\",\"keys_only\":false}");
	assert_text(etcd_range_json(&(struct etcd_range_from){.key = "a\xff", .key_len = 2, .prefix = "a\xff"}),
		    "{\"key\":\"Yf8=\",\"range_end\":\"Yg==\",\"revision\":\"0\",\"limit\":\"0\",\"keys_only\":false}");
}

static void test_the_rest_is_asked_for(void **state)
{
	const struct etcd_compare compares[] = {{"/a", ETCD_MOD, ETCD_EQUAL, 9007199254740993, NULL},
						{"/b", ETCD_VALUE, ETCD_NOT_EQUAL, 0, "v"}};
	const struct etcd_operation then[] = {{.type = ETCD_PUT, .key = "/a", .value = "v", .lease = 77},
					      {.type = ETCD_DELETE, .key = "/b", .prefix = true}};
	const struct etcd_operation otherwise = {.type = ETCD_RANGE, .key = "/a"};

	(void)state;
	assert_text(etcd_txn_json(&(struct etcd_txn){compares, 2, then, &otherwise, 2, 1}),
		    "{\"compare\":[{\"key\":\"L2E=\",\"target\":\"MOD\",\"result\":\"EQUAL\","
		    "\"mod_revision\":\"9007199254740993\"},"
		    "{\"key\":\"L2I=\",\"target\":\"VALUE\",\"result\":\"NOT_EQUAL\",\"value\":\"dg==\"}],"
		    "\"success\":[{\"request_put\":{\"key\":\"L2E=\",\"value\":\"dg==\",\"lease\":\"77\"}},"
		    "{\"request_delete_range\":{\"key\":\"L2I=\",\"range_end\":\"L2M=\"}}],"
		    "\"failure\":[{\"request_range\":{\"key\":\"L2E=\"}}]}");
	assert_text(etcd_grant_json(10), "{\"TTL\":\"10\"}");
	assert_text(etcd_lease_json(77), "{\"ID\":\"77\"}");
	assert_text(etcd_watch_json("/a/", 8),
		    "{\"create_request\":{\"key\":\"L2Ev\",\"range_end\":\"L2Ew\",\"start_revision\":\"8\","
		    "\"progress_notify\":true,\"fragment\":true}}");
	assert_text(etcd_login_json("me", "\"x\""), "{\"name\":\"me\",\"password\":\"\\\"x\\\"\"}");
	assert_null(etcd_login_json("me", "\xff"));
}

#define HEADER "\"header\":{\"cluster_id\":\"14841639068965178418\",\"revision\":\"9\"}"

static void test_answers_are_taken_apart(void **state)
{
	static const char text[] =
		"{" HEADER
		",\"succeeded\":true,\"more\":true,\"count\":\"7\",\"leader\":\"3\",\"ID\":\"77\",\"TTL\":\"5\","
		"\"token\":\"t\",\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"2\",\"mod_revision\":\"3\","
		"\"version\":\"2\","
		"\"value\":\"AGI=\",\"lease\":\"77\"}],\"responses\":[{\"response_put\":{}},{\"response_range\":{"
		"\"kvs\":["
		"{\"key\":\"Yg==\"},{\"key\":\"Yw==\",\"value\":\"dg==\"}]}},{\"response_delete_range\":{\"deleted\":"
		"\"4\"}}]}";
	struct etcd_reply reply;

	(void)state;
	assert_int_equal(etcd_reply_parse(text, strlen(text), &reply), 0);
	assert_true(reply.cluster == 14841639068965178418U && reply.revision == 9 && reply.leader == 3);
	assert_true(reply.succeeded && reply.more && !reply.refused);
	assert_true(reply.count == 7 && reply.lease == 77 && reply.ttl == 5);
	assert_string_equal(reply.token, "t");
	assert_int_equal(reply.kv_count, 1);
	assert_true(reply.kvs[0].create_revision == 2 && reply.kvs[0].mod_revision == 3 && reply.kvs[0].version == 2 &&
		    reply.kvs[0].lease == 77);
	assert_string_equal(reply.kvs[0].key, "a");
	assert_int_equal(reply.kvs[0].value_len, 2);
	assert_memory_equal(reply.kvs[0].value, "\0b", 3);
	assert_int_equal(reply.answer_count, 3);
	assert_int_equal(reply.answers[1].count, 2);
	assert_string_equal(reply.answers[1].kvs[1].key, "c");
	assert_string_equal(reply.answers[1].kvs[1].value, "v");
	assert_int_equal(reply.answers[2].deleted, 4);
	etcd_reply_clear(&reply);
}

static void test_what_is_no_answer_is_none(void **state)
{
	static const char *const texts[] = {"",
					    "x",
					    "[]",
					    "1",
					    "{",
					    "{\"count\":\"x\"}",
					    "{\"count\":true}",
					    "{\"count\":\"1-\"}",
					    "{\"count\":\"\"}",
					    "{\"kvs\":{}}",
					    "{\"kvs\":[1]}",
					    "{\"kvs\":[{\"key\":\"YQ\"}]}",
					    "{\"kvs\":[{\"key\":7}]}",
					    "{\"responses\":[{\"response_range\":{\"kvs\":[{\"lease\":\"x\"}]}}]}",
					    "{\"header\":{\"revision\":\"9e9\"}}"};
	struct etcd_reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (etcd_reply_parse(texts[i], strlen(texts[i]), &reply) != -EBADMSG)
			fail_msg("%s is taken", texts[i]);
}

static void test_refusals_mean_something(void **state)
{
	static const struct {
		int code;
		const char *reason;
		enum etcd_verdict verdict;
		int error;
	} cases[] = {
		{16, "invalid auth token", ETCD_LOGIN_OVER, -EACCES},
		{3, "user name is empty", ETCD_LOGIN_OVER, -EACCES},
		{3, "key is not provided", ETCD_REFUSED, -EREMOTEIO},
		{7, "permission denied", ETCD_REFUSED, -EACCES},
		{14, "no leader", ETCD_ELSEWHERE, -ETIMEDOUT},
		{14, "request timed out", ETCD_UNSURE, -ETIMEDOUT},
		{8, "too many requests", ETCD_ELSEWHERE, -ETIMEDOUT},
		{8, "mvcc: database space exceeded", ETCD_REFUSED, -ENOSPC},
		{11, "mvcc: required revision has been compacted", ETCD_REFUSED, -ESTALE},
		{11, "mvcc: required revision is a future revision", ETCD_REFUSED, -ERANGE},
		{5, "requested lease not found", ETCD_REFUSED, -ENOENT},
		{0, "", ETCD_REFUSED, -EREMOTEIO},
		{-1, "", ETCD_REFUSED, -EREMOTEIO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct etcd_refusal refusal = {.code = cases[i].code};
		int error = 0;

		strcpy(refusal.reason, cases[i].reason);
		assert_int_equal(etcd_judge(&refusal, &error), cases[i].verdict);
		assert_int_equal(error, cases[i].error);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_asked_for),	cmocka_unit_test(test_the_rest_is_asked_for),
		cmocka_unit_test(test_answers_are_taken_apart), cmocka_unit_test(test_what_is_no_answer_is_none),
		cmocka_unit_test(test_refusals_mean_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
