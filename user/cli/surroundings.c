/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/interface.h"
#include "cli/output.h"
#include "cli/surroundings.h"
#include "core/text.h"
#include "io/netlink.h"

#define MAC_TEXT_LEN 18

struct hop {
	unsigned ifindex; /* 0: there is no route */
	struct canary_addr addr;
};

struct surroundings {
	struct netlink *netlink; /* NULL: nothing is attached here */
	char attach[256]; /* the command for all that is attached here */
	json_t *warnings;
	struct hop *unresolved; /* some of them several times */
	size_t count, capacity;
};

static const char *format_mac(const __u8 mac[6], char buf[MAC_TEXT_LEN])
{
	snprintf(buf, MAC_TEXT_LEN, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return buf;
}

static bool is_here(const struct interface *interface)
{
	return !interface->gone && interface->netns == netns_inode();
}

struct surroundings *surroundings_open(const struct interface *interfaces, size_t count)
{
	struct surroundings *surroundings = must(calloc(1, sizeof(*surroundings)));
	size_t len = snprintf(surroundings->attach, sizeof(surroundings->attach), "canaryctl attach");
	struct link link;

	surroundings->warnings = json_array();
	for (size_t i = 0; i < count; i++) {
		if (!is_here(&interfaces[i]))
			continue;
		if (!surroundings->netlink)
			surroundings->netlink = netlink_open();
		if (surroundings->netlink && len + sizeof(link.name) + 1 < sizeof(surroundings->attach) &&
		    !netlink_link_by_index(surroundings->netlink, interfaces[i].ifindex, &link))
			len += snprintf(surroundings->attach + len, sizeof(surroundings->attach) - len, " %s",
					copyable(link.name));
	}
	return surroundings;
}

void surroundings_close(struct surroundings *surroundings)
{
	if (!surroundings)
		return;
	netlink_close(surroundings->netlink);
	json_decref(surroundings->warnings);
	free(surroundings->unresolved);
	free(surroundings);
}

bool surroundings_mac_changed(struct surroundings *surroundings, const struct interface *interface)
{
	char before[MAC_TEXT_LEN], now[MAC_TEXT_LEN];
	struct link link;

	if (!surroundings->netlink || !is_here(interface) ||
	    netlink_link_by_index(surroundings->netlink, interface->ifindex, &link) ||
	    !memcmp(link.mac, interface->mac, sizeof(link.mac)))
		return false;
	json_array_append_new(surroundings->warnings,
			      json_sprintf("%s's address changed from %s to %s, so packets to it are passed unsteered: "
					   "run canaryctl attach %s",
					   copyable(link.name), format_mac(interface->mac, before),
					   format_mac(link.mac, now), copyable(link.name)));
	return true;
}

static void add_unresolved(struct surroundings *surroundings, const struct hop *hop)
{
	if (surroundings->count == surroundings->capacity) {
		surroundings->capacity = surroundings->capacity ? surroundings->capacity * 2 : 64;
		surroundings->unresolved = must(reallocarray(surroundings->unresolved, surroundings->capacity,
							     sizeof(*surroundings->unresolved)));
	}
	surroundings->unresolved[surroundings->count++] = *hop;
}

const char *surroundings_next_hop(struct surroundings *surroundings, const struct backend_model *backend)
{
	struct hop hop = {.addr = backend->addr};
	struct route route;
	int resolved = 0;

	if (!surroundings->netlink)
		return "unknown";
	if (!netlink_route(surroundings->netlink, &backend->addr, &route)) {
		hop = (struct hop){route.ifindex, route.next_hop};
		resolved = netlink_neighbour_resolved(surroundings->netlink, hop.ifindex, &hop.addr);
	}
	if (resolved < 0)
		return "unknown";
	if (!resolved)
		add_unresolved(surroundings, &hop);
	return resolved ? "resolved" : "unresolved";
}

static int compare_hops(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hop));
}

static size_t count_hops(const struct surroundings *surroundings)
{
	const struct hop *hops = surroundings->unresolved;
	size_t different = 0;

	if (surroundings->count)
		qsort(surroundings->unresolved, surroundings->count, sizeof(*hops), compare_hops);
	for (size_t i = 0; i < surroundings->count; i++)
		different += !i || compare_hops(&hops[i - 1], &hops[i]);
	return different;
}

void surroundings_warn(const struct surroundings *surroundings, const struct cli *cli)
{
	size_t hops = count_hops(surroundings), i;
	json_t *warning;

	json_array_foreach (surroundings->warnings, i, warning)
		print_warning(cli, "%s", json_string_value(warning));
	if (hops)
		print_warning(cli, "%zu next hop%s not resolved: run %s", hops, hops == 1 ? " is" : "s are",
			      surroundings->attach);
}
