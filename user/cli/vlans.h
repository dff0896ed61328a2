/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_VLANS_H
#define CLI_VLANS_H

#include "cli/cli.h"
#include "dataplane/dataplane.h"

/* Tells the data plane which tags the VLAN devices of this network namespace put on, two stacked ones at most. */
void vlans_prepare(const struct cli *cli, struct dataplane *dataplane);

#endif
