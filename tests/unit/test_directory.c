/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that are made where they are missing. */
#include "io/directory.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char top[] = "/tmp/canary-directory-XXXXXX";
static char path[PATH_MAX];

static int make_top(void **state)
{
	(void)state;
	umask(022);
	return mkdtemp(top) ? 0 : -1;
}

static const char *in_top(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static unsigned mode_of(const char *name)
{
	struct stat status;

	return stat(in_top(name), &status) || !S_ISDIR(status.st_mode) ? 0 : status.st_mode & 0777;
}

static int remove_top(void **state)
{
	static const char *const names[] = {"a/b/c", "a/b", "a", "run/x/y", "run/x", "run"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		rmdir(in_top(names[i]));
	unlink(in_top("file"));
	return rmdir(top);
}

static void test_all_levels_are_made_and_the_last_has_the_mode(void **state)
{
	struct error error = {};

	(void)state;
	assert_int_equal(directory_make(in_top("a//b/c/"), 0700, &error), 0);
	assert_int_equal(mode_of("a"), 0755);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(mode_of("a/b/c"), 0700);
}

static void test_what_is_there_stays_as_it_is(void **state)
{
	struct error error = {};

	(void)state;
	assert_int_equal(chmod(in_top("a/b"), 0711), 0);
	assert_int_equal(directory_make(in_top("a/b"), 0700, &error), 0);
	assert_int_equal(directory_make("/", 0700, &error), 0);
	assert_int_equal(directory_make(".", 0700, &error), 0);
	assert_int_equal(mode_of("a/b"), 0711);
}

static void test_the_directory_of_a_file_is_made(void **state)
{
	struct error error = {};

	(void)state;
	assert_int_equal(directory_make_of(in_top("run/x/y/socket"), 0750, &error), 0);
	assert_int_equal(mode_of("run/x"), 0755);
	assert_int_equal(mode_of("run/x/y"), 0750);
	assert_int_equal(mode_of("run/x/y/socket"), 0);
	assert_int_equal(directory_make_of("socket", 0750, &error), 0);
	assert_int_equal(directory_make_of("/socket", 0750, &error), 0);
}

static void test_what_is_in_the_way_is_named(void **state)
{
	struct error error = {};
	char longest[PATH_MAX + 10];

	(void)state;
	assert_non_null(fopen(in_top("file"), "w"));
	assert_int_equal(directory_make(in_top("file"), 0700, &error), -ENOTDIR);
	assert_non_null(strstr(error.text, "/file: it is there and is no directory"));
	assert_int_equal(directory_make(in_top("file/below"), 0700, &error), -ENOTDIR);
	assert_int_equal(directory_make("/proc/canary/below", 0700, &error), -ENOENT);
	assert_non_null(strstr(error.text, "cannot make /proc/canary: "));
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(directory_make(longest, 0700, &error), -ENAMETOOLONG);
	longest[sizeof(longest) - 2] = '/';
	assert_int_equal(directory_make_of(longest, 0700, &error), -ENAMETOOLONG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_levels_are_made_and_the_last_has_the_mode),
		cmocka_unit_test(test_what_is_there_stays_as_it_is),
		cmocka_unit_test(test_the_directory_of_a_file_is_made),
		cmocka_unit_test(test_what_is_in_the_way_is_named),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
