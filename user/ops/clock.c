/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "ops/clock.h"

#define NSEC_PER_SEC 1000000000LL

static __s64 read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

__u64 clock_monotonic_ns(void)
{
	return (__u64)read_ns(CLOCK_MONOTONIC);
}

__s64 clock_wall_ns(__u64 monotonic_ns)
{
	return read_ns(CLOCK_REALTIME) - read_ns(CLOCK_MONOTONIC) + (__s64)monotonic_ns;
}

const char *clock_wall_text(__u64 monotonic_ns, char buf[CLOCK_TEXT_LEN])
{
	time_t seconds = (clock_wall_ns(monotonic_ns) + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
	struct tm parts;

	gmtime_r(&seconds, &parts);
	strftime(buf, CLOCK_TEXT_LEN, "%Y-%m-%dT%H:%M:%SZ", &parts);
	return buf;
}

const char *clock_wall_text_ms(__u64 monotonic_ns, char buf[CLOCK_TEXT_LEN])
{
	__s64 wall_ns = clock_wall_ns(monotonic_ns);
	time_t seconds = wall_ns / NSEC_PER_SEC;
	struct tm parts;
	size_t len;

	gmtime_r(&seconds, &parts);
	len = strftime(buf, CLOCK_TEXT_LEN, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(buf + len, CLOCK_TEXT_LEN - len, ".%03dZ", (int)(wall_ns % NSEC_PER_SEC / 1000000));
	return buf;
}
