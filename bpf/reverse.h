/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nat's way back: which packets from a backend belong to a client's connection with a service. A backend sees the
 * client's own address, so a connection is told apart by (backend, client, ports) alone: two services that share a
 * backend can clash when a client uses one port for both. The first keeps the tuple; the second takes another backend.
 */
#ifndef BPF_REVERSE_H
#define BPF_REVERSE_H

#define NAT_IDLE_NS (900 * 1000000000ULL) /* a clashing connection that was silent for so long is given up */

/* Is the connection that holds a reverse entry still going on? */
static __always_inline bool reverse_in_use(const struct canary_reverse *entry, const struct canary_reverse_key *key,
					   __u64 now_ns)
{
	struct canary_flow_key forward = {
		.client = key->client, .service = entry->service, .client_port = key->client_port, .port = entry->port};
	struct canary_flow *flow;

	if (!backend_alive(entry->backend, entry->generation))
		return false;
	flow = bpf_map_lookup_elem(&flows, &forward);
	if (flow)
		return !(flow->flags & (CANARY_FLOW_CLOSING | CANARY_FLOW_RESET)) &&
		       now_ns - flow->seen_ns < NAT_IDLE_NS;
	return bpf_map_lookup_elem(&embryonic, &forward);
}

/* Reserves the way back for a flow that is about to be given to a->backend. 0, or a reason to drop. */
GLOBAL int reverse_reserve(const struct pkt *p, const struct assignment *a)
{
	struct canary_reverse_key key = {};
	struct canary_reverse entry = {};
	struct canary_backend *backend;
	struct canary_reverse *other;

	if (!p || !a)
		return DROP(FAULT);
	backend = backend_at(a->backend);
	if (!backend)
		return DROP(NO_BACKEND);
	entry.service = p->service;
	entry.backend = a->backend;
	entry.generation = a->generation;
	entry.port = p->tuple.port;
	entry.cohort = a->cohort;
	key.client = p->tuple.client;
	key.client_port = p->tuple.client_port;
	key.proto = p->tuple.proto;
	key.backend = backend->addr;
	key.backend_port = backend->port ? backend->port : p->tuple.port;
	if (!bpf_map_update_elem(&reverse, &key, &entry, BPF_NOEXIST))
		return 0;
	other = bpf_map_lookup_elem(&reverse, &key);
	if (other && (other->service != entry.service || other->port != entry.port) &&
	    reverse_in_use(other, &key, p->now_ns))
		return DROP(NAT_COLLISION);
	return bpf_map_update_elem(&reverse, &key, &entry, BPF_ANY) ? DROP(TABLE_FULL) : 0;
}

/*
 * Is this a backend's packet to a client? The tuple's "client" is then the sender, the backend, and its "service" the
 * receiver, the client. The entry, or NULL.
 */
static __always_inline struct canary_reverse *reverse_find(const struct pkt *p)
{
	struct canary_reverse_key key = {.backend = p->tuple.client,
					 .client = p->tuple.service,
					 .backend_port = p->tuple.client_port,
					 .client_port = p->tuple.port,
					 .proto = p->tuple.proto};
	struct canary_reverse *entry = bpf_map_lookup_elem(&reverse, &key);

	if (!entry || !backend_alive(entry->backend, entry->generation))
		return NULL;
	return entry;
}

#endif
