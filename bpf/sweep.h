/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What runs with nobody in user space: a timer that ends flows that are over, makes the `held` bitmap anew, and closes
 * windows. It works in slices: a tick clears or walks one part in CANARY_FLOW_SHARDS, so that no run takes long.
 */
#ifndef BPF_SWEEP_H
#define BPF_SWEEP_H

#define SWEEP_CLOCK_MONOTONIC 1
#define SWEEP_CLOSING_NS (60 * 1000000000ULL) /* what is left of an entry's life after the client's FIN ... */
#define SWEEP_CLOSED_NS (2 * 1000000000ULL) /* ... and after both sides' */
#define SWEEP_SERVICES (CANARY_MAX_SERVICES / CANARY_FLOW_SHARDS) /* looked at in a tick */
#define SWEEP_STEPS (2 * CANARY_FLOW_SHARDS)

const volatile char sweep_build[CANARY_NAME_LEN] = "";

struct sweep {
	struct canary_sweeper *state;
	void *shard;
	__u64 now_ns;
	__u32 first; /* of the words, services or sets of this tick */
	__u32 bitmap; /* the one that is being made */
	__u32 number; /* of the shard */
};

static long sweep_clear_word(__u32 i, struct sweep *sweep)
{
	__u32 key = sweep->first + i;
	__u64 *word = bpf_map_lookup_elem(&held, &key);

	if (word)
		*word = 0;
	return 0;
}

static __always_inline void sweep_clear(struct sweep *sweep, __u32 bitmap, __u32 slice)
{
	sweep->first = bitmap * HELD_WORDS + slice * (HELD_WORDS / CANARY_FLOW_SHARDS);
	bpf_loop(HELD_WORDS / CANARY_FLOW_SHARDS, sweep_clear_word, sweep, 0);
}

/* Would the flow be chosen the same backend without its entry? */
static __always_inline bool sweep_agrees(const struct canary_flow *flow, const struct canary_config *now, __u32 view,
					 struct pkt *p)
{
	struct assignment a;

	backend_choose(p, now, view, &a);
	return a.backend == flow->backend && a.generation == flow->generation;
}

static __always_inline bool sweep_idle(const struct canary_flow *flow, const struct canary_reverse *reply,
				       const struct canary_config *now, __u64 now_ns)
{
	__u64 timeout = now->idle_timeout * 1000000000ULL, closing = SWEEP_CLOSING_NS, seen_ns = flow->seen_ns;

	if (reply && reply->seen_ns > seen_ns)
		seen_ns = reply->seen_ns;
	if (reply && reply->closing)
		closing = SWEEP_CLOSED_NS;
	if (flow->flags & CANARY_FLOW_CLOSING && timeout > closing)
		timeout = closing;
	if (flow->flags & CANARY_FLOW_RESET)
		timeout = FLOW_RESET_NS;
	return elapsed_ns(now_ns, seen_ns) > timeout + FLOW_REFRESH_NS;
}

/* A scratch packet of the sweeper's own: packets may come in between. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pkt);
} sweep_scratch SEC(".maps");

/* Does the entry have to stay? Leaves the flow's tuple in the scratch. */
static __always_inline bool sweep_keeps(const struct canary_flow_key *key, const struct canary_flow *flow,
					const struct sweep *sweep)
{
	__u32 zero = 0, id = key->service;
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	struct pkt *p = bpf_map_lookup_elem(&sweep_scratch, &zero);
	struct canary_reverse *reply = NULL;
	struct canary_config *now;
	struct canary_backend *backend;
	__u64 word;
	bool nat;

	if (!service || !p)
		return true;
	word = *(volatile __u64 *)&service->word;
	now = config_at(id, canary_word_now(word));
	if (!now)
		return true;
	nat = word && now->forward == CANARY_FORWARD_NAT;
	p->tuple.client = key->client;
	p->tuple.service = service->key.addr;
	p->address_hash = canary_hash_address(&tables.keys, &p->tuple.service);
	p->tuple.client_port = key->client_port;
	p->tuple.port = key->port;
	p->tuple.proto = service->key.proto;
	p->key = *key;
	p->flags = service->key.port ? 0 : PKT_ANY_PORT;
	backend = backend_at(flow->backend);
	if (nat && backend) {
		reverse_key(p, backend, &p->back_key);
		reply = bpf_map_lookup_elem(&reverse, &p->back_key);
		/* A backend that came back under its old address is another one, and so is its connection. */
		if (reply && (reply->service != id || reply->backend != flow->backend))
			reply = NULL;
	}
	if (word && backend_alive(flow->backend, flow->generation) && !sweep_idle(flow, reply, now, sweep->now_ns) &&
	    (nat || service->key.proto == IPPROTO_UDP || word & CANARY_WORD_OPEN || flow->alternate ||
	     !sweep_agrees(flow, now, canary_view_now(word), p)))
		return true;
	return false;
}

