/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nat's way back: which packets from a backend belong to a client's connection with a service. A backend sees the
 * client's own address, so a connection is told apart by (backend, client, ports) alone: two services that share a
 * backend can clash when a client uses one port for both. The first keeps the tuple; the second takes another backend.
 *
 * As with flows, what opens is in an LRU, and goes to the table when the flow does.
 */
#ifndef BPF_REVERSE_H
#define BPF_REVERSE_H

#define REVERSE_REFRESH_NS 1000000000ULL
#define REVERSE_OPENING_NS (130 * 1000000000ULL) /* a connection that has not opened by then never will */

static __always_inline void reverse_key(const struct pkt *p, const struct canary_backend *backend,
					struct canary_reverse_key *key)
{
	key->backend = backend->addr;
	key->client = p->tuple.client;
	key->backend_port = backend->port ? backend->port : p->tuple.port;
	key->client_port = p->tuple.client_port;
	key->proto = p->tuple.proto;
}

/* Is the tuple that of another connection that goes on? */
static __always_inline bool reverse_clashes(const struct pkt *p, const struct canary_reverse *entry)
{
	return entry && (entry->service != p->service || entry->port != p->tuple.port) &&
	       backend_alive(entry->backend, entry->generation);
}

/* Reserves the way back for a flow that is given to a->backend: for good, or while it opens. 0, or a reason to drop. */
GLOBAL int reverse_reserve(const struct assignment *a, bool established)
{
	struct pkt *p = pkt_current();
	struct canary_backend *backend;
	struct canary_reverse *other, *opening;
	bool clash;

	if (!p || !a)
		return DROP(FAULT);
	backend = backend_at(a->backend);
	if (!backend)
		return DROP(NO_BACKEND);
	reverse_key(p, backend, &p->back_key);
	p->back.service = p->service;
	p->back.backend = a->backend;
	p->back.generation = a->generation;
	p->back.port = p->tuple.port;
	p->back.cohort = a->cohort;
	p->back.seen_ns = p->now_ns;

	other = bpf_map_lookup_elem(&reverse, &p->back_key);
	clash = reverse_clashes(p, other);
	if (!clash && !established) {
		opening = bpf_map_lookup_elem(&reverse_embryonic, &p->back_key);
		clash = reverse_clashes(p, opening) && elapsed_ns(p->now_ns, opening->seen_ns) < REVERSE_OPENING_NS;
	}
	if (clash)
		return DROP(NAT_COLLISION);
	if (established || other) {
		if (bpf_map_update_elem(&reverse, &p->back_key, &p->back, BPF_ANY))
			return DROP(TABLE_FULL);
		bpf_map_delete_elem(&reverse_embryonic, &p->back_key);
		return 0;
	}
	return bpf_map_update_elem(&reverse_embryonic, &p->back_key, &p->back, BPF_ANY) ? DROP(TABLE_FULL) : 0;
}

/* Gives up the way back of a flow that is forgotten, or goes elsewhere. A backend that is gone is still known by its place. */
static __always_inline void reverse_release(struct pkt *p, const struct canary_flow *flow)
{
	struct canary_backend *backend = backend_at(flow->backend);
	struct canary_reverse *entry;

	if (!backend)
		return;
	reverse_key(p, backend, &p->back_key);
	entry = bpf_map_lookup_elem(&reverse, &p->back_key);
	if (entry && entry->service == p->key.service && entry->backend == flow->backend)
		bpf_map_delete_elem(&reverse, &p->back_key);
}

/*
 * Is this a backend's packet to a client? The tuple's "client" is then the sender, the backend, and its "service" the
 * receiver, the client. The entry, or NULL.
 */
static __always_inline struct canary_reverse *reverse_find(struct pkt *p)
{
	struct canary_reverse_key key = {.backend = p->tuple.client,
					 .client = p->tuple.service,
					 .backend_port = p->tuple.client_port,
					 .client_port = p->tuple.port,
					 .proto = p->tuple.proto};
	struct canary_reverse *entry = bpf_map_lookup_elem(&reverse, &key);

	if (!entry)
		entry = bpf_map_lookup_elem(&reverse_embryonic, &key);
	if (!entry || !backend_alive(entry->backend, entry->generation))
		return NULL;
	if (elapsed_ns(pkt_now(p), entry->seen_ns) > REVERSE_REFRESH_NS)
		entry->seen_ns = p->now_ns;
	if (p->tcp_flags & TCP_FIN)
		entry->closing = 1;
	return entry;
}

/* A backend's packet: whose it is, and the service side's port. False: it is none. */
static __always_inline bool reverse_recall(struct pkt *p, __u16 *ret_port)
{
	const struct canary_reverse *entry = reverse_find(p);

	if (!entry)
		return false;
	p->flags |= PKT_FROM_BACKEND;
	p->service = entry->service;
	p->cohort = entry->cohort;
	p->backend = entry->backend;
	*ret_port = entry->port;
	return true;
}

#endif
