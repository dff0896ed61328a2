/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "io/exposition.h"

#include <cmocka.h>

struct text {
	FILE *out;
	char *bytes;
	size_t len;
};

static int open_text(void **state)
{
	struct text *text = calloc(1, sizeof(*text));

	*state = text;
	text->out = open_memstream(&text->bytes, &text->len);
	return !text->out;
}

static int close_text(void **state)
{
	struct text *text = *state;

	fclose(text->out);
	free(text->bytes);
	free(text);
	return 0;
}

static void assert_text(struct text *text, const char *wanted)
{
	fflush(text->out);
	assert_string_equal(text->bytes, wanted);
}

static void test_a_family_has_a_head(void **state)
{
	struct text *text = *state;

	exposition_family(text->out, "a_total", METRIC_COUNTER, "what \"it\" is:\na \\");
	assert_text(text, "# HELP a_total what \"it\" is:\\na \\\\\n# TYPE a_total counter\n");
}

static void test_labels_are_escaped(void **state)
{
	const struct metric_labels labels = {{{"service", "a\"b\\c\nd"}, {"cohort", "canary"}}};
	struct text *text = *state;

	exposition_sample(text->out, "a", "_sum", &labels, 1);
	assert_text(text, "a_sum{service=\"a\\\"b\\\\c\\nd\",cohort=\"canary\"} 1\n");
}

static void test_labels_are_ascii(void **state)
{
	const struct metric_labels labels = {{{"interface", "b\xff"
							    "d\x1b[\x7f\xc3\xbc"}}};
	struct text *text = *state;

	exposition_sample(text->out, "a", "", &labels, 1);
	assert_text(text, "a{interface=\"b?d?[???\"} 1\n");
}

static void test_values(void **state)
{
	/* Each whole number up to 2^53 is told apart. */
	static const double values[] = {0, 9007199254740991.0, 1e300, 0.25, -3, NAN, INFINITY, -INFINITY};
	const struct metric_labels none = {};
	struct text *text = *state;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		exposition_sample(text->out, "a", "", &none, values[i]);
	assert_text(text, "a 0\na 9007199254740991\na 1e+300\na 0.25\na -3\na NaN\na +Inf\na -Inf\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_family_has_a_head, open_text, close_text),
		cmocka_unit_test_setup_teardown(test_labels_are_escaped, open_text, close_text),
		cmocka_unit_test_setup_teardown(test_labels_are_ascii, open_text, close_text),
		cmocka_unit_test_setup_teardown(test_values, open_text, close_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
