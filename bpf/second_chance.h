/* SPDX-License-Identifier: GPL-2.0 */
/*
 * decap: a packet in GUE that names another backend, as its balancer does not know which of the two has its connection (see
 * forward/gue.h). It stays here if it opens a connection, or belongs to one that is known here; else that other one gets it
 * (compare "Stateless Datacenter Load-balancing with Beamer", NSDI 2018, and GitHub's GLB Director).
 *
 * Anybody who can reach a backend's tunnel could have packets sent on by it. So they go to addresses of `peers` alone, never to
 * this host itself, once (the list is used up, and its hop limit is less by one), no more and no larger than they came, and
 * with this host's address as the source.
 */
#ifndef BPF_SECOND_CHANCE_H
#define BPF_SECOND_CHANCE_H

/* How far into the frame an inner packet is looked at: what follows its headers must be in reach of pkt_at(), too. */
#define SECOND_CHANCE_REACH 256

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pkt);
} inner_scratches SEC(".maps");

/* Does the header name one more backend, one that packets may be sent to? Private data of any other form is somebody else's. */
static __always_inline bool second_chance_named(struct xdp_md *ctx, const struct pkt *p, const struct inner *inner,
						struct canary_decap_peer *ret)
{
	const bool v4 = p->family == 4;
	struct gue_alternates *list;
	struct in6_addr *v6_addr;
	__be32 *v4_addr;

	if (inner->private_len != gue_alternates_len(v4))
		return false;
	list = pkt_at(ctx, inner->private_at, struct gue_alternates);
	if (!list || list->next != 0 || list->count != 1 ||
	    list->type != (v4 ? bpf_htons(GUE_ALTERNATES_V4) : bpf_htons(GUE_ALTERNATES_V6)))
		return false;
	if (v4) {
		v4_addr = pkt_at(ctx, inner->private_at + sizeof(*list), __be32);
		if (!v4_addr)
			return false;
		addr_from_v4(&ret->addr, *v4_addr);
	} else {
		v6_addr = pkt_at(ctx, inner->private_at + sizeof(*list), struct in6_addr);
		if (!v6_addr)
			return false;
		addr_from_v6(&ret->addr, v6_addr);
		if (addr_v4(&ret->addr))
			return false; /* on the wire those have no business (RFC 4291, 2.5.5.2) */
	}
	ret->prefixlen = 128;
	return p->hop_limit > 1 && bpf_map_lookup_elem(&peers, ret) && !bpf_map_lookup_elem(&locals, &ret->addr);
}

/* Does an ACK complete a handshake of which nothing but a SYN cookie is left? */
static __always_inline bool second_chance_cookie(struct xdp_md *ctx, const struct pkt *q, struct bpf_sock *listener)
{
	struct tcphdr *tcp = pkt_at(ctx, q->l4, struct tcphdr);
	struct ipv6hdr *v6;
	struct iphdr *v4;

	if (!tcp || q->flags & PKT_ICMP_ERROR)
		return false;
	if (q->family == 4) {
		v4 = pkt_at(ctx, q->l3, struct iphdr);
		return v4 && !bpf_tcp_check_syncookie(listener, v4, sizeof(*v4), tcp, sizeof(*tcp));
	}
	v6 = pkt_at(ctx, q->l3, struct ipv6hdr);
	return v6 && !bpf_tcp_check_syncookie(listener, v6, sizeof(*v6), tcp, sizeof(*tcp));
}

/* Is there a socket of the connection itself, in whatever state? A listener, which every backend has, is none. */
static __always_inline bool second_chance_socket(struct xdp_md *ctx, const struct pkt *q)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;
	__u32 size;
	bool here;

	if (q->family == 4) {
		tuple.ipv4.saddr = q->tuple.client.word[3];
		tuple.ipv4.daddr = q->tuple.service.word[3];
		tuple.ipv4.sport = q->tuple.client_port;
		tuple.ipv4.dport = q->tuple.port;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &q->tuple.client, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &q->tuple.service, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = q->tuple.client_port;
		tuple.ipv6.dport = q->tuple.port;
		size = sizeof(tuple.ipv6);
	}
	socket = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return false;
	here = socket->state != BPF_TCP_LISTEN || second_chance_cookie(ctx, q, socket);
	bpf_sk_release(socket);
	return here;
}

/*
 * May the inner packet stay? Only of TCP, and of errors about it, is there anything to tell; fragments, which could not follow
 * one another, and what is not understood stay as well.
 */
GLOBAL int second_chance_look(struct xdp_md *ctx, __u32 at, __u32 family)
{
	__u32 zero = 0;
	struct pkt *q = bpf_map_lookup_elem(&inner_scratches, &zero);

	if (!q || at > SECOND_CHANCE_REACH)
		return true;
	__builtin_memset(&q->flags, 0, offsetof(struct pkt, address_hash) - offsetof(struct pkt, flags));
	q->l3 = at;
	if (parse_ip(ctx, q, frame_type(family)) ||
	    q->flags & (PKT_BROKEN | PKT_TOO_DEEP | PKT_FRAGMENT | PKT_LATER | PKT_NO_PORTS))
		return true;
	if (!q->tuple.proto && icmp_quoted(ctx, q))
		return true;
	if (q->tuple.proto != IPPROTO_TCP)
		return true;
	if ((q->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return true;
	return second_chance_socket(ctx, q);
}

static __always_inline bool second_chance_here(struct xdp_md *ctx, const struct inner *inner)
{
	return second_chance_look(ctx, inner->at, inner->family);
}

/*
 * From here to there, back to where the frame came from: a router, or the balancer itself, which forwards. So the backend
 * need not.
 */
static __always_inline int second_chance_pass_on(struct xdp_md *ctx, const struct pkt *p, const struct inner *inner,
						 const struct canary_addr *to)
{
	struct gue_alternates *list = pkt_at(ctx, inner->private_at, struct gue_alternates);
	struct ethhdr *eth = pkt_at(ctx, 0, struct ethhdr);
	struct udphdr *udp = pkt_at(ctx, p->l4, struct udphdr);
	__u64 diff = 0;
	__u8 mac[6];

	if (!list || !eth || !udp)
		return IS(FAULT);
	mac_copy(mac, eth->h_dest);
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, mac);
	/* Source and destination become destination and `to`: what was the source leaves the sums, and `to` comes in. */
	csum_diff_addr(&diff, &p->tuple.client, to);
	if (p->family == 4) {
		struct iphdr *ip = pkt_at(ctx, p->l3, struct iphdr);

		if (!ip)
			return IS(FAULT);
		ip->saddr = ip->daddr;
		ip->daddr = to->word[3];
		ip->check = csum_apply(ip->check, diff);
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, p->l3, struct ipv6hdr);

		if (!ip)
			return IS(FAULT);
		ip->saddr = ip->daddr;
		__builtin_memcpy(&ip->daddr, to, sizeof(ip->daddr));
	}
	if (frame_age(ctx, p))
		return IS(FAULT);
	if (udp->check) {
		csum_diff16(&diff, bpf_htons(0 << 8 | 1), bpf_htons(1 << 8 | 1));
		udp->check = csum_apply(udp->check, diff);
		if (!udp->check)
			udp->check = 0xffff;
	}
	list->next = 1;
	return IS(PASSED_ON);
}

#endif
