/* SPDX-License-Identifier: GPL-2.0 */
/*
 * QUIC: whose connection a datagram is of. A client may change its address and port in the midst of a connection (RFC
 * 9000, 9), and then only the connection id that the server has chosen says where it lives: backends write their server
 * ids into it, where the service says. What has no such id goes by its addresses and ports as any other datagram: a
 * connection's first packets, whose id is the client's own choice; versions that are not known; ids of no backend here.
 */
#ifndef BPF_QUIC_H
#define BPF_QUIC_H

#define QUIC_LONG_HEADER 0x80
#define QUIC_TYPE(first) ((first) >> 4 & 3)
#define QUIC_VERSION_1 0x00000001 /* RFC 9000 */
#define QUIC_VERSION_2 0x6b3343cf /* RFC 9369: its types have other numbers */
#define QUIC_HANDSHAKE_1 2
#define QUIC_HANDSHAKE_2 3

/* What all versions have in common (RFC 8999), behind UDP's header. A packet without a version has its id in its place. */
struct quic_header {
	struct udphdr udp;
	__u8 first;
	__be32 version;
	__u8 id_length;
} __attribute__((packed));
_Static_assert(sizeof(struct quic_header) <= sizeof(struct tcphdr),
	       "the parser leaves room for it below PKT_OFFSET_MASK");
#define QUIC_SHORT_ID (sizeof(struct udphdr) + 1)

/*
 * Are the bytes of the packet's connection id the server's choice? Of packets with a long header those of Handshake are: a
 * client sends them when it has the server's answer (RFC 9000, 7.2). The bit that is fixed in version 1 may be anything (RFC
 * 9287).
 */
static __always_inline bool quic_chosen_by_server(const struct quic_header *header)
{
	if (!(header->first & QUIC_LONG_HEADER))
		return true;
	if (header->version == bpf_htonl(QUIC_VERSION_1))
		return QUIC_TYPE(header->first) == QUIC_HANDSHAKE_1;
	return header->version == bpf_htonl(QUIC_VERSION_2) && QUIC_TYPE(header->first) == QUIC_HANDSHAKE_2;
}

/* Reads the server id of the datagram into p->server_id. False: it has none. */
static __always_inline bool quic_read(struct xdp_md *ctx, struct pkt *p, const struct canary_config *config)
{
	__u32 at = p->l4 + QUIC_SHORT_ID, end, length = config->id_length;
	const struct quic_header *header;

	header = pkt_at(ctx, p->l4, struct quic_header);
	if (!header || !quic_chosen_by_server(header))
		return false;
	end = p->l4 + bpf_ntohs(header->udp.len);
	if (header->first & QUIC_LONG_HEADER) {
		at = p->l4 + sizeof(*header);
		if (header->id_length > CANARY_CONNECTION_ID_MAX || at + header->id_length > end)
			return false;
		end = at + header->id_length;
	}
	at += config->id_offset;
	if (at + length > end)
		return false;
	length = (length - 1) % CANARY_SERVER_ID_MAX + 1;
	barrier_var(length);
	if (length - 1 >= CANARY_SERVER_ID_MAX)
		return false;
	p->server_id = (struct canary_server_id){};
	return !bpf_xdp_load_bytes(ctx, at, &p->server_id, length);
}

static __always_inline __u64 quic_arena(__u32 place)
{
	__u64 *word = bpf_map_lookup_elem(&arena, &place);

	return word ? *word : 0;
}

/* Is that member's id the packet's? */
static __always_inline bool quic_is(const struct pkt *p, __u32 ids, __u32 member)
{
	ids += member * CANARY_SERVER_ID_WORDS;
	return quic_arena(ids) == p->server_id.word[0] && quic_arena(ids + 1) == p->server_id.word[1];
}

/* The member whose id the packet has, as its word in the arena; 0: none. */
static __always_inline __u64 quic_member(const struct pkt *p, const struct canary_config *config)
{
	__u32 count = config->member_count, place, ids, number;
	__u64 word;

	ids = config->members + count;
	place = canary_server_id_place(&tables.keys, &p->server_id, count);
	for (__u32 i = 0; i < CANARY_SERVER_ID_PROBES; i++) {
		word = quic_arena(ids + count * CANARY_SERVER_ID_WORDS + place);
		for (__u32 j = 0; j < CANARY_SERVER_ID_PLACES; j++) {
			number = word >> j * 16 & 0xffff;
			if (!number)
				return 0;
			if (quic_is(p, ids, number - 1))
				return quic_arena(config->members + number - 1);
		}
		place = place + 1 < count ? place + 1 : 0;
	}
	return 0;
}

/* Fills in p->named, where the datagram says whose it is. */
GLOBAL int quic_find(struct xdp_md *ctx)
{
	struct pkt *p = pkt_current();
	const struct canary_config *config;
	struct canary_backend *backend;
	__u64 member;

	if (!p || p->tuple.proto != IPPROTO_UDP || p->flags & PKT_ICMP_ERROR)
		return 0;
	config = config_at(p->service, canary_word_now(p->word));
	if (!config || !quic_read(ctx, p, config))
		return 0;
	member = quic_member(p, config);
	backend = member ? backend_at(CANARY_MEMBER_BACKEND(member)) : NULL;
	if (!backend || !(backend->flags & CANARY_BACKEND_LIVE) || backend->service != p->service)
		return 0;
	p->flags |= PKT_NAMED;
	p->named.backend = CANARY_MEMBER_BACKEND(member);
	p->named.generation = backend->generation;
	p->named.cohort = member & CANARY_MEMBER_CANARY ? CANARY_CANARY : CANARY_STABLE;
	return 1;
}

#endif
