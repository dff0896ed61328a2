/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of backends that are there and not, in two network namespaces (lib_netns.h). `there` is a backend of all kinds:
 * with nat it serves on its own address, else on the service's, which is on its `lo`. The kernel here may have no tunnel
 * devices, so its packets are taken out of raw and UDP sockets and put in by a TUN device.
 */
#ifndef LIB_HEALTH_H
#define LIB_HEALTH_H

#include "io/health.h"

extern struct health_prober *prober;
extern int gue_protocol; /* of the inner packet, as the last GUE header had it */

/* Of a group of tests. */
int health_set_up(void **state);
int health_tear_down(void **state);

/* What was reported of a probe. */
struct seen {
	int count;
	enum health_outcome outcome;
	char sentence[256];
	__s64 times[64];
};
void note_report(const struct health_report *report, void *arg); /* to the struct seen that `arg` is */

/* Lets the prober run until so many were counted, or the time is over. */
void drive(const int *count, int wanted, int milliseconds);

/* The service "web", port 80, and a backend of it. */
struct health_target make_target(enum canary_forward forward, const char *address, const char *backend);

/* One check of it, of a row: the first result. */
struct seen check_once(struct health_target target, struct health_check check);
void assert_seen(struct seen seen, enum health_outcome outcome, const char *sentence);

/* A socket that listens on the backend. */
int listen_there(const char *address, int port);

#endif
