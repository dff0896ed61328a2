/* SPDX-License-Identifier: Apache-2.0 */
/* The server of the daemon's API: what it answers, and what clients of all kinds cannot do to it. */
#include "lib_http_ask.h"

#include <curl/curl.h>
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

static char directory[] = "/tmp/test_http.XXXXXX";
static char path[64];
static struct test_server server;

/* The application: calls that wait or stream, and how many of them went away. Touched by the server's thread. */
static struct http_call *waiters[128];
static unsigned waiter_count, gone_count, cut_count;

static void forget(struct http_call *call, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < waiter_count; i++)
		if (waiters[i] == call)
			waiters[i] = waiters[--waiter_count];
	gone_count++;
}

static void handle_echo(struct http_call *call, void *arg)
{
	const char *since = http_query(call, "since");

	http_reply(call, 200,
		   json_pack("{s:s, s:s, s:s, s:s*, s:I, s:O*, s:s}", "service", http_part(call, "service"), "verb",
			     http_part(call, "verb"), "path", http_path(call), "since", since, "uid",
			     (json_int_t)http_uid(call), "body", http_body(call), "arg", (const char *)arg));
}

static void handle_nothing(struct http_call *call, void *arg)
{
	(void)call, (void)arg;
}

static void handle_conflict(struct http_call *call, void *arg)
{
	(void)arg;
	http_reply_error(call, 409, "%s is not paused", "web");
}

static void handle_wait(struct http_call *call, void *arg)
{
	if (http_wait(call, forget, arg) == 0)
		waiters[waiter_count++] = call;
}

static void handle_stream(struct http_call *call, void *arg)
{
	if (http_stream(call, "text/event-stream", forget, arg))
		return;
	http_stream_send(call, "data: hello\n\n", 13);
	waiters[waiter_count++] = call;
}

/* Answers those that wait, or sends to those that stream. */
static void handle_say(struct http_call *call, void *arg)
{
	unsigned said = waiter_count;

	(void)arg;
	while (waiter_count)
		http_reply(waiters[--waiter_count], 200, json_pack("{s:i}", "said", 1));
	http_reply(call, 200, json_pack("{s:i}", "said", (int)said));
}

static void handle_send(struct http_call *call, void *arg)
{
	static char block[32768];
	size_t len = atoi(http_query(call, "bytes"));

	(void)arg;
	memset(block, 'x', sizeof(block));
	for (unsigned i = waiter_count; i-- > 0;) {
		if (http_stream_send(waiters[i], block, len) == 0)
			continue;
		waiters[i] = waiters[--waiter_count];
		cut_count++;
	}
	http_reply(call, 200, json_object());
}

static void handle_end(struct http_call *call, void *arg)
{
	(void)arg;
	while (waiter_count)
		http_stream_end(waiters[--waiter_count]);
	http_reply(call, 200, json_object());
}

static void handle_state(struct http_call *call, void *arg)
{
	(void)arg;
	http_reply(call, 200,
		   json_pack("{s:i, s:i, s:i}", "waiting", waiter_count, "gone", gone_count, "cut", cut_count));
}

static const struct http_route routes[] = {
	{"GET", "/v1/rollouts/{service}/{verb}", HTTP_EVERYBODY, handle_echo},
	{"POST", "/v1/rollouts/{service}/{verb}", HTTP_FULL_TOKEN, handle_echo},
	{"GET", "/v1/nothing", HTTP_FULL_TOKEN, handle_nothing},
	{"POST", "/v1/conflict", HTTP_FULL_TOKEN, handle_conflict},
	{"GET", "/v1/wait", HTTP_FULL_TOKEN, handle_wait},
	{"GET", "/v1/stream", HTTP_FULL_TOKEN, handle_stream},
	{"POST", "/v1/say", HTTP_FULL_TOKEN, handle_say},
	{"POST", "/v1/send", HTTP_FULL_TOKEN, handle_send},
	{"POST", "/v1/end", HTTP_FULL_TOKEN, handle_end},
	{"GET", "/v1/state", HTTP_FULL_TOKEN, handle_state},
	{},
};

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/canaryd.sock", directory);
	return curl_global_init(CURL_GLOBAL_ALL);
}

static int remove_directory(void **state)
{
	(void)state;
	curl_global_cleanup();
	return rmdir(directory);
}

static int start(void **state)
{
	(void)state;
	waiter_count = gone_count = cut_count = 0;
	test_server_start(&server, path, routes, "the argument");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	test_server_stop(&server);
	return access(path, F_OK) == 0; /* the socket goes with its server */
}

static struct answer ask(const char *method, const char *rest, const char *body)
{
	return server_ask(&server, method, rest, body ? "application/json" : NULL, body, body ? strlen(body) : 0,
			  false);
}

