/* SPDX-License-Identifier: Apache-2.0 */
/* What live and its receiver share. */
#ifndef BENCH_RECEIVER_H
#define BENCH_RECEIVER_H

enum {
	RECEIVER_STATIONS = 256, /* station N: N is the last byte of its MAC address */
};

/* What the outermost headers of every packet have in common; in network order. */
struct receiver_wanted {
	__u8 station[6]; /* station 0 */
	__u16 dest_port; /* 0: any will do */
	__u32 address; /* 0: the station's own, which is the last byte in `network` */
	__u32 network;
	__u32 proto;
};

#endif
