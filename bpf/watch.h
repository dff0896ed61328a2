/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Watches how connections begin: from the SYN to the end of the handshake, and what follows it at once. For what it tells,
 * not for steering: nothing here moves a packet. A flow is watched by its bucket, when bucket and weight placed it; in a
 * table of its own, direct by hash, so that a flood can neither make it grow nor push anything else out.
 *
 * What is seen depends on the way of forwarding: with nat both ways, else only the client's packets.
 *
 *   OPENING    SYN seen. The client's ACK completes it, a RST or the sweeper ends it.
 *   LATE       it took too long and was counted as half open; it may complete yet.
 *   SETTLED    but for nat: completed. Only its end is of interest, for a while.
 *   OPEN       nat: completed, and neither side has sent a byte.
 *   ASKED      nat: the client has.
 *
 * A packet looks here if the bit of its flow's set in `watching` is set (a flow is there in another state than SETTLED) or
 * if it is a RST or FIN.
 */
#ifndef BPF_WATCH_H
#define BPF_WATCH_H

#define WATCH_FORGET_NS (130 * 1000000000ULL) /* a connection that has not opened by then never will */

/* Is read before the flow is moved on: another may take its place then, and would be charged with what became of it. */
static __always_inline struct outcome watch_outcome(const struct canary_watched *flow)
{
	return (struct outcome){.service = flow->service,
				.cohort = flow->cohort,
				.epoch = flow->epoch,
				.bucket = flow->bucket,
				.opened_ns = flow->opened_ns};
}

/* Nonzero: guard_trip() is due. */
static __always_inline int watch_count(struct outcome *outcome, __u32 what)
{
	outcome->what = what;
	return guard_outcome(outcome);
}

static __always_inline __u64 watch_timeout_ns(const struct canary_config *config)
{
	return config->handshake_timeout * NSEC_PER_MSEC;
}

/* Is the bucket among those that are watched? */
static __always_inline bool watch_wants(const struct canary_config *config, const struct assignment *a)
{
	if (a->cohort == CANARY_CANARY)
		return a->bucket < config->watched[CANARY_CANARY];
	return a->bucket - config->threshold < config->watched[CANARY_STABLE];
}

/* A connection that opens, and that is not there yet. */
static __always_inline void watch_begin(struct pkt *p, struct canary_watched_set *set, const struct assignment *a,
					__u64 now_ns)
{
	struct canary_guard *guard = guard_of(p->service);
	struct canary_watched *flow;
	struct canary_epoch *epoch;
	__u32 way;

	epoch = outcome_epoch(p->service, canary_word_epoch(p->word), now_ns);
	if (!epoch || !guard || !epoch->epoch)
		return; /* the epoch has not quite begun */
	way = watch_take(p->hash);
	if (way == WATCH_NONE) {
		guard_missed(guard, epoch, now_ns);
		return;
	}
	way = watch_bound(way);
	flow = &set->flow[way];
	flow->opened_ns = now_ns;
	flow->since_ns = now_ns;
	flow->isn = p->tcp_seq;
	flow->epoch = canary_word_epoch(p->word);
	flow->service = p->service;
	flow->bucket = a->bucket;
	flow->cohort = a->cohort;
	flow->answered = 0;
	outcome_add(epoch, a->cohort, CANARY_OUTCOME_OPENED);
	__sync_lock_test_and_set(&set->word[way], watch_word(p->hash, WATCH_OPENING));
	watch_on(watch_place(p->hash));
}

/*
 * A SYN. While SYNs of a tuple follow each other they are of one flow, whatever their ISN: nobody makes many failures with
 * one tuple. Nonzero: guard_trip() is due.
 */
GLOBAL int watch_open(const struct assignment *a)
{
	struct pkt *p = pkt_current();
	struct canary_watched_set *set;
	struct canary_watched *flow;
	struct canary_config *now;
	struct outcome outcome;
	__u64 now_ns, word;
	__u32 way, state;
	int trips = 0;

	if (!p || !a)
		return 0;
	set = watch_set(p->hash);
	now = config_at(p->service, canary_view_now(p->word));
	if (!set || !now)
		return 0;
	now_ns = bpf_ktime_get_ns();
	way = watch_find(p->hash);
	if (way != WATCH_NONE) {
		way = watch_bound(way);
		flow = &set->flow[way];
		word = watch_look(set, way, p->hash);
		if (!word)
			return 0;
		state = word & CANARY_WATCHED_STATE;
		outcome = watch_outcome(flow);
		if ((state == WATCH_OPENING || state == WATCH_LATE) && flow->cohort == a->cohort &&
		    (flow->isn == p->tcp_seq || elapsed_ns(now_ns, flow->since_ns) <= watch_timeout_ns(now))) {
			flow->isn = p->tcp_seq;
			flow->since_ns = now_ns;
			watch_count(&outcome, CANARY_OUTCOME_SYN_RETRANSMITS);
			return 0;
		}
		/* Another connection. One that is still opening went to the other cohort meanwhile: it failed where it was. */
		if (watch_turn(set, way, word, WATCH_FREE) && state == WATCH_OPENING)
			trips = watch_count(&outcome, CANARY_OUTCOME_HALF_OPEN);
		watch_off(watch_place(p->hash));
	}
	if (a->random && watch_wants(now, a))
		watch_begin(p, set, a, now_ns);
	return trips;
}

