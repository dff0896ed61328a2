/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/maglev.h"
#include "canary/hash.h"

enum { MAX_SIZE = 65537, MAX_COUNT = 1024 };

static __u64 random_state = 1;

static __u32 random_below(__u32 bound)
{
	return canary_mix64(random_state += 0x9e3779b97f4a7c15ULL) % bound;
}

/* Backend i: 10.0.0.0 + i, port 8080, weight 1, and i + 1 as its value. */
static void make_backends(struct maglev_backend *backends, size_t count)
{
	memset(backends, 0, count * sizeof(*backends));
	for (size_t i = 0; i < count; i++) {
		backends[i].addr.word[2] = htonl(0xffff);
		backends[i].addr.word[3] = htonl(0x0a000000 + i);
		backends[i].port = htons(8080);
		backends[i].weight = 1;
		backends[i].value = i + 1;
	}
}

static void build(const struct maglev_backend *backends, size_t count, __u16 *slots, __u32 size)
{
	assert_int_equal(maglev_build(backends, count, slots, size), 0);
	for (__u32 slot = 0; slot < size; slot++)
		if (!slots[slot])
			fail_msg("slot %u of %u was left empty", slot, size);
}

/* The part of slots that differ among those that neither ring gives to `ignored`. */
static double moved_among_others(const __u16 *before, const __u16 *after, __u32 size, __u16 ignored)
{
	__u32 moved = 0, others = 0;

	for (__u32 slot = 0; slot < size; slot++) {
		if (before[slot] == ignored || after[slot] == ignored)
			continue;
		others++;
		moved += before[slot] != after[slot];
	}
	return (double)moved / others;
}

static double moved(const __u16 *before, const __u16 *after, __u32 size)
{
	return moved_among_others(before, after, size, 0);
}

/*
 * Each part is the share rounded down or up. Shares below one slot get one, which the others pay for: `tolerance` is
 * what their parts may differ by then.
 */
static void check_parts(const struct maglev_backend *backends, size_t count, const __u16 *slots, __u32 size,
			double tolerance)
{
	static __u32 parts[65536];
	__u64 total = 0;

	memset(parts, 0, sizeof(parts));
	for (__u32 slot = 0; slot < size; slot++)
		parts[slots[slot]]++;
	for (size_t i = 0; i < count; i++)
		total += backends[i].weight;
	for (size_t i = 0; i < count; i++) {
		double share = (double)size * backends[i].weight / total;
		double error = parts[backends[i].value] - share;

		if (error <= -tolerance || error >= tolerance || !parts[backends[i].value])
			fail_msg("backend %zu of %zu, weight %u of %llu: %u slots of %u, its share is %.2f", i, count,
				 backends[i].weight, total, parts[backends[i].value], size, share);
	}
}

static void test_parts_are_exact_for_two_backends_of_any_ratio(void **state)
{
	static __u16 slots[MAX_SIZE];
	struct maglev_backend backends[2];

	(void)state;
	make_backends(backends, 2);
	for (__u32 weight = 1; weight <= 100; weight++) {
		__u32 size;

		backends[1].weight = weight;
		size = maglev_size(backends, 2);
		build(backends, 2, slots, size);
		check_parts(backends, 2, slots, size, 1);
		/* No rounding beyond 1 %: the lightest has its 100 slots. */
		assert_true((double)size / (1 + weight) >= 100);
	}
}

static void test_parts_are_exact_for_random_sets(void **state)
{
	static struct maglev_backend backends[MAX_COUNT];
	static __u16 slots[MAX_SIZE];

	(void)state;
	for (int round = 0; round < 400; round++) {
		size_t count = 1 + random_below(round % 2 ? 1000 : 30);
		__u32 heaviest = 1 + random_below(100);
		__u32 size;

		make_backends(backends, count);
		for (size_t i = 0; i < count; i++) {
			backends[i].weight = 1 + random_below(heaviest);
			backends[i].addr.word[0] = random_below(1U << 31);
		}
		size = maglev_size(backends, count);
		build(backends, count, slots, size);
		check_parts(backends, count, slots, size, 1);
	}
}

