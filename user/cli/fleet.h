/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a fleet, of the canaryd on this host: canaryctl --fleet. Each returns an enum cli_exit. */
#ifndef CLI_FLEET_H
#define CLI_FLEET_H

#include <jansson.h>

#include "cli/cli.h"

int fleet_set_weight(const struct cli *cli, int weight, struct error *error); /* weight: 1/100 percent */
int fleet_apply(const struct cli *cli, const char *file, struct error *error);
int fleet_roll_back(const struct cli *cli, struct error *error);
int fleet_stats(const struct cli *cli, struct error *error);
void fleet_report(const struct cli *cli, json_t *changed); /* what became of a change. Takes the reference */

#endif
