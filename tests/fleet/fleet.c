/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/fleet.h"

enum {
	ROLLBACK_MS = 2 * LEASE_MS, /* a rollback is everywhere after this: who does not follow loses its lease */
	CALM_STEPS = 600, /* at the end nothing happens any more */
};

struct fleet_options fleet_options;
struct fleet_result *fleet_result;
__s64 fleet_now_ms;

static struct {
	bool prepared; /* what is in force was: it is no rollback */
	unsigned asked; /* a rollback, of this host ... */
	__s64 asked_ms; /* ... then; 0: none is under way */
	__u64 asked_change;
	__s64 heard_ms[HOSTS]; /* when etcd heard of it */
	__s64 leaderless_ms;
	__u64 elections;
	unsigned tempo; /* the higher, the less happens */
} watch;

void fleet_violated(const char *format, ...)
{
	va_list arguments;

	if (fleet_result->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(fleet_result->violation, sizeof(fleet_result->violation), format, arguments);
	va_end(arguments);
}

void fleet_trace(const char *format, ...)
{
	va_list arguments;

	if (!fleet_options.trace)
		return;
	va_start(arguments, format);
	printf("%8.3f ", (double)fleet_now_ms / 1000);
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
}

static struct fleet_record record_in(const struct store_kv *kv)
{
	struct fleet_record record;

	if (fleet_parse_record(kv->value, &record))
		abort();
	return record;
}

static bool is_lawful(const struct fleet_record *before, const struct fleet_record *after)
{
	if (after->assignment < before->assignment || after->assignment > before->assignment + 1)
		return false;
	if (after->change == before->change + 1)
		return after->phase != FLEET_CLOSING;
	if (after->change != before->change)
		return false;
	if (before->phase == FLEET_PREPARING)
		return after->phase == FLEET_OPEN || after->phase == FLEET_SETTLED;
	return (before->phase == FLEET_OPEN && after->phase == FLEET_CLOSING) ||
	       (before->phase == FLEET_CLOSING && after->phase == FLEET_SETTLED);
}

static void note_record(const struct fleet_record *before, const struct fleet_record *after)
{
	fleet_trace("change %llu: %s -> %s, weight %d, by %s", (unsigned long long)after->change,
		    fleet_phase_name(before->phase), fleet_phase_name(after->phase), after->now.weight, after->who);
	if (!is_lawful(before, after))
		fleet_violated("change %llu %s was overwritten unseen by change %llu %s",
			       (unsigned long long)before->change, fleet_phase_name(before->phase),
			       (unsigned long long)after->change, fleet_phase_name(after->phase));
	fleet_result->settled += after->phase == FLEET_SETTLED;
	if (before->phase == FLEET_PREPARING && after->phase == FLEET_OPEN && after->change == before->change) {
		fleet_result->commits++;
		watch.prepared = true;
	}
	if (after->change > before->change && after->phase == FLEET_OPEN) {
		fleet_result->rollbacks++;
		watch.prepared = false;
	}
}

bool fleet_commit_txn(const struct call *call)
{
	struct fleet_record before = record_in(store_get(KEY_SERVICE)), after;
	__s64 revision = store_get(KEY_SERVICE)->mod_revision;
	const struct store_kv *leader = store_get(KEY_LEADER);
	unsigned led_by = leader->exists ? (unsigned)atoi(leader->value) : HOSTS;
	__s64 leads = leader->create_revision;

	if (!store_commit(&call->txn))
		return false;
	if (leader->create_revision != leads && leader->exists)
		fleet_result->elections++;
	if (store_get(KEY_SERVICE)->mod_revision == revision)
		return true;
	after = record_in(store_get(KEY_SERVICE));
	note_record(&before, &after);
	if (call->purpose == FOR_LEADING && led_by != call->host)
		fleet_violated("host %u, which is not the leader, turns change %llu %s", call->host,
			       (unsigned long long)after.change, fleet_phase_name(after.phase));
	return true;
}

/* What has to hold. */

static bool has_no_canary(unsigned host)
{
	struct fleet_state have = plane_have(host);

	return have.stopped || !have.now.weight;
}

static void check_leases(void)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		if (store_get(KEY_HOST + host)->exists || !host_is_up(host))
			watch.heard_ms[host] = fleet_now_ms;
		if (host_is_installed(host) && host_is_up(host) && !has_no_canary(host) &&
		    fleet_now_ms - watch.heard_ms[host] > 0)
			fleet_violated("host %u has weight %d, and its lease is over for %lld ms", host,
				       plane_have(host).now.weight, (long long)(fleet_now_ms - watch.heard_ms[host]));
	}
}

