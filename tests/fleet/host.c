/* SPDX-License-Identifier: Apache-2.0 */
/* A host's daemon: what the wiring does between the protocol, etcd and the data plane. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/fleet.h"

enum { RETRY_MS = 400, NEVER = 1 << 30 };

enum fleet_missing fleet_missing;

static struct host {
	bool up, installed, announced, withdraws;
	unsigned life;
	struct fleet_host fleet;
	__s64 kernel_until_ms; /* the data plane's own lease: it lasts over a restart of the daemon */
	__s64 lease, asked_lease_ms; /* granted, but host/HOST is not there yet */
	struct store_kv keys[KEYS]; /* as far as it has followed */
	__s64 next_revision;
	bool has_record;
	struct fleet_record record;
	__s64 record_revision;
	__s64 read_ms, report_ms, held_ms, lead_ms, ask_ms; /* when that may be asked again */
	__s64 seen_ms, quiet_ms, window_ms;
	bool rolls_back, changes;
	struct fleet_view wanted;
} hosts[HOSTS];

void hosts_clear(void)
{
	memset(hosts, 0, sizeof(hosts));
}

bool host_is_up(unsigned host)
{
	return hosts[host].up;
}

bool host_is_announced(unsigned host)
{
	return hosts[host].up && hosts[host].announced;
}

bool host_is_cut_off(unsigned host)
{
	return fleet_host_is_cut_off(&hosts[host].fleet, fleet_now_ms);
}

const struct fleet_record *host_record(unsigned host)
{
	return hosts[host].has_record ? &hosts[host].record : NULL;
}

static void begin_life(struct host *h)
{
	*h = (struct host){.up = true,
			   .life = h->life + 1,
			   .withdraws = h->withdraws,
			   .announced = h->announced,
			   .installed = h->installed,
			   .kernel_until_ms = h->kernel_until_ms};
	h->fleet = fleet_host_new(LEASE_MS);
}

void host_start(unsigned host)
{
	struct host *h = &hosts[host];

	h->announced = h->installed = false;
	h->withdraws = one_in(2);
	begin_life(h);
}

void host_crash(unsigned host)
{
	hosts[host].up = hosts[host].announced = hosts[host].installed = false;
	hosts[host].life++;
}

void host_restart_daemon(unsigned host)
{
	begin_life(&hosts[host]);
}

void host_ask_rollback(unsigned host)
{
	hosts[host].rolls_back = true;
}

void host_ask_change(unsigned host, const struct fleet_view *view)
{
	hosts[host].changes = true;
	hosts[host].wanted = *view;
}

/* What etcd says. */

static void note_key(struct host *h, unsigned key, const struct store_kv *kv)
{
	bool was_window = h->record.window;

	if (key >= KEY_MEMBER && key < KEY_HELD && h->keys[key].exists != kv->exists)
		h->quiet_ms = fleet_now_ms;
	h->keys[key] = *kv;
	if (key != KEY_SERVICE || !kv->exists || kv->mod_revision == h->record_revision)
		return;
	if (fleet_parse_record(kv->value, &h->record))
		abort();
	h->has_record = true;
	h->record_revision = kv->mod_revision;
	h->seen_ms = fleet_now_ms;
	if (h->record.phase == FLEET_OPEN)
		h->quiet_ms = fleet_now_ms;
	if (h->record.window && !was_window)
		h->window_ms = fleet_now_ms;
}

static void follow(struct host *h)
{
	__s64 revision = h->next_revision - 1;

	if (one_in(300) || store_is_compacted(h->next_revision)) {
		fleet_host_lost_watch(&h->fleet);
		return;
	}
	for (unsigned most = 1 + pick(6); most; most--) {
		const struct store_event *event = store_event_from(h->next_revision);

		if (!event) {
			revision = store_revision();
			break;
		}
		revision = event->revision;
		/* All of a revision comes in one. */
		for (const struct store_event *e = event; e && e < event + KEYS && e->revision == revision; e++)
			note_key(h, e->key, &e->kv);
		h->next_revision = revision + 1;
	}
	h->next_revision = revision + 1;
	fleet_host_followed(&h->fleet, fleet_now_ms, revision);
}

static struct call call_of(unsigned host, enum call_type type)
{
	return (struct call){.type = type, .host = host, .life = hosts[host].life, .lease = hosts[host].lease};
}

static void add_put(struct store_txn *txn, unsigned key, __s64 lease, const char *value)
{
	struct store_put *put = &txn->puts[txn->put_count++];

	put->key = key;
	put->lease = lease;
	snprintf(put->value, sizeof(put->value), "%s", value);
}

