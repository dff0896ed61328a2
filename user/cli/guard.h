/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel guards by itself, to be looked at: breaker, lease, what is observed. */
#ifndef CLI_GUARD_H
#define CLI_GUARD_H

#include <jansson.h>

#include "cli/cli.h"
#include "dataplane/dataplane.h"

/*
 * Adds to the view of a service: assignment, effective_weight, stopped, breaker, lease, observe, flooded, flooded_at. See
 * canaryctl(8). 0 or -errno with a sentence.
 */
int guard_add(json_t *view, struct dataplane *dataplane, const struct service_model *service, struct error *error);

/* A line where something is not as asked for: the canary was stopped, its lease expired, or there is a flood. */
void guard_print_alarms(const struct cli *cli, const json_t *view);
/* What has stopped a canary that is. */
const char *guard_stopper(const json_t *view);
/* A line each of breaker, lease and what is observed. */
void guard_print(const json_t *view);

/* {"stable": N, "canary": N} */
json_t *view_cohorts(json_int_t stable, json_int_t canary);

#endif
