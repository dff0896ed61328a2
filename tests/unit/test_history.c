/* SPDX-License-Identifier: Apache-2.0 */
/* What is appended to the history is in it, and is read as it was. */
#include "lib_history.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void refused(struct history *history, const struct history_entry *entries, size_t count, int code,
		    const char *sentence)
{
	struct error error = {};

	assert_int_equal(history_append(history, entries, count, &error), code);
	if (!strstr(error.text, sentence))
		fail_msg("the message is\n  %s\nand should have in it\n  %s", error.text, sentence);
}

static int check_transition(const struct history_entry *entry, void *arg)
{
	(void)arg;
	assert_string_equal(entry->service, "web");
	assert_int_equal(entry->rollout, 3);
	assert_int_equal(entry->time, 1700000000007);
	assert_int_equal(entry->transition.number, 7);
	assert_string_equal(entry->transition.before, "idle");
	assert_string_equal(entry->transition.after, "progressing");
	assert_int_equal(entry->transition.step, 7);
	assert_int_equal(entry->transition.weight, 500);
	assert_string_equal(entry->transition.cause, "started");
	assert_int_equal(entry->transition.uid, 1000);
	assert_string_equal(entry->transition.state, "{\"step\":0}");
	return 1;
}

static int check_verdict(const struct history_entry *entry, void *arg)
{
	(void)arg;
	assert_int_equal(entry->verdict.step, 1);
	assert_string_equal(entry->verdict.gate, "errors");
	assert_string_equal(entry->verdict.verdict, "fail");
	assert_string_equal(entry->verdict.reason, "worse");
	assert_int_equal(entry->verdict.canary_failures, 11);
	assert_int_equal(entry->verdict.canary_flows, 5000000000);
	assert_int_equal(entry->verdict.stable_failures, 1);
	assert_int_equal(entry->verdict.stable_flows, 90);
	assert_true(entry->verdict.log_e == 4.75);
	assert_true(isnan(entry->verdict.share));
	assert_null(entry->verdict.details);
	return 1;
}

static int check_feedback(const struct history_entry *entry, void *arg)
{
	(void)arg;
	assert_int_equal(entry->rollout, HISTORY_NO_ROLLOUT);
	assert_string_equal(entry->feedback.client, "192.0.2.1");
	assert_null(entry->feedback.cohort);
	assert_true(entry->feedback.good);
	assert_string_equal(entry->feedback.note, "schön; DROP TABLE block");
	assert_int_equal(entry->feedback.uid, HISTORY_NO_UID);
	return 1;
}

static int check_counts(const struct history_entry *entry, void *arg)
{
	(void)arg;
	assert_int_equal(entry->counts.step, HISTORY_NO_STEP);
	assert_string_equal(entry->counts.counts, "[1,2]");
	return 1;
}

static int check_block(const struct history_entry *entry, void *arg)
{
	(void)arg;
	assert_true(entry->block.blocked);
	assert_string_equal(entry->block.reason, "CVE");
	assert_int_equal(entry->block.uid, 0);
	return 1;
}

static void test_what_is_appended_is_read_after_opening_again(void **state)
{
	struct history_entry entries[] = {
		make_transition("web", 3, 7),
		make_verdict("web", 3, "errors"),
		{.kind = HISTORY_COUNTS,
		 .service = "web",
		 .rollout = 3,
		 .counts = {.step = HISTORY_NO_STEP, .counts = "[1,2]"}},
		{.kind = HISTORY_FEEDBACK,
		 .service = "web",
		 .feedback = {.client = "192.0.2.1", .good = true, .note = "schön; DROP TABLE block", .uid = -1}},
		{.kind = HISTORY_BLOCK, .service = "web", .block = {.blocked = true, .reason = "CVE", .uid = 0}},
	};
	static int (*const checks[])(const struct history_entry *, void *) = {
		[HISTORY_TRANSITION] = check_transition, [HISTORY_VERDICT] = check_verdict,
		[HISTORY_COUNTS] = check_counts,	 [HISTORY_FEEDBACK] = check_feedback,
		[HISTORY_BLOCK] = check_block,
	};
	struct history *history = open_history();
	struct error error = {};
	__s64 next = 0;

	(void)state;
	entries[1].verdict.share = NAN;
	entries[1].verdict.details = NULL;
	append_entries(history, entries, 5);
	history_close(history);
	history = open_history();
	for (int kind = 0; kind < 5; kind++)
		assert_int_equal(history_list(history, kind, NULL, checks[kind], NULL, &error), 1);
	assert_int_equal(history_next_rollout(history, "web", &next, &error), 0);
	assert_int_equal(next, 4);
	assert_int_equal(history_next_rollout(history, "new", &next, &error), 0);
	assert_int_equal(next, 1);
	history_close(history);
}

