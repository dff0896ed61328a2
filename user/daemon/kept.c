/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/kept.h"

#include <string.h>

#include "ops/clock.h"

#define TIMES_ITS_MAKING 4 /* an answer is kept so long: making them takes a fifth of the time at most */

void kept_clear(struct kept *kept)
{
	http_answer_free(kept->answer);
	*kept = (struct kept){};
}

static bool is_due(const struct kept *kept, __u64 now)
{
	return !kept->answer || now >= kept->until_ns;
}

/* Takes the bytes; NULL: there was not enough memory. */
static void keep(struct kept *kept, __u64 began, const char *type, char *bytes, size_t len)
{
	__u64 ended = clock_monotonic_ns();

	kept_clear(kept);
	kept->answer = http_answer_new(type, bytes, len);
	kept->until_ns = ended + TIMES_ITS_MAKING * (ended - began);
}

static void reply(const struct kept *kept, struct http_call *call)
{
	if (kept->answer)
		http_reply_answer(call, kept->answer);
	else
		http_reply_error(call, 500, "out of memory");
}

void kept_reply_text(struct kept *kept, struct http_call *call, struct daemon *daemon, const char *type,
		     kept_text *text)
{
	__u64 now = clock_monotonic_ns();
	char *bytes = NULL;
	size_t len = 0;

	if (is_due(kept, now)) {
		if (text(daemon, &bytes, &len))
			bytes = NULL;
		keep(kept, now, type, bytes, len);
	}
	reply(kept, call);
}

void kept_reply_view(struct kept *kept, struct http_call *call, struct daemon *daemon, kept_view *view)
{
	__u64 now = clock_monotonic_ns();

	if (!http_by_address(call)) {
		http_reply(call, 200, view(daemon, call));
		return;
	}
	if (is_due(kept, now)) {
		json_t *json = view(daemon, call);
		char *bytes = json_dumps(json, JSON_COMPACT);

		json_decref(json);
		keep(kept, now, "application/json", bytes, bytes ? strlen(bytes) : 0);
	}
	reply(kept, call);
}
