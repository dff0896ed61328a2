// SPDX-License-Identifier: GPL-2.0
/*
 * The data plane: an XDP program that steers the packets of services to the backends of their cohorts, a program that
 * commits changes, and tracepoints that count what is lost after the verdict. This file composes the stages; each
 * stage is a header of its own.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "canary/abi.h"
#include "canary/breaker.h"
#include "canary/hash.h"
#include "canary/select.h"
#include "maps.h"
#include "pkt.h"
#include "parse.h"
#include "icmp.h"
#include "service.h"
#include "segment.h"
#include "backend.h"
#include "counters.h"
#include "csum.h"
#include "reverse.h"
#include "held.h"
#include "limit.h"
#include "table.h"
#include "flow.h"
#include "transition.h"
#include "event.h"
#include "outcome.h"
#include "guard.h"
#include "watched.h"
#include "watch.h"
#include "route.h"
#include "forward/frame.h"
#include "forward/l2.h"
#include "forward/ipip.h"
#include "forward/nat.h"
#include "reset.h"
#include "commit.h"
#include "sweep.h"
#include "trace.h"

static __always_inline int complete_checksum(struct xdp_md *ctx, const struct pkt *p,
					     const struct canary_interface *interface)
{
	if (!(interface->flags & CANARY_INTERFACE_PARTIAL_CHECKSUMS) || p->flags & PKT_ICMP_ERROR)
		return 0;
	return csum_complete(ctx, p);
}

/*
 * In generic mode the stack may have merged several packets. Out of the same interface it splits them again; the kernel
 * refuses to redirect them elsewhere.
 */
static __always_inline bool fits(struct xdp_md *ctx, const struct pkt *p, __u32 overhead,
				 const struct canary_next_hop *hop, const struct canary_interface *interface)
{
	return !hop->mtu || p->ip_len + overhead <= hop->mtu ||
	       (interface->flags & CANARY_INTERFACE_GENERIC && hop->ifindex == ctx->ingress_ifindex);
}

static __always_inline int to_backend(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	const struct canary_addr *source = &p->tuple.client;
	struct canary_next_hop *hop = NULL;
	struct canary_backend *backend;
	struct canary_config *config;
	struct assignment a;
	__u32 overhead = 0;
	int verdict;

	config = service_config(p);
	if (!config)
		return XDP_PASS;
	if (p->flags & PKT_BROKEN)
		return DROP(MALFORMED);
	if (p->flags & PKT_FRAGMENT)
		return DROP(FRAGMENT);
	if (frame_expired(ctx, p))
		return XDP_PASS;

	p->now_ns = bpf_ktime_get_coarse_ns();
	if (config->lease_ns && flow_may_open(p) && guard_lease(p->service, p->word, p->now_ns))
		config = service_config(p); /* stopped, as of this packet */
	if (!config)
		return XDP_PASS;
	verdict = flow_steer(p, config, &a);
	p->cohort = verdict ? a.wanted : a.cohort;
	p->backend = a.backend;
	if (verdict)
		return verdict;
	watch(p, config, &a);
	if (p->flags & PKT_RESET)
		return reset_answer(ctx, p);
	backend = backend_at(p->backend);
	if (!backend)
		return DROP(FAULT);
	if (config->forward != CANARY_FORWARD_NAT && backend_is_here(backend)) {
		count_forwarded(p); /* not in conclude(): kernel 6.1 refuses that, as clang 19 compiles it */
		return XDP_PASS;
	}
	if (config->forward == CANARY_FORWARD_IPIP) {
		source = &backend->tunnel_source;
		overhead = ipip_overhead(backend);
		if (!source->word[3])
			return DROP(NO_TUNNEL_SOURCE);
	}
	verdict = route_to_backend(ctx, p, source, backend, &hop);
	if (verdict)
		return verdict;
	if (frame_loops(ctx, p, interface, config, backend, hop))
		return DROP(LOOP);
	if (!fits(ctx, p, overhead, hop, interface))
		return DROP(TOO_BIG);
	verdict = complete_checksum(ctx, p, interface);
	if (!verdict)
		verdict = frame_age(ctx, p);
	if (verdict)
		return verdict;

	switch (config->forward) {
	case CANARY_FORWARD_L2:
		verdict = forward_l2(ctx, p, hop);
		break;
	case CANARY_FORWARD_IPIP:
		verdict = forward_ipip(ctx, p, backend, hop);
		break;
	default:
		verdict = nat_to_backend(ctx, p, backend);
		if (!verdict)
			verdict = frame_rewrite_in_place(ctx, p, hop);
	}
	return verdict ? verdict : frame_send(ctx, hop);
}

