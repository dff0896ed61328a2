/* SPDX-License-Identifier: GPL-2.0 */
/* What all ways of forwarding share: the hop limit, the link header, and sending. */
#ifndef BPF_FORWARD_FRAME_H
#define BPF_FORWARD_FRAME_H

/* Has the packet come as far as it may? The stack knows how to answer that. */
static __always_inline bool frame_expired(const struct pkt *p)
{
	return p->hop_limit <= 1;
}

static __always_inline void frame_age_v4(struct iphdr *ip)
{
	__u32 sum = ip->check + bpf_htons(1 << 8); /* RFC 1624: what goes from the header comes to its complement */

	ip->ttl--;
	ip->check = sum + (sum >= 0xffff);
}

static __always_inline int frame_age(struct xdp_md *ctx, const struct pkt *p)
{
	if (p->family == 4) {
		struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);

		if (!ip)
			return DROP(FAULT);
		frame_age_v4(ip);
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);

		if (!ip)
			return DROP(FAULT);
		ip->hop_limit--;
	}
	return 0;
}

static __always_inline __be16 frame_type(__u8 family)
{
	return family == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

/*
 * Makes room for an outer header of `outer` bytes and writes the link header before it. The tags are those of the VLAN
 * device that the route goes through; on the way back out of the same device they stay as they are; elsewhere they
 * mean nothing. *ret_l3: where the (outer) IP header is now.
 */
static __always_inline int frame_rewrite(struct xdp_md *ctx, const struct pkt *p, const struct canary_next_hop *hop,
					 __u32 outer, __be16 ethertype, __u32 *ret_l3)
{
	const struct canary_tag *tags = hop->tag;
	__u32 count = hop->tag_count;
	struct macs *macs;
	__be16 *type;
	__u32 l3;

	if (!count && hop->ifindex == ctx->ingress_ifindex) {
		tags = p->tag;
		count = p->tag_count;
	}
	l3 = sizeof(struct ethhdr) + count * sizeof(struct vlan_hdr);
	if (p->l3 != l3 + outer && bpf_xdp_adjust_head(ctx, (int)p->l3 - (int)(l3 + outer)))
		return DROP(NO_HEADROOM);
	macs = pkt_pull(ctx, 0, sizeof(struct ethhdr));
	if (!macs)
		return DROP(FAULT);
	*macs = *(const struct macs *)hop->dmac;
	type = (__be16 *)(macs + 1);
	for (__u32 i = 0; i < 2 && i < count; i++) {
		struct vlan_hdr *vlan = pkt_at(ctx, sizeof(struct ethhdr) + i * sizeof(*vlan), struct vlan_hdr);

		if (!vlan)
			return DROP(FAULT);
		*type = tags[i].tpid;
		vlan->h_vlan_TCI = tags[i].tci;
		type = &vlan->h_vlan_encapsulated_proto;
	}
	*type = ethertype;
	*ret_l3 = l3;
	return 0;
}

/* The same, for a packet that keeps its own header: most keep their tags, or the lack of them, as well. */
static __always_inline int frame_rewrite_in_place(struct xdp_md *ctx, const struct pkt *p,
						  const struct canary_next_hop *hop)
{
	struct macs *macs;
	__u32 l3;

	if (!hop->tag_count && (!p->tag_count || hop->ifindex == ctx->ingress_ifindex)) {
		macs = pkt_at(ctx, 0, struct macs);
		if (!macs)
			return DROP(FAULT);
		*macs = *(const struct macs *)hop->dmac;
		return 0;
	}
	return frame_rewrite(ctx, p, hop, 0, frame_type(p->family), &l3);
}

static __always_inline int frame_send(struct xdp_md *ctx, const struct canary_next_hop *hop)
{
	if (hop->ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(hop->ifindex, 0);
}

/*
 * Does the packet come from the very host it would go to, or from ourselves? But for nat that host should have
 * kept it: it does not know the service's address. With nat it would get a packet from itself.
 */
static __always_inline bool frame_loops(struct xdp_md *ctx, const struct pkt *p, const struct canary_config *config,
					const struct canary_backend *backend, const struct canary_next_hop *hop)
{
	if (p->flags & PKT_OWN)
		return true;
	if (config->forward == CANARY_FORWARD_NAT)
		return addr_same(&p->tuple.client, &backend->addr);
	return hop->direct && hop->ifindex == ctx->ingress_ifindex && mac_equal(p->smac, hop->dmac);
}

/* Is this the packet's own source address (of an ICMP error: not that of the packet it quotes)? */
static __always_inline bool frame_source_is(struct xdp_md *ctx, const struct pkt *p, const struct canary_addr *addr)
{
	struct canary_addr source;

	if (p->family == 4) {
		struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);

		if (!ip)
			return false;
		addr_from_v4(&source, ip->saddr);
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);

		if (!ip)
			return false;
		addr_from_v6(&source, &ip->saddr);
	}
	return addr_same(&source, addr);
}

#endif
