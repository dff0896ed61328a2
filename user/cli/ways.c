/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ways.h"

#include <stdio.h>
#include <string.h>

static void find_fault(struct way *way, const char *fault, const char *remedy)
{
	snprintf(way->fault, sizeof(way->fault), "%s", fault);
	way->remedy = remedy;
}

/*
 * A backend on this host: the stack gets the packets as they are, and has to know the service's address. In nat nobody
 * would translate its answers.
 */
static void look_here(struct netlink *netlink, const struct service_model *service, struct way *way)
{
	struct route route;

	if (service->forward == CANARY_FORWARD_NAT)
		find_fault(way,
			   "it is an address of this host, and its answers would not be translated: packets to it are "
			   "dropped as no_route",
			   "use l2, ipip or gue");
	else if (netlink_route(netlink, &service->addr, &route) || !route.local)
		find_fault(way, "it is an address of this host, and the service's is not: packets to it are lost",
			   "add the service's address to lo");
}

void way_find(struct netlink *netlink, const struct service_model *service, const struct backend_model *backend,
	      struct way *ret)
{
	static const struct canary_addr none;

	*ret = (struct way){};
	ret->err = netlink_route(netlink, &backend->addr, &ret->route);
	if (ret->err) {
		snprintf(ret->fault, sizeof(ret->fault), "no route to it (%s): packets to it are dropped as no_route",
			 strerror(-ret->err));
		ret->remedy = "add a route, see ip route";
	} else if (ret->route.local) {
		look_here(netlink, service, ret);
	} else if (service_tunnels(service) && addr_equal(&ret->route.source, &none)) {
		find_fault(ret,
			   "no address of ours to send tunnels from: packets to it are dropped as no_tunnel_source",
			   "give the interface an address of its family");
	} else if (service->forward == CANARY_FORWARD_L2 && !addr_equal(&ret->route.next_hop, &backend->addr)) {
		find_fault(ret, "it is behind a router, and l2 needs it on a network of ours", "use ipip, gue or nat");
	}
}

const char *resolution_of(const struct canary_addr *next_hop)
{
	return addr_is_v4(next_hop) ? "ARP" : "neighbour discovery";
}
