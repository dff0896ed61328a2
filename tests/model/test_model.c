/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories through the code that the kernel runs: the invariant holds in all of them, and each named defect makes
 * some of them fail, so that the histories are known to reach what it would break. See model.h.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "model/world.h"

static const char *const mutant_names[] = {
#define X(NAME, text) #NAME ": " text,
	MUTANT_LIST(X)
#undef X
};

/* Kinds of histories: how many flows, of which services. */
static const struct model_options kinds[] = {
	{.steps = 1000, .flows = 40},
	{.steps = 1000, .flows = 40, .focus = WORLD_TCP},
	{.steps = 1000, .flows = 40, .focus = WORLD_NAT},
	{.steps = 1000, .flows = 300},
	{.steps = 1000, .flows = 500, .focus = WORLD_TCP}, /* more than the table holds */
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), HISTORIES = 3000, MUTANT_HISTORIES = 10000 };

static struct model_options options_of(unsigned history, enum mutant mutant)
{
	struct model_options options = kinds[history % KINDS];

	options.seed = history + 1;
	options.mutant = mutant;
	return options;
}

static void add(struct model_result *sum, const struct model_result *result)
{
	sum->operations += result->operations;
	sum->packets += result->packets;
	sum->moved += result->moved;
	sum->given_up += result->given_up;
	sum->outcomes += result->outcomes;
	sum->tripped += result->tripped;
	sum->expired += result->expired;
	sum->late += result->late;
}

static void test_invariants_hold(void **state)
{
	struct model_result result, sum = {};

	(void)state;
	for (unsigned i = 0; i < HISTORIES; i++) {
		struct model_options options = options_of(i, MUTANT_NONE);

		model_run(&options, &result);
		add(&sum, &result);
		if (result.violation[0])
			fail_msg("history %u, step %u: %s", i, result.step, result.violation);
	}
	print_message("%u histories, %" PRIu64 " operations, %" PRIu64 " packets: %" PRIu64
		      " flows of retired backends moved, %" PRIu64 " were lost for want of room\n",
		      HISTORIES, (uint64_t)sum.operations, (uint64_t)sum.packets, (uint64_t)sum.moved,
		      (uint64_t)sum.given_up);
	print_message("%" PRIu64 " outcomes of watched flows, %" PRIu64 " trips of the breaker by them, %" PRIu64
		      " leases expired, %" PRIu64 " changes that the kernel came before\n",
		      (uint64_t)sum.outcomes, (uint64_t)sum.tripped, (uint64_t)sum.expired, (uint64_t)sum.late);
	assert_true(sum.operations >= 100000);
	assert_true(sum.moved > 0);
	assert_true(sum.tripped > 0);
	assert_true(sum.expired > 0);
	assert_int_equal(sum.late, 0); /* the kernel's own stops fail no command */
}

static void test_every_mutant_is_caught(void **state)
{
	struct model_result result;
	unsigned survivors = 0;

	(void)state;
	for (enum mutant mutant = MUTANT_NONE + 1; mutant < MUTANTS; mutant++) {
		unsigned history = 0;

		do {
			struct model_options options = options_of(history, mutant);

			model_run(&options, &result);
		} while (!result.violation[0] && ++history < MUTANT_HISTORIES);
		if (result.violation[0]) {
			print_message("caught in history %u: %s\n    %s\n", history, mutant_names[mutant],
				      result.violation);
			continue;
		}
		survivors++;
		print_message("survives: %s\n", mutant_names[mutant]);
	}
	assert_int_equal(survivors, 0);
}

static int make(void **state)
{
	(void)state;
	datapath_init();
	return 0;
}

static int unmake(void **state)
{
	(void)state;
	datapath_exit();
	return 0;
}

/* With arguments, one history: test_model FLOWS FOCUS SEED MUTANT STEPS prints it. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invariants_hold),
		cmocka_unit_test(test_every_mutant_is_caught),
	};
	struct model_options options = {.trace = true};
	struct model_result result;

	if (argc != 6)
		return cmocka_run_group_tests(tests, make, unmake);
	options.flows = strtoul(argv[1], NULL, 0);
	options.focus = strtoul(argv[2], NULL, 0);
	options.seed = strtoull(argv[3], NULL, 0);
	options.mutant = strtoul(argv[4], NULL, 0);
	options.steps = strtoul(argv[5], NULL, 0);
	datapath_init();
	model_run(&options, &result);
	datapath_exit();
	printf("%s\n", result.violation[0] ? result.violation : "the invariants held");
	return result.violation[0] != 0;
}
