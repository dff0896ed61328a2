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
#include "canary/capture.h"
#include "canary/filter.h"
#include "canary/hash.h"
#include "canary/select.h"
#include "canary/server_id.h"
#include "maps.h"
#include "pkt.h"
#include "parse.h"
#include "icmp.h"
#include "filter.h"
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
#include "fragment.h"
#include "quic.h"
#include "transition.h"
#include "event.h"
#include "outcome.h"
#include "guard.h"
#include "watched.h"
#include "watch.h"
#include "route.h"
#include "forward/frame.h"
#include "forward/l2.h"
#include "forward/gue.h"
#include "forward/alternate.h"
#include "forward/tunnel.h"
#include "forward/nat.h"
#include "answer.h"
#include "reset.h"
#include "echo.h"
#include "too_big.h"
#include "mss.h"
#include "capture.h"
#include "commit.h"
#include "sweep.h"
#include "trace.h"

static __always_inline int complete_checksum(struct xdp_md *ctx, const struct pkt *p,
					     const struct canary_interface *interface)
{
	if (!(interface->flags & CANARY_INTERFACE_PARTIAL_CHECKSUMS) ||
	    p->flags & (PKT_ICMP_ERROR | PKT_FRAGMENT | PKT_LATER))
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

/*
 * What assign() would say of most packets, with no call: those of settled flows in which nothing begins or ends, of services
 * that ask for no more than hash and weight. NULL: it is no such packet.
 */
static __always_inline struct canary_backend *assign_settled(struct pkt *p, const struct canary_config *config)
{
	struct canary_backend *backend;
	struct canary_hashes hashes;
	struct canary_choice choice;

	if (p->flags & ~(PKT_DATA | PKT_ANY_PORT) || p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) ||
	    p->tuple.proto != IPPROTO_TCP || p->word & (CANARY_WORD_OPEN | CANARY_WORD_STOPPED) ||
	    config->forward == CANARY_FORWARD_NAT || config->segment_set)
		return NULL;
	hashes = backend_hashes(p, config);
	if (held_test(canary_held_bit(&hashes)) || watch_is_on(hashes.flow))
		return NULL;
	choice = canary_choose(config, &hashes, -1, 0);
	if (!choice.word)
		return NULL;
	backend = backend_in_ring(choice.word, choice.slot, &p->backend);
	p->cohort = choice.cohort;
	p->hash = hashes.flow;
	return backend;
}

/* Fills in the packet's cohort and backend. 0, or a verdict. */
GLOBAL int assign(struct xdp_md *ctx)
{
	struct pkt *p = pkt_current();
	struct canary_config *config;
	struct assignment *a;
	int verdict;

	if (!p)
		return DROP(FAULT);
	a = &p->given;
	p->alternate = 0;
	config = service_config(p);
	if (config && config->lease_ns && flow_may_open(p) && guard_lease(p->service, p->word, pkt_now(p))) {
		p->word = 0;
		config = service_config(p); /* stopped, as of this packet */
	}
	if (!config)
		return XDP_PASS;
	if (config->affinity == CANARY_AFFINITY_QUIC)
		quic_find(ctx);
	verdict = flow_steer(p, config, a);
	p->cohort = verdict ? a->wanted : a->cohort;
	p->backend = a->backend;
	return !verdict && p->flags & PKT_FRAGMENT ? fragment_remember() : verdict;
}

static __always_inline int to_backend(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	const struct canary_addr *source = &p->tuple.client;
	struct canary_next_hop *hop = NULL;
	struct canary_backend *backend = NULL;
	struct canary_config *config;
	__u32 overhead = 0;
	int verdict = 0;

	config = service_config(p);
	if (!config)
		return XDP_PASS;
	if (p->flags & PKT_BROKEN)
		return DROP(MALFORMED);
	if (frame_expired(p))
		return XDP_PASS;
	backend = assign_settled(p, config);
	if (!backend) {
		if (!(p->flags & PKT_LATER))
			verdict = assign(ctx);
		if (verdict)
			return verdict;
		config = service_config(p);
		backend = backend_at(p->backend);
		if (!config || !backend)
			return DROP(FAULT);
		if (!(p->flags & PKT_LATER)) {
			watch(p, config, &p->given);
			alternate_consider(p, config, backend);
		}
		if (p->flags & PKT_RESET)
			return reset_answer(ctx);
	}
	if (config->forward != CANARY_FORWARD_NAT && backend_is_here(backend)) {
		count_forwarded(p); /* not in conclude(): kernel 6.1 refuses that, as clang 19 compiles it */
		return XDP_PASS;
	}
	if (tunnel_used(config)) {
		source = &backend->tunnel_source;
		overhead = tunnel_overhead(config, backend);
		if (!source->word[3])
			return DROP(NO_TUNNEL_SOURCE);
	}
	verdict = route_to_backend(ctx, p, source, backend, &hop);
	if (verdict)
		return verdict;
	if (frame_loops(ctx, p, config, backend, hop))
		return DROP(LOOP);
	if (!fits(ctx, p, overhead, hop, interface))
		return too_big(ctx, hop->mtu - overhead);
	verdict = complete_checksum(ctx, p, interface);
	if (!verdict && p->tcp_flags & TCP_SYN)
		verdict = mss_adjust(ctx, p, config, hop->mtu ? hop->mtu - overhead : 0);
	if (verdict)
		return verdict;

	switch (config->forward) {
	case CANARY_FORWARD_L2:
		verdict = forward_l2(ctx, p, hop);
		break;
	case CANARY_FORWARD_IPIP:
	case CANARY_FORWARD_GUE:
		verdict = forward_tunnel(ctx, p, config, backend, hop, overhead);
		/* Or clang puts it in the way of those that name nobody. */
		if (!verdict && __builtin_expect(p->flags & PKT_ALTERNATE, 0))
			verdict = alternate_name(ctx);
		break;
	default:
		verdict = frame_age(ctx, p);
		if (!verdict)
			verdict = nat_to_backend(ctx, p, backend);
		if (!verdict)
			verdict = frame_rewrite_in_place(ctx, p, hop);
	}
	return verdict ? verdict : frame_send(ctx, hop);
}

