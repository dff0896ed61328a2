/* SPDX-License-Identifier: Apache-2.0 */
/* Calls and watches, at a real cluster of three members that are killed, stopped and brought back. Runs first: it takes long. */
#include "lib_etcd.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT 30000 /* ms: long enough on any machine */

static struct test_client client;
static int tests_begun;
static char prefix[16]; /* of the test's own keys */

static int start_group(void **state)
{
	if (etcd_set_up(state))
		return -1;
	cluster_start(1, 3, "http", "");
	return 0;
}

static int start(void **state)
{
	const struct etcd_settings settings = settings_of("http", 1, 3);

	(void)state;
	for (int i = 1; i <= 3; i++)
		member_revive(i);
	snprintf(prefix, sizeof(prefix), "/w%d/", ++tests_begun);
	client_open(&client, &settings, 0);
	drive_until(&client, &client.changes, 1, WAIT);
	while (!client.connected)
		drive_for(&client, 100);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_close(&client);
	return 0;
}

static int used(void)
{
	return member_of(etcd_member(client.etcd));
}

/* Another than the one that is used. */
static int unused(void)
{
	return used() % 3 + 1;
}

static void test_values_are_written_and_read(void **state)
{
	struct outcome outcome;

	(void)state;
	outcome = ask_get(&client, "/t/nothing");
	assert_done(outcome);
	assert_int_equal(outcome.keys, 0);
	assert_true(outcome.revision > 0);
	assert_true(etcd_cluster(client.etcd) != 0);
	outcome = ask_put(&client, "/t/a", "{\"weight\": \"5 %\"}");
	assert_done(outcome);
	assert_true(outcome.result.succeeded);
	outcome = ask_get(&client, "/t/a");
	assert_done(outcome);
	assert_int_equal(outcome.keys, 1);
	assert_string_equal(outcome.values_shown[0], "{\"weight\": \"5 %\"}");
	assert_int_equal(outcome.mod_revision, outcome.revision);
	/* As etcd's own tool sees it, and writes it. */
	run(CTL "get --print-value-only /t/a | grep -qxF '{\"weight\": \"5 %%\"}'", port_of(1));
	run(CTL "put /t/b '' >/dev/null && " CTL "put /t/ü x >/dev/null", port_of(2), port_of(3));
	outcome = ask_range(&client, &(struct etcd_range){.key = "/t/", .prefix = true}, WAIT);
	assert_done(outcome);
	assert_int_equal(outcome.keys, 3);
	assert_string_equal(outcome.keys_shown[1], "/t/b");
	assert_string_equal(outcome.values_shown[1], "");
	assert_string_equal(outcome.keys_shown[2], "/t/ü");
	outcome = ask_range(&client, &(struct etcd_range){.key = "", .prefix = true, .keys_only = true}, WAIT);
	assert_done(outcome);
	assert_int_equal(outcome.keys, 3);
	assert_string_equal(outcome.values_shown[0], "");
}

static struct outcome swap(const char *key, enum etcd_target target, __s64 number, const char *value, const char *put)
{
	const struct etcd_compare compare = {key, target, ETCD_EQUAL, number, value};
	const struct etcd_operation then[] = {{.type = ETCD_PUT, .key = key, .value = put},
					      {.type = ETCD_DELETE, .key = "/x/del/", .prefix = true},
					      {.type = ETCD_RANGE, .key = key}};
	const struct etcd_operation otherwise = {.type = ETCD_RANGE, .key = key};

	return ask_txn(&client, &(struct etcd_txn){&compare, 1, then, &otherwise, 3, 1});
}

