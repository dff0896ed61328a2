/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pure choice: its shares, that it is monotone in the weight, and that bucket and slot know nothing of each other.
 * All keys and flows come from fixed seeds, so a test that passes once passes always.
 */
#include <arpa/inet.h>
#include <linux/types.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "canary/select.h"

enum { FLOWS = 200000 };

static __u64 random_state;

static __u64 next_random(void)
{
	return canary_mix64(random_state += 0x9e3779b97f4a7c15ULL);
}

static struct canary_keys make_keys(__u64 seed)
{
	struct canary_keys keys;

	random_state = seed << 32;
	for (unsigned i = 0; i < 12; i++)
		keys.flow[i] = next_random();
	for (unsigned i = 0; i < 4; i++)
		keys.client[i] = next_random();
	keys.slot = next_random();
	return keys;
}

/* The kinds of flows that a hash must spread: the regular ones are what real clients and load generators make. */
enum kind { SEQUENTIAL_PORTS, SEQUENTIAL_CLIENTS, SEQUENTIAL_CLIENTS6, CLIENT_NETS6, RANDOM4, RANDOM6, KINDS };

static struct canary_addr v4(__u32 host_order)
{
	return (struct canary_addr){{0, 0, htonl(0xffff), htonl(host_order)}};
}

static struct canary_tuple make_flow(enum kind kind, unsigned i)
{
	struct canary_tuple tuple = {.proto = IPPROTO_TCP, .port = htons(443)};
	bool v6 = kind == SEQUENTIAL_CLIENTS6 || kind == CLIENT_NETS6 || kind == RANDOM6;

	tuple.service = v4(0xcb00710a);
	if (v6)
		tuple.service = (struct canary_addr){{htonl(0x20010db8), 0, 0, htonl(0x10)}};
	tuple.client = (struct canary_addr){{htonl(0x20010db8), 0, 0, htonl(i)}};
	tuple.client_port = htons(40000);
	switch (kind) {
	case SEQUENTIAL_PORTS: /* four addresses with 50,000 ports each */
		tuple.client = v4(0xc6336400 + i / 50000);
		tuple.client_port = htons(10000 + i % 50000);
		break;
	case SEQUENTIAL_CLIENTS:
		tuple.client = v4(0x0a000000 + i);
		break;
	case CLIENT_NETS6: /* one address of each /64 */
		tuple.client = (struct canary_addr){{htonl(0x20010db8), htonl(i), 0, htonl(1)}};
		break;
	case RANDOM4:
		tuple.client = v4(next_random());
		tuple.client_port = next_random();
		break;
	case RANDOM6:
		for (unsigned word = 0; word < 4; word++)
			tuple.client.word[word] = next_random();
		tuple.client_port = next_random();
		break;
	default:
		break;
	}
	return tuple;
}

static struct canary_hashes hash_flow(const struct canary_keys *keys, enum kind kind, unsigned i)
{
	struct canary_tuple tuple = make_flow(kind, i);

	return canary_hashes(keys, &tuple, CANARY_AFFINITY_FLOW, 0);
}

/* Two cohorts with a ring each, at different places of the arena. */
static struct canary_config make_config(__u32 threshold)
{
	return (struct canary_config){
		.salt = 0x5eed,
		.threshold = threshold,
		.ring = {{.base = 100, .size = 4099}, {.base = 5000, .size = 65537}},
	};
}

static void test_shares_are_within_three_sigma(void **state)
{
	static const __u32 thresholds[] = {66, 655, 3277, 16384, 32768, 49152, 64880};

	(void)state;
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct canary_keys keys = make_keys(kind + 1);

		for (unsigned t = 0; t < sizeof(thresholds) / sizeof(*thresholds); t++) {
			struct canary_config config = make_config(thresholds[t]);
			double share = thresholds[t] / 65536.0, sigma = sqrt(FLOWS * share * (1 - share));
			unsigned canary = 0;

			config.salt = next_random();
			for (unsigned i = 0; i < FLOWS; i++) {
				struct canary_hashes hashes = hash_flow(&keys, kind, i);

				canary += canary_choose(&config, &hashes, -1, 0).cohort == CANARY_CANARY;
			}
			if (fabs(canary - FLOWS * share) > 3 * sigma)
				fail_msg("kind %d at %u: %u flows of %d, not %.0f +- %.0f", kind, thresholds[t], canary,
					 FLOWS, FLOWS * share, 3 * sigma);
		}
	}
}

