/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are replaced at once or not at all. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char top[] = "/tmp/canary-file-XXXXXX";
static char path[64], new[80];

static int make_top(void **state)
{
	(void)state;
	umask(077);
	if (!mkdtemp(top))
		return -1;
	snprintf(path, sizeof(path), "%s/routes", top);
	snprintf(new, sizeof(new), "%s.new", path);
	return 0;
}

static int remove_top(void **state)
{
	(void)state;
	unlink(path);
	unlink(new);
	return rmdir(top);
}

static void assert_holds(const char *text, mode_t mode)
{
	struct stat status;
	char held[64];
	ssize_t len;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	len = read(fd, held, sizeof(held) - 1);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	assert_true(len >= 0);
	held[len] = '\0';
	assert_string_equal(held, text);
	assert_int_equal(status.st_mode & 07777, mode);
	assert_int_equal(access(new, F_OK), -1);
}

static void test_it_has_the_text_and_the_mode_whatever_the_umask(void **state)
{
	(void)state;
	assert_int_equal(file_replace(path, 0644, "first"), 0);
	assert_holds("first", 0644);
	assert_int_equal(file_replace(path, 0600, ""), 0);
	assert_holds("", 0600);
}

static void test_who_reads_the_old_one_reads_it_to_its_end(void **state)
{
	char held[8] = "";
	int fd;

	(void)state;
	assert_int_equal(file_replace(path, 0600, "old"), 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(file_replace(path, 0600, "newer"), 0);
	assert_int_equal(read(fd, held, sizeof(held)), 3);
	close(fd);
	assert_string_equal(held, "old");
	assert_holds("newer", 0600);
}

static void test_what_a_killed_process_has_left_is_not_followed(void **state)
{
	char victim[80];

	(void)state;
	snprintf(victim, sizeof(victim), "%s/victim", top);
	assert_int_equal(symlink(victim, new), 0);
	assert_int_equal(file_replace(path, 0600, "text"), 0);
	assert_int_equal(access(victim, F_OK), -1);
	assert_holds("text", 0600);
}

static void test_what_cannot_be_written_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(file_replace("/nonexistent/routes", 0600, "text"), -ENOENT);
	assert_int_equal(file_replace(top, 0600, "text"), -EISDIR);
	snprintf(new, sizeof(new), "%s.new", top);
	assert_int_equal(access(new, F_OK), -1);
	snprintf(new, sizeof(new), "%s.new", path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_has_the_text_and_the_mode_whatever_the_umask),
		cmocka_unit_test(test_who_reads_the_old_one_reads_it_to_its_end),
		cmocka_unit_test(test_what_a_killed_process_has_left_is_not_followed),
		cmocka_unit_test(test_what_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
