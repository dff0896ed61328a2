/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator, the kernel's guards and a reboot do to a service. */
#ifndef MODEL_CHANGE_H
#define MODEL_CHANGE_H

#include "model/world.h"

enum change_kind {
	CHANGE_SALT,
	CHANGE_RING,
	CHANGE_MEMBER,
	CHANGE_SEGMENTS,
	CHANGE_OVERFLOW,
	CHANGE_BREAKER,
	CHANGE_EXPIRY, /* what follows from a lease that expires */
	CHANGE_WEIGHT,
};

/* A change between its preparation and its end. */
struct change {
	__u32 service;
	enum change_kind kind;
	__u64 before; /* the state word */
	__u32 slot;
	struct canary_operation operations[3];
	__u32 count;
	__u32 retired; /* the index of a backend */
	struct world_member members[CANARY_COHORTS][WORLD_MEMBERS]; /* before */
};

/* Prepares a change of a random kind, as user space does. False: no record is free for it. */
bool change_prepare(__u32 service, enum mutant mutant, struct change *ret);
/* After its commit. One that came too late is undone. */
void change_finish(const struct change *change, int error, const struct model_options *options);
__u32 changes_made(void);
__u32 changes_retired(void); /* backends */

/* The kernel's breaker. */
void change_trip(__u32 service, const struct model_options *options);
void change_renew_lease(__u32 service);
/* What a reboot brings back: the services' configurations and open windows. */
void change_restore(enum mutant mutant);

#endif
