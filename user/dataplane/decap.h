/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decapsulation on a backend: a program of its own, in a directory of pins of its own. Of each interface the link alone is
 * pinned: it holds the program, and the program its maps. Functions return as those of dataplane.h.
 */
#ifndef DATAPLANE_DECAP_H
#define DATAPLANE_DECAP_H

#include "canary/decap.h"
#include "dataplane/dataplane.h"

struct decap_ends {
	int gue_port; /* host order */
	const struct canary_addr *addresses; /* where tunnels end */
	size_t address_count;
	const struct canary_decap_peer *peers; /* whom packets may be passed on to; at most CANARY_DECAP_MAX_PEERS */
	size_t peer_count;
};

/*
 * Attaches, or replaces what is attached in place, with no packet missed in between; the counters go on.
 * interface->generic says how it is attached.
 */
int decap_attach(const char *dir, struct interface *interface, enum attach_mode mode, const struct decap_ends *ends,
		 bool *ret_already, struct error *error);

/* -ENOENT: it is not attached. */
int decap_detach(const char *dir, const struct interface *interface, struct error *error);

struct decap {
	struct interface interface; /* `gone`: deleted since */
	int gue_port; /* host order */
	struct canary_addr *addresses;
	size_t address_count;
	struct canary_decap_peer *peers;
	size_t peer_count;
	struct canary_decap_counters counters; /* of all CPUs */
};

/* What is attached, in every network namespace. To be freed with decap_free(). */
int decap_list(const char *dir, struct decap **ret, size_t *ret_count, struct error *error);
void decap_free(struct decap *list, size_t count);

#endif
