/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the connections that are watched: the part of `stats` that compares how the cohorts fare. */
#ifndef CLI_OUTCOMES_H
#define CLI_OUTCOMES_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "dataplane/dataplane.h"

/*
 * Adds to the view of a service, which has its cohorts: outcomes and times of each (of the assignment in force, or the last that had a
 * canary), epochs, outcomes_assignment, inconclusive. See canaryctl(8). 0 or -errno.
 */
int outcomes_add(json_t *view, struct dataplane *dataplane, const struct service_model *service);

/*
 * Of a cohort's outcomes in the view: whose handshake's outcome is known, and how many had a failure, be it the client's
 * doing.
 */
json_int_t outcomes_finished(const json_t *counts);
json_int_t outcomes_bad(const json_t *counts);

/* Rows of a table whose columns are the cohorts, in the order of enum canary_cohort. */
void outcomes_rows(struct table *table, const json_t *view);
/* What the rows do not say: what cannot be seen, and whether they say anything. */
void outcomes_print_notes(const struct cli *cli, const json_t *view);

#endif
