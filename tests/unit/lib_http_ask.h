/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of a test's server (lib_http.h). */
#ifndef LIB_HTTP_ASK_H
#define LIB_HTTP_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "lib_http.h"

struct answer {
	long status;
	size_t len;
	char text[8192], headers[2048];
};

/* By libcurl, on the unix socket or on the port: one request, its answer. `type` and `body` may be NULL. */
struct answer server_ask(const struct test_server *server, const char *method, const char *rest, const char *type,
			 const char *body, size_t len, bool by_address);
/* The status, and what is in the text, which is JSON. */
void assert_answer(const struct answer *answer, long status, const char *text);

/* By hand, on the unix socket: a connection. */
int server_dial(const struct test_server *server);
/* Reads until this has come, or the end. */
void assert_reads(int fd, const char *wanted);

#endif
