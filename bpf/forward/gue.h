/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What gue has between the outer IP header and the packet: UDP, and Generic UDP Encapsulation, version 0
 * (draft-ietf-intarea-gue), without optional fields. Devices on the way and the backend's NIC tell flows apart by the
 * UDP source port.
 *
 * A packet whose backend is a guess names another one as well, in private data, which receivers that do not know it skip
 * (Linux' own among them). It is laid out as GLB Director does it (github/glb-director, docs/development/gue-header.md):
 * a list of addresses, and which of them is the next to try. Here it has one.
 */
#ifndef BPF_FORWARD_GUE_H
#define BPF_FORWARD_GUE_H

#define GUE_FIRST_PORT 49152 /* the source port is one of the 16384 from here on (RFC 6335: dynamic ports) */

/* Optional fields and private data follow; the length in the header counts them. */
struct gue_header {
	__u8 version_length; /* version: 2 bits, control: 1, length of what follows in 32-bit words: 5 */
	__u8 protocol;
	__be16 flags;
};

struct gue {
	struct udphdr udp;
	struct gue_header gue;
};
_Static_assert(sizeof(struct gue) == 12, "as on the wire");

#define GUE_ALTERNATES_V4 0
#define GUE_ALTERNATES_V6 1 /* ours: GLB's type has addresses of IPv4 alone */
struct gue_alternates {
	__be16 type;
	__u8 next; /* to be tried; `count`: none is left */
	__u8 count; /* of the addresses that follow */
};
_Static_assert(sizeof(struct gue_alternates) == 4, "as on the wire");

/* What a list of one address takes: of the outer header's family, as it is sent on with that. */
static __always_inline __u32 gue_alternates_len(bool v4)
{
	return sizeof(struct gue_alternates) + (v4 ? sizeof(__be32) : sizeof(struct in6_addr));
}

/* Without a checksum, in IPv6 too: the inner packet has its own (RFC 6935, 6936). */
static __always_inline int gue_write(struct xdp_md *ctx, const struct pkt *p, const struct canary_config *config,
				     __u32 at, __u8 protocol)
{
	struct gue *gue = pkt_at(ctx, at, struct gue);

	if (!gue)
		return DROP(FAULT);
	gue->udp.source = bpf_htons(GUE_FIRST_PORT | (p->hash & (GUE_FIRST_PORT ^ 0xffff)));
	gue->udp.dest = config->gue_port;
	gue->udp.len = bpf_htons(sizeof(*gue) + p->ip_len);
	gue->udp.check = 0;
	gue->gue.version_length = 0;
	gue->gue.protocol = protocol;
	gue->gue.flags = 0;
	return 0;
}

#endif
