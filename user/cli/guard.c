/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "canary/select.h"
#include "cli/change.h"
#include "ops/clock.h"
#include "cli/guard.h"
#include "cli/output.h"
#include "cli/view.h"
#include "core/breaker.h"
#include "core/text.h"

#define NSEC_PER_MSEC 1000000ULL

static json_t *view_time(__u64 monotonic_ns)
{
	char text[CLOCK_TEXT_LEN];

	return monotonic_ns ? json_string(clock_wall_text(monotonic_ns, text)) : json_null();
}

json_t *view_cohorts(json_int_t stable, json_int_t canary)
{
	return json_pack("{s:I, s:I}", "stable", stable, "canary", canary);
}

static json_t *view_breaker(const struct service_model *service, const struct guard *guard)
{
	json_t *flows = view_cohorts(guard->flows[CANARY_STABLE], guard->flows[CANARY_CANARY]);
	json_t *failures = view_cohorts(guard->failures[CANARY_STABLE], guard->failures[CANARY_CANARY]);
	bool relative = guard->reason == CANARY_STOP_RELATIVE;
	char text[BREAKER_TEXT_LEN];
	const char *reason =
		guard_has_tripped(guard) ? format_breaker(relative, guard->flows, guard->failures, text) : NULL;
	json_t *view = json_pack("{s:s, s:o, s:s?, s:s?, s:f, s:I}", "state",
				 reason		    ? "tripped"
				 : service->breaker ? "closed"
						    : "off",
				 "tripped_at", view_time(reason ? guard->stopped_ns : 0), "reason", reason, "rule",
				 !reason    ? NULL
				 : relative ? "relative"
					    : "absolute",
				 "ratio", service->breaker_ratio / 100.0, "arl", (json_int_t)service->breaker_arl);

	json_object_set_new(view, "epoch", reason ? json_integer((json_int_t)guard->stopped_epoch) : json_null());
	json_object_set_new(view, "sum", reason ? json_real(guard->sum) : json_null());
	json_object_set_new(view, "limit", reason ? json_real(guard->limit) : json_null());
	json_object_set(view, "flows", reason ? flows : json_null());
	json_object_set(view, "failures", reason ? failures : json_null());
	json_decref(flows);
	json_decref(failures);
	return view;
}

static json_t *view_lease(const struct service_model *service, const struct guard *guard)
{
	if (!guard->lease_expires_ns)
		return json_null();
	return json_pack("{s:o, s:b, s:s, s:I}", "expires_at", view_time(guard->lease_expires_ns), "expired",
			 guard->lease_expired, "on_expiry", on_expiry_name(service->on_expiry), "duration",
			 (json_int_t)service->lease);
}

/* Of the epoch in force, as the kernel goes by. */
static json_t *view_buckets(struct dataplane *dataplane, const struct service_model *service)
{
	__u64 epoch = canary_word_epoch(service->word);
	struct canary_outcomes outcomes;
	const struct canary_epoch *now = &outcomes.epochs[epoch % CANARY_EPOCHS];

	if (dataplane_outcomes(dataplane, service, &outcomes) || now->epoch != epoch)
		return view_cohorts(0, 0);
	return view_cohorts(now->watched[CANARY_STABLE], now->watched[CANARY_CANARY]);
}

