/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes packets as pcapng (draft-ietf-opsawg-pcapng), which tcpdump and Wireshark read: one section of Ethernet frames, with
 * interfaces that may be added at any time, and a comment for each packet. In the byte order of this machine.
 *
 * Functions return 0 or -errno. What the stream keeps back is the caller's to flush.
 */
#ifndef IO_PCAPNG_H
#define IO_PCAPNG_H

#include <linux/types.h>
#include <stdio.h>

#define PCAPNG_MAX_FRAME 65535
#define PCAPNG_MAX_TEXT 1024 /* of a comment, name or description: what is longer is cut off */

/* The section's header, before anything else. */
int pcapng_begin(FILE *file, const char *application);

/* The first is number 0, the next 1, and so on: the number is what packets are given. */
int pcapng_add_interface(FILE *file, const char *name, const char *description, __u32 snaplen);

enum pcapng_direction { PCAPNG_INBOUND = 1, PCAPNG_OUTBOUND = 2 };

struct pcapng_packet {
	__u32 interface;
	__s64 time_ns; /* since 1970 */
	const void *frame;
	__u32 captured; /* bytes at `frame`, at most PCAPNG_MAX_FRAME */
	__u32 length; /* of the frame itself */
	enum pcapng_direction direction;
	__u64 id; /* the same of one packet that is seen twice */
	__u64 dropped; /* packets that are missing before this one */
	int verdict; /* enum xdp_action */
	const char *comment;
};
int pcapng_add_packet(FILE *file, const struct pcapng_packet *packet);

#endif
