/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane needs of the kernel's routing before it can forward: user space asks once, the kernel keeps it. */
#ifndef CLI_NEXT_HOPS_H
#define CLI_NEXT_HOPS_H

#include "cli/cli.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

/*
 * Is an interface attached in our network namespace, so that the kernel's routes we see are those that packets take? If in
 * another one only, says so. `dataplane` may be NULL.
 */
bool next_hops_are_ours(const struct cli *cli, struct dataplane *dataplane);

/*
 * Before a change, and without its lock, as this takes its time: makes the next hops of the backends of `model` and all
 * gateways managed neighbours that outlive a loss of carrier, notes the tunnels' sources in the model, and waits at most a
 * second for the next hops of backends that `before` (NULL: nothing) does not have. What packets would be dropped for is
 * printed as a warning; nothing of it fails a command.
 */
void next_hops_prepare(const struct cli *cli, struct model *model, const struct model *before);

/* Copies the tunnels' sources of a model that was prepared. */
void next_hops_adopt(const struct model *prepared, struct model *model);

/* With the lock: tells the data plane the tunnels' sources of the backends that it has already, and the VLAN devices. */
void next_hops_refresh(const struct cli *cli, struct dataplane *dataplane, const struct model *model);

#endif
