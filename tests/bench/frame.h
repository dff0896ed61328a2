/* SPDX-License-Identifier: Apache-2.0 */
/* What the prologue writes into each frame: shared by the kernel programs of the bench and by user space. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

enum bench_frame_limit {
	BENCH_HOSTS = 1024, /* clients: flow -> address of flow % BENCH_HOSTS, port of flow / BENCH_HOSTS */
	BENCH_HOST_BITS = 10,
	BENCH_FIRST_PORT = 1024,
	BENCH_MAX_FLOWS = 1 << 20,
};

/* Addresses, ports and sums are in network order, as they stand in the frame. */
struct bench_frame {
	__u32 counter; /* of runs; the flow is counter * stride & mask */
	__u32 stride; /* odd: every flow comes once in `mask` + 1 runs */
	__u32 mask; /* flows - 1, a power of 2 less one */
	__u32 length; /* of the frame before it is forwarded */
	__u32 family; /* 4 or 6 */
	__u32 proto;
	__u16 dest_port;
	__u16 ip_sum; /* of IPv4's header without the source, folded, not inverted */
	__u16 transport_sum; /* of pseudo-header and transport without source and source port; the same */
	__u16 pad;
	__u32 client[4]; /* of host 0; IPv4: the last word */
	__u32 service[4];
	__u8 dmac[8]; /* six bytes each */
	__u8 smac[8];
};

#endif
