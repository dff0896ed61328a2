/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet's part of the API (api.h), on any of its hosts:
 *
 *   GET  /v1/fleet                              FLEET
 *   GET  /v1/fleet/counters                     of each service by host, and the sum: see fleet_counters.h
 *   POST /v1/fleet                              begins a fleet where etcd has nothing yet: {"lease": s, "prepare": s,
 *                                               "wait": 0 or 1}, each of which may be left out (10, twice the lease, 0). CHANGED
 *   POST /v1/fleet/hosts/{host}/remove          CHANGED: of a host that is gone for good; 409 of one that is alive
 *   POST /v1/fleet/services/{service}           {"config": the service, as in a configuration, "weight": percent, if it is new}.
 *                                               CHANGED
 *   POST /v1/fleet/services/{service}/weight    {"weight": percent, "new_salt": true}. CHANGED
 *   POST /v1/fleet/services/{service}/rollback  CHANGED
 *
 * The last three take "if_change": N: refused (409) where another change is the last one. They answer when the change is
 * committed, or taken back (409, with who could not take it), or is still waited for after 15 s.
 *
 * CHANGED  {"service", "changed", "state": "committed" "preparing" "begun" "removed" or the record's phase, "change": N, "weight",
 *          "weight_before" (percent), "took_ms", "waits": for whom, or ""}
 * FLEET    {"name", "prefix", "lease" (s), "connected": to which member of etcd, or null, "fault": why this host cannot take
 *          part, or null, "cut_off", "revision": up to which it has followed, "leader": name or null,
 *          "hosts": [{"name", "alive", "leader", "here", "done": revision, "undone": [{"service", "revision", "refusal"}]}],
 *          "services": [{"service", "change", "assignment", "phase", "who", "weight", "next_weight" (null: none), "config",
 *            "salt", "window", "mixed", "revision", "waits": for whom, or null, "held": [hosts with flows that `now` would choose otherwise]}]}
 */
#ifndef DAEMON_FLEET_API_H
#define DAEMON_FLEET_API_H

#include "io/http_server.h"

http_handler fleet_get;
http_handler fleet_get_counters;
http_handler fleet_post;
http_handler fleet_post_remove;
http_handler fleet_post_service;
http_handler fleet_post_weight;
http_handler fleet_post_rollback;

#endif
