/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/daemon_client.h"

#define ANSWER_MAX (64 << 20) /* a history of years is less */

struct exchange {
	const struct daemon_request *request;
	int fd;
	long long deadline_ms;
	char *bytes; /* the answer, with a zero behind it */
	size_t len, capacity;
	unsigned status;
	struct error *error;
};

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int not_running(const struct daemon_request *request, int err, struct error *error)
{
	return fail(error, -ECONNREFUSED,
		    "canaryd is not running (%s: %s): start it, or say with --socket where it listens", request->socket,
		    strerror(err));
}

static int protocol_error(const struct exchange *exchange, const char *what)
{
	return fail(exchange->error, -EPROTO, "%s does not answer as canaryd would: %s", exchange->request->socket,
		    what);
}

/* Waits until the socket is ready for `events`. 0 or -errno. */
static int wait_for(const struct exchange *exchange, short events)
{
	struct pollfd poller = {.fd = exchange->fd, .events = events};
	int ready;

	do {
		long long left = exchange->deadline_ms - now_ms();

		ready = poll(&poller, 1, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready > 0)
		return 0;
	if (ready < 0)
		return fail(exchange->error, -errno, "cannot wait for canaryd: %s", strerror(errno));
	return fail(exchange->error, -ETIMEDOUT, "canaryd (%s) has not answered within %g s", exchange->request->socket,
		    exchange->request->timeout_ms / 1000.0);
}

static int connect_socket(struct exchange *exchange)
{
	const struct daemon_request *request = exchange->request;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	if (strlen(request->socket) >= sizeof(address.sun_path))
		return fail(exchange->error, -ENAMETOOLONG, "the socket's path is longer than %zu bytes: \"%s\"",
			    sizeof(address.sun_path) - 1, request->socket);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", request->socket);
	exchange->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (exchange->fd < 0)
		return fail(exchange->error, -errno, "cannot make a socket: %s", strerror(errno));
	/* Blocks only while the listener's queue is full; a daemon that hangs is to be noticed all the same. */
	setsockopt(
		exchange->fd, SOL_SOCKET, SO_SNDTIMEO,
		&(struct timeval){.tv_sec = request->timeout_ms / 1000, .tv_usec = request->timeout_ms % 1000 * 1000},
		sizeof(struct timeval));
	if (!connect(exchange->fd, (const struct sockaddr *)&address, sizeof(address)))
		return 0;
	err = errno;
	if (err == EACCES || err == EPERM)
		return fail(exchange->error, -EACCES,
			    "no access to canaryd's socket %s: it takes root, or the group canary", request->socket);
	if (err == EAGAIN)
		return fail(exchange->error, -ETIMEDOUT,
			    "canaryd (%s) does not accept connections: it hangs, or is busy", request->socket);
	return not_running(request, err, exchange->error);
}

static int send_all(const struct exchange *exchange, const char *bytes, size_t len)
{
	while (len) {
		ssize_t sent = send(exchange->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int err;

		if (sent >= 0) {
			bytes += sent;
			len -= (size_t)sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* One that answers before it has read everything says in its answer why. */
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN)
			return fail(exchange->error, -errno, "cannot ask canaryd: %s", strerror(errno));
		err = wait_for(exchange, POLLOUT);
		if (err)
			return err;
	}
	return 0;
}

static int send_request(const struct exchange *exchange)
{
	const struct daemon_request *request = exchange->request;
	char *body = request->body ? json_dumps(request->body, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	char head[1024];
	int err, len;

	if (request->body && !body)
		return fail(exchange->error, -ENOMEM, "out of memory");
	len = snprintf(head, sizeof(head),
		       "%s %s HTTP/1.1\r\nHost: canaryd\r\nAccept: application/json\r\nConnection: close\r\n",
		       request->method, request->path);
	if (body && len < (int)sizeof(head))
		len += snprintf(head + len, sizeof(head) - (size_t)len,
				"Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	if (len + 2 >= (int)sizeof(head)) {
		free(body);
		return fail(exchange->error, -EINVAL, "this cannot be asked: it is too long");
	}
	len += snprintf(head + len, sizeof(head) - (size_t)len, "\r\n");
	err = send_all(exchange, head, (size_t)len);
	if (!err && body)
		err = send_all(exchange, body, strlen(body));
	free(body);
	return err;
}

static int make_room(struct exchange *exchange)
{
	size_t capacity = exchange->capacity ? exchange->capacity * 2 : 8192;
	char *bytes;

	if (exchange->len + 1 < exchange->capacity)
		return 0;
	if (capacity > ANSWER_MAX)
		return protocol_error(exchange, "its answer has no end");
	bytes = realloc(exchange->bytes, capacity);
	if (!bytes)
		return fail(exchange->error, -ENOMEM, "out of memory");
	exchange->bytes = bytes;
	exchange->capacity = capacity;
	return 0;
}

/* All of the answer: its end is where the daemon closes. */
static int receive_all(struct exchange *exchange)
{
	for (;;) {
		int err = make_room(exchange);
		ssize_t got;

		if (!err)
			err = wait_for(exchange, POLLIN);
		if (err)
			return err;
		got = recv(exchange->fd, exchange->bytes + exchange->len, exchange->capacity - exchange->len - 1,
			   MSG_DONTWAIT);
		if (got > 0) {
			exchange->len += (size_t)got;
		} else if (!got || errno == ECONNRESET) {
			exchange->bytes[exchange->len] = '\0';
			return 0;
		} else if (errno != EINTR && errno != EAGAIN) {
			return fail(exchange->error, -errno, "cannot hear canaryd: %s", strerror(errno));
		}
	}
}

/* The value of a field in a head that ends with a zero: up to the line's end. NULL: there is none. */
static const char *field(const char *head, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_len) || line[name_len] != ':')
			continue;
		line += name_len + 1;
		line += strspn(line, " \t");
		*ret_len = strcspn(line, "\r");
		return line;
	}
	return NULL;
}

