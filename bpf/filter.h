/* SPDX-License-Identifier: GPL-2.0 */
/* What tells most packets that concern no service, before anything is looked up: see canary/filter.h. */
#ifndef BPF_FILTER_H
#define BPF_FILTER_H

static __always_inline bool filter_has(__u64 hash)
{
	__u32 bit = canary_filter_bit(hash);

	return *table_at(filter, bit / 64) >> bit % 64 & 1;
}

/* May the packet come from a backend? The tuple is that of the way back: see reverse.h. */
static __always_inline bool filter_from_backend(const struct canary_tuple *tuple)
{
	__u64 addr = canary_filter_addr(&tuple->client);

	return filter_has(canary_filter_hash(CANARY_FILTER_BACKEND, addr, tuple->client_port, tuple->proto)) ||
	       filter_has(canary_filter_hash(CANARY_FILTER_BACKEND, addr, 0, tuple->proto));
}

#endif
