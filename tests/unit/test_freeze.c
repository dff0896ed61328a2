/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/freeze.h"

enum { SUNDAY, MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY }; /* as in struct tm */

static bool holds(const char *text, int weekday, int hour, int minute)
{
	struct freeze_window window;

	assert_int_equal(parse_freeze(text, &window), 0);
	return freeze_holds(&window, 1, week_minute(weekday, hour, minute)) == 0;
}

static void test_a_weekend_goes_round_the_end_of_the_week(void **state)
{
	const char *text = "Fri 16:00 - Mon 08:00";

	(void)state;
	assert_false(holds(text, FRIDAY, 15, 59));
	assert_true(holds(text, FRIDAY, 16, 0));
	assert_true(holds(text, SATURDAY, 3, 0));
	assert_true(holds(text, SUNDAY, 23, 59));
	assert_true(holds(text, MONDAY, 0, 0));
	assert_true(holds(text, MONDAY, 7, 59));
	assert_false(holds(text, MONDAY, 8, 0));
	assert_false(holds(text, WEDNESDAY, 12, 0));
}

static void test_a_window_inside_the_week(void **state)
{
	(void)state;
	assert_false(holds("tue 09:30 - WED 10:00", TUESDAY, 9, 29));
	assert_true(holds("tue 09:30 - WED 10:00", WEDNESDAY, 9, 59));
	assert_false(holds("tue 09:30 - WED 10:00", WEDNESDAY, 10, 0));
}

static void test_without_days_it_is_every_day(void **state)
{
	(void)state;
	for (int day = SUNDAY; day <= SATURDAY; day++) {
		assert_true(holds("22:00 - 06:00", day, 23, 0));
		assert_true(holds("22:00 - 06:00", day, 5, 59));
		assert_false(holds("22:00 - 06:00", day, 6, 0));
		assert_false(holds("22:00 - 06:00", day, 21, 59));
		assert_true(holds("12:00 - 13:00", day, 12, 30));
		assert_false(holds("12:00 - 13:00", day, 13, 0));
	}
}

static void test_the_window_that_holds_is_told(void **state)
{
	struct freeze_window windows[2];

	(void)state;
	parse_freeze("22:00 - 06:00", &windows[0]);
	parse_freeze("Sat 00:00 - Mon 00:00", &windows[1]);
	assert_int_equal(freeze_holds(windows, 2, week_minute(SATURDAY, 23, 0)), 0);
	assert_int_equal(freeze_holds(windows, 2, week_minute(SATURDAY, 12, 0)), 1);
	assert_int_equal(freeze_holds(windows, 2, week_minute(MONDAY, 12, 0)), -1);
	assert_int_equal(freeze_holds(windows, 0, 0), -1);
}

static void test_texts_read_back(void **state)
{
	static const char *const texts[] = {"Fri 16:00 - Mon 08:00", "22:00 - 06:00", "Sun 00:00 - Sun 23:59"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct freeze_window window;
		char buf[FREEZE_TEXT_LEN];

		assert_int_equal(parse_freeze(texts[i], &window), 0);
		assert_string_equal(format_freeze(&window, buf), texts[i]);
	}
}

static void test_anything_else_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"Fri",
		"Fri 16:00",
		"Fri 16:00 -",
		"Fri 16:00 - Mon",
		"Fri 16:00 - 08:00",
		"16:00 - Mon 08:00",
		"Fri 16:00-Mon 08:00",
		"Fri 24:00 - 08:00",
		"Fri 16:60 - Mon 08:00",
		"Fri 4:00 - Mon 08:00",
		"Fri 16:00 - Mon 08:00 ",
		"Fre 16:00 - Mon 08:00",
		"Fri 16:00 - Fri 16:00",
		" Fri 16:00 - Mon 08:00",
		"Friday 16:00 - Mon 08:00",
	};
	struct freeze_window window = {.from = 7};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (parse_freeze(texts[i], &window) != -EINVAL)
			fail_msg("'%s' was taken", texts[i]);
	}
	assert_int_equal(window.from, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_weekend_goes_round_the_end_of_the_week),
		cmocka_unit_test(test_a_window_inside_the_week),
		cmocka_unit_test(test_without_days_it_is_every_day),
		cmocka_unit_test(test_the_window_that_holds_is_told),
		cmocka_unit_test(test_texts_read_back),
		cmocka_unit_test(test_anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
