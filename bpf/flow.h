/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which backend a packet's flow has: the one it was given before, else one chosen by the configuration in force and
 * remembered. A TCP flow is remembered in `embryonic`, with the client's initial sequence number (ISN), from its SYN
 * on, and in `flows` from the ACK that completes the handshake on:
 *
 *  - the same ISN again is a retransmission, and gets the same backend, whatever changed since;
 *  - a SYN with another ISN on an established tuple may be a new connection or forged. It lies *beside* the established
 *    entry, which stays in force until an ACK with that ISN + 1 shows that the client means it.
 */
#ifndef BPF_FLOW_H
#define BPF_FLOW_H

#define FLOW_NAT_TRIES 8 /* backends that nat tries for a clashing connection ... */
#define FLOW_NAT_SLOTS 512 /* ... within so many slots of the ring */
#define FLOW_REFRESH_NS 1000000000ULL /* an entry's time is kept to this precision */
#define FLOW_RESET_NS 1000000000ULL /* what is left of an entry's life after a RST */
#define FLOW_UDP_IDLE_NS (60 * 1000000000ULL) /* a tracked UDP flow that was silent for so long is a new one */

static __always_inline bool flow_is_tracked(const struct pkt *p, const struct canary_config *config)
{
	return p->tuple.proto == IPPROTO_TCP || config->forward == CANARY_FORWARD_NAT ||
	       config->track == CANARY_TRACK_ALWAYS;
}

static __always_inline void flow_key(const struct pkt *p, struct canary_flow_key *key)
{
	key->client = p->tuple.client;
	key->service = p->service;
	key->client_port = p->tuple.client_port;
	key->port = p->tuple.port;
}

/*
 * RST and FIN create nothing, and neither does what a client never sends (SYN+ACK), or an ICMP error: no entry, and no
 * way back, which one forged packet could claim for a tuple of the host's own.
 */
static __always_inline bool flow_creates(const struct pkt *p)
{
	return !(p->flags & PKT_ICMP_ERROR) && !(p->tcp_flags & (TCP_FIN | TCP_RST)) &&
	       (p->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK);
}

/* nat, where the chosen backend cannot tell the client's connections apart: on along the ring, to others. */
struct flow_detour {
	const struct pkt *p;
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
	detour->verdict = reverse_reserve(detour->p, a);
	return detour->verdict != DROP(NAT_COLLISION) || ++detour->tries == FLOW_NAT_TRIES;
}

/* Chooses for a flow that is not remembered and, in nat, reserves its way back. 0, or a reason to drop. */
GLOBAL int flow_choose(const struct pkt *p, const struct canary_config *config, bool any_port, struct assignment *ret)
{
	struct flow_detour detour = {};

	if (!p || !config || !ret)
		return DROP(FAULT);
	backend_choose(config, &p->tuple, any_port, ret);
	if (!ret->backend)
		return DROP(NO_BACKEND);
	if (config->forward != CANARY_FORWARD_NAT || !flow_creates(p))
		return 0;
	detour.verdict = reverse_reserve(p, ret);
	if (detour.verdict != DROP(NAT_COLLISION))
		return detour.verdict;
	detour.p = p;
	detour.a = ret;
	detour.ring = config->ring[ret->cohort & 1];
	detour.first = ret->backend;
	bpf_loop(FLOW_NAT_SLOTS, flow_next_backend, &detour, 0);
	return detour.verdict;
}

static __always_inline __u32 flow_cohort(const struct canary_flow *flow)
{
	return flow->flags & CANARY_FLOW_CANARY ? CANARY_CANARY : CANARY_STABLE;
}

static __always_inline bool flow_recall(const struct pkt *p, const struct canary_flow *flow, struct assignment *ret)
{
	if (!backend_alive(flow->backend, flow->generation))
		return false;
	if (flow->flags & CANARY_FLOW_RESET && p->now_ns - flow->seen_ns > FLOW_RESET_NS)
		return false;
	ret->backend = flow->backend;
	ret->generation = flow->generation;
	ret->wanted = ret->cohort = flow_cohort(flow);
	return true;
}

