/* SPDX-License-Identifier: GPL-2.0 */
/* Which service a tuple belongs to, and the configuration that is in force for it: one load gives a consistent view. */
#ifndef BPF_SERVICE_H
#define BPF_SERVICE_H

/* The record of a view. */
static __always_inline struct canary_config *config_at(__u32 service, __u32 view)
{
	__u32 key = service * CANARY_CONFIGS + (view & CANARY_WORD_SLOT_MASK);

	return bpf_map_lookup_elem(&configs, &key);
}

static __always_inline bool service_is(__u32 id, const struct canary_tuple *tuple, __u16 port)
{
	const struct canary_service *service = bpf_map_lookup_elem(&services, &id);

	return service && *(volatile __u64 *)&service->word && service->key.port == port &&
	       service->key.proto == tuple->proto && addr_same(&service->key.addr, &tuple->service);
}

/* filter_addr: canary_filter_addr() of the service's address */
static __always_inline __u32 service_with_port(const struct canary_tuple *tuple, __u64 filter_addr, __u16 port)
{
	__u64 hash = canary_filter_hash(CANARY_FILTER_SERVICE, filter_addr, port, tuple->proto);
	struct canary_service_key key = {};
	__u32 place, *hint, *id;

	if (!filter_has(hash))
		return 0;
	place = canary_filter_hint(hash);
	hint = bpf_map_lookup_elem(&service_hints, &place);
	if (hint && service_is(*hint, tuple, port))
		return *hint;
	key.addr = tuple->service;
	key.port = port;
	key.proto = tuple->proto;
	id = bpf_map_lookup_elem(&service_ids, &key);
	if (!id)
		return 0;
	if (hint)
		*hint = *id;
	return *id;
}

/* The service's id, exact port first, then any port; 0: none. */
static __always_inline __u32 service_find(const struct canary_tuple *tuple)
{
	__u64 filter_addr = canary_filter_addr(&tuple->service);
	__u32 id = service_with_port(tuple, filter_addr, tuple->port);

	return id ? id : service_with_port(tuple, filter_addr, 0);
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
	struct canary_service *service = bpf_map_lookup_elem(&services, &p->service);

	if (!service)
		return NULL;
	p->word = *(volatile __u64 *)&service->word;
	if (!p->word)
		return NULL;
	if (!service->key.port)
		p->flags |= PKT_ANY_PORT;
	return config_at(p->service, canary_word_now(p->word));
}

#endif
