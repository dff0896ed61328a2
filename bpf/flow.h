/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Just-enough tracking: which backend a packet's flow has.
 *
 * The choice is a function of the configuration and the flow's hash, so a flow needs to be remembered only where that
 * function's answer changed during its life (compare "Load Balancing with JET", CoNEXT 2020). While a window is open,
 * two configurations count: `now`, and `oldest`, which was in force when the window opened. A packet is *settled* if
 * both choose the same backend for it and its `held` bit is clear: then no per-flow memory is read or written.
 *
 * Unsettled packets look for the flow. What is not remembered and does not open a flow is older than the window, as
 * a flow born inside it was remembered, or chosen as `oldest` would; so `oldest` tells its backend.
 *
 * A TCP flow is in `embryonic`, with the client's initial sequence number (ISN), from its SYN on, and in the table from
 * the ACK that completes the handshake on. The same ISN again is a retransmission and gets the same backend, whatever
 * changed since. A SYN with another ISN on an established tuple may be a new connection or forged: it lies *beside* the
 * established entry, which stays in force until an ACK with that ISN + 1 shows that the client means it.
 *
 * nat and sticky UDP remember every flow: for them every packet is unsettled.
 *
 * But a flow that was born inside the window on another balancer, and that a router moved here, is not remembered either:
 * that `oldest` has its backend is a guess. In gue such a packet, and those that follow what was remembered of it, name the
 * backend that `now` chooses as their alternate (compare "Stateless Datacenter Load-balancing with Beamer", NSDI 2018). Only
 * of TCP: a datagram does not say whether it opens a flow, nor a socket whether it knows of it.
 */
#ifndef BPF_FLOW_H
#define BPF_FLOW_H

#define FLOW_NAT_TRIES 8 /* backends that nat tries for a clashing connection ... */
#define FLOW_NAT_SLOTS 512 /* ... within so many slots of the ring */
#define FLOW_REFRESH_NS 1000000000ULL /* an entry's time is kept to this precision */
#define FLOW_RESET_NS 1000000000ULL /* what is left of an entry's life after a RST */
#define FLOW_OPEN_RATE 40000 /* a second: what `embryonic` holds for longer than a handshake takes */
#define FLOW_REMEMBER_RATE 100000

/* What a client may send before the first acknowledgement: how far beyond the SYN its first packet to arrive may be. */
#define FLOW_FIRST_FLIGHT 65536
/* So long, at least, last the bits of opening flows. */
#define FLOW_OPENING_NS ((CANARY_OPENING_PASSES - 1) * (2 * CANARY_FLOW_SHARDS + 1) * CANARY_SWEEP_TICK_NS)

/* Above this (in 1/8 of a shard) no new flow is let into a window, so that those that were can be promoted ... */
#define FLOW_OPEN_BELOW 7
/* ... and above this an older flow is only remembered when a second packet of it comes: a flood's never does. */
#define FLOW_REMEMBER_BELOW 4

/*
 * RST and FIN create nothing, and neither does what a client never sends (SYN+ACK), or an ICMP error: no entry, and no
 * way back, which one forged packet could claim for a tuple of the host's own.
 */
static __always_inline bool flow_creates(const struct pkt *p)
{
	return !(p->flags & PKT_ICMP_ERROR) && !(p->tcp_flags & (TCP_FIN | TCP_RST)) &&
	       (p->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK);
}

