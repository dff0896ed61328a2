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

static __always_inline bool service_is(__u32 id, const struct canary_service_key *key)
{
	const struct canary_service *service = bpf_map_lookup_elem(&services, &id);

	return service && *(volatile __u64 *)&service->word && service->key.port == key->port &&
	       service->key.proto == key->proto && addr_same(&service->key.addr, &key->addr);
}

static __always_inline __u32 service_with_port(const struct canary_tuple *tuple, __u16 port)
{
	struct canary_service_key key = {.addr = tuple->service, .port = port, .proto = tuple->proto};
	__u64 hash = canary_filter_hash(CANARY_FILTER_SERVICE, &tuple->service, port, tuple->proto);
	__u32 place = canary_filter_hint(hash), *hint, *id;

	if (!filter_has(hash))
		return 0;
	hint = bpf_map_lookup_elem(&service_hints, &place);
	if (hint && service_is(*hint, &key))
		return *hint;
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
	__u32 id = service_with_port(tuple, tuple->port);

	return id ? id : service_with_port(tuple, 0);
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