static void test_none_and_all(void **state)
{
	struct canary_config none = make_config(0), all = make_config(CANARY_THRESHOLD_ONE);
	struct canary_keys keys = make_keys(7);

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct canary_hashes hashes = hash_flow(&keys, RANDOM4, i);

		assert_int_equal(canary_choose(&none, &hashes, -1, 0).cohort, CANARY_STABLE);
		assert_int_equal(canary_choose(&all, &hashes, -1, 0).cohort, CANARY_CANARY);
	}
}

/* So lowering the weight is the exact inverse; and who stays in a cohort stays on its backend. */
static void test_a_higher_weight_only_moves_flows_to_the_canary(void **state)
{
	static const __u32 thresholds[] = {0, 66, 3277, 16384, 32768, 62259, 65536};
	struct canary_keys keys = make_keys(11);

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct canary_hashes hashes = hash_flow(&keys, SEQUENTIAL_PORTS, i);
		struct canary_choice before = {};

		for (unsigned t = 0; t < sizeof(thresholds) / sizeof(*thresholds); t++) {
			struct canary_config config = make_config(thresholds[t]);
			struct canary_choice now = canary_choose(&config, &hashes, -1, 0);

			if (t) {
				assert_true(now.cohort >= before.cohort);
				if (now.cohort == before.cohort)
					assert_int_equal(now.word, before.word);
			}
			before = now;
		}
	}
}

/* Chi-square of a 16 x 16 table, against equal cells. 255 degrees of freedom: below 340 with probability 0.9996. */
static void check_table(const unsigned table[16][16], const char *what, enum kind kind)
{
	double expected = FLOWS / 256.0, sum = 0;

	for (unsigned row = 0; row < 16; row++) {
		for (unsigned column = 0; column < 16; column++)
			sum += pow(table[row][column] - expected, 2) / expected;
	}
	if (sum > 340 || sum < 175)
		fail_msg("kind %d, %s: chi-square %.1f", kind, what, sum);
}

static void test_bucket_and_slot_are_independent(void **state)
{
	(void)state;
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct canary_keys keys = make_keys(100 + kind);
		unsigned high[16][16] = {}, low[16][16] = {}, ring[16][16] = {};
		__u64 salt = next_random();

		for (unsigned i = 0; i < FLOWS; i++) {
			struct canary_hashes hashes = hash_flow(&keys, kind, i);
			__u32 bucket = canary_bucket(&hashes, salt);

			assert_true(bucket < CANARY_THRESHOLD_ONE);
			high[bucket >> 12][hashes.slot >> 60]++;
			low[bucket & 15][hashes.slot >> 32 & 15]++;
			ring[bucket >> 12][canary_slot(&hashes, 4099) * 16 / 4099]++;
		}
		check_table(high, "high bits", kind);
		check_table(low, "low bits", kind);
		check_table(ring, "place in the ring", kind);
	}
}

static void test_another_salt_draws_buckets_anew_and_leaves_slots(void **state)
{
	(void)state;
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct canary_keys keys = make_keys(200 + kind);
		unsigned table[16][16] = {};
		__u64 salt = next_random();

		for (unsigned i = 0; i < FLOWS; i++) {
			struct canary_hashes hashes = hash_flow(&keys, kind, i);
			/* Salts as close as can be must be as different as any. */
			__u32 before = canary_bucket(&hashes, salt), after = canary_bucket(&hashes, salt + 1);
			struct canary_config one = make_config(0), other = make_config(0);

			table[before >> 12][after >> 12]++;
			other.salt = salt;
			assert_int_equal(canary_choose(&one, &hashes, -1, 0).slot,
					 canary_choose(&other, &hashes, -1, 0).slot);
		}
		check_table(table, "buckets by two salts", kind);
	}
}

