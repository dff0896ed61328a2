/* SPDX-License-Identifier: Apache-2.0 */
/* The bench itself, run briefly: what it measures is what it says. Times are left to `make bench`. */
#include "lib_env.h"

#include "../bench/bench.h"

#include <stdlib.h>
#include <string.h>

/*
 * A group takes a second, most of it to set up: of IPv6 and of windows, ACKs stand for all packets; what is observed and
 * what not is worth a look in each way of forwarding, with IPv6 in one.
 */
static bool worth_a_run(const struct bench_group *group)
{
	bool v4 = group->family == BENCH_FAMILY_V4;

	if (group->observe == BENCH_OBSERVE_OFF)
		return group->packet == BENCH_PACKET_ACK ||
		       (!bench_connects(group) && v4 && group->state == BENCH_STATE_SETTLED);
	if (group->observe == BENCH_OBSERVE_ALL)
		return v4 && group->packet != BENCH_PACKET_MIXED;
	return group->packet == BENCH_PACKET_MIXED && (v4 || group->forward == BENCH_FORWARD_IPIP);
}

/* Each of these runs checks verdict, packet and counters, and fails where they are not those of so many packets. */
static void rows_do_what_they_are_timed_for(void **state)
{
	struct bench_selection all = {}, some = {};
	static const struct bench_options brief = {.repeat = 4096, .rounds = 1};
	static struct bench_result result;
	struct bench_group group;
	unsigned index = 0, groups = 0;

	(void)state;
	assert_true(bench_select(&some, "1k"));
	for (; bench_next_group(&all, &index, &group); groups++) {
		const struct bench_selection *rows = group.observe == BENCH_OBSERVE_OFF ? &all : &some;

		if (!worth_a_run(&group))
			continue;
		bench_run_group(&brief, rows, &group, &result);
		for (int flows = 0; flows < BENCH_FLOWS; flows++) {
			assert_int_equal(result.row[flows].count, bench_row_selected(rows, &group, flows));
			assert_true(!result.row[flows].count || result.row[flows].ns[0] > 0);
			assert_int_equal(result.off[flows].count,
					 group.observe == BENCH_OBSERVE_OFF ? 0 : result.row[flows].count);
		}
	}
	/* All packets where there is a service, those of no connection where there is none, and in the windows of all but nat. */
	assert_int_equal(groups, BENCH_FAMILIES * (4 * BENCH_PACKETS + 3 + 3 * 3 + 2 * 4 * 3));
}

static void the_picture_has_a_line_for_each_group(void **state)
{
	static const struct bench_result results[2] = {
		{.group = {.forward = BENCH_FORWARD_IPIP},
		 .floor = {[BENCH_FLOOR_TX] = {1, {20}}, [BENCH_FLOOR_ADJUST] = {1, {30}}},
		 .row = {[BENCH_FLOWS_1] = {1, {65}}, [BENCH_FLOWS_1M] = {1, {85}}}},
		{.group = {.forward = BENCH_FORWARD_L2},
		 .floor = {[BENCH_FLOOR_TX] = {1, {20}}},
		 .row = {[BENCH_FLOWS_1] = {1, {60}}}},
	};
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	assert_non_null(to);
	assert_int_equal(bench_write_plot(to, results, 2), 0);
	fclose(to);
	assert_int_equal(strncmp(text, "<svg ", 5), 0);
	/* Up to 80 ns, from 490 up to 40; in the first column and the last. */
	assert_non_null(strstr(text, "points='60.0,265.0 700.0,152.5 '"));
	assert_non_null(strstr(text, "points='60.0,265.0 '"));
	assert_non_null(strstr(text, ">ipip v4 ack settled off<"));
	assert_non_null(strstr(text, ">l2 v4 ack settled off<"));
	assert_string_equal(text + len - 7, "</svg>\n");
	free(text);
}

