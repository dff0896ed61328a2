/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The answer to a packet of a connection that was moved away from under it (`set-weight --reset`): a RST towards the
 * client, which then opens anew. Its sequence number is the one that the client expects next, so the client believes it
 * (RFC 9293, 3.10.7.4; RFC 5961).
 */
#ifndef BPF_RESET_H
#define BPF_RESET_H

#define RESET_RATE 20000 /* a second */

static __always_inline void reset_tcp(struct tcphdr *tcp, const struct pkt *p, __be32 seq)
{
	__u64 sum = bpf_htons(sizeof(*tcp)) + bpf_htons(IPPROTO_TCP);

	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = p->tuple.port;
	tcp->dest = p->tuple.client_port;
	tcp->seq = seq;
	tcp->doff = sizeof(*tcp) / 4;
	tcp->rst = 1;
	for (int i = 0; i < 4; i++)
		sum += (__u64)p->tuple.client.word[i] + p->tuple.service.word[i];
	if (p->family == 4) /* the two ::ffff: of the mapped addresses are no part of it */
		sum += 2 * (__u64)(__u32)~bpf_htonl(0xffff);
	for (int i = 0; i < (int)sizeof(*tcp) / 4; i++)
		sum += ((__u32 *)tcp)[i];
	tcp->check = ~csum_fold(sum);
}

static __always_inline void reset_ipv4(struct iphdr *ip, const struct pkt *p)
{
	__u64 sum = 0;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct tcphdr));
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = ANSWER_HOP_LIMIT;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = p->tuple.service.word[3];
	ip->daddr = p->tuple.client.word[3];
	for (int i = 0; i < (int)sizeof(*ip) / 4; i++)
		sum += ((__u32 *)ip)[i];
	ip->check = ~csum_fold(sum);
}

static __always_inline void reset_ipv6(struct ipv6hdr *ip, const struct pkt *p)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(sizeof(struct tcphdr));
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = ANSWER_HOP_LIMIT;
	__builtin_memcpy(&ip->saddr, &p->tuple.service, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &p->tuple.client, sizeof(ip->daddr));
}

GLOBAL int reset_answer(struct xdp_md *ctx)
{
	struct pkt *p = pkt_current();
	__u32 header, l4;
	struct tcphdr *tcp;
	struct ethhdr *eth;
	__be32 seq;
	void *ip;

	if (!p)
		return DROP(FAULT);
	tcp = pkt_at(ctx, p->l4, struct tcphdr);
	if (!tcp || (p->tcp_flags & (TCP_ACK | TCP_RST)) != TCP_ACK ||
	    !limit_allows(LIMIT_RESET, RESET_RATE, p->now_ns))
		return DROP(RESET);
	seq = tcp->ack_seq;
	header = p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	l4 = p->l3 + header; /* options and extension headers go */
	if (bpf_xdp_adjust_tail(ctx, (int)(l4 + sizeof(*tcp)) - (int)pkt_size(ctx)))
		return DROP(RESET);
	eth = pkt_at(ctx, 0, struct ethhdr);
	ip = pkt_pull(ctx, p->l3, sizeof(struct iphdr));
	tcp = pkt_at(ctx, l4, struct tcphdr);
	if (!eth || !ip || !tcp)
		return DROP(FAULT);
	answer_turn_link(eth);
	reset_tcp(tcp, p, seq);
	if (p->family == 4) {
		reset_ipv4(ip, p);
	} else {
		struct ipv6hdr *ip6 = pkt_at(ctx, p->l3, struct ipv6hdr);

		if (!ip6)
			return DROP(FAULT);
		reset_ipv6(ip6, p);
	}
	count_cohort(p->service, p->cohort, CANARY_COHORT_RESET, 1);
	p->flags |= PKT_ANSWER;
	return XDP_TX;
}

#endif