static void add_compare(struct store_txn *txn, unsigned key, bool create, __s64 revision)
{
	txn->compares[txn->compare_count++] = (struct store_compare){key, create, revision};
}

static void add_unchanged(struct store_txn *txn, const struct host *h, unsigned key)
{
	add_compare(txn, key, false, h->keys[key].exists ? h->keys[key].mod_revision : 0);
}

/* The lease, and the key that it is for: only then is it in force. */
static void enter(unsigned host)
{
	const struct fleet_member member = {.withdraws = hosts[host].withdraws, .address = "10.0.0.1"};
	struct call call = call_of(host, CALL_TXN);
	char text[FLEET_TEXT_LEN];

	if (!hosts[host].has_record)
		return; /* nothing was read yet */
	call.purpose = FOR_ENTERING;
	if (!mutated(MUTANT_OWN_UNCOMPARED))
		add_unchanged(&call.txn, &hosts[host], KEY_HOST + host);
	add_put(&call.txn, KEY_MEMBER + host, 0, fleet_format_member(&member, text));
	fleet_format_report(0, NULL, 0, text, sizeof(text));
	add_put(&call.txn, KEY_HOST + host, call.lease, text);
	add_put(&call.txn, KEY_HELD + host, call.lease, "");
	network_send(call);
}

void host_answered(const struct call *call)
{
	struct host *h = &hosts[call->host];

	if (call->life != h->life || !h->up)
		return;
	switch (call->type) {
	case CALL_GRANT:
		if (h->fleet.held)
			break; /* asked twice: the other one came first */
		h->lease = call->lease;
		h->asked_lease_ms = call->sent_ms;
		enter(call->host);
		break;
	case CALL_RENEW:
		if (call->lease != h->lease)
			break;
		if (!call->succeeded) {
			fleet_host_lost_lease(&h->fleet);
			h->kernel_until_ms = 0;
		} else
			fleet_host_renewed(&h->fleet, mutated(MUTANT_LEASE_FROM_ANSWER) ? fleet_now_ms : call->sent_ms,
					   fleet_now_ms, call->revision);
		break;
	case CALL_READ:
		if (!fleet_host_read(&h->fleet, fleet_now_ms, call->revision) && !mutated(MUTANT_OLD_READ))
			break;
		for (unsigned key = 0; key < KEYS; key++)
			note_key(h, key, &call->keys[key]);
		h->next_revision = call->revision + 1;
		fleet_result->read_anew++;
		break;
	case CALL_TXN:
		if (call->purpose == FOR_ENTERING && !call->succeeded)
			fleet_host_lost_watch(&h->fleet);
		if (call->purpose == FOR_ENTERING && call->succeeded && call->txn.puts[1].lease == h->lease)
			fleet_host_granted(&h->fleet, h->asked_lease_ms, fleet_now_ms, call->revision);
		if (mutated(MUTANT_RETURN_UNREAD) && call->purpose == FOR_ENTERING)
			fleet_host_read(&h->fleet, fleet_now_ms, call->revision);
	}
}

static bool is_time(__s64 *next_ms)
{
	if (fleet_now_ms < *next_ms)
		return false;
	*next_ms = fleet_now_ms + RETRY_MS;
	return true;
}

static void talk(unsigned host)
{
	struct host *h = &hosts[host];

	if (fleet_host_must_grant(&h->fleet, fleet_now_ms))
		network_send(call_of(host, CALL_GRANT));
	if (fleet_host_must_renew(&h->fleet, fleet_now_ms))
		network_send(call_of(host, CALL_RENEW));
	if (h->fleet.reading && is_time(&h->read_ms))
		network_send(call_of(host, CALL_READ));
	if (!h->fleet.reading && !network_is_parted(host) && !one_in(3))
		follow(h);
}

/* The data plane. */

static enum fleet_act act(unsigned host, const struct fleet_state *wanted)
{
	struct host *h = &hosts[host];
	struct fleet_state have = plane_have(host);
	enum fleet_act what = fleet_act(&have, wanted);

	if (what == FLEET_ACT_NONE || (!wanted->stopped && one_in(3)))
		return what; /* done; or it takes a while */
	if (what == FLEET_ACT_CHANGE)
		plane_change(host, wanted);
	else if ((what == FLEET_ACT_ADOPT || !h->announced) && !mutated(MUTANT_DEFAULT_KEPT))
		plane_adopt(host, wanted);
	return what;
}

