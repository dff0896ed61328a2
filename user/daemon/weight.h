/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon changes in the data plane, each under its lock: weights, and which backends are stable. Whose weight is a
 * rollout's is written down before it is set (io/owners.h), so that no command comes in between. Each may be done twice.
 */
#ifndef DAEMON_WEIGHT_H
#define DAEMON_WEIGHT_H

#include <jansson.h>

#include "core/rollout.h"
#include "ops/state.h"

struct weight_change {
	const char *service;
	int weight; /* as asked for, 1/100 percent */
	int holdback;
	__u32 salt_number;
	bool reset; /* connections that are placed elsewhere */
	bool owned; /* by a rollout, from now on */
	const struct guard_settings *guards; /* to be in force from now on; the rollout's where it owns the weight */
	const struct guard_settings *in_place_of; /* ... of these, and of nothing else; NULL: whatever there is */
	/* The assignment in force, as far as is known: a later one that says the same is this one, done before. */
	__u32 known;
	bool unseen; /* a weight is set also where that is another, or is stopped */
	bool stoppable; /* the assignment is the rollout's: it is not to set a weight where the breaker has tripped */
};

/*
 * 0 with the assignment that is in force, or -errno; -ESTALE: somebody, or the breaker, was quicker: look again. A weight of 0
 * is set whatever there is, also where it cannot be written whose it is.
 */
int weight_set(const struct instance *instance, const struct weight_change *change, __u32 *ret_assignment,
	       struct error *error);

/*
 * Before a rollout sets its first weight. *ret_guards: of the service's guards, those that the plan will change, as they are
 * now; and the assignment in force. 0, or -EBUSY: the canary has no backend that takes new flows, so no weight can be set. Or
 * -errno.
 */
int weight_prepare(const struct instance *instance, const char *service, unsigned guards,
		   struct guard_settings *ret_guards, __u32 *ret_assignment, struct error *error);

/* The weight that a rollout of the service asks for, as is written down of it; -1: it owns none. 0 or -errno. */
int weight_owned(const struct instance *instance, const char *service, int *ret, struct error *error);

/* Who made an assignment, if that is still among the data plane's events; else HISTORY_NO_UID. */
__s64 weight_asker(const struct instance *instance, const char *service, __u32 assignment);

/* {"promoted": [...], "retired": [...]}: what becomes stable, and what is so now. */
int swap_plan(const struct instance *instance, const char *service, json_t **ret, struct error *error);

/*
 * The promoted backends become stable's and the retired ones drain (`finish`), or (`back`) all is as it was before; with
 * weight 0, which is nobody's, and the guards given. A ring depends on its backends' addresses and weights, so with the canary at 100 % no flow
 * moves; those of retired backends live on.
 */
int swap_make(const struct instance *instance, const char *service, const json_t *swap, bool back,
	      const struct guard_settings *guards, __u32 *ret_assignment, struct error *error);

#endif
