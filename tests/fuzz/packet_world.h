/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A balancer in user space: the services of TRAFFIC_SERVICES in the maps of tests/model, with two interfaces, and routes:
 * some backends are behind a router, some behind a VLAN device.
 */
#ifndef FUZZ_PACKET_WORLD_H
#define FUZZ_PACKET_WORLD_H

#include "bpf/lib_check.h"

enum { PACKET_WORLD_FRONT = 1, PACKET_WORLD_BACK = 2 }; /* ifindex; - 1: place of their MAC in the world */

extern struct check_world packet_world;

void packet_world_make(void);
/* Forgets what was learned from packets, and begins anew at the same time of the same clock. */
void packet_world_forget(void);
/* Of all services, in 1/100 percent; `reset`: connections that belong elsewhere then are reset. */
void packet_world_weight(unsigned weight, bool reset);
void packet_world_interface(unsigned ifindex, unsigned flags); /* CANARY_INTERFACE_* */
struct check_counts packet_world_counts(void);

#endif
