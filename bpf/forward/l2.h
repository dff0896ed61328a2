/* SPDX-License-Identifier: GPL-2.0 */
/* l2: the packet as it is, to the backend's link-layer address; the backend answers the client directly. */
#ifndef BPF_FORWARD_L2_H
#define BPF_FORWARD_L2_H

static __always_inline int forward_l2(struct xdp_md *ctx, const struct pkt *p, const struct canary_next_hop *hop)
{
	int verdict;

	/* A router on the way would send the service's address back to us. */
	if (!hop->direct)
		return DROP(NO_ROUTE);
	verdict = frame_age(ctx, p);
	return verdict ? verdict : frame_rewrite_in_place(ctx, p, hop);
}

#endif
