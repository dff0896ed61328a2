/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's protocol, piece by piece. What it is for as a whole is tests/fleet's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/fleet.h"

#include <cmocka.h>

static const struct fleet_view a = {.config = 1, .weight = 0}, b = {.config = 1, .weight = 500},
			       c = {.config = 2, .weight = 2500, .salt = 7};

static struct fleet_record preparing(void)
{
	struct fleet_record record = fleet_first(&a, "init");
	struct error error;

	assert_int_equal(fleet_propose(&record, &b, "anna", &record, &error), 0);
	return record;
}

static struct fleet_record open_window(void)
{
	struct fleet_record record = preparing();

	assert_int_equal(fleet_commit(&record, &record), 0);
	return record;
}

static void test_a_change_goes_its_way(void **state)
{
	struct fleet_record record = open_window();

	(void)state;
	assert_true(fleet_view_equal(&record.now, &b));
	assert_true(fleet_view_equal(&record.oldest, &a));
	assert_int_equal(record.assignment, 2);
	assert_int_equal(fleet_close(&record, &record), 0);
	assert_int_equal(fleet_settle(&record, &record), 0);
	assert_false(record.window);
	assert_int_equal(fleet_commit(&record, &record), -EBUSY);
	assert_int_equal(fleet_close(&record, &record), -EBUSY);
}

static void test_a_change_in_an_open_window_keeps_the_oldest(void **state)
{
	struct fleet_record record = open_window();
	struct error error;

	(void)state;
	assert_int_equal(fleet_propose(&record, &c, "anna", &record, &error), 0);
	assert_int_equal(fleet_commit(&record, &record), 0);
	assert_true(fleet_view_equal(&record.oldest, &a));
}

static void test_who_is_in_the_way_is_named(void **state)
{
	struct fleet_record record = preparing(), before = record;
	struct error error;

	(void)state;
	assert_int_equal(fleet_propose(&record, &c, "bert", &record, &error), -EBUSY);
	assert_non_null(strstr(error.text, "anna"));
	assert_memory_equal(&record, &before, sizeof(record));
	assert_int_equal(fleet_propose(&record, &b, "bert", &record, &error), -EALREADY);
	assert_int_equal(fleet_conflict("web", &record, &error), -ESTALE);
	assert_non_null(strstr(error.text, "anna"));
}

static void test_a_rollback_waits_for_nothing(void **state)
{
	struct fleet_record record = open_window();
	struct error error;

	(void)state;
	assert_int_equal(fleet_propose(&record, &c, "rollout", &record, &error), 0);
	assert_int_equal(fleet_rollback(&record, "anna", &record), 0);
	assert_int_equal(record.phase, FLEET_OPEN);
	assert_int_equal(record.now.weight, 0);
	assert_int_equal(record.now.config, b.config);
	assert_true(fleet_view_equal(&record.oldest, &a));
	assert_int_equal(fleet_rollback(&record, "anna", &record), -EALREADY);

	record = preparing();
	assert_int_equal(fleet_rollback(&record, "anna", &record), 0);
	assert_int_equal(record.phase, FLEET_SETTLED);
}

static void test_a_change_while_a_window_closes_exposes_all(void **state)
{
	struct fleet_record record = open_window(), back;
	char text[FLEET_TEXT_LEN];
	struct error error;

	(void)state;
	fleet_close(&record, &record);
	assert_int_equal(fleet_propose(&record, &c, "anna", &record, &error), 0);
	assert_true(record.mixed);
	assert_true(fleet_view_equal(&record.oldest, &b));
	assert_int_equal(fleet_commit(&record, &record), 0);
	assert_int_equal(fleet_parse_record(fleet_format_record(&record, text), &back), 0);
	assert_true(back.mixed);
	fleet_close(&record, &record);
	fleet_settle(&record, &record);
	assert_false(record.mixed);
}

static void test_records_are_text(void **state)
{
	struct fleet_record records[] = {fleet_first(&c, "a b"), preparing(), open_window(), open_window()}, back;
	char text[FLEET_TEXT_LEN], again[FLEET_TEXT_LEN];
	struct error error;

	(void)state;
	assert_int_equal(fleet_propose(&records[3], &c, "anna on lb2", &records[3], &error), 0);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		fleet_format_record(&records[i], text);
		assert_int_equal(fleet_parse_record(text, &back), 0);
		assert_string_equal(fleet_format_record(&back, again), text);
		assert_string_equal(back.who, records[i].who);
	}
	for (size_t length = 0; length < strlen(text); length++) {
		snprintf(again, sizeof(again), "%.*s", (int)length, text);
		assert_int_equal(fleet_parse_record(again, &back), -EINVAL);
	}
	assert_int_equal(fleet_parse_record("change 1\nassignment 1\nphase open\nnow 1 0 0\nwho x\n", &back), -EINVAL);
	assert_int_equal(fleet_parse_record("change 1\nassignment 1\nphase settled\nnow 1 10001 0\nwho x\n", &back),
			 -EINVAL);
}

