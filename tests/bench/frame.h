/* SPDX-License-Identifier: Apache-2.0 */
/* What the prologue writes into each frame: shared by the kernel programs of the bench and by user space. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

enum bench_frame_limit {
	BENCH_HOSTS = 1024, /* clients: flow -> address of flow % BENCH_HOSTS, port of flow / BENCH_HOSTS */
	BENCH_HOST_BITS = 10,
	BENCH_FIRST_PORT = 1024,
	BENCH_MAX_FLOWS = 1 << 20,
	BENCH_MAX_STEPS = 16,
};

/* A packet of a connection. */
struct bench_step {
	__u32 seq; /* host order; of the connection that is its flow's first */
	__u16 transport_sum; /* of pseudo-header and transport without source, source port and sequence number; as ip_sum */
	__u8 tcp_flags;
	__u8 pad;
};

/*
 * Run `counter` is of connection (counter >> batch_bits + step_bits) << batch_bits | counter % (1 << batch_bits): so many
 * at a time take a step each, and then the next one.
 *
 * Addresses, ports and sums are in network order, as they stand in the frame.
 */
struct bench_frame {
	__u32 counter; /* of runs; the flow is connection * stride & mask */
	__u32 stride; /* odd: every flow comes once in `mask` + 1 connections */
	__u32 mask; /* flows - 1, a power of 2 less one */
	__u32 batch_bits;
	__u32 step_bits;
	__u32 flow_bits; /* of `mask` */
	__u32 seq_stride; /* by so much the sequence numbers of a flow's next connection are higher */
	__u32 life; /* how many connections each flow has had before the first run, at most */
	__u32 length; /* of the frame before it is forwarded */
	__u32 family; /* 4 or 6 */
	__u32 proto;
	__u16 dest_port;
	__u16 ip_sum; /* of IPv4's header without the source, folded, not inverted */
	__u32 client[4]; /* of host 0; IPv4: the last word */
	__u32 service[4];
	__u8 dmac[8]; /* six bytes each */
	__u8 smac[8];
	struct bench_step step[BENCH_MAX_STEPS];
};

#endif
