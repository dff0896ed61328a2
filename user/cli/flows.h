/* SPDX-License-Identifier: Apache-2.0 */
/* The flows that the data plane remembers: those that were chosen otherwise than the configuration in force would. */
#ifndef CLI_FLOWS_H
#define CLI_FLOWS_H

#include <jansson.h>

#include "cli/cli.h"
#include "core/model.h"
#include "dataplane/dataplane.h"

/*
 * How many flows each backend has, by its index, CANARY_MAX_BACKENDS of them; to be freed. NULL, with nothing read, where
 * no backend of the model is draining. 0 or -errno.
 */
int flows_of_draining(struct dataplane *dataplane, const struct model *model, unsigned **ret, struct error *error);

/* As view_backend(), with `flows` where it is draining. */
json_t *view_backend_flows(const struct backend_model *backend, const unsigned *flows);

/* "draining, 12 flows": a backend's state as text. */
const char *state_of(const json_t *backend, char buf[64]);

#endif
