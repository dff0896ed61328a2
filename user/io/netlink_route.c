/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/netlink_talk.h"

/* IPv6 answers "you cannot" with a route of such a type, where IPv4 answers with an error: the same ones here. */
static int type_error(unsigned char type)
{
	switch (type) {
	case RTN_UNICAST:
	case RTN_LOCAL:
	case RTN_ANYCAST:
		return 0;
	case RTN_UNREACHABLE:
		return -EHOSTUNREACH;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
	case RTN_PROHIBIT:
		return -EACCES;
	case RTN_BLACKHOLE:
		return -EINVAL;
	default:
		return -ENETUNREACH;
	}
}

/* RTA_GATEWAY is of the route's family, RTA_VIA of any (IPv4 by an IPv6 router, RFC 5549). */
static int gateway_of(const struct nlattr *attr, int family, struct canary_addr *ret)
{
	const void *payload = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	if (mnl_attr_get_type(attr) == RTA_VIA && len > sizeof(struct rtvia)) {
		const struct rtvia *via = payload;

		return get_addr(via->rtvia_family, via->rtvia_addr, len - sizeof(*via), ret);
	}
	return mnl_attr_get_type(attr) == RTA_GATEWAY ? get_addr(family, payload, len, ret) : -EINVAL;
}

static int parse_route(const struct nlmsghdr *answer, void *arg)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(answer);
	struct route *route = arg;
	const struct nlattr *attr;

	if (answer->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(answer) < sizeof(*header))
		return -EPROTO;
	route->local = header->rtm_type == RTN_LOCAL || header->rtm_type == RTN_ANYCAST;
	mnl_attr_for_each(attr, answer, sizeof(*header))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			if (mnl_attr_get_payload_len(attr) >= sizeof(__u32))
				route->ifindex = mnl_attr_get_u32(attr);
			break;
		case RTA_PREFSRC:
			get_addr(header->rtm_family, mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr),
				 &route->source);
			break;
		default:
			gateway_of(attr, header->rtm_family, &route->next_hop);
		}
	}
	return type_error(header->rtm_type);
}

int netlink_route(struct netlink *netlink, const struct canary_addr *to, struct route *ret)
{
	struct nlmsghdr *request = netlink_request(netlink, RTM_GETROUTE, 0);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	struct route route = {.next_hop = *to};
	int error;

	header->rtm_family = addr_family(to);
	header->rtm_dst_len = header->rtm_family == AF_INET ? 32 : 128;
	put_addr(request, RTA_DST, to);
	error = netlink_talk(netlink, request, parse_route, &route);
	if (!error)
		*ret = route;
	return error;
}

struct gateway {
	unsigned ifindex;
	struct canary_addr addr;
};

/* Thousands of routes share a few gateways. */
static int add_gateway(struct netlink_list *list, const struct gateway *gateway)
{
	const struct gateway *known = list->items;

	for (size_t i = 0; i < list->count; i++)
		if (known[i].ifindex == gateway->ifindex &&
		    !memcmp(&known[i].addr, &gateway->addr, sizeof(gateway->addr)))
			return 0;
	return netlink_list_add(list, gateway);
}

static int add_multipath(struct netlink_list *list, const struct nlattr *multipath, int family)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	int len = mnl_attr_get_payload_len(multipath);
	int error = 0;

	for (; !error && RTNH_OK(hop, len); len -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		struct gateway gateway = {.ifindex = hop->rtnh_ifindex};
		const struct nlattr *attr;

		mnl_attr_for_each_payload((const void *)RTNH_DATA(hop), hop->rtnh_len - RTNH_LENGTH(0))
		{
			if (!error && !gateway_of(attr, family, &gateway.addr))
				error = add_gateway(list, &gateway);
		}
	}
	return error;
}

static int collect_gateways(const struct nlmsghdr *answer, void *arg)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(answer);
	const struct nlattr *attr, *multipath = NULL;
	struct gateway gateway = {};
	bool found = false;
	__u32 table;

	if (answer->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(answer) < sizeof(*header))
		return -EPROTO;
	table = header->rtm_table;
	mnl_attr_for_each(attr, answer, sizeof(*header))
	{
		int type = mnl_attr_get_type(attr);

		if (type == RTA_OIF && mnl_attr_get_payload_len(attr) >= sizeof(__u32))
			gateway.ifindex = mnl_attr_get_u32(attr);
		else if (type == RTA_TABLE && mnl_attr_get_payload_len(attr) >= sizeof(__u32))
			table = mnl_attr_get_u32(attr);
		else if (type == RTA_MULTIPATH)
			multipath = attr;
		else
			found |= !gateway_of(attr, header->rtm_family, &gateway.addr);
	}
	/* Cloned: a path's MTU or a redirect that the kernel learnt for one destination. */
	if (table != RT_TABLE_MAIN || header->rtm_type != RTN_UNICAST || header->rtm_flags & RTM_F_CLONED)
		return 0;
	if (multipath)
		return add_multipath(arg, multipath, header->rtm_family);
	return found ? add_gateway(arg, &gateway) : 0;
}

int netlink_gateways(struct netlink *netlink,
		     int (*call)(unsigned ifindex, const struct canary_addr *gateway, void *arg), void *arg)
{
	static const unsigned char families[] = {AF_INET, AF_INET6};
	int result = 0;

	for (size_t family = 0; family < sizeof(families) && !result; family++) {
		struct netlink_list list = {.item_size = sizeof(struct gateway)};
		const struct gateway *gateways;

		result = netlink_dump(netlink, RTM_GETROUTE, families[family], collect_gateways, &list);
		gateways = list.items;
		for (size_t i = 0; i < list.count && !result; i++)
			result = call(gateways[i].ifindex, &gateways[i].addr, arg);
		free(list.items);
	}
	return result;
}
