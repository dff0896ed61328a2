// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel side of the bench: a prologue, and the floors that figures are compared with. A run of the prologue is one
 * packet: it undoes what the run before did to the frame, makes it the next flow's, and goes on to the program under
 * test. The floors do a part each of what any balancer must do.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define TARGET 0

/* What TCP's and UDP's headers begin with. */
struct ports {
	__be16 source;
	__be16 dest;
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

struct bench_frame frame;

/* A pointer to TYPE at a constant offset, or NULL where the frame is shorter. */
#define at(ctx, offset, TYPE) ((TYPE *)pull((ctx), (offset), sizeof(TYPE)))

static __always_inline void *pull(struct xdp_md *ctx, __u32 offset, __u32 size)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	return data + offset + size > end ? NULL : data + offset;
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u32 halves(__u32 word)
{
	return (word & 0xffff) + (word >> 16);
}

/* Each field in one store of its own size, as a load that spans two stores would have to wait for both. */
static __always_inline void write_mac(__u8 *to, const __u8 *from)
{
	*(__u16 *)to = *(__u16 *)from;
	*(__u16 *)(to + 2) = *(__u16 *)(from + 2);
	*(__u16 *)(to + 4) = *(__u16 *)(from + 4);
}

static __always_inline bool write_link(struct xdp_md *ctx, __be16 type)
{
	struct ethhdr *eth = at(ctx, 0, struct ethhdr);

	if (!eth)
		return false;
	write_mac(eth->h_dest, frame.dmac);
	write_mac(eth->h_source, frame.smac);
	eth->h_proto = type;
	return true;
}

/* What this run's packet is. */
struct turn {
	__u32 flow;
	__u32 seq; /* host order */
	const struct bench_step *step;
};

static __always_inline struct turn next_turn(void)
{
	__u32 run = frame.counter++, batch_bits = frame.batch_bits % 32, after = batch_bits + frame.step_bits;
	__u32 connection = run >> after % 32 << batch_bits | (run & ((1U << batch_bits) - 1));
	__u32 life = frame.life + (connection >> frame.flow_bits % 32);
	struct turn turn = {.flow = connection * frame.stride & frame.mask};

	turn.step = &frame.step[run >> batch_bits & ((1U << frame.step_bits % 32) - 1) & (BENCH_MAX_STEPS - 1)];
	turn.seq = turn.step->seq + life * frame.seq_stride;
	return turn;
}

/* The sum of the source address, or a negative number where the frame is too short. */
static __always_inline int write_addresses_v4(struct xdp_md *ctx, const struct turn *turn)
{
	struct iphdr *ip = at(ctx, sizeof(struct ethhdr), struct iphdr);
	__u32 source = frame.client[3] + bpf_htonl(turn->flow % BENCH_HOSTS);

	if (!ip)
		return -1;
	ip->ttl = 64;
	ip->check = ~fold(frame.ip_sum + halves(source));
	ip->saddr = source;
	ip->daddr = frame.service[3];
	return halves(source);
}

static __always_inline int write_addresses_v6(struct xdp_md *ctx, const struct turn *turn)
{
	struct ipv6hdr *ip = at(ctx, sizeof(struct ethhdr), struct ipv6hdr);
	__u32 source = frame.client[3] + bpf_htonl(turn->flow % BENCH_HOSTS);

	if (!ip)
		return -1;
	ip->hop_limit = 64;
	ip->saddr.in6_u.u6_addr32[3] = source;
	for (int i = 0; i < 4; i++)
		ip->daddr.in6_u.u6_addr32[i] = frame.service[i];
	return halves(source);
}

static __always_inline bool write_transport(struct xdp_md *ctx, __u32 l4, const struct turn *turn, __u32 sum)
{
	__u16 port = bpf_htons(BENCH_FIRST_PORT + (turn->flow >> BENCH_HOST_BITS));
	struct ports *ports = at(ctx, l4, struct ports);
	__be32 seq = bpf_htonl(turn->seq);
	struct udphdr *udp;
	struct tcphdr *tcp;
	__u16 check;

	if (!ports)
		return false;
	ports->source = port;
	ports->dest = frame.dest_port;
	if (frame.proto != IPPROTO_TCP) {
		udp = at(ctx, l4, struct udphdr);
		if (!udp)
			return false;
		check = ~fold(turn->step->transport_sum + sum + port);
		udp->check = check ? check : 0xffff; /* 0 would mean none (RFC 768) */
		return true;
	}
	tcp = at(ctx, l4, struct tcphdr);
	if (!tcp)
		return false;
	tcp->seq = seq;
	((__u8 *)tcp)[13] = turn->step->tcp_flags;
	tcp->check = ~fold(turn->step->transport_sum + sum + port + halves(seq));
	return true;
}

/*
 * All programs are "xdp.frags", as the one under test is: a PROG_ARRAY holds only one kind. A frame that was forwarded in
 * place keeps its length: then there is no adjust_head to undo, and none to subtract.
 */
SEC("xdp.frags")
int bench_prologue(struct xdp_md *ctx)
{
	long length = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	struct turn turn = next_turn();
	int grown, sum;

	barrier_var(length); /* or the compiler subtracts frame.length from a pointer first, cut to 32 bits */
	grown = length - frame.length;
	if (grown && bpf_xdp_adjust_head(ctx, grown))
		return XDP_ABORTED;
	if (frame.family == 4) {
		sum = write_addresses_v4(ctx, &turn);
		if (sum < 0 || !write_link(ctx, bpf_htons(ETH_P_IP)) ||
		    !write_transport(ctx, sizeof(struct ethhdr) + sizeof(struct iphdr), &turn, sum))
			return XDP_ABORTED;
	} else {
		sum = write_addresses_v6(ctx, &turn);
		if (sum < 0 || !write_link(ctx, bpf_htons(ETH_P_IPV6)) ||
		    !write_transport(ctx, sizeof(struct ethhdr) + sizeof(struct ipv6hdr), &turn, sum))
			return XDP_ABORTED;
	}
	bpf_tail_call_static(ctx, &targets, TARGET);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_tx(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("xdp.frags")
int bench_adjust(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)) ? XDP_ABORTED : XDP_TX;
}

static __always_inline bool parse(struct xdp_md *ctx)
{
	struct ethhdr *eth = at(ctx, 0, struct ethhdr);
	struct ports *ports;

	if (!eth)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = at(ctx, sizeof(*eth), struct iphdr);

		if (!ip || ip->version != 4 || ip->ihl != 5 || ip->daddr != frame.service[3] ||
		    ip->protocol != frame.proto)
			return false;
		ports = at(ctx, sizeof(*eth) + sizeof(*ip), struct ports);
	} else {
		struct ipv6hdr *ip = at(ctx, sizeof(*eth), struct ipv6hdr);

		if (!ip || ip->version != 6 || ip->daddr.in6_u.u6_addr32[3] != frame.service[3] ||
		    ip->nexthdr != frame.proto)
			return false;
		ports = at(ctx, sizeof(*eth) + sizeof(*ip), struct ports);
	}
	return ports && ports->dest == frame.dest_port;
}

