/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/types.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary/breaker.h"
#include "cli/change.h"
#include "ops/clock.h"
#include "cli/events.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/breaker.h"
#include "core/text.h"

#define OVERWRITTEN "overwritten"

static const char *const type_names[CANARY_EVENT_TYPES] = {[CANARY_EVENT_NONE] = "unknown",
#define X(NAME, name, help) [CANARY_EVENT_##NAME] = #name,
							   CANARY_EVENT_LIST(X)
#undef X
};

static void set_text(json_t *view, const char *key, const char *text)
{
	json_object_set_new(view, key, json_string(text));
}

static void set_number(json_t *view, const char *key, __u64 number)
{
	json_object_set_new(view, key, json_integer((json_int_t)number));
}

static const char *percent_of(const json_t *view, const char *key, char buf[WEIGHT_TEXT_LEN])
{
	return format_weight((int)(number_of(view, key) * 100 + 0.5), buf);
}

static void add_interface(json_t *view, const __u64 *value)
{
	set_number(view, "ifindex", value[0]);
}

static void print_interface(const json_t *view)
{
	printf("interface %s, number %lld", text_of(view, "interface"), (long long)integer_of(view, "ifindex"));
}

static void add_upgrade(json_t *view, const __u64 *value)
{
	set_number(view, "abi_before", value[0]);
	set_number(view, "abi", value[1]);
}

static void print_upgrade(const json_t *view)
{
	printf("ABI %lld -> %lld", (long long)integer_of(view, "abi_before"), (long long)integer_of(view, "abi"));
}

static void add_service(json_t *view, const __u64 *value)
{
	json_object_set_new(view, "weight", json_real((double)value[0] / 100));
}

static void print_service(const json_t *view)
{
	char weight[WEIGHT_TEXT_LEN];

	printf("canary weight %s, ", percent_of(view, "weight", weight));
}

static void add_weight(json_t *view, const __u64 *value)
{
	json_object_set_new(view, "weight_before", json_real((double)value[0] / 100));
	json_object_set_new(view, "weight", json_real((double)value[1] / 100));
	set_number(view, "assignment", value[2]);
	json_object_set_new(view, "new_salt", json_boolean(value[3] & 1));
}

static void print_weight(const json_t *view)
{
	char before[WEIGHT_TEXT_LEN], weight[WEIGHT_TEXT_LEN];

	printf("canary weight %s -> %s%s, assignment %lld, ", percent_of(view, "weight_before", before),
	       percent_of(view, "weight", weight),
	       json_is_true(json_object_get(view, "new_salt")) ? " with a new salt" : "",
	       (long long)integer_of(view, "assignment"));
}

static void add_backend(json_t *view, const __u64 *value)
{
	static const char *const states[] = {"deleted", "up", "draining"};
	size_t state = value[2] >> 24 & 0xff;
	struct canary_addr addr;
	char text[ADDR_TEXT_LEN];

	memcpy(&addr, value, sizeof(addr));
	set_text(view, "address", format_addr(&addr, text));
	set_number(view, "port", value[2] & 0xffff);
	set_text(view, "cohort", cohort_name((enum canary_cohort)(value[2] >> 16 & 0xff)));
	set_text(view, "state", state < sizeof(states) / sizeof(states[0]) ? states[state] : "unknown");
}

static void print_backend(const json_t *view)
{
	char endpoint[96];

	printf("%s %s: %s, ", text_of(view, "cohort"), endpoint_of(view, endpoint), text_of(view, "state"));
}

static void add_window(json_t *view, const __u64 *value)
{
	char time[CLOCK_TEXT_LEN];

	set_text(view, "opened_at", clock_wall_text_ms(value[0], time));
	json_object_set_new(view, "forced", json_boolean(value[1] & 1));
}

static void print_window_closed(const json_t *view)
{
	printf("open since %s%s, ", text_of(view, "opened_at"),
	       json_is_true(json_object_get(view, "forced")) ? ", older flows were left as max_window was over" : "");
}

