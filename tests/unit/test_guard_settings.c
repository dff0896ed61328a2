/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan says of the kernel's guards, put in force and taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/guard_settings.h"

#define BIT(member) (1U << GUARD_SETTING_##member)

static void test_what_is_not_given_stays(void **state)
{
	const struct guard_settings settings = {
		.given = BIT(breaker) | BIT(lease_default), .breaker_ratio = 200, .lease_default = 30};
	struct service_model service = service_defaults();

	(void)state;
	assert_false(guard_settings_hold(&settings, &service));
	guard_settings_apply(&settings, &service);
	assert_true(guard_settings_hold(&settings, &service));
	assert_false(service.breaker);
	assert_int_equal(service.breaker_ratio, BREAKER_RATIO);
	assert_int_equal(service.breaker_arl, BREAKER_ARL);
	assert_int_equal(service.lease_default, 30);
	assert_int_equal(service.on_expiry, CANARY_EXPIRY_STABLE);
}

static void test_what_was_before_comes_back(void **state)
{
	const struct guard_settings settings = {.given = ~0U,
						.breaker_ratio = 200,
						.breaker_arl = 5000,
						.lease_default = 30,
						.on_expiry = CANARY_EXPIRY_HOLD};
	struct service_model service = service_defaults();
	const struct guard_settings before = guard_settings_of(&service, settings.given);

	(void)state;
	guard_settings_apply(&settings, &service);
	assert_int_equal(service.breaker_arl, 5000);
	assert_int_equal(service.on_expiry, CANARY_EXPIRY_HOLD);
	assert_false(guard_settings_hold(&before, &service));
	guard_settings_apply(&before, &service);
	assert_true(service.breaker);
	assert_int_equal(service.breaker_ratio, BREAKER_RATIO);
	assert_int_equal(service.breaker_arl, BREAKER_ARL);
	assert_int_equal(service.lease_default, 0);
	assert_int_equal(service.on_expiry, CANARY_EXPIRY_STABLE);
}

static void test_nothing_given_holds_always_and_changes_nothing(void **state)
{
	const struct guard_settings nothing = {};
	struct service_model service = service_defaults();

	(void)state;
	assert_true(guard_settings_hold(&nothing, &service));
	guard_settings_apply(&nothing, &service);
	assert_true(service.breaker);
	assert_int_equal(service.breaker_arl, BREAKER_ARL);
}

static void test_what_somebody_changed_since_does_not_come_back(void **state)
{
	const struct guard_settings plan = {
		.given = BIT(breaker_ratio) | BIT(breaker_arl), .breaker_ratio = 200, .breaker_arl = 5000};
	struct service_model service = service_defaults();
	struct guard_settings before = guard_settings_of(&service, plan.given), still;

	(void)state;
	guard_settings_apply(&plan, &service);
	still = guard_settings_in_place_of(&before, &plan, &service);
	assert_int_equal(still.given, plan.given);
	service.breaker_ratio = 300;
	still = guard_settings_in_place_of(&before, &plan, &service);
	assert_int_equal(still.given, BIT(breaker_arl));
	guard_settings_apply(&still, &service);
	assert_int_equal(service.breaker_ratio, 300);
	assert_int_equal(service.breaker_arl, BREAKER_ARL);
	/* Done once more, after a kill. */
	still = guard_settings_in_place_of(&before, &plan, &service);
	assert_int_equal(still.given, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_given_stays),
		cmocka_unit_test(test_what_was_before_comes_back),
		cmocka_unit_test(test_what_somebody_changed_since_does_not_come_back),
		cmocka_unit_test(test_nothing_given_holds_always_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
