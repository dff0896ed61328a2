/* SPDX-License-Identifier: Apache-2.0 */
/* What the API shows of a fleet: see fleet_api.h for the fields. */
#ifndef DAEMON_FLEET_STATUS_H
#define DAEMON_FLEET_STATUS_H

#include <jansson.h>

struct fleet;

json_t *fleet_status(const struct fleet *fleet);

#endif
