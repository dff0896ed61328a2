/* SPDX-License-Identifier: Apache-2.0 */
/* What others write is made safe before anybody reads it. */
#include "io/answer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_words_are_taken_whole(void **state)
{
	enum answer_verdict verdict = ANSWER_INCONCLUSIVE;

	(void)state;
	assert_int_equal(parse_answer("pass", &verdict), 0);
	assert_int_equal(verdict, ANSWER_PASS);
	assert_int_equal(parse_answer("fail", &verdict), 0);
	assert_int_equal(verdict, ANSWER_FAIL);
	assert_int_equal(parse_answer("passed", &verdict), -EINVAL);
	assert_int_equal(parse_answer("", &verdict), -EINVAL);
	assert_int_equal(parse_answer("PASS", &verdict), -EINVAL);
	assert_int_equal(verdict, ANSWER_FAIL);
}

static void test_what_is_unsafe_becomes_a_question_mark(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"plain\n\ttext", "plain\n\ttext"},
		{"sch\303\266n \342\202\254 \360\237\230\200", "sch\303\266n \342\202\254 \360\237\230\200"},
		{"\033[31mred\a\r", "?[31mred??"},
		{"\302\233 C1, \177", "?? C1, ?"}, /* a CSI of eight bits */
		{"\300\257 too long, \355\240\200 surrogate", "?? too long, ??? surrogate"},
		{"cut \342\202", "cut ??"},
		{"\364\220\200\200 beyond, \377", "???? beyond, ?"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(text, cases[i].from);
		clean_text(text, strlen(text));
		assert_string_equal(text, cases[i].to);
	}
}

static void test_a_reason_is_one_line(void **state)
{
	char reason[ANSWER_REASON_LEN], longest[1000];

	(void)state;
	first_line("\n\r\n  the canary is slow\r\nmore", 30, reason);
	assert_string_equal(reason, "the canary is slow");
	first_line("", 0, reason);
	assert_string_equal(reason, "");
	memset(longest, 'x', sizeof(longest));
	first_line(longest, sizeof(longest), reason);
	assert_int_equal(strlen(reason), ANSWER_REASON_LEN - 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_are_taken_whole),
		cmocka_unit_test(test_what_is_unsafe_becomes_a_question_mark),
		cmocka_unit_test(test_a_reason_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
