/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canaryd, asked over its unix socket: HTTP/1.1 (RFC 9112) with JSON, one request a connection. canaryctl links no HTTP
 * library for it: that would cost every command its start-up time.
 */
#ifndef CLI_DAEMON_CLIENT_H
#define CLI_DAEMON_CLIENT_H

#include <jansson.h>

#include "core/error.h"

#define DAEMON_DEFAULT_SOCKET "/run/canary/canaryd.sock"

#define DAEMON_TIMEOUT_MS 20000 /* for what is answered at once */

struct daemon_request {
	const char *socket; /* where it listens */
	const char *method;
	const char *path; /* with its query */
	const json_t *body; /* an object; NULL: none */
	int timeout_ms; /* for all of it; 0: DAEMON_TIMEOUT_MS */
};

/*
 * 0 with the answer in *ret, to be released; or with *ret untouched and a sentence:
 *   -ECONNREFUSED  nobody listens there: the daemon is not running
 *   -EREMOTEIO     the daemon refused, and says why; *ret_status (which may be NULL) is its HTTP status
 *   -ETIMEDOUT, -EACCES, -EPROTO (what came is no answer, or not all of one), ...
 */
int daemon_ask(const struct daemon_request *request, json_t **ret, unsigned *ret_status, struct error *error);

#endif
