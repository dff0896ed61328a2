/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel guards itself: the breaker, which takes the canary's new flows away when it fares too badly (see
 * canary/breaker.h), and the lease, which does when nobody renews it. Both are a change like any other: a new epoch, a
 * window, and connections that the canary has live on. They last until the next assignment.
 */
#ifndef BPF_GUARD_H
#define BPF_GUARD_H

#define GUARD_TRIES 8
#define GUARD_LEASE_TRIES 3
/* Two flows that could not be watched, one so soon after the other, are no accident: a flood, see CANARY_FLOODED_NS. */
#define GUARD_MISSED_NS (100 * NSEC_PER_MSEC)

/* What an outcome means: by enum canary_outcome. */
const volatile __u8 guard_kinds[CANARY_OUTCOMES] = {
#define X(NAME, name, SEEN, KIND, help) CANARY_KIND_##KIND,
	CANARY_OUTCOME_LIST(X)
#undef X
};

static __always_inline __u32 guard_kind(__u32 what)
{
	barrier_var(what); /* kernel 6.1 forgets what was checked before */
	return what < CANARY_OUTCOMES ? guard_kinds[what] : CANARY_KIND_NONE;
}

/* An outcome of a flow that was watched. */
struct outcome {
	__u64 opened_ns; /* the flow */
	__u32 service;
	__u32 cohort;
	__u32 epoch; /* the lower half */
	__u32 bucket;
	__u32 what; /* enum canary_outcome */
	bool expired; /* time alone brought it */
};

static __always_inline struct canary_guard *guard_of(__u32 service)
{
	return bpf_map_lookup_elem(&guards, &service);
}

static __always_inline void guard_remember(struct canary_guard *guard, const struct canary_config *config,
					   enum canary_stop_reason reason, __s64 sum, __u64 epoch)
{
	guard->stopped_ns = bpf_ktime_get_ns();
	guard->stopped_epoch = epoch;
	guard->stop_reason = reason;
	guard->stopped_sum = sum;
	for (int i = 0; i < CANARY_COHORTS; i++) {
		guard->stopped_flows[i] = guard->flows[i];
		guard->stopped_failures[i] = guard->failures[i];
	}
	guard->stopped_assignment = config->assignment;
}

/* Takes the canary's new flows away, if the service is still as it was in `word`. True: it was done. */
static __always_inline bool guard_stop(__u32 id, __u64 word, const struct canary_config *config,
				       struct canary_guard *guard, enum canary_stop_reason reason, __s64 sum)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	__u64 epoch = canary_word_epoch(word) + 1;
	struct event_values values = {};

	if (!service)
		return false;
	guard->stopped_epoch = epoch; /* before the word: who sees that knows whose it is */
	if (!transition_stop(service, word))
		return false;
	outcome_begin(id, epoch, canary_view_now(word) | CANARY_VIEW_STOPPED);
	guard_remember(guard, config, reason, sum, epoch);
	if (reason == CANARY_STOP_LEASE) {
		values.value[0] = config->on_expiry;
		event_put(CANARY_EVENT_LEASE_EXPIRED, id, epoch, &values);
		return true;
	}
	values.value[0] = reason;
	for (int i = 0; i < CANARY_COHORTS; i++)
		values.value[1 + i] = guard->stopped_flows[i] | (__u64)guard->stopped_failures[i] << 32;
	values.value[3] = sum;
	event_put(CANARY_EVENT_BREAKER_TRIPPED, id, epoch, &values);
	return true;
}

static __always_inline bool guard_lease_over(const struct canary_config *config, const struct canary_guard *guard,
					     __u64 now_ns)
{
	if (!config->lease_ns || now_ns < config->lease_ns)
		return false;
	return guard->renewed_assignment != config->assignment || now_ns >= guard->renewed_ns;
}

/* Notes once that a lease is over which holds. */
static __always_inline void guard_hold(__u32 id, __u64 word, const struct canary_config *config,
				       struct canary_guard *guard)
{
	struct event_values values = {.value = {config->on_expiry}};

	if (guard->stopped_assignment == config->assignment ||
	    __sync_lock_test_and_set(&guard->stopped_assignment, config->assignment) == config->assignment)
		return; /* somebody else notes it */
	guard_remember(guard, config, CANARY_STOP_LEASE, 0, canary_word_epoch(word));
	event_put(CANARY_EVENT_LEASE_EXPIRED, id, canary_word_epoch(word), &values);
}

/*
 * Checks the lease. Nonzero: it is over, and `word` is not the service's any more: it is stopped now. Somebody else may have
 * done that, or a change came in between that is no assignment: then it is stopped after that.
 */
