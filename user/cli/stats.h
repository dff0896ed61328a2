/* SPDX-License-Identifier: Apache-2.0 */
/* The view of `stats`: a JSON tree built from the counters, and its rendering as text. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include <jansson.h>

#include "cli/cli.h"

/*
 * Reads all services' counters (or those of one) and the interfaces'. NULL with a sentence. Without anything at the pin
 * directory the lists are empty. See canaryctl(8) for the schema.
 */
json_t *stats_read(const struct cli *cli, const char *service, struct error *error);

/* Adds "rates" (per second) beside the counters, from an earlier tree. What is new, or was reset since, has rates of 0. */
void stats_add_rates(json_t *now, const json_t *before, double seconds);

void stats_print(const struct cli *cli, const json_t *stats);

#endif
