/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of netlink.h share: one request and its answers. */
#ifndef IO_NETLINK_TALK_H
#define IO_NETLINK_TALK_H

#include <libmnl/libmnl.h>
#include <stddef.h>

#include "io/netlink.h"

/* Begins a request in the socket's buffer: valid until netlink_talk(). */
struct nlmsghdr *netlink_request(struct netlink *netlink, int type, int flags);

/*
 * Sends a request and calls back for each answer, which must not use the socket. Returns what the kernel said (0 or
 * -errno), the callback's first nonzero, or another -errno. -EINTR: a dump may lack what changed meanwhile.
 */
int netlink_talk(struct netlink *netlink, struct nlmsghdr *request,
		 int (*call)(const struct nlmsghdr *answer, void *arg), void *arg);

/* An array that grows while a dump is read: callers are told only afterwards, so that they may use the socket. */
struct netlink_list {
	void *items;
	size_t count, item_size;
};

/* A copy of *item at its end. 0 or -ENOMEM. */
int netlink_list_add(struct netlink_list *list, const void *item);

/*
 * Fills a list from a dump by `parse`, which returns 0 or -errno. A dump that changes disturbed is repeated, twice at
 * most: on a host whose routes never rest, almost all of them is better than none. The caller frees items, also on
 * failure.
 */
int netlink_dump(struct netlink *netlink, int type, unsigned char family,
		 int (*parse)(const struct nlmsghdr *answer, void *list), struct netlink_list *list);

int addr_family(const struct canary_addr *addr);
/* The address as an attribute, of 4 or 16 bytes. */
void put_addr(struct nlmsghdr *request, int type, const struct canary_addr *addr);
/* 0, or -EINVAL: not an address of that family. *ret is untouched then. */
int get_addr(int family, const void *bytes, size_t len, struct canary_addr *ret);

/* 0, or -EINVAL: not a description of a link. */
int link_parse(const struct nlmsghdr *answer, struct link *ret);

#endif
