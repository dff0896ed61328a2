/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that belong to a rollout: commands and files leave them alone. */
#ifndef CLI_OWNER_H
#define CLI_OWNER_H

#include <jansson.h>

#include "cli/cli.h"

/*
 * Asks canaryd which rollouts there are. To be called without the data plane's lock, which the daemon may wait for. 0 with
 * *ret to be released, NULL where no daemon runs: what is changed meanwhile, it honours when it comes back; or -errno: it is
 * there and does not say.
 */
int owners_ask(const struct cli *cli, json_t **ret, struct error *error);

/* The state of the rollout that owns the service's weight: "progressing". NULL: none does. */
const char *owner_of(const json_t *owners, const char *service);

#endif