static void test_the_key_decides(void **state)
{
	struct canary_keys keys = make_keys(300), others = make_keys(301);
	unsigned buckets[16][16] = {}, slots[16][16] = {};

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct canary_hashes one = hash_flow(&keys, SEQUENTIAL_PORTS, i);
		struct canary_hashes other = hash_flow(&others, SEQUENTIAL_PORTS, i);

		buckets[canary_bucket(&one, 1) >> 12][canary_bucket(&other, 1) >> 12]++;
		slots[one.slot >> 60][other.slot >> 60]++;
	}
	check_table(buckets, "buckets by two keys", SEQUENTIAL_PORTS);
	check_table(slots, "slots by two keys", SEQUENTIAL_PORTS);
}

static void test_the_slots_key_is_its_own(void **state)
{
	struct canary_keys keys = make_keys(302), others = keys;
	unsigned slots[16][16] = {};

	(void)state;
	others.slot++;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct canary_hashes one = hash_flow(&keys, SEQUENTIAL_PORTS, i);
		struct canary_hashes other = hash_flow(&others, SEQUENTIAL_PORTS, i);

		assert_int_equal(canary_bucket(&one, 1), canary_bucket(&other, 1));
		slots[one.slot >> 60][other.slot >> 60]++;
	}
	check_table(slots, "slots by two keys of their own", SEQUENTIAL_PORTS);
}

static void test_affinity_client(void **state)
{
	struct canary_keys keys = make_keys(400);
	struct canary_tuple tuple = make_flow(SEQUENTIAL_PORTS, 0);
	struct canary_hashes first = canary_hashes(&keys, &tuple, CANARY_AFFINITY_CLIENT, 0);
	struct canary_hashes any = canary_hashes(&keys, &tuple, CANARY_AFFINITY_CLIENT, 1);
	unsigned same_slot = 0;

	(void)state;
	for (unsigned i = 1; i < 50000; i++) {
		struct canary_hashes hashes;

		tuple = make_flow(SEQUENTIAL_PORTS, i);
		tuple.port = htons(i);
		hashes = canary_hashes(&keys, &tuple, CANARY_AFFINITY_CLIENT, 0);
		assert_int_equal(canary_bucket(&hashes, 1), canary_bucket(&first, 1));
		same_slot += canary_slot(&hashes, 4099) == canary_slot(&first, 4099);
		hashes = canary_hashes(&keys, &tuple, CANARY_AFFINITY_CLIENT, 1);
		assert_int_equal(hashes.bucket, any.bucket);
		assert_int_equal(hashes.slot, any.slot);
	}
	/* With one port, a client's flows still spread over the cohort's backends: 50,000 / 4,099 meet by chance. */
	assert_in_range(same_slot, 1, 40);
}

/* The clients of one affinity are as well spread as flows are, cohort and slot. */
static void test_affinity_client_spreads_clients(void **state)
{
	(void)state;
	for (int any_port = 0; any_port < 2; any_port++) {
		struct canary_keys keys = make_keys(500 + any_port);
		unsigned table[16][16] = {};

		for (unsigned i = 0; i < FLOWS; i++) {
			struct canary_tuple tuple = make_flow(SEQUENTIAL_CLIENTS, i);
			struct canary_hashes hashes = canary_hashes(&keys, &tuple, CANARY_AFFINITY_CLIENT, any_port);

			table[canary_bucket(&hashes, 1) >> 12][hashes.slot >> 60]++;
		}
		check_table(table, any_port ? "clients, any port" : "clients", SEQUENTIAL_CLIENTS);
	}
}

static void test_a_slot_is_in_the_ring(void **state)
{
	static const __u32 sizes[] = {1, 2, 4099, 65537};
	struct canary_hashes hashes = {};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		hashes.slot = 0;
		assert_int_equal(canary_slot(&hashes, sizes[i]), 0);
		hashes.slot = ~0ULL;
		assert_int_equal(canary_slot(&hashes, sizes[i]), sizes[i] - 1);
	}
}

