/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a reboot, in a file beside the key file: one for each directory of pins. See io/state_file.h. */
#ifndef OPS_STATE_H
#define OPS_STATE_H

#include <limits.h>

#include "dataplane/dataplane.h"
#include "io/state_file.h"

/* Which data plane on this host: where its pins are, and the keys. */
struct instance {
	const char *dir;
	const char *key_file;
};

/*
 * A file of the instance's own, beside its key file: instances may share the keys, but not this, so it is named after the
 * directory of pins, and after `what` it holds. 0 or -ENAMETOOLONG.
 */
int instance_file(const struct instance *instance, const char *what, char path[PATH_MAX], struct error *error);

/*
 * To be called after every change, while its lock is held. 0, or -errno with a sentence for a warning: the change is in
 * force.
 */
int state_save(const struct instance *instance, struct dataplane *dataplane, struct error *error);

/* To be freed. -errno, with a sentence for a warning: it cannot be read, and is empty. */
int state_load(const struct instance *instance, struct saved_state *ret, struct error *error);

/*
 * Gives the services of `wanted` that `actual` does not have what they had when the state was saved: the salt's number,
 * and the weight where none is named. To be called before plan_make().
 */
void state_settle(const struct saved_state *state, const struct model *actual, struct model *wanted);

/*
 * The configuration by which older connections of a service were chosen for when the state was saved, if its window would
 * still be open by now; else NULL.
 */
struct service_model *state_open_window(const struct saved_state *state, const struct service_model *service);

#endif
