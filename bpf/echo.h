/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Echo requests to a service's address (RFC 792, RFC 4443): answered here, as the address need not be the host's own. The
 * answer is the request turned round: as long, with its tags, identification and flags, out of the interface that it came in
 * at. It is no larger than what was asked, so there is no limit on how many: whoever could misuse us gains nothing by it.
 *
 * Requests in fragments, or with IP options or extension headers (a route to be recorded, or reversed), are the stack's.
 */
#ifndef BPF_ECHO_H
#define BPF_ECHO_H

/* Type and code, as one word. */
#define ECHO_REQUEST 0x0800
#define ECHO_REPLY 0x0000
#define ECHO6_REQUEST 0x8000
#define ECHO6_REPLY 0x8100

static __always_inline bool echo_requested(struct xdp_md *ctx, const struct pkt *p)
{
	__be16 *type = pkt_at(ctx, p->l4, __be16);

	if (!type || p->flags & (PKT_BROKEN | PKT_TOO_DEEP | PKT_FRAGMENT))
		return false;
	if (p->family == 4)
		return p->l4_proto == IPPROTO_ICMP && *type == bpf_htons(ECHO_REQUEST);
	return p->l4_proto == IPPROTO_ICMPV6 && *type == bpf_htons(ECHO6_REQUEST);
}

static __always_inline bool echo_turn_ipv4(struct xdp_md *ctx, const struct pkt *p)
{
	struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);
	__u64 diff = 0;

	if (!ip)
		return false;
	ip->saddr = p->tuple.service.word[3];
	ip->daddr = p->tuple.client.word[3];
	csum_diff16(&diff, bpf_htons(ip->ttl << 8), bpf_htons(ANSWER_HOP_LIMIT << 8));
	ip->ttl = ANSWER_HOP_LIMIT;
	ip->check = csum_apply(ip->check, diff);
	return true;
}

static __always_inline bool echo_turn_ipv6(struct xdp_md *ctx, const struct pkt *p)
{
	struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);

	if (!ip)
		return false;
	__builtin_memcpy(&ip->saddr, &p->tuple.service, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &p->tuple.client, sizeof(ip->daddr));
	ip->hop_limit = ANSWER_HOP_LIMIT;
	return true;
}

/* XDP_TX: the frame is the answer now. XDP_PASS: it is as it was. */
GLOBAL int echo_answer(struct xdp_md *ctx)
{
	struct pkt *p = pkt_current();
	__u16 before, after;
	struct ethhdr *eth;
	struct icmphdr *icmp;
	__u64 diff = 0;
	__u32 header;

	if (!p)
		return XDP_PASS;
	header = p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	if (p->l4 != p->l3 + header || p->ip_len < header + sizeof(*icmp) || !answer_reaches(&p->tuple.client) ||
	    !service_has_address(&p->tuple))
		return XDP_PASS;
	if (p->family == 4 ? !echo_turn_ipv4(ctx, p) : !echo_turn_ipv6(ctx, p))
		return DROP(FAULT);
	eth = pkt_at(ctx, 0, struct ethhdr);
	icmp = pkt_at(ctx, p->l4, struct icmphdr);
	if (!eth || !icmp)
		return DROP(FAULT);
	answer_turn_link(eth);
	/* Addresses that change places are the same to a checksum. */
	before = bpf_htons(p->family == 4 ? ECHO_REQUEST : ECHO6_REQUEST);
	after = bpf_htons(p->family == 4 ? ECHO_REPLY : ECHO6_REPLY);
	*(__u16 *)icmp = after;
	csum_diff16(&diff, before, after);
	icmp->checksum = csum_apply(icmp->checksum, diff);
	/* Of nothing but zeros the sum is 0, which no update can tell from 0xffff; to all other packets the two are the same. */
	if (!icmp->checksum)
		icmp->checksum = 0xffff;
	p->flags |= PKT_ANSWER;
	return XDP_TX;
}

#endif
