/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_what_is_added_has_its_defaults(void **state)
{
	struct model model = {};
	struct service_model *service = model_add_service(&model);

	(void)state;
	assert_non_null(service);
	assert_int_equal(service->weight, WEIGHT_KEEP);
	assert_string_equal(service->name, "");
	assert_int_equal(service->observe_cap, 1000);
	assert_int_equal(service->handshake_timeout, 3000);
	assert_true(service->breaker);
	assert_int_equal(service->breaker_ratio, 1000);
	assert_int_equal(service->breaker_arl, 1000000);
	assert_int_equal(service->lease_default, 0);
	assert_int_equal(service->lease, LEASE_UNSET);
	assert_int_equal(service->on_expiry, CANARY_EXPIRY_STABLE);
	assert_false(service->begin_stopped);
	assert_int_equal(service_add_backend(service)->weight, 1);
	assert_int_equal(service->backends[0].port, PORT_DEFAULT);
	assert_int_equal(service_add_segment(service)->cohort, CANARY_STABLE);
	model_free(&model);
	assert_int_equal(model.service_count, 0);
	assert_null(model.services);
}

/* Additions and removals in every pattern keep the order and lose nothing (the sanitizer sees the arrays' ends). */
static void test_additions_and_removals(void **state)
{
	struct model model = {};
	char name[16];
	int next = 0;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 1 + round % 7; i++) {
			snprintf(name, sizeof(name), "s%d", next++);
			make_backend(make_service(&model, name, "203.0.113.1:80"), CANARY_STABLE, "10.0.0.1");
		}
		for (unsigned i = 0; i < round % 5 && model.service_count; i++)
			model_remove_service(&model, &model.services[(round * 3 + i) % model.service_count]);
		for (size_t i = 1; i < model.service_count; i++)
			assert_true(atoi(model.services[i - 1].name + 1) < atoi(model.services[i].name + 1));
	}
	for (size_t i = 0; i < model.service_count; i++)
		assert_int_equal(model.services[i].backend_count, 1);
	while (model.service_count)
		model_remove_service(&model, &model.services[0]);
	make_service(&model, "again", "203.0.113.1:80");
	model_free(&model);
}

static void test_a_copy_is_deep_and_can_grow(void **state)
{
	struct model model = make_example(), copy;

	(void)state;
	assert_int_equal(model_copy(&model, &copy), 0);
	copy.services[0].backends[0].weight = 9;
	make_backend(&copy.services[0], CANARY_CANARY, "10.0.0.22:8080");
	make_segment(&copy.services[0], "192.0.2.0/24", CANARY_STABLE);
	make_service(&copy, "other", "203.0.113.11:80");
	service_remove_backend(&copy.services[0], &copy.services[0].backends[1]);
	service_remove_segment(&copy.services[0], &copy.services[0].segments[0]);
	assert_int_equal(model.service_count, 1);
	assert_int_equal(model.services[0].backend_count, 3);
	assert_int_equal(model.services[0].backends[0].weight, 1);
	assert_int_equal(model.services[0].segment_count, 1);
	model_free(&model);
	assert_int_equal(copy.services[0].backend_count, 3);
	assert_int_equal(copy.services[0].segments[0].cohort, CANARY_STABLE);
	model_free(&copy);
	assert_int_equal(model_copy(&model, &copy), 0);
	make_service(&copy, "first", "203.0.113.11:80");
	model_free(&copy);
}

static void test_finding(void **state)
{
	struct model model = make_example();
	struct service_model *web = model_find_service(&model, "web");
	struct canary_addr addr = make_addr("10.0.0.12"), net = make_addr("198.51.100.0");

	(void)state;
	assert_ptr_equal(web, &model.services[0]);
	assert_null(model_find_service(&model, "we"));
	assert_null(model_find_service(&model, "webb"));
	assert_ptr_equal(service_find_backend(web, &addr, 8080), &web->backends[1]);
	assert_null(service_find_backend(web, &addr, 80));
	assert_null(service_find_backend(web, &addr, PORT_DEFAULT));
	web->backends[1].port = PORT_DEFAULT;
	assert_ptr_equal(service_find_backend(web, &addr, 80), &web->backends[1]);
	assert_ptr_equal(service_find_backend(web, &addr, PORT_DEFAULT), &web->backends[1]);
	assert_ptr_equal(service_find_segment(web, &net, 96 + 24), &web->segments[0]);
	assert_null(service_find_segment(web, &net, 96 + 25));
	model_free(&model);
}

static void test_a_draining_backend_takes_no_flows(void **state)
{
	struct model model = make_example();
	struct service_model *web = &model.services[0];

	(void)state;
	assert_int_equal(service_backends_up(web, CANARY_STABLE), 2);
	assert_int_equal(service_backends_up(web, CANARY_CANARY), 1);
	web->backends[2].draining = true;
	assert_int_equal(service_backends_up(web, CANARY_CANARY), 0);
	model_free(&model);
}

static void test_addresses_share_a_prefix(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned shared; /* bits, of 128 */
	} cases[] = {
		{"10.0.0.1", "10.0.0.1", 128},	    {"10.0.0.1", "10.0.0.0", 127},
		{"10.0.0.1", "10.0.0.129", 120},    {"10.0.0.1", "138.0.0.1", 96},
		{"10.0.0.1", "2001:db8::1", 2},	    {"2001:db8::1", "2001:db8:0:1::1", 63},
		{"2001:db8::1", "2001:db9::1", 31}, {"2001:db8::1", "a001:db8::1", 0},
		{"::1", "::1:0:0:1", 79},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct canary_addr a = make_addr(cases[i].a), b = make_addr(cases[i].b);

		for (unsigned len = 0; len <= 128; len++)
			if (addr_shares_prefix(&a, &b, len) != (len <= cases[i].shared))
				fail_msg("%s and %s: %u bits", cases[i].a, cases[i].b, len);
	}
}

static void test_tunnels_make_packets_longer(void **state)
{
	static const struct {
		enum canary_forward forward;
		unsigned v4, v6;
	} cases[] = {
		{CANARY_FORWARD_NAT, 0, 0},
		{CANARY_FORWARD_L2, 0, 0},
		{CANARY_FORWARD_IPIP, 20, 40},
		{CANARY_FORWARD_GUE, 32, 52},
	};
	const struct backend_model v4 = {.addr = make_addr("10.0.0.1")}, v6 = {.addr = make_addr("2001:db8::1")};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct service_model service = {.forward = cases[i].forward};

		assert_int_equal(service_overhead(&service, &v4), cases[i].v4);
		assert_int_equal(service_overhead(&service, &v6), cases[i].v6);
	}
}

static void test_an_error_is_cut_short_rather_than_lost(void **state)
{
	struct error error;
	char text[2048];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	/* In parentheses: cmocka has a macro of that name. */
	assert_int_equal((fail)(&error, -5, "%s", text), -5);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_int_equal((fail)(&error, -6, "a %d", 1), -6);
	assert_string_equal(error.text, "a 1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_added_has_its_defaults),
		cmocka_unit_test(test_additions_and_removals),
		cmocka_unit_test(test_a_copy_is_deep_and_can_grow),
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_a_draining_backend_takes_no_flows),
		cmocka_unit_test(test_addresses_share_a_prefix),
		cmocka_unit_test(test_tunnels_make_packets_longer),
		cmocka_unit_test(test_an_error_is_cut_short_rather_than_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
