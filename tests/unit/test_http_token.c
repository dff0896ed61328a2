/* SPDX-License-Identifier: Apache-2.0 */
/* Files of tokens, and what a client shows. */
#include "io/http_token.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define FULL "0123456789abcdef0123456789ABCDEF"
#define WORDS "feed-feed.feed_feed~feed+feed/feed=="

static char path[] = "/tmp/test_token.XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_file(const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int load(const char *text, struct http_tokens *ret, struct error *error)
{
	write_file(text, strlen(text), 0600);
	return http_tokens_load(path, ret, error);
}

static void test_a_file_has_a_token_a_line(void **state)
{
	struct http_tokens tokens = {};
	struct error error = {};

	(void)state;
	if (load("# of the dashboard\n" FULL "\n\n \t feedback\t" WORDS " \r\n", &tokens, &error))
		fail_msg("%s", error.text);
	assert_int_equal(tokens.count, 2);
	assert_int_equal(http_tokens_check(&tokens, "Bearer " FULL), HTTP_GRANT_ALL);
	assert_int_equal(http_tokens_check(&tokens, "bearer  " WORDS " "), HTTP_GRANT_FEEDBACK);
	/* Without an end of its last line, too. */
	assert_int_equal(load(FULL, &tokens, &error), 0);
	assert_int_equal(tokens.count, 1);
}

static void test_only_the_whole_token_is_one(void **state)
{
	static const char *const wrong[] = {
		"",
		"Bearer",
		"Bearer ",
		FULL,
		"Basic " FULL,
		"Bearer" FULL,
		"Bearer 0123456789abcdef0123456789ABCDE",
		"Bearer " FULL "0",
		"Bearer 0123456789abcdef0123456789abcdef",
		"Bearer " FULL " " FULL,
		"Bearer " FULL ",",
		"Bearer \"" FULL "\"",
		"Bearer feedback " FULL,
		"BearerX " FULL,
	};
	struct http_tokens tokens = {}, none = {};
	struct error error = {};
	char longest[400];

	(void)state;
	assert_int_equal(load(FULL "\n", &tokens, &error), 0);
	assert_int_equal(http_tokens_check(&tokens, NULL), HTTP_GRANT_NONE);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (http_tokens_check(&tokens, wrong[i]) != HTTP_GRANT_NONE)
			fail_msg("'%s' is let in", wrong[i]);
	snprintf(longest, sizeof(longest), "Bearer %0300d", 0);
	assert_int_equal(http_tokens_check(&tokens, longest), HTTP_GRANT_NONE);
	assert_int_equal(http_tokens_check(&none, "Bearer "), HTTP_GRANT_NONE);
	http_tokens_clear(&tokens);
	assert_int_equal(http_tokens_check(&tokens, "Bearer " FULL), HTTP_GRANT_NONE);
}

static void test_what_is_no_file_of_tokens_is_refused_and_no_message_has_them(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"", "has no token"},
		{"# none\n\n", "has no token"},
		{"feedback\n", "line 1: is no token, and no \"feedback\" with one"},
		{"short0123456789\n", "line 1: a token has 32 to 255 characters"},
		{FULL "\nfeedback short0123456789\n", "line 2: a token has 32 to 255 characters"},
		{"promote " FULL "\n", "line 1: is no token"},
		{FULL " " FULL "\n", "line 1: is no token"},
		{FULL "\n\nsecret{}" FULL "\n", "line 3: is no token"},
	};
	struct http_tokens tokens = {.count = 7};
	struct error error = {};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(load(cases[i].text, &tokens, &error), -EINVAL);
		if (!strstr(error.text, cases[i].sentence) || strstr(error.text, "0123456789"))
			fail_msg("'%s' and not '%s'", error.text, cases[i].sentence);
	}
	write_file(FULL "\0\n", sizeof(FULL) + 1, 0600);
	assert_int_equal(http_tokens_load(path, &tokens, &error), -EINVAL);
	assert_int_equal(tokens.count, 7);
}

static void test_a_file_has_room_for_so_many(void **state)
{
	struct http_tokens tokens = {};
	struct error error = {};
	char text[HTTP_TOKENS_MAX * 40 + 80] = "";

	(void)state;
	for (int i = 0; i < HTTP_TOKENS_MAX; i++)
		sprintf(text + strlen(text), "%032d\n", i);
	assert_int_equal(load(text, &tokens, &error), 0);
	assert_int_equal(tokens.count, HTTP_TOKENS_MAX);
	assert_int_equal(http_tokens_check(&tokens, "Bearer 00000000000000000000000000000031"), HTTP_GRANT_ALL);
	strcat(text, FULL "\n");
	assert_int_equal(load(text, &tokens, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line 33: there are 32 tokens at most"));
}

static void test_a_file_that_others_read_or_write_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		int code;
	} cases[] = {
		{0600, 0},	{0400, 0},	{0640, 0},	{0440, 0},	{0644, -EPERM}, {0604, -EPERM},
		{0660, -EPERM}, {0620, -EPERM}, {0602, -EPERM}, {0601, -EPERM}, {0610, -EPERM},
	};
	struct http_tokens tokens;
	struct error error = {};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file(FULL "\n", sizeof(FULL), cases[i].mode);
		if (http_tokens_load(path, &tokens, &error) != cases[i].code)
			fail_msg("mode %o: '%s'", cases[i].mode, error.text);
	}
	assert_non_null(strstr(error.text, "is open to others"));
	/* Only root can give a file away. */
	if (geteuid() == 0) {
		write_file(FULL "\n", sizeof(FULL), 0600);
		assert_int_equal(chown(path, 65534, -1), 0);
		assert_int_equal(http_tokens_load(path, &tokens, &error), -EPERM);
		assert_non_null(strstr(error.text, "belongs to user 65534"));
		assert_int_equal(chown(path, 0, -1), 0);
	}
}

static void test_what_is_no_file_is_refused_at_once(void **state)
{
	char fifo[sizeof(path) + 8];
	struct http_tokens tokens;
	struct error error = {};

	(void)state;
	assert_int_equal(http_tokens_load("/nonexistent/tokens", &tokens, &error), -ENOENT);
	assert_int_equal(http_tokens_load("/tmp", &tokens, &error), -EINVAL);
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(http_tokens_load(fifo, &tokens, &error), -EINVAL);
	unlink(fifo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_has_a_token_a_line),
		cmocka_unit_test(test_only_the_whole_token_is_one),
		cmocka_unit_test(test_what_is_no_file_of_tokens_is_refused_and_no_message_has_them),
		cmocka_unit_test(test_a_file_has_room_for_so_many),
		cmocka_unit_test(test_a_file_that_others_read_or_write_is_refused),
		cmocka_unit_test(test_what_is_no_file_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
