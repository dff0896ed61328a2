/* SPDX-License-Identifier: Apache-2.0 */
/* What an event of the data plane has to tell, as members of a JSON object. */
#ifndef OPS_EVENT_VIEW_H
#define OPS_EVENT_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "canary/abi.h"

/* Its name is an interface's, not a service's. */
bool event_is_of_interface(const struct canary_event *event);
/* number, epoch, uid and what its type has besides: see canaryctl(8). */
void event_add_members(json_t *view, const struct canary_event *event);

#endif
