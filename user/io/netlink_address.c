/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "io/netlink_talk.h"

static int collect_address(const struct nlmsghdr *answer, void *list)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(answer);
	const struct nlattr *attr, *found = NULL;
	struct address address = {};

	if (answer->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(answer) < sizeof(*header))
		return 0;
	mnl_attr_for_each(attr, answer, sizeof(*header))
	{
		/* Where a link has two ends, IFA_ADDRESS is the other one. IPv6 has IFA_LOCAL only there. */
		if (mnl_attr_get_type(attr) == IFA_LOCAL || (mnl_attr_get_type(attr) == IFA_ADDRESS && !found))
			found = attr;
	}
	if (!found ||
	    get_addr(header->ifa_family, mnl_attr_get_payload(found), mnl_attr_get_payload_len(found), &address.addr))
		return 0;
	address.ifindex = header->ifa_index;
	address.prefix_len = header->ifa_prefixlen + (header->ifa_family == AF_INET ? 96 : 0);
	return netlink_list_add(list, &address);
}

int netlink_addresses(struct netlink *netlink, int (*call)(const struct address *address, void *arg), void *arg)
{
	struct netlink_list list = {.item_size = sizeof(struct address)};
	int result = netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, collect_address, &list);
	const struct address *addresses = list.items;

	for (size_t i = 0; i < list.count && !result; i++)
		result = call(&addresses[i], arg);
	free(list.items);
	return result;
}
