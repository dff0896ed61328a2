/* SPDX-License-Identifier: Apache-2.0 */
/* TCP segments as IP packets: written, and read. */
#ifndef IO_HEALTH_FRAME_H
#define IO_HEALTH_FRAME_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"

#define FRAME_MSS 1220 /* IPv6's least MTU without the headers (RFC 8200, RFC 6691): fits every path */
#define FRAME_MAX (64 + FRAME_MSS)

/*
 * What a peer may send at a time after the handshake. A status line is all that is waited for: a page of a megabyte should
 * not be on its way when that has come.
 */
#define FRAME_WINDOW (2 * FRAME_MSS)

enum { FRAME_FIN = 0x01, FRAME_SYN = 0x02, FRAME_RST = 0x04, FRAME_PSH = 0x08, FRAME_ACK = 0x10 };

struct frame_tuple {
	struct canary_addr source, destination; /* of one family */
	__u16 source_port, destination_port; /* host order */
};

struct frame {
	struct frame_tuple tuple;
	__u32 sequence, acknowledged;
	__u8 flags; /* FRAME_* alone */
	const __u8 *data;
	size_t len; /* up to FRAME_MSS to be written */
};

/* An IPv4 or IPv6 packet with its checksums; a SYN offers FRAME_MSS. Its length. */
size_t frame_write(const struct frame *frame, __u8 ret[FRAME_MAX]);

/*
 * False: not a whole header of an unfragmented TCP segment. Checksums are not looked at: hardware may fill them in later.
 * The data are in `packet`; of a segment that was cut off there are less, and no FIN.
 */
bool frame_read(const __u8 *packet, size_t len, struct frame *ret);

#endif
