/* SPDX-License-Identifier: Apache-2.0 */
/* An edit of one service that runs: begin, change `service`, commit, end. */
#ifndef DAEMON_EDIT_H
#define DAEMON_EDIT_H

#include "dataplane/dataplane.h"
#include "ops/state.h"

struct edit {
	const struct instance *instance;
	struct dataplane *dataplane;
	struct model actual, desired;
	struct service_model *service; /* of `desired` */
};

/* 0 or -errno, -ENOENT: there is no such service; edit_end() is due in any case. */
int edit_begin(struct edit *edit, const struct instance *instance, const char *service, enum dataplane_access access,
	       struct error *error);
/* Makes it real, and saves what a reboot would lose. 0, or -errno with nothing changed. */
int edit_commit(struct edit *edit, struct error *error);
/* Tells of cohorts whose share began to overflow with it, or ceased to. `canaryctl events` does so, whatever the cause. */
void edit_log_overflows(const struct edit *edit);
void edit_end(struct edit *edit);

#endif