static void test_a_ring_is_read_four_slots_a_word(void **state)
{
	struct canary_ring ring = {.base = 10, .size = 4099};
	__u64 word = 0x0004000300020001ULL;

	(void)state;
	for (__u32 slot = 0; slot < 8; slot++) {
		assert_int_equal(canary_ring_word(&ring, slot), 10 + slot / 4);
		assert_int_equal(canary_ring_backend(word, slot), slot % 4 + 1);
	}
}

static void test_segments_decide_before_the_weight(void **state)
{
	struct canary_config none = make_config(0), all = make_config(CANARY_THRESHOLD_ONE);
	struct canary_keys keys = make_keys(600);
	struct canary_hashes hashes = hash_flow(&keys, RANDOM4, 0);
	struct canary_choice choice = canary_choose(&none, &hashes, CANARY_CANARY, 0);

	(void)state;
	assert_int_equal(choice.cohort, CANARY_CANARY);
	assert_int_equal(choice.why, CANARY_WHY_SEGMENT);
	assert_in_range(choice.word, 5000, 5000 + 65537 / 4);
	choice = canary_choose(&all, &hashes, CANARY_STABLE, 0);
	assert_int_equal(choice.cohort, CANARY_STABLE);
	assert_in_range(choice.word, 100, 100 + 4099 / 4);
	assert_int_equal(canary_choose(&all, &hashes, -1, 0).why, CANARY_WHY_WEIGHT);
}

static void test_overflow(void **state)
{
	struct canary_config config = make_config(CANARY_THRESHOLD_ONE);
	struct canary_keys keys = make_keys(700);
	struct canary_hashes hashes = hash_flow(&keys, RANDOM4, 0);
	struct canary_choice choice;

	(void)state;
	config.ring[CANARY_CANARY] = (struct canary_ring){};
	choice = canary_choose(&config, &hashes, -1, 0);
	assert_int_equal(choice.wanted, CANARY_CANARY);
	assert_int_equal(choice.cohort, CANARY_STABLE);
	assert_in_range(choice.word, 100, 100 + 4099 / 4);

	config.overflow = CANARY_OVERFLOW_DROP;
	choice = canary_choose(&config, &hashes, -1, 0);
	assert_int_equal(choice.wanted, CANARY_CANARY);
	assert_int_equal(choice.cohort, CANARY_CANARY);
	assert_int_equal(choice.word, 0);

	config.overflow = CANARY_OVERFLOW_OTHER;
	config.ring[CANARY_STABLE] = (struct canary_ring){};
	assert_int_equal(canary_choose(&config, &hashes, -1, 0).word, 0);
	assert_int_equal(canary_choose(&config, &hashes, CANARY_STABLE, 0).word, 0);

	config = make_config(0);
	config.ring[CANARY_STABLE] = (struct canary_ring){};
	choice = canary_choose(&config, &hashes, -1, 0);
	assert_int_equal(choice.wanted, CANARY_STABLE);
	assert_int_equal(choice.cohort, CANARY_CANARY);
	assert_true(choice.word >= 5000);
}

static void test_the_state_word(void **state)
{
	__u64 word = 12345ULL << CANARY_WORD_EPOCH_SHIFT | CANARY_WORD_OPEN | 5 << CANARY_WORD_OLDEST_SHIFT | 3;

	(void)state;
	assert_int_equal(canary_word_now(word), 3);
	assert_int_equal(canary_word_oldest(word), 5);
	assert_int_equal(canary_word_epoch(word), 12345);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shares_are_within_three_sigma),
		cmocka_unit_test(test_none_and_all),
		cmocka_unit_test(test_a_higher_weight_only_moves_flows_to_the_canary),
		cmocka_unit_test(test_bucket_and_slot_are_independent),
		cmocka_unit_test(test_another_salt_draws_buckets_anew_and_leaves_slots),
		cmocka_unit_test(test_the_key_decides),
		cmocka_unit_test(test_the_slots_key_is_its_own),
		cmocka_unit_test(test_affinity_client),
		cmocka_unit_test(test_affinity_client_spreads_clients),
		cmocka_unit_test(test_a_slot_is_in_the_ring),
		cmocka_unit_test(test_a_ring_is_read_four_slots_a_word),
		cmocka_unit_test(test_segments_decide_before_the_weight),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_the_state_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