static void add_trip(json_t *view, const __u64 *value)
{
	set_text(view, "reason", value[0] == CANARY_STOP_RELATIVE ? "relative" : "absolute");
	for (int i = 0; i < CANARY_COHORTS; i++)
		json_object_set_new(view, cohort_name(i),
				    json_pack("{s:I, s:I}", "flows", (json_int_t)(__u32)value[1 + i], "failures",
					      (json_int_t)(value[1 + i] >> 32)));
	json_object_set_new(view, "sum", json_real((double)value[3] / CANARY_BREAKER_NAT));
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

static void add_expiry(json_t *view, const __u64 *value)
{
	set_text(view, "on_expiry", on_expiry_name((enum canary_on_expiry)value[0]));
}

static void print_expiry(const json_t *view)
{
	bool held = !strcmp(text_of(view, "on_expiry"), on_expiry_name(CANARY_EXPIRY_HOLD));

	printf("%s, ", held ? "the weight is held" : "new flows go to stable");
}

static void add_overflow(json_t *view, const __u64 *value)
{
	enum canary_cohort cohort = value[2] >> 16 & 1, other = cohort == CANARY_STABLE ? CANARY_CANARY : CANARY_STABLE;

	if (value[0] || value[1]) {
		add_backend(view, value);
	} else {
		set_text(view, "cohort", cohort_name(cohort));
		json_object_set_new(view, "address", json_null());
	}
	json_object_set_new(view, "to", value[3] >> 32 ? json_null() : json_string(cohort_name(other)));
	json_object_set_new(view, "weight", json_real((double)(__u32)value[3] / 100));
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

/* What of its type an event has to tell: from value[] to members, and from these to words. */
static const struct {
	void (*add)(json_t *view, const __u64 *value);
	void (*print)(const json_t *view);
} details[CANARY_EVENT_TYPES] = {
	[CANARY_EVENT_ATTACHED] = {add_interface, print_interface},
	[CANARY_EVENT_DETACHED] = {add_interface, print_interface},
	[CANARY_EVENT_UPGRADED] = {add_upgrade, print_upgrade},
	[CANARY_EVENT_SERVICE_ADDED] = {add_service, print_service},
	[CANARY_EVENT_WEIGHT_CHANGED] = {add_weight, print_weight},
	[CANARY_EVENT_BACKEND_ADDED] = {add_backend, print_backend},
	[CANARY_EVENT_BACKEND_CHANGED] = {add_backend, print_backend},
	[CANARY_EVENT_BACKEND_DELETED] = {add_backend, print_backend},
	[CANARY_EVENT_WINDOW_CLOSED] = {add_window, print_window_closed},
	[CANARY_EVENT_BREAKER_TRIPPED] = {add_trip, print_trip},
	[CANARY_EVENT_LEASE_EXPIRED] = {add_expiry, print_expiry},
	[CANARY_EVENT_OVERFLOW_BEGUN] = {add_overflow, print_overflow_begun},
	[CANARY_EVENT_OVERFLOW_ENDED] = {add_overflow, print_overflow_ended},
};

json_t *view_event(const struct canary_event *event)
{
	__u32 type = event->type < CANARY_EVENT_TYPES ? event->type : CANARY_EVENT_NONE;
	bool of_interface = event_is_of_interface(event);
	char time[CLOCK_TEXT_LEN], name[CANARY_NAME_LEN];
	json_t *view;

	snprintf(name, sizeof(name), "%.*s", CANARY_NAME_LEN - 1, event->name);
	view = json_pack("{s:s, s:s, s:o}", "time", clock_wall_text_ms(event->time_ns, time), "type", type_names[type],
			 "service", *name && !of_interface ? json_text(name) : json_null());
	if (of_interface)
		json_object_set_new(view, "interface", json_text(name));
	set_number(view, "number", event->number);
	set_number(view, "epoch", event->epoch);
	json_object_set_new(view, "uid", event->uid == CANARY_UID_KERNEL ? json_null() : json_integer(event->uid));
	if (details[type].add)
		details[type].add(view, event->value);
	return view;
}

bool event_is_of_interface(const struct canary_event *event)
{
	return event->type == CANARY_EVENT_ATTACHED || event->type == CANARY_EVENT_DETACHED;
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

	while (type > CANARY_EVENT_NONE && strcmp(text_of(view, "type"), type_names[type]))
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
	if (details[type].print)
		details[type].print(view);
	if (*service)
		printf("epoch %lld", (long long)integer_of(view, "epoch"));
	printf("%s\n", style_end(cli, style));
}
