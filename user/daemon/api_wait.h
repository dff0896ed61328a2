/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait until a rollout has more transitions than they know of. */
#ifndef DAEMON_API_WAIT_H
#define DAEMON_API_WAIT_H

#include "daemon/supervisor.h"

#define WAIT_MAX_S 60

/* Answers with the rollout's status, at once or later. */
void waiters_add(struct supervisor *supervisor, struct http_call *call, __u64 transitions, unsigned seconds);
void waiters_wake(struct supervisor *supervisor); /* there was a transition */
void waiters_tick(struct daemon *daemon); /* whose time is over */

#endif
