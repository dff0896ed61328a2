/* SPDX-License-Identifier: Apache-2.0 */
/* How far a rollout is, as bars. */
#ifndef CLI_ROLLOUT_BAR_H
#define CLI_ROLLOUT_BAR_H

#include <jansson.h>

#include "cli/cli.h"

/* A line of the plan's steps and one of the step's bake, as wide as the terminal is now (80 columns where there is none). */
void rollout_print_bars(const struct cli *cli, const json_t *status);

#endif
