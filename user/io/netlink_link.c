/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "io/netlink_talk.h"

_Static_assert(sizeof(((struct link *)0)->name) == IFNAMSIZ, "a name fits");

static void copy_text(const struct nlattr *attr, char *ret, size_t size)
{
	size_t len = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

	if (len < size) {
		memcpy(ret, mnl_attr_get_payload(attr), len);
		ret[len] = 0;
	}
}

static __u32 number(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) >= sizeof(__u32) ? mnl_attr_get_u32(attr) : 0;
}

static __u16 short_number(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) >= sizeof(__u16) ? mnl_attr_get_u16(attr) : 0;
}

static void parse_kind(const struct nlattr *info, struct link *link)
{
	const struct nlattr *attr, *data = NULL;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			copy_text(attr, link->kind, sizeof(link->kind));
		else if (mnl_attr_get_type(attr) == IFLA_INFO_DATA)
			data = attr;
	}
	if (!data || strcmp(link->kind, "vlan"))
		return;
	mnl_attr_for_each_nested(attr, data)
	{
		if (mnl_attr_get_type(attr) == IFLA_VLAN_ID)
			link->vlan_id = short_number(attr);
		else if (mnl_attr_get_type(attr) == IFLA_VLAN_PROTOCOL)
			link->vlan_proto = short_number(attr);
	}
}

int link_parse(const struct nlmsghdr *answer, struct link *ret)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(answer);
	struct link link = {};
	bool lower_is_elsewhere = false;
	const struct nlattr *attr;

	if (answer->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(answer) < sizeof(*header))
		return -EINVAL;
	link.ifindex = header->ifi_index;
	link.type = header->ifi_type;
	link.up = header->ifi_flags & IFF_UP;
	link.running = header->ifi_flags & IFF_RUNNING;
	mnl_attr_for_each(attr, answer, sizeof(*header))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			copy_text(attr, link.name, sizeof(link.name));
			break;
		case IFLA_MTU:
			link.mtu = number(attr);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == sizeof(link.mac))
				memcpy(link.mac, mnl_attr_get_payload(attr), sizeof(link.mac));
			break;
		case IFLA_LINK:
			link.lower = number(attr);
			break;
		case IFLA_MASTER:
			link.master = number(attr);
			break;
		case IFLA_LINK_NETNSID:
			lower_is_elsewhere = true;
			break;
		case IFLA_LINKINFO:
			parse_kind(attr, &link);
			break;
		}
	}
	/* Of these, IFLA_LINK names the other end, which is beside and not below. */
	if (lower_is_elsewhere || !strcmp(link.kind, "veth") || !strcmp(link.kind, "netkit"))
		link.lower = 0;
	*ret = link;
	return 0;
}

static int parse_one(const struct nlmsghdr *answer, void *link)
{
	return link_parse(answer, link);
}

int netlink_link_by_name(struct netlink *netlink, const char *name, struct link *ret)
{
	struct nlmsghdr *request;
	struct link link = {};
	int error;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	request = netlink_request(netlink, RTM_GETLINK, 0);
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	error = netlink_talk(netlink, request, parse_one, &link);
	if (error)
		return error;
	/* The kernel looks among alternative names as well. */
	if (strcmp(link.name, name))
		return -ENODEV;
	*ret = link;
	return 0;
}

int netlink_link_by_index(struct netlink *netlink, unsigned ifindex, struct link *ret)
{
	struct nlmsghdr *request = netlink_request(netlink, RTM_GETLINK, 0);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	struct link link = {};
	int error;

	/* Of 0 the kernel would go by the name that is not there. */
	if (!ifindex)
		return -ENODEV;
	header->ifi_index = (int)ifindex;
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	error = netlink_talk(netlink, request, parse_one, &link);
	if (!error)
		*ret = link;
	return error;
}

static int collect_link(const struct nlmsghdr *answer, void *list)
{
	struct link link;
	int error = link_parse(answer, &link);

	return error ? error : netlink_list_add(list, &link);
}

int netlink_links(struct netlink *netlink, int (*call)(const struct link *link, void *arg), void *arg)
{
	struct netlink_list list = {.item_size = sizeof(struct link)};
	int result = netlink_dump(netlink, RTM_GETLINK, 0, collect_link, &list);
	const struct link *links = list.items;

	for (size_t i = 0; i < list.count && !result; i++)
		result = call(&links[i], arg);
	free(list.items);
	return result;
}
