/* SPDX-License-Identifier: Apache-2.0 */
/* A rollout's plan in the notation of the configuration, as JSON: what plan_parse() reads back. */
#ifndef IO_PLAN_JSON_H
#define IO_PLAN_JSON_H

#include <jansson.h>

#include "core/rollout_plan.h"

json_t *plan_json(const struct rollout_plan *plan); /* a new reference; NULL without memory */

#endif
