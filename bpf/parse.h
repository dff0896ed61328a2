/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the frame to the tuple. Nothing is dropped here: what does not fit together is marked, and dropped once it is
 * known to be for a service. What this program does not understand goes up the stack.
 */
#ifndef BPF_PARSE_H
#define BPF_PARSE_H

#define PARSE_EXT_HEADERS 6 /* IPv6 extension headers that are looked through */

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(__u32 *)a == *(__u32 *)b && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	*(__u32 *)to = *(const __u32 *)from;
	*(__u16 *)(to + 4) = *(const __u16 *)(from + 4);
}

/* Ethernet and up to two VLAN tags. A frame that is not for our own address is somebody else's. */
static __always_inline int parse_link(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface,
				      __be16 *ethertype)
{
	struct ethhdr *eth = pkt_at(ctx, 0, struct ethhdr);

	if (!eth || !mac_equal(eth->h_dest, interface->mac))
		return XDP_PASS;
	*ethertype = *(__be16 *)((struct macs *)eth + 1);
	mac_copy(p->smac, eth->h_source);
	if (mac_equal(p->smac, interface->mac))
		p->flags |= PKT_OWN;
	p->l3 = sizeof(*eth);

#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct vlan_hdr *vlan;

		if (*ethertype != bpf_htons(ETH_P_8021Q) && *ethertype != bpf_htons(ETH_P_8021AD))
			break;
		vlan = pkt_at(ctx, p->l3, struct vlan_hdr);
		if (!vlan)
			return XDP_PASS;
		p->tag[i].tpid = *ethertype;
		p->tag[i].tci = vlan->h_vlan_TCI;
		p->tag_count = i + 1;
		*ethertype = vlan->h_vlan_encapsulated_proto;
		p->l3 += sizeof(*vlan);
	}
	return 0;
}

/*
 * A part of a packet, `offset` bytes from its beginning (in 16 bits). One that would lie over the header in the first part is
 * made to get past filters (RFC 1858, RFC 3128).
 */
static __always_inline void parse_fragment(struct pkt *p, __u16 offset, __u32 id)
{
	p->fragment_id = id;
	if (!offset) {
		p->flags |= PKT_FRAGMENT;
		return;
	}
	p->flags |= PKT_LATER | PKT_NO_PORTS;
	if (p->l4_proto == IPPROTO_TCP && offset < sizeof(struct tcphdr))
		p->flags |= PKT_BROKEN;
}

static __always_inline int parse_ipv4(struct xdp_md *ctx, struct pkt *p)
{
	struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);
	__u32 header_len;

	if (!ip || ip->version != 4)
		return XDP_PASS;
	header_len = ip->ihl * 4;
	addr_from_v4(&p->tuple.client, ip->saddr);
	addr_from_v4(&p->tuple.service, ip->daddr);
	p->family = 4;
	p->l4_proto = ip->protocol;
	p->hop_limit = ip->ttl;
	p->ip_len = bpf_ntohs(ip->tot_len);
	p->l4 = p->l3 + header_len;
	if (header_len < sizeof(*ip))
		p->flags |= PKT_BROKEN | PKT_NO_PORTS;
	else if (p->ip_len < header_len || !pkt_reaches(ctx, p->l3 + p->ip_len))
		p->flags |= PKT_BROKEN;
	if (ip->frag_off & bpf_htons(IP_OFFSET | IP_MF))
		parse_fragment(p, bpf_ntohs(ip->frag_off) * 8, ip->id);
	return 0;
}

/* Walks one extension header: 1 go on, 0 this is the transport's, XDP_PASS. */
#define PARSE_EXT_NEXT (-1)
static __always_inline int parse_ipv6_extension(struct xdp_md *ctx, struct pkt *p)
{
	struct ipv6_opt_hdr *ext;

	switch (p->l4_proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
	case IPPROTO_ROUTING:
		ext = pkt_at(ctx, p->l4, struct ipv6_opt_hdr);
		if (!ext)
			break;
		if (p->l4_proto == IPPROTO_ROUTING) {
			struct ipv6_rt_hdr *routing = pkt_at(ctx, p->l4, struct ipv6_rt_hdr);

			/* Not at its destination yet: the address is a way point, no service of ours. */
			if (!routing || routing->segments_left)
				return XDP_PASS;
		}
		p->l4_proto = ext->nexthdr;
		p->l4 += (ext->hdrlen + 1) * 8;
		return PARSE_EXT_NEXT;
	case IPPROTO_FRAGMENT: {
		struct frag_hdr *fragment = pkt_at(ctx, p->l4, struct frag_hdr);

		if (!fragment)
			break;
		p->l4_proto = fragment->nexthdr;
		p->l4 += sizeof(*fragment);
		if (fragment->frag_off & bpf_htons(IP6_OFFSET | IP6_MF))
			parse_fragment(p, bpf_ntohs(fragment->frag_off) & IP6_OFFSET, fragment->identification);
		return p->flags & PKT_LATER ? 0 : PARSE_EXT_NEXT;
	}
	default:
		return 0;
	}
	p->flags |= PKT_BROKEN | PKT_NO_PORTS;
	return 0;
}

static __always_inline int parse_ipv6(struct xdp_md *ctx, struct pkt *p)
{
	struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);
	int next = 0;

	if (!ip || ip->version != 6)
		return XDP_PASS;
	addr_from_v6(&p->tuple.client, &ip->saddr);
	addr_from_v6(&p->tuple.service, &ip->daddr);
	/* In here those stand for IPv4's: on the wire they have no business (RFC 4291, 2.5.5.2), and the stack knows. */
	if (addr_v4(&p->tuple.client) || addr_v4(&p->tuple.service))
		return XDP_PASS;
	p->family = 6;
	p->l4_proto = ip->nexthdr;
	p->hop_limit = ip->hop_limit;
	p->ip_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	p->l4 = p->l3 + sizeof(*ip);
	if (!pkt_reaches(ctx, p->l3 + p->ip_len))
		p->flags |= PKT_BROKEN;