/* A packet may have come meanwhile, or another flow taken the tuple: they are looked at in the next pass. */
static __always_inline bool sweep_changed(void *map, const struct canary_flow_key *key,
					  const struct canary_flow *before, const struct sweep *sweep)
{
	struct canary_flow *after = bpf_map_lookup_elem(map, key);

	if (!after || (after->seen_ns == before->seen_ns && after->isn == before->isn && after->flags == before->flags))
		return false;
	held_set(sweep->bitmap, after->held);
	return true;
}

static long sweep_flow(struct bpf_map *map, struct canary_flow_key *key, struct canary_flow *flow, struct sweep *sweep)
{
	struct canary_flow_key gone = *key;
	struct canary_flow before = {.flags = *(volatile __u32 *)&flow->flags};
	struct pkt *p;
	__u32 zero = 0;

	/* A copy, as its place may become another's. The flags first: a packet writes the time before them. */
	before.seen_ns = *(volatile __u64 *)&flow->seen_ns;
	before.backend = flow->backend;
	before.generation = flow->generation;
	before.isn = flow->isn;
	before.held = flow->held;
	before.alternate = flow->alternate;
	if (sweep_keeps(&gone, &before, sweep)) {
		held_set(sweep->bitmap, before.held);
		return 0;
	}
	p = bpf_map_lookup_elem(&sweep_scratch, &zero);
	if (sweep_changed(map, &gone, &before, sweep))
		return 0;
	if (p)
		reverse_release(p, &before);
	/* And again: what is deleted has to be what was looked at. */
	if (sweep->shard && !sweep_changed(map, &gone, &before, sweep) && !bpf_map_delete_elem(map, &gone))
		table_account(gone.service, sweep->number, -1);
	return 0;
}

static __always_inline void sweep_walk(struct sweep *sweep, __u32 number)
{
	void *shard = table_shard(number);

	sweep->number = number;
	sweep->shard = shard;
	if (shard)
		bpf_for_each_map_elem(shard, sweep_flow, sweep, 0);
}

/*
 * A window closes when every flow that is not idle has been remembered: an idle timeout after the last change and the
 * last flow that was not. Twice seen, a pass apart, so that a packet that still read the open window is long through.
 */
static __always_inline void sweep_window(struct canary_service *service, __u32 id, __u64 word,
					 const struct sweep *sweep)
{
	struct event_values values = {.value = {service->opened_ns}};
	struct canary_config *now;
	__u64 last;

	now = config_at(id, canary_word_now(word));
	if (!now)
		return;
	last = service->changed_ns > service->skipped_ns ? service->changed_ns : service->skipped_ns;
	values.value[1] = sweep->now_ns < last + now->idle_timeout * 1000000000ULL;
	if (values.value[1] && sweep->now_ns < service->opened_ns + now->max_window * 1000000000ULL) {
		service->closing_epoch = 0;
		return;
	}
	if (service->closing_epoch == canary_word_epoch(word)) {
		if (transition_close(service, word, sweep->now_ns))
			event_put(CANARY_EVENT_WINDOW_CLOSED, id, canary_word_epoch(word), &values);
		service->closing_epoch = 0;
	} else {
		service->closing_epoch = canary_word_epoch(word);
	}
}

