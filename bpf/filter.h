/* SPDX-License-Identifier: GPL-2.0 */
/* What tells most packets that concern no service, before anything is looked up: see canary/filter.h. */
#ifndef BPF_FILTER_H
#define BPF_FILTER_H

/* address: canary_hash_address() */
static __always_inline bool filter_has(enum canary_filter_role role, __u64 address)
{
	__u32 bit = canary_filter_bit(role, address);

	return *table_at(filter, bit / 64) >> bit % 64 & 1;
}

/* May the packet come from a backend? The tuple is that of the way back: see reverse.h. */
static __always_inline bool filter_from_backend(const struct canary_tuple *tuple)
{
	return filter_has(CANARY_FILTER_BACKEND, canary_hash_address(&tables.keys, &tuple->client));
}

#endif
