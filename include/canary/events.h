/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What happened: the kernel and commands write it down, `canaryctl events` reads it. One list: the enum and the names come
 * from it.
 */
#ifndef CANARY_EVENTS_H
#define CANARY_EVENTS_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "limits.h"

/*
 * X(NAME, name, help): help says what value[] of struct canary_event holds. Weights are in 1/100 percent. `backend` is two
 * words of address and one of port | cohort << 16 | state << 24 (0 deleted, 1 up, 2 draining); of an overflow it is the
 * one that left the cohort last, or came back first, with an address of zeros where another change did it.
 */
#define CANARY_EVENT_LIST(X)                                                                                           \
	X(ATTACHED, attached, "the program was attached to an interface: ifindex")                                     \
	X(DETACHED, detached, "... and detached: ifindex")                                                             \
	X(UPGRADED, upgraded, "the programs were replaced; ABI before, ABI now")                                       \
	X(SERVICE_ADDED, service_added, "its weight")                                                                  \
	X(SERVICE_CHANGED, service_changed, "another setting than what has an event of its own")                       \
	X(SERVICE_DELETED, service_deleted, "")                                                                        \
	X(WEIGHT_CHANGED, weight_changed, "an assignment: weight before, weight now, assignment, 1 with a new salt")   \
	X(BACKEND_ADDED, backend_added, "backend")                                                                     \
	X(BACKEND_CHANGED, backend_changed, "backend")                                                                 \
	X(BACKEND_DELETED, backend_deleted, "backend")                                                                 \
	X(WINDOW_CLOSED, window_closed, "when it opened; 1: older flows were left, as max_window was over")            \
	X(BREAKER_TRIPPED, breaker_tripped,                                                                            \
	  "enum canary_stop_reason; flows | failures << 32 of stable, and of the canary; the sum")                     \
	X(LEASE_EXPIRED, lease_expired, "enum canary_on_expiry")                                                       \
	X(OVERFLOW_BEGUN, overflow_begun, "backend; the cohort's weight | 1 << 32 where its flows are dropped")        \
	X(OVERFLOW_ENDED, overflow_ended, "the same; of what ended")

enum canary_event_type {
	CANARY_EVENT_NONE,
#define X(NAME, name, help) CANARY_EVENT_##NAME,
	CANARY_EVENT_LIST(X)
#undef X
		CANARY_EVENT_TYPES
};

/*
 * Element of `events`, at (number - 1) % CANARY_EVENTS. `number` counts from 1, and is written last: what has another one
 * before and after it was copied is being overwritten. The only element of `event_head` is the last number given.
 */
struct canary_event {
	__u64 number;
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 type; /* enum canary_event_type */
	__u32 uid; /* who asked */
	__u64 epoch; /* of the service, after the event */
	__u64 value[4]; /* as the list of types says */
	char name[CANARY_NAME_LEN]; /* the service's, or the interface's */
};
_Static_assert(sizeof(struct canary_event) == 128, "two cache lines");
#define CANARY_UID_KERNEL (~0U) /* nobody asked: the kernel did it by itself */

#endif