static long sweep_service(__u32 i, struct sweep *sweep)
{
	__u32 id = sweep->first + i;
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	__u64 word;

	if (!service)
		return 0;
	word = *(volatile __u64 *)&service->word;
	if (word)
		guard_lease(id, word, sweep->now_ns);
	if (word & CANARY_WORD_OPEN)
		sweep_window(service, id, word, sweep);
	return 0;
}

#define SWEEP_WATCHED (CANARY_WATCHED_SETS / CANARY_FLOW_SHARDS) /* sets looked at in a tick */

static long sweep_watched(__u32 i, struct sweep *sweep)
{
	watch_sweep(sweep->first + i, sweep->now_ns);
	return 0;
}

static long sweep_settle(__u32 i, struct sweep *sweep)
{
	__u32 id = sweep->first + i;

	if (guard_settle(id))
		guard_trip(id);
	return 0;
}

/* The end of a pass: packets read the bitmap that was made. */
static __always_inline void sweep_swap(struct canary_sweeper *state)
{
	state->active = !state->active;
	state->passes++;
	if (state->passes % CANARY_OPENING_PASSES == 0) {
		/* The older of the two was cleared in this pass, and takes its turn. */
		state->opened[!(state->opening & 1)] = 0; /* before anybody counts there */
		state->opening = state->opening == 2 ? 3 : 2;
	}
	state->step = 0;
}

static int sweep_tick(void *map, __u32 *key, struct canary_sweeper *state)
{
	struct sweep sweep = {.state = state, .now_ns = bpf_ktime_get_ns(), .bitmap = !state->active};
	__u32 step = state->step;

	state->tick_ns = sweep.now_ns;
	state->ticks++;
	if (state->opening < 2)
		state->opening = 2;
	if (step < CANARY_FLOW_SHARDS) {
		sweep_clear(&sweep, sweep.bitmap, step);
		if ((state->passes + 1) % CANARY_OPENING_PASSES == 0)
			sweep_clear(&sweep, state->opening == 2 ? 3 : 2, step);
		sweep.first = step * SWEEP_SERVICES;
		bpf_loop(SWEEP_SERVICES, sweep_service, &sweep, 0);
	} else if (step < SWEEP_STEPS) {
		sweep_walk(&sweep, step - CANARY_FLOW_SHARDS);
	}
	/* Watched flows in the first half of a pass, what their expiry means in the second. */
	if (step < CANARY_FLOW_SHARDS) {
		sweep.first = step * SWEEP_WATCHED;
		bpf_loop(SWEEP_WATCHED, sweep_watched, &sweep, 0);
	} else if (step < SWEEP_STEPS) {
		sweep.first = (step - CANARY_FLOW_SHARDS) * SWEEP_SERVICES;
		bpf_loop(SWEEP_SERVICES, sweep_settle, &sweep, 0);
	}
	if (step >= SWEEP_STEPS)
		sweep_swap(state);
	else
		state->step = step + 1;
	bpf_timer_start(&state->timer, CANARY_SWEEP_TICK_NS, 0);
	return 0;
}

static __always_inline int sweep_arm(void)
{
	struct canary_sweeper *state = sweeper_state();
	long error;

	if (!state)
		return -CANARY_EINVAL;
	error = bpf_timer_init(&state->timer, &sweeper, SWEEP_CLOCK_MONOTONIC);
	if (error && error != -CANARY_EBUSY) /* it is initialised already: an upgrade */
		return error;
	error = bpf_timer_set_callback(&state->timer, sweep_tick);
	if (error)
		return error;
	for (int i = 0; i < CANARY_NAME_LEN; i++)
		state->build[i] = sweep_build[i];
	return bpf_timer_start(&state->timer, 0, 0);
}

#endif