static void test_of_two_who_write_at_the_same_revision_one_is_told_so(void **state)
{
	struct outcome first, outcome;

	(void)state;
	assert_done(ask_put(&client, "/x/del/1", "x"));
	assert_done(ask_put(&client, "/x/del/2", "x"));
	outcome = swap("/x/k", ETCD_VERSION, 0, NULL, "new");
	assert_done(outcome);
	assert_true(outcome.result.succeeded);
	assert_int_equal(outcome.result.answer_count, 3);
	first = ask_get(&client, "/x/k");
	assert_true(swap("/x/k", ETCD_MOD, first.mod_revision, NULL, "mine").result.succeeded);
	outcome = swap("/x/k", ETCD_MOD, first.mod_revision, NULL, "theirs");
	assert_done(outcome);
	assert_false(outcome.result.succeeded);
	assert_int_equal(outcome.result.answer_count, 1);
	assert_string_equal(ask_get(&client, "/x/k").values_shown[0], "mine");
	assert_true(swap("/x/k", ETCD_VALUE, 0, "mine", "yours").result.succeeded);
	assert_true(swap("/x/k", ETCD_CREATE, first.mod_revision, NULL, "ours").result.succeeded);
	assert_true(swap("/x/k", ETCD_LEASE, 0, NULL, "ours").result.succeeded);
	assert_false(swap("/x/k", ETCD_LEASE, 1, NULL, "ours").result.succeeded);
}

static size_t answer_kvs;
static __s64 answer_deleted;
static char answer_value[64];

static void note_answers(const struct etcd_result *result, void *arg)
{
	for (size_t i = 0; i < result->answer_count; i++) {
		answer_kvs += result->answers[i].count;
		answer_deleted += result->answers[i].deleted;
		if (result->answers[i].count)
			snprintf(answer_value, sizeof(answer_value), "%s", result->answers[i].kvs[0].value);
	}
	++*(int *)arg;
}

static void test_each_operation_has_its_answer(void **state)
{
	const struct etcd_operation then[] = {{.type = ETCD_PUT, .key = "/o/a", .value = "1"},
					      {.type = ETCD_PUT, .key = "/o/b", .value = "2"},
					      {.type = ETCD_RANGE, .key = "/o/", .prefix = true},
					      {.type = ETCD_DELETE, .key = "/old/", .prefix = true}};
	struct error error;
	int count = 0;

	(void)state;
	assert_done(ask_put(&client, "/old/a", "x"));
	assert_done(ask_put(&client, "/old/b", "x"));
	assert_int_equal(etcd_txn(client.etcd, &(struct etcd_txn){.then = then, .then_count = 4}, WAIT, note_answers,
				  &count, NULL, &error),
			 0);
	drive_until(&client, &count, 1, WAIT);
	assert_int_equal(answer_kvs, 2);
	assert_int_equal(answer_deleted, 2);
	assert_string_equal(answer_value, "1");
	assert_int_equal(ask_range(&client, &(struct etcd_range){.key = "/old/", .prefix = true}, WAIT).keys, 0);
}

/* 2,000 keys below /p/, in transactions of 100. */
static void fill(void)
{
	static char keys[100][32];
	struct etcd_operation puts[100];

	for (int i = 0; i < 2000; i++) {
		snprintf(keys[i % 100], sizeof(keys[0]), "/p/%04d", i);
		puts[i % 100] = (struct etcd_operation){.type = ETCD_PUT, .key = keys[i % 100], .value = "before"};
		if (i % 100 == 99)
			assert_done(ask_txn(&client, &(struct etcd_txn){.then = puts, .then_count = 100}));
	}
}

static int pages;
static struct outcome meanwhile;

static void note_page(const struct etcd_result *result, void *arg)
{
	struct error error;

	/* Between two pages somebody writes. */
	if (!pages++)
		assert_int_equal(etcd_put(client.etcd, "/p/1999", "after", 0, WAIT, note, &meanwhile, NULL, &error), 0);
	note(result, arg);
}

