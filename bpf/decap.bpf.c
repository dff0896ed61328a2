// SPDX-License-Identifier: GPL-2.0
/*
 * On a backend: takes packets out of IP in IP and GUE as they come in, so that no tunnel device is needed. What is not in
 * a tunnel to this very host goes up the stack untouched.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "kernel.h"
#include "canary/abi.h"
#include "canary/decap.h"
#include "canary/hash.h"
#include "canary/server_id.h"
#include "pkt.h"
#include "parse.h"
#include "icmp.h"
#include "csum.h"
#include "forward/frame.h"
#include "forward/gue.h"

#define ECN_MASK 3
#define ECN_NOT_ECT 0
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE 3
#define ECN_V6_SHIFT 20 /* in the first word of an IPv6 header */

#define GUE_VERSION_SHIFT 6
#define GUE_CONTROL 0x20
#define GUE_LENGTH_MASK 0x1f

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct canary_decap_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CANARY_DECAP_MAX_LOCALS);
	__type(key, struct canary_addr);
	__type(value, __u8);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, CANARY_DECAP_MAX_PEERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct canary_decap_peer);
	__type(value, __u8);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct canary_decap_counters);
} counters SEC(".maps");

/* A stage returns 0 to go on, or what the packet is. */
#define IS(NAME) (CANARY_DECAP_##NAME + 1)

/* The packet that is inside. */
struct inner {
	__u32 at; /* where it begins in the frame */
	__u32 room; /* bytes from there to the tunnel packet's end */
	__u32 len; /* its own */
	__u8 family;
	__u8 protocol; /* IPv6: the first header's */
	__u32 private_at; /* GUE's private data */
	__u32 private_len;
};

#include "second_chance.h"

static __always_inline bool outer_checksum_right(struct xdp_md *ctx, const struct pkt *p)
{
	__u64 sum = 0;

	if (p->family == 6)
		return true;
#pragma unroll
	for (__u32 i = 0; i < 15; i++) {
		__u32 *word = pkt_at(ctx, p->l3 + i * 4, __u32);

		if (p->l3 + i * 4 >= p->l4)
			break;
		if (!word)
			return false;
		sum += *word;
	}
	return csum_fold(sum) == 0xffff;
}

/* Version 0 has a header; version 1 is no more than UDP, and then IP, whose version its first two bits are a part of. */
static __always_inline int find_in_gue(struct xdp_md *ctx, const struct pkt *p, struct inner *inner)
{
	struct gue *gue = pkt_at(ctx, p->l4, struct gue);
	__u32 header;

	if (!gue || bpf_ntohs(gue->udp.len) < sizeof(*gue))
		return IS(MALFORMED);
	if (gue->gue.version_length >> GUE_VERSION_SHIFT == 1) {
		header = sizeof(gue->udp);
		inner->family = gue->gue.version_length >> 4;
		if (inner->family != 4 && inner->family != 6)
			return IS(UNKNOWN);
	} else {
		if (gue->gue.version_length >> GUE_VERSION_SHIFT)
			return IS(UNKNOWN);
		if (gue->gue.version_length & GUE_CONTROL)
			return IS(CONTROL);
		/*
		 * A field that a flag announces may change what follows (a fragment, encryption). Private data, which no flag
		 * announces, does not, and is skipped.
		 */
		if (gue->gue.flags || (gue->gue.protocol != IPPROTO_IPIP && gue->gue.protocol != IPPROTO_IPV6))
			return IS(UNKNOWN);
		inner->private_at = p->l4 + sizeof(*gue);
		inner->private_len = (gue->gue.version_length & GUE_LENGTH_MASK) * 4;
		header = sizeof(*gue) + inner->private_len;
		inner->family = gue->gue.protocol == IPPROTO_IPIP ? 4 : 6;
	}
	if (bpf_ntohs(gue->udp.len) < header)
		return IS(MALFORMED);
	inner->at = p->l4 + header;
	inner->room = bpf_ntohs(gue->udp.len) - header;
	return 0;
}

/* Is it in a tunnel that ends here, and where is it? */
static __always_inline int find_inner(struct xdp_md *ctx, struct pkt *p, const struct canary_decap_settings *our,
				      struct inner *inner)
{
	bool gue;

	if (parse(ctx, p, &our->interface) || p->flags & (PKT_TOO_DEEP | PKT_LATER))
		return IS(NOT_OURS);
	gue = p->l4_proto == IPPROTO_UDP && p->tuple.port == our->gue_port;
	if (!gue && p->l4_proto != IPPROTO_IPIP && p->l4_proto != IPPROTO_IPV6)
		return IS(NOT_OURS);
	if (!bpf_map_lookup_elem(&locals, &p->tuple.service))
		return IS(NOT_OURS);
	if (p->flags & PKT_FRAGMENT)
		return IS(FRAGMENT);
	if (p->flags & PKT_BROKEN || p->l3 + p->ip_len < p->l4 || !outer_checksum_right(ctx, p))
		return IS(MALFORMED);
	if (gue)
		return find_in_gue(ctx, p, inner);
	inner->at = p->l4;
	inner->room = p->l3 + p->ip_len - p->l4;
	inner->family = p->l4_proto == IPPROTO_IPIP ? 4 : 6;
	return 0;
}