/* Might the packet open a flow? Of datagrams each may. */
static __always_inline bool flow_may_open(const struct pkt *p)
{
	return p->tuple.proto == IPPROTO_UDP || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* nat, where the chosen backend cannot tell the client's connections apart: on along the ring, to others. */
struct flow_detour {
	struct assignment *a;
	struct canary_ring ring;
	__u32 first, last; /* backends that were tried */
	__u32 tries;
	int verdict;
};

static long flow_next_backend(__u32 i, struct flow_detour *detour)
{
	struct assignment *a = detour->a;

	a->slot = a->slot + 1 < detour->ring.size ? a->slot + 1 : 0;
	backend_take(canary_ring_word(&detour->ring, a->slot), a);
	if (!a->backend || a->backend == detour->first || a->backend == detour->last)
		return 0;
	detour->last = a->backend;
	detour->verdict = reverse_reserve(a, false);
	return detour->verdict != DROP(NAT_COLLISION) || ++detour->tries == FLOW_NAT_TRIES;
}

/* Chooses by a view of the service's configurations and, in nat, reserves the way back. 0, or a reason to drop. */
GLOBAL int flow_choose(__u32 view, struct assignment *ret)
{
	struct pkt *p = pkt_current();
	const struct canary_config *config;
	struct flow_detour detour = {};

	if (!p || !ret)
		return DROP(FAULT);
	config = config_at(p->service, view);
	if (!config)
		return DROP(FAULT);
	backend_choose(p, config, view, ret);
	if (!ret->backend)
		return DROP(NO_BACKEND);
	if (!(p->flags & PKT_NAT) || !flow_creates(p))
		return 0;
	detour.verdict = reverse_reserve(ret, false);
	if (detour.verdict != DROP(NAT_COLLISION))
		return detour.verdict;
	detour.a = ret;
	detour.ring = config->ring[ret->cohort & 1];
	detour.first = ret->backend;
	bpf_loop(FLOW_NAT_SLOTS, flow_next_backend, &detour, 0);
	return detour.verdict;
}

/* How long the flow was silent. */
static __always_inline __u64 flow_silence(const struct pkt *p, const struct canary_flow *flow)
{
	return elapsed_ns(p->now_ns, flow->seen_ns);
}

static __always_inline bool flow_recall(struct pkt *p, const struct canary_flow *flow, struct assignment *ret)
{
	const struct canary_flow entry = {.backend = *(volatile __u32 *)&flow->backend,
					  .generation = *(volatile __u32 *)&flow->generation};
	const struct canary_backend *backend = backend_alive(entry.backend, entry.generation);

	/* Another CPU may have given the entry's place to another flow. At worst that is one of this service. */
	if (!backend || backend->service != p->service)
		return false;
	if (flow->flags & CANARY_FLOW_RESET && flow_silence(p, flow) > FLOW_RESET_NS)
		return false;
	if (p->tuple.proto == IPPROTO_UDP && flow_silence(p, flow) > p->idle_ns + FLOW_REFRESH_NS)
		return false;
	ret->backend = entry.backend;
	ret->generation = entry.generation;
	ret->random = false;
	ret->wanted = ret->cohort = flow->flags & CANARY_FLOW_CANARY ? CANARY_CANARY : CANARY_STABLE;
	p->alternate = flow->alternate;
	return true;
}

static __always_inline void flow_touch(struct canary_flow *flow, const struct pkt *p)
{
	if (p->flags & PKT_ICMP_ERROR)
		return; /* it is not the client that speaks */
	if (flow_silence(p, flow) > FLOW_REFRESH_NS)
		flow->seen_ns = p->now_ns;
	if (p->tcp_flags & TCP_FIN)
		__sync_fetch_and_or(&flow->flags, CANARY_FLOW_CLOSING);
	/* Anybody can forge a RST that the backend will ignore: a flow that goes on after it was not ended. */
	if (p->tcp_flags & TCP_RST) {
		flow->seen_ns = p->now_ns;
		__sync_fetch_and_or(&flow->flags, CANARY_FLOW_RESET);
	} else if (flow->flags & CANARY_FLOW_RESET) {
		__sync_fetch_and_and(&flow->flags, ~CANARY_FLOW_RESET);
	}
}

static __always_inline void flow_skipped(const struct pkt *p)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &p->service);

	if (service)
		service->skipped_ns = p->now_ns;
}

/* Lets an opening flow, and its bit, last as long as if it opened now. */
static __always_inline void flow_linger(const struct pkt *p, struct canary_flow *opening)
{
	opening->seen_ns = p->now_ns;
	if (!(p->flags & PKT_ALWAYS))
		held_opening(p->held);
}

