/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd's side: connections, requests as they come in, and the loop. */
#include "io/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/http_private.h"

/*
 * A body that is too large is read to its end all the same, and thrown away, so that the client gets to read why. Up to
 * here; a larger one is cut off.
 */
#define BODY_READ_MAX (1 << 20)

static void take_asker(struct http_call *call)
{
	struct ucred asker;
	socklen_t len = sizeof(asker);

	call->fd = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	call->uid = HTTP_UID_UNKNOWN;
	if (!call->listener->by_address && !getsockopt(call->fd, SOL_SOCKET, SO_PEERCRED, &asker, &len))
		call->uid = asker.uid;
}

static void call_free(struct http_call *call)
{
	http_response_release(call);
	json_decref(call->json);
	free(call->stream.bytes);
	free(call->body.bytes);
	free(call->method);
	free(call->path);
	free(call);
}

static struct http_call *call_new(struct http_listener *listener, struct MHD_Connection *connection, const char *path,
				  const char *method)
{
	struct http_call *call = calloc(1, sizeof(*call));
	struct http_server *server = listener->server;

	if (!call)
		return NULL;
	call->listener = listener;
	call->connection = connection;
	call->method = strdup(method);
	call->path = strdup(path);
	if (!call->method || !call->path) {
		call_free(call);
		return NULL;
	}
	take_asker(call);
	call->next = server->calls;
	call->self = &server->calls;
	if (call->next)
		call->next->self = &call->next;
	server->calls = call;
	return call;
}

/* The request is over, however: nothing of it is left in libmicrohttpd. */
static void completed(void *arg, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode code)
{
	struct http_call *call = *slot;

	(void)arg, (void)code;
	if (!call)
		return;
	http_peer_set(call->listener, connection, HTTP_PEER_ASKING);
	*slot = NULL;
	http_call_gone(call);
	if (call->counted)
		call->listener->waiting--;
	*call->self = call->next;
	if (call->next)
		call->next->self = call->self;
	call_free(call);
}

bool http_is_json(const char *type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	return type && strncasecmp(type, json, len) == 0 && strchr("; \t", type[len]);
}

/* A page of another site can make a browser post what is not declared as JSON; browsers tell where it comes from. */
static bool is_from_page(const struct http_call *call)
{
	return http_header(call, MHD_HTTP_HEADER_ORIGIN) || http_header(call, MHD_HTTP_HEADER_REFERER) ||
	       http_header(call, "Sec-Fetch-Site");
}