static __always_inline int check_inner(struct xdp_md *ctx, struct inner *inner)
{
	/* The mask of offsets must not bend this one. */
	if (inner->at > PKT_OFFSET_MASK - sizeof(struct ipv6hdr))
		return IS(MALFORMED);
	barrier_var(inner->at); /* or clang leaves the mask out, and kernel 6.1 has lost the bound */
	if (inner->family == 4) {
		struct iphdr *ip = pkt_at(ctx, inner->at, struct iphdr);

		if (!ip || ip->version != 4 || ip->ihl < 5 || bpf_ntohs(ip->tot_len) < ip->ihl * 4)
			return IS(MALFORMED);
		inner->len = bpf_ntohs(ip->tot_len);
		inner->protocol = ip->protocol;
	} else {
		struct ipv6hdr *ip = pkt_at(ctx, inner->at, struct ipv6hdr);

		if (!ip || ip->version != 6)
			return IS(MALFORMED);
		inner->len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
		inner->protocol = ip->nexthdr;
	}
	if (inner->len > inner->room)
		return IS(MALFORMED);
	/* One level is all that balancers make. The stack would take off the next, whoever has made it. */
	if (inner->protocol == IPPROTO_IPIP || inner->protocol == IPPROTO_IPV6)
		return IS(NESTED);
	return 0;
}

static __always_inline __u8 outer_ecn(struct xdp_md *ctx, const struct pkt *p)
{
	__u8 *head = pkt_pull(ctx, p->l3, 2);

	if (!head)
		return ECN_NOT_ECT;
	return p->family == 4 ? head[1] & ECN_MASK : head[1] >> 4 & ECN_MASK;
}

/* What the inner packet's field becomes (RFC 6040, figure 4), or a negative number where the packet is to be dropped. */
static __always_inline int ecn_merge(__u8 outer, __u8 inner)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	return outer == ECN_ECT1 && inner == ECN_ECT0 ? ECN_ECT1 : inner;
}

static __always_inline int hand_on_ecn(struct xdp_md *ctx, const struct pkt *p, const struct inner *inner)
{
	__u8 outer = outer_ecn(ctx, p);
	int merged;

	if (inner->family == 4) {
		struct iphdr *ip = pkt_at(ctx, inner->at, struct iphdr);
		__u64 diff = 0;
		__u8 tos;

		if (!ip)
			return IS(FAULT);
		merged = ecn_merge(outer, ip->tos & ECN_MASK);
		if (merged < 0)
			return IS(CONGESTION);
		tos = (ip->tos & ~ECN_MASK) | merged;
		csum_diff16(&diff, bpf_htons(ip->tos), bpf_htons(tos));
		ip->check = csum_apply(ip->check, diff);
		ip->tos = tos;
	} else {
		__be32 *word = pkt_at(ctx, inner->at, __be32);

		if (!word)
			return IS(FAULT);
		merged = ecn_merge(outer, bpf_ntohl(*word) >> ECN_V6_SHIFT & ECN_MASK);
		if (merged < 0)
			return IS(CONGESTION);
		*word = bpf_htonl((bpf_ntohl(*word) & ~(ECN_MASK << ECN_V6_SHIFT)) | merged << ECN_V6_SHIFT);
	}
	return 0;
}

/* Moves the link header, with its tags, to the inner packet. */
static __always_inline int strip(struct xdp_md *ctx, struct pkt *p, const struct inner *inner)
{
	struct canary_next_hop here = {.ifindex = ctx->ingress_ifindex};
	struct ethhdr *eth = pkt_at(ctx, 0, struct ethhdr);
	__u32 l3;

	if (!eth)
		return IS(FAULT);
	__builtin_memcpy(here.dmac, eth->h_dest, sizeof(here.dmac));
	__builtin_memcpy(here.smac, eth->h_source, sizeof(here.smac));
	p->l3 = inner->at;
	return frame_rewrite(ctx, p, &here, 0, frame_type(inner->family), &l3) ? IS(FAULT) : 0;
}

static __always_inline int decap(struct xdp_md *ctx, struct pkt *p, const struct canary_decap_settings *our,
				 struct inner *inner)
{
	struct canary_decap_peer alternate;
	int is = find_inner(ctx, p, our, inner), taken;

	if (!is)
		is = check_inner(ctx, inner);
	if (is)
		return is;
	taken = p->l4_proto == IPPROTO_UDP ? IS(GUE) : IS(IPIP);
	if (second_chance_named(ctx, p, inner, &alternate)) {
		taken = IS(KEPT);
		if (!second_chance_here(ctx, inner))
			return second_chance_pass_on(ctx, p, inner, &alternate.addr);
	}
	is = hand_on_ecn(ctx, p, inner);
	if (!is)
		is = strip(ctx, p, inner);
	return is ? is : taken;
}

SEC("xdp.frags")
int canary_decap(struct xdp_md *ctx)
{
	__u32 zero = 0, is;
	struct canary_decap_settings *our = bpf_map_lookup_elem(&settings, &zero);
	struct canary_decap_counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct pkt *p = pkt_new();
	struct inner inner = {};

	if (!our || !count || !p)
		return XDP_PASS;
	is = decap(ctx, p, our, &inner) - 1;
	barrier_var(is); /* or the verifier loses the bound */
	if (is >= CANARY_DECAP_KINDS)
		return XDP_ABORTED;
	count->count[is]++;
	if (is < CANARY_DECAP_FIRST_PASSED)
		count->bytes += inner.len;
	if (is < CANARY_DECAP_FIRST_SENT)
		return XDP_PASS;
	return is < CANARY_DECAP_FIRST_DROPPED ? XDP_TX : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