/* A packet that opens a flow: a retransmission, or a new flow. Never touches what an established flow has. */
GLOBAL int flow_open(struct assignment *ret)
{
	struct pkt *p = pkt_current();
	struct canary_flow *established, *earlier;
	bool window, noted;
	int verdict;

	if (!p || !ret)
		return DROP(FAULT);
	window = p->word & CANARY_WORD_OPEN;
	established = table_find(p);
	earlier = bpf_map_lookup_elem(&embryonic, &p->key);
	if (established && established->isn == p->tcp_seq && flow_recall(p, established, ret))
		return 0;
	if (earlier && earlier->isn == p->tcp_seq && flow_recall(p, earlier, ret)) {
		/* The handshake begins anew, and so does the time that it may take. */
		flow_linger(p, earlier);
		return 0;
	}

	/* A note is all there is of a flow that goes on: a SYN, which may be forged, does not take its place. */
	noted = earlier && earlier->flags & CANARY_FLOW_NOTED && flow_silence(p, earlier) <= FLOW_OPENING_NS;
	if (p->flags & PKT_ALWAYS ||
	    (!noted && table_below(p, FLOW_OPEN_BELOW) && limit_allows(LIMIT_OPEN, FLOW_OPEN_RATE, p->now_ns))) {
		verdict = flow_choose(canary_view_now(p->word), ret);
		if (verdict)
			return verdict;
		if (established)
			__sync_fetch_and_or(&established->flags, CANARY_FLOW_BESIDE);
		if (table_open(p, ret, 0)) {
			count_flow(p->service, ret);
			return 0;
		}
	}
	/* It cannot be remembered: it gets what needs no memory, the older choice or what its tuple had before. */
	if (established && flow_recall(p, established, ret)) {
		established->seen_ns = p->now_ns;
		__sync_fetch_and_and(&established->flags, ~(CANARY_FLOW_CLOSING | CANARY_FLOW_RESET));
		/* The sweeper may have ended it just before; from now on it does not. */
		if (table_find(p)) {
			count_flow(p->service, ret);
			return 0;
		}
	}
	verdict = flow_choose(window ? canary_word_oldest(p->word) : canary_view_now(p->word), ret);
	if (verdict)
		return verdict;
	if (window) {
		ret->random = false;
		flow_skipped(p);
		count_cohort(p->service, ret->cohort, CANARY_COHORT_FALLBACK, 1);
	}
	count_flow(p->service, ret);
	return 0;
}

/* Puts a flow into the table and, in nat, its way back beside it; the ways of what it replaces, or of a failure, go. */
static __always_inline bool flow_keep(struct pkt *p, const struct assignment *a, __u32 isn, __u32 flags)
{
	struct canary_flow *before;

	if (p->flags & PKT_NAT) {
		before = table_find(p);
		if (before && before->backend != a->backend)
			reverse_release(p, before);
		if (reverse_reserve(a, true))
			return false;
	}
	if (table_put(p, a, isn, flags))
		return true;
	if (p->flags & PKT_NAT) {
		bpf_map_delete_elem(&reverse, &p->back_key);
		bpf_map_update_elem(&reverse_embryonic, &p->back_key, &p->back, BPF_ANY);
	}
	return false;
}

/* Puts an opening flow among the established ones. Where there is no room it stays where it is, and is found there. */
static __always_inline void flow_promote(struct pkt *p, struct canary_flow *opening, const struct assignment *a)
{
	if (flow_keep(p, a, opening->isn, 0)) {
		bpf_map_delete_elem(&embryonic, &p->key);
		return;
	}
	flow_skipped(p);
	if (opening->flags & CANARY_FLOW_NOTED && flow_silence(p, opening) <= FLOW_REFRESH_NS)
		return;
	/* Its bit would not last, and its packets are beyond the handshake from now on. */
	__sync_fetch_and_or(&opening->flags, CANARY_FLOW_NOTED);
	flow_linger(p, opening);
}

