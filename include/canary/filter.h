/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A filter in front of the hash tables: most packets of a host concern no service, and a bit says so at once. A Bloom
 * filter (Bloom, CACM 1970) with one hash function: a bit that is set may be another's, a bit that is clear is nobody's.
 */
#ifndef CANARY_FILTER_H
#define CANARY_FILTER_H

#include "abi.h"
#include "inline.h"

enum canary_filter_role {
	CANARY_FILTER_SERVICE, /* the address is a service's */
	CANARY_FILTER_BACKEND, /* ... or a backend's */
};

/* The bit of an address, by canary_hash_address(). */
CANARY_INLINE __u32 canary_filter_bit(enum canary_filter_role role, __u64 address)
{
	return (address + role) * 0x9e3779b97f4a7c15ULL >> 32 & (CANARY_FILTER_BITS - 1);
}

/* The place in `service_hints` of an address with a port. */
CANARY_INLINE __u32 canary_filter_hint(__u64 address, __u16 port, __u8 proto)
{
	return (address + ((__u32)port << 16 | proto)) * 0x9e3779b97f4a7c15ULL >> 32 & (CANARY_SERVICE_HINTS - 1);
}

#endif
