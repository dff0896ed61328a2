/* SPDX-License-Identifier: Apache-2.0 */
/* Checks by what the system and libraries do: a connection, a request, a command. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/model.h"
#include "core/text.h"
#include "io/health_private.h"

#define HTTP_ANSWER_MAX (1 << 20)

unsigned health_sockaddr(const struct canary_addr *addr, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (addr_is_v4(addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, &addr->word[3], 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, addr, 16);
	return sizeof(*v6);
}

void health_tcp_start(struct health_probe *probe)
{
	/* No TIME_WAIT: a thousand backends checked every second would fill the host with them. */
	const struct linger reset = {.l_onoff = 1};
	struct sockaddr_storage to;
	socklen_t len = health_sockaddr(&probe->target.backend, health_port(&probe->target, &probe->check), &to);

	probe->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->fd < 0) {
		health_finish_errno(probe, -errno, "cannot make a socket");
		return;
	}
	setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(probe->fd, (struct sockaddr *)&to, len) == 0) {
		health_finish(probe, HEALTH_GOOD, "");
	} else if (errno != EINPROGRESS) {
		health_finish_errno(probe, -errno, "no connection");
	} else {
		int error = watch_add(&probe->prober->watch, probe->fd, EPOLLOUT, probe);

		if (error)
			health_finish_errno(probe, error, "cannot watch a socket");
	}
}

void health_tcp_ready(struct health_probe *probe)
{
	socklen_t len = sizeof(int);
	int code = 0;

	if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &code, &len))
		code = errno;
	if (code)
		health_finish_errno(probe, -code, "no connection");
	else
		health_finish(probe, HEALTH_GOOD, "");
}

static bool status_is_good(const struct health_check *check, unsigned status)
{
	if (!check->statuses[0])
		return status >= 200 && status < 400;
	for (size_t i = 0; i < HEALTH_STATUS_MAX && check->statuses[i]; i++)
		if (check->statuses[i] == status)
			return true;
	return false;
}

void health_finish_status(struct health_probe *probe, unsigned status)
{
	char sentence[64];

	snprintf(sentence, sizeof(sentence), "it answers with status %u", status);
	health_finish(probe, status_is_good(&probe->check, status) ? HEALTH_GOOD : HEALTH_BAD, sentence);
}

static void http_done_with(const struct http_result *result, void *arg)
{
	struct health_probe *probe = arg;

	probe->transfer = NULL;
	if (result->error)
		health_finish(probe, HEALTH_BAD, result->sentence);
	else
		health_finish_status(probe, result->status);
}

void health_http_start(struct health_probe *probe)
{
	const struct health_check *check = &probe->check;
	char endpoint[ADDR_TEXT_LEN], url[2048];
	struct http_request request = {
		.url = url, .host = check->host, .timeout = check->timeout, .limit = HTTP_ANSWER_MAX, .fresh = true};
	struct error error;

	snprintf(url, sizeof(url), "http://%s%s",
		 format_endpoint(&probe->target.backend, health_port(&probe->target, check), endpoint),
		 check->path ? check->path : "/");
	if (http_client_start(probe->prober->http, &request, http_done_with, probe, &probe->transfer, &error))
		health_finish(probe, HEALTH_UNKNOWN, error.text);
}

static void command_done_with(const struct command_result *result, void *arg)
{
	struct health_probe *probe = arg;
	struct answer answer;

	probe->command = NULL;
	command_answer(result, &answer);
	health_finish(probe, answer.verdict == ANSWER_PASS ? HEALTH_GOOD : HEALTH_BAD, answer.reason);
}

void health_command_start(struct health_probe *probe)
{
	const struct health_target *target = &probe->target;
	char service[CANARY_NAME_LEN + 32], address[ADDR_TEXT_LEN + 32], backend[ADDR_TEXT_LEN + 32];
	char *const environment[] = {service, address, backend, NULL};
	char text[ADDR_TEXT_LEN];
	struct error error;
	int code;

	snprintf(service, sizeof(service), "CANARY_SERVICE=%s", target->service);
	snprintf(address, sizeof(address), "CANARY_ADDRESS=%s", format_endpoint(&target->address, target->port, text));
	snprintf(backend, sizeof(backend), "CANARY_BACKEND=%s",
		 format_endpoint(&target->backend, target->backend_port, text));
	code = command_start(probe->check.argv, environment, probe->check.timeout, command_done_with, probe,
			     &probe->command, &error);
	if (!code) {
		code = watch_add(&probe->prober->watch, command_fd(probe->command), EPOLLIN, probe);
		if (code)
			fail(&error, code, "cannot watch a command: %s", strerror(-code));
	}
	if (code)
		health_finish(probe, HEALTH_UNKNOWN, error.text);
}