static void parse_body(struct http_call *call)
{
	json_error_t error;

	if (is_from_page(call) && !http_is_json(http_header(call, MHD_HTTP_HEADER_CONTENT_TYPE))) {
		http_reply_error(call, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
				 "a body must come with Content-Type: application/json");
		return;
	}
	call->json = json_loadb(call->body.bytes, call->body.len, JSON_REJECT_DUPLICATES, &error);
	if (!call->json)
		http_reply_error(call, MHD_HTTP_BAD_REQUEST, "the body is no JSON: line %d, column %d: %s", error.line,
				 error.column, error.text);
	else if (!json_is_object(call->json))
		http_reply_error(call, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
}

static void handle(struct http_call *call)
{
	if (call->stage != HTTP_READING)
		return;
	call->stage = HTTP_HANDLING;
	http_peer_set(call->listener, call->connection, HTTP_PEER_SERVED);
	if (call->body_seen > HTTP_BODY_MAX)
		http_reply_error(call, MHD_HTTP_CONTENT_TOO_LARGE, "a body has %d bytes at most", HTTP_BODY_MAX);
	else if (call->body_seen)
		parse_body(call);
	if (call->stage == HTTP_HANDLING)
		call->route->handle(call, call->listener->server->arg);
	if (call->stage == HTTP_HANDLING)
		http_reply_error(call, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s %s was not answered", call->method,
				 call->path);
}

/* What is to be done with the connection now that the request is whole. */
static enum MHD_Result proceed(struct http_call *call)
{
	enum MHD_Result result;

	if (call->stage == HTTP_CUT)
		return MHD_NO;
	if (call->stage == HTTP_WAITING) {
		MHD_suspend_connection(call->connection);
		call->suspended = true;
		return watch_add(&call->listener->server->watch, call->fd, EPOLLRDHUP, call) ? MHD_NO : MHD_YES;
	}
	/* A stream has its own bounds. */
	if (call->stage == HTTP_ANSWERED)
		http_peer_set(call->listener, call->connection, HTTP_PEER_READING);
	result = MHD_queue_response(call->connection, call->status, call->response);
	http_response_release(call);
	return result;
}

static enum MHD_Result begin(struct http_call *call)
{
	const char *length = http_header(call, MHD_HTTP_HEADER_CONTENT_LENGTH);
	bool huge = length && strtoull(length, NULL, 10) > BODY_READ_MAX, by_address = call->listener->by_address;

	if (http_guard_framing(call))
		return proceed(call);
	if ((!by_address || http_guard_address(call) == 0) && http_route_find(call) == 0 &&
	    (!by_address || http_guard_access(call) == 0) && huge)
		http_reply_error(call, MHD_HTTP_CONTENT_TOO_LARGE, "a body has %d bytes at most", HTTP_BODY_MAX);
	return huge ? proceed(call) : MHD_YES;
}

/*
 * What stands for what in paths and queries: "%2e" for ".". But a slash or a zero that is written so stays as it is, and
 * so does what is no such writing: a part of a path is one part, and a text ends where it ends.
 */
static size_t unescape(void *arg, struct MHD_Connection *connection, char *text)
{
	char *to = text;

	(void)arg, (void)connection;
	for (const char *from = text; *from; to++) {
		char digits[3] = {from[1], from[1] ? from[2] : '\0'};
		unsigned long byte = strspn(digits, "0123456789abcdefABCDEF") == 2 ? strtoul(digits, NULL, 16) : 0;
		bool stands = *from == '%' && byte && byte != '/';

		*to = stands ? (char)byte : *from;
		from += stands ? 3 : 1;
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* Called once with the headers, then with each piece of the body, then with none; and again after a suspension. */
static enum MHD_Result take(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
			    const char *version, const char *body, size_t *body_len, void **slot)
{
	struct http_call *call = *slot;

	(void)version;
	if (!call) {
		call = *slot = call_new(arg, connection, path, method);
		return call ? begin(call) : MHD_NO;
	}
	if (*body_len) {
		call->body_seen += *body_len;
		if (call->body_seen > BODY_READ_MAX)
			return MHD_NO;
		if (call->body_seen <= HTTP_BODY_MAX && http_bytes_add(&call->body, body, *body_len))
			return MHD_NO;
		*body_len = 0;
		return MHD_YES;
	}
	handle(call);
	return proceed(call);
}

int http_server_open(const struct http_route *routes, void *arg, struct http_server **ret, struct error *error)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int code;

	if (!server)
		return fail(error, -ENOMEM, "out of memory");
	server->routes = routes;
	server->arg = arg;
	code = watch_open(&server->watch);
	if (code) {
		free(server);
		return fail(error, code, "cannot make an HTTP server: %s", strerror(-code));
	}
	*ret = server;
	return 0;
}

void http_server_guard(struct http_server *server, const struct http_guard *guard)
{
	server->guard = *guard;
}

/* Takes the descriptor. */
static int listen_on(struct http_server *server, enum http_listener_index index, int fd, struct error *error)
{
	struct http_listener *listener = &server->listeners[index];
	int code;

	listener->server = server;
	listener->by_address = index == HTTP_ADDRESS;
	for (size_t i = 0; i < HTTP_PEER_STATES; i++)
		TAILQ_INIT(&listener->peers[i]);
	listener->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, take, listener,
					    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
					    MHD_OPTION_NOTIFY_CONNECTION, http_peer_notify, listener,
					    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, unescape,
					    NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
					    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_TIMEOUT, MHD_OPTION_END);
	if (!listener->daemon) {
		close(fd);
		return fail(error, -EIO, "cannot start an HTTP server");
	}
	code = watch_add(&server->watch, MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
			 EPOLLIN, listener);
	return code ? fail(error, code, "cannot watch an HTTP server: %s", strerror(-code)) : 0;
}

int http_server_listen_unix(struct http_server *server, const char *path, const char *group, struct error *error)
{
	struct http_listener *listener = &server->listeners[HTTP_UNIX];
	struct stat status;
	int fd = http_socket_unix(path, group, &status, error);

	if (fd < 0)
		return fd;
	listener->path = strdup(path);
	listener->device = status.st_dev;
	listener->inode = status.st_ino;
	return listen_on(server, HTTP_UNIX, fd, error);
}

int http_server_listen_address(struct http_server *server, const char *endpoint, struct error *error)
{
	int fd = http_socket_address(endpoint, error);

	return fd < 0 ? fd : listen_on(server, HTTP_ADDRESS, fd, error);
}

int http_server_port(const struct http_server *server)
{
	const struct http_listener *listener = &server->listeners[HTTP_ADDRESS];
	struct sockaddr_in6 address; /* a sockaddr_in has its port in the same place */
	socklen_t len = sizeof(address);
	int fd;

	if (!listener->daemon)
		return 0;
	fd = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd;
	return getsockname(fd, (struct sockaddr *)&address, &len) ? 0 : ntohs(address.sin6_port);
}

int http_server_fd(const struct http_server *server)
{
	return server->watch.epoll;
}

static bool is_listener(const struct http_server *server, const void *data)
{
	return data >= (const void *)server->listeners && data < (const void *)(server->listeners + HTTP_LISTENERS);
}

/* While all places are taken libmicrohttpd accepts nobody, and after one has become free in its next run only. */
static void run_listener(struct http_listener *listener)
{
	bool full;

	do {
		full = listener->peer_count >= HTTP_CONNECTIONS_MAX;
		MHD_run(listener->daemon);
		http_peer_make_room(listener);
	} while (full && listener->peer_count < HTTP_CONNECTIONS_MAX);
}

/* Runs what can be run, and says how many milliseconds there are until that must be done again. */
static long run_listeners(struct http_server *server)
{
	long wait = WATCH_NEVER;

	for (size_t i = 0; i < HTTP_LISTENERS; i++) {
		struct MHD_Daemon *daemon = server->listeners[i].daemon;
		MHD_UNSIGNED_LONG_LONG timeout;

		if (!daemon)
			continue;
		run_listener(&server->listeners[i]);
		if (MHD_get_timeout(daemon, &timeout) == MHD_YES && (wait < 0 || (long)timeout < wait))
			wait = (long)timeout;
	}
	return wait;
}

void http_server_run(struct http_server *server)
{
	struct epoll_event events[64];
	bool rang;
	int count = watch_ready(&server->watch, events, 64, &rang);

	/* Suspended calls first: none of them is freed before libmicrohttpd runs. */
	for (int i = 0; i < count; i++) {
		struct http_call *call = events[i].data.ptr;

		if (is_listener(server, call) || !call->suspended)
			continue;
		http_call_gone(call);
		http_call_resume(call);
	}
	watch_arm(&server->watch, run_listeners(server));
}

static void close_listener(struct http_listener *listener)
{
	struct stat status;

	if (listener->daemon)
		MHD_stop_daemon(listener->daemon);
	if (listener->path && lstat(listener->path, &status) == 0 && status.st_dev == listener->device &&
	    status.st_ino == listener->inode)
		unlink(listener->path);
	free(listener->path);
}

void http_server_close(struct http_server *server)
{
	if (!server)
		return;
	/* libmicrohttpd demands that nothing is suspended when it stops. */
	for (struct http_call *call = server->calls; call; call = call->next) {
		http_call_gone(call);
		http_call_resume(call);
	}
	run_listeners(server);
	for (size_t i = 0; i < HTTP_LISTENERS; i++)
		close_listener(&server->listeners[i]);
	watch_close(&server->watch);
	free(server);
}
