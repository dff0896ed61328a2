/* SPDX-License-Identifier: Apache-2.0 */
/* What is due first: against a search through all, over changes of all kinds. */
#include "lib_model.h"

#include <stdlib.h>

#include "core/due.h"

#define ITEMS 300
#define STEPS 20000

static struct due items[ITEMS];
static bool in[ITEMS];

static __s64 first_of_all(void)
{
	__s64 first = DUE_NEVER;

	for (int i = 0; i < ITEMS; i++)
		if (in[i] && items[i].at < first)
			first = items[i].at;
	return first;
}

static void test_the_first_is_at_hand(void **state)
{
	struct due_heap heap = {};
	int count = 0;

	(void)state;
	assert_null(due_first(&heap));
	for (int step = 0; step < STEPS; step++) {
		int i = rand() % ITEMS;
		__s64 at = rand() % 1000; /* some at the same time */

		if (!in[i]) {
			items[i].at = at;
			assert_int_equal(due_add(&heap, &items[i]), 0);
		} else if (step % 3) {
			due_change(&heap, &items[i], at);
		} else {
			due_remove(&heap, &items[i]);
		}
		count += !in[i] - (in[i] && step % 3 == 0);
		in[i] = !in[i] || step % 3;
		assert_int_equal(heap.count, count);
		assert_int_equal(due_first(&heap) ? due_first(&heap)->at : DUE_NEVER, first_of_all());
	}
	assert_true(count > ITEMS / 4);
	for (__s64 last = 0; due_first(&heap); due_remove(&heap, due_first(&heap))) {
		assert_true(due_first(&heap)->at >= last);
		last = due_first(&heap)->at;
	}
	due_free(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_is_at_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
