/* SPDX-License-Identifier: Apache-2.0 */
/* The view of `stats`: a JSON tree built from the counters, and its rendering as text. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include <jansson.h>

#include <linux/types.h>

#include "canary/abi.h"
#include "cli/cli.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

/* Names of the counters, in the order of counters.h: the keys of the tree. */
extern const char *const stats_cohort_counters[CANARY_COHORT_COUNTERS];
extern const char *const stats_backend_counters[CANARY_BACKEND_COUNTERS];
extern const char *const stats_interface_counters[CANARY_INTERFACE_COUNTERS];

/*
 * Reads all services' counters (or those of one) and the interfaces'. NULL with a sentence. Without anything at the pin
 * directory the lists are empty. See canaryctl(8) for the schema.
 */
json_t *stats_read(const struct cli *cli, const char *service, struct error *error);
/* The same of what is open and read already; without a data plane (NULL) the lists are empty. */
json_t *stats_of(const struct cli *cli, struct dataplane *dataplane, const struct model *model, struct error *error);

/* Adds "rates" (per second) beside the counters, from an earlier tree. What is new, or was reset since, has rates of 0. */
void stats_add_rates(json_t *now, const json_t *before, double seconds);

void stats_print(const struct cli *cli, const json_t *stats);
/* Parts of that. */
void stats_print_backends(const struct cli *cli, const json_t *service);
void stats_print_interfaces(const struct cli *cli, const json_t *interfaces);

#endif
