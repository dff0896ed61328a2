/* SPDX-License-Identifier: Apache-2.0 */
/* The breaker's code, as the kernel program runs it, under simulated outcomes. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "core/breaker.h"
#include "core/model.h"
#include "core/text.h"
#include "lib_random.h"

#define EVENTS 10000000

static struct canary_breaker_rule rule_of(struct observed_buckets observed, unsigned ratio)
{
	struct canary_breaker_rule rule;

	assert_int_equal(breaker_rule(&observed, ratio, BREAKER_ARL, &rule), 0);
	return rule;
}

static double share_of(struct observed_buckets observed)
{
	return (double)observed.canary / (observed.canary + observed.stable);
}

static void check_observed(unsigned weight, unsigned cap, bool all, __u32 canary, __u32 stable)
{
	struct observed_buckets observed = observed_buckets(weight_threshold((int)weight * 100), cap, all);

	if (observed.canary != canary || observed.stable != stable)
		fail_msg("weight %u, cap %u: %u and %u buckets are observed, not %u and %u", weight, cap,
			 observed.canary, observed.stable, canary, stable);
}

static void test_observes_the_canary_up_to_the_cap_and_four_times_as_much_of_stable(void **state)
{
	(void)state;
	check_observed(0, 1000, false, 0, 0);
	check_observed(5, 1000, false, 3277, 13108);
	check_observed(10, 1000, false, 6553, 26212);
	check_observed(50, 1000, false, 6553, 26212);
	check_observed(90, 1000, false, 6553, 6554);
	check_observed(99, 1000, false, 6553, 655);
	check_observed(100, 1000, false, 6553, 0);
	check_observed(5, 100, false, 655, 2620);
	check_observed(5, 0, false, 0, 0);
	check_observed(50, 1000, true, 32768, 32768);
	check_observed(5, 0, true, 0, 0);
	check_observed(5, 100, true, 3277, 13108);
	check_observed(100, 1000, true, 65536, 0);
}

static void test_the_steps_are_those_of_the_likelihood_ratios(void **state)
{
	struct canary_breaker_rule rule = rule_of((struct observed_buckets){3277, 62259}, 1000);

	(void)state;
	/* The design's figures for w = 5 %, r = 10: +1.931 and -0.372, h = 13.8. */
	assert_in_range(rule.relative[CANARY_CANARY], 1.9305 * CANARY_BREAKER_NAT, 1.9315 * CANARY_BREAKER_NAT);
	assert_in_range(-rule.relative[CANARY_STABLE], 0.3715 * CANARY_BREAKER_NAT, 0.3725 * CANARY_BREAKER_NAT);
	assert_int_equal(rule.limit, lround(log(1e6) * CANARY_BREAKER_NAT));
	assert_int_equal(rule.canary_limit, rule.limit);
	assert_int_equal(CANARY_BREAKER_CANARY_FAILURE, lround(log(0.5 / 0.02) * CANARY_BREAKER_NAT));
	assert_int_equal(CANARY_BREAKER_CANARY_SUCCESS, lround(log(0.5 / 0.98) * CANARY_BREAKER_NAT));
	assert_int_equal(CANARY_BREAKER_STABLE_FAILURE, lround(log(0.05 / 0.01) * CANARY_BREAKER_NAT));
	assert_int_equal(CANARY_BREAKER_STABLE_SUCCESS, lround(log(0.95 / 0.99) * CANARY_BREAKER_NAT));
}

static void test_without_one_of_the_cohorts_nothing_is_compared(void **state)
{
	struct canary_breaker_rule rule;

	(void)state;
	rule = rule_of((struct observed_buckets){0, 26212}, 1000);
	assert_int_equal(rule.relative[CANARY_CANARY], 0);
	assert_int_equal(rule.relative[CANARY_STABLE], 0);
	rule = rule_of((struct observed_buckets){6553, 0}, 1000);
	assert_int_equal(rule.relative[CANARY_CANARY], 0);
	assert_int_equal(rule.canary_limit, 2 * rule.limit);
}

static void test_settings_out_of_range_are_refused(void **state)
{
	const struct observed_buckets observed = {6553, 26212};
	struct canary_breaker_rule rule = {.limit = 7};

	(void)state;
	assert_int_equal(breaker_rule(&observed, BREAKER_RATIO_MIN - 1, 1000000, &rule), -EINVAL);
	assert_int_equal(breaker_rule(&observed, BREAKER_RATIO_MAX + 1, 1000000, &rule), -EINVAL);
	assert_int_equal(breaker_rule(&observed, 1000, BREAKER_ARL_MIN - 1, &rule), -EINVAL);
	assert_int_equal(breaker_rule(&observed, 1000, BREAKER_ARL_MAX + 1, &rule), -EINVAL);
	assert_int_equal(rule.limit, 7);
	assert_int_equal(breaker_rule(&observed, BREAKER_RATIO_MAX, BREAKER_ARL_MAX, &rule), 0);
	assert_in_range(rule.limit, 1, CANARY_BREAKER_MAX_LIMIT);
}