static bool is_done(unsigned host, const struct fleet_state *wanted)
{
	struct fleet_state have = plane_have(host);

	if (mutated(MUTANT_DEFAULT_KEPT))
		have.fallback = wanted->fallback;
	return mutated(MUTANT_ACK_EARLY) || fleet_is_done(&have, wanted);
}

/* What a host that is cut off does: no more than its lease says. */
static void serve_by_itself(unsigned host)
{
	struct host *h = &hosts[host];
	struct fleet_state wanted = plane_have(host);

	plane_keep(host, true);
	if (fleet_now_ms < h->kernel_until_ms)
		return;
	wanted.stopped = !mutated(MUTANT_LEASE_IGNORED);
	act(host, &wanted);
	h->announced &= !h->withdraws;
}

static void serve(unsigned host)
{
	struct host *h = &hosts[host];
	struct fleet_state wanted = fleet_wanted(&h->record, false);
	enum fleet_act what;

	if (host_is_cut_off(host) || !h->has_record) {
		if (h->installed)
			serve_by_itself(host);
		return;
	}
	if (!h->installed)
		plane_install(host, &wanted);
	h->installed = true;
	h->kernel_until_ms = h->fleet.good_until_ms;
	what = act(host, &wanted);
	plane_keep(host, (what != FLEET_ACT_CLOSE || mutated(MUTANT_DEFAULT_KEPT)) && h->record.window &&
				 h->record.phase != FLEET_CLOSING);
	if (!h->announced && is_done(host, &wanted))
		h->announced = ++fleet_result->returns;
}

bool host_is_installed(unsigned host)
{
	return hosts[host].installed;
}

bool host_is_done(unsigned host)
{
	struct fleet_state have = plane_have(host), wanted = fleet_wanted(&hosts[host].record, false);

	return hosts[host].has_record && hosts[host].installed && fleet_is_done(&have, &wanted);
}

/* What the host says. */

static void report(unsigned host)
{
	struct host *h = &hosts[host];
	struct fleet_state wanted = fleet_wanted(&h->record, false);
	struct call call = call_of(host, CALL_TXN);
	struct fleet_exception ignored;
	char text[FLEET_TEXT_LEN];
	__s64 said;

	if (host_is_cut_off(host) || !h->has_record || !h->keys[KEY_HOST + host].exists ||
	    fleet_parse_report(h->keys[KEY_HOST + host].value, "web", &said, &ignored) || said >= h->record_revision ||
	    !h->announced || !is_done(host, &wanted) || !is_time(&h->report_ms))
		return;
	call.purpose = FOR_REPORT;
	if (!mutated(MUTANT_OWN_UNCOMPARED))
		add_unchanged(&call.txn, h, KEY_HOST + host);
	fleet_format_report(h->fleet.followed, NULL, 0, text, sizeof(text));
	add_put(&call.txn, KEY_HOST + host, h->lease, text);
	if (h->record.phase == FLEET_OPEN)
		add_put(&call.txn, KEY_HELD + host, h->lease, "");
	network_send(call);
}

static void report_held(unsigned host)
{
	struct host *h = &hosts[host];
	struct call call = call_of(host, CALL_TXN);
	unsigned older;

	if (host_is_cut_off(host) || !h->installed || h->record.phase != FLEET_OPEN || !is_time(&h->held_ms))
		return;
	older = plane_older(host);
	if (!older == !h->keys[KEY_HELD + host].exists)
		return;
	call.purpose = FOR_REPORT;
	add_unchanged(&call.txn, h, KEY_HELD + host);
	add_put(&call.txn, KEY_HELD + host, h->lease, "");
	call.txn.puts[0].deletes = !older;
	network_send(call);
}

/* The leader. */

static const char *leader_name(unsigned host, char buf[32])
{
	snprintf(buf, 32, "%u.%u", host, hosts[host].life);
	return buf;
}

bool host_is_leader(unsigned host)
{
	const struct store_kv *kv = &hosts[host].keys[KEY_LEADER];
	char name[32];

	return host_is_up(host) && !host_is_cut_off(host) && kv->exists && !strcmp(kv->value, leader_name(host, name));
}

