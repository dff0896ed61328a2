/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines of the configuration as words, without a shell. */
#include "lib_model.h"

#include <errno.h>
#include <string.h>

#include "daemon/words.h"

static void assert_words(const char *line, const char *const *expected)
{
	struct words words;
	int i;

	assert_int_equal(words_split(line, &words), 0);
	for (i = 0; expected[i]; i++)
		assert_string_equal(words.argv[i], expected[i]);
	assert_null(words.argv[i]);
}

static void test_words(void **state)
{
	(void)state;
	assert_words("/bin/true", (const char *[]){"/bin/true", NULL});
	assert_words("  a\tb   c ", (const char *[]){"a", "b", "c", NULL});
	assert_words("a 'b c' \"d e\"f", (const char *[]){"a", "b c", "d ef", NULL});
	assert_words("a '' \"'\" '\"'", (const char *[]){"a", "", "'", "\"", NULL});
	/* No shell: these are letters like others. */
	assert_words("a $HOME * | b;c `d` \\", (const char *[]){"a", "$HOME", "*", "|", "b;c", "`d`", "\\", NULL});
}

static void test_what_is_no_command(void **state)
{
	char line[2 * WORDS_MAX + 3];
	struct words words;

	(void)state;
	assert_int_equal(words_split("", &words), -EINVAL);
	assert_int_equal(words_split(" \t ", &words), -EINVAL);
	assert_int_equal(words_split("a 'b", &words), -EINVAL);
	memset(line, 0, sizeof(line));
	for (int i = 0; i < WORDS_MAX; i++)
		strcat(line, "a ");
	assert_int_equal(words_split(line, &words), 0);
	strcat(line, "a");
	assert_int_equal(words_split(line, &words), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_what_is_no_command),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
