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
};
#define WORLD_IDLE_NS 20000000000ULL

static inline __u32 pick(__u32 n)
{
	return shim_random() % n;
}

static inline bool one_in(__u32 n)
{
	return !pick(n);
}

struct canary_addr world_addr(__u32 v4);
void world_make(void);
/* One change of a service's configuration, of a random kind, by a commit or by the kernel itself. */
void world_change(__u32 service, enum mutant mutant, bool trip, bool trace);
/* What a reboot brings back: the service's configurations and open window. */
void world_restore(enum mutant mutant);
bool world_alive(__u32 backend, __u32 generation);
__u32 world_retirements(void); /* how many there were */
__u32 world_choose_now(__u32 service, const struct canary_tuple *tuple);
/* What an older flow has: the choice at the start of the window, or now where none is open. */
__u32 world_choose_oldest(__u32 service, const struct canary_tuple *tuple);

#endif
