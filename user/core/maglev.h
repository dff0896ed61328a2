/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maglev rings with weights (Eisenbud et al.: "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
 * section 3.4). Each backend gets its exact proportion of the slots (largest remainder), taking turns in proportion to
 * its weight, each turn the next free slot of its own permutation. The permutation comes from the backend's address and
 * port alone, so every balancer builds the same ring, whatever the order backends are listed in and whichever cohort
 * they are in; a change of one backend moves few slots among the others.
 *
 * Only proportions count: weights 1 and 3 give the ring that 10 and 30 give. Each backend's part is its share rounded
 * down or up. A backend whose share is below one slot gets one all the same, at the expense of all others in
 * proportion: one that never got a flow would be a surprise.
 */
#ifndef CORE_MAGLEV_H
#define CORE_MAGLEV_H

#include <linux/types.h>
#include <stddef.h>

#include "canary/abi.h"

struct maglev_backend {
	struct canary_addr addr;
	__u16 port; /* network order */
	__u32 weight; /* 1..CANARY_MAX_BACKEND_WEIGHT */
	__u16 value; /* what to write into its slots: not 0; no part in where they are */
};

/*
 * The least of 4,099, 16,411 and 65,537 (all primes) that gives the lightest backend 100 slots, so that rounding costs
 * nobody more than 1 % of its share; 65,537 where none does, and there one slot is the bound. 0 for no backends.
 *
 * Another size is another ring: practically every flow's slot moves. So the sizes are few and far apart, and depend on
 * nothing but (sum of weights) / (least weight): up to 40 equal backends, or a 95:5 pair, or 1:39, have 4,099, and a
 * change within such a range keeps the size.
 */
__u32 maglev_size(const struct maglev_backend *backends, size_t count);

/*
 * Fills slots[size]. 0, -ENOMEM, or -EINVAL (no backends; more backends than slots; size not from maglev_size()'s list;
 * a weight out of range; a value of 0). slots is untouched on failure. No two backends may have both address and port
 * in common.
 */
int maglev_build(const struct maglev_backend *backends, size_t count, __u16 *slots, __u32 size);

#endif