SEC("xdp.frags")
int bench_swap(struct xdp_md *ctx)
{
	struct ethhdr *eth;
	__u8 mac[6];

	if (!parse(ctx))
		return XDP_DROP;
	eth = at(ctx, 0, struct ethhdr);
	if (!eth)
		return XDP_DROP;
	write_mac(mac, eth->h_dest);
	write_mac(eth->h_dest, eth->h_source);
	write_mac(eth->h_source, mac);
	return XDP_TX;
}

/* Room for an outer header, and the link header before it. */
static __always_inline bool encapsulate(struct xdp_md *ctx, int overhead, __be16 type)
{
	struct ethhdr *eth;

	if (bpf_xdp_adjust_head(ctx, -overhead))
		return false;
	eth = at(ctx, 0, struct ethhdr);
	if (!eth)
		return false;
	write_mac(eth->h_dest, frame.smac);
	write_mac(eth->h_source, frame.dmac);
	eth->h_proto = type;
	return true;
}

static __always_inline int encapsulate_v4(struct xdp_md *ctx)
{
	struct iphdr *ip, *inner;
	__u32 sum = 0;

	if (!encapsulate(ctx, sizeof(*ip), bpf_htons(ETH_P_IP)))
		return XDP_ABORTED;
	ip = at(ctx, sizeof(struct ethhdr), struct iphdr);
	inner = at(ctx, sizeof(struct ethhdr) + sizeof(*ip), struct iphdr);
	if (!ip || !inner)
		return XDP_ABORTED;
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = inner->tos;
	ip->tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + sizeof(*ip));
	ip->id = 0;
	ip->frag_off = inner->frag_off;
	ip->ttl = 64;
	ip->protocol = IPPROTO_IPIP;
	ip->check = 0;
	ip->saddr = frame.service[3];
	ip->daddr = frame.client[3];
#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += ((__u16 *)ip)[i];
	ip->check = ~fold(sum);
	return XDP_TX;
}

static __always_inline int encapsulate_v6(struct xdp_md *ctx)
{
	struct ipv6hdr *ip, *inner;

	if (!encapsulate(ctx, sizeof(*ip), bpf_htons(ETH_P_IPV6)))
		return XDP_ABORTED;
	ip = at(ctx, sizeof(struct ethhdr), struct ipv6hdr);
	inner = at(ctx, sizeof(struct ethhdr) + sizeof(*ip), struct ipv6hdr);
	if (!ip || !inner)
		return XDP_ABORTED;
	*(__be32 *)ip = *(__be32 *)inner;
	ip->payload_len = bpf_htons(bpf_ntohs(inner->payload_len) + sizeof(*ip));
	ip->nexthdr = IPPROTO_IPV6;
	ip->hop_limit = 64;
	for (int i = 0; i < 4; i++) {
		ip->saddr.in6_u.u6_addr32[i] = frame.service[i];
		ip->daddr.in6_u.u6_addr32[i] = frame.client[i];
	}
	return XDP_TX;
}

SEC("xdp.frags")
int bench_ipip(struct xdp_md *ctx)
{
	return frame.family == 4 ? encapsulate_v4(ctx) : encapsulate_v6(ctx);
}

char _license[] SEC("license") = "GPL";
