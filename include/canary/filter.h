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
	CANARY_FILTER_SERVICE = 1, /* the address, port and protocol are a service's */
	CANARY_FILTER_BACKEND = 2, /* ... or a backend's */
};

/* Of an address alone: it is the same for every port that is tried with it. */
CANARY_INLINE __u64 canary_filter_addr(const struct canary_addr *addr)
{
	__u64 x = ((__u64)addr->word[0] << 32 | addr->word[1]) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 32 ^ ((__u64)addr->word[2] << 32 | addr->word[3])) * 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

/* addr: canary_filter_addr() */
CANARY_INLINE __u64 canary_filter_hash(enum canary_filter_role role, __u64 addr, __u16 port, __u8 proto)
{
	__u64 x = (addr ^ ((__u64)port << 16 | (__u64)proto << 8 | role)) * 0x94d049bb133111ebULL;

	return x ^ x >> 32;
}

/* The bit, and the place in `service_hints`: of different parts of the hash. */
CANARY_INLINE __u32 canary_filter_bit(__u64 hash)
{
	return hash & (CANARY_FILTER_BITS - 1);
}

CANARY_INLINE __u32 canary_filter_hint(__u64 hash)
{
	return hash >> 32 & (CANARY_SERVICE_HINTS - 1);
}

#endif
