/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ipip: the packet inside another one to the backend (RFC 2003, 2473, 4213), of the family of the backend's address.
 * The backend unpacks it and answers the client directly.
 */
#ifndef BPF_FORWARD_IPIP_H
#define BPF_FORWARD_IPIP_H

#define IPIP_HOP_LIMIT 64

static __always_inline __u32 ipip_overhead(const struct canary_backend *backend)
{
	return addr_v4(&backend->addr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/* What the outer header takes from the inner one. */
struct ipip_inner {
	__u8 traffic_class; /* DSCP and ECN (RFC 6040, normal mode) */
	bool dont_fragment;
};

static __always_inline bool ipip_read_inner(struct xdp_md *ctx, const struct pkt *p, struct ipip_inner *ret)
{
	if (p->family == 4) {
		struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);

		if (!ip)
			return false;
		ret->traffic_class = ip->tos;
		ret->dont_fragment = ip->frag_off & bpf_htons(IP_DF);
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);

		if (!ip)
			return false;
		ret->traffic_class = bpf_ntohl(*(__be32 *)ip) >> 20;
		ret->dont_fragment = true;
	}
	return true;
}

static __always_inline int ipip_write_v4(struct xdp_md *ctx, const struct pkt *p, const struct canary_backend *backend,
					 const struct ipip_inner *inner, __u32 l3)
{
	struct iphdr *ip = pkt_at(ctx, l3, struct iphdr);
	__u64 sum = 0;

	if (!ip)
		return DROP(FAULT);
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = inner->traffic_class;
	ip->tot_len = bpf_htons(p->ip_len + sizeof(*ip));
	/* An identification matters only to fragments (RFC 6864). */
	ip->id = inner->dont_fragment ? 0 : (__u16)bpf_get_prandom_u32();
	ip->frag_off = inner->dont_fragment ? bpf_htons(IP_DF) : 0;
	ip->ttl = IPIP_HOP_LIMIT;
	ip->protocol = p->family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	ip->check = 0;
	ip->saddr = backend->tunnel_source.word[3];
	ip->daddr = backend->addr.word[3];
#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 4; i++)
		sum += ((__u32 *)ip)[i];
	ip->check = ~csum_fold(sum);
	return 0;
}

static __always_inline int ipip_write_v6(struct xdp_md *ctx, const struct pkt *p, const struct canary_backend *backend,
					 const struct ipip_inner *inner, __u32 l3)
{
	struct ipv6hdr *ip = pkt_at(ctx, l3, struct ipv6hdr);
	__u32 ports = (__u32)p->tuple.client_port << 16 | p->tuple.port;
	__u32 label;

	if (!ip)
		return DROP(FAULT);
	/* The flow label tells the network and the backend's NIC flows apart (RFC 6438). */
	label = canary_mix64((__u64)p->tuple.client.word[3] << 32 | ports) & 0xfffff;
	*(__be32 *)ip = bpf_htonl(6U << 28 | (__u32)inner->traffic_class << 20 | label);
	ip->payload_len = bpf_htons(p->ip_len);
	ip->nexthdr = p->family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	ip->hop_limit = IPIP_HOP_LIMIT;
	__builtin_memcpy(&ip->saddr, &backend->tunnel_source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &backend->addr, sizeof(ip->daddr));
	return 0;
}

static __always_inline int forward_ipip(struct xdp_md *ctx, const struct pkt *p, const struct canary_backend *backend,
					const struct canary_next_hop *hop)
{
	bool v4 = addr_v4(&backend->addr);
	struct ipip_inner inner = {};
	__u32 overhead = ipip_overhead(backend);
	__u32 tail, l3;
	int verdict;

	if (!ipip_read_inner(ctx, p, &inner))
		return DROP(FAULT);
	/* Padding of a short frame would follow the inner packet into the tunnel. */
	tail = pkt_size(ctx) - p->l3 - p->ip_len;
	if (tail && bpf_xdp_adjust_tail(ctx, -(int)tail))
		return DROP(FAULT);
	verdict = frame_rewrite(ctx, p, hop, overhead, v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6), &l3);
	if (verdict)
		return verdict;
	return v4 ? ipip_write_v4(ctx, p, backend, &inner, l3) : ipip_write_v6(ctx, p, backend, &inner, l3);
}

#endif
