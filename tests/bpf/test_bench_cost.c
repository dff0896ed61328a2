/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs, with one flow and with a million. Runs alone: it compares times.
 * Not in a guest: an emulated processor's instructions cost what their emulation does.
 */
#include "lib_env.h"

#include "../bench/bench.h"

/*
 * A guard against what makes the program a multiple slower. Of the rounds the fastest counts, of row and floor alike, which
 * other work on the machine hardly reaches; the floor is always the stateless encapsulation, as the others are but a few
 * nanoseconds. The limits are twice what was measured: `make bench` has the figures.
 */
static void packets_cost_no_more_than_so_many_encapsulations(void **state)
{
	static const struct bench_options options = {.repeat = 200000, .rounds = 9};
	static const unsigned limits[BENCH_FORWARDS] = {
		[BENCH_FORWARD_L2] = 8,	  [BENCH_FORWARD_IPIP] = 11, [BENCH_FORWARD_GUE] = 12,
		[BENCH_FORWARD_NAT] = 21, [BENCH_FORWARD_NONE] = 5,
	};
	static struct bench_result result;
	struct bench_selection selection = {};

	(void)state;
	assert_true(bench_select(&selection, "1") && bench_select(&selection, "1M"));
	for (int forward = 0; forward < BENCH_FORWARDS; forward++) {
		struct bench_group group = {.forward = forward};
		double floor;

		bench_run_group(&options, &selection, &group, &result);
		floor = bench_net_floor(&result, BENCH_FLOOR_IPIP).min;
		assert_true(floor > 0);
		for (int flows = 0; flows < BENCH_FLOWS; flows++) {
			double net = bench_net_row(&result, flows).min;

			if (!result.row[flows].count || net <= limits[forward] * floor)
				continue;
			fail_msg("%s, %s flows: %.1f ns, more than %u times the floor's %.1f",
				 bench_word(BENCH_AXIS_FORWARD, forward), bench_word(BENCH_AXIS_FLOWS, flows), net,
				 limits[forward], floor);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(packets_cost_no_more_than_so_many_encapsulations),
	};

	return RUN(tests);
}