#pragma unroll
	for (int i = 0; i <= PARSE_EXT_HEADERS; i++) {
		/* The headers must end where the mask still reaches, with room for the transport's. */
		if (p->l4 > PKT_OFFSET_MASK - sizeof(struct tcphdr)) {
			p->flags |= PKT_TOO_DEEP | PKT_NO_PORTS;
			return 0;
		}
		next = parse_ipv6_extension(ctx, p);
		if (next == PARSE_EXT_NEXT)
			continue;
		/* What lies behind the packet's end, in the frame's padding, is nothing of it. */
		if (p->l4 > p->l3 + p->ip_len)
			p->flags |= PKT_BROKEN | PKT_NO_PORTS;
		return next;
	}
	p->flags |= PKT_TOO_DEEP | PKT_NO_PORTS;
	return 0;
}

/*
 * The combinations that a TCP may send, of SYN, RST, FIN, ACK (URG only with SYN, ACK or FIN+ACK; PSH and the ECN bits
 * say nothing): all else is a scan or a bug (RFC 9293, 3.10; the same set as the kernel's connection tracking allows).
 */
static __always_inline bool tcp_flags_valid(__u8 flags)
{
	flags &= TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG;
	switch (flags) {
	case TCP_SYN:
	case TCP_SYN | TCP_URG:
	case TCP_SYN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
	case TCP_FIN | TCP_ACK:
	case TCP_FIN | TCP_ACK | TCP_URG:
	case TCP_ACK:
	case TCP_ACK | TCP_URG:
		return true;
	default:
		return false;
	}
}

static __always_inline void parse_tcp(struct pkt *p, const struct tcphdr *tcp, __u32 l4_len)
{
	__u32 header_len = ((const __u8 *)tcp)[12] >> 4 << 2;

	if (header_len < sizeof(*tcp) || l4_len < header_len) {
		p->flags |= PKT_BROKEN;
		return;
	}
	p->tcp_flags = ((const __u8 *)tcp)[13];
	p->tcp_seq = bpf_ntohl(tcp->seq);
	p->tcp_ack = bpf_ntohl(tcp->ack_seq);
	if (l4_len > header_len)
		p->flags |= PKT_DATA;
	if (!tcp_flags_valid(p->tcp_flags))
		p->flags |= PKT_BROKEN;
}

static __always_inline void parse_udp(struct pkt *p, const struct udphdr *udp, __u32 l4_len)
{
	/* A first fragment's UDP length speaks of the whole datagram. */
	if (l4_len < sizeof(*udp) || bpf_ntohs(udp->len) < sizeof(*udp) ||
	    (bpf_ntohs(udp->len) > l4_len && !(p->flags & PKT_FRAGMENT)))
		p->flags |= PKT_BROKEN;
}

static __always_inline void parse_ports(struct pkt *p, const struct ports *ports)
{
	p->tuple.client_port = ports->source;
	p->tuple.port = ports->dest;
}

/* Ports, flags, sequence number. `p->tuple.proto` stays 0 for what is neither TCP nor UDP. */
static __always_inline void parse_transport(struct xdp_md *ctx, struct pkt *p)
{
	__u32 l4_len = p->ip_len - (p->l4 - p->l3);
	const struct ports *ports;
	const struct tcphdr *tcp;
	const struct udphdr *udp;

	p->tuple.proto = p->l4_proto;
	if (p->flags & PKT_NO_PORTS)
		return;
	if (p->l3 + p->ip_len < p->l4 + sizeof(*ports)) {
		p->flags |= PKT_BROKEN | PKT_NO_PORTS;
		return;
	}
	tcp = p->l4_proto == IPPROTO_TCP ? pkt_at(ctx, p->l4, struct tcphdr) : NULL;
	if (tcp) {
		parse_ports(p, (const struct ports *)tcp);
		parse_tcp(p, tcp, l4_len);
		return;
	}
	udp = p->l4_proto == IPPROTO_UDP ? pkt_at(ctx, p->l4, struct udphdr) : NULL;
	if (udp) {
		parse_ports(p, (const struct ports *)udp);
		parse_udp(p, udp, l4_len);
		return;
	}
	/* Cut off in the midst of its header: whose it is may be told yet. */
	ports = pkt_at(ctx, p->l4, struct ports);
	p->flags |= ports ? PKT_BROKEN : PKT_BROKEN | PKT_NO_PORTS;
	if (ports)
		parse_ports(p, ports);
}

/* From p->l3 on. XDP_PASS: not for us to understand. 0: the tuple is filled in, or p->flags says what is wrong with the packet. */
static __always_inline int parse_ip(struct xdp_md *ctx, struct pkt *p, __be16 ethertype)
{
	int verdict;

	if (ethertype == bpf_htons(ETH_P_IP))
		verdict = parse_ipv4(ctx, p);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		verdict = parse_ipv6(ctx, p);
	else
		verdict = XDP_PASS;
	if (verdict)
		return verdict;
	p->tuple.client_port = p->tuple.port = 0;
	*(__u32 *)&p->tuple.proto = 0;
	if (p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP)
		parse_transport(ctx, p);
	return 0;
}

/* The same of a whole frame. */
static __always_inline int parse(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	__be16 ethertype = 0;
	int verdict = parse_link(ctx, p, interface, &ethertype);

	return verdict ? verdict : parse_ip(ctx, p, ethertype);
}

#endif
