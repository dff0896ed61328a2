/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane needs of the kernel's routing before it can forward: user space asks once, the kernel keeps it. */
#ifndef CLI_NEXT_HOPS_H
#define CLI_NEXT_HOPS_H

#include "cli/cli.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

/*
 * Does nothing where no interface is attached in this network namespace. Else, for the backends of `model`: makes their
 * next hops and all gateways managed neighbours, tells the data plane the tunnels' source addresses and the VLAN devices,
 * and waits at most a second for the next hops of backends that `before` (NULL: nothing) does not have. What packets
 * would be dropped for is printed as a warning; nothing of it fails a command.
 */
void next_hops_prepare(const struct cli *cli, struct dataplane *dataplane, const struct model *model,
		       const struct model *before);

#endif
