/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer about everything, which is long and takes a while to make with very many services. Whoever asks soon after
 * another gets the other's: so that a crowd that asks for nothing else can have a part of the daemon's time and memory, and
 * rollouts have the rest.
 */
#ifndef DAEMON_KEPT_H
#define DAEMON_KEPT_H

#include <jansson.h>
#include <linux/types.h>

#include "io/http_server.h"

struct daemon;

struct kept {
	struct http_answer *answer; /* NULL: there is none */
	__u64 until_ns; /* CLOCK_MONOTONIC */
};

/* The text, to be freed. 0 or -ENOMEM. */
typedef int kept_text(struct daemon *daemon, char **ret, size_t *ret_len);
/* As this call may see it: by address all see the same. */
typedef json_t *kept_view(const struct daemon *daemon, const struct http_call *call);

/* For handlers: they answer with what is kept, or with what is made now. */
void kept_reply_text(struct kept *kept, struct http_call *call, struct daemon *daemon, const char *type,
		     kept_text *text);
/* On the socket is who has just asked for a change, and looks what came of it: there it is made now. */
void kept_reply_view(struct kept *kept, struct http_call *call, struct daemon *daemon, kept_view *view);

void kept_clear(struct kept *kept);

#endif
