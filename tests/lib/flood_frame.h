/* SPDX-License-Identifier: Apache-2.0 */
/* What flood and its program share. Fixed-width members; network order where a packet has it. */
#ifndef FLOOD_FRAME_H
#define FLOOD_FRAME_H

enum flood_kind { FLOOD_SYN, FLOOD_ACK, FLOOD_UDP };
enum { FLOOD_FRAME_LEN = 60 }; /* the shortest that Ethernet has */

struct flood_frame {
	__u8 bytes[64]; /* Ethernet, IPv4, TCP or UDP; zero where the program fills in */
	__u32 kind; /* enum flood_kind */
	__u32 net, hosts; /* host order: sources are net + 0..hosts-1; hosts is a power of two */
	__u32 first_port, ports; /* host order: from first_port + 0..ports-1 */
	__u32 ip_sum; /* of the IP header as it stands, not folded; network order */
	__u32 l4_sum; /* of the rest and its pseudo header, the same */
	__u64 gap_ns; /* from one to the next; 0: none */
	__u64 next_ns; /* CLOCK_MONOTONIC */
	__u64 sent; /* counted by the program */
};

#endif
