/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the server lets in by address, and what it takes for no request at all. */
#include "lib_http.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define JSON "Content-Type: application/json\r\n"
#define AS(token) "Authorization: Bearer " token "\r\n"
#define HERE "Host: localhost\r\n"

static struct test_server server;
static unsigned handled; /* touched by the server's thread */

static void handle(struct http_call *call, void *arg)
{
	(void)arg;
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
	http_reply(call, 200, json_pack("{s:s}", "path", http_path(call)));
}

static const struct http_route routes[] = {
	{"GET", "/read", HTTP_EVERYBODY, handle},  {"GET", "/read/{what}", HTTP_EVERYBODY, handle},
	{"GET", "/kept", HTTP_FULL_TOKEN, handle}, {"POST", "/write", HTTP_FULL_TOKEN, handle},
	{"POST", "/word", HTTP_ANY_TOKEN, handle}, {},
};

static int start(void **state)
{
	(void)state;
	test_server_start(&server, NULL, routes, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	test_server_stop(&server);
	return 0;
}

/* All that comes back, until the server closes. */
static const char *ask(const char *request)
{
	static char answer[16384];
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(server.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t more;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((more = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
		len += (size_t)more;
	answer[len] = '\0';
	close(fd);
	return answer;
}

/* Is it answered so, and does a handler see it only then? */
static void assert_answered(const char *first, const char *headers, unsigned status, const char *text)
{
	unsigned before = __atomic_load_n(&handled, __ATOMIC_SEQ_CST), got = 0;
	const char *answer;
	char request[4096];

	snprintf(request, sizeof(request), "%s HTTP/1.1\r\n%sConnection: close\r\n\r\n", first, headers);
	answer = ask(request);
	if (sscanf(answer, "HTTP/1.1 %u ", &got) != 1 || got != status || !strstr(answer, text))
		fail_msg("%s\nis answered\n%s\nand not %u with %s", request, answer, status, text);
	assert_int_equal(__atomic_load_n(&handled, __ATOMIC_SEQ_CST) - before, status == 200);
	assert_null(strcasestr(answer, "access-control-"));
	assert_null(strstr(answer, TEST_TOKEN));
}

static void test_it_answers_to_its_own_names_alone(void **state)
{
	static const struct {
		const char *host;
		bool ours;
	} cases[] = {
		{"localhost", true},
		{"LocalHost:9842", true},
		{"localhost.:80", true},
		{"127.0.0.1", true},
		{"127.0.0.1:1", true},
		{"127.9.9.9", true},
		{"[::1]", true},
		{"[::1]:8080", true},
		{TEST_HOST, true},
		{"SHOP.example.:443", true},
		{"198.51.100.7:80", true},
		{"", false},
		{"evil.example", false},
		{"localhost.evil.example", false},
		{"evil.localhost", false},
		{"localhost:", false},
		{"localhost:port", false},
		{"localhost:99999", false},
		{"localhost..", false},
		{"localhost@evil.example", false},
		{"evil.example#localhost", false},
		{"127.0.0.1.evil.example", false},
		{"127.0.0.1.nip.io", false},
		{"192.0.2.1", false},
		{"0.0.0.0", false},
		{"[::]", false},
		{"[::ffff:127.0.0.1]", false},
		{"[::1", false},
		{"2130706433", false},
		{"0x7f.1", false},
		{"shop.example.evil", false},
		{"xshop.example", false},
		{"shop", false},
	};
	char headers[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(headers, sizeof(headers), "Host: %s\r\n", cases[i].host);
		assert_answered("GET /read", headers, cases[i].ours ? 200 : 421, cases[i].ours ? "/read" : "--host");
	}
}

static void test_pages_of_other_sites_are_refused(void **state)
{
	static const struct {
		const char *headers;
		unsigned status;
	} cases[] = {
		{"Host: localhost:81\r\nOrigin: http://localhost:81\r\n", 200},
		{"Host: shop.example\r\nOrigin: https://shop.example\r\n", 200},
		{HERE "Sec-Fetch-Site: same-origin\r\n", 200},
		{HERE "Sec-Fetch-Site: none\r\n", 200},
		{HERE "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", 200},
		{HERE "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n", 403},
		{HERE "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n", 403},
		{HERE "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", 403},
		{HERE "Sec-Fetch-Site: same-origin\r\nOrigin: http://evil.example\r\n", 403},
		{HERE "Origin: null\r\n", 403},
		{HERE "Origin: \r\n", 403},
		{HERE "Origin: http://evil.example\r\n", 403},
		{"Host: localhost:81\r\nOrigin: http://localhost:82\r\n", 403},
		{"Host: localhost\r\nOrigin: http://localhost.evil.example\r\n", 403},
		{"Host: localhost\r\nOrigin: file://localhost\r\n", 403},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_answered("GET /read", cases[i].headers, cases[i].status,
				cases[i].status == 200 ? "/read" : "pages of other sites");
	assert_answered("POST /write",
			HERE AS(TEST_TOKEN) JSON "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"
						 "Sec-Fetch-Dest: document\r\n",
			403, "pages of other sites");
}

static void test_writing_takes_a_token_and_json(void **state)
{
	static const struct {
		const char *first, *headers;
		unsigned status;
		const char *text;
	} cases[] = {
		{"POST /write", HERE AS(TEST_TOKEN) JSON, 200, "/write"},
		{"POST /word", HERE AS(TEST_TOKEN) JSON, 200, "/word"},
		{"POST /word", HERE AS(TEST_FEEDBACK_TOKEN) JSON, 200, "/word"},
		{"GET /kept", HERE AS(TEST_TOKEN), 200, "/kept"},
		{"HEAD /kept", HERE AS(TEST_TOKEN), 200, ""},
		{"GET /read", HERE AS("nonsense"), 200, "/read"},
		{"POST /write", HERE AS(TEST_FEEDBACK_TOKEN) JSON, 403, "this token is for feedback alone"},
		{"GET /kept", HERE AS(TEST_FEEDBACK_TOKEN), 403, "this token is for feedback alone"},
		{"POST /write", HERE JSON, 401, "WWW-Authenticate: Bearer realm=\"canaryd\"\r\n"},
		{"POST /word", HERE JSON, 401, "takes a token"},
		{"GET /kept", HERE, 401, "takes a token"},
		{"POST /write", HERE AS("x" TEST_TOKEN) JSON, 401, "error=\"invalid_token\"\r\n"},
		{"POST /write", HERE JSON "Authorization: Basic " TEST_TOKEN "\r\n", 401, "takes another token"},
		{"POST /write?access_token=" TEST_TOKEN, HERE JSON, 401, "takes a token"},
		{"POST /write", HERE AS(TEST_TOKEN), 415, "must come with Content-Type: application/json"},
		{"POST /write", HERE AS(TEST_TOKEN) "Content-Type: text/plain\r\n", 415, "must come with"},
		{"POST /write", HERE AS(TEST_TOKEN) "Content-Type: application/jsonp\r\n", 415, "must come with"},
		{"DELETE /write", HERE AS(TEST_TOKEN) JSON, 405, "Allow: POST\r\n"},
		{"OPTIONS /write", HERE "Access-Control-Request-Method: POST\r\n", 405, "Allow: POST\r\n"},
		{"post /write", HERE AS(TEST_TOKEN) JSON, 405, "not post"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_answered(cases[i].first, cases[i].headers, cases[i].status, cases[i].text);
}

static void test_without_tokens_nobody_writes(void **state)
{
	(void)state;
	http_server_guard(server.server, &(struct http_guard){});
	assert_answered("GET /read", HERE, 200, "/read");
	assert_answered("POST /write", HERE AS(TEST_TOKEN) JSON, 403, "is offered on the unix socket only");
	assert_answered("POST /word", HERE AS(TEST_FEEDBACK_TOKEN) JSON, 403, "started without --token-file");
	assert_answered("GET /kept", HERE AS("") JSON, 403, "is offered on the unix socket only");
}

static void test_what_can_be_read_in_two_ways_is_not_read(void **state)
{
	static const char *const cases[] = {
		HERE HERE,
		HERE "Host: evil.example\r\n",
		HERE "Content-Length: 0\r\nContent-Length: 5\r\n",
		HERE "Content-Length: 5\r\nContent-Length: 5\r\n",
		HERE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		HERE "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		HERE "Transfer-Encoding: chunked, identity\r\n",
		HERE "Transfer-Encoding: xchunked\r\n",
		HERE "Transfer-Encoding:\r\n",
		HERE "Content-Length : 5\r\n",
		HERE "Content Length: 5\r\n",
		HERE "Content-Length\t: 5\r\n",
		HERE "na(me: value\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_answered("POST /write", cases[i], 400, "Connection: close\r\n");
		assert_answered("GET /read", cases[i], 400, "\"error\":");
	}
	assert_answered("GET /read", "", 400, "");
}

/* What comes behind a refused request on its connection is not read as another. */
static void test_nothing_is_smuggled_behind_a_request(void **state)
{
	static const char *const lengths[] = {
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
		"Content-Length: 0\r\nContent-Length: 6\r\n",
		"Content-Length : 6\r\n",
	};
	char request[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		unsigned before = __atomic_load_n(&handled, __ATOMIC_SEQ_CST);

		snprintf(request, sizeof(request),
			 "POST /word HTTP/1.1\r\n" HERE "%s\r\n0\r\n\r\n"
			 "POST /write HTTP/1.1\r\n" HERE AS(TEST_TOKEN) JSON "Connection: close\r\n\r\n",
			 lengths[i]);
		ask(request);
		assert_int_equal(__atomic_load_n(&handled, __ATOMIC_SEQ_CST), before);
	}
}

static void test_paths_are_what_they_say(void **state)
{
	static const struct {
		const char *first;
		unsigned status;
	} cases[] = {
		{"GET /read", 200},
		{"GET /re%61d", 200},
		{"GET /read/a%2eb", 200},
		{"GET /read%2fweb", 404},
		{"GET /read%2Fweb", 404},
		{"GET /read%00", 404},
		{"GET /read/..%2fkept", 200}, /* one part, with that name */
		{"GET /read/../kept", 404},
		{"GET //read", 404},
		{"GET /read/", 404},
		{"GET /./read", 404},
		{"GET /x/../read", 404},
		{"GET \\read", 404},
		{"GET http://localhost/read", 404},
		{"GET read", 404},
		{"GET *", 404},
		{"GET /read%", 404},
		{"GET /read;x=y", 404},
		{"GET /READ", 404},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_answered(cases[i].first, HERE, cases[i].status, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_answers_to_its_own_names_alone),
		TEST(test_pages_of_other_sites_are_refused),
		TEST(test_writing_takes_a_token_and_json),
		TEST(test_without_tokens_nobody_writes),
		TEST(test_what_can_be_read_in_two_ways_is_not_read),
		TEST(test_nothing_is_smuggled_behind_a_request),
		TEST(test_paths_are_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
