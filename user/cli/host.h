/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of this host follow what is attached and which services there are: see ops/host.h. */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include "cli/cli.h"

/* After a change of either, with nothing locked. What goes wrong is a warning: the change itself is in force. */
void host_follow(const struct cli *cli);
/* Before the last interface is detached: routers should send nothing here. The same. */
void host_withdraw(const struct cli *cli);

#endif
