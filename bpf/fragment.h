/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fragments. Only a packet's first one has ports: it is steered as a whole packet is, and what was chosen for it is kept, for
 * the others to follow: all go to one backend, however its flow's choice changes meanwhile, and in nat all are translated
 * (the checksum, which covers the whole packet, is in the first one).
 *
 * A fragment whose packet's first one was not seen is passed up: it may be the host's own. So is one that overtakes the
 * first; its packet is then lost, as any packet may be. Nothing is kept back here to wait for others.
 */
#ifndef BPF_FRAGMENT_H
#define BPF_FRAGMENT_H

/*
 * As Linux waits for a packet's fragments by default (ipfrag_time); RFC 8200, 4.5, would let a receiver wait for 60 s, but a
 * busy sender of IPv4 comes back to a packet's number before that.
 */
#define FRAGMENT_LIFE_S 30

/* The key of the current packet, where the program's own scratch has room for it. */
static __always_inline void fragment_key(struct pkt *p)
{
	__builtin_memset(&p->fragment_key, 0, sizeof(p->fragment_key));
	p->fragment_key.source = p->tuple.client;
	p->fragment_key.destination = p->tuple.service;
	p->fragment_key.id = p->fragment_id;
	/* IPv6 fragments of a packet need not name the same protocol (RFC 8200, 4.5). */
	p->fragment_key.proto = p->family == 4 ? p->l4_proto : 0;
}

/* A first fragment that has its backend, or in nat comes from it. 0, or a reason to drop it: the others could not follow. */
GLOBAL int fragment_remember(void)
{
	struct pkt *p = pkt_current();
	struct canary_backend *backend;

	if (!p)
		return DROP(FAULT);
	backend = backend_at(p->backend);
	if (!backend)
		return DROP(FAULT);
	fragment_key(p);
	__builtin_memset(&p->fragment, 0, sizeof(p->fragment));
	p->fragment.service = p->service;
	p->fragment.backend = p->backend;
	p->fragment.generation = backend->generation;
	p->fragment.client_port = p->tuple.client_port;
	p->fragment.port = p->tuple.port;
	p->fragment.cohort = p->cohort;
	p->fragment.proto = p->tuple.proto;
	p->fragment.from_backend = !!(p->flags & PKT_FROM_BACKEND);
	p->fragment.seen_s = pkt_now(p) / NSEC_PER_SEC;
	return bpf_map_update_elem(&fragments, &p->fragment_key, &p->fragment, BPF_ANY) ? DROP(FRAGMENT) : 0;
}

/* A first fragment that goes up the stack: what had its number before is over, and the others are not ours either. */
GLOBAL int fragment_forget(void)
{
	struct pkt *p = pkt_current();

	if (!p)
		return DROP(FAULT);
	fragment_key(p);
	bpf_map_delete_elem(&fragments, &p->fragment_key);
	return XDP_PASS;
}

/* A later fragment: it gets what the first one has. 0, XDP_PASS (nothing is known of it), or a reason to drop it. */
GLOBAL int fragment_follow(void)
{
	struct pkt *p = pkt_current();
	struct canary_fragment *first;
	struct canary_backend *backend;

	if (!p)
		return DROP(FAULT);
	fragment_key(p);
	first = bpf_map_lookup_elem(&fragments, &p->fragment_key);
	if (!first)
		return XDP_PASS;
	if ((__u32)(pkt_now(p) / NSEC_PER_SEC) - first->seen_s > FRAGMENT_LIFE_S)
		return XDP_PASS;
	p->service = first->service;
	p->cohort = first->cohort;
	p->backend = first->backend;
	p->tuple.client_port = first->client_port;
	p->tuple.port = first->port;
	/* Behind more headers, it need not name the same. gue's source port comes of the hash, as the first one's did. */
	p->tuple.proto = first->proto;
	p->hash = canary_flow_hash(&tables.keys, &p->tuple);
	if (first->from_backend)
		p->flags |= PKT_FROM_BACKEND;
	backend = backend_at(p->backend);
	if (!backend || backend->generation != first->generation)
		return DROP(FRAGMENT);
	return 0;
}

#endif
