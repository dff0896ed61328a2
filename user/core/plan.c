/* SPDX-License-Identifier: Apache-2.0 */
#include "core/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lookup.h"
#include "core/text.h"

static const char *const step_names[] = {
	[STEP_ADD_SERVICE] = "add_service",	  [STEP_DELETE_SERVICE] = "delete_service",
	[STEP_CHANGE_SERVICE] = "change_service", [STEP_SET_WEIGHT] = "set_weight",
	[STEP_ADD_BACKEND] = "add_backend",	  [STEP_DELETE_BACKEND] = "delete_backend",
	[STEP_CHANGE_BACKEND] = "change_backend", [STEP_ADD_SEGMENT] = "add_segment",
	[STEP_DELETE_SEGMENT] = "delete_segment", [STEP_CHANGE_SEGMENT] = "change_segment",
};

const char *step_name(enum step_type type)
{
	return step_names[type];
}

/*
 * A service of the desired model beside what it is now. A new one has no `actual` and finds nothing there, so all that
 * it has is added.
 */
struct pair {
	const struct service_model *actual;
	struct service_model *desired;
	struct lookup actual_backends, desired_backends;
	struct lookup actual_segments, desired_segments;
};

/* A list of what changes: "a x -> y, b z -> u". */
struct changes {
	char text[448];
};

__attribute__((format(printf, 2, 3))) static void add_change(struct changes *changes, const char *format, ...)
{
	size_t len = strlen(changes->text);
	va_list args;

	if (len)
		len += (size_t)snprintf(changes->text + len, sizeof(changes->text) - len, ", ");
	va_start(args, format);
	vsnprintf(changes->text + len, sizeof(changes->text) - len, format, args);
	va_end(args);
}

__attribute__((format(printf, 4, 5))) static int add_step(struct plan *plan, enum step_type type,
							  const struct service_model *service, const char *format, ...)
{
	struct plan_step *steps = plan->steps;
	struct plan_step *step;
	va_list args;

	/* The array is full whenever the count is a power of two. */
	if (!(plan->count & (plan->count - 1))) {
		steps = reallocarray(steps, plan->count ? 2 * plan->count : 1, sizeof(*steps));
		if (!steps)
			return -ENOMEM;
		plan->steps = steps;
	}
	step = &steps[plan->count++];
	step->type = type;
	memcpy(step->service, service->name, sizeof(step->service));
	va_start(args, format);
	vsnprintf(step->text, sizeof(step->text), format, args);
	va_end(args);
	return 0;
}

static int pair_open(const struct model *actual, struct service_model *desired, struct pair *ret)
{
	const struct service_model *now = model_find_same(actual, desired);

	ret->actual = now;
	ret->desired = desired;
	if (!now)
		return 0;
	if (lookup_make(now->backends, now->backend_count, sizeof(*now->backends), backend_compare,
			&ret->actual_backends) < 0 ||
	    lookup_make(desired->backends, desired->backend_count, sizeof(*desired->backends), backend_compare,
			&ret->desired_backends) < 0 ||
	    lookup_make(now->segments, now->segment_count, sizeof(*now->segments), segment_compare,
			&ret->actual_segments) < 0 ||
	    lookup_make(desired->segments, desired->segment_count, sizeof(*desired->segments), segment_compare,
			&ret->desired_segments) < 0)
		return -ENOMEM;
	return 0;
}

static void pair_close(struct pair *pair)
{
	lookup_free(&pair->actual_backends);
	lookup_free(&pair->desired_backends);
	lookup_free(&pair->actual_segments);
	lookup_free(&pair->desired_segments);
}

static void settle(struct pair *pair)
{
	static const struct service_model nothing = {.reset_after = RESET_NEVER};
	const struct service_model *actual = pair->actual ? pair->actual : &nothing;
	struct service_model *desired = pair->desired;

	desired->id = actual->id;
	desired->word = actual->word;
	desired->salt = actual->salt;
	/* Of a new service, as it is: somebody may know it from an earlier life. */
	if (pair->actual)
		desired->salt_number = actual->salt_number;
	desired->reset_after = actual->reset_after;
	desired->gue_port = service_gue_port(desired);
	desired->idle_timeout = service_idle_timeout(desired);
	desired->max_window = service_max_window(desired);
	if (desired->weight == WEIGHT_KEEP)
		desired->weight = actual->weight;
	desired->assignment = actual->assignment;
	if (!pair->actual || desired->weight != actual->weight) {
		desired->assignment++;
		if (desired->lease == LEASE_UNSET)
			desired->lease = service_default_lease(desired);
	} else {
		desired->lease = actual->lease;
	}
	for (size_t i = 0; i < desired->backend_count; i++) {
		struct backend_model *backend = &desired->backends[i];
		const struct backend_model *now = lookup_find(&pair->actual_backends, backend);

		backend->index = now ? now->index : 0;
	}
}

