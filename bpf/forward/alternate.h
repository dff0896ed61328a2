/* SPDX-License-Identifier: GPL-2.0 */
/* gue: the backend that a packet names beside its own, which is a guess: see flow.h, and second_chance.h for what comes of it. */
#ifndef BPF_FORWARD_ALTERNATE_H
#define BPF_FORWARD_ALTERNATE_H

/*
 * What naming the packet's alternate adds to the tunnel's header; 0 where it has none, or none that could help: gone, here, the same
 * host, or of another family, of which the first backend has no header to send it on with. Who opens a flow is where it belongs.
 */
static __always_inline __u32 alternate_len(const struct pkt *p, const struct canary_backend *backend)
{
	const struct canary_backend *alternate = backend_at(p->alternate);
	bool v4 = addr_v4(&backend->addr);

	if (!p->alternate || p->flags & PKT_FRAGMENT || p->tcp_flags & TCP_SYN || alternate->service != p->service ||
	    !(alternate->flags & CANARY_BACKEND_LIVE) || backend_is_here(alternate) ||
	    addr_v4(&alternate->addr) != v4 || addr_same(&alternate->addr, &backend->addr))
		return 0;
	return gue_alternates_len(v4);
}

/* Names it, so many bytes into the frame: behind GUE's header. */
GLOBAL int alternate_write(struct xdp_md *ctx, __u32 at)
{
	struct pkt *p = pkt_current();
	const struct canary_backend *backend;
	struct gue_alternates *list;
	struct in6_addr *v6;
	__be32 *v4;

	if (!p)
		return DROP(FAULT);
	backend = backend_at(p->alternate);
	list = pkt_at(ctx, at, struct gue_alternates);
	if (!list)
		return DROP(FAULT);
	list->next = 0;
	list->count = 1;
	if (addr_v4(&backend->addr)) {
		list->type = bpf_htons(GUE_ALTERNATES_V4);
		v4 = pkt_at(ctx, at + sizeof(*list), __be32);
		if (!v4)
			return DROP(FAULT);
		*v4 = backend->addr.word[3];
	} else {
		list->type = bpf_htons(GUE_ALTERNATES_V6);
		v6 = pkt_at(ctx, at + sizeof(*list), struct in6_addr);
		if (!v6)
			return DROP(FAULT);
		__builtin_memcpy(v6, &backend->addr, sizeof(*v6));
	}
	count_cohort(p->service, p->cohort, CANARY_COHORT_SECOND_CHANCE, 1);
	return 0;
}

#endif
