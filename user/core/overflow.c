/* SPDX-License-Identifier: Apache-2.0 */
#include "core/overflow.h"

static bool has_segment(const struct service_model *service, enum canary_cohort cohort)
{
	for (size_t i = 0; i < service->segment_count; i++)
		if (service->segments[i].cohort == cohort)
			return true;
	return false;
}

bool service_overflows(const struct service_model *service, enum canary_cohort cohort, struct overflow *ret)
{
	enum canary_cohort other = cohort == CANARY_STABLE ? CANARY_CANARY : CANARY_STABLE;
	int share = cohort == CANARY_CANARY ? service->weight : CANARY_WEIGHT_ONE - service->weight;

	if (service_backends_up(service, cohort) || (!share && !has_segment(service, cohort)))
		return false;
	*ret = (struct overflow){
		.share = share,
		.dropped = service->overflow == CANARY_OVERFLOW_DROP || !service_backends_up(service, other),
	};
	return true;
}