static void test_keys_are_text(void **state)
{
	struct fleet_key key = {.kind = FLEET_KEY_HELD, .part = {"web", "lb-1"}}, back;
	char text[FLEET_KEY_LEN];

	(void)state;
	assert_int_equal(fleet_format_key("/canary", &key, text), 0);
	assert_string_equal(text, "/canary/held/web/lb-1");
	assert_int_equal(fleet_parse_key("/canary", text, &back), 0);
	assert_int_equal(back.kind, FLEET_KEY_HELD);
	assert_string_equal(back.part[1], "lb-1");
	assert_int_equal(fleet_parse_key("/canary", "/canary/held/web", &back), -EINVAL);
	assert_int_equal(fleet_parse_key("/canary", "/canary/held/web/lb-1/x", &back), -EINVAL);
	assert_int_equal(fleet_parse_key("/canary", "/canary/unknown", &back), -EINVAL);
	assert_int_equal(fleet_parse_key("/canary", "/canaryleader", &back), -EINVAL);
	snprintf(key.part[0], sizeof(key.part[0]), "a/b");
	assert_int_equal(fleet_format_key("/canary", &key, text), -EINVAL);
}

static void test_members_are_text(void **state)
{
	const struct fleet_member member = {.withdraws = true, .address = "10.0.0.1"};
	char text[FLEET_TEXT_LEN];
	struct fleet_member back;

	(void)state;
	assert_string_equal(fleet_format_member(&member, text), "withdraw 10.0.0.1");
	assert_int_equal(fleet_parse_member(text, &back), 0);
	assert_true(back.withdraws);
	assert_string_equal(back.address, "10.0.0.1");
	assert_int_equal(fleet_parse_member("serve 10.0.0.1", &back), 0);
	assert_false(back.withdraws);
	assert_int_equal(fleet_parse_member("serve", &back), -EINVAL);
	assert_int_equal(fleet_parse_member("linger 10.0.0.1", &back), -EINVAL);
}

static void test_what_is_written_says_what_must_hold(void **state)
{
	struct fleet_record record = open_window(), back;
	struct fleet_write write;

	(void)state;
	assert_int_equal(fleet_write_record("/canary", "web", &record, 41, 7, &write), 0);
	assert_string_equal(write.key, "/canary/service/web");
	assert_string_equal(write.leader_key, "/canary/leader");
	assert_int_equal(write.mod_revision, 41);
	assert_int_equal(write.leader_revision, 7);
	assert_int_equal(fleet_parse_record(write.value, &back), 0);
	assert_int_equal(fleet_write_record("/canary", "web", &record, 41, 0, &write), 0);
	assert_string_equal(write.leader_key, "");
	assert_int_equal(fleet_write_record("/canary", "../web", &record, 41, 0, &write), -EINVAL);
}

static void test_a_prefix_is_looked_at(void **state)
{
	struct error error;

	(void)state;
	assert_int_equal(fleet_check_format("/canary", FLEET_FORMAT, 9, &error), 0);
	assert_int_equal(fleet_check_format("/canary", NULL, 0, &error), -ENOENT);
	assert_int_equal(fleet_check_format("/canary", NULL, 1, &error), -EPROTO);
	assert_int_equal(fleet_check_format("/canary", FLEET_FORMAT "0", 1, &error), -EPROTO);
	assert_int_equal(fleet_check_format("/canary", "something", 1, &error), -EPROTO);
}

static void test_reports_name_exceptions(void **state)
{
	const struct fleet_exception list[] = {{"web", 41, ""}, {"web2", 42, "no memory left"}};
	struct fleet_exception found;
	char text[256];
	size_t length;
	__s64 done;

	(void)state;
	length = fleet_format_report(50, list, 2, text, sizeof(text));
	assert_int_equal(length, strlen(text));
	assert_true(fleet_format_report(50, list, 2, text, 10) > 10);
	fleet_format_report(50, list, 2, text, sizeof(text));
	assert_int_equal(fleet_parse_report(text, "web2", &done, &found), 0);
	assert_int_equal(done, 50);
	assert_int_equal(found.revision, 42);
	assert_string_equal(found.refusal, "no memory left");
	assert_int_equal(fleet_parse_report(text, "web", &done, &found), 0);
	assert_string_equal(found.refusal, "");
	assert_int_equal(fleet_parse_report(text, "we", &done, &found), 0);
	assert_int_equal(found.revision, 0);
}

static void test_a_host_knows_first_that_its_lease_is_over(void **state)
{
	struct fleet_host host = fleet_host_new(10000);

	(void)state;
	assert_true(fleet_host_is_cut_off(&host, 0));
	assert_true(fleet_host_must_grant(&host, 0));
	assert_false(fleet_host_must_grant(&host, 1));
	fleet_host_granted(&host, 0, 100, 5);
	fleet_host_read(&host, 150, 4); /* as it was before */
	assert_true(fleet_host_is_cut_off(&host, 150));
	fleet_host_read(&host, 200, 5);
	assert_false(fleet_host_is_cut_off(&host, 8999));
	assert_true(fleet_host_is_cut_off(&host, 9000));
	/* Renewed too late: what it had does not count any more. */
	fleet_host_renewed(&host, 8500, 9100, 5);
	assert_true(fleet_host_is_cut_off(&host, 9100));
	assert_true(host.reading);
	fleet_host_read(&host, 9200, 6);
	assert_false(fleet_host_is_cut_off(&host, 9200));
}

