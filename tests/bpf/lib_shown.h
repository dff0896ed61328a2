/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests show of the cases in tests/data/packet-cases: which packet, in which mode, met with what. A test says by its
 * name what case it is of (case05_ip_options_are_skipped); all else is seen from the packets that it sends with EXPECT. The
 * table in canary-packets(7) is made from that (scripts/packet-table).
 *
 * Lines are added to the file that CANARY_TEST_SHOWN names, if any, as scripts/run-tests has it:
 *
 *   TEST MODE FAMILY DIRECTION OUTCOME      case05_ip_options_are_skipped l2 v4 request forwarded
 *
 * MODE is nat, l2, ..., or none for what is of no service; FAMILY v4 or v6; DIRECTION request or reply (from a backend that
 * nat knows of); OUTCOME forwarded, passed, answered or dropped:REASON.
 */
#ifndef LIB_SHOWN_H
#define LIB_SHOWN_H

#include "lib_env.h"
#include "lib_packet.h"

/* Each test begins with it; TEST() of lib_env.h does that. */
void shown_begin(const char *test);
/* A packet met with what was expected. `want` NULL: untouched. */
void shown_packet(const struct spec *in, int verdict, const struct spec *want, const char *counters);

#endif
