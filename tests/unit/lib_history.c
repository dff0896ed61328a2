/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

char history_directory[] = "/tmp/test_history.XXXXXX";
char history_path[64];

int make_history_directory(void **state)
{
	(void)state;
	if (!mkdtemp(history_directory))
		return -1;
	snprintf(history_path, sizeof(history_path), "%s/history.db", history_directory);
	return 0;
}

int remove_history_files(void **state)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal", ".lock", ".new"};
	char name[80];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", history_path, names[i]);
		unlink(name);
	}
	return 0;
}

int remove_history_directory(void **state)
{
	remove_history_files(state);
	return rmdir(history_directory);
}

struct history *open_history(void)
{
	struct history *history = NULL;
	struct error error = {};

	if (history_open(history_path, &history, &error))
		fail_msg("%s", error.text);
	return history;
}

struct history_entry make_transition(const char *service, __s64 rollout, __s64 number)
{
	return (struct history_entry){
		.kind = HISTORY_TRANSITION,
		.service = service,
		.rollout = rollout,
		.time = 1700000000000 + number,
		.transition = {.number = number,
			       .before = "idle",
			       .after = "progressing",
			       .step = number,
			       .weight = 500,
			       .cause = "started",
			       .uid = 1000,
			       .state = "{\"step\":0}"},
	};
}

struct history_entry make_verdict(const char *service, __s64 rollout, const char *gate)
{
	return (struct history_entry){
		.kind = HISTORY_VERDICT,
		.service = service,
		.rollout = rollout,
		.time = 1700000000500,
		.verdict = {.step = 1,
			    .gate = gate,
			    .verdict = "fail",
			    .reason = "worse",
			    .canary_failures = 11,
			    .canary_flows = 5000000000,
			    .stable_failures = 1,
			    .stable_flows = 90,
			    .log_e = 4.75,
			    .share = 0.05,
			    .details = "{}"},
	};
}

void append_entries(struct history *history, const struct history_entry *entries, size_t count)
{
	struct error error = {};

	if (history_append(history, entries, count, &error))
		fail_msg("%s", error.text);
}

int see_entry(const struct history_entry *entry, void *arg)
{
	struct seen *seen = arg;

	if (seen->count < 64)
		seen->ids[seen->count] = entry->id;
	seen->number = entry->transition.number;
	return ++seen->count == seen->stop_at ? 77 : 0;
}

struct seen list_history(struct history *history, enum history_kind kind, const struct history_filter *filter)
{
	struct seen seen = {};
	struct error error = {};

	if (history_list(history, kind, filter, see_entry, &seen, &error))
		fail_msg("%s", error.text);
	return seen;
}

void assert_not_opened(int code, const char *sentence)
{
	struct history *history = (void *)1;
	struct error error = {};

	assert_int_equal(history_open(history_path, &history, &error), code);
	assert_ptr_equal(history, (void *)1);
	if (!strstr(error.text, sentence) || !strstr(error.text, history_path))
		fail_msg("the message is\n  %s\nand should have in it\n  %s", error.text, sentence);
}