/*
 * Has the client of a completed connection given up before it got anything? In nat the flow would be gone by then. Else its
 * acknowledgement says so: many clients end short connections with a RST, and there is nothing wrong with that. A RST without
 * an acknowledgement answers a packet of the backend's.
 */
static __always_inline bool watch_got_nothing(const struct pkt *p, const struct canary_watched *flow, __u32 state)
{
	return state != WATCH_SETTLED || (p->tcp_flags & TCP_ACK && p->tcp_ack == flow->isn);
}

/* What a packet of the client's means to a flow in a state. Where it goes on to, and what is counted (or OPENED: nothing). */
struct watch_step {
	__u32 state;
	__u32 what;
};

static __always_inline struct watch_step watch_client(const struct pkt *p, const struct canary_watched *flow,
						      __u32 state, bool early)
{
	const struct watch_step stays = {.state = state}, gone = {};
	bool rst = p->tcp_flags & TCP_RST, fin = p->tcp_flags & TCP_FIN, data = p->flags & PKT_DATA;
	struct watch_step completes = {.state = WATCH_SETTLED, .what = CANARY_OUTCOME_COMPLETED};

	switch (state) {
	case WATCH_OPENING:
	case WATCH_LATE:
		/* Of this connection? The first packet that comes after the SYN may not be the first that was sent. */
		if (p->tcp_seq - flow->isn >= FLOW_FIRST_FLIGHT)
			return stays;
		if (rst)
			return state == WATCH_OPENING ? (struct watch_step){.what = CANARY_OUTCOME_CLIENT_RESET} : gone;
		if (!(p->tcp_flags & TCP_ACK) || p->tcp_seq == flow->isn)
			return stays;
		if (state == WATCH_LATE)
			return (struct watch_step){.what = CANARY_OUTCOME_LATE};
		if (p->flags & PKT_NAT)
			completes.state = data ? WATCH_ASKED : WATCH_OPEN;
		return completes;
	case WATCH_SETTLED:
	case WATCH_OPEN:
	case WATCH_ASKED:
		if (rst)
			return early && watch_got_nothing(p, flow, state)
				       ? (struct watch_step){.what = CANARY_OUTCOME_CLIENT_RESET_EARLY}
				       : gone;
		if (state == WATCH_OPEN && data)
			return (struct watch_step){.state = WATCH_ASKED};
		return fin && state != WATCH_ASKED ? gone : stays;
	default:
		return stays;
	}
}

/* What a packet of the backend's means: nat. */
static __always_inline struct watch_step watch_backend(const struct pkt *p, __u32 state, bool early)
{
	const struct watch_step stays = {.state = state}, gone = {};
	bool rst = p->tcp_flags & TCP_RST, fin = p->tcp_flags & TCP_FIN, data = p->flags & PKT_DATA;

	switch (state) {
	case WATCH_OPENING:
		return rst ? (struct watch_step){.what = CANARY_OUTCOME_REFUSED} : stays;
	case WATCH_LATE:
		return rst ? gone : stays;
	case WATCH_OPEN:
	case WATCH_ASKED:
		if (rst)
			return early ? (struct watch_step){.what = CANARY_OUTCOME_SERVER_RESET_EARLY} : gone;
		if (data)
			return gone;
		if (fin)
			return state == WATCH_ASKED ? (struct watch_step){.what = CANARY_OUTCOME_NO_REPLY} : gone;
		return stays;
	default:
		return stays;
	}
}

/* Times that a step ends. */
static __always_inline void watch_time(const struct pkt *p, const struct outcome *outcome, __u32 state, __u32 what,
				       __u64 opening_ns, __u64 answer_ns)
{
	if (what == CANARY_OUTCOME_COMPLETED)
		outcome_time(outcome->service, outcome->cohort, CANARY_HISTOGRAM_HANDSHAKE, opening_ns);
	else if (p->flags & PKT_FROM_BACKEND && p->flags & PKT_DATA && state == WATCH_ASKED && !what)
		outcome_time(outcome->service, outcome->cohort, CANARY_HISTOGRAM_RESPONSE, answer_ns);
}

