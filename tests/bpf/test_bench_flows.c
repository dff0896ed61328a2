/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench measures of how many flows there are. Runs alone: it compares times. */
#include "lib_env.h"

#include "../bench/bench.h"

/* Far more than a busy machine could make of it; `make bench` has the figure. */
static void a_million_flows_cost_about_as_much_as_one(void **state)
{
	static const struct bench_options options = {.repeat = 200000, .rounds = 5};
	static const enum bench_forward forwards[] = {BENCH_FORWARD_L2, BENCH_FORWARD_IPIP, BENCH_FORWARD_GUE};
	static struct bench_result result;
	struct bench_selection selection = {};

	(void)state;
	assert_true(bench_select(&selection, "1") && bench_select(&selection, "1M"));
	for (int i = 0; i < 3; i++) {
		struct bench_group group = {.forward = forwards[i]};

		bench_run_group(&options, &selection, &group, &result);
		assert_true(bench_ratio_of_flows(&result) > 0);
		assert_true(bench_ratio_to_floor(&result, BENCH_FLOWS_1M) > 0);
		assert_true(bench_total(&result.row[BENCH_FLOWS_1M]).min <
			    10 * bench_total(&result.row[BENCH_FLOWS_1]).min);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_million_flows_cost_about_as_much_as_one),
	};

	return RUN(tests);
}
