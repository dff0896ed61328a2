/* SPDX-License-Identifier: Apache-2.0 */
/* A host's side of a fleet: what its data plane is to have, and what its lease tells it. */
#include "core/fleet.h"

struct fleet_state fleet_wanted(const struct fleet_record *record, bool stopped)
{
	bool guesses = record->window && record->phase != FLEET_CLOSING;

	return (struct fleet_state){
		.now = record->now,
		.fallback = guesses ? record->oldest : record->now,
		.has_next = record->phase == FLEET_PREPARING,
		.next = record->next,
		.stopped = stopped,
	};
}

/* What an ordinary change brings about. */
static bool is_in_force(const struct fleet_state *have, const struct fleet_state *wanted)
{
	return fleet_view_equal(&have->now, &wanted->now) && have->stopped == wanted->stopped &&
	       have->has_next == wanted->has_next &&
	       (!wanted->has_next || fleet_view_equal(&have->next, &wanted->next));
}

bool fleet_is_done(const struct fleet_state *have, const struct fleet_state *wanted)
{
	return is_in_force(have, wanted) && fleet_view_equal(&have->fallback, &wanted->fallback);
}

/* The change first, as it never alters the default: a rollback waits for nothing. */
enum fleet_act fleet_act(const struct fleet_state *have, const struct fleet_state *wanted)
{
	if (fleet_is_done(have, wanted))
		return FLEET_ACT_NONE;
	if (!is_in_force(have, wanted))
		return FLEET_ACT_CHANGE;
	return fleet_view_equal(&wanted->fallback, &wanted->now) ? FLEET_ACT_CLOSE : FLEET_ACT_ADOPT;
}

struct fleet_host fleet_host_new(__s64 lease_ms)
{
	return (struct fleet_host){.lease_ms = lease_ms, .reading = true};
}

static void hear(struct fleet_host *host, __s64 now_ms, __s64 revision)
{
	if (revision > host->heard)
		host->heard = revision;
	if (!host->behind_ms && host->followed < host->heard) {
		host->behind_ms = now_ms;
		host->mark = host->heard;
	}
}

static __s64 good_until(const struct fleet_host *host, __s64 sent_ms)
{
	return sent_ms + host->lease_ms * (100 - FLEET_LEASE_MARGIN) / 100;
}

void fleet_host_granted(struct fleet_host *host, __s64 sent_ms, __s64 now_ms, __s64 revision)
{
	host->held = true;
	host->returned = false;
	host->reading = true;
	host->granted = revision;
	host->good_until_ms = good_until(host, sent_ms);
	host->next_ms = now_ms + host->lease_ms / 3;
	host->behind_ms = 0; /* it is about to read all */
	hear(host, now_ms, revision);
}

/* What was over for a moment was over: it may have been out for those who watch. */
void fleet_host_renewed(struct fleet_host *host, __s64 sent_ms, __s64 now_ms, __s64 revision)
{
	if (!host->held)
		return; /* given up meanwhile */
	if (now_ms >= host->good_until_ms) {
		host->returned = false;
		host->reading = true;
		host->granted = revision;
	}
	if (good_until(host, sent_ms) > host->good_until_ms)
		host->good_until_ms = good_until(host, sent_ms);
	host->next_ms = now_ms + host->lease_ms / 3;
	hear(host, now_ms, revision);
}

void fleet_host_lost_lease(struct fleet_host *host)
{
	host->held = false;
	host->returned = false;
	host->next_ms = 0;
}

void fleet_host_lost_watch(struct fleet_host *host)
{
	host->reading = true;
}

void fleet_host_followed(struct fleet_host *host, __s64 now_ms, __s64 revision)
{
	if (revision > host->followed)
		host->followed = revision;
	hear(host, now_ms, revision);
	if (host->behind_ms && host->followed >= host->mark) {
		host->behind_ms = 0;
		hear(host, now_ms, revision);
	}
}

bool fleet_host_read(struct fleet_host *host, __s64 now_ms, __s64 revision)
{
	if (revision < host->followed || (host->held && revision < host->granted))
		return false;
	host->reading = false;
	host->returned = host->held;
	fleet_host_followed(host, now_ms, revision);
	return true;
}

bool fleet_host_is_cut_off(const struct fleet_host *host, __s64 now_ms)
{
	return !host->held || !host->returned || now_ms >= host->good_until_ms;
}

static bool is_due(struct fleet_host *host, __s64 now_ms)
{
	if (now_ms < host->next_ms)
		return false;
	host->next_ms = now_ms + host->lease_ms / 6;
	return true;
}

bool fleet_host_must_grant(struct fleet_host *host, __s64 now_ms)
{
	return !host->held && is_due(host, now_ms);
}

bool fleet_host_must_renew(struct fleet_host *host, __s64 now_ms)
{
	if (!host->held || (host->behind_ms && now_ms - host->behind_ms >= host->lease_ms / 2))
		return false;
	return is_due(host, now_ms);
}
