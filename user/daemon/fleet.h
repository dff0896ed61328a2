/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as one of a fleet (core/fleet.h): it follows what stands in etcd, brings the services there into force on this
 * host, says how far it is, and leads when it is its turn. Without `fleet:` in the configuration there is none: all functions
 * take NULL, and do nothing.
 */
#ifndef DAEMON_FLEET_H
#define DAEMON_FLEET_H

#include "daemon/daemon.h"
#include "dataplane/dataplane.h"

/* *ret is NULL where the configuration has no fleet. Connects in the background. 0 or -errno with a sentence. */
int fleet_join(struct daemon *daemon, struct fleet **ret, struct error *error);
void fleet_leave(struct fleet *fleet);
/* Every second. heads: what is in the data plane; without one both are NULL. */
void fleet_tick(struct fleet *fleet, struct dataplane *dataplane, const struct model *heads);

/* Is the service's weight the fleet's? Then this host's rollouts and commands are not to set it. */
bool fleet_has(const struct fleet *fleet, const char *service);
/* The fleet's services as they are in force here become the daemon's, so that their backends are checked. */
void fleet_configure(struct fleet *fleet);

#endif
