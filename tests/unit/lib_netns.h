/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests against the real kernel, in two network namespaces of the test's own that go when its process does: `here`,
 * where it runs, and `there`, with the other end of a veth pair.
 *
 *   here    v0  02:00:00:00:00:01  10.1.0.1/24 10.1.0.3/24 2001:db8:1::1/64  mtu 1400
 *   there   v1  02:00:00:00:00:02  10.1.0.2/24             2001:db8:1::2/64
 */
#ifndef LIB_NETNS_H
#define LIB_NETNS_H

#include <time.h>

extern int netns_here, netns_there;

/* A group's set-up and tear-down. Without root they do nothing: each test that needs the namespaces says so first. */
int netns_set_up(void **state);
int netns_tear_down(void **state);
/* Skips the test without root. */
void netns_needed(void);

/* Runs a command in a namespace: words separated by single spaces, no shell. The test fails if it does. */
__attribute__((format(printf, 2, 3))) void netns_run(int netns, const char *words, ...);

double seconds_since(const struct timespec *start);

#endif
