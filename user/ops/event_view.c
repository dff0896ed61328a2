/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/event_view.h"

#include <string.h>

#include "canary/breaker.h"
#include "core/text.h"
#include "ops/clock.h"

static void set_text(json_t *view, const char *key, const char *text)
{
	json_object_set_new(view, key, json_string(text));
}

static void set_number(json_t *view, const char *key, __u64 number)
{
	json_object_set_new(view, key, json_integer((json_int_t)number));
}

static void add_interface(json_t *view, const __u64 *value)
{
	set_number(view, "ifindex", value[0]);
}

static void add_upgrade(json_t *view, const __u64 *value)
{
	set_number(view, "abi_before", value[0]);
	set_number(view, "abi", value[1]);
}

static void add_service(json_t *view, const __u64 *value)
{
	json_object_set_new(view, "weight", json_real((double)value[0] / 100));
}

static void add_weight(json_t *view, const __u64 *value)
{
	json_object_set_new(view, "weight_before", json_real((double)value[0] / 100));
	json_object_set_new(view, "weight", json_real((double)value[1] / 100));
	set_number(view, "assignment", value[2]);
	json_object_set_new(view, "new_salt", json_boolean(value[3] & 1));
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

static void add_window(json_t *view, const __u64 *value)
{
	char time[CLOCK_TEXT_LEN];

	set_text(view, "opened_at", clock_wall_text_ms(value[0], time));
	json_object_set_new(view, "forced", json_boolean(value[1] & 1));
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

static void add_expiry(json_t *view, const __u64 *value)
{
	set_text(view, "on_expiry", on_expiry_name((enum canary_on_expiry)value[0]));
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

static void (*const adders[CANARY_EVENT_TYPES])(json_t *view, const __u64 *value) = {
	[CANARY_EVENT_ATTACHED] = add_interface,      [CANARY_EVENT_DETACHED] = add_interface,
	[CANARY_EVENT_UPGRADED] = add_upgrade,	      [CANARY_EVENT_SERVICE_ADDED] = add_service,
	[CANARY_EVENT_WEIGHT_CHANGED] = add_weight,   [CANARY_EVENT_BACKEND_ADDED] = add_backend,
	[CANARY_EVENT_BACKEND_CHANGED] = add_backend, [CANARY_EVENT_BACKEND_DELETED] = add_backend,
	[CANARY_EVENT_WINDOW_CLOSED] = add_window,    [CANARY_EVENT_BREAKER_TRIPPED] = add_trip,
	[CANARY_EVENT_LEASE_EXPIRED] = add_expiry,    [CANARY_EVENT_OVERFLOW_BEGUN] = add_overflow,
	[CANARY_EVENT_OVERFLOW_ENDED] = add_overflow,
};

bool event_is_of_interface(const struct canary_event *event)
{
	return event->type == CANARY_EVENT_ATTACHED || event->type == CANARY_EVENT_DETACHED;
}

void event_add_members(json_t *view, const struct canary_event *event)
{
	set_number(view, "number", event->number);
	set_number(view, "epoch", event->epoch);
	json_object_set_new(view, "uid", event->uid == CANARY_UID_KERNEL ? json_null() : json_integer(event->uid));
	if (event->type < CANARY_EVENT_TYPES && adders[event->type])
		adders[event->type](view, event->value);
}