/* More than the ring can show: still nobody goes without, and the others pay in proportion. */
static void test_a_share_below_one_slot_gets_one(void **state)
{
	static struct maglev_backend backends[MAX_COUNT];
	static __u16 slots[MAX_SIZE];

	(void)state;
	make_backends(backends, 1024);
	for (size_t i = 200; i < 1024; i++)
		backends[i].weight = 100;
	build(backends, 1024, slots, maglev_size(backends, 1024));
	check_parts(backends, 1024, slots, MAX_SIZE, 1.06);

	for (size_t i = 200; i < 1024; i++)
		backends[i].weight = i < 1000 ? 1 : CANARY_MAX_BACKEND_WEIGHT;
	build(backends, 1024, slots, 4099);
	check_parts(backends, 1024, slots, 4099, 42);
}

static void test_one_backend_gets_every_slot(void **state)
{
	static __u16 slots[4099];
	struct maglev_backend backend;

	(void)state;
	make_backends(&backend, 1);
	backend.value = 65535;
	build(&backend, 1, slots, 4099);
	for (__u32 slot = 0; slot < 4099; slot++)
		assert_int_equal(slots[slot], 65535);
}

static void test_the_order_of_listing_is_of_no_matter(void **state)
{
	static __u16 expected[MAX_SIZE], slots[MAX_SIZE];
	struct maglev_backend backends[50];
	__u32 size;

	(void)state;
	make_backends(backends, 50);
	for (size_t i = 0; i < 50; i++)
		backends[i].weight = 1 + i % 7;
	size = maglev_size(backends, 50);
	build(backends, 50, expected, size);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 49; i; i--) {
			size_t other = random_below(i + 1);
			struct maglev_backend swapped = backends[i];

			backends[i] = backends[other];
			backends[other] = swapped;
		}
		build(backends, 50, slots, size);
		assert_memory_equal(slots, expected, size * sizeof(*slots));
	}
}

/* So a backend that changes the cohort, or gets another index, keeps its places. */
static void test_values_and_the_scale_of_weights_are_of_no_matter(void **state)
{
	static __u16 expected[MAX_SIZE], slots[MAX_SIZE];
	struct maglev_backend backends[20];
	__u32 size;

	(void)state;
	make_backends(backends, 20);
	for (size_t i = 0; i < 20; i++)
		backends[i].weight = 1 + i % 3;
	size = maglev_size(backends, 20);
	build(backends, 20, expected, size);
	for (size_t i = 0; i < 20; i++) {
		backends[i].value = 30000 - i;
		backends[i].weight *= 10;
	}
	assert_int_equal(maglev_size(backends, 20), size);
	build(backends, 20, slots, size);
	for (__u32 slot = 0; slot < size; slot++)
		assert_int_equal(30000 - slots[slot], expected[slot] - 1);
}

/* Pins the ring: a host of another byte order, compiler or version must build this very one. */
static void test_the_ring_is_the_same_everywhere(void **state)
{
	static __u16 slots[4099];
	struct maglev_backend backends[5];
	__u64 hash = 0;

	(void)state;
	make_backends(backends, 5);
	backends[3].weight = 3;
	backends[4].addr.word[0] = htonl(0x20010db8);
	build(backends, 5, slots, 4099);
	for (__u32 slot = 0; slot < 4099; slot++)
		hash = canary_mix64(hash + slots[slot]);
	assert_true(hash == 0xfe7255a981510eacULL);
}

