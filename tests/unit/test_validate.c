/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What models are refused, and where the culprit is said to be. Files test the same rules through YAML (test_config.c);
 * here are those that a file cannot break, the limits, and what must be allowed.
 */
#include "lib_model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/validate.h"

/* Validates, compares with what is expected (path NULL: valid), and frees the model. */
static void check(struct model *model, const char *path, const char *text)
{
	struct problem problem = {};
	int err = validate_model(model, &problem);

	if (!path) {
		if (err)
			fail_msg("refused: %s: %s", problem.path, problem.text);
	} else {
		assert_int_equal(err, -EINVAL);
		assert_string_equal(problem.path, path);
		if (!strstr(problem.text, text))
			fail_msg("the problem is\n  %s\nand should have in it\n  %s", problem.text, text);
	}
	model_free(model);
}

static struct service_model *numbered_service(struct model *model, unsigned number)
{
	struct service_model *service = make_service(model, "", "10.1.0.0:80");

	snprintf(service->name, sizeof(service->name), "s%u", number);
	service->addr.word[3] = htonl(0x0a010000 + number);
	return service;
}

static struct backend_model *numbered_backend(struct service_model *service, enum canary_cohort cohort, unsigned number)
{
	struct backend_model *backend = make_backend(service, cohort, "10.2.0.0:8080");

	backend->addr.word[3] = htonl(0x0a020000 + number);
	return backend;
}

static struct segment_model *numbered_segment(struct service_model *service, unsigned number)
{
	struct segment_model *segment = make_segment(service, "10.3.0.0", CANARY_CANARY);

	segment->addr.word[3] = htonl(0x0a030000 + number);
	return segment;
}

static void test_nothing_and_the_example_are_valid(void **state)
{
	struct model nothing = {}, example = make_example();

	(void)state;
	check(&nothing, NULL, NULL);
	check(&example, NULL, NULL);
}

static void test_a_backends_port_is_filled_in(void **state)
{
	static const enum canary_forward forwards[] = {CANARY_FORWARD_NAT, CANARY_FORWARD_L2, CANARY_FORWARD_IPIP,
						       CANARY_FORWARD_GUE};
	_Static_assert(sizeof(forwards) / sizeof(*forwards) == CANARY_FORWARDS, "all of them");
	struct problem problem;

	(void)state;
	for (unsigned i = 0; i < CANARY_FORWARDS; i++) {
		struct model model = {};
		struct service_model *service = make_service(&model, "web", "203.0.113.10:80");

		service->forward = forwards[i];
		make_backend(service, CANARY_STABLE, "10.0.0.11");
		assert_int_equal(validate_model(&model, &problem), 0);
		assert_int_equal(service->backends[0].port, 80);
		service->port = service->backends[0].port = 0;
		assert_int_equal(validate_model(&model, &problem), 0);
		service->backends[0].port = PORT_DEFAULT;
		assert_int_equal(validate_model(&model, &problem), 0);
		assert_int_equal(service->backends[0].port, 0);
		model_free(&model);
	}
}

static void test_what_only_a_program_gets_wrong(void **state)
{
	struct model model;

	(void)state;
	model = make_example();
	model.services[0].proto = IPPROTO_ICMP;
	check(&model, "services[0].protocol", "give tcp or udp");
	model = make_example();
	model.services[0].port = 65536;
	check(&model, "services[0].port", "65536 is not a port");
	model = make_example();
	model.services[0].weight = CANARY_WEIGHT_ONE + 1;
	check(&model, "services[0].weight", "from 0 to 100 percent");
	model = make_example();
	model.services[0].weight = -2;
	check(&model, "services[0].weight", "from 0 to 100 percent");
	model = make_example();
	model.services[0].backends[1].port = -2;
	check(&model, "services[0].stable[1].port", "-2 is not a port");
	model = make_example();
	model.services[0].backends[1].weight = 0;
	check(&model, "services[0].stable[1].weight", "from 1 to 1000, not 0");
	model = make_example();
	model.services[0].segments[0].prefix_len = 129;
	check(&model, "services[0].segments[0].clients", "out of range");
	model = make_example();
	model.services[0].segments[0].prefix_len = 95;
	check(&model, "services[0].segments[0].clients", "out of range");
	model = make_example();
	model.services[0].segments[0].prefix_len = 96 + 8;
	check(&model, "services[0].segments[0].clients", "198.51.100.0/8 has bits set beyond its length");
}

