/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct fleet_view no_view;

bool fleet_view_equal(const struct fleet_view *a, const struct fleet_view *b)
{
	return a->config == b->config && a->weight == b->weight && a->salt == b->salt;
}

static void sign(struct fleet_record *record, const char *who)
{
	snprintf(record->who, sizeof(record->who), "%s", who);
}

/* While a window closes some hosts say `now` by default and some `oldest`: none of the two is what all say. */
static void reopen(struct fleet_record *record)
{
	if (record->phase != FLEET_CLOSING)
		return;
	record->oldest = record->now;
	record->mixed = true;
}

/* The window that a commit leaves open: the one that is, or one that begins with what was in force. */
static void bring_into_force(struct fleet_record *record, const struct fleet_view *view)
{
	reopen(record);
	if (!record->window)
		record->oldest = record->now;
	if (record->now.weight != view->weight || record->now.salt != view->salt)
		record->assignment++;
	record->now = *view;
	record->next = no_view;
	record->window = true;
	record->phase = FLEET_OPEN;
}

struct fleet_record fleet_first(const struct fleet_view *view, const char *who)
{
	struct fleet_record record = {.change = 1, .assignment = 1, .phase = FLEET_SETTLED, .now = *view};

	sign(&record, who);
	return record;
}

int fleet_propose(const struct fleet_record *record, const struct fleet_view *next, const char *who,
		  struct fleet_record *ret, struct error *error)
{
	struct fleet_record proposed = *record;

	if (record->phase == FLEET_PREPARING) {
		if (fleet_view_equal(&record->next, next))
			return -EALREADY;
		return fail(error, -EBUSY, "a change by %s is being prepared: wait for it, or roll back", record->who);
	}
	if (fleet_view_equal(&record->now, next))
		return -EALREADY;
	reopen(&proposed);
	proposed.change++;
	proposed.phase = FLEET_PREPARING;
	proposed.next = *next;
	sign(&proposed, who);
	*ret = proposed;
	return 0;
}

int fleet_rollback(const struct fleet_record *record, const char *who, struct fleet_record *ret)
{
	struct fleet_record back = *record;
	struct fleet_view stable = record->now;

	stable.weight = 0;
	if (record->phase != FLEET_PREPARING && !record->now.weight)
		return -EALREADY;
	if (record->now.weight)
		bring_into_force(&back, &stable);
	else
		fleet_abort(record, &back);
	back.change++;
	sign(&back, who);
	*ret = back;
	return 0;
}

int fleet_commit(const struct fleet_record *record, struct fleet_record *ret)
{
	struct fleet_record committed = *record;

	if (record->phase != FLEET_PREPARING)
		return -EBUSY;
	bring_into_force(&committed, &record->next);
	*ret = committed;
	return 0;
}

int fleet_abort(const struct fleet_record *record, struct fleet_record *ret)
{
	struct fleet_record aborted = *record;

	if (record->phase != FLEET_PREPARING)
		return -EBUSY;
	aborted.next = no_view;
	aborted.phase = record->window ? FLEET_OPEN : FLEET_SETTLED;
	*ret = aborted;
	return 0;
}

int fleet_close(const struct fleet_record *record, struct fleet_record *ret)
{
	if (record->phase != FLEET_OPEN)
		return -EBUSY;
	*ret = *record;
	ret->phase = FLEET_CLOSING;
	return 0;
}

int fleet_settle(const struct fleet_record *record, struct fleet_record *ret)
{
	if (record->phase != FLEET_CLOSING)
		return -EBUSY;
	*ret = *record;
	ret->phase = FLEET_SETTLED;
	ret->window = ret->mixed = false;
	ret->oldest = no_view;
	return 0;
}

int fleet_write_record(const char *prefix, const char *service, const struct fleet_record *record, __s64 mod_revision,
		       __s64 leader_revision, struct fleet_write *ret)
{
	const struct fleet_key leader = {.kind = FLEET_KEY_LEADER};
	struct fleet_key key = {.kind = FLEET_KEY_SERVICE};
	struct fleet_write write = {.mod_revision = mod_revision, .leader_revision = leader_revision};
	int err;

	if (snprintf(key.part[0], sizeof(key.part[0]), "%s", service) >= (int)sizeof(key.part[0]))
		return -EINVAL;
	err = fleet_format_key(prefix, &key, write.key);
	if (!err && leader_revision)
		err = fleet_format_key(prefix, &leader, write.leader_key);
	if (err)
		return err;
	fleet_format_record(record, write.value);
	*ret = write;
	return 0;
}

int fleet_conflict(const char *service, const struct fleet_record *theirs, struct error *error)
{
	return fail(error, -ESTALE, "%s was changed by %s meanwhile (change %llu): see what holds now, and ask again",
		    service, theirs->who, (unsigned long long)theirs->change);
}
