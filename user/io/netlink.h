/* SPDX-License-Identifier: Apache-2.0 */
/* What we ask of and tell the kernel's routing (libmnl), in the network namespace we run in. */
#ifndef IO_NETLINK_H
#define IO_NETLINK_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"

struct netlink; /* an rtnetlink socket */

struct netlink *netlink_open(void); /* NULL with errno */
void netlink_close(struct netlink *netlink);

struct route {
	unsigned ifindex;
	struct canary_addr next_hop; /* the gateway, or the destination itself where it is on-link */
	struct canary_addr source; /* the address of ours that the kernel would send from */
	bool local; /* the destination is an address of this host */
};

/*
 * The kernel's route to an address. 0, or -errno with *ret untouched: -ENETUNREACH, or what a route of that type says
 * (unreachable: -EHOSTUNREACH; prohibit, broadcast, multicast: -EACCES; blackhole: -EINVAL), alike for both families.
 */
int netlink_route(struct netlink *netlink, const struct canary_addr *to, struct route *ret);

/*
 * Asks the kernel to resolve a next hop and to keep it resolved with nobody in user space (NTF_EXT_MANAGED, kernel
 * 5.16). An entry that somebody made permanent is left as it is. 0 or -errno; -EOPNOTSUPP: the kernel is older.
 *
 * An entry lives through its host's absence, however long. It goes with the link: when the device goes down (or its
 * carrier: but see neighbours_outlive_carrier()) the kernel flushes it, and somebody must ask again. IPv6 needs a link-local address that is past duplicate
 * address detection, a second or two after the link came up.
 */
int netlink_manage_neighbour(struct netlink *netlink, unsigned ifindex, const struct canary_addr *next_hop);
/* 1: its link-layer address is known; 0: not (yet); -errno. */
int netlink_neighbour_resolved(struct netlink *netlink, unsigned ifindex, const struct canary_addr *next_hop);
/* The same, and the address: 1 with *ret; 0 or -errno with it untouched. */
int netlink_neighbour_mac(struct netlink *netlink, unsigned ifindex, const struct canary_addr *next_hop, __u8 ret[6]);

/* 1: the kernel answers for that address on an interface, though it has it not (ip neighbour add proxy); 0: not; -errno. */
int netlink_is_proxy(struct netlink *netlink, unsigned ifindex, const struct canary_addr *addr);

/*
 * Calls back for each gateway of the main routing tables, once for IPv4's and once for IPv6's, until it returns nonzero,
 * which is returned. Here and in netlink_links() the callback may use the socket.
 */
int netlink_gateways(struct netlink *netlink,
		     int (*call)(unsigned ifindex, const struct canary_addr *gateway, void *arg), void *arg);

struct link {
	unsigned ifindex;
	char name[16];
	unsigned type; /* ARPHRD_* */
	bool up;
	bool running; /* up, and it has a carrier */
	unsigned mtu;
	__u8 mac[6];
	char kind[16]; /* "veth", "vlan", "" … (IFLA_INFO_KIND) */
	unsigned
		lower; /* ifindex of the device below (IFLA_LINK), 0: none, or in another namespace; a veth's peer is none */
	unsigned master; /* of the bond or bridge that it is in, 0: none */
	__u16 vlan_id; /* kind "vlan" only */
	__u16 vlan_proto; /* network order */
};

/* 0, -ENODEV, or another -errno. Names are compared whole; nothing is interpreted; alternative names are no names. */
int netlink_link_by_name(struct netlink *netlink, const char *name, struct link *ret);
int netlink_link_by_index(struct netlink *netlink, unsigned ifindex, struct link *ret);
/* Calls back for every link, until it returns nonzero, which is returned. */
int netlink_links(struct netlink *netlink, int (*call)(const struct link *link, void *arg), void *arg);

struct address {
	unsigned ifindex;
	struct canary_addr addr;
	unsigned prefix_len; /* of the network that it is on, of 128 */
};

/* Calls back for every address of this host, until it returns nonzero, which is returned. */
int netlink_addresses(struct netlink *netlink, int (*call)(const struct address *address, void *arg), void *arg);

/*
 * What net.ipv4.conf.IFACE.SETTING / net.ipv6.conf.IFACE.SETTING is, a number from 0 on; IFACE may be "all". family: AF_INET
 * or AF_INET6. -EINVAL: no name of an interface (with '/' or "..", too long, ...); -ENODEV: no such interface, or it does
 * not speak that family, or there is no such setting; -EAFNOSUPPORT: the kernel does not.
 */
int interface_setting(const char *interface, int family, const char *setting);
/* The same of "forwarding": 1 if it is on, 0 if off. */
int forwarding_enabled(const char *interface, int family);

/*
 * Has the kernel keep an interface's neighbours of a family through a loss of carrier, which it else forgets then: sets
 * net.ipv4.conf.IFACE.arp_evict_nocarrier / net.ipv6.conf.IFACE.ndisc_evict_nocarrier to 0. 0 or -errno, -EINVAL as
 * above; a kernel that does not have them (before 5.16) is no error.
 */
int neighbours_outlive_carrier(const char *interface, int family);

/* The inode number that names our network namespace, or 0. */
__u32 netns_inode(void);

#endif