static bool has_view(const struct fleet_state *have, const struct fleet_view *view)
{
	return fleet_view_equal(&have->now, view) || fleet_view_equal(&have->fallback, view) ||
	       (have->has_next && fleet_view_equal(&have->next, view));
}

/* Whoever may get a flow that was born under what is in force can name its backend. */
static void check_prepared(void)
{
	struct fleet_record record = record_in(store_get(KEY_SERVICE));

	for (unsigned host = 0; host < HOSTS && watch.prepared; host++) {
		struct fleet_state have = plane_have(host);

		if (host_is_announced(host) && !have.stopped && !host_is_cut_off(host) &&
		    store_get(KEY_HOST + host)->exists && !has_view(&have, &record.now))
			fleet_violated("host %u was not prepared for change %llu", host,
				       (unsigned long long)record.change);
	}
}

/* A rollback was asked on a host that was not disturbed: in time, there is no canary anywhere. */
static void check_rollback(void)
{
	struct fleet_record record = record_in(store_get(KEY_SERVICE));
	bool everywhere = true;

	for (unsigned host = 0; host < HOSTS; host++)
		everywhere &= !host_is_installed(host) || !host_is_up(host) || has_no_canary(host);
	if (!watch.asked_ms)
		return;
	if (network_is_parted(watch.asked) || !host_record(watch.asked) || record.change > watch.asked_change + 1) {
		watch.asked_ms = 0; /* it could not ask, or somebody was there before */
		return;
	}
	if (!everywhere && fleet_now_ms - watch.asked_ms > ROLLBACK_MS)
		fleet_violated("a rollback is not everywhere after %lld ms",
			       (long long)(fleet_now_ms - watch.asked_ms));
	if (everywhere && !record.now.weight) {
		if (fleet_now_ms - watch.asked_ms > fleet_result->rollback_ms)
			fleet_result->rollback_ms = fleet_now_ms - watch.asked_ms;
		watch.asked_ms = 0;
	}
}

static void check_leader(void)
{
	bool possible = false, led = false;

	for (unsigned host = 0; host < HOSTS; host++) {
		possible |= host_is_up(host) && !host_is_cut_off(host);
		led |= host_is_leader(host);
	}
	/* Who is elected and dies at once is another death. */
	if (led || !possible || fleet_result->elections != watch.elections)
		watch.leaderless_ms = fleet_now_ms;
	watch.elections = fleet_result->elections;
	if (fleet_now_ms - watch.leaderless_ms > fleet_result->takeover_ms)
		fleet_result->takeover_ms = fleet_now_ms - watch.leaderless_ms;
	if (fleet_now_ms - watch.leaderless_ms > 2 * LEASE_MS)
		fleet_violated("nobody leads for more than two leases");
}

static bool has_converged(void)
{
	struct fleet_record record = record_in(store_get(KEY_SERVICE));

	for (unsigned host = 0; host < HOSTS; host++) {
		struct fleet_state have = plane_have(host);

		if (!host_is_announced(host) || (record.phase != FLEET_CLOSING && !host_is_done(host)) ||
		    have.stopped || !fleet_view_equal(&have.now, &record.now))
			return false;
	}
	return record.phase != FLEET_PREPARING;
}

/* What happens. */

