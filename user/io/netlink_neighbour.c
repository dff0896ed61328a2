/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "io/netlink_talk.h"

enum {
	/* The kernel's NUD_VALID: what bpf_fib_lookup() takes. */
	STATE_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY,
	STATE_FIXED = NUD_PERMANENT | NUD_NOARP,
	TRIES = 3,
};

struct neighbour {
	__u16 state;
	__u32 flags_ext;
	__u8 mac[6]; /* zero: none, or not Ethernet's */
};

static struct nlmsghdr *neighbour_request(struct netlink *netlink, int type, int flags, unsigned ifindex,
					  const struct canary_addr *addr)
{
	struct nlmsghdr *request = netlink_request(netlink, type, flags);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ndm_family = addr_family(addr);
	header->ndm_ifindex = ifindex;
	put_addr(request, NDA_DST, addr);
	return request;
}

static int parse_neighbour(const struct nlmsghdr *answer, void *arg)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(answer);
	struct neighbour *neighbour = arg;
	const struct nlattr *attr;

	if (answer->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(answer) < sizeof(*header))
		return -EPROTO;
	neighbour->state = header->ndm_state;
	mnl_attr_for_each(attr, answer, sizeof(*header))
	{
		if (mnl_attr_get_type(attr) == NDA_FLAGS_EXT && mnl_attr_get_payload_len(attr) >= sizeof(__u32))
			neighbour->flags_ext = mnl_attr_get_u32(attr);
		if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == sizeof(neighbour->mac))
			memcpy(neighbour->mac, mnl_attr_get_payload(attr), sizeof(neighbour->mac));
	}
	return 0;
}

/* 0, -ENOENT, or another -errno. */
static int get_neighbour(struct netlink *netlink, unsigned ifindex, const struct canary_addr *addr,
			 struct neighbour *ret)
{
	*ret = (struct neighbour){};
	return netlink_talk(netlink, neighbour_request(netlink, RTM_GETNEIGH, 0, ifindex, addr), parse_neighbour, ret);
}

/*
 * Learnt elsewhere as well as managed: otherwise the kernel's garbage collection, at work from 128 neighbours on, takes
 * the entry of a host that is silent for a minute, and nobody asks for it when it is back.
 */
static int put_managed(struct netlink *netlink, unsigned ifindex, const struct canary_addr *addr, int flags)
{
	struct nlmsghdr *request = neighbour_request(netlink, RTM_NEWNEIGH, flags, ifindex, addr);
	struct ndmsg *header = mnl_nlmsg_get_payload(request);

	header->ndm_flags = NTF_EXT_LEARNED;
	mnl_attr_put_u32(request, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return netlink_talk(netlink, request, NULL, NULL);
}

int netlink_manage_neighbour(struct netlink *netlink, unsigned ifindex, const struct canary_addr *next_hop)
{
	struct neighbour neighbour;
	int error;

	/*
	 * The kernel would turn a permanent entry into a managed one, so look first. One that becomes permanent between
	 * the look and the request loses that: nothing in the interface prevents it.
	 */
	for (int i = 0; i < TRIES; i++) {
		error = get_neighbour(netlink, ifindex, next_hop, &neighbour);
		if (!error && neighbour.state & STATE_FIXED)
			return 0;
		if (error && error != -ENOENT)
			return error;
		error = put_managed(netlink, ifindex, next_hop, error ? NLM_F_CREATE | NLM_F_EXCL : 0);
		if (error != -EEXIST && error != -ENOENT)
			break;
	}
	if (!error)
		error = get_neighbour(netlink, ifindex, next_hop, &neighbour);
	if (error)
		return error;
	/* Kernels before 5.16 ignore the attribute. */
	return neighbour.flags_ext & NTF_EXT_MANAGED ? 0 : -EOPNOTSUPP;
}

int netlink_neighbour_resolved(struct netlink *netlink, unsigned ifindex, const struct canary_addr *next_hop)
{
	struct neighbour neighbour;
	int error = get_neighbour(netlink, ifindex, next_hop, &neighbour);

	if (error)
		return error == -ENOENT ? 0 : error;
	return (neighbour.state & STATE_VALID) != 0;
}

int netlink_neighbour_mac(struct netlink *netlink, unsigned ifindex, const struct canary_addr *next_hop, __u8 ret[6])
{
	struct neighbour neighbour;
	int error = get_neighbour(netlink, ifindex, next_hop, &neighbour);

	if (error)
		return error == -ENOENT ? 0 : error;
	if (!(neighbour.state & STATE_VALID))
		return 0;
	memcpy(ret, neighbour.mac, sizeof(neighbour.mac));
	return 1;
}

int netlink_is_proxy(struct netlink *netlink, unsigned ifindex, const struct canary_addr *addr)
{
	struct nlmsghdr *request = neighbour_request(netlink, RTM_GETNEIGH, 0, ifindex, addr);
	struct ndmsg *header = mnl_nlmsg_get_payload(request);
	int error;

	header->ndm_flags = NTF_PROXY;
	error = netlink_talk(netlink, request, NULL, NULL);
	return error == -ENOENT ? 0 : error ? error : 1;
}
