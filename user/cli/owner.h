/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that belong to a rollout, with or without a daemon running (io/owners.h): commands and files leave them alone. */
#ifndef CLI_OWNER_H
#define CLI_OWNER_H

#include <jansson.h>

#include "cli/cli.h"
#include "core/model.h"
#include "io/owners.h"

/* To be called with the data plane's lock before a weight is set; owners_free() is due. 0 or -errno. */
int owner_read(const struct cli *cli, struct owners *ret, struct error *error);

/* -EBUSY with a sentence: the weight is a rollout's, so the service is not deleted unless by force. */
int owner_refuse_deletion(const char *service, struct error *error);

/*
 * With the lock: a weight that belongs to a rollout is set all the same. Above 0 it stays the rollout's, which is paused
 * when the daemon sees it; at 0 it is nobody's any more. What goes wrong is a warning: this must not stop an emergency brake.
 */
void owner_override(const struct cli *cli, struct owners *owners, const char *service, int weight);

/* The same of services whose weight is 0 now by a person's will. */
void owner_disown(const struct cli *cli, const struct service_model *services, size_t count);

/*
 * In the views of services: `weight` is what was asked for, also where a holdback keeps some of it on stable; and `rollout`
 * says whether a rollout owns it.
 */
void owner_show(const struct cli *cli, json_t *services);

#endif