static __always_inline void flow_touch(struct canary_flow *flow, const struct pkt *p)
{
	if (p->now_ns - flow->seen_ns > FLOW_REFRESH_NS)
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

static __always_inline void flow_fill(struct canary_flow *flow, const struct pkt *p, const struct assignment *a)
{
	flow->backend = a->backend;
	flow->generation = a->generation;
	flow->seen_ns = p->now_ns;
	flow->flags = a->cohort == CANARY_CANARY ? CANARY_FLOW_CANARY : 0;
}

/* A SYN: a retransmission, or a new flow. Never touches what an established flow has. */
static __always_inline int flow_open(struct pkt *p, const struct canary_config *config, bool any_port,
				     const struct canary_flow_key *key, struct assignment *ret)
{
	struct canary_flow *established = bpf_map_lookup_elem(&flows, key);
	struct canary_flow *earlier = bpf_map_lookup_elem(&embryonic, key);
	struct canary_flow entry = {.isn = p->tcp_seq};
	int verdict;

	if (established && established->isn == p->tcp_seq && flow_recall(p, established, ret))
		return 0;
	if (earlier && earlier->isn == p->tcp_seq && flow_recall(p, earlier, ret))
		return 0;
	verdict = flow_choose(p, config, any_port, ret);
	if (verdict)
		return verdict;
	flow_fill(&entry, p, ret);
	/* A full table evicts another embryonic entry, whose next packet chooses as the configuration then says. */
	bpf_map_update_elem(&embryonic, key, &entry, BPF_ANY);
	if (established)
		__sync_fetch_and_or(&established->flags, CANARY_FLOW_BESIDE);
	count_flow(p->service, ret);
	return 0;
}

/* A packet of a flow that is not in `flows`: its handshake completes, or it is older than our memory. */
static __always_inline int flow_adopt(struct pkt *p, const struct canary_config *config, bool any_port,
				      const struct canary_flow_key *key, struct assignment *ret)
{
	struct canary_flow *opening = bpf_map_lookup_elem(&embryonic, key);
	struct canary_flow entry = {};
	int verdict;

	if (opening && flow_recall(p, opening, ret)) {
		entry.isn = opening->isn;
	} else {
		verdict = flow_choose(p, config, any_port, ret);
		if (verdict)
			return verdict;
	}
	if (!flow_creates(p))
		return 0;
	flow_fill(&entry, p, ret);
	bpf_map_update_elem(&flows, key, &entry, BPF_ANY);
	if (opening)
		bpf_map_delete_elem(&embryonic, key);
	return 0;
}

/* An established flow whose tuple was opened anew: does this packet complete the new handshake? */
static __always_inline bool flow_promote(struct pkt *p, const struct canary_flow_key *key, struct assignment *ret)
{
	struct canary_flow *opening = bpf_map_lookup_elem(&embryonic, key);
	struct canary_flow entry = {};

	if (!opening || opening->isn + 1 != p->tcp_seq || !(p->tcp_flags & TCP_ACK) || p->tcp_flags & TCP_RST ||
	    !flow_recall(p, opening, ret))
		return false;
	entry.isn = opening->isn;
	flow_fill(&entry, p, ret);
	bpf_map_update_elem(&flows, key, &entry, BPF_ANY);
	bpf_map_delete_elem(&embryonic, key);
	return true;
}

GLOBAL int flow_tcp(struct pkt *p, const struct canary_config *config, bool any_port, struct assignment *ret)
{
	struct canary_flow_key key;
	struct canary_flow *flow;
	bool ended;
	int verdict;

	if (!p || !config || !ret)
		return DROP(FAULT);
	flow_key(p, &key);
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return flow_open(p, config, any_port, &key, ret);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return flow_adopt(p, config, any_port, &key, ret);
	if (flow->flags & CANARY_FLOW_BESIDE && flow_promote(p, &key, ret))
		return 0;
	if (flow_recall(p, flow, ret)) {
		flow_touch(flow, p);
		return 0;
	}
	ended = flow->flags & CANARY_FLOW_RESET;
	verdict = flow_adopt(p, config, any_port, &key, ret);
	if (!verdict && !ended && flow_creates(p))
		count_cohort(p->service, ret->cohort, CANARY_COHORT_MOVED, 1);
	return verdict;
}

GLOBAL int flow_udp(struct pkt *p, const struct canary_config *config, bool any_port, struct assignment *ret)
{
	struct canary_flow entry = {};
	struct canary_flow_key key;
	struct canary_flow *flow;
	bool moved = false;
	int verdict;

	if (!p || !config || !ret)
		return DROP(FAULT);
	flow_key(p, &key);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow && p->now_ns - flow->seen_ns < FLOW_UDP_IDLE_NS) {
		if (flow_recall(p, flow, ret)) {
			flow_touch(flow, p);
			return 0;
		}
		moved = true;
	}
	verdict = flow_choose(p, config, any_port, ret);
	if (verdict || p->flags & PKT_ICMP_ERROR)
		return verdict;
	flow_fill(&entry, p, ret);
	bpf_map_update_elem(&flows, &key, &entry, BPF_ANY);
	if (moved)
		count_cohort(p->service, ret->cohort, CANARY_COHORT_MOVED, 1);
	else
		count_flow(p->service, ret);
	return 0;
}

/* Fills in p->cohort and p->backend. 0, or a reason to drop, charged to the cohort that was wanted. */
static __always_inline int flow_steer(struct pkt *p, const struct canary_config *config, bool any_port)
{
	struct assignment a = {};
	int verdict;

	if (!flow_is_tracked(p, config)) {
		verdict = flow_choose(p, config, any_port, &a);
		if (!verdict && !(p->flags & PKT_ICMP_ERROR))
			count_flow(p->service, &a);
	} else if (p->tuple.proto == IPPROTO_TCP) {
		verdict = flow_tcp(p, config, any_port, &a);
	} else {
		verdict = flow_udp(p, config, any_port, &a);
	}
	p->cohort = verdict ? a.wanted : a.cohort;
	p->backend = a.backend;
	return verdict;
}

#endif