static void change_something(unsigned host)
{
	static const int weights[] = {500, 2500, 5000, 10000};
	struct fleet_view view = record_in(store_get(KEY_SERVICE)).now;

	if (one_in(3))
		view.config = 1 + pick(3);
	else if (one_in(3))
		view.salt = pick(3);
	else
		view.weight = weights[pick(4)];
	host_ask_change(host, &view);
}

static void ask_rollback(unsigned host)
{
	host_ask_rollback(host);
	if (watch.asked_ms || host_is_cut_off(host) || network_is_parted(host))
		return;
	watch.asked = host;
	watch.asked_ms = fleet_now_ms;
	watch.asked_change = record_in(store_get(KEY_SERVICE)).change;
}

/* A moment at which much can go wrong, and that is short. */
static bool is_closing(void)
{
	return record_in(store_get(KEY_SERVICE)).phase == FLEET_CLOSING;
}

static void happen(void)
{
	unsigned host = pick(HOSTS), kind = pick(1000 * watch.tempo);

	if (!host_is_up(host)) {
		if (one_in(60))
			host_start(host);
	} else if (kind < 8 || (is_closing() && one_in(16))) {
		network_part(host, fleet_now_ms + pick((one_in(3) ? 12 : 4) * LEASE_MS));
		fleet_trace("host %u is parted", host);
	} else if (kind < 10) {
		host_crash(host);
		fleet_trace("host %u crashes", host);
	} else if (kind < 13) {
		host_restart_daemon(host);
		fleet_trace("host %u's daemon starts anew", host);
	} else if (kind < 25) {
		change_something(host);
	} else if (kind < 29) {
		ask_rollback(host);
	} else if (kind < 31) {
		store_compact(store_revision());
	}
}

static void step(bool calm)
{
	shim_now_ns += (__u64)(10 + pick(60)) * 1000000;
	fleet_now_ms = (__s64)(shim_now_ns / 1000000);
	datapath_exhaust(false);
	store_run(fleet_now_ms);
	network_run();
	if (!calm)
		happen();
	for (unsigned host = 0; host < HOSTS; host++) {
		if (calm && !host_is_up(host))
			host_start(host);
		host_run(host);
	}
	flows_run();
	check_leases();
	check_prepared();
	check_rollback();
	check_leader();
}

static void begin(void)
{
	const struct fleet_view view = {.config = 1};
	const struct fleet_record first = fleet_first(&view, "init");
	struct store_txn txn = {.put_count = 1, .puts = {{.key = KEY_SERVICE}}};

	shim_hook = NULL;
	shim_evicted = NULL;
	shim_now_ns = 1000000000000ULL;
	fleet_now_ms = (__s64)(shim_now_ns / 1000000);
	memset(&watch, 0, sizeof(watch));
	watch.leaderless_ms = fleet_now_ms;
	watch.tempo = 1 + pick(6);
	plane_clear();
	store_clear();
	network_clear();
	hosts_clear();
	flows_clear();
	fleet_missing = one_in(2) ? FLEET_MISSING_WAIT : FLEET_MISSING_GO_ON;
	fleet_format_record(&first, txn.puts[0].value);
	store_commit(&txn);
	for (unsigned host = 0; host < HOSTS; host++)
		host_start(host);
}

void fleet_run(const struct fleet_options *options, struct fleet_result *ret)
{
	*ret = (struct fleet_result){};
	fleet_options = *options;
	fleet_result = ret;
	shim_seed(options->seed);
	begin();
	while (ret->step < options->steps && !ret->violation[0]) {
		step(false);
		ret->step++;
	}
	for (unsigned host = 0; host < HOSTS; host++)
		network_part(host, 0);
	/* The network loses as before: a host may just be out. */
	for (unsigned i = 0; !ret->violation[0] && (i < CALM_STEPS || !has_converged()); i++) {
		step(true);
		if (i == 2 * CALM_STEPS)
			fleet_violated("in the end the hosts have not the same view");
	}
}
