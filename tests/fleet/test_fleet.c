/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of a fleet: what is promised holds in all of them, and each named defect makes some of them fail, so
 * that the histories are known to reach what it would break. See fleet.h.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "fleet/fleet.h"

#include <cmocka.h>

enum { HISTORIES = 500, MUTANT_HISTORIES = 1000, STEPS = 2000 };

static const char *const mutant_names[] = {
#define X(NAME, text) #NAME ": " text,
	FLEET_MUTANTS(X)
#undef X
};

static void add(struct fleet_result *sum, const struct fleet_result *result)
{
	sum->packets += result->packets;
	sum->moves += result->moves;
	sum->exposed += result->exposed;
	sum->broken += result->broken;
	sum->saved += result->saved;
	sum->commits += result->commits;
	sum->rollbacks += result->rollbacks;
	sum->settled += result->settled;
	sum->elections += result->elections;
	sum->returns += result->returns;
	sum->read_anew += result->read_anew;
	if (result->rollback_ms > sum->rollback_ms)
		sum->rollback_ms = result->rollback_ms;
	if (result->takeover_ms > sum->takeover_ms)
		sum->takeover_ms = result->takeover_ms;
}

static void print(const struct fleet_result *sum)
{
	print_message("%" PRIu64 " packets, %" PRIu64 " moves to other hosts; %" PRIu64
		      " flows were born exposed, of which %" PRIu64 " moves broke, and in gue %" PRIu64
		      " packets were saved by a second chance\n",
		      (uint64_t)sum->packets, (uint64_t)sum->moves, (uint64_t)sum->exposed, (uint64_t)sum->broken,
		      (uint64_t)sum->saved);
	print_message("%" PRIu64 " commits, %" PRIu64 " rollbacks, %" PRIu64 " windows closed, %" PRIu64
		      " elections, %" PRIu64 " times announced, %" PRIu64 " times all was read\n",
		      (uint64_t)sum->commits, (uint64_t)sum->rollbacks, (uint64_t)sum->settled,
		      (uint64_t)sum->elections, (uint64_t)sum->returns, (uint64_t)sum->read_anew);
	print_message("a rollback took %" PRId64 " ms at most, a new leader %" PRId64 " ms (lease: %d ms)\n",
		      (int64_t)sum->rollback_ms, (int64_t)sum->takeover_ms, LEASE_MS);
}

static void test_what_is_promised_holds(void **state)
{
	struct fleet_result result, sum = {};

	(void)state;
	for (unsigned seed = 1; seed <= HISTORIES; seed++) {
		const struct fleet_options options = {.seed = seed, .steps = STEPS};

		fleet_run(&options, &result);
		add(&sum, &result);
		if (result.violation[0])
			fail_msg("seed %u, step %u: %s", seed, result.step, result.violation);
	}
	print(&sum);
	assert_true(sum.commits > HISTORIES);
	assert_true(sum.rollbacks > HISTORIES / 2);
	assert_true(sum.settled > HISTORIES / 2);
	assert_true(sum.elections > 2 * HISTORIES);
	assert_true(sum.broken > 0);
	assert_true(sum.saved > sum.broken);
}

static void test_every_mutant_is_caught(void **state)
{
	struct fleet_result result;
	unsigned survivors = 0;

	(void)state;
	for (enum mutant mutant = MUTANT_NONE + 1; mutant < MUTANTS; mutant++) {
		struct fleet_options options = {.steps = STEPS, .mutant = mutant};

		do {
			options.seed++;
			fleet_run(&options, &result);
		} while (!result.violation[0] && options.seed < MUTANT_HISTORIES);
		survivors += !result.violation[0];
		print_message("%s: %s\n    %s\n", result.violation[0] ? "caught" : "survives", mutant_names[mutant],
			      result.violation);
	}
	assert_int_equal(survivors, 0);
}

static int make(void **state)
{
	(void)state;
	plane_init();
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	plane_exit();
	return 0;
}

/* With arguments, one history: test_fleet SEED MUTANT prints it. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_promised_holds),
		cmocka_unit_test(test_every_mutant_is_caught),
	};
	struct fleet_options options = {.steps = STEPS, .trace = true};
	struct fleet_result result;

	if (argc != 3)
		return cmocka_run_group_tests(tests, make, unmake);
	options.seed = strtoull(argv[1], NULL, 0);
	options.mutant = (enum mutant)strtoul(argv[2], NULL, 0);
	plane_init();
	fleet_run(&options, &result);
	plane_exit();
	print(&result);
	printf("step %u: %s\n", result.step, result.violation[0] ? result.violation : "what is promised held");
	return result.violation[0] != 0;
}