/* Until the state is this: the server learns of things in its own time. */
static void assert_state(const char *wanted)
{
	struct answer answer;

	for (int i = 0; i < 200; i++) {
		answer = ask("GET", "/v1/state", NULL);
		if (strstr(answer.text, wanted))
			return;
		usleep(10000);
	}
	fail_msg("the state is %s, and should have in it %s", answer.text, wanted);
}

static int dial_and_send(const char *text)
{
	int fd = server_dial(&server);

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

static void test_a_request_gets_to_its_handler(void **state)
{
	struct answer answer = ask("POST", "/v1/rollouts/web-1/pause?since=7%2b1", "{\"reason\": \"lunch\"}");
	char uid[32];

	(void)state;
	assert_answer(&answer, 200, "\"service\":\"web-1\",\"verb\":\"pause\"");
	assert_answer(&answer, 200, "\"since\":\"7+1\"");
	assert_answer(&answer, 200, "\"body\":{\"reason\":\"lunch\"}");
	assert_answer(&answer, 200, "\"arg\":\"the argument\"");
	snprintf(uid, sizeof(uid), "\"uid\":%d", getuid());
	assert_answer(&answer, 200, uid);
	answer = ask("HEAD", "/v1/rollouts/web/status", NULL);
	assert_int_equal(answer.status, 200);
	answer = server_ask(&server, "GET", "/v1/rollouts/web/status", NULL, NULL, 0, true);
	assert_answer(&answer, 200, "\"uid\":-1");
}

static void test_what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *method, *rest, *type, *body;
		long status;
		const char *sentence;
	} cases[] = {
		{"GET", "/", NULL, NULL, 404, "{\"error\":\"there is no /\"}"},
		{"GET", "/v1/rollouts", NULL, NULL, 404, "there is no /v1/rollouts"},
		{"GET", "/v1/rollouts//status", NULL, NULL, 404, "there is no"},
		{"GET", "/v1/rollouts/web/status/", NULL, NULL, 404, "there is no"},
		{"GET", "/v1/rollouts/web/status/more", NULL, NULL, 404, "there is no"},
		{"GET", "/v1/%ff%00", NULL, NULL, 404, "there is no /v1/?"},
		{"DELETE", "/v1/rollouts/web/status", NULL, NULL, 405, "takes GET, HEAD, POST, not DELETE"},
		{"POST", "/v1/state", "application/json", "{}", 405, "/v1/state takes GET, HEAD, not POST"},
		{"POST", "/v1/conflict", NULL, NULL, 409, "{\"error\":\"web is not paused\"}"},
		{"POST", "/v1/rollouts/a/b", "application/jsonp\r\nOrigin: null", "{}", 415, "application/json"},
		{"POST", "/v1/rollouts/a/b", "text/plain\r\nReferer: http://x/", "{}", 415, "application/json"},
		{"POST", "/v1/rollouts/a/b", "text/plain\r\nSec-Fetch-Site: none", "{}", 415, "application/json"},
		{"POST", "/v1/rollouts/a/b", NULL, "{}", 200, "\"body\":{}"},
		{"POST", "/v1/rollouts/a/b", "application/x-www-form-urlencoded", "{}", 200, "\"body\":{}"},
		{"POST", "/v1/rollouts/a/b", "application/json", "{", 400, "the body is no JSON: line 1, column 1"},
		{"POST", "/v1/rollouts/a/b", "application/json", "[1]", 400, "the body is no JSON object"},
		{"POST", "/v1/rollouts/a/b", "application/json", "{\"a\":1,\"a\":2}", 400, "duplicate"},
		{"POST", "/v1/rollouts/a/b", "application/json", "{\"a\":\"\xff\"}", 400, "byte 0xff"},
		{"POST", "/v1/rollouts/a/b", "Application/JSON; charset=utf-8", "{}", 200, "\"body\":{}"},
		{"GET", "/v1/nothing", NULL, NULL, 500, "GET /v1/nothing was not answered"},
	};
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		answer = server_ask(&server, cases[i].method, cases[i].rest, cases[i].type, cases[i].body,
				    cases[i].body ? strlen(cases[i].body) : 0, false);
		assert_answer(&answer, cases[i].status, cases[i].sentence);
	}
	answer = ask("PUT", "/v1/say", NULL);
	assert_non_null(strstr(answer.headers, "Allow: POST\r\n"));
	answer = server_ask(&server, "GET", "/v1/state", NULL, NULL, 0, true);
	assert_answer(&answer, 401, "GET /v1/state takes a token");
	answer = server_ask(&server, "POST", "/v1/rollouts/web/rollback", "application/json", "{}", 2, true);
	assert_answer(&answer, 401, "takes a token");
}

