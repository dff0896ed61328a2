/* SPDX-License-Identifier: Apache-2.0 */
/* What was read of etcd is found again, in order; and what a later reading does not have is gone. */
#include "lib_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/fleet_mirror.h"

static int put(struct mirror *mirror, const char *key, const char *value, __s64 revision)
{
	const struct etcd_kv kv = {
		.key = key, .value = value, .create_revision = 1, .mod_revision = revision, .lease = 7};
	struct fleet_key ret;

	return mirror_put(mirror, "/canary", &kv, &ret);
}

static void test_what_is_put_is_found(void **state)
{
	struct mirror mirror = {};
	const struct mirror_entry *entry;

	(void)state;
	assert_int_equal(put(&mirror, "/canary/host/lb2", "done 3\n", 4), 0);
	assert_int_equal(put(&mirror, "/canary/host/lb1", "done 2\n", 3), 0);
	assert_int_equal(put(&mirror, "/canary/config/web/1", "{}", 2), 0);
	entry = mirror_find(&mirror, FLEET_KEY_HOST, "lb2", NULL);
	assert_non_null(entry);
	assert_string_equal(entry->value, "done 3\n");
	assert_int_equal(entry->mod_revision, 4);
	assert_int_equal(entry->lease, 7);
	assert_string_equal(mirror_text(&mirror, FLEET_KEY_CONFIG, "web", "1"), "{}");
	assert_null(mirror_find(&mirror, FLEET_KEY_HOST, "lb3", NULL));
	assert_null(mirror_text(&mirror, FLEET_KEY_CONFIG, "web", "2"));
	assert_int_equal(put(&mirror, "/canary/host/lb2", "done 5\n", 6), 0);
	assert_string_equal(mirror_text(&mirror, FLEET_KEY_HOST, "lb2", NULL), "done 5\n");
	assert_int_equal(mirror.count, 3);
	mirror_clear(&mirror);
}

static void test_what_is_not_ours_is_counted_alone(void **state)
{
	struct mirror mirror = {};

	(void)state;
	mirror_begin_reading(&mirror);
	assert_int_equal(put(&mirror, "/canary/nonsense", "x", 1), -EINVAL);
	assert_int_equal(put(&mirror, "/canary/host", "x", 1), -EINVAL);
	assert_int_equal(mirror.count, 0);
	assert_int_equal(mirror.foreign, 2);
	mirror_begin_reading(&mirror);
	assert_int_equal(mirror.foreign, 0);
	mirror_clear(&mirror);
}

static void test_a_reading_takes_what_is_gone(void **state)
{
	struct mirror mirror = {};
	struct fleet_key key;

	(void)state;
	mirror_begin_reading(&mirror);
	put(&mirror, "/canary/service/a", "1", 1);
	put(&mirror, "/canary/service/b", "1", 1);
	put(&mirror, "/canary/service/c", "1", 1);
	mirror_end_reading(&mirror);
	assert_int_equal(mirror.count, 3);
	mirror_begin_reading(&mirror);
	put(&mirror, "/canary/service/c", "2", 5);
	put(&mirror, "/canary/service/a", "1", 1);
	mirror_end_reading(&mirror);
	assert_int_equal(mirror.count, 2);
	assert_null(mirror_find(&mirror, FLEET_KEY_SERVICE, "b", NULL));
	assert_string_equal(mirror_text(&mirror, FLEET_KEY_SERVICE, "c", NULL), "2");
	assert_int_equal(mirror_delete(&mirror, "/canary", "/canary/service/c", &key), 0);
	assert_string_equal(key.part[0], "c");
	assert_int_equal(mirror_delete(&mirror, "/canary", "/canary/service/c", &key), 0);
	assert_int_equal(mirror_delete(&mirror, "/canary", "/other/service/c", &key), -EINVAL);
	assert_int_equal(mirror.count, 1);
	mirror_clear(&mirror);
}

/* More than it has room for at first, from the end to the beginning. */
static void test_walks_are_in_order_and_of_one_kind(void **state)
{
	struct mirror mirror = {};
	char text[FLEET_KEY_LEN], before[FLEET_PART_LEN] = "";
	size_t count = 0;

	(void)state;
	for (int i = 199; i >= 0; i--) {
		snprintf(text, sizeof(text), "/canary/counters/lb%03d/web", i);
		assert_int_equal(put(&mirror, text, "{}", i + 1), 0);
	}
	put(&mirror, "/canary/held/web/lb1", "", 300);
	put(&mirror, "/canary/held/dns/lb1", "", 301);
	put(&mirror, "/canary/held/web/lb2", "", 302);
	for (const struct mirror_entry *entry = mirror_first(&mirror, FLEET_KEY_COUNTERS, NULL); entry;
	     entry = mirror_next(&mirror, entry, NULL)) {
		assert_true(strcmp(before, entry->key.part[0]) < 0);
		snprintf(before, sizeof(before), "%s", entry->key.part[0]);
		count++;
	}
	assert_int_equal(count, 200);
	count = 0;
	for (const struct mirror_entry *entry = mirror_first(&mirror, FLEET_KEY_HELD, "web"); entry;
	     entry = mirror_next(&mirror, entry, "web"))
		count++;
	assert_int_equal(count, 2);
	assert_int_equal(mirror_count(&mirror, FLEET_KEY_COUNTERS), 200);
	assert_int_equal(mirror_count(&mirror, FLEET_KEY_HELD), 3);
	assert_int_equal(mirror_count(&mirror, FLEET_KEY_HOST), 0);
	assert_null(mirror_first(&mirror, FLEET_KEY_HELD, "ftp"));
	assert_null(mirror_first(&mirror, FLEET_KEY_LEADER, NULL));
	mirror_clear(&mirror);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_put_is_found),
		cmocka_unit_test(test_what_is_not_ours_is_counted_alone),
		cmocka_unit_test(test_a_reading_takes_what_is_gone),
		cmocka_unit_test(test_walks_are_in_order_and_of_one_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
