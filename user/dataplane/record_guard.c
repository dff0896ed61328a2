/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a record that says what is watched of connections, and what the kernel does by itself. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/breaker.h"
#include "dataplane/internal.h"

/* The steps and the limit, of what the record says already. */
static void compute(int proto, struct canary_config *config)
{
	bool nat = config->forward == CANARY_FORWARD_NAT;
	struct observed_buckets observed = observed_buckets(config->threshold, config->cap, nat);
	struct canary_breaker_rule rule = {};

	if (proto != IPPROTO_TCP)
		return; /* only TCP's connections begin in a way that tells */
	config->watched[CANARY_STABLE] = observed.stable;
	config->watched[CANARY_CANARY] = observed.canary;
	/* What is out of range was refused by validation; a breaker that cannot be tuned is off. */
	if (!config->breaker || breaker_rule(&observed, config->ratio, config->arl, &rule))
		return;
	memcpy(config->step, rule.relative, sizeof(config->step));
	config->limit = rule.limit;
}

/*
 * With affinity `client` an assignment counts each client's first failure. Where nothing is watched, nothing will be
 * counted, and an older bitmap only keeps saying that flows do not count each for itself: to stop takes no memory.
 */
static int place_failed(struct occupied *occupied, const struct canary_config *now, struct canary_config *config)
{
	bool same = now && now->assignment == config->assignment;
	__u64 *words;

	if (config->affinity != CANARY_AFFINITY_CLIENT)
		return 0;
	config->failed = now ? now->failed : 0;
	if (!config->watched[CANARY_CANARY] || (same && config->failed))
		return 0;
	words = occupied_take_words(occupied, FAILED_WORDS, &config->failed);
	if (!words)
		return -errno;
	memset(words, 0, FAILED_WORDS * sizeof(*words));
	return 0;
}

static void place_lease(const struct canary_config *now, const struct service_model *desired,
			struct canary_config *config)
{
	if (now && now->assignment == config->assignment) {
		config->lease = now->lease;
		config->lease_ns = now->lease_ns;
		return;
	}
	config->lease = desired->lease == LEASE_UNSET ? service_default_lease(desired) : desired->lease;
	if (config->lease)
		config->lease_ns = monotonic_ns() + config->lease * 1000000000ULL;
}

int record_guard(struct occupied *occupied, const struct canary_config *now, const struct service_model *desired,
		 struct canary_config *config, struct error *error)
{
	int result;

	config->cap = desired->observe_cap;
	config->handshake_timeout = desired->handshake_timeout;
	config->breaker = desired->breaker;
	config->ratio = desired->breaker_ratio;
	config->arl = desired->breaker_arl;
	config->lease_default = desired->lease_default;
	config->on_expiry = desired->on_expiry;
	compute(desired->proto, config);
	place_lease(now, desired, config);
	result = place_failed(occupied, now, config);
	if (result == -ENOSPC)
		return fail(error, result, "%s: no room is left for its clients' failures: nothing was changed",
			    desired->name);
	return result ? fail(error, result, "cannot map the arena: %s", explain_errno(result)) : 0;
}
