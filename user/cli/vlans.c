/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/vlans.h"
#include "io/netlink.h"

struct vlan_links {
	struct link *items;
	size_t count, capacity;
};

static int collect(const struct link *link, void *arg)
{
	struct vlan_links *links = arg;

	if (strcmp(link->kind, "vlan"))
		return 0;
	if (links->count == links->capacity) {
		links->capacity = links->capacity ? links->capacity * 2 : 16;
		links->items = must(realloc(links->items, links->capacity * sizeof(*links->items)));
	}
	links->items[links->count++] = *link;
	return 0;
}

static const struct link *find(const struct vlan_links *links, unsigned ifindex)
{
	for (size_t i = 0; i < links->count; i++)
		if (links->items[i].ifindex == ifindex)
			return &links->items[i];
	return NULL;
}

static struct canary_tag tag_of(const struct link *link)
{
	return (struct canary_tag){.tpid = link->vlan_proto, .tci = htons(link->vlan_id)};
}

/* False: more tags than a packet can get. */
static bool egress_of(const struct vlan_links *links, const struct link *link, struct canary_egress *ret)
{
	const struct link *below = find(links, link->lower);

	if (!below) {
		*ret = (struct canary_egress){.ifindex = link->lower, .tag_count = 1, .tag = {tag_of(link)}};
		return true;
	}
	*ret = (struct canary_egress){.ifindex = below->lower, .tag_count = 2, .tag = {tag_of(below), tag_of(link)}};
	return !find(links, below->lower);
}

void vlans_prepare(const struct cli *cli, struct dataplane *dataplane)
{
	struct netlink *netlink = netlink_open();
	struct vlan_links links = {};
	struct dataplane_vlan *vlans;
	struct error error;
	size_t count = 0;

	if (!netlink || netlink_links(netlink, collect, &links)) {
		print_warning(cli, "cannot ask the kernel for VLAN devices: backends behind new ones are not reached");
		netlink_close(netlink);
		free(links.items);
		return;
	}
	netlink_close(netlink);
	vlans = must(calloc(links.count + 1, sizeof(*vlans)));
	for (size_t i = 0; i < links.count; i++) {
		vlans[count].ifindex = links.items[i].ifindex;
		count += egress_of(&links, &links.items[i], &vlans[count].egress);
	}
	if (dataplane_set_vlans(dataplane, vlans, count, &error))
		print_warning(cli, "%s", error.text);
	free(vlans);
	free(links.items);
}
