/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the history stays there, whole, whatever happens to the process, the disk and the file. */
#include "lib_history.h"

#include <errno.h>
#include <fcntl.h>
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

static void test_nobody_else_may_read_it(void **state)
{
	static const char *const names[] = {"", "-wal", "-shm", ".lock"};
	struct history *history;
	struct stat status;
	char name[80];
	mode_t mask = umask(0);

	(void)state;
	history = open_history();
	append_entries(history, &(struct history_entry){.kind = HISTORY_BLOCK, .service = "web"}, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", history_path, names[i]);
		assert_int_equal(stat(name, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0600);
	}
	umask(mask);
	history_close(history);
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
		if (history_open(history_path, &history, &error) || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit((int)read(go[0], &byte, 1));
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
		struct history_entry entries[] = {make_transition("web", 1, i), make_verdict("web", 1, "a"),
						  make_verdict("web", 1, "b")};

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
		transitions = list_history(history, HISTORY_TRANSITION, NULL);
		/* The last one may have been appended without its being said. */
		assert_true(transitions.number == last || transitions.number == last + 1);
		assert_int_equal(transitions.count, transitions.number + 1);
		assert_int_equal(list_history(history, HISTORY_VERDICT, NULL).count, 2 * transitions.count);
		history_close(history);
		appended += transitions.count;
		remove_history_files(state);
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
		    mount("none", history_directory, "tmpfs", 0, "size=512k"))
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

	expect(history_open(history_path, &history, &error) == 0);
	for (; !result && count < 10000; count++) {
		struct history_entry entries[] = {make_transition("web", 1, count), make_verdict("web", 1, "a")};

		result = history_append(history, entries, 2, &error);
	}
	count--;
	expect(result == -ENOSPC);
	expect(strstr(error.text, "there is no room on the disk"));
	expect(count > 10);
	expect(list_history(history, HISTORY_TRANSITION, NULL).count == count);
	history_close(history);
	expect(history_open(history_path, &history, &error) == 0);
	expect(list_history(history, HISTORY_TRANSITION, NULL).count == count);
	expect(list_history(history, HISTORY_VERDICT, NULL).count == count);
	history_close(history);
}

static void open_on_a_full_disk(void)
{
	static const char zeros[4096];
	struct error error = {};
	struct history *history = NULL;
	char filler[64];
	int fd;

	snprintf(filler, sizeof(filler), "%s/filler", history_directory);
	fd = open(filler, O_CREAT | O_WRONLY, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		continue;
	close(fd);
	expect(history_open(history_path, &history, &error) == -ENOSPC);
	expect(access(history_path, F_OK));
	unlink(filler);
	expect(history_open(history_path, &history, &error) == 0);
	history_close(history);
}

static void write_to_a_read_only_disk(void)
{
	struct history_entry entry = make_transition("web", 1, 1);
	struct error error = {};
	struct history *history;

	expect(history_open(history_path, &history, &error) == 0);
	expect(history_append(history, &entry, 1, &error) == 0);
	history_close(history);
	expect(mount("none", history_directory, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=512k") == 0);
	expect(history_open(history_path, &history, &error) == -EROFS);
	expect(strstr(error.text, history_path));
	expect(mount("none", history_directory, "tmpfs", MS_REMOUNT, "size=512k") == 0);
	expect(history_open(history_path, &history, &error) == 0);
	expect(list_history(history, HISTORY_TRANSITION, NULL).count == 1);
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
	FILE *file = fopen(history_path, "r");
	char *bytes = malloc(1 << 20);

	assert_non_null(file);
	assert_non_null(bytes);
	*ret_len = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static void write_file(const char *bytes, size_t len)
{
	FILE *file = fopen(history_path, "w");

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
		struct history_entry entries[] = {make_transition("web", 1, i), make_verdict("web", 1, "a")};

		append_entries(history, entries, 2);
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
	unlink(history_path);
	snprintf(wal, sizeof(wal), "%s-wal", history_path);
	assert_int_equal(close(open(wal, O_CREAT | O_WRONLY, 0600)), 0);
	assert_not_opened(-EUCLEAN, "is missing");
	free(bytes);
	free(good);
}

static void edit(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(history_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_other_databases_are_left_alone(void **state)
{
	(void)state;
	edit("CREATE TABLE bookmarks (url TEXT)");
	assert_not_opened(-EUCLEAN, "is no history of rollouts");
	remove_history_files(state);
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
	snprintf(link, sizeof(link), "%s/link", history_directory);
	snprintf(through, sizeof(through), "%s/history.db", link);
	assert_int_equal(symlink(history_directory, link), 0);
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
		cmocka_unit_test_teardown(test_nobody_else_may_read_it, remove_history_files),
		cmocka_unit_test_teardown(test_two_cannot_have_it, remove_history_files),
		cmocka_unit_test_teardown(test_what_a_killed_process_appended_is_there_whole, remove_history_files),
		cmocka_unit_test_teardown(test_disks_that_are_full_or_read_only, remove_history_files),
		cmocka_unit_test_teardown(test_a_damaged_file_is_named_and_kept, remove_history_files),
		cmocka_unit_test_teardown(test_other_databases_are_left_alone, remove_history_files),
		cmocka_unit_test_teardown(test_its_directory_may_be_behind_a_link, remove_history_files),
		cmocka_unit_test_teardown(test_where_no_file_can_be_that_is_said, remove_history_files),
	};

	return cmocka_run_group_tests(tests, make_history_directory, remove_history_directory);
}
