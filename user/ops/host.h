/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this host be announced to routers, and what of it? What was asked for lies in a file beside the key file, and so
 * outlives a reboot: a drained host stays so until somebody says otherwise.
 */
#ifndef OPS_HOST_H
#define OPS_HOST_H

#include <limits.h>
#include <stdbool.h>

#include "core/error.h"
#include "core/model.h"
#include "ops/state.h"

#define HOST_DEFAULT_BIRD "/run/bird/bird.ctl"

struct host {
	bool drained;
	char routes[PATH_MAX]; /* the file that BIRD includes; "": somebody else announces */
	char bird[PATH_MAX]; /* its control socket */
};

/* What a router should send here: each address of a service once. To be freed. */
struct host_routes {
	struct canary_addr *addrs;
	size_t count;
	bool withheld; /* none, as it is drained, or */
	struct error why; /* cannot serve */
};

/*
 * One at a time reads, decides, writes and tells BIRD, so that the last one does so by how things are then. Waits for at most
 * 10 s, then -EBUSY. To be ended with close().
 */
int host_lock(const struct instance *instance, int *ret, struct error *error);

/* Without a file: not drained, announced by somebody else. 0 or -errno. */
int host_load(const struct instance *instance, struct host *ret, struct error *error);
int host_save(const struct instance *instance, const struct host *host, struct error *error);

/* Do packets that come here get to backends, now and for longer? 0, or -errno with what is missing. */
int host_can_serve(const struct instance *instance, struct error *error);
/* And is it not drained? */
int host_may_be_announced(const struct instance *instance, const struct host *host, struct error *error);

/* What is to be announced now. 0 or -errno. */
int host_routes_wanted(const struct instance *instance, const struct host *host, struct host_routes *ret,
		       struct error *error);
void host_routes_free(struct host_routes *routes);

/*
 * Makes BIRD announce these and no others: its file, then its word that it has them. Where that fails the file is right all the
 * same (unless it is the file that fails), so BIRD is when it starts. 0 or -errno. With the lock.
 */
int host_announce(const struct host *host, const struct host_routes *routes, struct error *error);

#endif