static void test_what_is_read_in_pages_is_of_one_revision(void **state)
{
	struct outcome outcome = {};
	struct error error;

	(void)state;
	fill();
	assert_int_equal(etcd_range(client.etcd, &(struct etcd_range){.key = "/p/", .prefix = true, .page = 300}, WAIT,
				    note_page, &outcome, NULL, &error),
			 0);
	drive_until(&client, &outcome.count, 1, WAIT);
	drive_until(&client, &meanwhile.count, 1, WAIT);
	assert_done(outcome);
	assert_int_equal(pages, 7);
	assert_int_equal(outcome.keys, 2000);
	assert_string_equal(outcome.last, "/p/1999");
	assert_false(outcome.disordered);
	assert_false(outcome.mixed);
	assert_string_equal(ask_get(&client, "/p/1999").values_shown[0], "after");
	outcome = ask_range(&client, &(struct etcd_range){.key = "/p/1999", .revision = outcome.revision}, WAIT);
	assert_string_equal(outcome.values_shown[0], "before");
	/* All at once, and a last page that is full. */
	assert_int_equal(ask_range(&client, &(struct etcd_range){.key = "/p/", .prefix = true}, WAIT).keys, 2000);
	outcome = ask_range(&client, &(struct etcd_range){.key = "/p/", .prefix = true, .page = 500}, WAIT);
	assert_int_equal(outcome.keys, 2000);
}

static void note_and_cancel(const struct etcd_result *result, void *arg)
{
	assert_true(result->more);
	etcd_cancel(*(struct etcd_call **)arg);
	pages++;
}

static void test_pages_are_cancelled_from_the_first(void **state)
{
	struct etcd_call *call = NULL;
	struct error error;

	(void)state;
	pages = 0;
	assert_int_equal(etcd_range(client.etcd, &(struct etcd_range){.key = "/p/", .prefix = true, .page = 10}, WAIT,
				    note_and_cancel, &call, &call, &error),
			 0);
	drive_until(&client, &pages, 1, WAIT);
	drive_for(&client, 200);
	assert_int_equal(pages, 1);
}

static void test_what_cannot_be_answered_says_why(void **state)
{
	struct outcome outcome = {};
	struct error error;

	(void)state;
	outcome = ask_range(&client, &(struct etcd_range){.key = "/x/k", .revision = 1000000}, WAIT);
	assert_code(outcome, -ERANGE, "required revision is a future revision");
	assert_false(outcome.result.unknown);
	assert_int_equal(etcd_range(client.etcd, &(struct etcd_range){.key = ""}, WAIT, note, NULL, NULL, &error),
			 -EINVAL);
	assert_int_equal(etcd_put(client.etcd, "", "x", 0, WAIT, note, &outcome, NULL, &error), 0);
	outcome.count = 0;
	drive_until(&client, &outcome.count, 1, WAIT);
	assert_code(outcome, -EREMOTEIO, "key is not provided");
	for (int i = 0; i < ETCD_CALLS_MAX; i++)
		assert_int_equal(etcd_put(client.etcd, "/q", "x", 0, WAIT, note, &outcome, NULL, &error), 0);
	assert_int_equal(etcd_put(client.etcd, "/q", "x", 0, WAIT, note, &outcome, NULL, &error), -EBUSY);
	outcome.count = 0;
	drive_until(&client, &outcome.count, ETCD_CALLS_MAX, WAIT);
}

static void test_an_answer_that_is_too_long_is_none(void **state)
{
	static char value[1000001];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	for (int i = 0; i < 14; i++) {
		char key[16];

		snprintf(key, sizeof(key), "/l/%02d", i);
		assert_done(ask_put(&client, key, value));
	}
	assert_code(ask_range(&client, &(struct etcd_range){.key = "/l/", .prefix = true}, WAIT), -EMSGSIZE,
		    "the answer is longer than");
	assert_int_equal(ask_range(&client, &(struct etcd_range){.key = "/l/", .prefix = true, .page = 5}, WAIT).keys,
			 14);
	run(CTL "del --prefix /l/ >/dev/null", port_of(1));
}

#define ASK(outcome, call)                                                                                             \
	do {                                                                                                           \
		struct error error = {};                                                                               \
		(outcome) = (struct outcome){};                                                                        \
		if (call)                                                                                              \
			fail_msg("%s", error.text);                                                                    \
		drive_until(&client, &(outcome).count, 1, WAIT);                                                       \
	} while (0)