/* A flow that is not remembered, and older than the window: chosen as before it, and remembered where that matters. */
static __always_inline int flow_old(struct pkt *p, bool moved, bool beside, struct assignment *ret)
{
	bool window = p->word & CANARY_WORD_OPEN;
	int verdict;

	verdict = flow_choose(window ? canary_word_oldest(p->word) : canary_view_now(p->word), ret);
	if (verdict == DROP(NO_BACKEND) && window) {
		/* Its backend is gone: it moves. */
		verdict = flow_choose(canary_view_now(p->word), ret);
		moved = true;
	}
	if (verdict)
		return verdict;
	if (p->alternate == ret->backend)
		p->alternate = 0;
	if (!flow_creates(p)) {
		if (p->tcp_flags & TCP_FIN) /* more may come of it: the window stays open meanwhile */
			flow_skipped(p);
		return 0;
	}
	if (!moved && !(p->flags & (PKT_ALWAYS | PKT_DIFFERS)))
		return 0; /* the bit is another flow's: both configurations agree on this one */
	if (table_below(p, FLOW_REMEMBER_BELOW) && limit_allows(LIMIT_REMEMBER, FLOW_REMEMBER_RATE, p->now_ns) &&
	    flow_keep(p, ret, 0, beside ? CANARY_FLOW_BESIDE : 0)) {
		if (moved)
			count_cohort(p->service, ret->cohort, CANARY_COHORT_MOVED, 1);
		return 0;
	}
	/* The next packet gets the same answer, or finds what is noted here; the window stays open for it meanwhile. */
	if (!beside)
		table_open(p, ret, CANARY_FLOW_NOTED);
	flow_skipped(p);
	count_cohort(p->service, ret->cohort, CANARY_COHORT_SKIPPED, 1);
	return 0;
}

/*
 * May the packet belong to what is in `embryonic`? Anybody can forge a SYN: the entry may lie beside a flow of which
 * nothing is remembered. The first packet that comes after the SYN may not be the first that was sent. And what is older
 * than its bit lasts may be a tuple's former life: flows that came later were not kept from passing it by.
 */
static __always_inline bool flow_fits(const struct pkt *p, const struct canary_flow *opening)
{
	if (flow_silence(p, opening) > FLOW_OPENING_NS)
		return false;
	return opening->flags & CANARY_FLOW_NOTED || p->flags & PKT_ICMP_ERROR ||
	       p->tcp_seq - opening->isn - 1 < FLOW_FIRST_FLIGHT;
}

/* A packet in the midst of a flow. */
static __always_inline int flow_continue(struct assignment *ret)
{
	struct pkt *p = pkt_current();
	struct canary_flow *flow, *opening;
	bool moved = false;

	if (!p || !ret)
		return DROP(FAULT);
	flow = table_find(p);
	if (flow && !(flow->flags & CANARY_FLOW_BESIDE)) {
		if (flow_recall(p, flow, ret)) {
			flow_touch(flow, p);
			return 0;
		}
		moved = !(flow->flags & CANARY_FLOW_RESET);
	}
	opening = bpf_map_lookup_elem(&embryonic, &p->key);
	if (flow && flow->flags & CANARY_FLOW_BESIDE) {
		/* Only the ACK of the new handshake ends the established flow's right to the tuple. */
		if (opening && opening->isn + 1 == p->tcp_seq && p->tcp_flags & TCP_ACK && flow_creates(p) &&
		    flow_recall(p, opening, ret)) {
			flow_promote(p, opening, ret);
			return 0;
		}
		if (flow_recall(p, flow, ret)) {
			flow_touch(flow, p);
			return 0;
		}
	}
	if (opening && flow_fits(p, opening) && flow_recall(p, opening, ret)) {
		if (flow_creates(p))
			flow_promote(p, opening, ret);
		return 0;
	}
	return flow_old(p, moved, opening && !(opening->flags & CANARY_FLOW_NOTED), ret);
}

/*
 * A datagram of a sticky service. Its first one opens the flow (FLOW_OPENS: that is flow_open()'s, which is not called from
 * here for the stack's sake), its second promotes it.
 */
#define FLOW_OPENS 1
GLOBAL int flow_datagram(struct assignment *ret)
{
	struct pkt *p = pkt_current();
	struct canary_flow *flow, *opening;

	if (!p || !ret)
		return DROP(FAULT);
	flow = table_find(p);
	if (flow && flow_recall(p, flow, ret)) {
		flow_touch(flow, p);
		return 0;
	}
	opening = bpf_map_lookup_elem(&embryonic, &p->key);
	if (opening && flow_recall(p, opening, ret)) {
		if (flow_creates(p))
			flow_promote(p, opening, ret);
		return 0;
	}
	if (p->flags & PKT_ICMP_ERROR)
		return flow_choose(canary_view_now(p->word), ret);
	if (flow && elapsed_ns(p->now_ns, flow->seen_ns) <= p->idle_ns)
		return flow_old(p, true, false, ret);
	return FLOW_OPENS;
}

