/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ipip and gue: the packet inside another one to the backend, of the family of the backend's address. With ipip it
 * follows the outer header at once (RFC 2003, 2473, 4213), with gue there is what gue.h writes between them. The backend
 * unpacks it and answers the client directly.
 */
#ifndef BPF_FORWARD_TUNNEL_H
#define BPF_FORWARD_TUNNEL_H

#define TUNNEL_HOP_LIMIT 64

static __always_inline bool tunnel_used(const struct canary_config *config)
{
	return config->forward == CANARY_FORWARD_IPIP || config->forward == CANARY_FORWARD_GUE;
}

static __always_inline __u32 tunnel_ip_len(const struct canary_backend *backend)
{
	return addr_v4(&backend->addr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/* What stands between the outer IP header and the inner one. */
static __always_inline __u32 tunnel_shim_len(const struct canary_config *config)
{
	return config->forward == CANARY_FORWARD_GUE ? sizeof(struct gue) : 0;
}

static __always_inline __u32 tunnel_overhead(const struct canary_config *config, const struct canary_backend *backend)
{
	return tunnel_ip_len(backend) + tunnel_shim_len(config);
}

/* The outer header's fields that are not the same for all packets of a backend. */
struct tunnel_outer {
	__u32 payload; /* bytes that follow it */
	__u8 protocol; /* of the payload */
	/* As the inner one has them. */
	__u8 traffic_class; /* DSCP and ECN (RFC 6040, normal mode) */
	bool dont_fragment;
};

/* Reads what the outer header needs of the packet, and ages it. */
static __always_inline bool tunnel_take_inner(struct xdp_md *ctx, const struct pkt *p, struct tunnel_outer *outer)
{
	if (p->family == 4) {
		struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);

		if (!ip)
			return false;
		outer->traffic_class = ip->tos;
		outer->dont_fragment = ip->frag_off & bpf_htons(IP_DF);
		frame_age_v4(ip);
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);

		if (!ip)
			return false;
		outer->traffic_class = bpf_ntohl(*(__be32 *)ip) >> 20;
		outer->dont_fragment = true;
		ip->hop_limit--;
	}
	return true;
}

static __always_inline int tunnel_write_v4(struct xdp_md *ctx, const struct canary_backend *backend,
					   const struct tunnel_outer *outer, __u32 l3)
{
	struct iphdr *ip = pkt_at(ctx, l3, struct iphdr);
	__u32 word[sizeof(*ip) / 4];
	__u64 sum = 0;

	if (!ip)
		return DROP(FAULT);
	/* By words, summed before they are written: the CPU would wait for a sum over fields that it has just written. */
	word[0] = bpf_htonl(0x45U << 24 | (__u32)outer->traffic_class << 16 | (__u16)(outer->payload + sizeof(*ip)));
	/* An identification matters only to fragments (RFC 6864). */
	word[1] = outer->dont_fragment ? bpf_htonl(IP_DF) : bpf_htonl(bpf_get_prandom_u32() << 16);
	word[2] = bpf_htonl((__u32)TUNNEL_HOP_LIMIT << 24 | (__u32)outer->protocol << 16);
	word[3] = backend->tunnel_source.word[3];
	word[4] = backend->addr.word[3];
#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 4; i++) {
		sum += word[i];
		((__u32 *)ip)[i] = word[i];
	}
	ip->check = ~csum_fold(sum);
	return 0;
}

static __always_inline int tunnel_write_v6(struct xdp_md *ctx, const struct pkt *p,
					   const struct canary_backend *backend, const struct tunnel_outer *outer,
					   __u32 l3)
{
	struct ipv6hdr *ip = pkt_at(ctx, l3, struct ipv6hdr);
	__u32 ports = (__u32)p->tuple.client_port << 16 | p->tuple.port;
	__u32 label;

	if (!ip)
		return DROP(FAULT);
	/* The flow label tells the network and the backend's NIC flows apart (RFC 6438). */
	label = canary_mix64((__u64)p->tuple.client.word[3] << 32 | ports) & 0xfffff;
	*(__be32 *)ip = bpf_htonl(6U << 28 | (__u32)outer->traffic_class << 20 | label);
	ip->payload_len = bpf_htons(outer->payload);
	ip->nexthdr = outer->protocol;
	ip->hop_limit = TUNNEL_HOP_LIMIT;
	__builtin_memcpy(&ip->saddr, &backend->tunnel_source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &backend->addr, sizeof(ip->daddr));
	return 0;
}

static __always_inline int forward_tunnel(struct xdp_md *ctx, const struct pkt *p, const struct canary_config *config,
					  const struct canary_backend *backend, const struct canary_next_hop *hop,
					  __u32 overhead)
{
	struct tunnel_outer outer = {};
	__u8 inner_protocol = p->family == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	__u32 shim = tunnel_shim_len(config), header, tail, l3;
	bool v4;
	int verdict;

	header = overhead - shim;
	v4 = header == sizeof(struct iphdr);
	outer.payload = p->ip_len + shim;
	outer.protocol = shim ? IPPROTO_UDP : inner_protocol;
	if (!tunnel_take_inner(ctx, p, &outer))
		return DROP(FAULT);
	/* Padding of a short frame would follow the inner packet into the tunnel. */
	if (!pkt_ends(ctx, p)) {
		tail = pkt_size(ctx) - p->l3 - p->ip_len;
		if (tail && bpf_xdp_adjust_tail(ctx, -(int)tail))
			return DROP(FAULT);
	}
	verdict = frame_rewrite(ctx, p, hop, overhead, v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6), &l3);
	if (verdict)
		return verdict;
	verdict = v4 ? tunnel_write_v4(ctx, backend, &outer, l3) : tunnel_write_v6(ctx, p, backend, &outer, l3);
	if (verdict || !shim)
		return verdict;
	return gue_write(ctx, p, config, l3 + header, inner_protocol);
}

#endif
