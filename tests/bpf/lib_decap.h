/* SPDX-License-Identifier: Apache-2.0 */
/* The decapsulation program by itself, with maps of its own, and packets through it. */
#ifndef LIB_DECAP_H
#define LIB_DECAP_H

#include "lib_run.h"

#include "canary/decap.h"

#define BALANCER4 "10.0.0.1"
#define BALANCER6 "2001:db8:10::1"
/* Where tunnels end, beside the MAC of "front". */
#define OURS4 "192.0.2.1"
#define OURS6 "2001:db8:2::1"
/* Whom packets may be passed on to: 192.0.2.128/25 and 2001:db8:3::/64, and OURS4 and OURS6, which they never are. */
#define PEER4 "192.0.2.130"
#define PEER6 "2001:db8:3::2"
#define CLIENT "198.51.100.7"
#define CLIENT6 "2001:db8:c::7"
#define VIP "203.0.113.10"
#define VIP6 "2001:db8:5::10"
#define PORT 6080

/* A test's set-up: the program anew. */
int decap_set_up(void **state);
/* Over all CPUs. */
struct canary_decap_counters decap_counted(void);
/* An address becomes one of this host's, which tunnels may end at. */
void decap_add_local(const char *addr);
void decap_run(const struct packet *in, struct outcome *ret);

#endif