static void write_record(unsigned host, const struct fleet_record *record, bool leads)
{
	struct host *h = &hosts[host];
	struct call call = call_of(host, CALL_TXN);
	char text[FLEET_TEXT_LEN];

	call.purpose = leads ? FOR_LEADING : FOR_NOTHING;
	if (leads || !mutated(MUTANT_WRITE_UNCOMPARED))
		add_compare(&call.txn, KEY_SERVICE, false, h->record_revision);
	if (leads && !mutated(MUTANT_LEADER_UNCOMPARED))
		add_compare(&call.txn, KEY_LEADER, true, h->keys[KEY_LEADER].create_revision);
	add_put(&call.txn, KEY_SERVICE, 0, fleet_format_record(record, text));
	network_send(call);
}

static size_t list_peers(const struct host *h, struct fleet_peer peers[HOSTS])
{
	static const char *const names[HOSTS] = {"lb0", "lb1", "lb2", "lb3"};
	bool lies = (mutated(MUTANT_COMMIT_UNPREPARED) && h->record.phase == FLEET_PREPARING) ||
		    (mutated(MUTANT_SETTLE_UNCLOSED) && h->record.phase == FLEET_CLOSING);
	struct fleet_exception exception = {};
	struct fleet_member member = {};

	for (unsigned i = 0; i < HOSTS; i++) {
		const struct store_kv *said = &h->keys[KEY_HOST + i], *entered = &h->keys[KEY_MEMBER + i];

		peers[i] = (struct fleet_peer){.name = names[i], .alive = said->exists, .member = entered->exists};
		if (entered->exists && fleet_parse_member(entered->value, &member))
			abort();
		if (said->exists && fleet_parse_report(said->value, "web", &peers[i].done, &exception))
			abort();
		peers[i].withdraws = member.withdraws;
		if (lies)
			peers[i] = (struct fleet_peer){.name = names[i], .alive = true, .done = NEVER};
	}
	return HOSTS;
}

static void decide(unsigned host)
{
	struct host *h = &hosts[host];
	struct fleet_peer peers[HOSTS];
	struct fleet_question q = {.record = &h->record,
				   .revision = h->record_revision,
				   .peers = peers,
				   .missing = fleet_missing,
				   .idle_ms = PLANE_IDLE_NS / 1000000,
				   .max_window_ms = NEVER,
				   .prepare_ms = 3 * LEASE_MS,
				   .now_ms = fleet_now_ms,
				   .seen_ms = h->seen_ms,
				   .quiet_ms = h->quiet_ms,
				   .window_ms = h->window_ms};
	struct fleet_record next;
	struct error reason;

	q.peer_count = list_peers(h, peers);
	for (unsigned i = 0; i < HOSTS; i++)
		q.held += h->keys[KEY_HELD + i].exists;
	if (mutated(MUTANT_CLOSE_EARLY)) {
		q.held = 0;
		q.quiet_ms = -q.idle_ms;
	}
	if (fleet_decide(&q, &next, &reason) != FLEET_WAITS && is_time(&h->lead_ms))
		write_record(host, &next, true);
}

static void lead(unsigned host)
{
	struct host *h = &hosts[host];
	struct call call = call_of(host, CALL_TXN);
	char name[32];

	if (host_is_cut_off(host) || !h->has_record)
		return;
	if (host_is_leader(host)) {
		decide(host);
	} else if (!h->keys[KEY_LEADER].exists && is_time(&h->lead_ms)) {
		call.purpose = FOR_REPORT;
		add_compare(&call.txn, KEY_LEADER, true, 0);
		add_put(&call.txn, KEY_LEADER, h->lease, leader_name(host, name));
		network_send(call);
	}
}

/* What is asked of the host. */
static void ask(unsigned host)
{
	struct host *h = &hosts[host];
	struct fleet_record next;
	struct fleet_view none = h->record.now;
	struct error error;

	if (!h->has_record || (!h->rolls_back && !h->changes) || !is_time(&h->ask_ms))
		return;
	none.weight = 0;
	if (h->rolls_back && mutated(MUTANT_ROLLBACK_PREPARES)) {
		if (!fleet_propose(&h->record, &none, "rollback", &next, &error))
			write_record(host, &next, false);
		return;
	}
	if (h->rolls_back) {
		h->rolls_back = !fleet_rollback(&h->record, "rollback", &next);
		if (h->rolls_back)
			write_record(host, &next, false);
		return;
	}
	h->changes = false;
	if (!fleet_propose(&h->record, &h->wanted, "operator", &next, &error))
		write_record(host, &next, false);
}

void host_run(unsigned host)
{
	if (hosts[host].installed)
		plane_sweep(host);
	if (!hosts[host].up)
		return;
	talk(host);
	serve(host);
	report(host);
	report_held(host);
	lead(host);
	ask(host);
}
