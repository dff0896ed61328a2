/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP and HTTPS requests that nobody waits for (libcurl): the event loop watches http_client_fd() for EPOLLIN and calls
 * http_client_run(), which calls back with what came of each. Names are resolved in threads of libcurl's.
 *
 * No other protocol, no proxy (the environment's is ignored: what is asked for is measured from here), no authentication
 * but what the URL has, and no redirect unless asked for; then three at most, and only of a GET.
 */
#ifndef IO_HTTP_CLIENT_H
#define IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct http_client;
struct http_transfer; /* a request on its way */

int http_client_open(struct http_client **ret, struct error *error); /* 0 or -errno */
void http_client_close(struct http_client *client); /* cancels what is on its way; NULL: nothing */
int http_client_fd(const struct http_client *client);
void http_client_run(struct http_client *client);

/* Who the other end has to be, and who we are: PEM files, read for each connection. Its name is checked in any case. */
struct http_tls {
	const char *ca; /* NULL: the system's authorities */
	const char *cert, *key; /* NULL: none */
};

/* A part of an answer's body. false: it is to end, with -EMSGSIZE. It may not start or cancel any request. */
typedef bool http_take(const char *bytes, size_t len, void *arg);

struct http_request {
	const char *url;
	const char *host; /* in place of the URL's in the Host header; NULL: the URL's */
	const char *json; /* the body of a POST; NULL: a GET */
	const char *const *headers; /* "Name: value", up to NULL, beside those; NULL: none */
	const struct http_tls *tls; /* NULL: as if its members were */
	unsigned timeout; /* ms, for all of it; 0: it may take for ever */
	size_t limit; /* bytes; a longer answer is none */
	http_take *take; /* takes the body as it comes, of any length; NULL: it comes with the result */
	bool follow; /* redirects */
	bool fresh; /* a connection of its own: what is tested is that one can be made */
	bool once; /* not sent again by itself where a connection that was kept turns out to be dead */
};

struct http_result {
	int error; /* 0: there is an answer, whatever its status. -errno: -ETIMEDOUT, -ECONNREFUSED, -EMSGSIZE, ... */
	const char *url; /* as it may be shown: without the password in it */
	const char *sentence; /* with an error: what went wrong, with that URL; else "" */
	bool sent; /* with an error: the request, or some of it */
	unsigned status;
	const char *body; /* with a zero behind it; "" where `take` took it */
	size_t len;
};

/* Valid during the call. It may start and cancel others. */
typedef void http_done(const struct http_result *result, void *arg);

/*
 * Starts a request, of which nothing is kept but a copy. `done` is called once, from http_client_run(), unless it is
 * cancelled before. 0; -EINVAL: no http:// or https:// URL; -ENOMEM.
 */
int http_client_start(struct http_client *client, const struct http_request *request, http_done *done, void *arg,
		      struct http_transfer **ret, struct error *error);
/* `done` is not called any more. NULL: nothing. Not from its own `done`. */
void http_client_cancel(struct http_transfer *transfer);

/* "a b" as "a%20b", for a query; to be freed. NULL without memory. */
char *http_escape(const char *text);

#endif
