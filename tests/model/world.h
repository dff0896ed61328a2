/* SPDX-License-Identifier: Apache-2.0 */
/* The services of a history and what the operator does to them, through the same commit as user space. */
#ifndef MODEL_WORLD_H
#define MODEL_WORLD_H

#include "model/model.h"

enum {
	WORLD_SERVICES = 5, /* ids 1.. */
	WORLD_TCP = 1,
	WORLD_ANY_PORT = 2, /* TCP, affinity of clients */
	WORLD_NAT = 3,
	WORLD_UDP = 4, /* sticky */
	WORLD_OTHER_NAT = 5, /* has the same backends' addresses */
	WORLD_MEMBERS = 3, /* at most, of a cohort */
};
#define WORLD_SECOND_NS 1000000000ULL
#define WORLD_IDLE_NS (20 * WORLD_SECOND_NS)

/* The backends of a cohort; draining ones are not in the ring. */
struct world_member {
	__u32 index; /* 0: none */
	bool draining;
};
extern struct world_member world_members[WORLD_SERVICES + 1][CANARY_COHORTS][WORLD_MEMBERS];

static inline __u32 pick(__u32 n)
{
	return shim_random() % n;
}

static inline bool one_in(__u32 n)
{
	return !pick(n);
}

struct canary_addr world_addr(__u32 v4);
bool world_is_nat(__u32 service);
void world_make(void);
/* Parts of a record that is being prepared. Rings have turns drawn at random, none where the cohort has no backend. */
void world_copy_record(__u32 service, __u32 from, __u32 to);
void world_build_ring(__u32 service, __u32 slot, __u32 cohort);
void world_add_member(__u32 service, __u32 cohort, struct world_member *member);
void world_derive(struct canary_config *config);
void world_assign(__u32 service, struct canary_config *config);
bool world_alive(__u32 backend, __u32 generation);
__u32 world_choose_now(__u32 service, const struct canary_tuple *tuple);
/* What an older flow has: the choice at the start of the window, or now where none is open. */
__u32 world_choose_oldest(__u32 service, const struct canary_tuple *tuple);

#endif
