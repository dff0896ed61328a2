/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a backend, as the kernel's routes say, and what is wrong with it. */
#ifndef CLI_WAYS_H
#define CLI_WAYS_H

#include "core/model.h"
#include "io/netlink.h"

struct way {
	int err; /* there is no route: -errno, and nothing in `route` */
	struct route route;
	char fault[160]; /* "" where nothing is wrong */
	const char *remedy; /* for that: what to do */
};

void way_find(struct netlink *netlink, const struct service_model *service, const struct backend_model *backend,
	      struct way *ret);

/* What answers for a next hop's link-layer address: "ARP" or "neighbour discovery". */
const char *resolution_of(const struct canary_addr *next_hop);

#endif
