/* SPDX-License-Identifier: Apache-2.0 */
/* Up, down, held: what a row of results makes of a backend. */
#include "core/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/maglev.h"

#define SECOND 1000

static struct health_settings settings;
static struct health health;
static __s64 now;

static int reset(void **state)
{
	(void)state;
	settings = (struct health_settings){.rise = 2, .fall = 3, .half_life = 60000, .max_hold = 300000};
	now = 1000000;
	health = health_new(true, now);
	return 0;
}

/* "++-": good, good, bad, a second apart. The states that follow, a letter each: u, d, h. */
static void assert_states(const char *results, const char *wanted)
{
	char states[256] = "";

	for (size_t i = 0; results[i]; i++) {
		enum health_state before = health.state;
		bool changed;

		now += SECOND;
		changed = health_result(&health, &settings, now, results[i] == '+');
		assert_int_equal(changed, health.state != before);
		states[i] = *health_state_name(health.state);
	}
	assert_string_equal(states, wanted);
}

static void test_rise_and_fall_are_counted_in_a_row(void **state)
{
	(void)state;
	assert_states("+--+--+---", "uuuuuuuuud");
	assert_states("+-+-++", "dddddu");
	settings.rise = settings.fall = 1;
	assert_states("-+-", "dud");
}

static void test_it_begins_as_it_was_found(void **state)
{
	(void)state;
	settings.slow_start = 20 * SECOND;
	assert_int_equal(health_quarters(&health, &settings, now), HEALTH_QUARTERS);
	health = health_new(false, now);
	assert_int_equal(health_quarters(&health, &settings, now), 0);
	assert_int_equal(health_next(&health, &settings, now), -1);
	assert_states("++", "du");
	assert_int_equal(health_quarters(&health, &settings, now), 1);
}

static void test_one_that_flaps_is_held_and_let_in_when_it_has_been_quiet(void **state)
{
	__s64 wait, quiet_since;

	(void)state;
	assert_states("---++---++", "uudduuuddu");
	assert_states("---++", "uuddh");
	quiet_since = now;
	assert_int_equal(health_quarters(&health, &settings, now), 0);
	assert_false(health_tick(&health, &settings, now));
	wait = health_next(&health, &settings, now);
	/* Some 2.9 down to 0.75: two half-lives. */
	assert_true(wait > 100 * SECOND && wait < 125 * SECOND);
	assert_false(health_tick(&health, &settings, now + wait - 10));
	now += wait;
	assert_true(health_tick(&health, &settings, now));
	assert_int_equal(health.state, HEALTH_UP);
	assert_true(now - quiet_since < settings.max_hold);
	/* It is forgotten in the end. */
	now += 1800 * SECOND;
	assert_states("---++", "uuddu");
}

static void test_one_that_fails_while_it_is_held_goes_down(void **state)
{
	(void)state;
	assert_states("---++---++---++", "uudduuudduuuddh");
	assert_states("--+", "hhh");
	assert_states("---", "hhd");
	assert_states("++", "dh");
}

static void test_nothing_is_held_longer_than_the_bound(void **state)
{
	__s64 down_at = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		for (int j = 0; j < 3; j++)
			health_result(&health, &settings, ++now, false);
		down_at = now;
		for (int j = 0; j < 2; j++)
			health_result(&health, &settings, ++now, true);
	}
	assert_int_equal(health.state, HEALTH_HELD);
	assert_true(health_next(&health, &settings, now) <= down_at + settings.max_hold - now + 1);
	assert_true(health_next(&health, &settings, now) > (__s64)settings.max_hold - 10 * SECOND);
	assert_true(health_tick(&health, &settings, down_at + settings.max_hold + 1));
}

static void test_without_damping_nothing_is_held(void **state)
{
	(void)state;
	settings.half_life = 0;
	for (int i = 0; i < 50; i++)
		assert_states("---++", "uuddu");
}

static void test_slow_start_is_in_quarters(void **state)
{
	__s64 begun;

	(void)state;

	settings.slow_start = 9 * SECOND;
	assert_states("---++", "uuddu");
	begun = now;
	for (unsigned quarter = 1; quarter <= HEALTH_QUARTERS; quarter++) {
		__s64 wait = health_next(&health, &settings, now);

		assert_int_equal(health_quarters(&health, &settings, now), quarter);
		if (quarter == HEALTH_QUARTERS) {
			assert_int_equal(wait, -1);
			assert_int_equal(now - begun, settings.slow_start);
			break;
		}
		assert_int_equal(wait, 3000);
		assert_int_equal(health_quarters(&health, &settings, now + wait - 1), quarter);
		now += wait;
	}
}