static void test_leases_keep_keys_as_long_as_they_are_renewed(void **state)
{
	struct outcome outcome;
	__s64 lease;

	(void)state;
	ASK(outcome, etcd_lease_grant(client.etcd, 2, WAIT, note, &outcome, NULL, &error));
	assert_done(outcome);
	assert_int_equal(outcome.result.ttl, 2);
	lease = outcome.result.lease;
	ASK(outcome, etcd_put(client.etcd, "/lease", "x", lease, WAIT, note, &outcome, NULL, &error));
	assert_done(outcome);
	for (int i = 0; i < 8; i++) {
		drive_for(&client, 500);
		ASK(outcome, etcd_lease_keepalive(client.etcd, lease, WAIT, note, &outcome, NULL, &error));
		assert_done(outcome);
		assert_int_equal(outcome.result.ttl, 2);
	}
	assert_int_equal(ask_get(&client, "/lease").keys, 1);
	ASK(outcome, etcd_lease_revoke(client.etcd, lease, WAIT, note, &outcome, NULL, &error));
	assert_done(outcome);
	assert_int_equal(ask_get(&client, "/lease").keys, 0);
	ASK(outcome, etcd_lease_keepalive(client.etcd, lease, WAIT, note, &outcome, NULL, &error));
	assert_code(outcome, -ENOENT, "the lease is over");
	ASK(outcome, etcd_lease_revoke(client.etcd, lease, WAIT, note, &outcome, NULL, &error));
	assert_code(outcome, -ENOENT, "requested lease not found");
	ASK(outcome, etcd_put(client.etcd, "/lease", "x", lease, WAIT, note, &outcome, NULL, &error));
	assert_code(outcome, -ENOENT, "requested lease not found");
}

static const char *key_of(int number)
{
	static char key[32];

	snprintf(key, sizeof(key), "%s%d", prefix, number);
	return key;
}

/*
 * N = N for each, by another member than the one that is used. Where a leader was lost etcdctl gives up, and so it is done
 * again: once at most, whatever became of it before.
 */
static void put_beside(int member, int first, int last)
{
	run("for i in $(seq %d %d); do until "
	    "printf 'version(\"%s%%d\") = \"0\"\n\nput %s%%d %%d\n\n\n' $i $i $i | " CTL
	    "txn >/dev/null 2>&1; do sleep 0.1; done; done",
	    first, last, prefix, prefix, port_of(member));
}

static void assert_watched(const struct test_watch *watch, int first, int last)
{
	const char *at = watch->text;

	for (int i = first; i <= last; i++) {
		char wanted[64];
		size_t len = (size_t)snprintf(wanted, sizeof(wanted), " %s=%d\n", key_of(i), i);

		at += strspn(at, "0123456789");
		if (strncmp(at, wanted, len) != 0)
			fail_msg("%d should come next in\n%s", i, watch->text);
		at += len;
	}
	assert_string_equal(at, "");
	assert_false(watch->disordered);
	assert_int_equal(watch->lost, 0);
}

static void test_a_watch_goes_on_where_its_member_is_killed(void **state)
{
	static struct test_watch watch;
	int killed;

	(void)state;
	watch_begin(&client, &watch, prefix, ask_get(&client, key_of(1)).revision + 1);
	put_beside(unused(), 1, 10);
	drive_until(&client, &watch.events, 10, WAIT);
	for (int round = 1; round <= 3; round++) {
		killed = used();
		/* Some before, of which it may or may not have heard; some while it is not connected; some after. */
		put_beside(killed % 3 + 1, 20 * round - 9, 20 * round - 5);
		member_kill(killed);
		put_beside(killed % 3 + 1, 20 * round - 4, 20 * round);
		drive_until(&client, &watch.events, 20 * round, WAIT);
		assert_int_not_equal(used(), killed);
		put_beside(used(), 20 * round + 1, 20 * round + 10);
		drive_until(&client, &watch.events, 20 * round + 10, WAIT);
		member_start(killed);
		run("until " CTL "endpoint health >/dev/null 2>&1; do sleep 0.1; done", port_of(killed));
	}
	drive_for(&client, 300);
	assert_watched(&watch, 1, 70);
	etcd_watch_cancel(watch.watch);
}

