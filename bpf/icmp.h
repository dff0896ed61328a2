/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ICMP errors: they quote the packet that could not be delivered, and belong to whom that packet's connection belongs
 * (path-MTU discovery depends on them). Reads the quoted packet and fills in p->tuple as if the *client* had sent it:
 *
 *  - towards a service: a backend's answer, service -> client, did not arrive. Quoted source = service.
 *  - from a backend (nat): a client's packet, already translated, did not arrive. Quoted destination = backend. The
 *    tuple is then that of the way back, as for a backend's other packets: client = quoted destination.
 *
 * Both are the quoted addresses swapped.
 */
#ifndef BPF_ICMP_H
#define BPF_ICMP_H

/* The longest quoted headers that are looked at must end where the mask of offsets still reaches. */
#define ICMP_QUOTE_ROOM (60 + sizeof(struct tcphdr))
#define ICMP_QUOTE_EXTENSIONS 4 /* IPv6 extension headers that are looked through */

static __always_inline bool icmp_is_error(const struct pkt *p, __u8 type)
{
	if (p->family == 4)
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
	return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMPROB;
}

/* The error goes to the sender of what it quotes: any other is forged, or of no concern to a service. */
static __always_inline int icmp_quoted_ipv4(struct xdp_md *ctx, struct pkt *p, __u8 *proto)
{
	struct iphdr *ip = pkt_at(ctx, p->inner_l3, struct iphdr);

	if (!ip || ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(IP_OFFSET) ||
	    ip->saddr != p->tuple.service.word[3])
		return XDP_PASS;
	addr_from_v4(&p->tuple.client, ip->daddr);
	*proto = ip->protocol;
	p->inner_l4 = p->inner_l3 + ip->ihl * 4;
	return 0;
}

/* Past one extension header of the quoted packet. False: it is none, or ends where nothing is read any more. */
static __always_inline bool icmp_quoted_extension(struct xdp_md *ctx, struct pkt *p, __u8 *proto)
{
	struct frag_hdr *fragment;
	struct ipv6_opt_hdr *ext;

	if (*proto == IPPROTO_FRAGMENT) {
		fragment = pkt_at(ctx, p->inner_l4, struct frag_hdr);
		if (!fragment || fragment->frag_off & bpf_htons(IP6_OFFSET))
			return false; /* not the first: there are no ports */
		*proto = fragment->nexthdr;
		p->inner_l4 += sizeof(*fragment);
	} else if (*proto == IPPROTO_HOPOPTS || *proto == IPPROTO_DSTOPTS || *proto == IPPROTO_ROUTING) {
		ext = pkt_at(ctx, p->inner_l4, struct ipv6_opt_hdr);
		if (!ext)
			return false;
		*proto = ext->nexthdr;
		p->inner_l4 += (ext->hdrlen + 1) * 8;
	} else {
		return false;
	}
	return p->inner_l4 <= PKT_OFFSET_MASK - sizeof(struct tcphdr);
}

static __always_inline int icmp_quoted_ipv6(struct xdp_md *ctx, struct pkt *p, __u8 *proto)
{
	struct ipv6hdr *ip = pkt_at(ctx, p->inner_l3, struct ipv6hdr);
	struct canary_addr source;

	if (!ip || ip->version != 6)
		return XDP_PASS;
	addr_from_v6(&source, &ip->saddr);
	if (!addr_same(&source, &p->tuple.service))
		return XDP_PASS;
	addr_from_v6(&p->tuple.client, &ip->daddr);
	*proto = ip->nexthdr;
	p->inner_l4 = p->inner_l3 + sizeof(*ip);
#pragma unroll
	for (int i = 0; i < ICMP_QUOTE_EXTENSIONS; i++)
		if (!icmp_quoted_extension(ctx, p, proto))
			break;
	/* Beyond that, pkt_at() would read elsewhere. */
	return p->inner_l4 > PKT_OFFSET_MASK - sizeof(struct tcphdr) ? XDP_PASS : 0;
}

/* 0: p->tuple is the quoted packet's, PKT_ICMP_ERROR is set. XDP_PASS: not an error about TCP or UDP. */
static __always_inline int icmp_quoted(struct xdp_md *ctx, struct pkt *p)
{
	struct icmphdr *icmp = pkt_at(ctx, p->l4, struct icmphdr);
	struct ports *ports;
	__u8 proto = 0;

	if (p->l4_proto != (p->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return XDP_PASS;
	if (!icmp || p->flags & (PKT_BROKEN | PKT_TOO_DEEP | PKT_FRAGMENT) || !icmp_is_error(p, icmp->type))
		return XDP_PASS;
	p->inner_l3 = p->l4 + sizeof(*icmp);
	if (p->inner_l3 > PKT_OFFSET_MASK - ICMP_QUOTE_ROOM)
		return XDP_PASS;
	if (p->family == 4 ? icmp_quoted_ipv4(ctx, p, &proto) : icmp_quoted_ipv6(ctx, p, &proto))
		return XDP_PASS;
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return XDP_PASS;
	ports = pkt_at(ctx, p->inner_l4, struct ports);
	if (!ports || p->inner_l4 + sizeof(*ports) > p->l3 + p->ip_len)
		return XDP_PASS;
	p->tuple.client_port = ports->dest;
	p->tuple.port = ports->source;
	p->tuple.proto = proto;
	p->flags |= PKT_ICMP_ERROR;
	return 0;
}

#endif
