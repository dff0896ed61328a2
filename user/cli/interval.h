/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that look again and again share. */
#ifndef CLI_INTERVAL_H
#define CLI_INTERVAL_H

#include <linux/types.h>

#include "core/error.h"

#define NSEC_PER_SEC 1000000000ULL

/* SECONDS of an option: "0.1" to "3600", "" for 1, in nanoseconds. 0 or CLI_USAGE. */
int argument_interval(const char *option, const char *text, __u64 *ret, struct error *error);

/* When the next turn is due, of clock_monotonic_ns(). After a stop (a suspended terminal) missed ones are not made up for. */
__u64 next_turn(__u64 last, __u64 interval);
void sleep_until(__u64 ns);

#endif
