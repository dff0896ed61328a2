/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Keyed hashes of flows and clients: the same code in the kernel program and in user space.
 *
 * NH, the universal hash of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway: "UMAC: Fast and Secure Message
 * Authentication", CRYPTO 1999): the sum of products (k + a)(k' + b) of 32-bit words. For a random key any two
 * different inputs collide with probability 2^-32, so no set of flows collides under every key. It takes six
 * multiplications for a whole 5-tuple. Its output is then mixed with a second key into 64 well-spread bits
 * (finaliser: Stafford's variant 13, as in SplitMix64).
 */
#ifndef CANARY_HASH_H
#define CANARY_HASH_H

#include "abi.h"
#include "inline.h"

CANARY_INLINE __u64 canary_mix64(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

CANARY_INLINE __u64 canary_nh(__u32 key_a, __u32 a, __u32 key_b, __u32 b)
{
	return (__u64)(__u32)(key_a + a) * (__u32)(key_b + b);
}

CANARY_INLINE __u64 canary_nh_addr(const __u32 key[4], const struct canary_addr *addr)
{
	return canary_nh(key[0], addr->word[0], key[1], addr->word[1]) +
	       canary_nh(key[2], addr->word[2], key[3], addr->word[3]);
}

/* A flow: who speaks to what. Ports in network order; proto as in the IP header. */
struct canary_tuple {
	struct canary_addr client;
	struct canary_addr service;
	__u16 client_port;
	__u16 port;
	__u8 proto;
	__u8 zero[3];
};
_Static_assert(sizeof(struct canary_tuple) == 40, "no hidden padding");

/* A service's address: its part in the hash of a flow, and what filter.h goes by. */
CANARY_INLINE __u64 canary_hash_address(const struct canary_keys *keys, const struct canary_addr *addr)
{
	return canary_nh_addr(keys->flow + 4, addr);
}

/* service: canary_hash_address() of the tuple's */
CANARY_INLINE __u64 canary_hash_flow(const struct canary_keys *keys, const struct canary_tuple *tuple, __u64 service)
{
	return canary_nh_addr(keys->flow, &tuple->client) + service +
	       canary_nh(keys->flow[8], (__u32)tuple->client_port << 16 | tuple->port, keys->flow[9], tuple->proto);
}

CANARY_INLINE __u64 canary_hash_client(const struct canary_keys *keys, const struct canary_addr *client)
{
	return canary_nh_addr(keys->client, client);
}

#endif
