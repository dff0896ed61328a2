/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desired against actual: the ordered list of what a change does, in words that `apply` prints.
 */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "core/model.h"

enum step_type {
	STEP_ADD_SERVICE,
	STEP_DELETE_SERVICE,
	STEP_CHANGE_SERVICE, /* forward, affinity, track, overflow, mss, times, observe, breaker, lease */
	STEP_SET_WEIGHT,
	STEP_ADD_BACKEND,
	STEP_DELETE_BACKEND,
	STEP_CHANGE_BACKEND, /* weight, cohort, draining */
	STEP_ADD_SEGMENT,
	STEP_DELETE_SEGMENT,
	STEP_CHANGE_SEGMENT, /* cohort */
};

struct plan_step {
	enum step_type type;
	char service[CANARY_NAME_LEN];
	char text[512]; /* "add canary backend 10.0.0.21:8080 (weight 1)" */
};

struct plan {
	struct plan_step *steps;
	size_t count;
};

const char *step_name(enum step_type type); /* "add_service", for JSON */

/*
 * Settles what `desired` leaves open against `actual` (WEIGHT_KEEP, times of 0; a service is the same one if name, address,
 * protocol and port are: then it inherits id, word, salt, assignment with its lease, and deadline, and its backends inherit
 * their index; a new one keeps its salt_number), and lists the steps: deletions, then changes, then additions. A new
 * assignment has the lease that `desired` names, LEASE_UNSET: service_default_lease(). A backend that the file lists is not
 * draining: apply ends a drain.
 * 0 or -ENOMEM.
 */
int plan_make(const struct model *actual, struct model *desired, struct plan *ret);
void plan_free(struct plan *plan);

#endif