/* The sums share a word: the largest of each must leave the others alone. */
static void test_the_sums_keep_to_their_bits(void **state)
{
	const struct canary_breaker_rule rule = {
		.relative = {0, CANARY_BREAKER_NAT},
		.limit = CANARY_BREAKER_MAX_LIMIT,
		.canary_limit = 2 * CANARY_BREAKER_MAX_LIMIT,
	};
	__u64 word = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		word = canary_breaker_next(word, &rule, CANARY_STABLE, 1);
	assert_int_equal(canary_breaker_stable(word), CANARY_BREAKER_STABLE_MAX);
	assert_int_equal(canary_breaker_canary(word), 0);
	assert_int_equal(canary_breaker_relative(word), 0);
	for (int i = 0; i < 1000; i++)
		word = canary_breaker_next(word, &rule, CANARY_CANARY, 1);
	assert_int_equal(canary_breaker_stable(word), CANARY_BREAKER_STABLE_MAX);
	assert_int_equal(canary_breaker_canary(word), rule.canary_limit);
	assert_int_equal(canary_breaker_relative(word), rule.limit);

	word = canary_breaker_clear(word);
	assert_int_equal(canary_breaker_stable(word), CANARY_BREAKER_STABLE_MAX);
	assert_int_equal(canary_breaker_canary(word), 0);
	assert_int_equal(canary_breaker_relative(word), 0);
}

static void test_a_breaker_that_is_off_never_trips(void **state)
{
	const struct canary_breaker_rule off = {};
	__u64 word = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		word = canary_breaker_next(word, &off, CANARY_CANARY, 1);
		assert_int_equal(canary_breaker_trip(word, &off), CANARY_BREAKER_CLOSED);
	}
}

static void test_equal_cohorts_trip_the_relative_rule_no_more_than_the_arl_allows(void **state)
{
	static const unsigned weights[] = {1, 5, 25, 50, 90, 99};
	struct random random = random_seeded(1);

	(void)state;
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		for (int all = 0; all < 2; all++) {
			struct observed_buckets observed =
				observed_buckets(weight_threshold((int)weights[i] * 100), OBSERVE_CAP, all);
			struct canary_breaker_rule rule = rule_of(observed, BREAKER_RATIO);
			double share = share_of(observed);
			unsigned trips = 0;
			__u64 word = 0;

			for (int n = 0; n < EVENTS; n++) {
				word = canary_breaker_next(word, &rule, random_chance(&random, share), 1);
				if (canary_breaker_trip(word, &rule) == CANARY_BREAKER_RELATIVE) {
					trips++;
					word = 0;
				}
			}
			print_message("w %.3f: %u false trips in %d failures\n", share, trips, EVENTS);
			assert_in_range(trips, 0, EVENTS / BREAKER_ARL);
		}
	}
}

/* Mean number of the canary's failures until the relative rule trips on one that is `worse` times as bad. */
static double relative_delay(struct random *random, struct observed_buckets observed, double worse)
{
	struct canary_breaker_rule rule = rule_of(observed, BREAKER_RATIO);
	double c = observed.canary * worse, share = c / (c + observed.stable);
	const int runs = 2000;
	unsigned failures = 0;

	for (int run = 0; run < runs; run++) {
		__u64 word = 0;

		while (canary_breaker_trip(word, &rule) != CANARY_BREAKER_RELATIVE) {
			__u32 cohort = random_chance(random, share);

			word = canary_breaker_next(word, &rule, cohort, 1);
			failures += cohort == CANARY_CANARY;
		}
	}
	return (double)failures / runs;
}

static void test_the_relative_rule_finds_a_canary_that_is_worse(void **state)
{
	struct random random = random_seeded(2);
	double delay;

	(void)state;
	for (unsigned percent = 5; percent <= 50; percent += 15) {
		struct observed_buckets observed = {percent * 655, (100 - percent) * 655};

		print_message("w %.2f: trips after %.1f failures of a canary 10 times as bad, %.1f at 100 times\n",
			      share_of(observed), relative_delay(&random, observed, 10),
			      relative_delay(&random, observed, 100));
	}
	/* The design's figures at w = 5 %: about 11, and 8. */
	delay = relative_delay(&random, (struct observed_buckets){3277, 62259}, 10);
	assert_true(delay > 9 && delay < 12.5);
	delay = relative_delay(&random, (struct observed_buckets){3277, 62259}, 100);
	assert_true(delay > 7 && delay < 9);
}

