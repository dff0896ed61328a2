/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of backends put into practice: one that is down drains, so it leaves its cohort's ring and its connections may
 * end; one that came back takes part again, slowly at first. What becomes of a cohort's share when none of its backends is
 * left is `overflow`'s. Backends that somebody else drains stay so: which ones are ours is in a file beside the keys.
 */
#ifndef DAEMON_HEALTH_H
#define DAEMON_HEALTH_H

#include <jansson.h>

#include "daemon/daemon.h"

struct keeper;

int keeper_open(struct daemon *daemon, struct keeper **ret, struct error *error); /* 0 or -errno */
void keeper_close(struct keeper *keeper); /* NULL: nothing */
/* The configuration was read: checks begin anew. */
void keeper_configure(struct keeper *keeper);
/* Looks which backends there are, and sees that rings are as their health demands. */
void keeper_tick(struct keeper *keeper, struct dataplane *dataplane);
json_t *keeper_view(const struct keeper *keeper, const char *service); /* for GET /v1/health; NULL: of all */

#endif
