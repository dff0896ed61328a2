/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a reboot, in a file beside the key file: one for each directory of pins. See io/state_file.h. */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "cli/cli.h"
#include "dataplane/dataplane.h"
#include "io/state_file.h"

/* To be called after every change, while its lock is held. What goes wrong is a warning: the change is in force. */
void state_save(const struct cli *cli, struct dataplane *dataplane);

/* Empty, with a warning, where it cannot be read. To be freed. */
void state_load(const struct cli *cli, struct saved_state *ret);

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
