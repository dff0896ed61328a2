/* SPDX-License-Identifier: GPL-2.0 */
/* Which service a tuple belongs to, and the configuration that is in force for it: one load gives a consistent view. */
#ifndef BPF_SERVICE_H
#define BPF_SERVICE_H

static __always_inline struct canary_config *config_at(__u32 service, __u32 slot)
{
	__u32 key = service * CANARY_CONFIGS + slot;

	return bpf_map_lookup_elem(&configs, &key);
}

/* The service's id, exact port first, then any port; 0: none. */
static __always_inline __u32 service_find(const struct canary_tuple *tuple)
{
	struct canary_service_key key = {.addr = tuple->service, .port = tuple->port, .proto = tuple->proto};
	__u32 *id;

	id = bpf_map_lookup_elem(&service_ids, &key);
	if (!id) {
		key.port = 0;
		id = bpf_map_lookup_elem(&service_ids, &key);
	}
	return id ? *id : 0;
}

/* Does some service have the packet's address? For packets that are broken before their ports. */
static __always_inline bool service_has_address(const struct canary_tuple *tuple)
{
	struct canary_service_key key = {.addr = tuple->service};

	return bpf_map_lookup_elem(&service_ids, &key);
}

/* The record in force, NULL where the service is being added or deleted. */
static __always_inline struct canary_config *service_config(__u32 id, bool *any_port)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	__u64 word;

	if (!service)
		return NULL;
	word = *(volatile __u64 *)&service->word;
	if (!word)
		return NULL;
	*any_port = !service->key.port;
	return config_at(id, canary_word_now(word));
}

#endif
