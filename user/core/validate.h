/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a model one that the data plane can carry out, and one that somebody can have meant? Used for files and for the
 * result of every command that edits the running configuration.
 */
#ifndef CORE_VALIDATE_H
#define CORE_VALIDATE_H

#include "core/model.h"

/* Where and what. `path` names the culprit as in "services[2].stable[0].port", for a reader to turn into a line. */
struct problem {
	char path[128];
	char text[384]; /* one sentence: what is wrong and what to do */
};

/*
 * Fills in what may be left out (a backend's port and server id, a service's times), and checks everything: names, address families,
 * ports, weights, times, duplicates (names, address + protocol + port, backends, segments), limits, combinations. 0, or -EINVAL with the first
 * problem in *ret; -ENOMEM leaves *ret alone.
 */
int validate_model(struct model *model, struct problem *ret);

/*
 * The same for what is, or was, in force. A weight above 0 with no canary backend that takes flows is refused in a file
 * and by set-weight; but drains and --force lead there, and then it is no reason to refuse anything else.
 */
int validate_running(struct model *model, struct problem *ret);

/* "services[I].COHORT[J].FIELD": the J-th backend *of its cohort*, as the file lists them. FIELD may be NULL. */
void backend_path(const struct model *model, const struct service_model *service, const struct backend_model *backend,
		  const char *field, char buf[128]);

#endif