/* Puts the chunks of a body together, in place. The length, or -1: there is not all of it. */
static ssize_t join_chunks(char *body, size_t len)
{
	char *from = body, *to = body, *end = body + len;

	for (;;) {
		char *after;
		unsigned long size = strtoul(from, &after, 16);

		if (after == from)
			return -1;
		after = strstr(after, "\r\n"); /* an extension is passed over */
		if (!after)
			return -1;
		from = after + 2;
		if (!size)
			return to - body;
		if (size > (size_t)(end - from) || (size_t)(end - from) - size < 2)
			return -1;
		memmove(to, from, size);
		to += size;
		from += size + 2;
	}
}

/* Finds the body. Its length, or -EPROTO. */
static ssize_t parse_head(struct exchange *exchange, char **ret_body)
{
	char *head = exchange->bytes, *end = strstr(head, "\r\n\r\n");
	const char *value;
	size_t len, value_len;
	ssize_t joined;

	/* "HTTP/1.1 200 OK" */
	if (!exchange->len)
		return protocol_error(exchange, "it closed the connection without a word");
	if (!end || strncmp(head, "HTTP/1.", 7) || sscanf(head + 8, " %3u", &exchange->status) != 1)
		return protocol_error(exchange, "that is no HTTP");
	*end = '\0';
	*ret_body = end + 4;
	len = exchange->len - (size_t)(*ret_body - head);
	value = field(head, "Transfer-Encoding", &value_len);
	if (value && value_len == 7 && !strncasecmp(value, "chunked", 7)) {
		joined = join_chunks(*ret_body, len);
		return joined < 0 ? protocol_error(exchange, "its answer breaks off") : joined;
	}
	value = field(head, "Content-Length", &value_len);
	if (value && strtoul(value, NULL, 10) != len)
		return protocol_error(exchange, "its answer breaks off");
	return (ssize_t)len;
}

static int parse_answer(struct exchange *exchange, json_t **ret)
{
	char *body = NULL;
	ssize_t len = parse_head(exchange, &body);
	const char *sentence;
	json_t *json;

	if (len < 0)
		return (int)len;
	json = len ? json_loadb(body, (size_t)len, 0, NULL) : json_object();
	if (!json)
		return protocol_error(exchange, "that is no JSON");
	if (exchange->status / 100 == 2) {
		*ret = json;
		return 0;
	}
	sentence = json_string_value(json_object_get(json, "error"));
	if (sentence)
		fail(exchange->error, 0, "%s", sentence);
	else
		fail(exchange->error, 0, "canaryd refused %s %s with status %u", exchange->request->method,
		     exchange->request->path, exchange->status);
	json_decref(json);
	return -EREMOTEIO;
}

int daemon_ask(const struct daemon_request *request, json_t **ret, unsigned *ret_status, struct error *error)
{
	struct daemon_request timed = *request;
	struct exchange exchange = {.request = &timed, .fd = -1, .error = error};
	int err;

	if (!timed.timeout_ms)
		timed.timeout_ms = DAEMON_TIMEOUT_MS;
	exchange.deadline_ms = now_ms() + timed.timeout_ms;
	err = connect_socket(&exchange);
	if (!err)
		err = send_request(&exchange);
	if (!err)
		err = receive_all(&exchange);
	if (!err)
		err = parse_answer(&exchange, ret);
	if (ret_status)
		*ret_status = exchange.status;
	if (exchange.fd >= 0)
		close(exchange.fd);
	free(exchange.bytes);
	return err;
}
