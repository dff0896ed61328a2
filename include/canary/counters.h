/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What is counted besides drops. One list each: enum, JSON key, help. Units are packets unless the help says otherwise. */
#ifndef CANARY_COUNTERS_H
#define CANARY_COUNTERS_H

/* X(NAME, name, help) */
#define CANARY_COHORT_COUNTER_LIST(X)                                                                                  \
	X(PACKETS, packets, "from clients, forwarded to a backend")                                                    \
	X(BYTES, bytes, "bytes of those, as IP packets, without link and tunnel headers")                              \
	X(FLOWS, flows, "flows assigned: connections opened, or datagrams where UDP is not tracked")                   \
	X(REPLY_PACKETS, reply_packets, "from backends to clients (nat only)")                                         \
	X(REPLY_BYTES, reply_bytes, "bytes of those")                                                                  \
	X(OVERFLOW, overflow, "flows of this cohort that the other one got, as this one had no backend")               \
	X(MOVED, moved, "established flows that got another backend, as theirs is gone")                               \
	X(FALLBACK, fallback, "new flows that got the older choice, as no more could be remembered in the window")     \
	X(SKIPPED, skipped, "packets of older flows that should have been remembered and were not yet")                \
	X(RESET, reset, "connections answered with a RST, as they belong elsewhere by now")                            \
	X(TOO_BIG_ANSWERED, too_big_answered, "packets dropped as too_big whose sender was told the MTU")              \
	X(FRAGMENTS, fragments, "fragments that followed the first one of their packet")                               \
	X(BY_ID, by_id, "packets steered by a QUIC connection id that the backend chose")                              \
	X(MSS_LOWERED, mss_lowered, "SYNs whose maximum segment size was lowered")                                     \
	X(SECOND_CHANCE, second_chance, "packets that named a second backend, in case the first has no such flow (gue)")

#define CANARY_BACKEND_COUNTER_LIST(X)                                                                                 \
	X(PACKETS, packets, "forwarded to the backend")                                                                \
	X(BYTES, bytes, "bytes of those, as IP packets")                                                               \
	X(FLOWS, flows, "flows assigned to the backend")

#define CANARY_INTERFACE_COUNTER_LIST(X)                                                                               \
	X(PASSED, passed, "handed up to the kernel's stack untouched")                                                 \
	X(NOT_OURS, not_ours, "those among them that belong to no service")                                            \
	X(FORWARDED, forwarded, "sent on, as the program saw it")                                                      \
	X(TX_ERRORS, tx_errors, "sent on but lost by the driver, from the kernel's tracepoints")

#define X(NAME, name, help) CANARY_COHORT_##NAME,
enum canary_cohort_counter { CANARY_COHORT_COUNTER_LIST(X) CANARY_COHORT_COUNTERS };
#undef X
#define X(NAME, name, help) CANARY_BACKEND_##NAME,
enum canary_backend_counter { CANARY_BACKEND_COUNTER_LIST(X) CANARY_BACKEND_COUNTERS };
#undef X
#define X(NAME, name, help) CANARY_INTERFACE_##NAME,
enum canary_interface_counter { CANARY_INTERFACE_COUNTER_LIST(X) CANARY_INTERFACE_COUNTERS };
#undef X

#endif