static int delete_members(struct plan *plan, const struct pair *pair)
{
	const struct service_model *actual = pair->actual;
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; actual && i < actual->backend_count; i++) {
		const struct backend_model *backend = &actual->backends[i];

		if (!lookup_find(&pair->desired_backends, backend) &&
		    add_step(plan, STEP_DELETE_BACKEND, actual, "delete %s backend %s", cohort_name(backend->cohort),
			     format_endpoint(&backend->addr, backend->port, text)) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; actual && i < actual->segment_count; i++) {
		const struct segment_model *segment = &actual->segments[i];

		if (!lookup_find(&pair->desired_segments, segment) &&
		    add_step(plan, STEP_DELETE_SEGMENT, actual, "delete segment %s -> %s",
			     format_prefix(&segment->addr, segment->prefix_len, text),
			     cohort_name(segment->cohort)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void add_time_change(struct changes *changes, const char *name, unsigned actual, unsigned desired)
{
	char before[DURATION_TEXT_LEN], after[DURATION_TEXT_LEN];

	if (actual != desired)
		add_change(changes, "%s %s -> %s", name, format_duration(actual, before),
			   format_duration(desired, after));
}

static void add_hundredths_change(struct changes *changes, const char *name, unsigned actual, unsigned desired,
				  const char *unit)
{
	char before[HUNDREDTHS_TEXT_LEN], after[HUNDREDTHS_TEXT_LEN];

	if (actual != desired)
		add_change(changes, "%s %s%s -> %s%s", name, format_hundredths(actual, before), unit,
			   format_hundredths(desired, after), unit);
}

/* observe, breaker and lease, in the words of the file. */
static void change_guards(struct changes *changes, const struct service_model *actual,
			  const struct service_model *desired)
{
	char before[DURATION_TEXT_LEN], after[DURATION_TEXT_LEN];

	add_hundredths_change(changes, "observe.cap", actual->observe_cap, desired->observe_cap, " %");
	if (actual->handshake_timeout != desired->handshake_timeout)
		add_change(changes, "observe.handshake_timeout %s -> %s",
			   format_milliseconds(actual->handshake_timeout, before),
			   format_milliseconds(desired->handshake_timeout, after));
	if (actual->breaker != desired->breaker)
		add_change(changes, "breaker.enabled %s -> %s", actual->breaker ? "true" : "false",
			   desired->breaker ? "true" : "false");
	add_hundredths_change(changes, "breaker.ratio", actual->breaker_ratio, desired->breaker_ratio, "");
	if (actual->breaker_arl != desired->breaker_arl)
		add_change(changes, "breaker.arl %u -> %u", actual->breaker_arl, desired->breaker_arl);
	if (actual->lease_default != desired->lease_default)
		add_change(changes, "lease.duration %s -> %s",
			   actual->lease_default ? format_duration(actual->lease_default, before) : "none",
			   desired->lease_default ? format_duration(desired->lease_default, after) : "none");
	if (actual->on_expiry != desired->on_expiry)
		add_change(changes, "lease.on_expiry %s -> %s", on_expiry_name(actual->on_expiry),
			   on_expiry_name(desired->on_expiry));
}

static int change_service(struct plan *plan, const struct service_model *actual, const struct service_model *desired)
{
	char before[MSS_TEXT_LEN], after[MSS_TEXT_LEN];
	struct changes changes = {};

	if (actual->forward != desired->forward)
		add_change(&changes, "forward %s -> %s", forward_name(actual->forward), forward_name(desired->forward));
	if (!actual->gue_port && desired->gue_port)
		add_change(&changes, "gue_port %d", desired->gue_port);
	else if (desired->gue_port && actual->gue_port != desired->gue_port)
		add_change(&changes, "gue_port %d -> %d", actual->gue_port, desired->gue_port);
	if (actual->affinity != desired->affinity)
		add_change(&changes, "affinity %s -> %s", affinity_name(actual->affinity),
			   affinity_name(desired->affinity));
	if (actual->track != desired->track)
		add_change(&changes, "track %s -> %s", track_name(actual->track), track_name(desired->track));
	if (actual->overflow != desired->overflow)
		add_change(&changes, "overflow %s -> %s", overflow_name(actual->overflow),
			   overflow_name(desired->overflow));
	if (actual->mss != desired->mss)
		add_change(&changes, "mss %s -> %s", format_mss(actual->mss, before), format_mss(desired->mss, after));
	add_time_change(&changes, "idle_timeout", service_idle_timeout(actual), desired->idle_timeout);
	add_time_change(&changes, "max_window", service_max_window(actual), desired->max_window);
	change_guards(&changes, actual, desired);
	if (changes.text[0] && add_step(plan, STEP_CHANGE_SERVICE, desired, "change %s", changes.text) < 0)
		return -ENOMEM;
	if (actual->weight == desired->weight)
		return 0;
	return add_step(plan, STEP_SET_WEIGHT, desired, "set weight %d.%02d %% -> %d.%02d %%", actual->weight / 100,
			actual->weight % 100, desired->weight / 100, desired->weight % 100);
}

static int change_backend(struct plan *plan, const struct service_model *service, const struct backend_model *actual,
			  const struct backend_model *desired)
{
	struct changes changes = {};
	char text[ADDR_TEXT_LEN];

	if (actual->cohort != desired->cohort)
		add_change(&changes, "%s -> %s", cohort_name(actual->cohort), cohort_name(desired->cohort));
	if (actual->weight != desired->weight)
		add_change(&changes, "weight %u -> %u", actual->weight, desired->weight);
	if (actual->draining != desired->draining)
		add_change(&changes, desired->draining ? "drain" : "end the drain");
	if (!changes.text[0])
		return 0;
	return add_step(plan, STEP_CHANGE_BACKEND, service, "change %s backend %s: %s", cohort_name(actual->cohort),
			format_endpoint(&desired->addr, desired->port, text), changes.text);
}

static int change_members(struct plan *plan, const struct pair *pair)
{
	const struct service_model *service = pair->desired;
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *now = lookup_find(&pair->actual_backends, &service->backends[i]);

		if (now && change_backend(plan, service, now, &service->backends[i]) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < service->segment_count; i++) {
		const struct segment_model *segment = &service->segments[i];
		const struct segment_model *now = lookup_find(&pair->actual_segments, segment);

		if (now && now->cohort != segment->cohort &&
		    add_step(plan, STEP_CHANGE_SEGMENT, service, "change segment %s: %s -> %s",
			     format_prefix(&segment->addr, segment->prefix_len, text), cohort_name(now->cohort),
			     cohort_name(segment->cohort)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What departs from the defaults of observe, breaker and lease. */
static void add_guards(struct changes *details, const struct service_model *service)
{
	char text[DURATION_TEXT_LEN], number[HUNDREDTHS_TEXT_LEN];

	if (service->observe_cap != OBSERVE_CAP)
		add_change(details, "observe.cap %s %%", format_hundredths(service->observe_cap, number));
	if (service->handshake_timeout != HANDSHAKE_TIMEOUT)
		add_change(details, "observe.handshake_timeout %s",
			   format_milliseconds(service->handshake_timeout, text));
	if (!service->breaker)
		add_change(details, "breaker.enabled false");
	if (service->breaker_ratio != BREAKER_RATIO)
		add_change(details, "breaker.ratio %s", format_hundredths(service->breaker_ratio, number));
	if (service->breaker_arl != BREAKER_ARL)
		add_change(details, "breaker.arl %u", service->breaker_arl);
	if (service->lease_default)
		add_change(details, "lease.duration %s", format_duration(service->lease_default, text));
	if (service->on_expiry != CANARY_EXPIRY_STABLE)
		add_change(details, "lease.on_expiry %s", on_expiry_name(service->on_expiry));
}

static int add_service(struct plan *plan, const struct service_model *service)
{
	const struct service_model usual = {.proto = service->proto, .forward = service->forward};
	char text[ADDR_TEXT_LEN], duration[DURATION_TEXT_LEN], mss[MSS_TEXT_LEN];
	struct changes details = {};

	add_change(&details, "%s, affinity %s, weight %d.%02d %%", forward_name(service->forward),
		   affinity_name(service->affinity), service->weight / 100, service->weight % 100);
	if (service->gue_port != service_gue_port(&usual))
		add_change(&details, "gue_port %d", service->gue_port);
	if (service->track != CANARY_TRACK_AUTO)
		add_change(&details, "track %s", track_name(service->track));
	if (service->overflow != CANARY_OVERFLOW_OTHER)
		add_change(&details, "overflow %s", overflow_name(service->overflow));
	if (service->mss)
		add_change(&details, "mss %s", format_mss(service->mss, mss));
	if (service->idle_timeout != service_idle_timeout(&usual))
		add_change(&details, "idle_timeout %s", format_duration(service->idle_timeout, duration));
	if (service->max_window != service_max_window(&usual))
		add_change(&details, "max_window %s", format_duration(service->max_window, duration));
	add_guards(&details, service);
	return add_step(plan, STEP_ADD_SERVICE, service, "add service %s %s (%s)", proto_name(service->proto),
			format_endpoint(&service->addr, service->port, text), details.text);
}

static int add_members(struct plan *plan, const struct pair *pair)
{
	const struct service_model *service = pair->desired;
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct backend_model *backend = &service->backends[i];

		if (!lookup_find(&pair->actual_backends, backend) &&
		    add_step(plan, STEP_ADD_BACKEND, service, "add %s backend %s (weight %u%s)",
			     cohort_name(backend->cohort), format_endpoint(&backend->addr, backend->port, text),
			     backend->weight, backend->draining ? ", draining" : "") < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < service->segment_count; i++) {
		const struct segment_model *segment = &service->segments[i];

		if (!lookup_find(&pair->actual_segments, segment) &&
		    add_step(plan, STEP_ADD_SEGMENT, service, "add segment %s -> %s",
			     format_prefix(&segment->addr, segment->prefix_len, text),
			     cohort_name(segment->cohort)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int plan_deletions(struct plan *plan, const struct model *actual, const struct model *desired,
			  const struct pair *pairs)
{
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < actual->service_count; i++) {
		const struct service_model *service = &actual->services[i];

		if (!model_find_same(desired, service) &&
		    add_step(plan, STEP_DELETE_SERVICE, service, "delete service %s %s and its %zu backend%s",
			     proto_name(service->proto), format_endpoint(&service->addr, service->port, text),
			     service->backend_count, service->backend_count == 1 ? "" : "s") < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < desired->service_count; i++) {
		if (delete_members(plan, &pairs[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int plan_changes(struct plan *plan, const struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].actual && (change_service(plan, pairs[i].actual, pairs[i].desired) < 0 ||
					change_members(plan, &pairs[i]) < 0))
			return -ENOMEM;
	}
	return 0;
}

static int plan_additions(struct plan *plan, const struct pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if ((!pairs[i].actual && add_service(plan, pairs[i].desired) < 0) || add_members(plan, &pairs[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

int plan_make(const struct model *actual, struct model *desired, struct plan *ret)
{
	size_t count = desired->service_count;
	struct pair *pairs = calloc(count ? count : 1, sizeof(*pairs));
	struct plan plan = {};
	int err = pairs ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < count; i++)
		err = pair_open(actual, &desired->services[i], &pairs[i]);
	for (size_t i = 0; !err && i < count; i++)
		settle(&pairs[i]);
	if (!err)
		err = plan_deletions(&plan, actual, desired, pairs);
	if (!err)
		err = plan_changes(&plan, pairs, count);
	if (!err)
		err = plan_additions(&plan, pairs, count);
	for (size_t i = 0; pairs && i < count; i++)
		pair_close(&pairs[i]);
	free(pairs);
	if (err < 0) {
		plan_free(&plan);
		return err;
	}
	*ret = plan;
	return 0;
}

void plan_free(struct plan *plan)
{
	free(plan->steps);
	*plan = (struct plan){};
}