static void test_all_of_a_revision_comes_at_once(void **state)
{
	const struct etcd_operation then[] = {{.type = ETCD_DELETE, .key = prefix, .prefix = true},
					      {.type = ETCD_PUT, .key = "/v", .value = "beside"}};
	static struct test_watch watch;
	struct outcome outcome;
	char line[64];

	(void)state;
	put_beside(1, 1, 70);
	watch_begin(&client, &watch, prefix, ask_get(&client, key_of(1)).revision + 1);
	outcome = ask_txn(&client, &(struct etcd_txn){.then = then, .then_count = 2});
	drive_until(&client, &watch.events, 1, WAIT);
	assert_int_equal(watch.events, 70);
	assert_int_equal(watch.revision, outcome.revision);
	snprintf(line, sizeof(line), "%lld %s1-\n", outcome.revision, prefix);
	assert_memory_equal(watch.text, line, strlen(line));
	/* From an earlier revision, what is known of the past comes again. */
	etcd_watch_cancel(watch.watch);
	watch_begin(&client, &watch, prefix, outcome.revision - 1);
	drive_until(&client, &watch.events, 71, WAIT);
	assert_false(watch.disordered);
	etcd_watch_cancel(watch.watch);
}

static void test_what_is_compacted_meanwhile_is_said(void **state)
{
	static struct test_watch watch, late;
	struct outcome outcome = ask_put(&client, key_of(1), "1");
	int killed = used();

	(void)state;
	watch_begin(&client, &watch, prefix, outcome.revision);
	drive_until(&client, &watch.events, 1, WAIT);
	member_kill(killed);
	put_beside(killed % 3 + 1, 2, 5);
	run("r=$(" CTL "get %s5 -w json | jq .header.revision) && " CTL "compact $r >/dev/null",
	    port_of(killed % 3 + 1), prefix, port_of(killed % 3 + 1));
	drive_until(&client, &watch.lost, 1, WAIT);
	assert_int_equal(watch.error, -ESTALE);
	assert_non_null(strstr(watch.sentence, "is compacted"));
	assert_int_equal(watch.events, 1);
	/* So is it of one that begins too early, and of a range. */
	watch_begin(&client, &late, prefix, outcome.revision);
	drive_until(&client, &late.lost, 1, WAIT);
	assert_int_equal(late.error, -ESTALE);
	outcome = ask_range(&client, &(struct etcd_range){.key = key_of(1), .revision = outcome.revision}, WAIT);
	assert_code(outcome, -ESTALE, "required revision has been compacted");
	/* Reading anew and watching from there leaves no gap. */
	outcome = ask_range(&client, &(struct etcd_range){.key = prefix, .prefix = true}, WAIT);
	watch_begin(&client, &late, prefix, outcome.revision + 1);
	put_beside(used(), 6, 6);
	drive_until(&client, &late.events, 1, WAIT);
	assert_watched(&late, 6, 6);
	etcd_watch_cancel(late.watch);
	member_start(killed);
}

static void test_a_member_that_hangs_is_left(void **state)
{
	static struct test_watch watch;
	struct outcome outcome = ask_put(&client, key_of(0), "0");
	int stopped = used();
	long took;

	(void)state;
	watch_begin(&client, &watch, prefix, outcome.revision + 1);
	drive_for(&client, 500);
	member_signal(stopped, SIGSTOP);
	put_beside(stopped % 3 + 1, 1, 3);
	/* A watch alone finds out in 5 + 2 s. */
	took = drive_until(&client, &watch.events, 3, WAIT);
	print_message("a watch went on after %ld ms\n", took);
	assert_in_range(took, 1, 15000);
	assert_int_not_equal(used(), stopped);
	member_signal(stopped, SIGCONT);
	/* Somebody who asks, sooner. */
	stopped = used();
	member_signal(stopped, SIGSTOP);
	outcome = ask_get(&client, key_of(1));
	assert_done(outcome);
	assert_int_not_equal(used(), stopped);
	/* A write that got there: nobody knows. */
	member_signal(stopped, SIGCONT);
	stopped = used();
	member_signal(stopped, SIGSTOP);
	ASK(outcome, etcd_put(client.etcd, key_of(4), "4", 0, 1000, note, &outcome, NULL, &error));
	assert_code(outcome, -ETIMEDOUT, "did not answer within 1000 ms (it may have taken effect)");
	assert_true(outcome.result.unknown);
	member_signal(stopped, SIGCONT);
	etcd_watch_cancel(watch.watch);
}

