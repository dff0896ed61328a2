/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_wait.h"

#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

enum { LONGEST_S = 120, LOOK_EVERY_US = 20000 };

static __u64 seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void wait_until(bool (*holds)(void), const char *what)
{
	__u64 begun = seconds();

	while (!holds()) {
		if (seconds() - begun > LONGEST_S)
			fail_msg("waited in vain for %s", what);
		usleep(LOOK_EVERY_US);
	}
}

static __u32 awaited; /* pass of the sweeper */

static __u32 sweeper_passes(void)
{
	struct canary_sweeper state;
	__u32 zero = 0;
	int map = open_pin("sweeper");

	assert_int_equal(bpf_map_lookup_elem(map, &zero, &state), 0);
	close(map);
	return state.passes;
}

static bool has_passed(void)
{
	return (__s32)(sweeper_passes() - awaited) >= 0;
}

/* The pass that goes on now may have come by already. */
void wait_for_sweeper(void)
{
	awaited = sweeper_passes() + 2;
	wait_until(has_passed, "the sweeper");
}

void wait_for_uptime(unsigned seconds)
{
	const struct timespec then = {.tv_sec = seconds};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

bool is_stopped(void)
{
	return guard_now().stopped;
}
