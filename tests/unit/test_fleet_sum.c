/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts of a fleet stand out: those that do, soon; and hardly ever one of a fleet that is sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "core/fleet_sum.h"
#include "lib_random.h"

#include <cmocka.h>

enum { MAX_HOSTS = 10, INTERVALS = 100, RUNS = 20 };

struct fleet {
	size_t hosts;
	double flows; /* of a host in an interval */
	double weight, failing; /* parts */
	bool drifts; /* failures of all hosts come and go, routers shift traffic */
	/* Of host 1: */
	double worse, weight_there;
};

static struct fleet_counts draw(struct random *random, const struct fleet *fleet, size_t host, unsigned interval)
{
	bool odd = host == 1;
	double weight = odd ? fleet->weight_there : fleet->weight, wave = interval / 20 % 2 && fleet->drifts ? 8 : 1;
	double traffic = fleet->drifts && interval / 30 % fleet->hosts == host ? 5 : 1;
	struct fleet_counts counts = {};
	unsigned flows = random_poisson(random, fleet->flows * traffic);

	counts.flows[CANARY_CANARY] = random_binomial(random, flows, weight);
	counts.flows[CANARY_STABLE] = flows - counts.flows[CANARY_CANARY];
	for (int i = 0; i < CANARY_COHORTS; i++)
		counts.failures[i] = random_binomial(random, (unsigned)counts.flows[i],
						     fleet->failing * wave * (odd ? fleet->worse : 1));
	return counts;
}

/* The hosts that are named, one bit each, and the interval of the first. */
static unsigned run(struct random *random, const struct fleet *fleet, unsigned *ret_interval, char *text)
{
	struct fleet_watched watched[MAX_HOSTS];
	struct fleet_counts counts[MAX_HOSTS];
	unsigned named = 0;

	for (size_t i = 0; i < fleet->hosts; i++)
		watched[i] = fleet_watched_new(fleet->hosts);
	for (unsigned interval = 0; interval < INTERVALS && !named; interval++) {
		for (size_t i = 0; i < fleet->hosts; i++)
			counts[i] = draw(random, fleet, i, interval);
		fleet_watched_add(watched, counts, fleet->hosts);
		*ret_interval = interval;
		for (size_t i = 0; i < fleet->hosts; i++)
			named |= (unsigned)(fleet_outlier(watched, fleet->hosts, i, "lb2", text) != NULL) << i;
	}
	return named;
}

static void test_a_sound_fleet_is_left_alone(void **state)
{
	static const struct fleet fleets[] = {
		{3, 50, 0.05, 0.01, false, 1, 0.05},	{3, 300, 0.5, 0.001, true, 1, 0.5},
		{10, 100, 0.25, 0.01, true, 1, 0.25},	{2, 200, 0.95, 0.02, false, 1, 0.95},
		{10, 1000, 0.05, 0.001, true, 1, 0.05},
	};
	struct random random = random_seeded(1);
	char text[FLEET_OUTLIER_TEXT_LEN];
	unsigned named = 0, runs = 0, interval;

	(void)state;
	for (size_t i = 0; i < sizeof(fleets) / sizeof(fleets[0]); i++)
		for (unsigned j = 0; j < RUNS; j++, runs++)
			named += run(&random, &fleets[i], &interval, text) != 0;
	print_message("%u of %u sound fleets had a host named, %g allowed\n", named, runs, FLEET_SUM_ALPHA);
	assert_true(named <= FLEET_SUM_ALPHA * runs);
	assert_true(runs >= 100);
}

static void finds(const struct fleet *fleet, const char *what, unsigned most)
{
	struct random random = random_seeded(2);
	char text[FLEET_OUTLIER_TEXT_LEN] = "";
	unsigned interval, sum = 0;

	for (unsigned i = 0; i < 20; i++) {
		unsigned named = run(&random, fleet, &interval, text);

		assert_true(named & 2);
		sum += interval + 1;
	}
	assert_non_null(strstr(text, what));
	print_message("after %.1f intervals: %s\n", sum / 20.0, text);
	assert_true(sum / 20.0 <= most);
}

static void test_a_host_that_stands_out_is_named(void **state)
{
	(void)state;
	finds(&(struct fleet){3, 300, 0.25, 0.01, true, 5, 0.25}, "failures among its", 20);
	finds(&(struct fleet){10, 300, 0.25, 0.01, false, 3, 0.25}, "failures among its", 40);
	finds(&(struct fleet){3, 300, 0.25, 0.001, false, 1, 0}, "canary flows among its flows", 10);
	finds(&(struct fleet){3, 300, 0.95, 0.001, false, 1, 0.5}, "stable flows among its flows", 10);
	finds(&(struct fleet){10, 300, 0.05, 0.001, true, 1, 0.25}, "canary flows among its flows", 10);
}

static void test_sums_add_up(void **state)
{
	const struct fleet_counts counts[] = {{{10, 2}, {1, 0}}, {{20, 3}, {0, 3}}};
	struct fleet_counts sum = fleet_sum(counts, 2);

	(void)state;
	assert_int_equal(sum.flows[CANARY_STABLE], 30);
	assert_int_equal(sum.failures[CANARY_CANARY], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sound_fleet_is_left_alone),
		cmocka_unit_test(test_a_host_that_stands_out_is_named),
		cmocka_unit_test(test_sums_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