/*
 * What trips first on a canary that refuses everything, beside a stable that fails now and then; and the most failures of
 * the canary's that it took in 1,000 runs. 0: in one of them nothing had tripped after 1,000.
 */
static unsigned refusal_delay(struct random *random, struct observed_buckets observed, double base)
{
	struct canary_breaker_rule rule = rule_of(observed, BREAKER_RATIO);
	double share = share_of(observed);
	unsigned worst = 0;

	for (int run = 0; run < 1000; run++) {
		unsigned failures = 0;
		__u64 word = 0;

		while (canary_breaker_trip(word, &rule) == CANARY_BREAKER_CLOSED) {
			__u32 cohort = random_chance(random, share);
			__u32 failed = cohort == CANARY_CANARY || random_chance(random, base);

			word = canary_breaker_next(word, &rule, cohort, failed);
			failures += cohort == CANARY_CANARY;
			if (failures > 1000)
				return 0;
		}
		worst = failures > worst ? failures : worst;
	}
	return worst;
}

static void test_a_canary_that_refuses_everything_is_out_within_15_failures_at_any_weight(void **state)
{
	static const unsigned weights[] = {1, 5, 25, 50, 75, 90, 99, 100};
	struct random random = random_seeded(3);

	(void)state;
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		for (int all = 0; all < 2; all++) {
			struct observed_buckets observed =
				observed_buckets(weight_threshold((int)weights[i] * 100), OBSERVE_CAP, all);
			unsigned worst = refusal_delay(&random, observed, 0.001);

			print_message("weight %u, w %.3f: out after %u failures at most\n", weights[i],
				      share_of(observed), worst);
			assert_in_range(worst, 1, 15);
		}
	}
}

/* How often a canary as good as stable is taken out by the absolute rule. */
static unsigned absolute_false_trips(struct random *random, struct observed_buckets observed, double base,
				     unsigned outcomes)
{
	struct canary_breaker_rule rule = rule_of(observed, BREAKER_RATIO);
	double share = share_of(observed);
	unsigned trips = 0;
	__u64 word = 0;

	while (outcomes) {
		__u32 cohort = random_chance(random, share);

		word = canary_breaker_next(word, &rule, cohort, random_chance(random, base));
		outcomes -= cohort == CANARY_CANARY;
		if (canary_breaker_trip(word, &rule) == CANARY_BREAKER_ABSOLUTE) {
			trips++;
			word = canary_breaker_clear(word);
		}
	}
	return trips;
}

static void test_usual_failure_rates_do_not_trip_the_absolute_rule(void **state)
{
	static const double bases[] = {0.001, 0.005, 0.01, 0.02, 0.03, 0.05};
	static const struct observed_buckets observed[] = {{6553, 26212}, {32768, 32768}, {6553, 0}};
	struct random random = random_seeded(4);

	(void)state;
	for (size_t j = 0; j < sizeof(observed) / sizeof(observed[0]); j++) {
		for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
			unsigned trips = absolute_false_trips(&random, observed[j], bases[i], EVENTS);

			print_message(
				"w %.2f, %.1f %% of all flows fail: %u false trips in %d of the canary's outcomes\n",
				share_of(observed[j]), bases[i] * 100, trips, EVENTS);
			assert_int_equal(trips, 0);
		}
	}
}

/*
 * Every two hundred passes of the sweeper the clients' flows are joined, for a hundred, by so many times as many that
 * stay half open, in both cohorts alike.
 */
static unsigned flood_trips(struct random *random, struct observed_buckets observed, double strength, unsigned floods)
{
	const struct canary_breaker_rule rule = rule_of(observed, BREAKER_RATIO);
	const double flows = 50, share = share_of(observed), base = 0.001;
	unsigned trips = 0;
	__u64 word = 0;

	for (unsigned pass = 0; pass < floods * 200; pass++) {
		double half_open = pass % 200 < 100 ? 0 : strength;
		struct canary_breaker_outcomes expired = {};

		for (unsigned n = random_poisson(random, flows); n; n--)
			word = canary_breaker_next(word, &rule, random_chance(random, share),
						   random_chance(random, base));
		expired.canary_failed = random_poisson(random, flows * share * half_open);
		expired.stable_failed = random_poisson(random, flows * (1 - share) * half_open);
		word = canary_breaker_add(word, &rule, &expired);
		if (canary_breaker_trip(word, &rule)) {
			trips++;
			word = canary_breaker_clear(word);
		}
	}
	return trips;
}

