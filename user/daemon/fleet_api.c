/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fleet_api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_counters.h"
#include "daemon/fleet_private.h"
#include "daemon/fleet_status.h"

/* NULL: answered. */
static struct fleet *fleet_of(struct http_call *call, void *arg)
{
	struct daemon *daemon = arg;

	if (!daemon->fleet)
		http_reply_error(call, 404, "this host is in no fleet: its configuration has no `fleet`");
	return daemon->fleet;
}

void fleet_get(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);

	if (fleet)
		http_reply(call, 200, fleet_status(fleet));
}

void fleet_get_counters(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);

	if (fleet)
		http_reply(call, 200, fleet_counters_view(fleet));
}

static const json_t *member(const struct http_call *call, const char *name)
{
	return json_object_get(http_body(call), name);
}

/* A whole number of the body. false: answered. */
static bool take_number(struct http_call *call, const char *name, __s64 min, __s64 max, __s64 otherwise, __s64 *ret)
{
	const json_t *value = member(call, name);
	__s64 number = json_integer_value(value);

	*ret = otherwise;
	if (!value)
		return true;
	if (!json_is_integer(value) || number < min || number > max) {
		http_reply_error(call, 400, "\"%s\" is a whole number from %lld to %lld", name, (long long)min,
				 (long long)max);
		return false;
	}
	*ret = number;
	return true;
}

/* Percent with two decimals. false: answered. */
static bool take_weight(struct http_call *call, bool needed, int *ret)
{
	const json_t *value = member(call, "weight");
	double hundredths = json_number_value(value) * 100;

	*ret = 0;
	if (!value && !needed)
		return true;
	if (!json_is_number(value) || hundredths < 0 || hundredths > CANARY_WEIGHT_ONE ||
	    fabs(hundredths - round(hundredths)) > 1e-6) {
		http_reply_error(call, 400, "\"weight\" is 0 to 100 percent, with at most two decimals");
		return false;
	}
	*ret = (int)lround(hundredths);
	return true;
}

static bool take_change(struct http_call *call, __u64 *ret)
{
	__s64 change;
	bool fine = take_number(call, "if_change", 0, INT64_MAX, 0, &change);

	*ret = (__u64)change;
	return fine;
}

void fleet_post(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);
	struct fleet_terms terms;
	__s64 number;

	if (!fleet)
		return;
#define X(name, otherwise, min, max)                                                                                   \
	if (!take_number(call, #name, min, max, otherwise, &number))                                                   \
		return;                                                                                                \
	terms.name = (unsigned)number;
	FLEET_TERMS(X)
#undef X
	/* A host that hangs is to be out by then, and waited for no more. */
	if (!member(call, "prepare"))
		terms.prepare = 2 * terms.lease;
	fleet_begin(fleet, call, &terms);
}

void fleet_post_remove(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);

	if (fleet)
		fleet_remove(fleet, call, http_part(call, "host"));
}

void fleet_post_service(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);
	struct fleet_request request = {.kind = FLEET_ORDER_APPLY, .service = http_part(call, "service")};
	char *config;

	if (!fleet || !take_change(call, &request.if_change) || !take_weight(call, false, &request.weight))
		return;
	if (!json_is_object(member(call, "config"))) {
		http_reply_error(call, 400, "\"config\" is the service, as in a configuration");
		return;
	}
	/* Always the same text of the same configuration. */
	config = json_dumps(member(call, "config"), JSON_SORT_KEYS);
	request.config = config;
	if (config)
		fleet_ask(fleet, call, &request);
	else
		http_reply_error(call, 500, "out of memory");
	free(config);
}

void fleet_post_weight(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);
	struct fleet_request request = {.kind = FLEET_ORDER_WEIGHT,
					.service = http_part(call, "service"),
					.new_salt = json_is_true(member(call, "new_salt"))};

	if (fleet && take_change(call, &request.if_change) && take_weight(call, true, &request.weight))
		fleet_ask(fleet, call, &request);
}

void fleet_post_rollback(struct http_call *call, void *arg)
{
	struct fleet *fleet = fleet_of(call, arg);
	struct fleet_request request = {.kind = FLEET_ORDER_ROLLBACK, .service = http_part(call, "service")};

	if (fleet && take_change(call, &request.if_change))
		fleet_ask(fleet, call, &request);
}
