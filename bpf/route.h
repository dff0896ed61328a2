/* SPDX-License-Identifier: GPL-2.0 */
/* The next hop, from the kernel's own routes and neighbours. */
#ifndef BPF_ROUTE_H
#define BPF_ROUTE_H

#define ROUTE_AF_INET 2
#define ROUTE_AF_INET6 10

/* How long a change of route or neighbour may go unnoticed: about a second. User space knows how many jiffies that is. */
const volatile __u64 route_jiffies = 250;

static __always_inline int route_verdict(long result)
{
	switch (result) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		return 0;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return DROP(NO_NEIGHBOUR);
	default:
		return DROP(NO_ROUTE);
	}
}

/* Asks the kernel. 0 with *hop filled in, or a reason to drop. */
GLOBAL int route_lookup(struct xdp_md *ctx, const struct pkt *p, const struct canary_addr *source,
			const struct canary_addr *to, struct canary_next_hop *hop)
{
	struct bpf_fib_lookup fib = {.ifindex = ctx->ingress_ifindex};
	struct canary_egress *vlan;
	int verdict;
	__u32 ifindex;

	if (!p || !source || !to || !hop)
		return DROP(FAULT);
	fib.l4_protocol = p->l4_proto;
	if (addr_v4(to)) {
		fib.family = ROUTE_AF_INET;
		fib.ipv4_src = addr_v4(source) ? source->word[3] : 0;
		fib.ipv4_dst = to->word[3];
	} else {
		fib.family = ROUTE_AF_INET6;
		__builtin_memcpy(fib.ipv6_src, source, sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, to, sizeof(fib.ipv6_dst));
	}
	verdict = route_verdict(bpf_fib_lookup(ctx, &fib, sizeof(fib), 0));
	if (verdict)
		return verdict;

	/* The kernel replaces the destination by the router's address, where there is one. */
	if (fib.family == ROUTE_AF_INET)
		hop->direct = fib.ipv4_dst == to->word[3];
	else
		hop->direct = addr_same((struct canary_addr *)fib.ipv6_dst, to);
	__builtin_memcpy(hop->dmac, fib.dmac, sizeof(hop->dmac));
	__builtin_memcpy(hop->smac, fib.smac, sizeof(hop->smac));
	hop->mtu = fib.mtu_result;
	hop->ifindex = fib.ifindex;
	hop->tag_count = 0;
	ifindex = fib.ifindex;
	vlan = bpf_map_lookup_elem(&egress, &ifindex);
	if (vlan) {
		hop->ifindex = vlan->ifindex;
		hop->tag_count = vlan->tag_count;
		hop->tag[0] = vlan->tag[0];
		hop->tag[1] = vlan->tag[1];
	}
	return 0;
}

/* The next hop to a backend, looked up at most once a second and CPU. */
static __always_inline int route_to_backend(struct xdp_md *ctx, const struct pkt *p, const struct canary_addr *source,
					    const struct canary_backend *backend, struct canary_next_hop **ret)
{
	struct canary_next_hop *hop = bpf_map_lookup_elem(&next_hops, &p->backend);
	__u64 now;
	int verdict;

	if (!hop)
		return DROP(FAULT);
	*ret = hop;
	now = bpf_jiffies64();
	/* Not just `until` > `now`: what is no time of this boot's jiffies must not last for ever. */
	if (hop->until - now <= route_jiffies && hop->generation == backend->generation)
		return 0;
	verdict = route_lookup(ctx, p, source, &backend->addr, hop);
	hop->generation = backend->generation;
	hop->until = verdict ? 0 : now + route_jiffies;
	return verdict;
}

#endif