static void test_ports_tell_backends_of_one_address_apart(void **state)
{
	static __u16 slots[4099];
	struct maglev_backend backends[3];

	(void)state;
	make_backends(backends, 3);
	for (size_t i = 0; i < 3; i++) {
		backends[i].addr = backends[0].addr;
		backends[i].port = htons(8080 + i);
	}
	build(backends, 3, slots, 4099);
	check_parts(backends, 3, slots, 4099, 1);
	/* Neighbouring slots are no pattern: about a third is followed by the same backend. */
	__u32 repeats = 0;
	for (__u32 slot = 1; slot < 4099; slot++)
		repeats += slots[slot] == slots[slot - 1];
	assert_in_range(repeats, 4099 / 4, 4099 / 2);
}

static void test_removing_or_adding_one_moves_few_others(void **state)
{
	static const size_t counts[] = {2, 3, 5, 10, 20, 40, 100, 300, 1000};
	static struct maglev_backend backends[MAX_COUNT];
	static __u16 before[MAX_SIZE], after[MAX_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t count = counts[i];
		double sum = 0, worst = 0;
		__u32 size;

		make_backends(backends, count);
		size = maglev_size(backends, count);
		build(backends, count, before, size);
		for (int round = 0; round < 10; round++) {
			size_t gone = random_below(count);
			struct maglev_backend removed = backends[gone];
			double part;

			backends[gone] = backends[count - 1];
			build(backends, count - 1, after, size);
			backends[gone] = removed;
			part = moved_among_others(before, after, size, removed.value);
			sum += part;
			worst = part > worst ? part : worst;
		}
		print_message("%4zu equal backends, %5u slots, one less or more: moves %.2f %% of the others' slots, "
			      "at worst %.2f %%\n",
			      count, size, 100 * sum / 10, 100 * worst);
		assert_true(worst < 0.03);
	}
}

static void test_changing_a_weight_moves_about_the_difference(void **state)
{
	static __u16 before[MAX_SIZE], after[MAX_SIZE];
	struct maglev_backend backends[20];
	__u32 size;

	(void)state;
	make_backends(backends, 20);
	for (size_t i = 0; i < 20; i++)
		backends[i].weight = 10;
	size = maglev_size(backends, 20);
	build(backends, 20, before, size);
	for (__u32 weight = 8; weight <= 20; weight++) {
		double due, part;

		backends[7].weight = weight;
		assert_int_equal(maglev_size(backends, 20), size);
		build(backends, 20, after, size);
		due = (double)weight / (190 + weight) - 10.0 / 200;
		due = due < 0 ? -due : due;
		part = moved(before, after, size);
		print_message("one of 20 backends from weight 10 to %u: %.2f %% is due, %.2f %% moves\n", weight,
			      100 * due, 100 * part);
		assert_true(weight != 10 || part == 0);
		assert_true(part < due + 0.03);
	}
}

static void test_the_size_is_a_prime_that_gives_the_lightest_100_slots(void **state)
{
	static struct maglev_backend backends[MAX_COUNT];

	(void)state;
	make_backends(backends, MAX_COUNT);
	assert_int_equal(maglev_size(backends, 0), 0);
	assert_int_equal(maglev_size(backends, 1), 4099);
	assert_int_equal(maglev_size(backends, 40), 4099);
	assert_int_equal(maglev_size(backends, 41), 16411);
	assert_int_equal(maglev_size(backends, 164), 16411);
	assert_int_equal(maglev_size(backends, 165), 65537);
	assert_int_equal(maglev_size(backends, MAX_COUNT), 65537);

	backends[0].weight = 95;
	backends[1].weight = 5;
	assert_int_equal(maglev_size(backends, 2), 4099);
	backends[0].weight = 39;
	backends[1].weight = 1;
	assert_int_equal(maglev_size(backends, 2), 4099);
	backends[0].weight = 100;
	assert_int_equal(maglev_size(backends, 2), 16411);
	backends[0].weight = 1000;
	assert_int_equal(maglev_size(backends, 2), 65537);
}

