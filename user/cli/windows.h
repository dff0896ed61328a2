/* SPDX-License-Identifier: Apache-2.0 */
/* The windows that changes open, to be looked at. */
#ifndef CLI_WINDOWS_H
#define CLI_WINDOWS_H

#include <jansson.h>

#include "cli/cli.h"
#include "dataplane/dataplane.h"

/* open, open_since, closes_at, held, skipped_writes, fallbacks. NULL with a sentence. */
json_t *view_window(struct dataplane *dataplane, const struct service_model *service, struct error *error);
/* A line where the window of the view is open. */
void print_window(const struct cli *cli, const json_t *window);

#endif
