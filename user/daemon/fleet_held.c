/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has this host a flow that `now` would choose otherwise? As long as one has, the fleet's window stays open. Asked when the leader
 * could close it soon, and not all the time: it is a walk through the remembered flows, up to the first that is one.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/fleet_private.h"
#include "daemon/log.h"

#define WALKS_PART 8 /* of idle_timeout */

struct walk {
	struct dataplane *dataplane;
	const struct service_model *running;
};

static int is_elsewhere(const struct flow *flow, void *arg)
{
	const struct walk *walk = arg;
	struct explanation explanation;
	struct error ignored;

	if (flow->service != walk->running->id ||
	    dataplane_explain(walk->dataplane, walk->running, &flow->client, flow->client_port, flow->port,
			      &explanation, &ignored))
		return 0;
	return explanation.backend != flow->backend;
}

static void on_written(const struct etcd_result *result, void *arg)
{
	struct fleet_service *service = arg;

	service->telling_held = false;
	if (result->error)
		log_warning("fleet: %s: %s", service->name, result->sentence);
}

static void tell(struct fleet *fleet, struct fleet_service *service, bool held)
{
	const char *here = fleet->settings.name;
	bool told = mirror_find(&fleet->mirror, FLEET_KEY_HELD, service->name, here);
	char key[FLEET_KEY_LEN], fence_key[FLEET_KEY_LEN];
	const struct etcd_compare fence = fleet_fence(fleet, fence_key);
	const struct etcd_operation operation = {
		.type = held ? ETCD_PUT : ETCD_DELETE,
		.key = fleet_key_text(fleet, FLEET_KEY_HELD, service->name, here, key),
		.value = held ? "" : NULL,
		.lease = held ? fleet->lease : 0,
	};
	const struct etcd_txn txn = {.compares = &fence, .compare_count = 1, .then = &operation, .then_count = 1};
	struct error error;

	if (held == told || service->telling_held)
		return;
	service->telling_held = !etcd_txn(fleet->etcd, &txn, FLEET_WRITE_MS, on_written, service, NULL, &error);
}

/* Its own way back binds a flow of nat to its host, whatever the fleet agrees on. */
static bool may_hold(const struct fleet_service *service, const struct service_model *running)
{
	return service->record.phase == FLEET_OPEN && running->forward != CANARY_FORWARD_NAT;
}

static void look(struct fleet *fleet, struct dataplane *dataplane, struct fleet_service *service,
		 const struct service_model *running)
{
	struct walk walk = {dataplane, running};
	__s64 idle = service_idle_timeout(running) * 1000LL, now = fleet_now_ms();

	if (!may_hold(service, running)) {
		tell(fleet, service, false);
		return;
	}
	if (now - service->quiet_ms < idle / 2 || now - service->walked_ms < idle / WALKS_PART)
		return;
	service->walked_ms = now;
	tell(fleet, service, dataplane_flows(dataplane, is_elsewhere, &walk) > 0);
}

void fleet_held_tick(struct fleet *fleet, struct dataplane *dataplane, const struct model *heads)
{
	for (size_t i = 0; i < heads->service_count; i++) {
		const struct service_model *running = &heads->services[i];
		struct fleet_service *service = fleet_find(fleet, running->name);

		if (service && service->revision)
			look(fleet, dataplane, service, running);
	}
}
