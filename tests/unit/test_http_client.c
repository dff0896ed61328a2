/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that nobody waits for: what comes back of them, whatever the server does. */
#include "lib_http.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/http_client.h"
#include "io/watch.h"
#include "io/webhook.h"

static struct test_server server;
static struct http_client *client;

static void handle_hello(struct http_call *call, void *arg)
{
	const char *host = http_header(call, "Host"), *more = http_header(call, "X-More");

	(void)arg;
	http_reply(call, 200,
		   json_pack("{s:s, s:s, s:s*, s:O*}", "method", http_method(call), "host", host, "more", more, "body",
			     http_body(call)));
}

static void handle_status(struct http_call *call, void *arg)
{
	(void)arg;
	http_reply_text(call, atoi(http_part(call, "status")), "text/plain", "so", 2);
}

static void handle_long(struct http_call *call, void *arg)
{
	static char text[100000];

	(void)arg;
	http_reply_text(call, 200, "text/plain", text, sizeof(text));
}

static void handle_never(struct http_call *call, void *arg)
{
	http_wait(call, NULL, arg);
}

/* Redirects are by hand: the server's replies have no headers of the handler's. */
static const struct http_route routes[] = {
	{"GET", "/hello", HTTP_EVERYBODY, handle_hello},
	{"POST", "/hello", HTTP_EVERYBODY, handle_hello},
	{"GET", "/status/{status}", HTTP_EVERYBODY, handle_status},
	{"GET", "/long", HTTP_EVERYBODY, handle_long},
	{"GET", "/never", HTTP_EVERYBODY, handle_never},
	{},
};

static int start(void **state)
{
	struct error error;

	(void)state;
	test_server_start(&server, NULL, routes, NULL);
	return http_client_open(&client, &error);
}

static int stop(void **state)
{
	(void)state;
	http_client_close(client);
	test_server_stop(&server);
	return 0;
}

struct outcome {
	int count, error;
	bool sent;
	unsigned status;
	size_t len;
	char text[512];
};

static void note(const struct http_result *result, void *arg)
{
	struct outcome *outcome = arg;

	outcome->count++;
	outcome->error = result->error;
	outcome->sent = result->sent;
	outcome->status = result->status;
	outcome->len = result->len;
	snprintf(outcome->text, sizeof(outcome->text), "%s", result->error ? result->sentence : result->body);
}

static void drive(const int *count, int wanted)
{
	__s64 end = clock_ms() + 10000;

	while (*count < wanted && clock_ms() < end) {
		wait_for(http_client_fd(client), 1000);
		http_client_run(client);
	}
	assert_true(*count >= wanted);
}

static struct outcome get(struct http_request request)
{
	struct outcome outcome = {};
	struct http_transfer *transfer;
	struct error error = {};

	request.timeout = request.timeout ? request.timeout : 5000;
	request.limit = request.limit ? request.limit : 65536;
	if (http_client_start(client, &request, note, &outcome, &transfer, &error))
		fail_msg("%s", error.text);
	drive(&outcome.count, 1);
	return outcome;
}

static const char *url(const char *rest)
{
	static char text[128];

	snprintf(text, sizeof(text), "http://127.0.0.1:%d%s", server.port, rest);
	return text;
}

static void assert_outcome(struct outcome outcome, int error, unsigned status, const char *text)
{
	if (outcome.error != error || outcome.status != status || !strstr(outcome.text, text))
		fail_msg("%d, status %u: %s\nand should be %d, status %u: %s", outcome.error, outcome.status,
			 outcome.text, error, status, text);
}

static void test_answers_come_back(void **state)
{
	(void)state;
	assert_outcome(get((struct http_request){.url = url("/hello")}), 0, 200, "\"method\":\"GET\"");
	assert_outcome(get((struct http_request){.url = url("/hello"), .json = "{\"a\":1}"}), 0, 200,
		       "\"body\":{\"a\":1}");
	assert_outcome(get((struct http_request){.url = url("/hello"), .host = "shop.example"}), 0, 200,
		       "\"host\":\"shop.example\"");
	assert_outcome(get((struct http_request){.url = url("/status/503")}), 0, 503, "so");
	assert_outcome(get((struct http_request){.url = url("/long"), .limit = 100000}), 0, 200, "");
}

static void test_no_answers_are_told_apart(void **state)
{
	char sentence[128];
	__s64 begun = clock_ms();

	(void)state;
	assert_outcome(get((struct http_request){.url = url("/long"), .limit = 99999}), -EMSGSIZE, 0,
		       "/long: the answer is longer than 99999 bytes");
	assert_outcome(get((struct http_request){.url = url("/never"), .timeout = 200}), -ETIMEDOUT, 0, "/never: ");
	assert_true(clock_ms() - begun < 5000);
	assert_outcome(get((struct http_request){.url = "http://127.0.0.1:1/"}), -ECONNREFUSED, 0,
		       "http://127.0.0.1:1/: ");
	assert_outcome(get((struct http_request){.url = "http://nobody.invalid/"}), -EHOSTUNREACH, 0, "nobody.invalid");
	snprintf(sentence, sizeof(sentence), "http://me@127.0.0.1:1/");
	assert_outcome(get((struct http_request){.url = "http://me:secret@127.0.0.1:1/"}), -ECONNREFUSED, 0, sentence);
}

