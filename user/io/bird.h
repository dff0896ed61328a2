/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes that BIRD announces: a file of two static protocols, BIRD_PROTOCOL_V4 and _V6, for its configuration to include, and
 * its control socket, which takes what birdc(8) sends. BIRD 2; the codes of its replies are those of its doc/reply_codes.
 */
#ifndef IO_BIRD_H
#define IO_BIRD_H

#include <stddef.h>

#include "core/error.h"
#include "core/model.h"

#define BIRD_PROTOCOL_V4 "canary4"
#define BIRD_PROTOCOL_V6 "canary6"

/*
 * Replaces the file by one that has a route to each of the addresses, blackhole: packets for them never come to BIRD's host's
 * stack. 0 or -errno.
 */
int bird_write_routes(const char *path, const struct canary_addr *addrs, size_t count, struct error *error);
/* By one without even the protocols, so that another file can have them. */
int bird_write_nothing(const char *path, struct error *error);

/*
 * Has BIRD read its configuration again ("configure soft"). 0; -ECONNREFUSED: it does not run; -EINVAL: it refuses what it
 * read; or -errno.
 */
int bird_configure(const char *socket, struct error *error);

/* How many routes it has of both protocols. 0; -ENOENT: its configuration has no such protocols; or as above. */
int bird_count_routes(const char *socket, unsigned *ret, struct error *error);

#endif
