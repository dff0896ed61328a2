/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 server for an event loop (libmicrohttpd), with JSON in and out: on a unix socket, whose askers are known by
 * their uid, and on an address, whose show a token where a route wants one. It has no thread and never waits: the loop watches http_server_fd() for
 * EPOLLIN and calls http_server_run(), from which handlers are called.
 *
 * Errors are answered as {"error": "a sentence"}. Before a handler is called there are: 400 the body is no JSON object, or
 * the request can be read in two ways, 404, 405 with Allow, 413 the body is larger than HTTP_BODY_MAX, 415 it is not
 * application/json (which also keeps other sites' pages in a browser from sending it); and by address: 401 with
 * WWW-Authenticate, 403 this is not offered there, or not with this token, or not to a page of another site, 421 Host names
 * another host.
 */
#ifndef IO_HTTP_SERVER_H
#define IO_HTTP_SERVER_H

#include <jansson.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "io/http_token.h"

#define HTTP_BODY_MAX 65536
/* Of each listener: where there are more, the one that has asked nothing for longest is closed, or they wait. */
#define HTTP_CONNECTIONS_MAX 128
#define HTTP_WAITING_MAX 64 /* calls that wait and streams, of each listener */
#define HTTP_STREAM_MAX 262144 /* bytes that a slow reader of a stream may be behind */
#define HTTP_IDLE_TIMEOUT 15 /* s without a byte, in or out, while something is to be read or written */
#define HTTP_TIMEOUT 20 /* s until a request has come, and until its answer has been taken, however slowly */
#define HTTP_UID_UNKNOWN (-1)

struct http_server;
struct http_call; /* one request, and what is answered to it */

/*
 * Answers by one of the functions below, at once or (http_wait()) later; one that does not is a 500. `arg` is the
 * server's.
 */
typedef void http_handler(struct http_call *call, void *arg);

/* To whom a route is offered on the address. */
enum http_access {
	HTTP_FULL_TOKEN, /* who shows a token that is not for feedback alone */
	HTTP_EVERYBODY,
	HTTP_ANY_TOKEN,
};

struct http_route {
	const char *method; /* "GET" serves HEAD as well */
	const char *pattern; /* "/v1/rollouts/{service}/{verb}": a {name} stands for one part that is not empty */
	enum http_access access; /* a token is for writing JSON: what is no GET must say that it is, body or not */
	http_handler *handle;
};

/* Whom a server lets in by address, beside what its routes say. */
struct http_guard {
	const struct http_tokens *tokens; /* NULL, or none in it: nobody may what takes one */
	const char *const
		*names; /* of this host, other than localhost and its own addresses: up to NULL; may be NULL */
};

/* routes: up to one without a method; they and arg must outlive the server. 0 or -ENOMEM, -EMFILE, ... */
int http_server_open(const struct http_route *routes, void *arg, struct http_server **ret, struct error *error);

void http_server_guard(struct http_server *server, const struct http_guard *guard); /* what is in it must outlive it */

/*
 * Listens on a unix socket of mode 0660, of this group if there is one of that name. What lies at that path is replaced
 * only if it is a socket that nobody listens on; -EADDRINUSE: somebody does; -EEXIST: it is something else. 0 or -errno.
 * The path is removed by http_server_close(), unless another socket lies there by then.
 */
int http_server_listen_unix(struct http_server *server, const char *path, const char *group, struct error *error);

/*
 * On "10.0.0.1:8080" or "[2001:db8::1]:8080"; "localhost:8080" and ":8080" are 127.0.0.1. Port 0: any, see
 * http_server_port(). 0 or -errno.
 */
int http_server_listen_address(struct http_server *server, const char *endpoint, struct error *error);
int http_server_port(const struct http_server *server); /* of the address listened on; 0: none */

int http_server_fd(const struct http_server *server);
void http_server_run(struct http_server *server);

/* Calls that still wait are told that they are gone. Not from a handler. NULL: nothing. */
void http_server_close(struct http_server *server);

/* What was asked. Texts and the body belong to the call. */
const char *http_method(const struct http_call *call);
const char *http_path(const struct http_call *call);
const char *http_part(const struct http_call *call, const char *name); /* what {name} stands for; NULL: no such name */
const char *http_query(const struct http_call *call, const char *name); /* ?name=...; NULL: not given */
const char *http_header(const struct http_call *call, const char *name); /* NULL: not given */
const json_t *http_body(const struct http_call *call); /* an object; NULL: there is none */
__s64 http_uid(const struct http_call *call); /* HTTP_UID_UNKNOWN by address */
bool http_by_address(const struct http_call *call); /* else on the unix socket */
#define HTTP_ASKER_LEN 64
const char *http_asker(const struct http_call *call,
		       char buf[HTTP_ASKER_LEN]); /* "192.0.2.7:41000"; not by address: "" */

/* Each of these answers a call, which is over then: it must not be used any more. */
void http_reply(struct http_call *call, unsigned status, json_t *json); /* takes the reference; NULL: 500 */
void http_reply_text(struct http_call *call, unsigned status, const char *type, const char *bytes, size_t len);
__attribute__((format(printf, 3, 4))) void http_reply_error(struct http_call *call, unsigned status, const char *format,
							    ...);

/*
 * A large answer that several calls get, of status 200: it is in memory once, whoever is slow to take it. Takes the bytes,
 * which free() is for; NULL: out of memory. http_reply_answer() is for handlers alone.
 */
struct http_answer;
struct http_answer *http_answer_new(const char *type, char *bytes, size_t len);
void http_reply_answer(struct http_call *call, const struct http_answer *answer);
void http_answer_free(struct http_answer *answer); /* those who are being sent it get the rest; NULL: nothing */

/*
 * Says that a reply comes later (long polling; the caller bounds how long). Until then `gone` may be called, once, when
 * the client has closed its side or the server is closed: the call is over then. -EBUSY: too many wait already, and 503
 * has been answered.
 */
typedef void http_gone(struct http_call *call, void *arg);
int http_wait(struct http_call *call, http_gone *gone, void *arg);

/*
 * Begins a reply, of status 200, that is sent piece by piece (server-sent events: type "text/event-stream"). gone and
 * -EBUSY as in http_wait(). A client that vanished without a word is found out when something is sent: do so now and
 * then. http_stream_send() is never waited for; -ENOBUFS: the reader is too far behind, it has been cut off and the call
 * is over (`gone` is not called).
 */
int http_stream(struct http_call *call, const char *type, http_gone *gone, void *arg);
int http_stream_send(struct http_call *call, const char *bytes, size_t len);
void http_stream_end(struct http_call *call); /* after what was sent; the call is over */

#endif
