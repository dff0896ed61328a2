/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs, with one flow and with a million. Runs alone: it compares times.
 * Not in a guest: an emulated processor's instructions cost what their emulation does.
 */
#include "lib_env.h"

#include "../bench/bench.h"

enum { TRIES = 3 };

/*
 * A guard against what makes the program a multiple slower. Other work on the machine makes it slower as well, but not three times
 * in a row; of a row the fastest round counts, as that hardly reaches it. The floor is always the stateless encapsulation, as
 * the others are but a few nanoseconds. The limits are twice what was measured: `make bench` has the figures.
 */
static const unsigned limits[BENCH_FORWARDS] = {
	[BENCH_FORWARD_L2] = 8,	  [BENCH_FORWARD_IPIP] = 11, [BENCH_FORWARD_GUE] = 12,
	[BENCH_FORWARD_NAT] = 21, [BENCH_FORWARD_NONE] = 5,
};

/* "": no row costs more. */
static const char *measure(int forward)
{
	static const struct bench_options options = {.repeat = 200000, .rounds = 9};
	static struct bench_result result;
	static char excess[128];
	struct bench_selection selection = {};
	struct bench_group group = {.forward = forward};
	double floor, net;

	assert_true(bench_select(&selection, "1") && bench_select(&selection, "1M"));
	bench_run_group(&options, &selection, &group, &result);
	floor = bench_net_floor(&result, BENCH_FLOOR_IPIP).median;
	assert_true(floor > 0);
	excess[0] = 0;
	for (int flows = 0; flows < BENCH_FLOWS; flows++) {
		net = bench_net_row(&result, flows).min;
		if (result.row[flows].count && net > limits[forward] * floor)
			snprintf(excess, sizeof(excess), "%s, %s flows: %.1f ns, more than %u times the floor's %.1f",
				 bench_word(BENCH_AXIS_FORWARD, forward), bench_word(BENCH_AXIS_FLOWS, flows), net,
				 limits[forward], floor);
	}
	return excess;
}

static void packets_cost_no_more_than_so_many_encapsulations(void **state)
{
	(void)state;
	for (int forward = 0; forward < BENCH_FORWARDS; forward++) {
		const char *excess = measure(forward);

		for (int tries = 1; *excess && tries < TRIES; tries++)
			excess = measure(forward);
		if (*excess)
			fail_msg("%s", excess);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(packets_cost_no_more_than_so_many_encapsulations),
	};

	return RUN(tests);
}
