/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ops/clock.h"
#include "cli/output.h"
#include "cli/view.h"
#include "cli/windows.h"

static json_t *view_time(bool known, __u64 monotonic_ns)
{
	char text[CLOCK_TEXT_LEN];

	return known ? json_string(clock_wall_text(monotonic_ns, text)) : json_null();
}

json_t *view_window(struct dataplane *dataplane, const struct service_model *service, struct error *error)
{
	struct window window;
	int err = dataplane_window(dataplane, service, &window);

	if (err) {
		fail(error, err, "cannot read the window of %s: %s", service->name, strerror(-err));
		return NULL;
	}
	return json_pack("{s:b, s:o, s:o, s:I, s:I, s:I}", "open", window.open, "open_since",
			 view_time(window.open, window.opened_ns), "closes_at",
			 view_time(window.open, window.closes_ns), "held", (json_int_t)window.held, "skipped_writes",
			 (json_int_t)window.skipped, "fallbacks", (json_int_t)window.fallbacks);
}

void print_window(const struct cli *cli, const json_t *window)
{
	if (!json_is_true(json_object_get(window, "open")))
		return;
	printf("  window open since %s, closes %s: %lld flows held", text_of(window, "open_since"),
	       text_of(window, "closes_at"), (long long)integer_of(window, "held"));
	if (integer_of(window, "skipped_writes") || integer_of(window, "fallbacks"))
		printf(", %s%lld skipped writes, %lld fallbacks%s", style_begin(cli, STYLE_ALARM),
		       (long long)integer_of(window, "skipped_writes"), (long long)integer_of(window, "fallbacks"),
		       style_end(cli, STYLE_ALARM));
	putchar('\n');
}