static void test_headers_of_ones_own_are_sent(void **state)
{
	static const char *const headers[] = {"X-More: this", "X-Other: that", NULL};

	(void)state;
	assert_outcome(get((struct http_request){.url = url("/hello"), .headers = headers}), 0, 200,
		       "\"more\":\"this\"");
}

static size_t taken, taken_max;

static bool take(const char *bytes, size_t len, void *arg)
{
	(void)bytes;
	(void)arg;
	taken += len;
	return taken <= taken_max;
}

static void test_an_answer_is_taken_as_it_comes(void **state)
{
	(void)state;
	taken = 0;
	taken_max = SIZE_MAX;
	assert_outcome(get((struct http_request){.url = url("/long"), .take = take, .limit = 1}), 0, 200, "");
	assert_int_equal(taken, 100000);
	taken = 0;
	taken_max = 999;
	assert_outcome(get((struct http_request){.url = url("/long"), .take = take}), -EMSGSIZE, 0,
		       "/long: the answer is too long");
}

static void test_only_http_is_spoken(void **state)
{
	static const char *const urls[] = {
		"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "", "http://", "/hello"};
	struct http_transfer *transfer;
	struct error error = {};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		const struct http_request request = {.url = urls[i], .timeout = 1000};

		assert_int_equal(http_client_start(client, &request, note, NULL, &transfer, &error), -EINVAL);
		assert_string_equal(error.text, "this is no http:// or https:// URL");
	}
}

static void *answer_by_hand(void *arg)
{
	int listening = *(int *)arg, fd;
	char request[4096];

	while ((fd = accept(listening, NULL, NULL)) >= 0) {
		ssize_t len = recv(fd, request, sizeof(request) - 1, 0);
		const char *text = "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n";

		request[len > 0 ? len : 0] = '\0';
		if (strstr(request, "GET /loop"))
			text = "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: "
			       "close\r\n\r\n";
		else if (strstr(request, "GET /once"))
			text = "HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\nConnection: "
			       "close\r\n\r\n";
		else if (strstr(request, "GET /here"))
			text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere";
		else if (strstr(request, "GET /broken"))
			text = "HTTP/1.1 200 OK\r\nContent-Length: 400\r\nConnection: close\r\n\r\nhere";
		else if (strstr(request, "GET /rubbish"))
			text = "SSH-2.0-OpenSSH\r\n";
		send(fd, text, strlen(text), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static int listen_by_hand(int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 8), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return listening;
}

static struct outcome get_by_hand(int port, const char *rest, bool follow)
{
	char text[64];

	snprintf(text, sizeof(text), "http://127.0.0.1:%d%s", port, rest);
	return get((struct http_request){.url = text, .follow = follow});
}

static void test_redirects_lead_only_so_far(void **state)
{
	int port, listening = listen_by_hand(&port);
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, answer_by_hand, &listening), 0);
	assert_outcome(get_by_hand(port, "/once", true), 0, 200, "here");
	assert_outcome(get_by_hand(port, "/once", false), 0, 302, "");
	assert_outcome(get_by_hand(port, "/loop", true), -ELOOP, 0, "redirects");
	assert_outcome(get_by_hand(port, "/file", true), -EPROTONOSUPPORT, 0, "file");
	assert_outcome(get_by_hand(port, "/broken", true), -EIO, 0, "/broken: ");
	assert_outcome(get_by_hand(port, "/rubbish", true), -EPROTONOSUPPORT, 0, "/rubbish: ");
	shutdown(listening, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listening);
}

static int requests;
static volatile int answered; /* the connection that had the last answer */

#define ONCE_BODY "{\"a\":1}"

/* All of a request, which may come in pieces. false: the connection is over. */
static bool take_request(int fd)
{
	char request[4096] = "";
	size_t len = 0;
	ssize_t more;

	while (!strstr(request, ONCE_BODY)) {
		more = recv(fd, request + len, sizeof(request) - 1 - len, 0);
		if (more <= 0)
			return false;
		len += (size_t)more;
		request[len] = 0;
	}
	return true;
}

/* Each connection has one answer, and is kept; the next request ends it. */
static void *answer_once(void *arg)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere";
	int listening = *(int *)arg, fd;

	while ((fd = accept(listening, NULL, NULL)) >= 0) {
		requests += take_request(fd);
		answered = fd;
		send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
		requests += take_request(fd);
		close(fd);
	}
	return NULL;
}

