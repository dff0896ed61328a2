/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Server ids: what a server writes into the QUIC connection ids that it chooses, so that a packet says whose it is
 * (draft-ietf-quic-load-balancers, plain encoding). A record of a service with affinity quic has its members' ids in the
 * arena, right behind the `member_count` words of the members:
 *
 *   ids     CANARY_SERVER_ID_WORDS words for each member, in their order
 *   table   a word for each member, of four places with 16 bits, lowest first: a member's number + 1, or 0. An id is in
 *           the first free place from the start of the word that its hash says, within CANARY_SERVER_ID_PROBES words.
 */
#ifndef CANARY_SERVER_ID_H
#define CANARY_SERVER_ID_H

#include "abi.h"
#include "hash.h"

#define CANARY_SERVER_ID_PROBES 8 /* a table is full to a quarter: two words suffice but for very few ids */
#define CANARY_SERVER_ID_PLACES 4 /* in a word */

/* What a connection id's first CANARY_CONNECTION_ID_MAX bytes can be (RFC 9000, 17.2). */
#define CANARY_CONNECTION_ID_MAX 20

/* Its bytes as in the packet, and zeros. */
#define CANARY_SERVER_ID_WORDS 2
#define CANARY_SERVER_ID_MAX 16
struct canary_server_id {
	__u64 word[CANARY_SERVER_ID_WORDS];
};
_Static_assert(sizeof(struct canary_server_id) == CANARY_SERVER_ID_MAX, "abi");

/* Keyed, so that nobody can know of ids that meet in one place. */
CANARY_INLINE __u32 canary_server_id_place(const struct canary_keys *keys, const struct canary_server_id *id,
					   __u32 words)
{
	__u64 hash = canary_mix64(canary_mix64(id->word[0] ^ keys->slot) ^ id->word[1]);

	return (hash >> 32) * words >> 32;
}

/* How many words of the arena a record has for its members, ids and table included. */
CANARY_INLINE __u32 canary_member_words(const struct canary_config *config)
{
	__u32 words = config->member_count;

	if (config->affinity == CANARY_AFFINITY_QUIC)
		words += config->member_count * (CANARY_SERVER_ID_WORDS + 1);
	return words;
}

#endif