static void figures_are_net_of_what_is_not_the_program(void **state)
{
	struct bench_result result = {
		.group = {.forward = BENCH_FORWARD_IPIP},
		.floor = {[BENCH_FLOOR_TX] = {3, {22, 20, 30}},
			  [BENCH_FLOOR_ADJUST] = {3, {34, 30, 40}},
			  [BENCH_FLOOR_SWAP] = {3, {24, 23, 90}},
			  [BENCH_FLOOR_IPIP] = {3, {44, 48, 40}}},
		.row = {[BENCH_FLOWS_1] = {3, {68, 65, 99}}, [BENCH_FLOWS_1M] = {3, {88, 79, 91}}},
	};

	(void)state;
	assert_int_equal(bench_net_row(&result, BENCH_FLOWS_1).median, 68 - 22 - (34 - 22) / 2);
	assert_int_equal(bench_net_row(&result, BENCH_FLOWS_1).min, 65 - 20 - (30 - 20) / 2);
	assert_true(bench_ratio_of_flows(&result) == 60.0 / 40);
	assert_true(bench_ratio_to_floor(&result, BENCH_FLOWS_1) == 40.0 / (44 - 22 - 6));
	/* In place: the head is not moved, neither by the program nor back. */
	result.group.forward = BENCH_FORWARD_L2;
	assert_int_equal(bench_net_row(&result, BENCH_FLOWS_1).median, 68 - 22);
	assert_true(bench_ratio_to_floor(&result, BENCH_FLOWS_1) == 46.0 / 2);
	result.row[BENCH_FLOWS_1].count = 0;
	assert_true(bench_ratio_of_flows(&result) == 0);
	assert_true(bench_ratio_to_off(&result, BENCH_FLOWS_1M) == 0);
	/* Round by round. */
	result.off[BENCH_FLOWS_1M] = (struct bench_samples){3, {50, 55, 80}};
	assert_true(bench_ratio_to_off(&result, BENCH_FLOWS_1M) == (79.0 - 22) / (55 - 22));
	assert_true(bench_gross_ratio_to_off(&result, BENCH_FLOWS_1M) == 79.0 / 55);
	/* Of an even number of rounds, what lies between the two in the middle. */
	assert_true(bench_total(&(struct bench_samples){4, {9, 1, 4, 3}}).median == 3.5);
}

static void words_select_rows(void **state)
{
	const struct bench_group nat = {.forward = BENCH_FORWARD_NAT}, ipip = {.forward = BENCH_FORWARD_IPIP};
	const struct bench_group observed = {.forward = BENCH_FORWARD_NAT, .observe = BENCH_OBSERVE_ON};
	struct bench_selection selection = {};
	struct bench_group group;
	unsigned index = 0;

	(void)state;
	assert_false(bench_select(&selection, "ack "));
	assert_true(bench_select(&selection, "nat") && bench_select(&selection, "v6"));
	assert_true(bench_select(&selection, "syn") && bench_select(&selection, "udp"));
	assert_true(bench_next_group(&selection, &index, &group));
	assert_int_equal(group.forward, BENCH_FORWARD_NAT);
	assert_int_equal(group.family, BENCH_FAMILY_V6);
	assert_int_equal(group.packet, BENCH_PACKET_SYN);
	assert_true(bench_next_group(&selection, &index, &group));
	assert_int_equal(group.packet, BENCH_PACKET_UDP);
	assert_false(bench_next_group(&selection, &index, &group));
	/* More flows than nat remembers are no row of it. */
	assert_true(bench_row_selected(&selection, &nat, BENCH_FLOWS_32K));
	assert_false(bench_row_selected(&selection, &nat, BENCH_FLOWS_64K));
	assert_true(bench_row_selected(&selection, &ipip, BENCH_FLOWS_64K));
	/* Beside a twin, half as many. */
	assert_true(bench_select(&selection, "off") && bench_select(&selection, "on") &&
		    bench_select(&selection, "ack"));
	assert_true(bench_row_selected(&selection, &observed, BENCH_FLOWS_16K));
	assert_false(bench_row_selected(&selection, &observed, BENCH_FLOWS_32K));
	assert_true(bench_select(&selection, "1M"));
	assert_false(bench_row_selected(&selection, &ipip, BENCH_FLOWS_64K));
	assert_false(bench_selected(&selection, &nat));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(rows_do_what_they_are_timed_for),
		TEST(the_picture_has_a_line_for_each_group),
		TEST(figures_are_net_of_what_is_not_the_program),
		TEST(words_select_rows),
	};

	return RUN(tests);
}