/* A packet, from either side, of a flow that may be watched. Nonzero: guard_trip() is due. */
GLOBAL int watch_packet(__u64 hash)
{
	struct pkt *p = pkt_current();
	struct canary_watched_set *set = watch_set(hash);
	struct canary_watched *flow;
	struct canary_config *now;
	struct watch_step step;
	struct outcome outcome;
	__u64 now_ns, opening_ns, since_ns, word;
	__u32 way, state;
	int trips = 0;
	bool early;

	if (!p || !set)
		return 0;
	way = watch_find(hash);
	if (way == WATCH_NONE)
		return 0;
	way = watch_bound(way);
	flow = &set->flow[way];
	word = watch_look(set, way, hash);
	if (!word)
		return 0;
	state = word & CANARY_WATCHED_STATE;
	now = config_at(p->service, canary_view_now(p->word));
	if (!now)
		return 0;
	now_ns = bpf_ktime_get_ns();
	since_ns = flow->since_ns;
	opening_ns = elapsed_ns(now_ns, flow->opened_ns);
	outcome = watch_outcome(flow);
	early = elapsed_ns(now_ns, since_ns) <= watch_timeout_ns(now);
	if (p->flags & PKT_FROM_BACKEND) {
		step = watch_backend(p, state, early);
		if (p->tcp_flags & TCP_SYN && state == WATCH_OPENING && !flow->answered) {
			flow->answered = 1;
			outcome_time(outcome.service, outcome.cohort, CANARY_HISTOGRAM_SYN_ACK, opening_ns);
		}
	} else {
		step = watch_client(p, flow, state, early);
	}
	if (step.state == state)
		return 0;
	if (step.state > WATCH_BUSY)
		flow->since_ns = now_ns; /* before the state: the sweeper goes by it */
	if (step.state == WATCH_SETTLED)
		flow->isn = p->tcp_ack;
	if (!watch_turn(set, way, word, step.state))
		return 0;
	watch_time(p, &outcome, state, step.what, opening_ns, elapsed_ns(now_ns, since_ns));
	if (step.what)
		trips = watch_count(&outcome, step.what);
	if (step.state <= WATCH_BUSY || step.state == WATCH_SETTLED)
		watch_off(watch_place(hash));
	return trips;
}

/* A client's packet that was given to a backend. */
static __always_inline void watch(struct pkt *p, const struct canary_config *config, const struct assignment *a)
{
	int trips = 0;

	if (p->tuple.proto != IPPROTO_TCP || p->flags & PKT_ICMP_ERROR)
		return;
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		if (watch_is_on(p->hash) || (a->random && watch_wants(config, a)))
			trips = watch_open(a);
	} else if (p->tcp_flags & (TCP_RST | TCP_FIN) || watch_is_on(p->hash)) {
		trips = watch_packet(p->hash);
	}
	if (trips)
		guard_trip(p->service);
}

/* A backend's packet to a client: nat. */
static __always_inline void watch_reply(struct pkt *p, const struct canary_service *service, __u16 port)
{
	struct canary_tuple tuple = {.client = p->tuple.service,
				     .service = service->key.addr,
				     .client_port = p->tuple.port,
				     .port = port,
				     .proto = p->tuple.proto};
	__u64 hash;

	if (p->tuple.proto != IPPROTO_TCP || p->flags & PKT_ICMP_ERROR)
		return;
	hash = canary_flow_hash(&tables.keys, &tuple);
	if (watch_is_on(hash) && watch_packet(hash))
		guard_trip(p->service);
}

/* The sweeper's: what was to come by now and did not. */
static __always_inline void watch_expire(struct canary_watched_set *set, __u32 way, __u64 now_ns)
{
	__u64 word = *(volatile __u64 *)&set->word[way];
	__u32 state = word & CANARY_WATCHED_STATE;
	const struct canary_watched *flow = &set->flow[way];
	struct outcome outcome = watch_outcome(flow);
	__u32 id = outcome.service;
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	struct canary_config *now;
	__u64 timeout_ns;

	if (!service)
		return;
	now = config_at(id, canary_view_now(*(volatile __u64 *)&service->word));
	if (!now)
		return;
	timeout_ns = watch_timeout_ns(now);
	outcome.expired = true;
	if (state == WATCH_OPENING && elapsed_ns(now_ns, flow->opened_ns) > timeout_ns) {
		if (watch_turn(set, way, word, WATCH_LATE))
			watch_count(&outcome, CANARY_OUTCOME_HALF_OPEN);
	} else if (state == WATCH_LATE && elapsed_ns(now_ns, flow->since_ns) > WATCH_FORGET_NS) {
		watch_turn(set, way, word, WATCH_FREE);
	} else if (state > WATCH_LATE && elapsed_ns(now_ns, flow->since_ns) > timeout_ns) {
		if (watch_turn(set, way, word, WATCH_FREE) && state == WATCH_ASKED)
			watch_count(&outcome, CANARY_OUTCOME_NO_REPLY);
	}
}

static __always_inline void watch_sweep(__u32 place, __u64 now_ns)
{
	struct canary_watched_set *set = bpf_map_lookup_elem(&watched, &place);

	if (!set)
		return;
	for (__u32 i = 0; i < CANARY_WATCHED_WAYS; i++)
		if ((set->word[i] & CANARY_WATCHED_STATE) > WATCH_BUSY)
			watch_expire(set, i, now_ns);
	watch_off(place);
}

#endif