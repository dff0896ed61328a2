/* SPDX-License-Identifier: Apache-2.0 */
/* An interface that a command names, and how to attach to it. */
#ifndef CLI_INTERFACE_H
#define CLI_INTERFACE_H

#include <limits.h>

#include "cli/cli.h"
#include "dataplane/dataplane.h"

struct netlink;

/* --mode; NULL: auto. 0 or CLI_USAGE. */
int interface_mode(const char *text, enum attach_mode *ret, struct error *error);
/* An Ethernet interface by its name, as it is now: 0 or -errno. */
int interface_find(struct netlink *netlink, const char *name, struct interface *ret, struct error *error);

/* Where the pins of decap are: beside the balancer's, as a host may be both. */
void decap_dir(const struct cli *cli, char ret[PATH_MAX]);

/* The name where a command to copy may have it, else "IFACE": it may hold what a shell would run. */
const char *copyable(const char *name);

#endif
