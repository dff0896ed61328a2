/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/sparkline.h"

static void test_bars_grow_with_their_values(void **state)
{
	static const double values[] = {0, 0.001, 1, 2, 3, 4, 5, 6, 7};
	char text[SPARKLINE_TEXT_LEN];

	(void)state;
	assert_string_equal(sparkline(values, 9, 9, 7, 9, false, text), "_..:-=+*#");
	assert_string_equal(sparkline(values, 9, 9, 7, 9, true, text), "▁▂▂▃▄▅▆▇█");
	/* More than the peak is no higher than it. */
	assert_string_equal(sparkline(values, 9, 9, 1, 9, false, text), "_.#######");
}

static void test_the_newest_is_at_the_right_end(void **state)
{
	static const double values[] = {1, 2};
	char text[SPARKLINE_TEXT_LEN];

	(void)state;
	assert_string_equal(sparkline(values, 2, 6, 2, 6, false, text), "    =#");
	assert_string_equal(sparkline(values, 0, 6, 0, 6, false, text), "      ");
	assert_string_equal(sparkline(values, 2, 1, 2, 1, false, text), "#");
}

static void test_what_is_not_known_is_left_out(void **state)
{
	const double values[] = {NAN, 2, NAN, NAN, 0, 0};
	char text[SPARKLINE_TEXT_LEN];

	(void)state;
	assert_string_equal(sparkline(values, 6, 6, 2, 6, false, text), " #  __");
	/* Two a glyph: their mean, or the one that is known. */
	assert_string_equal(sparkline(values, 6, 6, 2, 3, false, text), "# _");
}

static void test_a_glyph_stands_for_several(void **state)
{
	double values[600];
	char text[SPARKLINE_TEXT_LEN];

	(void)state;
	for (int i = 0; i < 600; i++)
		values[i] = i < 300 ? 0 : 1;
	assert_string_equal(sparkline(values, 600, 600, 1, 4, false, text), "__##");
	assert_string_equal(sparkline(values, 600, 600, 1, 3, false, text), "_=#");
	assert_int_equal(strlen(sparkline(values, 600, 600, 1, SPARKLINE_MAX, true, text)), SPARKLINE_TEXT_LEN - 1);
}

static void test_the_peak_is_the_largest_that_is_known(void **state)
{
	const double values[] = {NAN, 2, 5, NAN, 3};

	(void)state;
	assert_true(sparkline_peak(values, 5) == 5);
	assert_true(sparkline_peak(values, 1) == 0);
	assert_true(sparkline_peak(values, 0) == 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bars_grow_with_their_values),
		cmocka_unit_test(test_the_newest_is_at_the_right_end),
		cmocka_unit_test(test_what_is_not_known_is_left_out),
		cmocka_unit_test(test_a_glyph_stands_for_several),
		cmocka_unit_test(test_the_peak_is_the_largest_that_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
