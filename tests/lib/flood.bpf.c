/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes each frame of a flood from a template, with a source address, port and sequence numbers of its own, and sends
 * it out where it is said to have come in. Frames are used again, overwritten by whoever got them: all of it is written.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood_frame.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flood_frame);
} frame SEC(".maps");

/* Sums fit 32 bits until folded: a template's has at most 30 words. */
static __always_inline __u16 fold(__u32 sum, __u32 word)
{
	sum += (word & 0xffff) + (word >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static long wait_a_little(__u32 i, __u64 *until_ns)
{
	return bpf_ktime_get_ns() >= *until_ns;
}

/* Goes at the rate that was asked for, in the small: a link loses what comes in bursts. Lost time is lost. */
static __always_inline void pace(struct flood_frame *t)
{
	__u64 now_ns = bpf_ktime_get_ns(), until_ns = t->next_ns;

	if (until_ns > now_ns)
		bpf_loop(1 << 20, wait_a_little, &until_ns, 0);
	if (until_ns + 1000000 < now_ns)
		until_ns = now_ns;
	t->next_ns = until_ns + t->gap_ns;
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	void *l4 = ip + 1;
	__u32 zero = 0, sum;
	struct flood_frame *t = bpf_map_lookup_elem(&frame, &zero);
	__u16 port;

	if (!t || !t->ports || data + FLOOD_FRAME_LEN > data_end)
		return XDP_ABORTED;
	if (t->gap_ns)
		pace(t);
	__sync_fetch_and_add(&t->sent, 1);
	port = bpf_htons(t->first_port + bpf_get_prandom_u32() % t->ports);
	__builtin_memcpy(data, t->bytes, FLOOD_FRAME_LEN);
	ip->saddr = bpf_htonl(t->net + (bpf_get_prandom_u32() & (t->hosts - 1)));
	ip->check = fold(t->ip_sum, ip->saddr);
	sum = t->l4_sum + (ip->saddr & 0xffff) + (ip->saddr >> 16) + port;
	if (t->kind == FLOOD_UDP) {
		struct udphdr *udp = l4;

		udp->source = port;
		udp->check = fold(sum, 0);
	} else {
		struct tcphdr *tcp = l4;

		tcp->source = port;
		tcp->seq = bpf_get_prandom_u32();
		if (t->kind == FLOOD_ACK)
			tcp->ack_seq = bpf_get_prandom_u32();
		sum += (tcp->seq & 0xffff) + (tcp->seq >> 16);
		tcp->check = fold(sum, tcp->ack_seq);
	}
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