/* nat's way back. What is not a connection of ours with a backend is the host's own. */
static __always_inline int from_backend(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	struct canary_reverse *entry = reverse_find(p);
	struct canary_next_hop *hop;
	__u32 scratch = 0;
	struct canary_service *service;
	bool from_backend_itself;
	int verdict;

	if (!entry)
		return XDP_PASS;
	service = bpf_map_lookup_elem(&services, &entry->service);
	if (!service)
		return XDP_PASS;
	p->word = *(volatile __u64 *)&service->word;
	if (!p->word)
		return XDP_PASS;
	p->flags |= PKT_FROM_BACKEND;
	p->service = entry->service;
	p->cohort = entry->cohort;
	p->backend = entry->backend;
	if (p->flags & PKT_BROKEN)
		return DROP(MALFORMED);
	if (p->flags & PKT_FRAGMENT)
		return DROP(FRAGMENT);
	if (frame_expired(ctx, p))
		return XDP_PASS;

	/* A client's next hop is not kept. The place of backend 0, which is none, saves the stack from it. */
	hop = bpf_map_lookup_elem(&next_hops, &scratch);
	if (!hop)
		return DROP(FAULT);
	verdict = route_lookup(ctx, p, &service->key.addr, &p->tuple.service, hop);
	if (verdict)
		return verdict;
	if (!fits(ctx, p, 0, hop, interface))
		return DROP(TOO_BIG);
	verdict = complete_checksum(ctx, p, interface);
	if (!verdict)
		verdict = frame_age(ctx, p);
	if (verdict)
		return verdict;
	watch_reply(p, service, entry->port);
	from_backend_itself = frame_source_is(ctx, p, &p->tuple.client);
	verdict = nat_from_backend(ctx, p, &service->key.addr, entry->port, from_backend_itself);
	if (!verdict)
		verdict = frame_rewrite_in_place(ctx, p, hop);
	return verdict ? verdict : frame_send(ctx, hop);
}

static __always_inline int steer(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	int verdict = parse(ctx, p, interface);

	if (verdict)
		return verdict;
	if (p->flags & PKT_NO_PORTS) {
		if (!service_has_address(&p->tuple))
			return XDP_PASS;
		return p->flags & PKT_TOO_DEEP ? DROP(EXT_HEADERS) : DROP(MALFORMED);
	}
	if (!p->tuple.proto && icmp_quoted(ctx, p))
		return XDP_PASS;
	p->service = service_find(&p->tuple);
	if (p->service)
		return to_backend(ctx, p, interface);
	return from_backend(ctx, p, interface);
}

static __always_inline int conclude(const struct pkt *p, __u32 place, int verdict)
{
	struct canary_interface_counters *counters = bpf_map_lookup_elem(&interface_counters, &place);
	struct canary_cohort_counters *cohort;
	__u32 reason;

	if (!counters)
		return XDP_ABORTED;
	if (verdict == XDP_PASS) {
		counters->count[CANARY_INTERFACE_PASSED]++;
		if (!p->service)
			counters->count[CANARY_INTERFACE_NOT_OURS]++;
		return XDP_PASS;
	}
	if (verdict > 0) {
		counters->count[CANARY_INTERFACE_FORWARDED]++;
		if (!(p->flags & PKT_RESET)) /* that was an answer */
			count_forwarded(p);
		return verdict;
	}
	reason = DROP_REASON(verdict);
	barrier_var(reason); /* or the compiler tests the verdict in its place, and the verifier loses the bound */
	if (reason >= CANARY_REASONS)
		return XDP_ABORTED;
	if (reason < CANARY_FIRST_COHORT_REASON) {
		counters->drops[reason]++;
		return XDP_DROP;
	}
	cohort = cohort_counters_of(p->service, p->cohort);
	if (cohort)
		cohort->drops[reason]++;
	return XDP_DROP;
}

SEC("xdp.frags")
int canary_xdp(struct xdp_md *ctx)
{
	__u32 place = ctx->ingress_ifindex % CANARY_MAX_INTERFACES;
	struct canary_interface *interface = bpf_map_lookup_elem(&interfaces, &place);
	struct pkt *p = pkt_new();

	if (!p || !interface || interface->ifindex != ctx->ingress_ifindex)
		return XDP_PASS;
	return conclude(p, place, steer(ctx, p, interface));
}

SEC("syscall")
int canary_commit(struct canary_commit_args *args)
{
	return commit(args);
}

/*
 * Starts the sweeper, or makes it run this program's code after an upgrade. Never attached: commands run it by
 * BPF_PROG_TEST_RUN. Of type XDP, as programs of type SYSCALL may not use the trie of segments.
 */
SEC("xdp")
int canary_arm(struct xdp_md *ctx)
{
	return sweep_arm();
}

SEC("tp_btf/xdp_bulk_tx")
int BPF_PROG(canary_bulk_tx, const struct net_device *device, int sent, int drops, int err)
{
	if (drops > 0)
		trace_lost(device, drops);
	return 0;
}

SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(canary_devmap_xmit, const struct net_device *from, const struct net_device *to, int sent, int drops,
	     int err)
{
	if (drops > 0)
		trace_lost(from, drops);
	return 0;
}

SEC("tp_btf/xdp_redirect_err")
int BPF_PROG(canary_redirect_err, const struct net_device *device)
{
	trace_lost(device, 1);
	return 0;
}

SEC("tp_btf/xdp_exception")
int BPF_PROG(canary_exception, const struct net_device *device)
{
	trace_lost(device, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
