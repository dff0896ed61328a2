/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a frame that may be anything: a second opinion on what the kernel program parses, by the plain words of the
 * RFCs and with no limits of its own. For packets that no description foresees.
 */
#ifndef LIB_FRAME_H
#define LIB_FRAME_H

#include <linux/types.h>
#include <stdbool.h>

#include "canary/abi.h"

struct frame {
	unsigned l3, l4; /* offsets; l4 is past options and extension headers */
	unsigned family; /* 4 or 6 */
	unsigned ip_len; /* by the header */
	unsigned header_len; /* IPv4's */
	unsigned ttl;
	unsigned proto; /* the transport's */
	unsigned extensions; /* IPv6 extension headers */
	unsigned sport, dport; /* of TCP and UDP */
	unsigned tcp_flags;
	struct canary_addr src, dst;
	bool fragment; /* first of several */
	__u32 id; /* of fragments: which packet they are of */
	bool later; /* a fragment that is not the first: what follows its header is not read */
	bool routed; /* a routing header says that it is not at its destination */
	bool sound; /* lengths fit together and into the frame */
};

/* False: not IP, or not the version that the EtherType says. */
bool frame_read(const __u8 *data, unsigned len, struct frame *ret);
/* The same for an IP packet at an offset, whatever is before it. */
bool frame_read_ip(const __u8 *data, unsigned len, unsigned l3, struct frame *ret);

/* Which of a sound packet's checksums are right. */
enum frame_check {
	FRAME_HEADER = 1, /* IPv4 */
	FRAME_TRANSPORT = 2, /* TCP, UDP, ICMP, ICMPv6 */
	FRAME_NONE = 4, /* UDP: there is none */
	FRAME_QUOTED_HEADER = 8, /* of the IPv4 packet that an ICMP error quotes */
};
unsigned frame_checks(const __u8 *data, const struct frame *frame);
/* Makes all of them right, but leaves what is absent absent. */
void frame_fix_checks(__u8 *data, const struct frame *frame);

/* Where the transport's checksum is; 0: it has none. */
unsigned frame_check_at(const struct frame *frame);

#endif
