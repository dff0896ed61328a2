/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cohort overflows while new flows are its own, by the weight or by a segment, and it has no backend that takes them:
 * they go to the other cohort, or are dropped. By the weight as it was set: that the kernel has stopped a service is told
 * by events of its own, and does not begin or end an overflow.
 */
#ifndef CORE_OVERFLOW_H
#define CORE_OVERFLOW_H

#include "core/model.h"

struct overflow {
	int share; /* of new flows that the weight makes the cohort's, 1/100 percent; 0: only segments do */
	bool dropped; /* otherwise they go to the other cohort */
};

/* False: it does not overflow, and *ret is untouched. */
bool service_overflows(const struct service_model *service, enum canary_cohort cohort, struct overflow *ret);

#endif