/* A million random results: never up without `rise` good ones in a row, never down without `fall` bad ones. */
static void test_a_random_walk_breaks_no_rule(void **state)
{
	unsigned good_row = 0, bad_row = 0, changes = 0;

	(void)state;
	settings.slow_start = 3 * SECOND;
	srand(7);
	for (int i = 0; i < 1000000; i++) {
		enum health_state before = health.state;
		bool good = rand() % 10 < (i / 1000 % 2 ? 3 : 8);

		now += rand() % 3000;
		good_row = good ? good_row + 1 : 0;
		bad_row = good ? 0 : bad_row + 1;
		health_result(&health, &settings, now, good);
		if (health.state != before)
			changes++;
		if (before == HEALTH_DOWN && health.state != HEALTH_DOWN)
			assert_true(good_row >= settings.rise);
		if (before != HEALTH_DOWN && health.state == HEALTH_DOWN)
			assert_true(bad_row >= settings.fall);
		if (before == HEALTH_UP)
			assert_int_not_equal(health.state, HEALTH_HELD);
		assert_int_equal(health_quarters(&health, &settings, now) > 0, health.state == HEALTH_UP);
		assert_true(health_quarters(&health, &settings, now) <= HEALTH_QUARTERS);
	}
	assert_true(changes > 1000);
}

static void assert_weights(const unsigned *weights, const unsigned *quarters, size_t count, const unsigned *wanted)
{
	unsigned got[16];

	health_weights(weights, quarters, count, got);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(got[i], wanted[i]);
}

static void test_weights_follow_the_shares(void **state)
{
	static const unsigned weights[] = {1, 2, 3}, large[] = {1000, 1, 500};

	(void)state;
	assert_weights(weights, (unsigned[]){4, 4, 4}, 3, weights);
	assert_weights(weights, (unsigned[]){4, 0, 4}, 3, (unsigned[]){1, 0, 3});
	assert_weights(weights, (unsigned[]){4, 2, 1}, 3, (unsigned[]){4, 4, 3});
	assert_weights(weights, (unsigned[]){0, 0, 1}, 3, (unsigned[]){0, 0, 3});
	assert_weights(weights, (unsigned[]){0, 0, 0}, 3, (unsigned[]){0, 0, 0});
	assert_weights(large, (unsigned[]){4, 0, 2}, 3, (unsigned[]){1000, 0, 250});
}

static void test_a_slow_start_never_changes_the_rings_size(void **state)
{
	unsigned weights[60], quarters[60], got[60];

	(void)state;
	for (size_t count = 1; count <= 60; count++) {
		struct maglev_backend full[60] = {}, slow[60] = {};

		for (unsigned quarter = 1; quarter <= 4; quarter++) {
			for (size_t i = 0; i < count; i++) {
				weights[i] = 1;
				quarters[i] = i ? 4 : quarter;
			}
			health_weights(weights, quarters, count, got);
			for (size_t i = 0; i < count; i++) {
				full[i].weight = weights[i];
				slow[i].weight = got[i];
			}
			assert_int_equal(maglev_size(full, count), maglev_size(slow, count));
			if (count > 1 && count <= 10)
				assert_int_equal(got[0] * 4, got[1] * quarter);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_rise_and_fall_are_counted_in_a_row, reset),
		cmocka_unit_test_setup(test_it_begins_as_it_was_found, reset),
		cmocka_unit_test_setup(test_one_that_flaps_is_held_and_let_in_when_it_has_been_quiet, reset),
		cmocka_unit_test_setup(test_one_that_fails_while_it_is_held_goes_down, reset),
		cmocka_unit_test_setup(test_nothing_is_held_longer_than_the_bound, reset),
		cmocka_unit_test_setup(test_without_damping_nothing_is_held, reset),
		cmocka_unit_test_setup(test_slow_start_is_in_quarters, reset),
		cmocka_unit_test_setup(test_a_random_walk_breaks_no_rule, reset),
		cmocka_unit_test_setup(test_weights_follow_the_shares, reset),
		cmocka_unit_test_setup(test_a_slow_start_never_changes_the_rings_size, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