static void test_large_bodies_are_refused_and_the_reason_is_read(void **state)
{
	static const size_t lengths[] = {HTTP_BODY_MAX + 1, 300000, 1 << 20, 3000000, 20000000};
	char *body = malloc(20000000);
	struct answer answer;

	(void)state;
	assert_non_null(body);
	memset(body, ' ', 20000000);
	memcpy(body, "{}", 2);
	answer = server_ask(&server, "POST", "/v1/rollouts/a/b", "application/json", body, HTTP_BODY_MAX, false);
	assert_answer(&answer, 200, "\"body\":{}");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		answer = server_ask(&server, "POST", "/v1/rollouts/a/b", "application/json", body, lengths[i], false);
		assert_answer(&answer, 413, "a body has 65536 bytes at most");
	}
	answer = ask("GET", "/v1/state", NULL);
	assert_int_equal(answer.status, 200);
	free(body);
}

static void test_one_can_wait_for_an_answer(void **state)
{
	int waiter = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_state("\"waiting\":1");
	assert_int_equal(ask("POST", "/v1/say", NULL).status, 200);
	assert_reads(waiter, "{\"said\":1}");
	/* The same connection again. */
	assert_true(send(waiter, "GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n", 35, MSG_NOSIGNAL) > 0);
	assert_state("\"waiting\":1");
	assert_int_equal(ask("POST", "/v1/say", NULL).status, 200);
	assert_reads(waiter, "{\"said\":1}");
	close(waiter);
	assert_state("\"waiting\":0,\"gone\":0");
}

static void answer_waiters(void)
{
	while (waiter_count)
		http_reply(waiters[--waiter_count], 200, json_pack("{s:i}", "said", 2));
}

static void test_an_answer_that_another_event_brings_is_sent_at_once(void **state)
{
	int waiter = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_state("\"waiting\":1");
	server.on_other = answer_waiters;
	assert_int_equal(write(server.other[1], "x", 1), 1);
	assert_reads(waiter, "{\"said\":2}");
	close(waiter);
	assert_state("\"waiting\":0,\"gone\":0");
}

