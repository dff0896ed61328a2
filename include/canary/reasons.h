/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Why a packet was dropped. One list: the enum, the names in JSON and text, and the help come from it.
 *
 * Scope: INTERFACE reasons happen before a cohort is known and are counted per interface; COHORT reasons after, and
 * are counted per service and cohort.
 */
#ifndef CANARY_REASONS_H
#define CANARY_REASONS_H

/* X(NAME, name, SCOPE, help) */
#define CANARY_REASON_LIST(X)                                                                                          \
	X(MALFORMED, malformed, INTERFACE, "headers cut short, wrong lengths or impossible TCP flags")                 \
	X(EXT_HEADERS, ext_headers, INTERFACE, "more IPv6 extension headers than are looked through")                  \
	X(FRAGMENT, fragment, INTERFACE, "fragments that could not be kept together, or whose backend is gone")        \
	X(FAULT, fault, INTERFACE, "should never be anything but 0: an object of the data plane was missing")          \
	X(NO_BACKEND, no_backend, COHORT, "no cohort of the service had a backend to give")                            \
	X(NO_ROUTE, no_route, COHORT, "the kernel has no route to the backend or client, or may not forward")          \
	X(NO_NEIGHBOUR, no_neighbour, COHORT, "the next hop's link-layer address is not known")                        \
	X(TOO_BIG, too_big, COHORT, "larger than the next hop's MTU, with the tunnel's header")                        \
	X(NO_HEADROOM, no_headroom, COHORT, "the driver left no room for the tunnel's header")                         \
	X(LOOP, loop, COHORT, "sent by the very host it would be forwarded to, or by us")                              \
	X(NAT_COLLISION, nat_collision, COHORT, "no backend was free to tell this client's connections apart")         \
	X(TABLE_FULL, table_full, COHORT, "nat could not remember the connection")                                     \
	X(NO_TUNNEL_SOURCE, no_tunnel_source, COHORT, "no address of ours is known as the tunnel's source")            \
	X(RESET, reset, COHORT, "of a connection that was reset, without an answer: RSTs are rate limited")

enum canary_reason {
#define X(NAME, name, SCOPE, help) CANARY_REASON_##NAME,
	CANARY_REASON_LIST(X)
#undef X
		CANARY_REASONS
};

/* The list has the reasons of scope INTERFACE first. */
#define CANARY_FIRST_COHORT_REASON CANARY_REASON_NO_BACKEND
#define CANARY_COHORT_REASONS (CANARY_REASONS - CANARY_FIRST_COHORT_REASON)

#endif
