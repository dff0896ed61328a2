/* SPDX-License-Identifier: Apache-2.0 */
/* canaryctl asks a daemon that says exactly what the test has it say, in pieces of a size. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* The client itself: linked as an object it would need the rest of the program. Before cmocka, which has a macro fail(). */
#include "cli/daemon_client.c"

#include <cmocka.h>

static struct {
	char path[64];
	int fd;
	pthread_t thread;
	const char *answer;
	size_t piece; /* bytes at once */
	bool hangs; /* says nothing, until the client has gone */
	char heard[4096];
} server;

static void *serve(void *arg)
{
	int fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC);
	size_t len = strlen(server.answer), at = 0;
	ssize_t got;

	(void)arg;
	while (!strstr(server.heard, "\r\n\r\n") ||
	       (strstr(server.heard, "Content-Length") && !strstr(server.heard, "}"))) {
		got = read(fd, server.heard + at, sizeof(server.heard) - at - 1);
		if (got <= 0)
			break;
		at += (size_t)got;
	}
	for (at = 0; !server.hangs && at < len; at += server.piece) {
		size_t piece = len - at < server.piece ? len - at : server.piece;

		if (send(fd, server.answer + at, piece, MSG_NOSIGNAL) < 0)
			break;
	}
	if (server.hangs)
		got = read(fd, server.heard, 1);
	close(fd);
	return NULL;
}

static void listen_for_one(const char *answer, size_t piece)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(server.path, sizeof(server.path), "/tmp/canaryctl-client-%d.sock", getpid());
	unlink(server.path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.path);
	server.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server.fd, 1), 0);
	server.answer = answer;
	server.piece = piece;
	memset(server.heard, 0, sizeof(server.heard));
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop_listening(void)
{
	pthread_join(server.thread, NULL);
	close(server.fd);
	unlink(server.path);
}

struct asked {
	int err;
	unsigned status;
	char *json; /* NULL: none */
	struct error error;
};

static struct asked ask(const char *method, const char *path, const json_t *body)
{
	struct daemon_request request = {server.path, method, path, body, 300};
	struct asked asked = {};
	json_t *json = NULL;

	asked.err = daemon_ask(&request, &json, &asked.status, &asked.error);
	asked.json = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return asked;
}

static struct asked get(const char *answer, size_t piece)
{
	struct asked asked;

	listen_for_one(answer, piece);
	asked = ask("GET", "/v1/version", NULL);
	stop_listening();
	return asked;
}

static void answers(const char *answer, const char *wanted)
{
	static const size_t pieces[] = {1, 3, 7, 4096};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct asked asked = get(answer, pieces[i]);

		assert_string_equal(asked.error.text, "");
		assert_int_equal(asked.err, 0);
		assert_int_equal(asked.status, 200);
		assert_string_equal(asked.json, wanted);
		free(asked.json);
	}
}

static void refuses(const char *answer, int err, const char *sentence)
{
	struct asked asked = get(answer, 4096);

	assert_null(asked.json);
	assert_int_equal(asked.err, err);
	if (!strstr(asked.error.text, sentence))
		assert_string_equal(asked.error.text, sentence);
}

static void test_bodies(void **state)
{
	(void)state;
	answers("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", "{\"a\":1}");
	answers("HTTP/1.1 200 OK\r\ncontent-length:7\r\nDate: x\r\n\r\n{\"a\":1}", "{\"a\":1}");
	answers("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":1}", "{\"a\":1}");
	answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n",
		"{\"a\":1}");
	answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n00A\r\n{\"a\":1    \r\n1\r\n}\r\n0\r\nX: "
		"y\r\n\r\n",
		"{\"a\":1}");
	answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "{}");
}

static void test_what_is_no_answer(void **state)
{
	(void)state;
	refuses("", -EPROTO, "without a word");
	refuses("SSH-2.0-OpenSSH_9.2\r\n", -EPROTO, "no HTTP");
	refuses("HTTP/1.1 OK\r\n\r\n", -EPROTO, "no HTTP");
	refuses("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n", -EPROTO, "no HTTP");
	refuses("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\":1}", -EPROTO, "breaks off");
	refuses("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{\"a\":1}", -EPROTO, "breaks off");
	refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n", -EPROTO, "breaks off");
	refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\":1}", -EPROTO, "breaks off");
	refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n0\r\n\r\n", -EPROTO,
		"breaks off");
	refuses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -EPROTO, "breaks off");
	refuses("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", -EPROTO, "no JSON");
}

static void test_refusals_are_the_daemons_own(void **state)
{
	struct asked asked;

	(void)state;
	asked = get("HTTP/1.1 409 Conflict\r\nContent-Length: 29\r\n\r\n{\"error\": \"web is blocked\"}  ", 4096);
	assert_int_equal(asked.err, -EREMOTEIO);
	assert_int_equal(asked.status, 409);
	assert_string_equal(asked.error.text, "web is blocked");
	refuses("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", -EREMOTEIO,
		"canaryd refused GET /v1/version with status 500");
}

static void test_request(void **state)
{
	json_t *body = json_pack("{s:s, s:f}", "reason", "a \"b\"", "base", 0.1);
	struct asked asked;

	(void)state;
	listen_for_one("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 4096);
	asked = ask("POST", "/v1/rollouts/web/block?x=1", body);
	stop_listening();
	assert_int_equal(asked.err, 0);
	free(asked.json);
	json_decref(body);
	assert_string_equal(server.heard,
			    "POST /v1/rollouts/web/block?x=1 HTTP/1.1\r\nHost: canaryd\r\nAccept: application/json\r\n"
			    "Connection: close\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n"
			    "{\"reason\":\"a \\\"b\\\"\",\"base\":0.1}");
}

static void test_nobody_listens(void **state)
{
	struct asked asked;

	(void)state;
	snprintf(server.path, sizeof(server.path), "/tmp/canaryctl-client-%d.nobody", getpid());
	asked = ask("GET", "/v1/version", NULL);
	assert_int_equal(asked.err, -ECONNREFUSED);
	assert_non_null(strstr(asked.error.text, "canaryd is not running (/tmp/canaryctl-client-"));
	assert_non_null(strstr(asked.error.text, "No such file or directory): start it, or"));
	/* A socket that a daemon left behind. */
	listen_for_one("", 1);
	asked = ask("GET", "/v1/version", NULL);
	pthread_join(server.thread, NULL);
	close(server.fd);
	asked = ask("GET", "/v1/version", NULL);
	assert_int_equal(asked.err, -ECONNREFUSED);
	assert_non_null(strstr(asked.error.text, "Connection refused): start it, or"));
	unlink(server.path);
}

static void test_time(void **state)
{
	struct asked asked;

	(void)state;
	server.hangs = true;
	asked = get("x", 1);
	server.hangs = false;
	assert_int_equal(asked.err, -ETIMEDOUT);
	assert_non_null(strstr(asked.error.text, "has not answered within 0.3 s"));
}

static void test_a_path_too_long(void **state)
{
	struct daemon_request request = {.method = "GET", .path = "/"};
	struct error error;
	char path[200];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	request.socket = path;
	assert_int_equal(daemon_ask(&request, NULL, NULL, &error), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_what_is_no_answer),
		cmocka_unit_test(test_refusals_are_the_daemons_own),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_a_path_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