static void test_times_are_filled_in(void **state)
{
	struct model model = {};
	struct problem problem;

	(void)state;
	make_service(&model, "web", "203.0.113.10:80");
	make_service(&model, "dns", "203.0.113.10:53")->proto = IPPROTO_UDP;
	assert_int_equal(validate_model(&model, &problem), 0);
	assert_int_equal(model.services[0].idle_timeout, 900);
	assert_int_equal(model.services[1].idle_timeout, 60);
	assert_int_equal(model.services[0].max_window, 86400);
	model_free(&model);
}

static void test_times(void **state)
{
	static const struct {
		unsigned idle_timeout, max_window;
		const char *path, *text;
	} cases[] = {
		{1, 1, NULL, NULL},
		{86400, 0, NULL, NULL},
		{86400, 604800, NULL, NULL},
		{86401, 604800, "services[0].idle_timeout", "give 1s to 24h"},
		{0, 604801, "services[0].max_window", "up to 7d"},
		{0, 899, "services[0].max_window", "idle for 15m, the idle_timeout"},
		{5400, 5399, "services[0].max_window", "idle for 1h30m, the idle_timeout"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct model model = make_example();

		model.services[0].idle_timeout = cases[i].idle_timeout;
		model.services[0].max_window = cases[i].max_window;
		check(&model, cases[i].path, cases[i].text);
	}
}

static void test_what_is_watched_and_guarded(void **state)
{
	static const struct {
		size_t member;
		unsigned value;
		const char *path, *text;
	} cases[] = {
#define CASE(member, ...) {offsetof(struct service_model, member), __VA_ARGS__}
		CASE(observe_cap, 0, NULL, NULL),
		CASE(observe_cap, 10000, NULL, NULL),
		CASE(observe_cap, 10001, "services[0].observe.cap", "from 0 to 100 percent"),
		CASE(handshake_timeout, 100, NULL, NULL),
		CASE(handshake_timeout, 60000, NULL, NULL),
		CASE(handshake_timeout, 99, "services[0].observe.handshake_timeout", "give 100ms to 60s"),
		CASE(handshake_timeout, 60001, "services[0].observe.handshake_timeout", "give 100ms to 60s"),
		CASE(breaker_ratio, 110, NULL, NULL),
		CASE(breaker_ratio, 60000, NULL, NULL),
		CASE(breaker_ratio, 109, "services[0].breaker.ratio", "1.09 is out of range: give 1.1 to 600"),
		CASE(breaker_ratio, 60001, "services[0].breaker.ratio", "600.01 is out of range"),
		CASE(breaker_arl, 1000, NULL, NULL),
		CASE(breaker_arl, 2000000000, NULL, NULL),
		CASE(breaker_arl, 999, "services[0].breaker.arl", "give 1000 to 2000000000"),
		CASE(breaker_arl, 2000000001, "services[0].breaker.arl", "give 1000 to 2000000000"),
		CASE(lease_default, 43200, NULL, NULL),
		CASE(lease_default, 43201, "services[0].lease.duration", "43201 seconds is too long: give 1s to 12h"),
		CASE(lease, 0, NULL, NULL),
		CASE(lease, 43200, NULL, NULL),
		CASE(lease, 43201, "services[0].lease.duration", "43201 seconds is too long"),
		CASE(on_expiry, CANARY_EXPIRIES, "services[0].lease.on_expiry", "give stable or hold"),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct model model = make_example();

		*(unsigned *)((char *)model.services + cases[i].member) = cases[i].value;
		check(&model, cases[i].path, cases[i].text);
	}
}

static void test_what_runs_may_have_lost_its_canaries(void **state)
{
	struct model model = make_example();
	struct problem problem;

	(void)state;
	model.services[0].backends[2].draining = true;
	assert_int_equal(validate_running(&model, &problem), 0);
	assert_int_equal(model.services[0].weight, 500);
	model.services[0].weight = CANARY_WEIGHT_ONE + 1;
	assert_int_equal(validate_running(&model, &problem), -EINVAL);
	model_free(&model);
}

static void test_a_draining_canary_is_no_place_for_weight(void **state)
{
	struct model model = make_example();

	(void)state;
	model.services[0].backends[2].draining = true;
	check(&model, "services[0].weight", "no canary backend takes flows");
	model = make_example();
	model.services[0].backends[2].draining = true;
	model.services[0].weight = 0;
	check(&model, NULL, NULL);
	model = make_example();
	model.services[0].backends[2].draining = true;
	model.services[0].weight = WEIGHT_KEEP;
	check(&model, NULL, NULL);
}

static void test_all_on_canary_needs_no_stable(void **state)
{
	struct model model = {};
	struct service_model *service = make_service(&model, "web", "203.0.113.10:80");

	(void)state;
	service->weight = CANARY_WEIGHT_ONE;
	make_backend(service, CANARY_CANARY, "10.0.0.21");
	check(&model, NULL, NULL);
}

static void test_a_segment_may_pin_to_a_canary_that_is_not_there_yet(void **state)
{
	struct model model = {};
	struct service_model *service = make_service(&model, "web", "203.0.113.10:80");

	(void)state;
	make_segment(service, "198.51.100.0/24", CANARY_CANARY);
	check(&model, NULL, NULL);
}

static void test_services_that_share_an_address(void **state)
{
	struct model model = {};

	(void)state;
	make_service(&model, "exact", "203.0.113.10:80");
	make_service(&model, "any", "203.0.113.10:0");
	make_service(&model, "other", "203.0.113.10:81");
	make_service(&model, "udp", "203.0.113.10:80")->proto = IPPROTO_UDP;
	check(&model, NULL, NULL);
	make_service(&model, "exact", "203.0.113.10:80");
	make_service(&model, "any", "203.0.113.10:0");
	make_service(&model, "all", "203.0.113.10:0");
	check(&model, "services[2].address", "tcp 203.0.113.10:0 is the address of service 'any' already");
}

static void test_the_first_repetition_is_reported(void **state)
{
	struct model model = {};
	struct service_model *service = make_service(&model, "web", "203.0.113.10:80");

	(void)state;
	make_backend(service, CANARY_STABLE, "10.0.0.12");
	make_backend(service, CANARY_CANARY, "10.0.0.19");
	make_backend(service, CANARY_STABLE, "10.0.0.11");
	make_backend(service, CANARY_CANARY, "10.0.0.12");
	make_backend(service, CANARY_STABLE, "10.0.0.11");
	make_backend(service, CANARY_STABLE, "10.0.0.12");
	check(&model, "services[0].canary[1].address", "10.0.0.12:80 is in stable already");
}

static void test_loops(void **state)
{
	struct model model = {};
	struct service_model *service;

	(void)state;
	service = make_service(&model, "all", "203.0.113.10:0");
	make_backend(service, CANARY_STABLE, "203.0.113.11");
	make_service(&model, "web", "203.0.113.11:80");
	check(&model, "services[0].stable[0].address", "203.0.113.11:0 is the address and port of service 'web'");

	service = make_service(&model, "all", "203.0.113.10:0");
	make_backend(service, CANARY_STABLE, "203.0.113.10");
	check(&model, "services[0].stable[0].address", "of the service itself, 'all'");

	service = make_service(&model, "tcp", "203.0.113.10:80");
	make_backend(service, CANARY_STABLE, "203.0.113.11");
	make_service(&model, "udp", "203.0.113.11:80")->proto = IPPROTO_UDP;
	check(&model, NULL, NULL);

	service = make_service(&model, "tunnel", "203.0.113.10:80");
	service->forward = CANARY_FORWARD_IPIP;
	make_backend(service, CANARY_STABLE, "203.0.113.11");
	make_service(&model, "web", "203.0.113.11:80");
	check(&model, NULL, NULL);
}

static void test_families(void **state)
{
	struct service_model *service;
	struct model model = {};

	(void)state;
	for (enum canary_forward forward = CANARY_FORWARD_IPIP; forward <= CANARY_FORWARD_GUE; forward++) {
		service = make_service(&model, "web", "[2001:db8::10]:80");
		service->forward = forward;
		make_backend(service, CANARY_STABLE, "10.0.0.11");
		make_backend(service, CANARY_STABLE, "2001:db8::11");
		make_segment(service, "::/0", CANARY_STABLE);
		check(&model, NULL, NULL);
	}
	service = make_service(&model, "web", "[2001:db8::10]:80");
	make_segment(service, "2001:db8::/32", CANARY_STABLE);
	make_segment(service, "0.0.0.0/0", CANARY_STABLE);
	check(&model, "services[0].segments[1].clients", "0.0.0.0/0 is IPv4 and the service is IPv6");
}

static void test_only_gue_has_a_port_of_its_own(void **state)
{
	struct model model = {};
	struct service_model *service = make_service(&model, "web", "203.0.113.10:80");
	struct problem problem;

	(void)state;
	service->forward = CANARY_FORWARD_GUE;
	assert_int_equal(validate_model(&model, &problem), 0);
	assert_int_equal(service->gue_port, 6080);
	service->gue_port = 65535;
	check(&model, NULL, NULL);
	service = make_service(&model, "web", "203.0.113.10:80");
	service->forward = CANARY_FORWARD_GUE;
	service->gue_port = 65536;
	check(&model, "services[0].gue_port", "65536 is not a port");
	service = make_service(&model, "web", "203.0.113.10:80");
	service->forward = CANARY_FORWARD_IPIP;
	service->gue_port = 6080;
	check(&model, "services[0].gue_port", "with ipip there is no such port");
}

static void test_limit_of_services(void **state)
{
	struct model model = {};

	(void)state;
	for (unsigned i = 0; i < CANARY_MAX_SERVICES - 1; i++)
		numbered_service(&model, i);
	check(&model, NULL, NULL);
	for (unsigned i = 0; i < CANARY_MAX_SERVICES; i++)
		numbered_service(&model, i);
	check(&model, "services[1023]", "there are 1024 services: at most 1023 fit");
}

static void test_limit_of_a_cohort(void **state)
{
	struct model model = {};
	struct service_model *service = numbered_service(&model, 0);

	(void)state;
	for (unsigned i = 0; i < 2 * CANARY_MAX_COHORT_BACKENDS; i++)
		numbered_backend(service, i % 2 ? CANARY_CANARY : CANARY_STABLE, i);
	check(&model, NULL, NULL);
	service = numbered_service(&model, 0);
	for (unsigned i = 0; i <= CANARY_MAX_COHORT_BACKENDS; i++)
		numbered_backend(service, CANARY_CANARY, i);
	check(&model, "services[0].canary[1024]", "a cohort has at most 1024 backends");
}

static void make_many_backends(struct model *model, unsigned count)
{
	struct service_model *service = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (i % CANARY_MAX_COHORT_BACKENDS == 0)
			service = numbered_service(model, i / CANARY_MAX_COHORT_BACKENDS);
		numbered_backend(service, CANARY_STABLE, i);
	}
}

