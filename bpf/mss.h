/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TCP's maximum segment size (RFC 9293, 3.7.1), lowered in SYNs that pass by, never raised: so that what the other side sends
 * fits, with no error to tell it. A SYN's option says what its *sender* takes: in a client's it is the backend's segments that
 * get smaller, in a backend's SYN+ACK (nat) the client's.
 */
#ifndef BPF_MSS_H
#define BPF_MSS_H

#define MSS_OPTION_END 0
#define MSS_OPTION_PAD 1
#define MSS_OPTION 2
#define MSS_OPTION_LEN 4
#define MSS_OPTIONS_MAX 40 /* bytes, so options */

/* The walk through a header's options. */
struct mss_walk {
	struct xdp_md *ctx;
	__u32 offset; /* of the next option, in the frame */
	__u32 end; /* of the header */
	__u32 found; /* where the segment size stands; 0: nowhere yet */
};

static long mss_step(__u32 i, struct mss_walk *walk)
{
	__u8 *kind, *len;

	if (walk->offset >= walk->end)
		return 1;
	kind = pkt_at(walk->ctx, walk->offset, __u8);
	if (!kind || *kind == MSS_OPTION_END)
		return 1;
	if (*kind == MSS_OPTION_PAD) {
		walk->offset++;
		return 0;
	}
	len = pkt_at(walk->ctx, walk->offset + 1, __u8);
	if (!len || *len < 2 || walk->offset + *len > walk->end)
		return 1; /* not made by a TCP: left as it is */
	kind = pkt_at(walk->ctx, walk->offset, __u8);
	if (kind && *kind == MSS_OPTION && *len == MSS_OPTION_LEN) {
		walk->found = walk->offset + 2;
		return 1;
	}
	walk->offset += *len;
	return 0;
}

/*
 * The MTU of the way back to the packet's sender, or `mtu` where that is less: what a SYN says is of the packets that go that
 * way. Only nat sees both ways.
 */
GLOBAL int mss_both_ways(struct xdp_md *ctx, __u32 mtu)
{
	struct pkt *p = pkt_current();
	struct canary_next_hop back = {};

	if (!p || route_lookup(ctx, p, &p->tuple.service, &p->tuple.client, &back))
		return mtu;
	return back.mtu && back.mtu < mtu ? back.mtu : mtu;
}

/* What the ways have room for, or what the service asks for. 0: no bound is known. */
static __always_inline __u32 mss_wanted(struct xdp_md *ctx, const struct pkt *p, const struct canary_config *config,
					__u32 mtu)
{
	__u32 headers = (p->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) + sizeof(struct tcphdr);

	if (config->mss != CANARY_MSS_AUTO)
		return config->mss;
	if (mtu && config->forward == CANARY_FORWARD_NAT)
		mtu = mss_both_ways(ctx, mtu);
	return mtu > headers + CANARY_MSS_MIN ? mtu - headers : 0;
}

/* A SYN whose segment size may be at most `most`. 0, or a reason to drop it. */
GLOBAL int mss_lower(struct xdp_md *ctx, __u32 most)
{
	struct pkt *p = pkt_current();
	struct mss_walk walk = {};
	struct tcphdr *tcp;
	__u16 *check;
	__u64 diff = 0;
	__u32 had;
	__u8 *mss;

	if (!p)
		return DROP(FAULT);
	tcp = pkt_at(ctx, p->l4, struct tcphdr);
	if (!tcp)
		return DROP(FAULT);
	walk.ctx = ctx;
	walk.offset = p->l4 + sizeof(*tcp);
	walk.end = p->l4 + tcp->doff * 4;
	if (walk.end > PKT_OFFSET_MASK)
		return 0; /* behind more extension headers than anybody sends: pkt_at() does not reach there */
	bpf_loop(MSS_OPTIONS_MAX, mss_step, &walk, 0);
	mss = pkt_pull(ctx, walk.found, sizeof(__u16));
	check = pkt_at(ctx, csum_offset(p->l4, IPPROTO_TCP), __u16);
	if (!walk.found || !mss || !check)
		return 0;
	had = mss[0] << 8 | mss[1];
	if (had <= most)
		return 0;
	/* Options need not be aligned: to the sum, a number at an odd place has its bytes the other way round. */
	if ((walk.found - p->l4) % 2)
		csum_diff16(&diff, bpf_htons(mss[1] << 8 | mss[0]), bpf_htons((most & 0xff) << 8 | most >> 8));
	else
		csum_diff16(&diff, bpf_htons(had), bpf_htons(most));
	mss[0] = most >> 8;
	mss[1] = most;
	*check = csum_apply(*check, diff);
	count_cohort(p->service, p->cohort, CANARY_COHORT_MSS_LOWERED, 1);
	return 0;
}

/* Of a SYN. `mtu`: of the way on, less what a tunnel takes of it. 0, or a reason to drop the packet. */
static __always_inline int mss_adjust(struct xdp_md *ctx, const struct pkt *p, const struct canary_config *config,
				      __u32 mtu)
{
	__u32 most;

	if (!config->mss)
		return 0;
	most = mss_wanted(ctx, p, config, mtu);
	return most ? mss_lower(ctx, most) : 0;
}

#endif
