/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internet checksums: incremental updates (RFC 1624) as a running difference, and the completion of checksums that a
 * local sender left to its device.
 */
#ifndef BPF_CSUM_H
#define BPF_CSUM_H

static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* What replacing one value by another does to a sum: adds ~old + new. Values as they stand in the packet. */
static __always_inline void csum_diff16(__u64 *sum, __u16 old, __u16 new)
{
	*sum += (__u16)~old + (__u64) new;
}

static __always_inline void csum_diff_addr(__u64 *sum, const struct canary_addr *old, const struct canary_addr *new)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		*sum += (__u64)(__u32)~old->word[i] + new->word[i];
}

/* The checksum after a difference (RFC 1624, equation 3: HC' = ~(~HC + ~m + m')). */
static __always_inline __u16 csum_apply(__u16 check, __u64 diff)
{
	return ~csum_fold((__u16)~check + diff);
}

/* The sum over a part of the packet whose offset and length may be odd or beyond the first buffer. */
#define CSUM_CHUNK 64
struct csum_walk {
	struct xdp_md *ctx;
	__u32 offset;
	__u32 len;
	__s64 sum; /* negative: out of the packet */
};

static long csum_step(__u32 i, struct csum_walk *walk)
{
	__u32 chunk[CSUM_CHUNK / 4] = {};
	__u32 n = walk->len;

	if (!n)
		return 1;
	if (n > CSUM_CHUNK)
		n = CSUM_CHUNK;
	/* It is already 1 to CSUM_CHUNK. Like this, kernel 6.1 sees it too. */
	n--;
	barrier_var(n);
	n = (n & (CSUM_CHUNK - 1)) + 1;
	if (bpf_xdp_load_bytes(walk->ctx, walk->offset, chunk, n)) {
		walk->sum = -1;
		return 1;
	}
	walk->sum = bpf_csum_diff(NULL, 0, chunk, sizeof(chunk), walk->sum);
	walk->offset += n;
	walk->len -= n;
	return walk->sum < 0;
}

static __always_inline __s64 csum_range(struct xdp_md *ctx, __u32 offset, __u32 len)
{
	struct csum_walk walk = {.ctx = ctx, .offset = offset, .len = len};

	bpf_loop(0x10000 / CSUM_CHUNK, csum_step, &walk, 0);
	return walk.sum;
}

/* Where in the frame a TCP or UDP packet's checksum stands. */
static __always_inline __u32 csum_offset(__u32 l4, __u8 proto)
{
	return l4 + (proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));
}

/*
 * A sender on this machine leaves the checksum to its device: the field then holds the sum of the pseudo-header alone.
 * Through veth the packet reaches XDP like that, and nobody computes the rest once XDP has sent it on. Where the field
 * is that very sum, the checksum is computed in full; a packet that was complete all along comes out unchanged.
 */
GLOBAL int csum_complete(struct xdp_md *ctx, const struct pkt *p)
{
	__u32 l4_len;
	__u64 pseudo;
	__u16 *check;
	__s64 sum;

	if (!p)
		return DROP(FAULT);
	l4_len = p->ip_len - (p->l4 - p->l3);
	pseudo = bpf_htons(l4_len) + bpf_htons(p->l4_proto);
	check = pkt_at(ctx, csum_offset(p->l4, p->l4_proto), __u16);
	if (!check)
		return DROP(FAULT);
#pragma unroll
	for (int i = 0; i < 4; i++)
		pseudo += (__u64)p->tuple.client.word[i] + p->tuple.service.word[i];
	if (p->family == 4) /* the two ::ffff: of the mapped addresses are no part of it */
		pseudo += 2 * (__u64)(__u32)~bpf_htonl(0xffff);
	if (*check != csum_fold(pseudo))
		return 0;
	/* The field already holds the pseudo-header's sum, so the sum over all is that of header, data and pseudo-header. */
	sum = csum_range(ctx, p->l4, l4_len);
	check = pkt_at(ctx, csum_offset(p->l4, p->l4_proto), __u16);
	if (sum < 0 || !check)
		return DROP(FAULT);
	*check = ~csum_fold(sum);
	if (!*check && p->l4_proto == IPPROTO_UDP)
		*check = 0xffff;
	return 0;
}

#endif
