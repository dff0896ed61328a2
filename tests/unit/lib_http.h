/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server of the product's own in a thread of the test, on a unix socket and on a port of 127.0.0.1. */
#ifndef LIB_HTTP_H
#define LIB_HTTP_H

#include <pthread.h>

#include "io/http_server.h"

/* Whom it lets in: by these tokens, and by this name, with which it is called beside its addresses. */
#define TEST_TOKEN "0123456789abcdef0123456789abcdef"
#define TEST_FEEDBACK_TOKEN "feedfeedfeedfeedfeedfeedfeedfeedfeed"
#define TEST_HOST "shop.example"

struct test_server {
	struct http_server *server;
	pthread_t thread;
	int quit[2];
	int other[2]; /* a byte into [1]: the loop calls on_other(), as for an event that is none of the server's */
	void (*on_other)(void);
	char path[100];
	int port;
};

/* `path` may be NULL: on the port only. Handlers run in the thread, with arg. */
void test_server_start(struct test_server *server, const char *path, const struct http_route *routes, void *arg);
void test_server_stop(struct test_server *server); /* and closes it */

/* Waits until a descriptor is ready to be run (EPOLLIN), milliseconds at most. */
void wait_for(int fd, int milliseconds);

#endif