static void test_limit_of_backends(void **state)
{
	struct model model = {};

	(void)state;
	make_many_backends(&model, CANARY_MAX_BACKENDS - 1);
	check(&model, NULL, NULL);
	make_many_backends(&model, CANARY_MAX_BACKENDS);
	check(&model, "services[31]", "32768 backends: at most 32767 fit");
}

static void test_limit_of_segments(void **state)
{
	struct model model = {};
	struct service_model *service = numbered_service(&model, 0);

	(void)state;
	for (unsigned i = 0; i < CANARY_MAX_SEGMENTS / 2; i++)
		numbered_segment(service, i);
	check(&model, NULL, NULL);
	service = numbered_service(&model, 0);
	for (unsigned i = 0; i < CANARY_MAX_SEGMENTS / 2; i++)
		numbered_segment(service, i);
	numbered_segment(numbered_service(&model, 1), 0);
	check(&model, "services[1].segments", "32769 segments: at most 32768 fit");
}

static void test_paths_count_within_the_cohort(void **state)
{
	struct model model = make_example();
	char path[128];

	(void)state;
	make_backend(&model.services[0], CANARY_STABLE, "10.0.0.13");
	backend_path(&model, &model.services[0], &model.services[0].backends[3], "weight", path);
	assert_string_equal(path, "services[0].stable[2].weight");
	backend_path(&model, &model.services[0], &model.services[0].backends[2], NULL, path);
	assert_string_equal(path, "services[0].canary[0]");
	model_free(&model);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_and_the_example_are_valid),
		cmocka_unit_test(test_a_backends_port_is_filled_in),
		cmocka_unit_test(test_what_only_a_program_gets_wrong),
		cmocka_unit_test(test_times_are_filled_in),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_what_is_watched_and_guarded),
		cmocka_unit_test(test_what_runs_may_have_lost_its_canaries),
		cmocka_unit_test(test_a_draining_canary_is_no_place_for_weight),
		cmocka_unit_test(test_all_on_canary_needs_no_stable),
		cmocka_unit_test(test_a_segment_may_pin_to_a_canary_that_is_not_there_yet),
		cmocka_unit_test(test_services_that_share_an_address),
		cmocka_unit_test(test_the_first_repetition_is_reported),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_only_gue_has_a_port_of_its_own),
		cmocka_unit_test(test_limit_of_services),
		cmocka_unit_test(test_limit_of_a_cohort),
		cmocka_unit_test(test_limit_of_backends),
		cmocka_unit_test(test_limit_of_segments),
		cmocka_unit_test(test_paths_count_within_the_cohort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