int guard_add(json_t *view, struct dataplane *dataplane, const struct service_model *service, struct error *error)
{
	struct guard guard;
	__u64 now_ns = clock_monotonic_ns(), calm_ns;
	bool stopped;
	int err = dataplane_guard(dataplane, service, &guard);

	if (err)
		return fail(error, err, "cannot read what guards %s: %s", service->name, strerror(-err));
	/* A packet that opens a flow checks the lease itself, before the sweeper does. */
	stopped = guard.stopped || (guard.lease_expired && service->on_expiry == CANARY_EXPIRY_STABLE);
	calm_ns = guard.flooded_ns + service->handshake_timeout * NSEC_PER_MSEC + CANARY_FLOODED_NS;
	json_object_set_new(view, "assignment", json_integer(service->assignment));
	json_object_set_new(view, "effective_weight", json_real(stopped ? 0 : service->weight / 100.0));
	json_object_set_new(view, "stopped", json_boolean(stopped));
	json_object_set_new(view, "breaker", view_breaker(service, &guard));
	json_object_set_new(view, "lease", view_lease(service, &guard));
	json_object_set_new(view, "observe",
			    json_pack("{s:f, s:f, s:o}", "cap", service->observe_cap / 100.0, "handshake_timeout",
				      service->handshake_timeout / 1000.0, "buckets",
				      view_buckets(dataplane, service)));
	json_object_set_new(view, "flooded", json_boolean(guard.flooded_ns && now_ns < calm_ns));
	json_object_set_new(view, "flooded_at", view_time(guard.flooded_ns));
	return 0;
}

const char *guard_stopper(const json_t *view)
{
	if (!strcmp(text_of(json_object_get(view, "breaker"), "state"), "tripped"))
		return "the breaker";
	if (json_is_true(json_object_get(json_object_get(view, "lease"), "expired")))
		return "the expired lease";
	return "something from before the host restarted";
}

void guard_print_alarms(const struct cli *cli, const json_t *view)
{
	const json_t *breaker = json_object_get(view, "breaker"), *lease = json_object_get(view, "lease");
	bool expired = json_is_true(json_object_get(lease, "expired"));
	bool stopped = json_is_true(json_object_get(view, "stopped"));
	const char *begin = style_begin(cli, STYLE_ALARM), *end = style_end(cli, STYLE_ALARM);

	if (!strcmp(text_of(breaker, "state"), "tripped"))
		printf("%s  STOPPED: the breaker tripped at %s: %s. New flows go to stable until the next "
		       "set-weight%s\n",
		       begin, text_of(breaker, "tripped_at"), text_of(breaker, "reason"), end);
	else if (stopped && expired)
		printf("%s  STOPPED: the lease expired at %s. New flows go to stable until the next set-weight%s\n",
		       begin, text_of(lease, "expires_at"), end);
	else if (stopped)
		printf("%s  STOPPED, as it was before the host restarted. New flows go to stable until the next "
		       "set-weight%s\n",
		       begin, end);
	else if (expired)
		printf("%s  the lease expired at %s; the weight is held%s\n", begin, text_of(lease, "expires_at"), end);
	if (json_is_true(json_object_get(view, "flooded")))
		printf("%s  flooded: SYNs came faster than they can be watched, last at %s%s\n", begin,
		       text_of(view, "flooded_at"), end);
}

void guard_print(const json_t *view)
{
	const json_t *observe = json_object_get(view, "observe"), *buckets = json_object_get(observe, "buckets");
	const json_t *breaker = json_object_get(view, "breaker"), *lease = json_object_get(view, "lease");
	char duration[DURATION_TEXT_LEN];

	if (!strcmp(text_of(view, "protocol"), proto_name(IPPROTO_TCP))) {
		printf("  observed: %lld buckets of the canary's and %lld of stable's (cap %g%%), handshake timeout "
		       "%gs\n",
		       (long long)integer_of(buckets, "canary"), (long long)integer_of(buckets, "stable"),
		       number_of(observe, "cap"), number_of(observe, "handshake_timeout"));
		printf("  breaker %s (ratio %g, ARL %lld)\n", text_of(breaker, "state"), number_of(breaker, "ratio"),
		       (long long)integer_of(breaker, "arl"));
	}
	if (json_is_object(lease) && !json_is_true(json_object_get(lease, "expired")))
		printf("  lease of %s until %s, on expiry: %s\n",
		       format_duration((unsigned)integer_of(lease, "duration"), duration), text_of(lease, "expires_at"),
		       text_of(lease, "on_expiry"));
}
