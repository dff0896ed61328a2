/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/stream: what a page shows of one service, sent as it changes (server-sent events; api.h lists them). */
#ifndef DAEMON_STREAM_H
#define DAEMON_STREAM_H

#include "daemon/supervisor.h"

void streams_add(struct supervisor *supervisor, struct http_call *call);
/* After all of a tick's work. dataplane: NULL: it cannot be read. */
void streams_tick(struct daemon *daemon, struct dataplane *dataplane);

#endif