static void test_a_host_that_does_not_follow_gives_its_lease_up(void **state)
{
	struct fleet_host host = fleet_host_new(10000);

	(void)state;
	fleet_host_granted(&host, 0, 0, 5);
	fleet_host_read(&host, 0, 5);
	assert_true(fleet_host_must_renew(&host, 3400));
	fleet_host_renewed(&host, 3400, 3400, 9);
	assert_true(fleet_host_must_renew(&host, 7000));
	fleet_host_renewed(&host, 7000, 7000, 12);
	assert_false(fleet_host_must_renew(&host, 10400)); /* 9 has not come in more than half a lease */
	fleet_host_followed(&host, 10400, 10);
	assert_true(fleet_host_must_renew(&host, 10400)); /* 12 has not either, but for less */
}

static void test_what_a_host_does(void **state)
{
	struct fleet_record settled = fleet_first(&a, "init"), open = open_window(), closing;
	struct fleet_state have = fleet_wanted(&settled, false), want = fleet_wanted(&open, false), other;

	(void)state;
	assert_int_equal(fleet_act(&have, &want), FLEET_ACT_CHANGE);
	assert_int_equal(fleet_act(&want, &want), FLEET_ACT_NONE);
	fleet_close(&open, &closing);
	other = fleet_wanted(&closing, false);
	assert_int_equal(fleet_act(&want, &other), FLEET_ACT_CLOSE);
	/* It has closed by itself, or never had the window. */
	assert_int_equal(fleet_act(&other, &want), FLEET_ACT_ADOPT);
	other = fleet_wanted(&open, true);
	assert_int_equal(fleet_act(&want, &other), FLEET_ACT_CHANGE);
}

static void test_the_leader_waits_for_whom_it_must(void **state)
{
	struct fleet_record record = preparing(), next;
	struct fleet_peer peers[] = {{.name = "lb1", .member = true, .alive = true, .done = 10},
				     {.name = "lb2", .member = true, .alive = true, .done = 9}};
	struct fleet_question q = {.record = &record,
				   .revision = 10,
				   .peers = peers,
				   .peer_count = 2,
				   .idle_ms = 1000,
				   .max_window_ms = 100000,
				   .prepare_ms = 5000};
	struct error reason;

	(void)state;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_WAITS);
	assert_string_equal(reason.text, "waits for lb2");
	q.now_ms = 5000;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_ABORTS);
	peers[1].alive = false;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_COMMITS);
	q.missing = FLEET_MISSING_WAIT;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_WAITS);
	assert_string_equal(reason.text, "waits for lb2 (its lease is over)");
	peers[1] = (struct fleet_peer){
		.name = "lb2", .member = true, .alive = true, .done = 10, .undone = 10, .refusal = "no memory"};
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_ABORTS);
	assert_string_equal(reason.text, "lb2 cannot take the change: no memory");
}

static void test_a_window_closes_when_nobody_needs_it(void **state)
{
	struct fleet_record record = open_window(), next;
	struct fleet_peer peer = {.name = "lb1", .member = true, .alive = true, .done = 10};
	struct fleet_question q = {.record = &record,
				   .revision = 10,
				   .peers = &peer,
				   .peer_count = 1,
				   .idle_ms = 1000,
				   .max_window_ms = 100000,
				   .prepare_ms = 5000,
				   .now_ms = 1000};
	struct error reason;

	(void)state;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_CLOSES);
	q.held = 1;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_WAITS);
	q.held = 0;
	peer.alive = false; /* and serves on */
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_WAITS);
	peer.withdraws = true;
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_CLOSES);
	q.held = 1;
	q.now_ms = 100000;
	assert_int_equal(fleet_decide(&q, &record, &reason), FLEET_CLOSES);
	assert_int_equal(fleet_decide(&q, &next, &reason), FLEET_SETTLES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_change_goes_its_way),
		cmocka_unit_test(test_a_change_in_an_open_window_keeps_the_oldest),
		cmocka_unit_test(test_who_is_in_the_way_is_named),
		cmocka_unit_test(test_a_rollback_waits_for_nothing),
		cmocka_unit_test(test_a_change_while_a_window_closes_exposes_all),
		cmocka_unit_test(test_records_are_text),
		cmocka_unit_test(test_keys_are_text),
		cmocka_unit_test(test_members_are_text),
		cmocka_unit_test(test_what_is_written_says_what_must_hold),
		cmocka_unit_test(test_a_prefix_is_looked_at),
		cmocka_unit_test(test_reports_name_exceptions),
		cmocka_unit_test(test_a_host_knows_first_that_its_lease_is_over),
		cmocka_unit_test(test_a_host_that_does_not_follow_gives_its_lease_up),
		cmocka_unit_test(test_what_a_host_does),
		cmocka_unit_test(test_the_leader_waits_for_whom_it_must),
		cmocka_unit_test(test_a_window_closes_when_nobody_needs_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
