/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_model.h"

#include <string.h>

#include "io/health_status.h"

static const struct {
	const char *answer;
	enum status_found found;
	unsigned status;
} cases[] = {
	{"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", STATUS_FOUND, 200},
	{"HTTP/1.0 503 Service Unavailable\r\n", STATUS_FOUND, 503},
	{"HTTP/1.1 204\r\n", STATUS_FOUND, 204},
	{"HTTP/1.1 999\n", STATUS_FOUND, 999},
	{"HTTP/1.1 101 Switching Protocols\r\n\r\n", STATUS_FOUND, 101},
	/* Interim answers, with and without fields; a line that is one blank is not empty. */
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n", STATUS_FOUND, 404},
	{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n \r\n\r\nHTTP/1.1 200 OK\r\n", STATUS_FOUND, 200},
	{"HTTP/1.1 103\n\nHTTP/1.1 302 Found\n", STATUS_FOUND, 302},
	{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nHTTP/1.1 200 OK\r\n", STATUS_NEEDS_MORE, 0},
	{"", STATUS_NEEDS_MORE, 0},
	{"HTTP/1.1 20", STATUS_NEEDS_MORE, 0},
	{"HTTP/1.1 200", STATUS_NEEDS_MORE, 0},
	{"HTTP/1.1 2000 ", STATUS_IS_NOT_HTTP, 0},
	{"HTTP/1.1 20 OK", STATUS_IS_NOT_HTTP, 0},
	{"HTTP/1.1 099 Less", STATUS_IS_NOT_HTTP, 0},
	{"HTTP/2 200 OK\r\n", STATUS_IS_NOT_HTTP, 0},
	{"http/1.1 200 OK\r\n", STATUS_IS_NOT_HTTP, 0},
	{"SSH-2.0-server\r\n", STATUS_IS_NOT_HTTP, 0},
	{"\r\nHTTP/1.1 200 OK\r\n", STATUS_IS_NOT_HTTP, 0},
	{"HTTP/1.1 100 Continue\r\n\r\nSSH", STATUS_IS_NOT_HTTP, 0},
};

/* In pieces of so many bytes. */
static void assert_read(size_t i, size_t piece)
{
	const char *answer = cases[i].answer;
	size_t len = strlen(answer);
	struct status_reader reader = {};
	enum status_found found = STATUS_NEEDS_MORE;

	for (size_t at = 0; at < len && found == STATUS_NEEDS_MORE; at += piece)
		found = status_read(&reader, (const __u8 *)answer + at, len - at < piece ? len - at : piece);
	if (found != cases[i].found || (found == STATUS_FOUND && reader.status != cases[i].status))
		fail_msg("%s, by %zu: %d, %u", answer, piece, found, reader.status);
}

static void test_the_status_is_read_however_it_comes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece <= 64; piece++)
			assert_read(i, piece);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_status_is_read_however_it_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
