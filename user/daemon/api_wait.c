/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/api_wait.h"

#include <stdlib.h>

#include "daemon/status.h"

struct waiter {
	struct waiter *next;
	struct supervisor *supervisor;
	struct http_call *call;
	__u64 transitions;
	__s64 until_ms;
};

static void unlink_waiter(struct daemon *daemon, struct waiter *waiter)
{
	struct waiter **at = &daemon->waiters;

	while (*at && *at != waiter)
		at = &(*at)->next;
	if (*at)
		*at = waiter->next;
	free(waiter);
}

static void gone(struct http_call *call, void *arg)
{
	struct waiter *waiter = arg;

	(void)call;
	unlink_waiter(waiter->supervisor->daemon, waiter);
}

void waiters_add(struct supervisor *supervisor, struct http_call *call, __u64 transitions, unsigned seconds)
{
	struct waiter *waiter;

	if (!seconds || supervisor->record.rollout.transitions > transitions) {
		http_reply(call, 200, status_view(supervisor, call));
		return;
	}
	waiter = malloc(sizeof(*waiter));
	if (!waiter) {
		http_reply_error(call, 500, "out of memory");
		return;
	}
	*waiter = (struct waiter){
		.next = supervisor->daemon->waiters,
		.supervisor = supervisor,
		.call = call,
		.transitions = transitions,
		.until_ms = wall_ms() + seconds * 1000LL,
	};
	if (http_wait(call, gone, waiter)) {
		free(waiter);
		return;
	}
	supervisor->daemon->waiters = waiter;
}

static void answer(struct daemon *daemon, struct waiter *waiter)
{
	struct http_call *call = waiter->call;
	json_t *view = status_view(waiter->supervisor, call);

	unlink_waiter(daemon, waiter);
	http_reply(call, 200, view);
}

void waiters_wake(struct supervisor *supervisor)
{
	struct waiter *waiter, *next;

	for (waiter = supervisor->daemon->waiters; waiter; waiter = next) {
		next = waiter->next;
		if (waiter->supervisor == supervisor && supervisor->record.rollout.transitions > waiter->transitions)
			answer(supervisor->daemon, waiter);
	}
}

void waiters_tick(struct daemon *daemon)
{
	struct waiter *waiter, *next;
	__s64 now = wall_ms();

	for (waiter = daemon->waiters; waiter; waiter = next) {
		next = waiter->next;
		if (now >= waiter->until_ms)
			answer(daemon, waiter);
	}
}
