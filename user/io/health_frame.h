/* SPDX-License-Identifier: Apache-2.0 */
/* TCP segments without data, as IP packets: written, and read. */
#ifndef IO_HEALTH_FRAME_H
#define IO_HEALTH_FRAME_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"

#define FRAME_MAX 64

enum { FRAME_SYN = 0x02, FRAME_RST = 0x04, FRAME_ACK = 0x10 };

struct frame_tuple {
	struct canary_addr source, destination; /* of one family */
	__u16 source_port, destination_port; /* host order */
};

struct frame {
	struct frame_tuple tuple;
	__u32 sequence, acknowledged;
	__u8 flags; /* FRAME_* alone */
};

/* An IPv4 or IPv6 packet with its checksums; a SYN offers an MSS of 1,220, which fits every path. Its length. */
size_t frame_write(const struct frame *frame, __u8 ret[FRAME_MAX]);

/* False: not a whole header of an unfragmented TCP segment. Checksums are not looked at: hardware may fill them in later. */
bool frame_read(const __u8 *packet, size_t len, struct frame *ret);

#endif
