/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who on a link answers for addresses, whether they are ours or not: asked by ARP probes (RFC 5227), which no host takes
 * for a claim, and neighbour solicitations (RFC 4861). Takes CAP_NET_RAW.
 */
#ifndef IO_SOLICIT_H
#define IO_SOLICIT_H

#include <linux/types.h>

#include "canary/abi.h"
#include "io/netlink.h"

struct solicit;

struct solicit *solicit_open(const struct link *link); /* NULL with errno */
void solicit_close(struct solicit *solicit);

/* Asks once. 0 or -errno, as where the link has no address to ask from. */
int solicit_ask(struct solicit *solicit, const struct canary_addr *addr);

/* Calls back for each answer that comes within the time, also one that was not asked for. 0 or -errno. */
int solicit_collect(struct solicit *solicit, int timeout_ms,
		    void (*call)(const struct canary_addr *addr, const __u8 mac[6], void *arg), void *arg);

#endif