GLOBAL int guard_lease(__u32 id, __u64 word, __u64 now_ns)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	struct canary_guard *guard = guard_of(id);

	if (!service || !guard)
		return 0;
	for (int i = 0; i < GUARD_LEASE_TRIES; i++) {
		const struct canary_config *config = config_at(id, canary_view_now(word));

		if (!config || word & CANARY_WORD_STOPPED || !guard_lease_over(config, guard, now_ns))
			return i;
		if (config->on_expiry == CANARY_EXPIRY_HOLD) {
			guard_hold(id, word, config, guard);
			return i;
		}
		guard_stop(id, word, config, guard, CANARY_STOP_LEASE, 0);
		word = *(volatile __u64 *)&service->word;
	}
	return GUARD_LEASE_TRIES;
}

/* Sums and numbers of another assignment go. How stable fares does not: it is not on trial. */
static __always_inline void guard_turn(struct canary_guard *guard, __u32 assignment)
{
	__u32 before = guard->assignment;

	if (before == assignment)
		return;
	guard->sums = canary_breaker_clear(guard->sums);
	for (int i = 0; i < CANARY_COHORTS; i++) {
		guard->flows[i] = 0;
		guard->failures[i] = 0;
		guard->waiting[i] = 0;
		guard->waiting_soft[i] = 0;
	}
	/* Last: who sees it does not add to the sums of before. What others added meanwhile may be lost. */
	__sync_val_compare_and_swap(&guard->assignment, before, assignment);
}

/*
 * With affinity `client` a client's failures are not independent: its first one in an assignment alone counts. True: this is
 * one that counts.
 */
static __always_inline bool guard_first(const struct canary_config *config, __u32 bucket)
{
	__u32 key = config->failed + bucket % CANARY_THRESHOLD_ONE / 64;
	__u64 bit = 1ULL << bucket % 64, *word;

	if (!config->failed)
		return true;
	word = bpf_map_lookup_elem(&arena, &key);
	return word && !(__sync_fetch_and_or(word, bit) & bit);
}

/* Outcomes on their way into the sums. */
struct guard_addend {
	struct canary_guard *guard;
	struct canary_breaker_rule rule;
	struct canary_breaker_outcomes outcomes;
	__u64 sums; /* with them */
};

static long guard_add(__u32 i, struct guard_addend *it)
{
	__u64 sums = *(volatile __u64 *)&it->guard->sums;

	it->sums = canary_breaker_add(sums, &it->rule, &it->outcomes);
	return it->sums == sums || __sync_val_compare_and_swap(&it->guard->sums, sums, it->sums) == sums;
}

/* Counts an outcome. Nonzero: it was the last straw, and guard_trip() is due. */
GLOBAL int guard_outcome(const struct outcome *outcome)
{
	struct canary_service *service;
	struct canary_guard *guard;
	struct canary_config *now;
	struct canary_epoch *epoch;
	struct guard_addend it = {};
	__u32 id, what, kind, cohort;
	__u64 word;

	if (!outcome)
		return 0;
	id = outcome->service;
	what = outcome->what;
	cohort = outcome->cohort & 1;
	epoch = outcome_epoch(id, outcome->epoch, outcome->opened_ns);
	service = bpf_map_lookup_elem(&services, &id);
	guard = guard_of(id);
	if (!epoch || !service || !guard || what >= CANARY_OUTCOMES)
		return 0;
	outcome_add(epoch, cohort, what);
	word = *(volatile __u64 *)&service->word;
	now = config_at(id, canary_view_now(word));
	kind = guard_kind(what);
	if (kind == CANARY_KIND_NONE || !now)
		return 0;
	if (!epoch->epoch || epoch->assignment != now->assignment) {
		/* Whether it is a client's first failure, only the assignment of that time could tell. */
		if (kind != CANARY_KIND_SUCCESS && !now->failed)
			outcome_add(epoch, cohort, CANARY_OUTCOME_FAILED);
		return 0;
	}
	guard_turn(guard, now->assignment);
	if (what <= CANARY_OUTCOME_HALF_OPEN) /* a flow's one outcome, and not what came after it */
		__sync_fetch_and_add(&guard->flows[cohort], 1);
	if (kind != CANARY_KIND_SUCCESS) {
		if (!guard_first(now, outcome->bucket))
			return 0;
		outcome_add(epoch, cohort, CANARY_OUTCOME_FAILED);
		__sync_fetch_and_add(&guard->failures[cohort], 1);
	}
	/*
	 * Those that come in multitudes wait for guard_settle(): handshakes that expire, and clients that give up, as they do
	 * all at once when one of them is switched off.
	 */
	if (kind == CANARY_KIND_SOFT) {
		__sync_fetch_and_add(&guard->waiting_soft[cohort], 1);
		return 0;
	}
	if (outcome->expired) {
		__sync_fetch_and_add(&guard->waiting[cohort], 1);
		return 0;
	}
	it.guard = guard;
	it.rule.relative[CANARY_STABLE] = epoch->step[CANARY_STABLE];
	it.rule.relative[CANARY_CANARY] = epoch->step[CANARY_CANARY];
	it.rule.limit = epoch->limit;
	it.rule.canary_limit = canary_breaker_canary_limit(epoch->limit, epoch->watched[CANARY_STABLE]);
	it.outcomes = canary_breaker_one(cohort, kind);
	/* At worst, with many CPUs at it, an outcome is left out. */
	bpf_loop(GUARD_TRIES, guard_add, &it, 0);
	return kind != CANARY_KIND_SUCCESS && canary_breaker_trip(it.sums, &it.rule) != CANARY_BREAKER_CLOSED;
}

