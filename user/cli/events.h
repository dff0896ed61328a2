/* SPDX-License-Identifier: Apache-2.0 */
/* The view of an event: a JSON object, and a line of text that is rendered from it. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include <jansson.h>

#include "canary/abi.h"
#include "cli/cli.h"

/* time, type, service, number, epoch, uid and what its type has besides: see canaryctl(8). */
json_t *view_event(const struct canary_event *event);
/* Of type "overwritten": so many events cannot be told any more. */
json_t *view_overwritten(__u64 count);

void print_event(const struct cli *cli, const json_t *view);

#endif
