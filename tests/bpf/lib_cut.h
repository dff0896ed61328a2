/* SPDX-License-Identifier: Apache-2.0 */
/* A packet in fragments, as its sender's stack or a router makes them (RFC 791, RFC 8200). Without cmocka. */
#ifndef LIB_CUT_H
#define LIB_CUT_H

#include "lib_packet.h"

enum { CUT_MAX = 8 };

/*
 * Parts of `size` bytes (a multiple of 8) of what is behind the headers that each has; the last one may be shorter. Returns how
 * many there are; 0: it fits into one, would be too many, or is a fragment already or no sound packet.
 */
unsigned packet_cut(const struct packet *whole, unsigned size, unsigned id, struct packet ret[CUT_MAX]);

#endif
