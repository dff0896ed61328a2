/* SPDX-License-Identifier: Apache-2.0 */
/* The file that says whose weights are a rollout's. */
#include "lib_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/owners.h"

static char directory[] = "/tmp/canary-owners-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/owners", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static void test_nobody(void **state)
{
	struct owners owners;
	struct error error;

	(void)state;
	assert_int_equal(owners_load(path, &owners, &error), 0);
	assert_int_equal(owners.count, 0);
	assert_null(owners_find(&owners, "web"));
	assert_int_equal(owners_save(path, &owners, &error), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_what_is_saved_is_loaded(void **state)
{
	struct owners owners = {}, back;
	struct error error;
	struct stat status;
	bool changed;

	(void)state;
	assert_int_equal(owners_take(&owners, "web", 525, 0, &changed), 0);
	assert_true(changed);
	assert_int_equal(owners_take(&owners, "dns", 10000, 0, &changed), 0);
	assert_int_equal(owners_take(&owners, "web", 525, 0, &changed), 0);
	assert_false(changed);
	assert_int_equal(owners_save(path, &owners, &error), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(owners_load(path, &back, &error), 0);
	assert_int_equal(back.count, 2);
	assert_int_equal(owners_find(&back, "web")->weight, 525);
	assert_true(owners_leave(&back, "web"));
	assert_false(owners_leave(&back, "web"));
	assert_int_equal(owners_find(&back, "dns")->weight, 10000);
	assert_true(owners_leave(&back, "dns"));
	assert_int_equal(owners_save(path, &back, &error), 0);
	assert_int_equal(access(path, F_OK), -1);
	owners_free(&owners);
	owners_free(&back);
}

static void test_a_finished_release_owns_nothing(void **state)
{
	struct owners owners = {}, back;
	struct error error;
	bool changed;

	(void)state;
	assert_int_equal(owners_take(&owners, "web", 10000, 0, &changed), 0);
	assert_int_equal(owners_finish(&owners, "web", &changed), 0);
	assert_true(changed);
	assert_int_equal(owners_finish(&owners, "web", &changed), 0);
	assert_false(changed);
	assert_int_equal(owners_save(path, &owners, &error), 0);
	assert_int_equal(owners_load(path, &back, &error), 0);
	assert_null(owners_find(&back, "web"));
	assert_true(owners_have_finished(&back, "web"));
	assert_int_equal(owners_take(&back, "web", 500, 0, &changed), 0);
	assert_true(changed);
	assert_false(owners_have_finished(&back, "web"));
	owners_free(&owners);
	owners_free(&back);
}

static void test_guards_are_owned_one_by_one(void **state)
{
	const unsigned guards = 1U << GUARD_SETTING_breaker | 1U << GUARD_SETTING_lease_default;
	struct owners owners = {}, back;
	struct error error;
	bool changed;

	(void)state;
	assert_int_equal(owners_take(&owners, "web", 500, 0, &changed), 0);
	assert_int_equal(owners_take(&owners, "web", 500, guards, &changed), 0);
	assert_true(changed);
	assert_int_equal(owners_save(path, &owners, &error), 0);
	assert_int_equal(owners_load(path, &back, &error), 0);
	assert_int_equal(owners_find(&back, "web")->guards, guards);
	assert_true(owners_leave(&back, "web"));
	assert_int_equal(owners_save(path, &back, &error), 0);
	owners_free(&owners);
	owners_free(&back);
}

static void test_a_damaged_file_is_an_error(void **state)
{
	struct owners owners;
	struct error error;
	FILE *file = fopen(path, "we");

	(void)state;
	assert_non_null(file);
	fputs("{\"services\": [", file);
	fclose(file);
	assert_int_equal(owners_load(path, &owners, &error), -EINVAL);
	assert_int_equal(owners.count, 0);
}

static void test_a_directory_that_is_not_there(void **state)
{
	struct owners owners = {};
	struct error error;
	bool changed;

	(void)state;
	assert_int_equal(owners_take(&owners, "web", 1, 0, &changed), 0);
	assert_int_equal(owners_save("/nowhere/owners", &owners, &error), -ENOENT);
	assert_string_equal(error.text, "/nowhere/owners: cannot be written: No such file or directory");
	owners_free(&owners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_what_is_saved_is_loaded),
		cmocka_unit_test(test_a_finished_release_owns_nothing),
		cmocka_unit_test(test_guards_are_owned_one_by_one),
		cmocka_unit_test(test_a_damaged_file_is_an_error),
		cmocka_unit_test(test_a_directory_that_is_not_there),
	};

	return cmocka_run_group_tests_name("owners", tests, make_directory, remove_directory);
}
