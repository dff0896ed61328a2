/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hosts of a fleet have counted, each second in etcd where it has changed: counters/HOST/NAME is
 * {"assignment": of the record, "exposed": flows that are remembered, so that a move to another host may break them,
 *  "cohorts": {"canary": {"packets", "bytes", "flows", "drops": ever, "finished", "failed": connections of the assignment},
 *              "stable": {...}}}
 */
#ifndef DAEMON_FLEET_COUNTERS_H
#define DAEMON_FLEET_COUNTERS_H

#include <jansson.h>

struct fleet;

/*
 * {"services": [{"service", "assignment", "hosts": [{"name", "alive", ...: as above}], "sum": {"exposed", "cohorts"},
 *                "stands_out": [{"name", "text": why}]}]}
 */
json_t *fleet_counters_view(const struct fleet *fleet);

#endif
