/* SPDX-License-Identifier: GPL-2.0 */
/* Which service a tuple belongs to, and the configuration that is in force for it: one load gives a consistent view. */
#ifndef BPF_SERVICE_H
#define BPF_SERVICE_H

/* The record of a view. */
static __always_inline struct canary_config *config_at(__u32 service, __u32 view)
{
	return table_at(configs, service * CANARY_CONFIGS + (view & CANARY_WORD_SLOT_MASK));
}

/* Is that service, with `port`, the packet's? Then its word is noted. */
static __always_inline bool service_is(__u32 id, struct pkt *p, __u16 port)
{
	const struct canary_service *service = bpf_map_lookup_elem(&services, &id);

	if (!service || service->key.port != port || service->key.proto != p->tuple.proto ||
	    !addr_same(&service->key.addr, &p->tuple.service))
		return false;
	p->word = *(volatile __u64 *)&service->word;
	return p->word;
}

static __always_inline __u32 service_with_port(struct pkt *p, __u16 port)
{
	__u32 *hint = table_at(service_hints, canary_filter_hint(p->address_hash, port, p->tuple.proto)), *id;
	struct canary_service_key key = {};

	if (service_is(*hint, p, port))
		return *hint;
	key.addr = p->tuple.service;
	key.port = port;
	key.proto = p->tuple.proto;
	id = bpf_map_lookup_elem(&service_ids, &key);
	if (!id)
		return 0;
	*hint = *id;
	return *id;
}

/* The service's id, exact port first, then any port; 0: none. */
static __always_inline __u32 service_find(struct pkt *p)
{
	__u32 id;

	p->address_hash = canary_hash_address(&tables.keys, &p->tuple.service);
	if (!filter_has(CANARY_FILTER_SERVICE, p->address_hash))
		return 0;
	id = service_with_port(p, p->tuple.port);
	if (id)
		return id;
	id = service_with_port(p, 0);
	if (id)
		p->flags |= PKT_ANY_PORT;
	return id;
}

/* Does some service have the packet's address? For packets that are broken before their ports. */
static __always_inline bool service_has_address(const struct canary_tuple *tuple)
{
	struct canary_service_key key = {.addr = tuple->service};

	return bpf_map_lookup_elem(&service_ids, &key);
}

/* The record in force, NULL where the service is being added or deleted. The word is loaded once for all stages. */
static __always_inline struct canary_config *service_config(struct pkt *p)
{
	const struct canary_service *service;

	if (!p->word) {
		service = bpf_map_lookup_elem(&services, &p->service);
		if (!service)
			return NULL;
		p->word = *(volatile __u64 *)&service->word;
	}
	return p->word ? config_at(p->service, canary_word_now(p->word)) : NULL;
}

#endif
