/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maglev rings with weights (Eisenbud et al.: "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
 * section 3.4). Each backend gets its exact proportion of the slots (largest remainder), taking turns in proportion to
 * its weight, each turn the next free slot of its own permutation. The permutation comes from the backend's address and
 * port alone, so every balancer builds the same ring, whatever the order backends are listed in and whichever cohort
 * they are in; a change of one backend moves few slots among the others.
 */
#ifndef CORE_MAGLEV_H
#define CORE_MAGLEV_H

#include <linux/types.h>
#include <stddef.h>

#include "canary/abi.h"

struct maglev_backend {
	struct canary_addr addr;
	__u16 port;
	__u32 weight; /* >= 1 */
	__u16 value;  /* what to write into its slots: not 0 */
};

/*
 * A prime from a short list, 4,099 at least and 65,537 at most: large enough for each backend's part to be within 1 %
 * of its share or one slot. 0 for no backends.
 */
__u32 maglev_size(const struct maglev_backend *backends, size_t count);

/* Fills slots[size]. 0, -ENOMEM, or -EINVAL (no backends; more backends than slots; size not from maglev_size()'s list). */
int maglev_build(const struct maglev_backend *backends, size_t count, __u16 *slots, __u32 size);

#endif
