/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the history stays there, whole, whatever happens to the process and the disk. */
/* Before cmocka.h, which makes fail() a macro. */
#include "io/history.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

static char directory[] = "/tmp/test_history.XXXXXX";
static char path[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/history.db", directory);
	return 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal", ".lock", ".new"};
	char name[80];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, names[i]);
		unlink(name);
	}
	return 0;
}

static int remove_directory(void **state)
{
	remove_files(state);
	return rmdir(directory);
}

static struct history *open_history(void)
{
	struct history *history = NULL;
	struct error error = {};

	if (history_open(path, &history, &error))
		fail_msg("%s", error.text);
	return history;
}

static struct history_entry transition(const char *service, __s64 rollout, __s64 number)
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

static struct history_entry verdict(const char *service, __s64 rollout, const char *gate)
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

static void append(struct history *history, const struct history_entry *entries, size_t count)
{
	struct error error = {};

	if (history_append(history, entries, count, &error))
		fail_msg("%s", error.text);
}

static void refused(struct history *history, const struct history_entry *entries, size_t count, int code,
		    const char *sentence)
{
	struct error error = {};

	assert_int_equal(history_append(history, entries, count, &error), code);
	if (!strstr(error.text, sentence))
		fail_msg("the message is\n  %s\nand should have in it\n  %s", error.text, sentence);
}

struct seen {
	int count;
	int stop_at; /* 0: never */
	__s64 ids[64];
	__s64 number; /* the last transition's */
};

static int see(const struct history_entry *entry, void *arg)
{
	struct seen *seen = arg;

	if (seen->count < 64)
		seen->ids[seen->count] = entry->id;
	seen->number = entry->transition.number;
	return ++seen->count == seen->stop_at ? 77 : 0;
}

static struct seen list(struct history *history, enum history_kind kind, const struct history_filter *filter)
{
	struct seen seen = {};
	struct error error = {};

	if (history_list(history, kind, filter, see, &seen, &error))
		fail_msg("%s", error.text);
	return seen;
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
		transition("web", 3, 7),
		verdict("web", 3, "errors"),
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
	append(history, entries, 5);
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
		entries[i] = transition(i % 2 ? "web" : "dns", 1 + i / 6, i);
	append(history, entries, 12);
	assert_int_equal(list(history, HISTORY_TRANSITION, NULL).count, 12);
	assert_int_equal(list(history, HISTORY_TRANSITION, &(struct history_filter){.service = "web"}).count, 6);
	assert_int_equal(list(history, HISTORY_TRANSITION, &(struct history_filter){.rollout = 2}).count, 6);
	assert_int_equal(list(history, HISTORY_TRANSITION, &(struct history_filter){.since = 1700000000009}).count, 3);
	seen = list(history, HISTORY_TRANSITION, &(struct history_filter){.limit = 2, .after = 3});
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.ids[0], 4);
	seen = list(history, HISTORY_TRANSITION, &(struct history_filter){.newest_first = true, .limit = 1});
	assert_int_equal(seen.number, 11);
	seen = list(history, HISTORY_TRANSITION, &(struct history_filter){.latest = true});
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.ids[0], 11);
	assert_int_equal(seen.ids[1], 12);
	seen = list(history, HISTORY_TRANSITION, &(struct history_filter){.latest = true, .service = "dns"});
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.number, 10);
	seen = (struct seen){.stop_at = 5};
	assert_int_equal(history_list(history, HISTORY_TRANSITION, NULL, see, &seen, &error), 77);
	assert_int_equal(seen.count, 5);
	history_close(history);
}

static void test_one_bad_entry_keeps_all_out(void **state)
{
	struct history *history = open_history();
	struct history_entry entries[] = {transition("web", 1, 1), transition("web", 1, 2), transition("web", 1, 1)};

	(void)state;
	refused(history, entries, 3, -EEXIST, "transition 1 of rollout 1 of web is there already");
	assert_int_equal(list(history, HISTORY_TRANSITION, NULL).count, 0);
	entries[2] = verdict("web", 2, "errors");
	refused(history, entries, 3, -EINVAL, "takes no such verdict for rollout 2 of web: FOREIGN KEY");
	entries[2] = verdict("web", 1, NULL);
	refused(history, entries, 3, -EINVAL, "NOT NULL constraint failed: verdict.gate");
	entries[2] = transition("web", HISTORY_NO_ROLLOUT, 1);
	refused(history, entries, 3, -EINVAL, "CHECK constraint");
	assert_int_equal(list(history, HISTORY_TRANSITION, NULL).count, 0);
	append(history, entries, 2);
	refused(history, entries, 1, -EEXIST, "is there already");
	history_close(history);
}

static void test_old_counts_are_pruned_and_nothing_else(void **state)
{
	struct history *history = open_history();
	struct history_entry entries[] = {
		transition("web", 1, 1),
		{.kind = HISTORY_COUNTS, .service = "web", .rollout = 1, .time = 10, .counts = {.counts = "1"}},
		{.kind = HISTORY_COUNTS, .service = "web", .rollout = 1, .time = 20, .counts = {.counts = "2"}},
	};
	struct error error = {};

	(void)state;
	entries[0].time = 5;
	append(history, entries, 3);
	assert_int_equal(history_prune_counts(history, 20, &error), 0);
	assert_int_equal(list(history, HISTORY_COUNTS, NULL).count, 1);
	assert_int_equal(list(history, HISTORY_TRANSITION, NULL).count, 1);
	history_close(history);
}