static void test_what_cannot_be_built_is_refused_and_changes_nothing(void **state)
{
	static struct maglev_backend backends[5000];
	static __u16 slots[MAX_SIZE];

	(void)state;
	make_backends(backends, 5000);
	assert_int_equal(maglev_build(backends, 0, slots, 4099), -EINVAL);
	assert_int_equal(maglev_build(backends, 5000, slots, 4099), -EINVAL);
	assert_int_equal(maglev_build(backends, 3, slots, 0), -EINVAL);
	assert_int_equal(maglev_build(backends, 3, slots, 4096), -EINVAL);
	assert_int_equal(maglev_build(backends, 3, slots, 131101), -EINVAL);
	backends[1].weight = 0;
	assert_int_equal(maglev_build(backends, 3, slots, 4099), -EINVAL);
	backends[1].weight = CANARY_MAX_BACKEND_WEIGHT + 1;
	assert_int_equal(maglev_build(backends, 3, slots, 4099), -EINVAL);
	backends[1].weight = CANARY_MAX_BACKEND_WEIGHT;
	backends[2].value = 0;
	assert_int_equal(maglev_build(backends, 3, slots, 4099), -EINVAL);
	for (__u32 slot = 0; slot < MAX_SIZE; slot++)
		assert_int_equal(slots[slot], 0);
}

static double build_milliseconds(const struct maglev_backend *backends, size_t count, __u32 size)
{
	static __u16 slots[MAX_SIZE];
	double best = 1e9;

	for (int round = 0; round < 5; round++) {
		struct timespec start, end;
		double took;

		clock_gettime(CLOCK_MONOTONIC, &start);
		assert_int_equal(maglev_build(backends, count, slots, size), 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		took = (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6;
		best = took < best ? took : best;
	}
	return best;
}

/* The bound is 10 ms with -O2; sanitizers and busy machines need more. */
static void test_the_largest_ring_is_built_fast(void **state)
{
	static struct maglev_backend backends[MAX_COUNT];
	double equal, mixed, skewed;

	(void)state;
	make_backends(backends, MAX_COUNT);
	equal = build_milliseconds(backends, 1000, MAX_SIZE);
	for (size_t i = 0; i < 1000; i++)
		backends[i].weight = 1 + random_below(100);
	mixed = build_milliseconds(backends, 1000, MAX_SIZE);
	for (size_t i = 0; i < MAX_COUNT; i++)
		backends[i].weight = i % 100 ? 1 : CANARY_MAX_BACKEND_WEIGHT;
	skewed = build_milliseconds(backends, MAX_COUNT, MAX_SIZE);
	print_message(
		"65,537 slots, 1,000 backends: %.2f ms with equal weights, %.2f ms with 1..100, %.2f ms with 1 and "
		"1,000\n",
		equal, mixed, skewed);
	assert_true(equal < 200 && mixed < 200 && skewed < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_are_exact_for_two_backends_of_any_ratio),
		cmocka_unit_test(test_parts_are_exact_for_random_sets),
		cmocka_unit_test(test_a_share_below_one_slot_gets_one),
		cmocka_unit_test(test_one_backend_gets_every_slot),
		cmocka_unit_test(test_the_order_of_listing_is_of_no_matter),
		cmocka_unit_test(test_values_and_the_scale_of_weights_are_of_no_matter),
		cmocka_unit_test(test_the_ring_is_the_same_everywhere),
		cmocka_unit_test(test_ports_tell_backends_of_one_address_apart),
		cmocka_unit_test(test_removing_or_adding_one_moves_few_others),
		cmocka_unit_test(test_changing_a_weight_moves_about_the_difference),
		cmocka_unit_test(test_the_size_is_a_prime_that_gives_the_lightest_100_slots),
		cmocka_unit_test(test_what_cannot_be_built_is_refused_and_changes_nothing),
		cmocka_unit_test(test_the_largest_ring_is_built_fast),
	};

	return cmocka_run_group_tests_name("maglev", tests, NULL, NULL);
}
