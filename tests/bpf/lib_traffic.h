/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random packets of clients, backends and routers around the services of TRAFFIC_SERVICES (sound ones, from sources of
 * their own), and what backends and routers say to what they were sent. Numbers are those of random_seed().
 */
#ifndef LIB_TRAFFIC_H
#define LIB_TRAFFIC_H

#include "lib_mutate.h"

#define TRAFFIC_SERVICES "tests/data/traffic.yaml"

/* To one of our interfaces, by the name that mac_parse() knows. */
void traffic_packet(const char *to, struct packet *ret);

/* Damaged, most of them, with checksums that are right again or not. */
void traffic_damage(struct packet *packet);

/* Keeps what was sent to a backend of late; others' packets are not for here. */
void traffic_remember(const struct packet *sent);

/*
 * What comes back for a packet that was sent to a backend: the backend's answer, or somebody's ICMP error about it. False:
 * it was no sound packet of TCP or UDP.
 */
bool traffic_answer(const struct packet *sent, const char *to, struct packet *ret);

#endif
