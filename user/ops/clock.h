/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane's clock (CLOCK_MONOTONIC) in terms of the world's. */
#ifndef OPS_CLOCK_H
#define OPS_CLOCK_H

#include <linux/types.h>

__u64 clock_monotonic_ns(void);

/* Since 1970, in nanoseconds; right as long as nobody sets the world's clock between then and now. */
__s64 clock_wall_ns(__u64 monotonic_ns);

/* RFC 3339, to the nearest second, in UTC: "2024-05-01T12:00:00Z". */
#define CLOCK_TEXT_LEN 32
const char *clock_wall_text(__u64 monotonic_ns, char buf[CLOCK_TEXT_LEN]);
/* The same with milliseconds: "2024-05-01T12:00:00.123Z". */
const char *clock_wall_text_ms(__u64 monotonic_ns, char buf[CLOCK_TEXT_LEN]);

#endif
