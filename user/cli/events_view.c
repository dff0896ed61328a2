/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/types.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/change.h"
#include "cli/events.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/breaker.h"
#include "core/text.h"
#include "ops/clock.h"
#include "ops/event_view.h"

#define OVERWRITTEN "overwritten"

static const char *percent_of(const json_t *view, const char *key, char buf[WEIGHT_TEXT_LEN])
{
	return format_weight((int)(number_of(view, key) * 100 + 0.5), buf);
}

static void print_interface(const json_t *view)
{
	printf("interface %s, number %lld", text_of(view, "interface"), (long long)integer_of(view, "ifindex"));
}

static void print_upgrade(const json_t *view)
{
	printf("ABI %lld -> %lld", (long long)integer_of(view, "abi_before"), (long long)integer_of(view, "abi"));
}

static void print_service(const json_t *view)
{
	char weight[WEIGHT_TEXT_LEN];

	printf("canary weight %s, ", percent_of(view, "weight", weight));
}

static void print_weight(const json_t *view)
{
	char before[WEIGHT_TEXT_LEN], weight[WEIGHT_TEXT_LEN];

	printf("canary weight %s -> %s%s, assignment %lld, ", percent_of(view, "weight_before", before),
	       percent_of(view, "weight", weight),
	       json_is_true(json_object_get(view, "new_salt")) ? " with a new salt" : "",
	       (long long)integer_of(view, "assignment"));
}

static void print_backend(const json_t *view)
{
	char endpoint[96];

	printf("%s %s: %s, ", text_of(view, "cohort"), endpoint_of(view, endpoint), text_of(view, "state"));
}

static void print_window_closed(const json_t *view)
{
	printf("open since %s%s, ", text_of(view, "opened_at"),
	       json_is_true(json_object_get(view, "forced")) ? ", older flows were left as max_window was over" : "");
}

static void print_trip(const json_t *view)
{
	bool relative = !strcmp(text_of(view, "reason"), "relative");
	__u32 flows[CANARY_COHORTS], failures[CANARY_COHORTS];
	char text[BREAKER_TEXT_LEN];

	for (int i = 0; i < CANARY_COHORTS; i++) {
		const json_t *cohort = json_object_get(view, cohort_name(i));

		flows[i] = (__u32)integer_of(cohort, "flows");
		failures[i] = (__u32)integer_of(cohort, "failures");
	}
	printf("%s; new flows go to stable, ", format_breaker(relative, flows, failures, text));
}

static void print_expiry(const json_t *view)
{
	bool held = !strcmp(text_of(view, "on_expiry"), on_expiry_name(CANARY_EXPIRY_HOLD));

	printf("%s, ", held ? "the weight is held" : "new flows go to stable");
}

/* "canary's 5% of new flows go to stable: the last of its backends 10.0.0.21:8080 is draining, " */
static void print_share(const json_t *view, const char *verb, const char *which)
{
	const char *to = text_of(view, "to"), *cohort = text_of(view, "cohort");
	char weight[WEIGHT_TEXT_LEN], endpoint[96];

	if (number_of(view, "weight") > 0)
		printf("%s's %s of new flows %s %s", cohort, percent_of(view, "weight", weight), verb,
		       *to ? to : "nobody");
	else
		printf("new flows of %s's segments %s %s", cohort, verb, *to ? to : "nobody");
	if (*text_of(view, "address"))
		printf(": %s %s is %s", which, endpoint_of(view, endpoint), text_of(view, "state"));
	printf(", ");
}

static void print_overflow_begun(const json_t *view)
{
	print_share(view, "go to", "its last backend");
}

static void print_overflow_ended(const json_t *view)
{
	print_share(view, "no longer go to", "its backend");
}

/* What of its type an event has to tell, in words. */
static void (*const details[CANARY_EVENT_TYPES])(const json_t *view) = {
	[CANARY_EVENT_ATTACHED] = print_interface,
	[CANARY_EVENT_DETACHED] = print_interface,
	[CANARY_EVENT_UPGRADED] = print_upgrade,
	[CANARY_EVENT_SERVICE_ADDED] = print_service,
	[CANARY_EVENT_WEIGHT_CHANGED] = print_weight,
	[CANARY_EVENT_BACKEND_ADDED] = print_backend,
	[CANARY_EVENT_BACKEND_CHANGED] = print_backend,
	[CANARY_EVENT_BACKEND_DELETED] = print_backend,
	[CANARY_EVENT_WINDOW_CLOSED] = print_window_closed,
	[CANARY_EVENT_BREAKER_TRIPPED] = print_trip,
	[CANARY_EVENT_LEASE_EXPIRED] = print_expiry,
	[CANARY_EVENT_OVERFLOW_BEGUN] = print_overflow_begun,
	[CANARY_EVENT_OVERFLOW_ENDED] = print_overflow_ended,
};

json_t *view_event(const struct canary_event *event)
{
	bool of_interface = event_is_of_interface(event);
	char time[CLOCK_TEXT_LEN], name[CANARY_NAME_LEN];
	json_t *view;

	snprintf(name, sizeof(name), "%.*s", CANARY_NAME_LEN - 1, event->name);
	view = json_pack("{s:s, s:s, s:o}", "time", clock_wall_text_ms(event->time_ns, time), "type",
			 event_type_name(event->type), "service",
			 *name && !of_interface ? json_text(name) : json_null());
	if (of_interface)
		json_object_set_new(view, "interface", json_text(name));
	event_add_members(view, event);
	return view;
}

json_t *view_overwritten(__u64 count)
{
	return json_pack("{s:n, s:s, s:n, s:I}", "time", "type", OVERWRITTEN, "service", "count", (json_int_t)count);
}

/* "root (0)" or "kernel". */
static const char *format_who(const json_t *uid, char *buf, size_t size)
{
	struct passwd entry, *found = NULL;
	char strings[1024];
	json_int_t number = json_integer_value(uid);

	if (!json_is_integer(uid))
		return "kernel";
	if (getpwuid_r((uid_t)number, &entry, strings, sizeof(strings), &found) || !found)
		snprintf(buf, size, "uid %lld", (long long)number);
	else
		snprintf(buf, size, "%s (%lld)", found->pw_name, (long long)number);
	return buf;
}

static size_t type_of(const json_t *view)
{
	size_t type = CANARY_EVENT_TYPES - 1;

	while (type > CANARY_EVENT_NONE && strcmp(text_of(view, "type"), event_type_name((enum canary_event_type)type)))
		type--;
	return type;
}

void print_event(const struct cli *cli, const json_t *view)
{
	size_t type = type_of(view);
	bool alarm = type == CANARY_EVENT_BREAKER_TRIPPED || type == CANARY_EVENT_LEASE_EXPIRED ||
		     type == CANARY_EVENT_OVERFLOW_BEGUN;
	enum style style = alarm ? STYLE_ALARM : STYLE_PLAIN;
	const char *service = text_of(view, "service");
	char who[128];

	if (!strcmp(text_of(view, "type"), OVERWRITTEN)) {
		printf("%lld events were overwritten before they could be read\n",
		       (long long)integer_of(view, "count"));
		return;
	}
	printf("%s%s  %-12s  %-15s  %-8s  ", style_begin(cli, style), text_of(view, "time"), *service ? service : "-",
	       text_of(view, "type"), format_who(json_object_get(view, "uid"), who, sizeof(who)));
	if (details[type])
		details[type](view);
	if (*service)
		printf("epoch %lld", (long long)integer_of(view, "epoch"));
	printf("%s\n", style_end(cli, style));
}
