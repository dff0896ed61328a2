/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What `canaryctl capture` asks of the data plane, and what it gets: packets as they came and as they left, with what the
 * program knew of them. Nothing is asked, and nothing is done, unless struct canary_interface says `capturing`.
 *
 * Who captures gives an allowance ten times a second, by counting `tick` up. Without that, as he was stopped or killed,
 * nothing is copied any more, and after CANARY_CAPTURE_DEAD_S the program clears `capturing` by itself.
 */
#ifndef CANARY_CAPTURE_H
#define CANARY_CAPTURE_H

#include "abi.h"

#define CANARY_CAPTURE_SNAPLEN 9216 /* bytes of a frame, at most: a jumbo frame's */
#define CANARY_CAPTURE_TICKS 10 /* a second */
#define CANARY_CAPTURE_LOOKS 10000 /* packets that a CPU copies in a tick, at most, whatever becomes of them */
#define CANARY_CAPTURE_DEAD_S 3

#define CANARY_CAPTURE_ANY CANARY_COHORTS /* for `cohort` */

/* The only element of `capture`. */
struct canary_capture {
	__u64 beat_ns; /* CLOCK_MONOTONIC of the last sign of life of who captures; 0: nobody does */
	__u32 tick;
	__u32 sent; /* how many were delivered; atomic, and it may overflow ... */
	__u32 until; /* ... and how many may be, but for one more of each CPU */
	__u32 sample; /* one packet in so many is looked at */
	__u32 snaplen; /* bytes of each frame, 1 to CANARY_CAPTURE_SNAPLEN */
	__u32 service; /* those of this one; 0: of any */
	__u8 cohort; /* those of this one, or CANARY_CAPTURE_ANY */
	__u8 unmatched; /* also packets that belong to no service and pass */
	__u8 pad[6];
};
_Static_assert(sizeof(struct canary_capture) == 40, "abi");

/* X(NAME, name, help): what is counted for each CPU, in packets */
#define CANARY_CAPTURE_COUNT_LIST(X)                                                                                   \
	X(SEEN, seen, "that came while the capture went on")                                                           \
	X(UNLOOKED, unlooked, "that should have been looked at, but for the bound for a CPU")                          \
	X(MATCHED, matched, "that were looked at and wanted")                                                          \
	X(LIMITED, limited, "of those, not delivered for the bound in a second")                                       \
	X(LOST, lost, "of those, not delivered as the reader was too slow")

#define X(NAME, name, help) CANARY_CAPTURE_##NAME,
enum canary_capture_count { CANARY_CAPTURE_COUNT_LIST(X) CANARY_CAPTURE_COUNTS };
#undef X

#define CANARY_CAPTURE_ANSWER 1 /* an answer of ours to the sender went out in the packet's place */
#define CANARY_CAPTURE_REPLY 2 /* from a backend to a client (nat) */
#define CANARY_CAPTURE_NO_REASON 0xff

/* What is delivered: this, `captured` bytes of the frame as it came, and `left_captured` of it as it left. */
struct canary_captured {
	__u64 time_ns; /* CLOCK_MONOTONIC, of the verdict */
	__u32 ifindex; /* where it came in ... */
	__u32 netns; /* ... and the inode number of that one's network namespace */
	__u32 egress; /* where it left; 0: it did not */
	__u32 service; /* id; 0: none */
	__u32 backend; /* index; 0: none */
	__u32 length; /* as it came */
	__u32 captured;
	__u32 left_length; /* as it left, if it did */
	__u32 left_captured;
	__u8 action; /* enum xdp_action */
	__u8 reason; /* enum canary_reason: dropped for it, or answered; or CANARY_CAPTURE_NO_REASON */
	__u8 cohort; /* or CANARY_CAPTURE_ANY: it was not known */
	__u8 flags; /* CANARY_CAPTURE_* */
};
_Static_assert(sizeof(struct canary_captured) == 48, "abi");

/* A per-CPU element of `capture_cpus`. */
struct canary_capture_cpu {
	__u32 tick; /* that `looks` is of */
	__u32 looks; /* left in it */
	__u64 since; /* jiffies, of its first packet */
	__u64 skip; /* packets until the next one is looked at */
	__u64 count[CANARY_CAPTURE_COUNTS];
	/* Of the packet that is on its way: */
	struct canary_captured packet;
	__u8 frame[CANARY_CAPTURE_SNAPLEN]; /* as it came */
};
_Static_assert(sizeof(struct canary_capture_cpu) % 8 == 0, "abi");

#endif