static void test_a_member_without_a_leader_is_left(void **state)
{
	static struct test_watch watch;
	struct outcome outcome = ask_put(&client, key_of(0), "0");
	int left = used();

	(void)state;
	watch_begin(&client, &watch, prefix, outcome.revision + 1);
	drive_for(&client, 300);
	member_kill(left % 3 + 1);
	member_kill((left + 1) % 3 + 1);
	ASK(outcome, etcd_put(client.etcd, key_of(1), "1", 0, 4000, note, &outcome, NULL, &error));
	assert_int_equal(outcome.result.error, -ETIMEDOUT);
	drive_for(&client, 5000);
	assert_null(etcd_member(client.etcd));
	ASK(outcome, etcd_put(client.etcd, key_of(1), "1", 0, 1000, note, &outcome, NULL, &error));
	assert_code(outcome, -ETIMEDOUT, "no member of etcd answered within 1000 ms: ");
	assert_false(outcome.result.unknown);
	assert_non_null(strstr(client.told, "no leader"));
	member_start(left % 3 + 1);
	member_start((left + 1) % 3 + 1);
	put_beside(left, 2, 2);
	/* What came of the first put is one of two, and the watch says which. */
	drive_until(&client, &watch.events, 1, WAIT);
	drive_for(&client, 300);
	assert_non_null(strstr(watch.text, "2=2\n"));
	assert_int_equal(watch.lost, 0);
	etcd_watch_cancel(watch.watch);
}

static void *cancelled_by;

static void cancel_all(const struct etcd_event *events, size_t count, __s64 revision, void *arg)
{
	struct etcd_watch **watches = arg;

	(void)events;
	(void)revision;
	if (!count)
		return;
	cancelled_by = arg;
	etcd_watch_cancel(watches[0]);
	etcd_watch_cancel(watches[1]);
}

static void test_a_watch_may_cancel_itself_and_others(void **state)
{
	static const struct etcd_watcher watcher = {.events = cancel_all};
	static struct etcd_watch *watches[2];
	struct outcome outcome = ask_put(&client, key_of(1), "1");
	struct error error;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			etcd_watch(client.etcd, prefix, outcome.revision, &watcher, watches, &watches[i], &error), 0);
	while (!cancelled_by)
		drive_for(&client, 50);
	drive_for(&client, 300);
	assert_int_equal(etcd_watch(client.etcd, prefix, 0, &watcher, watches, NULL, &error), -EINVAL);
	/* One that is under way when the client is closed. */
	assert_int_equal(etcd_watch(client.etcd, prefix, 1, &watcher, watches, NULL, &error), 0);
	etcd_watch_cancel(NULL);
	etcd_cancel(NULL);
	etcd_close(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	static const struct CMUnitTest tests[] = {
		TEST(test_values_are_written_and_read),
		TEST(test_of_two_who_write_at_the_same_revision_one_is_told_so),
		TEST(test_each_operation_has_its_answer),
		TEST(test_what_is_read_in_pages_is_of_one_revision),
		TEST(test_pages_are_cancelled_from_the_first),
		TEST(test_what_cannot_be_answered_says_why),
		TEST(test_an_answer_that_is_too_long_is_none),
		TEST(test_leases_keep_keys_as_long_as_they_are_renewed),
		TEST(test_a_watch_goes_on_where_its_member_is_killed),
		TEST(test_all_of_a_revision_comes_at_once),
		TEST(test_what_is_compacted_meanwhile_is_said),
		TEST(test_a_member_that_hangs_is_left),
		TEST(test_a_member_without_a_leader_is_left),
		TEST(test_a_watch_may_cancel_itself_and_others),
	};

	return cmocka_run_group_tests(tests, start_group, etcd_tear_down);
}