static void test_nobody_else_may_read_it(void **state)
{
	static const char *const names[] = {"", "-wal", "-shm", ".lock"};
	struct history *history;
	struct stat status;
	char name[80];
	mode_t mask = umask(0);

	(void)state;
	history = open_history();
	append(history, &(struct history_entry){.kind = HISTORY_BLOCK, .service = "web"}, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, names[i]);
		assert_int_equal(stat(name, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0600);
	}
	umask(mask);
	history_close(history);
}

/* Opening fails so, and leaves the file's bytes as they are. */
static void assert_not_opened(int code, const char *sentence)
{
	struct history *history = (void *)1;
	struct error error = {};

	assert_int_equal(history_open(path, &history, &error), code);
	assert_ptr_equal(history, (void *)1);
	if (!strstr(error.text, sentence) || !strstr(error.text, path))
		fail_msg("the message is\n  %s\nand should have in it\n  %s", error.text, sentence);
}

static void test_two_cannot_have_it(void **state)
{
	int ready[2], go[2];
	char byte, sentence[80];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		struct history *history;
		struct error error;

		close(go[1]);
		if (history_open(path, &history, &error) == 0 && write(ready[1], "x", 1) == 1)
			(void)read(go[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(sentence, sizeof(sentence), "another canaryd has it, process %d", pid);
	assert_not_opened(-EBUSY, sentence);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	history_close(open_history());
	close(ready[0]), close(ready[1]), close(go[0]), close(go[1]);
}

/* Appends a transition with two verdicts for ever, and says each time that it is done. */
static void append_for_ever(int say)
{
	struct history *history = open_history();
	struct error error;

	for (__s64 i = 0;; i++) {
		struct history_entry entries[] = {transition("web", 1, i), verdict("web", 1, "a"),
						  verdict("web", 1, "b")};

		if (history_append(history, entries, 3, &error) || write(say, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

static void test_what_a_killed_process_appended_is_there_whole(void **state)
{
	__s64 appended = 0;

	srand(1);
	for (int round = 0; round < 20; round++) {
		__s64 last = -1, number;
		int say[2];
		pid_t pid;
		struct history *history;
		struct seen transitions;

		assert_int_equal(pipe(say), 0);
		pid = fork();
		if (pid == 0)
			append_for_ever(say[1]);
		close(say[1]);
		assert_int_equal(read(say[0], &last, sizeof(last)), sizeof(last));
		usleep(rand() % 50000);
		kill(pid, SIGKILL);
		while (read(say[0], &number, sizeof(number)) == sizeof(number))
			last = number;
		close(say[0]);
		waitpid(pid, NULL, 0);
		history = open_history();
		transitions = list(history, HISTORY_TRANSITION, NULL);
		/* The last one may have been appended without its being said. */
		assert_true(transitions.number == last || transitions.number == last + 1);
		assert_int_equal(transitions.count, transitions.number + 1);
		assert_int_equal(list(history, HISTORY_VERDICT, NULL).count, 2 * transitions.count);
		history_close(history);
		appended += transitions.count;
		remove_files(state);
	}
	assert_true(appended > 100);
}

/* In a file system of its own that goes with this process: returns the child's exit code. */
static int on_a_small_disk(void (*run)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("none", directory, "tmpfs", 0, "size=512k"))
			_exit(90);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

#define expect(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, error.text);       \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static void fill_the_disk(void)
{
	struct error error = {};
	struct history *history;
	int count = 0, result = 0;

	expect(history_open(path, &history, &error) == 0);
	for (; !result && count < 10000; count++) {
		struct history_entry entries[] = {transition("web", 1, count), verdict("web", 1, "a")};

		result = history_append(history, entries, 2, &error);
	}
	count--;
	expect(result == -ENOSPC);
	expect(strstr(error.text, "there is no room on the disk"));
	expect(count > 10);
	expect(list(history, HISTORY_TRANSITION, NULL).count == count);
	history_close(history);
	expect(history_open(path, &history, &error) == 0);
	expect(list(history, HISTORY_TRANSITION, NULL).count == count);
	expect(list(history, HISTORY_VERDICT, NULL).count == count);
	history_close(history);
}

static void open_on_a_full_disk(void)
{
	static const char zeros[4096];
	struct error error = {};
	struct history *history = NULL;
	char filler[64];
	int fd;

	snprintf(filler, sizeof(filler), "%s/filler", directory);
	fd = open(filler, O_CREAT | O_WRONLY, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		continue;
	close(fd);
	expect(history_open(path, &history, &error) == -ENOSPC);
	expect(access(path, F_OK));
	unlink(filler);
	expect(history_open(path, &history, &error) == 0);
	history_close(history);
}

static void write_to_a_read_only_disk(void)
{
	struct history_entry entry = transition("web", 1, 1);
	struct error error = {};
	struct history *history;

	expect(history_open(path, &history, &error) == 0);
	expect(history_append(history, &entry, 1, &error) == 0);
	history_close(history);
	expect(mount("none", directory, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=512k") == 0);
	expect(history_open(path, &history, &error) == -EROFS);
	expect(strstr(error.text, path));
	expect(mount("none", directory, "tmpfs", MS_REMOUNT, "size=512k") == 0);
	expect(history_open(path, &history, &error) == 0);
	expect(list(history, HISTORY_TRANSITION, NULL).count == 1);
	history_close(history);
}

static void test_disks_that_are_full_or_read_only(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(on_a_small_disk(fill_the_disk), 0);
	assert_int_equal(on_a_small_disk(open_on_a_full_disk), 0);
	assert_int_equal(on_a_small_disk(write_to_a_read_only_disk), 0);
}

static char *read_file(size_t *ret_len)
{
	FILE *file = fopen(path, "r");
	char *bytes = malloc(1 << 20);

	assert_non_null(file);
	assert_non_null(bytes);
	*ret_len = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static void write_file(const char *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
}

static void assert_damage_is_found_and_kept(const char *bytes, size_t len, const char *sentence)
{
	size_t after_len;
	char *after;

	write_file(bytes, len);
	assert_not_opened(-EUCLEAN, sentence);
	after = read_file(&after_len);
	assert_int_equal(after_len, len);
	assert_memory_equal(after, bytes, len);
	free(after);
}

static void test_a_damaged_file_is_named_and_kept(void **state)
{
	struct history *history = open_history();
	char *bytes, *good, wal[80];
	size_t len;

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct history_entry entries[] = {transition("web", 1, i), verdict("web", 1, "a")};

		append(history, entries, 2);
	}
	history_close(history);
	good = read_file(&len);
	bytes = malloc(len);
	assert_non_null(bytes);
	assert_damage_is_found_and_kept(good, 0, "is empty");
	assert_damage_is_found_and_kept("SQLite format 2, perhaps", 24, "");
	assert_damage_is_found_and_kept(good, len / 2, "is damaged");
	assert_damage_is_found_and_kept(good, 100, "");
	for (size_t page = 2 * 4096; page + 4096 <= len; page += 4096) {
		memcpy(bytes, good, len);
		memset(bytes + page, 0xa5, 512);
		assert_damage_is_found_and_kept(bytes, len, "is damaged");
	}
	unlink(path);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(close(open(wal, O_CREAT | O_WRONLY, 0600)), 0);
	assert_not_opened(-EUCLEAN, "is missing");
	free(bytes);
	free(good);
}

static void edit(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_other_databases_are_left_alone(void **state)
{
	(void)state;
	edit("CREATE TABLE bookmarks (url TEXT)");
	assert_not_opened(-EUCLEAN, "is no history of rollouts");
	remove_files(state);
	history_close(open_history());
	edit("PRAGMA user_version = 99");
	assert_not_opened(-EPROTONOSUPPORT, "has version 99, of a later canaryd");
}

/* systemd makes a state directory that way (DynamicUser=). */
static void test_its_directory_may_be_behind_a_link(void **state)
{
	char link[80], through[120];
	struct history *history;
	struct error error = {};

	(void)state;
	snprintf(link, sizeof(link), "%s/link", directory);
	snprintf(through, sizeof(through), "%s/history.db", link);
	assert_int_equal(symlink(directory, link), 0);
	if (history_open(through, &history, &error))
		fail_msg("%s", error.text);
	history_close(history);
	unlink(link);
	history_close(open_history());
}

static void test_where_no_file_can_be_that_is_said(void **state)
{
	struct history *history = NULL;
	struct error error = {};

	(void)state;
	assert_int_equal(history_open("/nonexistent/history.db", &history, &error), -ENOENT);
	assert_string_equal(error.text, "/nonexistent/history.db.lock: cannot be opened: No such file or directory");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_what_is_appended_is_read_after_opening_again, remove_files),
		cmocka_unit_test_teardown(test_lists_are_filtered_and_limited, remove_files),
		cmocka_unit_test_teardown(test_one_bad_entry_keeps_all_out, remove_files),
		cmocka_unit_test_teardown(test_old_counts_are_pruned_and_nothing_else, remove_files),
		cmocka_unit_test_teardown(test_nobody_else_may_read_it, remove_files),
		cmocka_unit_test_teardown(test_two_cannot_have_it, remove_files),
		cmocka_unit_test_teardown(test_what_a_killed_process_appended_is_there_whole, remove_files),
		cmocka_unit_test_teardown(test_disks_that_are_full_or_read_only, remove_files),
		cmocka_unit_test_teardown(test_a_damaged_file_is_named_and_kept, remove_files),
		cmocka_unit_test_teardown(test_other_databases_are_left_alone, remove_files),
		cmocka_unit_test_teardown(test_its_directory_may_be_behind_a_link, remove_files),
		cmocka_unit_test_teardown(test_where_no_file_can_be_that_is_said, remove_files),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