/* nat's way back. What is not a connection of ours with a backend is the host's own. */
static __always_inline int from_backend(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	struct canary_service *service;
	struct canary_next_hop *hop;
	struct canary_config *config;
	bool from_backend_itself;
	__u32 scratch = 0;
	__u16 port = 0;
	int verdict;

	if (!(p->flags & PKT_LATER) && (!filter_from_backend(&p->tuple) || !reverse_recall(p, &port)))
		return XDP_PASS;
	service = bpf_map_lookup_elem(&services, &p->service);
	if (!service)
		return XDP_PASS;
	p->word = *(volatile __u64 *)&service->word;
	if (!p->word) {
		p->service = 0;
		return XDP_PASS;
	}
	if (p->flags & PKT_BROKEN)
		return DROP(MALFORMED);
	if (frame_expired(p))
		return XDP_PASS;
	verdict = p->flags & PKT_FRAGMENT ? fragment_remember() : 0;
	if (verdict)
		return verdict;

	/* A client's next hop is not kept. The place of backend 0, which is none, saves the stack from it. */
	hop = bpf_map_lookup_elem(&next_hops, &scratch);
	if (!hop)
		return DROP(FAULT);
	verdict = route_lookup(ctx, p, &service->key.addr, &p->tuple.service, hop);
	if (verdict)
		return verdict;
	if (!fits(ctx, p, 0, hop, interface))
		return too_big(ctx, hop->mtu);
	verdict = complete_checksum(ctx, p, interface);
	if (!verdict)
		verdict = frame_age(ctx, p);
	if (verdict)
		return verdict;
	if (p->tcp_flags & TCP_SYN) {
		config = config_at(p->service, canary_view_now(p->word));
		verdict = config ? mss_adjust(ctx, p, config, hop->mtu) : DROP(FAULT);
	}
	if (verdict)
		return verdict;
	if (!(p->flags & PKT_LATER))
		watch_reply(p, service, port);
	from_backend_itself = frame_source_is(ctx, p, &p->tuple.client);
	verdict = nat_from_backend(ctx, p, &service->key.addr, port, from_backend_itself);
	if (!verdict)
		verdict = frame_rewrite_in_place(ctx, p, hop);
	return verdict ? verdict : frame_send(ctx, hop);
}

/* Whose packet is it? Fills in its service, where it has one; what a backend sent is found later. 0, or a verdict. */
static __always_inline int identify(struct xdp_md *ctx, struct pkt *p)
{
	if (p->flags & PKT_LATER)
		return fragment_follow();
	if (p->flags & PKT_NO_PORTS) {
		if (!service_has_address(&p->tuple))
			return XDP_PASS;
		return p->flags & PKT_TOO_DEEP ? DROP(EXT_HEADERS) : DROP(MALFORMED);
	}
	if (!p->tuple.proto && echo_requested(ctx, p))
		return echo_answer(ctx);
	if (!p->tuple.proto && icmp_quoted(ctx, p))
		return XDP_PASS;
	p->service = service_find(p);
	return 0;
}

static __always_inline int steer(struct xdp_md *ctx, struct pkt *p, const struct canary_interface *interface)
{
	int verdict = parse(ctx, p, interface);

	if (!verdict)
		verdict = identify(ctx, p);
	if (!verdict && p->service && !(p->flags & PKT_FROM_BACKEND))
		return to_backend(ctx, p, interface);
	if (!verdict)
		verdict = from_backend(ctx, p, interface);
	return verdict == XDP_PASS && p->flags & PKT_FRAGMENT ? fragment_forget() : verdict;
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
		if (!(p->flags & PKT_ANSWER))
			count_forwarded(p);
		return verdict;
	}
	reason = DROP_REASON(verdict);
	barrier_var(reason); /* or the compiler tests the verdict in its place, and the verifier loses the bound */
	if (reason < CANARY_FIRST_COHORT_REASON) {
		counters->drops[reason]++;
		return XDP_DROP;
	}
	reason -= CANARY_FIRST_COHORT_REASON;
	barrier_var(reason);
	if (reason >= CANARY_COHORT_REASONS)
		return XDP_ABORTED;
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
	int verdict;

	if (!p || !interface || interface->ifindex != ctx->ingress_ifindex)
		return XDP_PASS;
	if (interface->capturing)
		capture_arrival(ctx);
	verdict = steer(ctx, p, interface);
	if (p->flags & PKT_CAPTURED)
		capture_verdict(ctx, verdict);
	return conclude(p, place, verdict);
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
