/* SPDX-License-Identifier: Apache-2.0 */
/* Which cohort a user was in who names no connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/attribution.h"

enum { NOBODY, STABLE = 1U << CANARY_STABLE, CANARY = 1U << CANARY_CANARY, BOTH = STABLE | CANARY };
enum { ALL = true, SOME = false };

static void is_in(enum canary_cohort cohort, struct whereabouts whereabouts)
{
	enum canary_cohort got = CANARY_COHORTS;

	assert_int_equal(attribute(&whereabouts, &got), ATTRIBUTION_KNOWN);
	assert_int_equal(got, cohort);
}

static void is_unknown(enum attribution why, struct whereabouts whereabouts)
{
	enum canary_cohort got = CANARY_COHORTS;

	assert_int_equal(attribute(&whereabouts, &got), why);
	assert_int_equal(got, CANARY_COHORTS);
	assert_true(attribution_text(why)[0]);
}

static void test_connections_that_agree_tell(void **state)
{
	(void)state;
	is_in(CANARY_STABLE, (struct whereabouts){STABLE, ALL, false, CANARY_CANARY});
	is_in(CANARY_CANARY, (struct whereabouts){CANARY, ALL, false, CANARY_STABLE});
	is_unknown(ATTRIBUTION_BOTH, (struct whereabouts){BOTH, ALL, false, CANARY_STABLE});
	is_unknown(ATTRIBUTION_NONE, (struct whereabouts){NOBODY, ALL, false, CANARY_STABLE});
}

static void test_where_some_are_not_remembered_agreement_tells_nothing(void **state)
{
	(void)state;
	is_unknown(ATTRIBUTION_UNREMEMBERED, (struct whereabouts){STABLE, SOME, false, CANARY_STABLE});
	is_unknown(ATTRIBUTION_UNREMEMBERED, (struct whereabouts){CANARY, SOME, false, CANARY_STABLE});
	is_unknown(ATTRIBUTION_UNREMEMBERED, (struct whereabouts){NOBODY, SOME, false, CANARY_STABLE});
}

static void test_a_weight_that_leaves_one_cohort_tells_unless_an_older_connection_says_otherwise(void **state)
{
	(void)state;
	is_in(CANARY_CANARY, (struct whereabouts){NOBODY, ALL, true, CANARY_CANARY});
	is_in(CANARY_STABLE, (struct whereabouts){NOBODY, SOME, true, CANARY_STABLE});
	is_in(CANARY_STABLE, (struct whereabouts){STABLE, SOME, true, CANARY_STABLE});
	/* The only connection that it has is an older one. */
	is_in(CANARY_STABLE, (struct whereabouts){STABLE, ALL, true, CANARY_CANARY});
	/* ... or it may have others. */
	is_unknown(ATTRIBUTION_BOTH, (struct whereabouts){STABLE, SOME, true, CANARY_CANARY});
	is_unknown(ATTRIBUTION_BOTH, (struct whereabouts){BOTH, ALL, true, CANARY_CANARY});
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections_that_agree_tell),
		cmocka_unit_test(test_where_some_are_not_remembered_agreement_tells_nothing),
		cmocka_unit_test(test_a_weight_that_leaves_one_cohort_tells_unless_an_older_connection_says_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