static void test_one_who_waited_and_left_is_forgotten(void **state)
{
	int waiters_here[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		waiters_here[i] = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_state("\"waiting\":3");
	close(waiters_here[1]);
	assert_state("\"waiting\":2,\"gone\":1");
	assert_int_equal(ask("POST", "/v1/say", NULL).status, 200);
	assert_reads(waiters_here[0], "{\"said\":1}");
	assert_reads(waiters_here[2], "{\"said\":1}");
	close(waiters_here[0]);
	close(waiters_here[2]);
}

static void test_a_stream_brings_what_is_sent_until_its_end(void **state)
{
	int stream = dial_and_send("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_reads(stream, "data: hello\n\n");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask("POST", "/v1/send?bytes=5", NULL).status, 200);
		assert_reads(stream, "xxxxx");
	}
	assert_int_equal(ask("POST", "/v1/end", NULL).status, 200);
	assert_reads(stream, "0\r\n\r\n");
	assert_state("\"waiting\":0,\"gone\":0");
	close(stream);
	stream = dial_and_send("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_reads(stream, "data: hello\n\n");
	close(stream);
	assert_state("\"waiting\":0,\"gone\":1");
}

static void test_a_reader_too_far_behind_is_cut_off(void **state)
{
	int slow = dial_and_send("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n"), sent = 0;

	(void)state;
	assert_state("\"waiting\":1");
	while (sent < 200 && !strstr(ask("GET", "/v1/state", NULL).text, "\"cut\":1")) {
		assert_int_equal(ask("POST", "/v1/send?bytes=32768", NULL).status, 200);
		sent++;
	}
	assert_true(sent >= HTTP_STREAM_MAX / 32768 && sent < 200);
	assert_state("\"waiting\":0,\"gone\":0,\"cut\":1");
	close(slow);
}

static void test_waiting_places_are_limited(void **state)
{
	int waiters_here[HTTP_WAITING_MAX], another;

	(void)state;
	for (int i = 0; i < HTTP_WAITING_MAX; i++)
		waiters_here[i] = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_state("\"waiting\":64");
	another = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_reads(another, "64 clients wait here already");
	close(another);
	another = dial_and_send("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_reads(another, "503 Service Unavailable");
	close(another);
	close(waiters_here[0]);
	assert_state("\"waiting\":63");
	another = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_state("\"waiting\":64");
	close(another);
	for (int i = 1; i < HTTP_WAITING_MAX; i++)
		close(waiters_here[i]);
	assert_state("\"waiting\":0");
}

static void test_slow_silent_and_broken_clients_hold_up_nobody(void **state)
{
	static const char request[] = "POST /v1/rollouts/a/b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
				      "Content-Length: 7\r\n\r\n{\"a\":1}";
	int silent[100], slow = server_dial(&server);

	(void)state;
	for (int i = 0; i < 100; i++)
		silent[i] = server_dial(&server);
	for (const char *at = request; *at; at++) {
		assert_int_equal(send(slow, at, 1, MSG_NOSIGNAL), 1);
		if ((at - request) % 16 == 0)
			assert_int_equal(ask("GET", "/v1/state", NULL).status, 200);
	}
	assert_reads(slow, "\"body\":{\"a\":1}");
	close(slow);
	/* In the middle of each byte of a request. */
	for (size_t len = 0; len < sizeof(request); len++) {
		int fd = server_dial(&server);

		assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
		close(fd);
	}
	for (int i = 0; i < 100; i++)
		close(silent[i]);
	assert_state("\"waiting\":0,\"gone\":0");
}

static void test_more_connections_than_places_are_served_in_turn(void **state)
{
	enum { CROWD = 250 };
	static int crowd[CROWD];

	(void)state;
	/* A client of the crowd keeps its place until it is answered; those beyond the limit wait in the socket's queue. */
	for (int i = 0; i < CROWD; i++)
		crowd[i] = dial_and_send("GET /v1/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	for (int i = 0; i < CROWD; i++) {
		assert_reads(crowd[i], "\"waiting\"");
		close(crowd[i]);
	}
}

static void test_silent_connections_keep_nobody_from_a_place(void **state)
{
	enum { SILENT = 1000 };
	static int silent[SILENT];
	time_t begun = time(NULL);
	int asked, half;

	(void)state;
	/* Silent from the start, in the middle of a request, and after one that was answered. */
	asked = dial_and_send("GET /v1/state HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_reads(asked, "\"waiting\"");
	half = dial_and_send("POST /v1/rollouts/a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{");
	for (int i = 0; i < SILENT; i++)
		silent[i] = server_dial(&server);
	assert_int_equal(ask("GET", "/v1/state", NULL).status, 200);
	/* Not only when their time was over. */
	assert_true(time(NULL) - begun < HTTP_IDLE_TIMEOUT / 2);
	for (int i = 0; i < SILENT; i++)
		close(silent[i]);
	close(asked);
	close(half);
	assert_state("\"waiting\":0,\"gone\":0");
}

static void test_whoever_waits_for_an_answer_keeps_the_place(void **state)
{
	enum { SILENT = 300 };
	static int silent[SILENT];
	int waiter = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_state("\"waiting\":1");
	for (int i = 0; i < SILENT; i++)
		silent[i] = server_dial(&server);
	assert_state("\"waiting\":1,\"gone\":0");
	for (int i = 0; i < SILENT; i++)
		close(silent[i]);
	close(waiter);
	assert_state("\"waiting\":0,\"gone\":1");
}

static void test_those_who_wait_are_told_when_it_closes(void **state)
{
	int waiter, stream;

	start(state);
	waiter = dial_and_send("GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
	stream = dial_and_send("GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_state("\"waiting\":2");
	assert_int_equal(stop(state), 0);
	assert_int_equal(gone_count, 2);
	assert_int_equal(waiter_count, 0);
	close(waiter);
	close(stream);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_request_gets_to_its_handler, start, stop),
		cmocka_unit_test_setup_teardown(test_what_is_wrong_is_said, start, stop),
		cmocka_unit_test_setup_teardown(test_large_bodies_are_refused_and_the_reason_is_read, start, stop),
		cmocka_unit_test_setup_teardown(test_one_can_wait_for_an_answer, start, stop),
		cmocka_unit_test_setup_teardown(test_an_answer_that_another_event_brings_is_sent_at_once, start, stop),
		cmocka_unit_test_setup_teardown(test_one_who_waited_and_left_is_forgotten, start, stop),
		cmocka_unit_test_setup_teardown(test_a_stream_brings_what_is_sent_until_its_end, start, stop),
		cmocka_unit_test_setup_teardown(test_a_reader_too_far_behind_is_cut_off, start, stop),
		cmocka_unit_test_setup_teardown(test_waiting_places_are_limited, start, stop),
		cmocka_unit_test_setup_teardown(test_slow_silent_and_broken_clients_hold_up_nobody, start, stop),
		cmocka_unit_test_setup_teardown(test_more_connections_than_places_are_served_in_turn, start, stop),
		cmocka_unit_test_setup_teardown(test_silent_connections_keep_nobody_from_a_place, start, stop),
		cmocka_unit_test_setup_teardown(test_whoever_waits_for_an_answer_keeps_the_place, start, stop),
		cmocka_unit_test(test_those_who_wait_are_told_when_it_closes),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
