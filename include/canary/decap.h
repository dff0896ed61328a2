/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What bpf/decap.bpf.c and user space share. A program is loaded anew whenever one attaches, with maps of its own; the
 * counters alone are handed on, where they are as large as those here.
 */
#ifndef CANARY_DECAP_H
#define CANARY_DECAP_H

#include "abi.h"

/*
 * What becomes of a packet, each of one kind.
 *
 * X(NAME, name, VERDICT, help)
 *
 * VERDICT: TAKEN, the inner packet goes up the stack; PASSED, the packet goes up as it came; SENT, to another backend; DROPPED.
 * In this order.
 */
#define CANARY_DECAP_LIST(X)                                                                                           \
	X(IPIP, ipip, TAKEN, "taken out of IP in IP")                                                                  \
	X(GUE, gue, TAKEN, "taken out of GUE")                                                                         \
	X(KEPT, kept, TAKEN, "taken out of GUE that names another backend as well, as its connection is here")         \
	X(NOT_OURS, not_ours, PASSED, "not in a tunnel to this host")                                                  \
	X(FRAGMENT, fragment, PASSED, "the first fragment of a tunnel's packet: only whole ones are taken")            \
	X(CONTROL, control, PASSED, "a control message of GUE")                                                        \
	X(UNKNOWN, unknown, PASSED, "a version, a field or a protocol of GUE that is not known here")                  \
	X(PASSED_ON, passed_on, SENT, "sent to the other backend that it names, as its connection is not here")        \
	X(MALFORMED, malformed, DROPPED, "lengths, versions or the outer checksum that are wrong")                     \
	X(NESTED, nested, DROPPED, "a tunnel inside of the tunnel")                                                    \
	X(CONGESTION, congestion, DROPPED,                                                                             \
	  "congestion was marked on the way, and the inner packet cannot tell its receiver (RFC 6040)")                \
	X(FAULT, fault, DROPPED, "should never be anything but 0: an object of the program was missing")

enum canary_decap_kind {
#define X(NAME, name, VERDICT, help) CANARY_DECAP_##NAME,
	CANARY_DECAP_LIST(X)
#undef X
		CANARY_DECAP_KINDS
};
#define CANARY_DECAP_FIRST_PASSED CANARY_DECAP_NOT_OURS
#define CANARY_DECAP_FIRST_SENT CANARY_DECAP_PASSED_ON
#define CANARY_DECAP_FIRST_DROPPED CANARY_DECAP_MALFORMED

/* Per CPU: the only element of `counters`. */
struct canary_decap_counters {
	__u64 count[CANARY_DECAP_KINDS];
	__u64 bytes; /* of what was taken out */
};

/* The only element of `settings`. */
struct canary_decap_settings {
	struct canary_interface interface;
	__u16 gue_port; /* network order */
	__u16 pad;
};
_Static_assert(sizeof(struct canary_decap_settings) == 36, "no hidden padding");

/* `locals`: addresses of this host that tunnels may end at. */
#define CANARY_DECAP_MAX_LOCALS 4096

/* `peers`: prefixes of the backends that packets may be passed on to. None: no packet is. */
#define CANARY_DECAP_MAX_PEERS 64
struct canary_decap_peer {
	__u32 prefixlen; /* of 128 */
	struct canary_addr addr;
};
_Static_assert(sizeof(struct canary_decap_peer) == 20, "no hidden padding");

#endif
