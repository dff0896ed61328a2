/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fleet/fleet.h"

enum { CALLS = 256, SLOW_MS = 6000, SLOW_ANSWER_MS = 1500 };

static struct call calls[CALLS];
static size_t count;
static __s64 parted_until_ms[HOSTS];

void network_clear(void)
{
	count = 0;
	memset(parted_until_ms, 0, sizeof(parted_until_ms));
}

void network_part(unsigned host, __s64 until_ms)
{
	parted_until_ms[host] = until_ms;
}

bool network_is_parted(unsigned host)
{
	return fleet_now_ms < parted_until_ms[host];
}

static bool is_lost(const struct call *call)
{
	return network_is_parted(call->host) || one_in(40);
}

void network_send(struct call call)
{
	bool slow = call.type == CALL_TXN && call.purpose != FOR_NOTHING && one_in(30);

	if (is_lost(&call) || count == CALLS)
		return;
	call.sent_ms = fleet_now_ms;
	call.due_ms = fleet_now_ms + 1 + pick(slow ? SLOW_MS : 60);
	calls[count++] = call;
}

static void execute(struct call *call)
{
	switch (call->type) {
	case CALL_TXN:
		call->succeeded = fleet_commit_txn(call);
		break;
	case CALL_GRANT:
		call->lease = store_grant(fleet_now_ms, LEASE_MS);
		call->succeeded = true;
		break;
	case CALL_RENEW:
		call->succeeded = store_renew(call->lease, fleet_now_ms);
		break;
	case CALL_READ:
		for (unsigned key = 0; key < KEYS; key++)
			call->keys[key] = *store_get(key);
		call->succeeded = true;
	}
	call->revision = store_revision();
}

/* Where the next one that is due stands, or `count`. */
static size_t next_due(void)
{
	size_t next = count;

	for (size_t i = 0; i < count; i++)
		if (calls[i].due_ms <= fleet_now_ms && (next == count || calls[i].due_ms < calls[next].due_ms))
			next = i;
	return next;
}

void network_run(void)
{
	size_t at;

	while ((at = next_due()) < count) {
		struct call call = calls[at];

		calls[at] = calls[--count];
		if (call.answered) {
			host_answered(&call);
			continue;
		}
		execute(&call);
		if (is_lost(&call))
			continue;
		call.answered = true;
		call.due_ms = fleet_now_ms + 1 + pick(one_in(30) ? SLOW_ANSWER_MS : 60);
		calls[count++] = call;
	}
}
