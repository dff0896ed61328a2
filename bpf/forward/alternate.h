/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gue: the backend that a packet names beside its own, which is a guess: see flow.h, and second_chance.h for what comes of it.
 * The name is put into the finished packet: those that have none, which are nearly all, pay nothing for it.
 */
#ifndef BPF_FORWARD_ALTERNATE_H
#define BPF_FORWARD_ALTERNATE_H

/*
 * There may be one from when the service was forwarded by gue. None could help if that backend is gone, here, or the same
 * host; or of another family, of which the first backend has no header to send the packet on with. And a packet that opens a
 * flow is where it belongs.
 */
static __always_inline void alternate_consider(struct pkt *p, const struct canary_config *config,
					       const struct canary_backend *backend)
{
	const struct canary_backend *alternate = backend_at(p->alternate);

	if (p->alternate && config->forward == CANARY_FORWARD_GUE && !(p->flags & PKT_FRAGMENT) &&
	    !(p->tcp_flags & TCP_SYN) && alternate->service == p->service && alternate->flags & CANARY_BACKEND_LIVE &&
	    !backend_is_here(alternate) && addr_v4(&alternate->addr) == addr_v4(&backend->addr) &&
	    !addr_same(&alternate->addr, &backend->addr))
		p->flags |= PKT_ALTERNATE;
}

/* What stands before the list: link header, with at most two tags, IP, UDP and GUE. */
#define ALTERNATE_HEAD_MAX                                                                                             \
	(sizeof(struct ethhdr) + 2 * sizeof(struct vlan_hdr) + sizeof(struct ipv6hdr) + sizeof(struct gue))

/* Moves the headers to the front of a frame that begins `by` bytes earlier now. */
static __always_inline bool alternate_move_head(struct xdp_md *ctx, __u32 len, __u32 by)
{
	__u8 head[ALTERNATE_HEAD_MAX];

	if (!len || len > sizeof(head))
		return false;
	return !bpf_xdp_load_bytes(ctx, by, head, len) && !bpf_xdp_store_bytes(ctx, 0, head, len);
}

/* The outer packet is longer by so much. */
static __always_inline bool alternate_grow(struct xdp_md *ctx, __u32 l3, bool v4, __u32 len)
{
	struct gue *gue = pkt_at(ctx, l3 + (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)), struct gue);
	struct ipv6hdr *v6_header;
	struct iphdr *v4_header;
	__u64 diff = 0;
	__be16 grown;

	if (!gue)
		return false;
	gue->udp.len = bpf_htons(bpf_ntohs(gue->udp.len) + len);
	gue->gue.version_length = len / 4;
	if (v4) {
		v4_header = pkt_at(ctx, l3, struct iphdr);
		if (!v4_header)
			return false;
		grown = bpf_htons(bpf_ntohs(v4_header->tot_len) + len);
		csum_diff16(&diff, v4_header->tot_len, grown);
		v4_header->check = csum_apply(v4_header->check, diff);
		v4_header->tot_len = grown;
	} else {
		v6_header = pkt_at(ctx, l3, struct ipv6hdr);
		if (!v6_header)
			return false;
		v6_header->payload_len = bpf_htons(bpf_ntohs(v6_header->payload_len) + len);
	}
	return true;
}

static __always_inline bool alternate_write(struct xdp_md *ctx, __u32 at, bool v4, const struct canary_addr *addr)
{
	struct gue_alternates *list = pkt_at(ctx, at, struct gue_alternates);
	struct in6_addr *v6_addr;
	__be32 *v4_addr;

	if (!list)
		return false;
	list->type = v4 ? bpf_htons(GUE_ALTERNATES_V4) : bpf_htons(GUE_ALTERNATES_V6);
	list->next = 0;
	list->count = 1;
	if (v4) {
		v4_addr = pkt_at(ctx, at + sizeof(*list), __be32);
		if (v4_addr)
			*v4_addr = addr->word[3];
		return v4_addr;
	}
	v6_addr = pkt_at(ctx, at + sizeof(*list), struct in6_addr);
	if (v6_addr)
		__builtin_memcpy(v6_addr, addr, sizeof(*v6_addr));
	return v6_addr;
}

/*
 * Of a packet that is in its tunnel. Where there is no room for the name, before the frame or in the next hop's MTU, it is left
 * out. Nobody is told of a smaller MTU for its sake: an older flow whose sender never hears of it would break for nothing.
 */
GLOBAL int alternate_name(struct xdp_md *ctx)
{
	struct pkt *p = pkt_current();
	const struct canary_next_hop *hop;
	struct canary_addr addr;
	__u32 l3, header, list_len;
	bool v4;

	hop = p ? bpf_map_lookup_elem(&next_hops, &p->backend) : NULL;
	if (!hop)
		return DROP(FAULT);
	addr = backend_at(p->alternate)->addr;
	v4 = addr_v4(&addr);
	list_len = gue_alternates_len(v4);
	l3 = hop->tag_count || hop->ifindex != ctx->ingress_ifindex ? hop->tag_count : p->tag_count;
	l3 = sizeof(struct ethhdr) + l3 * sizeof(struct vlan_hdr);
	header = (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + sizeof(struct gue);
	if (hop->mtu && header + list_len + p->ip_len > hop->mtu)
		return 0;
	if (bpf_xdp_adjust_head(ctx, -(int)list_len))
		return 0;
	if (!alternate_move_head(ctx, l3 + header, list_len) || !alternate_grow(ctx, l3, v4, list_len) ||
	    !alternate_write(ctx, l3 + header, v4, &addr))
		return DROP(FAULT);
	count_cohort(p->service, p->cohort, CANARY_COHORT_SECOND_CHANCE, 1);
	return 0;
}

#endif
