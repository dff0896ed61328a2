/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nat: the destination becomes the backend's address and port; on the way back the source becomes the service's again.
 * An ICMP error is translated inside as well: it quotes a packet that was translated the other way.
 */
#ifndef BPF_FORWARD_NAT_H
#define BPF_FORWARD_NAT_H

/* One translation: on one side of the packet, from -> to. The quoted packet of an ICMP error has it on the other side. */
struct nat {
	const struct canary_addr *from;
	const struct canary_addr *to;
	__u16 from_port;
	__u16 to_port;
	bool source; /* of the packet itself: source (way back) or destination */
};

/* Replaces an address at an offset of the frame and adds what that does to a checksum. */
static __always_inline bool nat_address(struct xdp_md *ctx, const struct pkt *p, const struct nat *nat, __u32 l3,
					bool source, __u64 *diff)
{
	if (p->family == 4) {
		struct iphdr *ip = pkt_at(ctx, l3, struct iphdr);
		__u64 header = 0;

		if (!ip)
			return false;
		if (source)
			ip->saddr = nat->to->word[3];
		else
			ip->daddr = nat->to->word[3];
		csum_diff_addr(&header, nat->from, nat->to);
		ip->check = csum_apply(ip->check, header);
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, l3, struct ipv6hdr);

		if (!ip)
			return false;
		if (source)
			__builtin_memcpy(&ip->saddr, nat->to, sizeof(ip->saddr));
		else
			__builtin_memcpy(&ip->daddr, nat->to, sizeof(ip->daddr));
	}
	csum_diff_addr(diff, nat->from, nat->to);
	return true;
}

static __always_inline bool nat_port(struct xdp_md *ctx, const struct nat *nat, __u32 l4, bool source, __u64 *diff)
{
	struct ports *ports = pkt_at(ctx, l4, struct ports);

	if (!ports)
		return false;
	if (source)
		ports->source = nat->to_port;
	else
		ports->dest = nat->to_port;
	csum_diff16(diff, nat->from_port, nat->to_port);
	return true;
}

/* Updates a transport checksum. A UDP checksum of 0 means none (IPv4), and must not come about (RFC 768). */
static __always_inline void nat_check(__u16 *check, __u8 proto, __u64 diff)
{
	if (proto == IPPROTO_UDP && !*check)
		return;
	*check = csum_apply(*check, diff);
	if (proto == IPPROTO_UDP && !*check)
		*check = 0xffff;
}

static __always_inline int nat_packet(struct xdp_md *ctx, const struct pkt *p, const struct nat *nat)
{
	__u64 diff = 0;
	__u16 *check;

	if (!nat_address(ctx, p, nat, p->l3, nat->source, &diff))
		return DROP(FAULT);
	if (p->flags & PKT_LATER)
		return 0; /* ports and checksum are in the first fragment */
	if (!nat_port(ctx, nat, p->l4, nat->source, &diff))
		return DROP(FAULT);
	check = pkt_at(ctx, csum_offset(p->l4, p->l4_proto), __u16);
	if (!check)
		return DROP(FAULT);
	nat_check(check, p->l4_proto, diff);
	return 0;
}

/*
 * The outer header is only ours to translate where it is the backend's (or towards it): a router that reports an error
 * keeps its own address. The ICMP checksum covers all that changes in the quoted packet, checksums included; ICMPv6's
 * the outer addresses as well.
 */
static __always_inline int nat_icmp_error(struct xdp_md *ctx, const struct pkt *p, const struct nat *nat, bool outer)
{
	__u64 inner = 0, outside = 0, icmp_diff = 0;
	__u16 *check, *header_check;
	struct iphdr *ip;
	__u16 old = 0;

	if (p->family == 4) {
		ip = pkt_at(ctx, p->inner_l3, struct iphdr);
		if (!ip)
			return DROP(FAULT);
		old = ip->check;
	}
	if (!nat_address(ctx, p, nat, p->inner_l3, !nat->source, &inner) ||
	    !nat_port(ctx, nat, p->inner_l4, !nat->source, &inner))
		return DROP(FAULT);
	icmp_diff = inner;
	if (p->family == 4) {
		header_check = pkt_at(ctx, p->inner_l3 + offsetof(struct iphdr, check), __u16);
		if (!header_check)
			return DROP(FAULT);
		csum_diff16(&icmp_diff, old, *header_check);
	}
	/* Eight bytes of the quoted transport header are sure to be there: UDP's checksum is among them, TCP's is not. */
	check = pkt_at(ctx, csum_offset(p->inner_l4, p->tuple.proto), __u16);
	if (check && csum_offset(p->inner_l4, p->tuple.proto) + sizeof(*check) <= p->l3 + p->ip_len) {
		old = *check;
		nat_check(check, p->tuple.proto, inner);
		csum_diff16(&icmp_diff, old, *check);
	}
	if (outer && !nat_address(ctx, p, nat, p->l3, nat->source, &outside))
		return DROP(FAULT);
	if (p->family == 6)
		icmp_diff += outside;
	check = pkt_at(ctx, p->l4 + offsetof(struct icmphdr, checksum), __u16);
	if (!check)
		return DROP(FAULT);
	*check = csum_apply(*check, icmp_diff);
	return 0;
}

/* To the backend: the destination was the service's. */
static __always_inline struct nat nat_there(const struct pkt *p, const struct canary_backend *backend)
{
	return (struct nat){.from = &p->tuple.service,
			    .to = &backend->addr,
			    .from_port = p->tuple.port,
			    .to_port = backend->port ? backend->port : p->tuple.port};
}

GLOBAL int nat_error_to_backend(struct xdp_md *ctx, const struct pkt *p, const struct canary_backend *backend)
{
	struct nat nat;

	if (!p || !backend)
		return DROP(FAULT);
	nat = nat_there(p, backend);
	return nat_icmp_error(ctx, p, &nat, true);
}

static __always_inline int nat_to_backend(struct xdp_md *ctx, const struct pkt *p, const struct canary_backend *backend)
{
	struct nat nat = nat_there(p, backend);

	if (p->flags & PKT_ICMP_ERROR)
		return nat_error_to_backend(ctx, p, backend);
	return nat_packet(ctx, p, &nat);
}

/* From the backend: the source was its address, and becomes the service's. `outer`: of an ICMP error, too. */
GLOBAL int nat_from_backend(struct xdp_md *ctx, const struct pkt *p, const struct canary_addr *service, __u16 port,
			    bool outer)
{
	struct nat nat = {.to = service, .to_port = port, .source = true};

	if (!p || !service)
		return DROP(FAULT);
	nat.from = &p->tuple.client;
	nat.from_port = p->tuple.client_port;
	if (p->flags & PKT_ICMP_ERROR)
		return nat_icmp_error(ctx, p, &nat, outer);
	return nat_packet(ctx, p, &nat);
}

#endif
