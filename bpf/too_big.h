/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the sender of a packet that does not fit is told: Fragmentation Needed (RFC 792, RFC 1191), Packet Too Big (RFC 4443),
 * with the size that fits. Path-MTU discovery depends on it: the tunnel's header takes from every path.
 *
 * The answer's source is the packet's destination: a service's address towards clients; in nat, towards backends, the client's,
 * as all that a backend gets from us has. An IPv4 packet that may be fragmented is dropped in silence: a router would
 * fragment it, and its sender expects no error (RFC 1812, 4.2.2.7).
 */
#ifndef BPF_TOO_BIG_H
#define BPF_TOO_BIG_H

#define TOO_BIG_RATE 10000 /* a second: a path is learnt once, and then kept for minutes */
#define TOO_BIG_ANSWER4 576 /* no longer, with all headers (RFC 1812, 4.3.2.3) */
#define TOO_BIG_ANSWER6 1280 /* the same: IPv6's least MTU (RFC 4443, 3.2) */
#define TOO_BIG_LEAST4 68 /* what every IPv4 path takes (RFC 791) */
#define TOO_BIG_TOS 0xc0 /* internetwork control (RFC 1812, 4.3.2.5) */
#define TOO_BIG_TYPE4 3
#define TOO_BIG_CODE4 4
#define TOO_BIG_TYPE6 2

/* What the sender is told, or 0: it gets no answer. `mtu`: what would fit. */
static __always_inline __u32 too_big_told(struct xdp_md *ctx, const struct pkt *p, __u32 mtu)
{
	struct iphdr *ip;

	if (p->flags & (PKT_ICMP_ERROR | PKT_LATER) || !answer_reaches(&p->tuple.client))
		return 0;
	if (p->family == 4) {
		ip = pkt_at(ctx, p->l3, struct iphdr);
		return ip && ip->frag_off & bpf_htons(IP_DF) && mtu >= TOO_BIG_LEAST4 ? mtu : 0;
	}
	/* Nobody sends less than that in one piece: to a packet that small there is nothing to say. */
	if (mtu < TOO_BIG_ANSWER6)
		mtu = TOO_BIG_ANSWER6;
	return p->ip_len > mtu ? mtu : 0;
}

static __always_inline int too_big_write_ipv4(struct xdp_md *ctx, const struct pkt *p, __u32 l3, __u32 mtu,
					      __u32 quoted, __u64 sum)
{
	struct iphdr *ip = pkt_at(ctx, l3, struct iphdr);
	struct icmphdr *icmp = pkt_at(ctx, l3 + sizeof(*ip), struct icmphdr);
	__u64 header = 0;

	if (!ip || !icmp)
		return DROP(FAULT);
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = TOO_BIG_TOS;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + quoted);
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = ANSWER_HOP_LIMIT;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = p->tuple.service.word[3];
	ip->daddr = p->tuple.client.word[3];
	for (int i = 0; i < (int)sizeof(*ip) / 4; i++)
		header += ((__u32 *)ip)[i];
	ip->check = ~csum_fold(header);
	icmp->type = TOO_BIG_TYPE4;
	icmp->code = TOO_BIG_CODE4;
	icmp->checksum = 0;
	((__be32 *)icmp)[1] = bpf_htonl(mtu);
	icmp->checksum = ~csum_fold(sum + ((__u32 *)icmp)[0] + ((__u32 *)icmp)[1]);
	return 0;
}

static __always_inline int too_big_write_ipv6(struct xdp_md *ctx, const struct pkt *p, __u32 l3, __u32 mtu,
					      __u32 quoted, __u64 sum)
{
	struct ipv6hdr *ip = pkt_at(ctx, l3, struct ipv6hdr);
	struct icmphdr *icmp = pkt_at(ctx, l3 + sizeof(*ip), struct icmphdr);

	if (!ip || !icmp)
		return DROP(FAULT);
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(sizeof(*icmp) + quoted);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = ANSWER_HOP_LIMIT;
	__builtin_memcpy(&ip->saddr, &p->tuple.service, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &p->tuple.client, sizeof(ip->daddr));
	sum += (__u64)ip->payload_len + bpf_htons(IPPROTO_ICMPV6);
	for (int i = 0; i < 4; i++)
		sum += (__u64)p->tuple.client.word[i] + p->tuple.service.word[i];
	icmp->type = TOO_BIG_TYPE6;
	icmp->code = 0;
	icmp->checksum = 0;
	((__be32 *)icmp)[1] = bpf_htonl(mtu);
	icmp->checksum = ~csum_fold(sum + ((__u32 *)icmp)[0] + ((__u32 *)icmp)[1]);
	return 0;
}

/* The frame becomes the answer. 0, or a reason to drop it. */
static __always_inline int too_big_write(struct xdp_md *ctx, const struct pkt *p, __u32 mtu)
{
	struct canary_next_hop back = {.ifindex = ctx->ingress_ifindex};
	__u32 quoted = p->ip_len, room, headers, l3;
	bool v4 = p->family == 4;
	struct ethhdr *eth = pkt_at(ctx, 0, struct ethhdr);
	int verdict, beyond;
	__s64 sum;

	if (!eth)
		return DROP(FAULT);
	__builtin_memcpy(back.dmac, eth->h_source, sizeof(back.dmac));
	__builtin_memcpy(back.smac, eth->h_dest, sizeof(back.smac));
	headers = (v4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + sizeof(struct icmphdr);
	room = (v4 ? TOO_BIG_ANSWER4 : TOO_BIG_ANSWER6) - headers;
	if (quoted > room)
		quoted = room;
	beyond = (int)pkt_size(ctx) - (int)(p->l3 + quoted);
	if (beyond && bpf_xdp_adjust_tail(ctx, -beyond))
		return DROP(TOO_BIG);
	sum = csum_range(ctx, p->l3, quoted);
	if (sum < 0)
		return DROP(TOO_BIG);
	verdict = frame_rewrite(ctx, p, &back, headers, v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6), &l3);
	if (verdict)
		return DROP(TOO_BIG);
	return v4 ? too_big_write_ipv4(ctx, p, l3, mtu, quoted, sum) : too_big_write_ipv6(ctx, p, l3, mtu, quoted, sum);
}

/* A packet of which only `mtu` bytes would fit: XDP_TX (it is the answer now, and counted as dropped), or a reason to drop it. */
GLOBAL int too_big(struct xdp_md *ctx, __u32 mtu)
{
	struct pkt *p = pkt_current();
	struct canary_cohort_counters *counters;
	int verdict;

	if (!p)
		return DROP(FAULT);
	mtu = too_big_told(ctx, p, mtu);
	if (!mtu || !limit_allows(LIMIT_TOO_BIG, TOO_BIG_RATE, pkt_now(p)))
		return DROP(TOO_BIG);
	verdict = too_big_write(ctx, p, mtu);
	if (verdict)
		return verdict;
	counters = cohort_counters_of(p->service, p->cohort);
	if (counters) {
		counters->drops[CANARY_REASON_TOO_BIG - CANARY_FIRST_COHORT_REASON]++;
		counters->count[CANARY_COHORT_TOO_BIG_ANSWERED]++;
	}
	p->flags |= PKT_ANSWER;
	return XDP_TX;
}

#endif
