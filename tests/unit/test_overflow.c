/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/overflow.h"

/* How many backends of each cohort take flows, and how many drain. */
struct backends {
	int stable, canary, draining_canary;
};

static struct service_model *service_with(struct model *model, const struct backends *backends, int weight)
{
	struct service_model *service = model_add_service(model);

	assert_non_null(service);
	service->weight = weight;
	for (int i = 0; i < backends->stable + backends->canary + backends->draining_canary; i++) {
		struct backend_model *backend = service_add_backend(service);

		assert_non_null(backend);
		backend->cohort = i < backends->stable ? CANARY_STABLE : CANARY_CANARY;
		backend->draining = i >= backends->stable + backends->canary;
	}
	return service;
}

static void overflows(const struct service_model *service, enum canary_cohort cohort, int share, bool dropped)
{
	struct overflow overflow;

	assert_true(service_overflows(service, cohort, &overflow));
	assert_int_equal(overflow.share, share);
	assert_int_equal(overflow.dropped, dropped);
}

static void does_not(const struct service_model *service, enum canary_cohort cohort)
{
	struct overflow overflow = {.share = -1};

	assert_false(service_overflows(service, cohort, &overflow));
	assert_int_equal(overflow.share, -1);
}

static void a_cohort_overflows_with_a_share_and_without_a_backend(void **state)
{
	static const struct backends both = {1, 1, 0}, no_canary = {1, 0, 2}, no_stable = {0, 1, 0}, none = {0, 0, 1};
	struct model model = {};

	(void)state;
	for (int weight = 0; weight <= CANARY_WEIGHT_ONE; weight += 2500) {
		does_not(service_with(&model, &both, weight), CANARY_STABLE);
		does_not(service_with(&model, &both, weight), CANARY_CANARY);
	}
	overflows(service_with(&model, &no_canary, 500), CANARY_CANARY, 500, false);
	does_not(service_with(&model, &no_canary, 500), CANARY_STABLE);
	does_not(service_with(&model, &no_canary, 0), CANARY_CANARY);
	overflows(service_with(&model, &no_stable, 500), CANARY_STABLE, 9500, false);
	does_not(service_with(&model, &no_stable, CANARY_WEIGHT_ONE), CANARY_STABLE);
	overflows(service_with(&model, &none, 500), CANARY_STABLE, 9500, true);
	overflows(service_with(&model, &none, 500), CANARY_CANARY, 500, true);
	model_free(&model);
}

static void where_it_goes_is_the_services(void **state)
{
	static const struct backends no_canary = {1, 0, 0};
	struct model model = {};
	struct service_model *service = service_with(&model, &no_canary, 500);

	(void)state;
	service->overflow = CANARY_OVERFLOW_DROP;
	overflows(service, CANARY_CANARY, 500, true);
	model_free(&model);
}

static void a_segment_is_a_share_as_well(void **state)
{
	static const struct backends no_canary = {1, 0, 0};
	struct model model = {};
	struct service_model *service = service_with(&model, &no_canary, 0);
	struct segment_model *segment = service_add_segment(service);

	(void)state;
	assert_non_null(segment);
	segment->cohort = CANARY_STABLE;
	does_not(service, CANARY_CANARY);
	segment->cohort = CANARY_CANARY;
	overflows(service, CANARY_CANARY, 0, false);
	model_free(&model);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cohort_overflows_with_a_share_and_without_a_backend),
		cmocka_unit_test(where_it_goes_is_the_services),
		cmocka_unit_test(a_segment_is_a_share_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