/*
 * A datagram whose connection id names its backend: that one gets it, whatever is remembered of its addresses and ports. A
 * connection that has come to a new path is remembered there as well: for nat's way back, and for ICMP errors, which have
 * no such id. But anybody can forge one, so what goes on at these addresses and ports keeps them.
 */
GLOBAL int flow_named(struct assignment *ret)
{
	struct pkt *p = pkt_current();
	struct assignment other;
	struct canary_flow *flow;
	bool taken = false;
	int verdict;

	if (!p || !ret)
		return DROP(FAULT);
	flow = table_find(p);
	if (flow && flow_recall(p, flow, &other)) {
		if (other.backend == ret->backend) {
			flow_touch(flow, p);
			return 0;
		}
		taken = true;
	}
	flow = bpf_map_lookup_elem(&embryonic, &p->key);
	if (!taken && flow && flow_recall(p, flow, &other)) {
		if (other.backend == ret->backend) {
			flow_promote(p, flow, ret);
			return 0;
		}
		taken = true;
	}
	if (p->flags & PKT_NAT) {
		verdict = reverse_reserve(ret, false);
		if (verdict)
			return verdict;
	}
	if (!taken)
		table_open(p, ret, 0);
	return 0;
}

/*
 * Fills in p->cohort and p->backend. 0, or a reason to drop, charged to the cohort that was wanted. Settled packets end
 * here, and so do those of UDP services that are not sticky.
 */
static __always_inline int flow_steer(struct pkt *p, const struct canary_config *now, struct assignment *a)
{
	bool udp = p->tuple.proto == IPPROTO_UDP, always, opens;
	struct assignment before, chosen;
	struct canary_config *oldest;
	int verdict = 0;

	always = canary_remembers_all(udp, now->forward, now->affinity, now->track);
	opens = (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	if (now->forward == CANARY_FORWARD_NAT)
		p->flags |= PKT_NAT;
	backend_choose(p, now, canary_view_now(p->word), a);
	if (p->flags & PKT_NAMED) {
		*a = (struct assignment){.backend = p->named.backend,
					 .generation = p->named.generation,
					 .wanted = p->named.cohort,
					 .cohort = p->named.cohort};
		count_cohort(p->service, a->cohort, CANARY_COHORT_BY_ID, 1);
	}
	if (always) {
		p->flags |= PKT_ALWAYS;
	} else {
		if (!udp && p->word & CANARY_WORD_OPEN) {
			oldest = config_at(p->service, canary_word_oldest(p->word));
			if (!oldest)
				return DROP(FAULT);
			backend_choose(p, oldest, canary_word_oldest(p->word), &before);
			if (before.backend != a->backend)
				p->flags |= PKT_DIFFERS;
		}
		if (udp || (!(p->flags & PKT_DIFFERS) && !held_test(p->held))) {
			if (!a->backend)
				return DROP(NO_BACKEND);
			if ((udp || opens) && !(p->flags & (PKT_NAMED | PKT_ICMP_ERROR)))
				count_flow(p->service, a);
			return 0;
		}
	}
	p->idle_ns = now->idle_timeout * 1000000000ULL;
	pkt_now(p);
	table_key(p);
	if (udp)
		verdict = p->flags & PKT_NAMED ? flow_named(a) : flow_datagram(a);
	if (opens || verdict == FLOW_OPENS)
		verdict = flow_open(a);
	if (udp || opens)
		return verdict;
	chosen = *a;
	if (p->flags & PKT_DIFFERS && now->forward == CANARY_FORWARD_GUE)
		p->alternate = chosen.backend;
	verdict = flow_continue(a);
	/* Whom a stop left behind lives on: nobody asked for that. */
	if (!verdict && now->reset_ns && now->reset_ns <= p->now_ns && chosen.backend && a->cohort != chosen.cohort &&
	    !(p->tcp_flags & TCP_RST) && !(p->word & CANARY_WORD_STOPPED))
		p->flags |= PKT_RESET;
	return verdict;
}

#endif
