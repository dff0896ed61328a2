/* SPDX-License-Identifier: Apache-2.0 */
#include "core/breaker.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "core/model.h"

struct observed_buckets observed_buckets(__u32 threshold, unsigned cap, bool all)
{
	__u32 capped = (__u32)((__u64)cap * CANARY_THRESHOLD_ONE / CANARY_WEIGHT_ONE);
	__u32 others = CANARY_THRESHOLD_ONE - threshold;
	struct observed_buckets observed = {.canary = threshold};

	if (threshold > capped && !(all && cap))
		observed.canary = capped;
	observed.stable = observed.canary * OBSERVE_STABLE_RATIO;
	if (observed.stable > others)
		observed.stable = others;
	return observed;
}

static __s32 fixed_log(double x)
{
	return (__s32)lround(log(x) * CANARY_BREAKER_NAT);
}

int breaker_rule(const struct observed_buckets *observed, unsigned ratio, unsigned arl, struct canary_breaker_rule *ret)
{
	double c = observed->canary, s = observed->stable, r = ratio / 100.0;
	struct canary_breaker_rule rule = {};

	if (ratio < BREAKER_RATIO_MIN || ratio > BREAKER_RATIO_MAX || arl < BREAKER_ARL_MIN || arl > BREAKER_ARL_MAX)
		return -EINVAL;
	rule.limit = fixed_log(arl);
	rule.canary_limit = canary_breaker_canary_limit(rule.limit, observed->stable);
	if (observed->canary && observed->stable) {
		/* ln(theta / w) and ln((1 - theta) / (1 - w)), with w = c / (c + s), theta = r c / (r c + s). */
		rule.relative[CANARY_CANARY] = fixed_log(r * (c + s) / (r * c + s));
		rule.relative[CANARY_STABLE] = fixed_log((c + s) / (r * c + s));
	}
	*ret = rule;
	return 0;
}

static double rate_of(__u32 failures, __u32 flows)
{
	return flows ? (double)failures / flows : 0;
}

/* How the canary's rate of failures compares with stable's. */
static void compare_rates(double stable_rate, double canary_rate, char *buf, size_t size)
{
	if (stable_rate > 0)
		snprintf(buf, size, "%.3g times stable's rate", canary_rate / stable_rate);
	else
		snprintf(buf, size, "stable has none");
}

const char *format_breaker(bool relative, const __u32 flows[CANARY_COHORTS], const __u32 failures[CANARY_COHORTS],
			   char buf[BREAKER_TEXT_LEN])
{
	char comparison[64] = "more than may fail, whatever stable's rate";

	if (relative)
		compare_rates(rate_of(failures[CANARY_STABLE], flows[CANARY_STABLE]),
			      rate_of(failures[CANARY_CANARY], flows[CANARY_CANARY]), comparison, sizeof(comparison));
	snprintf(buf, BREAKER_TEXT_LEN, "canary %u failures in %u flows, stable %u in %u: %s", failures[CANARY_CANARY],
		 flows[CANARY_CANARY], failures[CANARY_STABLE], flows[CANARY_STABLE], comparison);
	return buf;
}