static void test_a_request_may_be_sent_once_at_most(void **state)
{
	int port, listening = listen_by_hand(&port);
	struct http_request request = {.json = ONCE_BODY};
	struct outcome outcome;
	pthread_t thread;
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "http://127.0.0.1:%d/", port);
	request.url = text;
	assert_int_equal(pthread_create(&thread, NULL, answer_once, &listening), 0);
	assert_outcome(get(request), 0, 200, "here");
	assert_outcome(get(request), 0, 200, "here");
	assert_int_equal(requests, 3);
	request.once = true;
	outcome = get(request);
	assert_int_equal(requests, 4);
	assert_true(outcome.error && outcome.sent);
	assert_outcome(get(request), 0, 200, "here");
	shutdown(answered, SHUT_RDWR); /* the client keeps it */
	shutdown(listening, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listening);
	outcome = get(request);
	assert_true(outcome.error == -ECONNREFUSED && !outcome.sent);
}

static void test_many_at_once_and_some_of_them_cancelled(void **state)
{
	enum { MANY = 100 };
	static struct http_transfer *transfers[MANY];
	struct outcome outcome = {}, cancelled = {};
	struct error error = {};

	(void)state;
	for (int i = 0; i < MANY; i++) {
		struct http_request request = {.url = url(i % 2 ? "/never" : "/hello"), .timeout = 9000, .limit = 1000};

		assert_int_equal(
			http_client_start(client, &request, note, i % 2 ? &cancelled : &outcome, &transfers[i], &error),
			0);
	}
	drive(&outcome.count, 1);
	for (int i = 1; i < MANY; i += 2)
		http_client_cancel(transfers[i]);
	drive(&outcome.count, MANY / 2);
	assert_int_equal(outcome.count, MANY / 2);
	assert_int_equal(cancelled.count, 0);
	/* One that is still on its way when the client is closed. */
	assert_int_equal(http_client_start(client, &(struct http_request){.url = url("/never"), .timeout = 9000}, note,
					   &cancelled, &transfers[0], &error),
			 0);
}

static struct answer read_webhook(int error, unsigned status, const char *body)
{
	struct http_result result = {
		.error = error,
		.sentence = error ? "http://x/: timed out" : "",
		.status = status,
		.body = body,
		.len = body ? strlen(body) : 0,
	};
	struct answer answer;

	webhook_read(&result, &answer);
	return answer;
}

static void test_webhooks_are_read(void **state)
{
	static const struct {
		int error;
		unsigned status;
		const char *body;
		enum answer_verdict verdict;
		const char *reason;
	} cases[] = {
		{0, 200, "{\"verdict\":\"pass\",\"reason\":\"all\\u001b well\\nmore\"}", ANSWER_PASS, "all? well"},
		{0, 200, "{\"verdict\":\"fail\",\"reason\":\"slow\"}", ANSWER_FAIL, "slow"},
		{0, 500, "{\"verdict\":\"fail\",\"reason\":\"slow\"}", ANSWER_FAIL, "slow"},
		{0, 200, "{\"verdict\":\"inconclusive\"}", ANSWER_INCONCLUSIVE, ""},
		{0, 200, "{\"verdict\":\"good\"}", ANSWER_INCONCLUSIVE, "the webhook's verdict is none of"},
		{0, 200, "{\"verdict\":1}", ANSWER_INCONCLUSIVE, "the webhook's verdict is none of"},
		{0, 204, "", ANSWER_PASS, "the webhook answered with status 204"},
		{0, 200, "fine", ANSWER_PASS, "status 200"},
		{0, 422, "{\"reason\":\"too few\"}", ANSWER_FAIL, "too few"},
		{0, 409, "no", ANSWER_FAIL, "status 409"},
		{0, 404, "", ANSWER_INCONCLUSIVE, "status 404"},
		{0, 503, "[]", ANSWER_INCONCLUSIVE, "status 503"},
		{0, 302, "", ANSWER_INCONCLUSIVE, "status 302"},
		{-ETIMEDOUT, 0, NULL, ANSWER_INCONCLUSIVE, "http://x/: timed out"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer answer = read_webhook(cases[i].error, cases[i].status, cases[i].body);

		if (answer.verdict != cases[i].verdict || !strstr(answer.reason, cases[i].reason))
			fail_msg("case %zu: verdict %d, %s", i, answer.verdict, answer.reason);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_come_back, start, stop),
		cmocka_unit_test_setup_teardown(test_no_answers_are_told_apart, start, stop),
		cmocka_unit_test_setup_teardown(test_headers_of_ones_own_are_sent, start, stop),
		cmocka_unit_test_setup_teardown(test_an_answer_is_taken_as_it_comes, start, stop),
		cmocka_unit_test_setup_teardown(test_a_request_may_be_sent_once_at_most, start, stop),
		cmocka_unit_test_setup_teardown(test_only_http_is_spoken, start, stop),
		cmocka_unit_test_setup_teardown(test_redirects_lead_only_so_far, start, stop),
		cmocka_unit_test_setup_teardown(test_many_at_once_and_some_of_them_cancelled, start, stop),
		cmocka_unit_test(test_webhooks_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
