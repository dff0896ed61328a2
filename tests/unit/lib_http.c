/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_http.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void *serve(void *arg)
{
	struct test_server *server = arg;
	struct pollfd polled[3] = {{.fd = http_server_fd(server->server), .events = POLLIN},
				   {.fd = server->quit[0], .events = POLLIN},
				   {.fd = server->other[0], .events = POLLIN}};
	char byte;

	while (poll(polled, 3, -1) >= 0 && !polled[1].revents) {
		if (polled[0].revents)
			http_server_run(server->server);
		if (polled[2].revents && read(server->other[0], &byte, 1) == 1)
			server->on_other();
	}
	return NULL;
}

void test_server_start(struct test_server *server, const char *path, const struct http_route *routes, void *arg)
{
	static const char *const names[] = {TEST_HOST, "198.51.100.7", NULL};
	static const struct http_tokens tokens = {
		{{HTTP_GRANT_ALL, TEST_TOKEN}, {HTTP_GRANT_FEEDBACK, TEST_FEEDBACK_TOKEN}}, 2};
	const struct http_guard guard = {&tokens, names};
	struct error error = {};

	memset(server, 0, sizeof(*server));
	if (http_server_open(routes, arg, &server->server, &error) ||
	    (path && http_server_listen_unix(server->server, path, "nogroup", &error)) ||
	    http_server_listen_address(server->server, "127.0.0.1:0", &error))
		fail_msg("%s", error.text);
	http_server_guard(server->server, &guard);
	server->port = http_server_port(server->server);
	snprintf(server->path, sizeof(server->path), "%s", path ? path : "");
	assert_int_equal(pipe(server->quit), 0);
	assert_int_equal(pipe(server->other), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void test_server_stop(struct test_server *server)
{
	close(server->quit[1]);
	assert_int_equal(pthread_join(server->thread, NULL), 0);
	close(server->quit[0]);
	close(server->other[0]);
	close(server->other[1]);
	http_server_close(server->server);
	server->server = NULL;
}

void wait_for(int fd, int milliseconds)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	poll(&polled, 1, milliseconds);
}