static void test_a_flood_that_meets_both_cohorts_hardly_ever_trips(void **state)
{
	static const double strengths[] = {0.05, 0.2, 0.5, 1, 10, 50};
	static const struct observed_buckets observed[] = {{6553, 26212}, {32768, 32768}};
	/* With as much of the canary's as of stable's, five of one before two of the other is no great surprise. */
	static const unsigned bounds[] = {2, 35};
	struct random random = random_seeded(5);

	(void)state;
	for (size_t j = 0; j < sizeof(observed) / sizeof(observed[0]); j++) {
		for (size_t i = 0; i < sizeof(strengths) / sizeof(strengths[0]); i++) {
			unsigned trips = flood_trips(&random, observed[j], strengths[i], 1000);

			print_message("w %.2f, flood %g times the clients' flows: %u trips in 1000 floods\n",
				      share_of(observed[j]), strengths[i], trips);
			assert_in_range(trips, 0, bounds[j]);
		}
	}
}

/*
 * With affinity `client` the unit is the client. Clients come with 1 to 1,000 flows, many with few; of one in a hundred
 * every flow fails, whichever the cohort. first_only: a client's second failure is no event.
 */
static unsigned clustered_trips(struct random *random, unsigned clients, bool first_only)
{
	const struct observed_buckets observed = {6553, 26212};
	const struct canary_breaker_rule rule = rule_of(observed, BREAKER_RATIO);
	unsigned trips = 0;
	__u64 word = 0;

	while (clients--) {
		__u32 cohort = random_chance(random, share_of(observed));
		unsigned flows = (unsigned)fmin(1 / (1 - random_unit(random)), 1000);

		for (unsigned n = random_chance(random, 0.01) ? first_only ? 1 : flows : 0; n; n--)
			word = canary_breaker_next(word, &rule, cohort, 1);
		if (canary_breaker_trip(word, &rule) == CANARY_BREAKER_RELATIVE) {
			trips++;
			word = 0;
		}
	}
	return trips;
}

static void test_clients_with_many_failures_trip_nothing_if_first_failures_count(void **state)
{
	struct random random = random_seeded(6);
	unsigned first, every;

	(void)state;
	first = clustered_trips(&random, EVENTS, true);
	every = clustered_trips(&random, EVENTS, false);
	print_message("first failures: %u false trips in %d clients; every failure: %u\n", first, EVENTS, every);
	assert_in_range(first, 0, 1);
	assert_true(every > 100); /* else the simulation shows nothing */
}

static void test_a_trip_is_told_with_the_numbers_of_both_cohorts(void **state)
{
	const __u32 flows[CANARY_COHORTS] = {[CANARY_STABLE] = 100, [CANARY_CANARY] = 20};
	const __u32 none[CANARY_COHORTS] = {}, one[CANARY_COHORTS] = {[CANARY_STABLE] = 1, [CANARY_CANARY] = 10};
	char text[BREAKER_TEXT_LEN];

	(void)state;
	assert_string_equal(format_breaker(true, flows, one, text),
			    "canary 10 failures in 20 flows, stable 1 in 100: 50 times stable's rate");
	assert_string_equal(format_breaker(true, none, none, text),
			    "canary 0 failures in 0 flows, stable 0 in 0: stable has none");
	assert_string_equal(
		format_breaker(false, flows, one, text),
		"canary 10 failures in 20 flows, stable 1 in 100: more than may fail, whatever stable's rate");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observes_the_canary_up_to_the_cap_and_four_times_as_much_of_stable),
		cmocka_unit_test(test_the_steps_are_those_of_the_likelihood_ratios),
		cmocka_unit_test(test_without_one_of_the_cohorts_nothing_is_compared),
		cmocka_unit_test(test_settings_out_of_range_are_refused),
		cmocka_unit_test(test_the_sums_keep_to_their_bits),
		cmocka_unit_test(test_a_breaker_that_is_off_never_trips),
		cmocka_unit_test(test_equal_cohorts_trip_the_relative_rule_no_more_than_the_arl_allows),
		cmocka_unit_test(test_the_relative_rule_finds_a_canary_that_is_worse),
		cmocka_unit_test(test_a_canary_that_refuses_everything_is_out_within_15_failures_at_any_weight),
		cmocka_unit_test(test_usual_failure_rates_do_not_trip_the_absolute_rule),
		cmocka_unit_test(test_a_flood_that_meets_both_cohorts_hardly_ever_trips),
		cmocka_unit_test(test_clients_with_many_failures_trip_nothing_if_first_failures_count),
		cmocka_unit_test(test_a_trip_is_told_with_the_numbers_of_both_cohorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