/*
 * Weighs what came together in a pass of the sweeper, at once: one by one, in whatever order they came, the failures of a
 * flood would look like a bad canary now and then. Nonzero: guard_trip() is due.
 */
GLOBAL int guard_settle(__u32 id)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	struct guard_addend it = {.guard = guard_of(id)};
	struct canary_guard *guard = it.guard;
	struct canary_config *now;

	if (!service || !guard)
		return 0;
	it.outcomes.canary_failed = __sync_lock_test_and_set(&guard->waiting[CANARY_CANARY], 0);
	it.outcomes.canary_soft = __sync_lock_test_and_set(&guard->waiting_soft[CANARY_CANARY], 0);
	it.outcomes.stable_failed = __sync_lock_test_and_set(&guard->waiting[CANARY_STABLE], 0);
	it.outcomes.stable_soft = __sync_lock_test_and_set(&guard->waiting_soft[CANARY_STABLE], 0);
	now = config_at(id, canary_word_now(*(volatile __u64 *)&service->word));
	if (!now || guard->assignment != now->assignment)
		return 0;
	if (guard->flooded_ns && elapsed_ns(bpf_ktime_get_ns(), guard->flooded_ns) <
					 now->handshake_timeout * NSEC_PER_MSEC + CANARY_FLOODED_NS)
		return 0; /* the flood's, or lost in it */
	it.rule.relative[CANARY_STABLE] = now->step[CANARY_STABLE];
	it.rule.relative[CANARY_CANARY] = now->step[CANARY_CANARY];
	it.rule.limit = now->limit;
	it.rule.canary_limit = canary_breaker_canary_limit(now->limit, now->watched[CANARY_STABLE]);
	bpf_loop(GUARD_TRIES, guard_add, &it, 0);
	return canary_breaker_trip(it.sums, &it.rule) != CANARY_BREAKER_CLOSED;
}

/*
 * Trips the breaker if the sums say so. Apart from guard_outcome(), as the calls from there would not fit on the stack.
 */
GLOBAL int guard_trip(__u32 id)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	struct canary_guard *guard = guard_of(id);
	struct canary_breaker_rule rule = {};
	struct canary_config *now;
	__u64 word, sums;
	__u32 trip;

	if (!service || !guard)
		return 0;
	word = *(volatile __u64 *)&service->word;
	now = config_at(id, canary_view_now(word));
	if (!now || word & CANARY_WORD_STOPPED || guard->assignment != now->assignment)
		return 0;
	rule.limit = now->limit;
	rule.canary_limit = canary_breaker_canary_limit(now->limit, now->watched[CANARY_STABLE]);
	sums = guard->sums;
	trip = canary_breaker_trip(sums, &rule);
	if (trip == CANARY_BREAKER_RELATIVE)
		return guard_stop(id, word, now, guard, CANARY_STOP_RELATIVE, canary_breaker_relative(sums));
	if (trip == CANARY_BREAKER_ABSOLUTE)
		return guard_stop(id, word, now, guard, CANARY_STOP_ABSOLUTE, canary_breaker_canary(sums));
	return 0;
}

/* A flow could not be watched, as there was no room. */
static __always_inline void guard_missed(struct canary_guard *guard, struct canary_epoch *epoch, __u64 now_ns)
{
	__sync_fetch_and_add(&epoch->flooded, 1);
	if (guard->missed_ns && elapsed_ns(now_ns, guard->missed_ns) < GUARD_MISSED_NS)
		guard->flooded_ns = now_ns;
	guard->missed_ns = now_ns;
}

#endif
