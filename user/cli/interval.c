/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/interval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "ops/clock.h"

/* Digits, and one decimal point at most among them. */
static int parse(const char *text, __u64 *ret)
{
	size_t whole = strspn(text, "0123456789"), decimals = 0;
	double seconds;

	if (text[whole] == '.')
		decimals = strspn(text + whole + 1, "0123456789") + 1;
	if (!whole || whole > 4 || decimals == 1 || decimals > 10 || text[whole + decimals])
		return -EINVAL;
	/* The locale is never set: '.' is the decimal point. */
	seconds = strtod(text, NULL);
	if (seconds < 0.1 || seconds > 3600)
		return -EINVAL;
	*ret = (__u64)(seconds * (double)NSEC_PER_SEC);
	return 0;
}

int argument_interval(const char *option, const char *text, __u64 *ret, struct error *error)
{
	if (parse(*text ? text : "1", ret))
		return fail(error, CLI_USAGE, "--%s is 0.1 to 3600 seconds, not \"%s\"", option, text);
	return 0;
}

__u64 next_turn(__u64 last, __u64 interval)
{
	__u64 now = clock_monotonic_ns();

	return last + interval < now ? now : last + interval;
}

void sleep_until(__u64 ns)
{
	const struct timespec until = {.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}
