/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's side of a fleet: what becomes of a record next. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/fleet.h"

static bool has_done(const struct fleet_question *q, const struct fleet_peer *peer)
{
	return peer->alive && peer->done >= q->revision && !peer->undone;
}

/* A member that is not to be heard of, and may serve all the same: by what it had. */
static bool is_cut_off(const struct fleet_peer *peer)
{
	return peer->member && !peer->alive && !peer->withdraws;
}

static bool is_missed_preparing(const struct fleet_question *q, const struct fleet_peer *peer)
{
	if (peer->alive)
		return !has_done(q, peer);
	return peer->member && q->missing == FLEET_MISSING_WAIT;
}

static bool is_missed_closing(const struct fleet_question *q, const struct fleet_peer *peer)
{
	return peer->alive ? !has_done(q, peer) : is_cut_off(peer);
}

/* Who is missed, by name. Some of them alive? */
static size_t find_missed(const struct fleet_question *q,
			  bool (*is_missed)(const struct fleet_question *, const struct fleet_peer *),
			  struct error *reason, bool *ret_alive)
{
	size_t count = 0, at = 0, size = sizeof(reason->text);

	*ret_alive = false;
	for (size_t i = 0; i < q->peer_count; i++) {
		const struct fleet_peer *peer = &q->peers[i];

		if (!is_missed(q, peer))
			continue;
		*ret_alive |= peer->alive;
		if (at < size)
			at += (size_t)snprintf(reason->text + at, size - at, "%s%s%s", count ? ", " : "waits for ",
					       peer->name, peer->alive ? "" : " (its lease is over)");
		count++;
	}
	return count;
}

static const struct fleet_peer *find_refusal(const struct fleet_question *q)
{
	for (size_t i = 0; i < q->peer_count; i++)
		if (q->peers[i].alive && q->peers[i].refusal && *q->peers[i].refusal && q->peers[i].done >= q->revision)
			return &q->peers[i];
	return NULL;
}

static enum fleet_decision decide_preparing(const struct fleet_question *q, struct fleet_record *ret,
					    struct error *reason)
{
	const struct fleet_peer *refusing = find_refusal(q);
	bool alive;

	if (refusing) {
		fleet_abort(q->record, ret);
		fail(reason, -EBUSY, "%s cannot take the change: %s", refusing->name, refusing->refusal);
		return FLEET_ABORTS;
	}
	if (!find_missed(q, is_missed_preparing, reason, &alive)) {
		fleet_commit(q->record, ret);
		return FLEET_COMMITS;
	}
	/* Whose lease is over may be waited for as long as it takes: that is what `wait` says. */
	if (!alive || q->now_ms - q->seen_ms < q->prepare_ms)
		return FLEET_WAITS;
	fleet_abort(q->record, ret);
	return FLEET_ABORTS;
}

static enum fleet_decision decide_open(const struct fleet_question *q, struct fleet_record *ret, struct error *reason)
{
	bool over = q->now_ms - q->window_ms >= q->max_window_ms, alive;

	if (!over &&
	    (find_missed(q, is_missed_closing, reason, &alive) || q->held || q->now_ms - q->quiet_ms < q->idle_ms))
		return FLEET_WAITS;
	fleet_close(q->record, ret);
	return FLEET_CLOSES;
}

static enum fleet_decision decide_closing(const struct fleet_question *q, struct fleet_record *ret,
					  struct error *reason)
{
	bool alive;

	if (find_missed(q, is_missed_closing, reason, &alive))
		return FLEET_WAITS;
	fleet_settle(q->record, ret);
	return FLEET_SETTLES;
}

enum fleet_decision fleet_decide(const struct fleet_question *q, struct fleet_record *ret, struct error *reason)
{
	reason->text[0] = 0;
	switch (q->record->phase) {
	case FLEET_PREPARING:
		return decide_preparing(q, ret, reason);
	case FLEET_OPEN:
		return decide_open(q, ret, reason);
	case FLEET_CLOSING:
		return decide_closing(q, ret, reason);
	default:
		return FLEET_WAITS;
	}
}