static void test_lists_are_filtered_and_limited(void **state)
{
	struct history *history = open_history();
	struct history_entry entries[12];
	struct seen seen;
	struct error error = {};

	(void)state;
	for (int i = 0; i < 12; i++)
		entries[i] = make_transition(i % 2 ? "web" : "dns", 1 + i / 6, i);
	append_entries(history, entries, 12);
	assert_int_equal(list_history(history, HISTORY_TRANSITION, NULL).count, 12);
	assert_int_equal(list_history(history, HISTORY_TRANSITION, &(struct history_filter){.service = "web"}).count,
			 6);
	assert_int_equal(list_history(history, HISTORY_TRANSITION, &(struct history_filter){.rollout = 2}).count, 6);
	assert_int_equal(
		list_history(history, HISTORY_TRANSITION, &(struct history_filter){.since = 1700000000009}).count, 3);
	seen = list_history(history, HISTORY_TRANSITION, &(struct history_filter){.limit = 2, .after = 3});
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.ids[0], 4);
	seen = list_history(history, HISTORY_TRANSITION, &(struct history_filter){.newest_first = true, .limit = 1});
	assert_int_equal(seen.number, 11);
	seen = list_history(history, HISTORY_TRANSITION, &(struct history_filter){.latest = true});
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.ids[0], 11);
	assert_int_equal(seen.ids[1], 12);
	seen = list_history(history, HISTORY_TRANSITION, &(struct history_filter){.latest = true, .service = "dns"});
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.number, 10);
	seen = (struct seen){.stop_at = 5};
	assert_int_equal(history_list(history, HISTORY_TRANSITION, NULL, see_entry, &seen, &error), 77);
	assert_int_equal(seen.count, 5);
	history_close(history);
}

static void test_one_bad_entry_keeps_all_out(void **state)
{
	struct history *history = open_history();
	struct history_entry entries[] = {make_transition("web", 1, 1), make_transition("web", 1, 2),
					  make_transition("web", 1, 1)};

	(void)state;
	refused(history, entries, 3, -EEXIST, "transition 1 of rollout 1 of web is there already");
	assert_int_equal(list_history(history, HISTORY_TRANSITION, NULL).count, 0);
	entries[2] = make_verdict("web", 2, "errors");
	refused(history, entries, 3, -EINVAL, "takes no such verdict for rollout 2 of web: FOREIGN KEY");
	entries[2] = make_verdict("web", 1, NULL);
	refused(history, entries, 3, -EINVAL, "NOT NULL constraint failed: verdict.gate");
	entries[2] = make_transition("web", HISTORY_NO_ROLLOUT, 1);
	refused(history, entries, 3, -EINVAL, "CHECK constraint");
	assert_int_equal(list_history(history, HISTORY_TRANSITION, NULL).count, 0);
	append_entries(history, entries, 2);
	refused(history, entries, 1, -EEXIST, "is there already");
	history_close(history);
}

static void test_old_counts_are_pruned_and_nothing_else(void **state)
{
	struct history *history = open_history();
	struct history_entry entries[] = {
		make_transition("web", 1, 1),
		{.kind = HISTORY_COUNTS, .service = "web", .rollout = 1, .time = 10, .counts = {.counts = "1"}},
		{.kind = HISTORY_COUNTS, .service = "web", .rollout = 1, .time = 20, .counts = {.counts = "2"}},
	};
	struct error error = {};

	(void)state;
	entries[0].time = 5;
	append_entries(history, entries, 3);
	assert_int_equal(history_prune_counts(history, 20, &error), 0);
	assert_int_equal(list_history(history, HISTORY_COUNTS, NULL).count, 1);
	assert_int_equal(list_history(history, HISTORY_TRANSITION, NULL).count, 1);
	history_close(history);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_what_is_appended_is_read_after_opening_again, remove_history_files),
		cmocka_unit_test_teardown(test_lists_are_filtered_and_limited, remove_history_files),
		cmocka_unit_test_teardown(test_one_bad_entry_keeps_all_out, remove_history_files),
		cmocka_unit_test_teardown(test_old_counts_are_pruned_and_nothing_else, remove_history_files),
	};

	return cmocka_run_group_tests(tests, make_history_directory, remove_history_directory);
}
