/* SPDX-License-Identifier: Apache-2.0 */
#include "core/attribution.h"

const char *attribution_text(enum attribution attribution)
{
	static const char *const texts[] = {
#define X(name, text) [ATTRIBUTION_##name] = text,
		ATTRIBUTIONS(X)
#undef X
	};

	return texts[attribution];
}

enum attribution attribute(const struct whereabouts *whereabouts, enum canary_cohort *ret_cohort)
{
	unsigned seen = whereabouts->seen;

	if (!whereabouts->complete && !whereabouts->certain)
		return ATTRIBUTION_UNREMEMBERED;
	/* Connections that are not remembered are where new ones are. */
	if (whereabouts->certain && (!seen || !whereabouts->complete))
		seen |= 1U << whereabouts->cohort;
	switch (seen) {
	case 1U << CANARY_STABLE:
		*ret_cohort = CANARY_STABLE;
		return ATTRIBUTION_KNOWN;
	case 1U << CANARY_CANARY:
		*ret_cohort = CANARY_CANARY;
		return ATTRIBUTION_KNOWN;
	default:
		return seen ? ATTRIBUTION_BOTH : ATTRIBUTION_NONE;
	}
}
