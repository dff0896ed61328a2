/* SPDX-License-Identifier: Apache-2.0 */
/* What the API shows of a rollout: see api.h for the fields. */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include <jansson.h>

#include "daemon/supervisor.h"
#include "io/http_server.h"

#define TIME_TEXT_LEN 32

/* As this call may see it. */
json_t *status_view(struct supervisor *supervisor, const struct http_call *call);
json_t *entry_view(const struct history_entry *entry);
/* "2026-01-31T12:00:00Z" */
json_t *time_view(__s64 ms);
json_t *number_view(double value); /* null where it is none */

#endif
