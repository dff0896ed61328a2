/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copies of packets, with what became of them, for `canaryctl capture`: see canary/capture.h. As it came, a packet is copied
 * before anything is known of it, and so each copy counts against an allowance; as it left, only if it is wanted.
 */
#ifndef BPF_CAPTURE_H
#define BPF_CAPTURE_H

static __always_inline struct canary_capture *capture_asked(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&capture, &zero);
}

static __always_inline struct canary_capture_cpu *capture_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&capture_cpus, &zero);
}

/* Is there still somebody who reads? Else `capturing` goes, at the latest when every CPU had packets: each clears the same byte. */
static __always_inline bool capture_goes_on(struct xdp_md *ctx, const struct canary_capture *asked,
					    struct canary_capture_cpu *cpu)
{
	__u32 place = ctx->ingress_ifindex % CANARY_MAX_INTERFACES, tick = *(const volatile __u32 *)&asked->tick;
	struct canary_interface *interface;

	if (cpu->tick != tick) {
		cpu->tick = tick;
		cpu->looks = CANARY_CAPTURE_LOOKS;
		cpu->since = bpf_jiffies64();
		return true;
	}
	if (bpf_jiffies64() - cpu->since < CANARY_CAPTURE_DEAD_S * route_jiffies)
		return true;
	interface = bpf_map_lookup_elem(&interfaces, &place);
	if (interface)
		interface->capturing = 0;
	return false;
}

/* Is it this one's turn? The distance is drawn anew each time: a fixed one may fall in step with the traffic. */
static __always_inline bool capture_samples(const struct canary_capture *asked, struct canary_capture_cpu *cpu)
{
	cpu->count[CANARY_CAPTURE_SEEN]++;
	if (cpu->skip) {
		cpu->skip--;
		return false;
	}
	if (!cpu->looks) {
		cpu->count[CANARY_CAPTURE_UNLOOKED]++;
		return false;
	}
	cpu->looks--;
	if (asked->sample > 1)
		cpu->skip = bpf_get_prandom_u32() % (2 * (__u64)asked->sample - 1);
	return true;
}

/* How much of the frame, as it is now, is kept. */
static __always_inline __u32 capture_length(struct xdp_md *ctx, const struct canary_capture *asked, __u32 *ret_length)
{
	__u32 length = pkt_size(ctx);

	*ret_length = length;
	return length < asked->snaplen ? length : asked->snaplen;
}

/* A packet that has just come. With PKT_CAPTURED, capture_verdict() is to be told of its end. */
GLOBAL int capture_arrival(struct xdp_md *ctx)
{
	struct canary_capture *asked = capture_asked();
	struct canary_capture_cpu *cpu = capture_cpu();
	struct pkt *p = pkt_current();
	__u64 length, last;

	if (!asked || !cpu || !p || !capture_goes_on(ctx, asked, cpu) || !capture_samples(asked, cpu))
		return 0;
	length = capture_length(ctx, asked, &cpu->packet.length);
	cpu->packet.captured = length;
	last = length - 1; /* of `length` itself, kernel 6.1 would not see that it is not 0 */
	barrier_var(last);
	if (last >= CANARY_CAPTURE_SNAPLEN || bpf_xdp_load_bytes(ctx, 0, cpu->frame, last + 1))
		return 0;
	p->flags |= PKT_CAPTURED;
	return 0;
}

/* Where a packet goes that was sent on: what came from a backend has its next hop in the place of backend 0. */
static __always_inline __u32 capture_egress(struct xdp_md *ctx, const struct pkt *p, int verdict)
{
	__u32 place = p->flags & PKT_FROM_BACKEND ? 0 : p->backend;
	struct canary_next_hop *hop;

	if (verdict == XDP_TX)
		return ctx->ingress_ifindex;
	if (verdict != XDP_REDIRECT)
		return 0;
	hop = bpf_map_lookup_elem(&next_hops, &place);
	return hop ? hop->ifindex : 0;
}

static __always_inline __u8 capture_reason(const struct pkt *p, int verdict)
{
	if (verdict < 0)
		return DROP_REASON(verdict);
	if (!(p->flags & PKT_ANSWER) || !p->service)
		return CANARY_CAPTURE_NO_REASON; /* a ping was answered, for the address: no service is concerned */
	return p->flags & PKT_RESET ? CANARY_REASON_RESET : CANARY_REASON_TOO_BIG;
}

static __always_inline void capture_describe(struct xdp_md *ctx, const struct pkt *p, int verdict,
					     struct canary_captured *ret)
{
	ret->time_ns = bpf_ktime_get_ns();
	ret->ifindex = ctx->ingress_ifindex;
	ret->egress = capture_egress(ctx, p, verdict);
	ret->service = p->service;
	ret->backend = p->backend;
	ret->action = verdict < 0 ? XDP_DROP : verdict;
	ret->reason = capture_reason(p, verdict);
	/* 0 is a cohort, and what there is before one is chosen. */
	ret->cohort = p->backend || (verdict < 0 && DROP_REASON(verdict) >= CANARY_FIRST_COHORT_REASON)
			      ? p->cohort
			      : CANARY_CAPTURE_ANY;
	ret->flags = (p->flags & PKT_ANSWER ? CANARY_CAPTURE_ANSWER : 0) |
		     (p->flags & PKT_FROM_BACKEND ? CANARY_CAPTURE_REPLY : 0);
}

static __always_inline bool capture_wants(const struct canary_capture *asked, const struct canary_captured *packet)
{
	if (!packet->service && packet->action == XDP_PASS)
		return asked->unmatched;
	return (!asked->service || packet->service == asked->service) &&
	       (asked->cohort == CANARY_CAPTURE_ANY || packet->cohort == asked->cohort);
}

/* The end of a packet with PKT_CAPTURED, which may be gone by now: an answer is in its place. */
GLOBAL int capture_verdict(struct xdp_md *ctx, int verdict)
{
	__u32 place = ctx->ingress_ifindex % CANARY_MAX_INTERFACES;
	struct canary_interface *interface = bpf_map_lookup_elem(&interfaces, &place);
	struct canary_capture *asked = capture_asked();
	struct canary_capture_cpu *cpu = capture_cpu();
	struct pkt *p = pkt_current();
	__u64 size, left = 0;

	if (!asked || !cpu || !p || !interface)
		return 0;
	capture_describe(ctx, p, verdict, &cpu->packet);
	cpu->packet.netns = interface->netns;
	if (!capture_wants(asked, &cpu->packet))
		return 0;
	cpu->count[CANARY_CAPTURE_MATCHED]++;
	if ((__s32)(asked->sent - asked->until) >= 0) {
		cpu->count[CANARY_CAPTURE_LIMITED]++;
		return 0;
	}
	__sync_fetch_and_add(&asked->sent, 1);
	cpu->packet.left_length = 0;
	if (verdict == XDP_TX || verdict == XDP_REDIRECT)
		left = capture_length(ctx, asked, &cpu->packet.left_length);
	cpu->packet.left_captured = left;
	size = sizeof(cpu->packet) + cpu->packet.captured;
	barrier_var(size);
	if (size > sizeof(cpu->packet) + CANARY_CAPTURE_SNAPLEN)
		return 0;
	/* What is in the upper half of the flags is how much of the frame follows: of all its buffers. */
	if (bpf_perf_event_output(ctx, &capture_out, BPF_F_CURRENT_CPU | left << 32, &cpu->packet, size))
		cpu->count[CANARY_CAPTURE_LOST]++;
	return 0;
}

#endif
