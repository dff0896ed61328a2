/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/histogram.h"
#include "lib_random.h"

#define SAMPLES 200000

static const double parts[] = {0.1, 0.5, 0.9, 0.99};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void test_the_logarithm_is_that_of_the_leading_bit(void **state)
{
	(void)state;
	for (__u32 bit = 0; bit < 32; bit++) {
		assert_int_equal(canary_log2(1U << bit), bit);
		assert_int_equal(canary_log2((1U << bit) | ((1U << bit) - 1)), bit);
	}
}

static void test_every_bucket_begins_where_the_one_before_ends(void **state)
{
	(void)state;
	assert_int_equal(canary_histogram_lower(0), 0);
	for (__u32 i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
		__u32 lower = canary_histogram_lower(i), next = canary_histogram_lower(i + 1);

		assert_true(next > lower);
		assert_int_equal(canary_histogram_bucket(lower), i);
		assert_int_equal(canary_histogram_bucket(next - 1), i);
		assert_true(next - lower == 1 || (next - lower) * 32 <= lower);
	}
	assert_int_equal(canary_histogram_lower(CANARY_HISTOGRAM_BUCKETS), CANARY_HISTOGRAM_MAX + 1);
}

static void test_what_is_beyond_the_last_bucket_counts_there(void **state)
{
	(void)state;
	assert_int_equal(canary_histogram_bucket(CANARY_HISTOGRAM_MAX + 1ULL), CANARY_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(canary_histogram_bucket(~0ULL), CANARY_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(3600), CANARY_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(0.000031), 31);
}

static void check_percentile(const __u32 *counts, double part, double expected_us)
{
	double seconds, tolerance = fmax(expected_us * 0.03, 1);

	assert_int_equal(histogram_percentile(counts, part, &seconds), 0);
	if (fabs(seconds * 1e6 - expected_us) > tolerance)
		fail_msg("the percentile %g is %.3f us, not %.3f", part * 100, seconds * 1e6, expected_us);
}

static void test_percentiles_of_equal_samples_at_every_edge(void **state)
{
	(void)state;
	for (__u32 i = 0; i < CANARY_HISTOGRAM_BUCKETS; i++) {
		__u32 counts[CANARY_HISTOGRAM_BUCKETS] = {};

		counts[i] = 1000;
		for (size_t j = 0; j < PARTS; j++) {
			check_percentile(counts, parts[j], canary_histogram_lower(i));
			check_percentile(counts, parts[j], canary_histogram_lower(i + 1) - 1);
		}
		check_percentile(counts, 0, canary_histogram_lower(i));
		check_percentile(counts, 1, canary_histogram_lower(i));
	}
}

static double exponential(struct random *random)
{
	return random_exponential(random, 800);
}

static double lognormal(struct random *random)
{
	return exp(8 + random_normal(random));
}

/* Nine in ten near a millisecond, one near 50. */
static double two_humps(struct random *random)
{
	return random_chance(random, 0.1) ? 50000 + 3000 * random_normal(random) : 1000 + 100 * random_normal(random);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void check_samples(double (*draw)(struct random *), const double *check, size_t count)
{
	static double samples[SAMPLES];
	__u32 counts[CANARY_HISTOGRAM_BUCKETS] = {};
	struct random random = random_seeded(7);

	for (size_t i = 0; i < SAMPLES; i++) {
		samples[i] = draw(&random);
		counts[canary_histogram_bucket((__u64)samples[i])]++;
	}
	qsort(samples, SAMPLES, sizeof(samples[0]), compare);
	assert_int_equal(histogram_count(counts), SAMPLES);
	for (size_t i = 0; i < count; i++)
		check_percentile(counts, check[i], samples[(size_t)(check[i] * SAMPLES)]);
}

static void test_percentiles_of_spread_samples(void **state)
{
	static const double around_the_gap[] = {0.1, 0.5, 0.85, 0.95, 0.99};

	(void)state;
	check_samples(exponential, parts, PARTS);
	check_samples(lognormal, parts, PARTS);
	check_samples(two_humps, around_the_gap, sizeof(around_the_gap) / sizeof(around_the_gap[0]));
}

static void test_an_empty_histogram_has_no_percentile(void **state)
{
	const __u32 counts[CANARY_HISTOGRAM_BUCKETS] = {};
	double seconds = 7;

	(void)state;
	assert_int_equal(histogram_percentile(counts, 0.5, &seconds), -ENODATA);
	assert_true(seconds == 7);
	assert_int_equal(histogram_count(counts), 0);
}

static void test_counts_what_is_above_a_bucket(void **state)
{
	__u32 counts[CANARY_HISTOGRAM_BUCKETS] = {[0] = 1, [31] = 2, [32] = 4, [CANARY_HISTOGRAM_BUCKETS - 1] = ~0U};

	(void)state;
	assert_true(histogram_count(counts) == 7 + 0xffffffffULL);
	assert_true(histogram_above(counts, 31) == 4 + 0xffffffffULL);
	assert_true(histogram_above(counts, CANARY_HISTOGRAM_BUCKETS - 1) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_logarithm_is_that_of_the_leading_bit),
		cmocka_unit_test(test_every_bucket_begins_where_the_one_before_ends),
		cmocka_unit_test(test_what_is_beyond_the_last_bucket_counts_there),
		cmocka_unit_test(test_percentiles_of_equal_samples_at_every_edge),
		cmocka_unit_test(test_percentiles_of_spread_samples),
		cmocka_unit_test(test_an_empty_histogram_has_no_percentile),
		cmocka_unit_test(test_counts_what_is_above_a_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
