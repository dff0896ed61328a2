/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_model.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/plan.h"

/* make_example() as the data plane reads it back. */
static struct model make_actual(void)
{
	struct model model = make_example();
	struct service_model *web = &model.services[0];

	web->id = 3;
	web->word = 0x701;
	web->salt = 0x1234;
	web->salt_number = 2;
	web->assignment = 9;
	web->reset_after = 30;
	for (size_t i = 0; i < web->backend_count; i++)
		web->backends[i].index = 100 + i;
	return model;
}

/* Plans, compares the steps with lines of "service: type: text", and frees both models. */
static void check(struct model *actual, struct model *desired, const char *steps)
{
	char got[4096] = "";
	struct plan plan;

	assert_int_equal(plan_make(actual, desired, &plan), 0);
	for (size_t i = 0; i < plan.count; i++) {
		size_t len = strlen(got);

		snprintf(got + len, sizeof(got) - len, "%s: %s: %s\n", plan.steps[i].service,
			 step_name(plan.steps[i].type), plan.steps[i].text);
	}
	if (strcmp(got, steps))
		fail_msg("the steps are\n%sand should be\n%s", got, steps);
	plan_free(&plan);
	assert_int_equal(plan.count, 0);
	model_free(actual);
	model_free(desired);
}

static void test_nothing_to_do(void **state)
{
	struct model actual = make_actual(), desired = make_example(), none = {}, nothing = {};

	(void)state;
	check(&actual, &desired, "");
	check(&none, &nothing, "");
	/* Nor does another order make a difference. */
	actual = make_actual();
	desired = make_example();
	actual.services[0].backends[2] = desired.services[0].backends[0];
	actual.services[0].backends[0] = desired.services[0].backends[2];
	check(&actual, &desired, "");
}

static void test_the_same_service_inherits(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct service_model *web = &desired.services[0];
	struct plan plan;

	(void)state;
	make_backend(web, CANARY_STABLE, "10.0.0.13:8080")->index = 55;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->id, 3);
	assert_int_equal(web->word, 0x701);
	assert_int_equal(web->salt, 0x1234);
	assert_int_equal(web->salt_number, 2);
	assert_int_equal(web->assignment, 9);
	assert_int_equal(web->reset_after, 30);
	assert_int_equal(web->backends[0].index, 100);
	assert_int_equal(web->backends[2].index, 102);
	assert_int_equal(web->backends[3].index, 0);
	plan_free(&plan);
	model_free(&actual);
	model_free(&desired);
}

static void test_weights(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct plan plan;

	(void)state;
	desired.services[0].weight = 2505;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(desired.services[0].assignment, 10);
	plan_free(&plan);
	check(&actual, &desired, "web: set_weight: set weight 5.00 % -> 25.05 %\n");

	actual = make_actual();
	desired = make_example();
	desired.services[0].weight = WEIGHT_KEEP;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(desired.services[0].weight, 500);
	assert_int_equal(desired.services[0].assignment, 9);
	plan_free(&plan);
	check(&actual, &desired, "");
}

static void test_a_lease_belongs_to_its_assignment(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct service_model *web = &desired.services[0];
	struct plan plan;

	(void)state;
	/* The same assignment: its lease goes on, whatever others are given now. */
	actual.services[0].lease = 20;
	web->lease_default = 60;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->lease, 20);
	plan_free(&plan);
	/* A new one: the service's. */
	web->weight = 600;
	web->lease = LEASE_UNSET;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->lease, 60);
	plan_free(&plan);
	/* ... or that it is given. */
	web->lease = 0;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->lease, 0);
	plan_free(&plan);
	/* A weight of 0 has none to lose. */
	web->weight = 0;
	web->lease = LEASE_UNSET;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->lease, 0);
	plan_free(&plan);
	model_free(&actual);
	model_free(&desired);
}

static void test_a_new_service(void **state)
{
	struct model actual = {}, desired = make_example();
	struct service_model *web = &desired.services[0];
	struct plan plan;

	(void)state;
	web->id = 8;
	web->salt = 1;
	web->salt_number = 2;
	web->assignment = 5;
	web->reset_after = 0;
	web->weight = WEIGHT_KEEP;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->weight, 0);
	assert_int_equal(web->assignment, 1);
	assert_int_equal(web->id, 0);
	assert_int_equal(web->salt, 0);
	/* Somebody may know it from before a reboot. */
	assert_int_equal(web->salt_number, 2);
	assert_int_equal(web->reset_after, RESET_NEVER);
	assert_int_equal(web->idle_timeout, IDLE_TIMEOUT_TCP);
	assert_int_equal(web->max_window, MAX_WINDOW);
	plan_free(&plan);
	web->weight = 500;
	check(&actual, &desired,
	      "web: add_service: add service tcp 203.0.113.10:80 (nat, affinity flow, weight 5.00 %)\n"
	      "web: add_backend: add stable backend 10.0.0.11:8080 (weight 1)\n"
	      "web: add_backend: add stable backend 10.0.0.12:8080 (weight 2)\n"
	      "web: add_backend: add canary backend 10.0.0.21:8080 (weight 1)\n"
	      "web: add_segment: add segment 198.51.100.0/24 -> canary\n");
}

static void test_a_new_service_shows_what_is_special(void **state)
{
	struct model actual = {}, desired = {};
	struct service_model *dns = make_service(&desired, "dns", "[2001:db8::10]:53");

	(void)state;
	dns->proto = IPPROTO_UDP;
	dns->forward = CANARY_FORWARD_L2;
	dns->affinity = CANARY_AFFINITY_CLIENT;
	dns->track = CANARY_TRACK_NEVER;
	dns->overflow = CANARY_OVERFLOW_DROP;
	dns->idle_timeout = 90;
	dns->max_window = 3600;
	check(&actual, &desired,
	      "dns: add_service: add service udp [2001:db8::10]:53 (l2, affinity client, weight 0.00 %, track never, "
	      "overflow drop, idle_timeout 1m30s, max_window 1h)\n");
}

static void test_gues_port_shows_where_it_is_special_or_changes(void **state)
{
	struct model actual = make_actual(), desired = make_example();

	(void)state;
	desired.services[0].forward = CANARY_FORWARD_GUE;
	check(&actual, &desired, "web: change_service: change forward nat -> gue, gue_port 6080\n");

	actual = make_actual();
	desired = make_example();
	actual.services[0].forward = desired.services[0].forward = CANARY_FORWARD_GUE;
	actual.services[0].gue_port = 6080;
	desired.services[0].gue_port = 6081;
	check(&actual, &desired, "web: change_service: change gue_port 6080 -> 6081\n");

	actual = (struct model){};
	desired = (struct model){};
	make_service(&desired, "web", "203.0.113.10:80")->forward = CANARY_FORWARD_GUE;
	make_service(&desired, "other", "203.0.113.10:81")->forward = CANARY_FORWARD_GUE;
	desired.services[1].gue_port = 6081;
	check(&actual, &desired,
	      "web: add_service: add service tcp 203.0.113.10:80 (gue, affinity flow, weight 0.00 %)\n"
	      "other: add_service: add service tcp 203.0.113.10:81 (gue, affinity flow, weight 0.00 %, gue_port "
	      "6081)\n");
}

static void test_a_service_goes(void **state)
{
	struct model actual = make_actual(), desired = {};

	(void)state;
	check(&actual, &desired, "web: delete_service: delete service tcp 203.0.113.10:80 and its 3 backends\n");
}

static void test_another_address_is_another_service(void **state)
{
	struct model actual = make_actual(), desired = {};
	struct service_model *web = make_service(&desired, "web", "203.0.113.10:81");
	struct plan plan;

	(void)state;
	make_backend(web, CANARY_STABLE, "10.0.0.11:8080");
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->id, 0);
	assert_int_equal(web->weight, 0);
	assert_int_equal(web->backends[0].index, 0);
	plan_free(&plan);
	check(&actual, &desired,
	      "web: delete_service: delete service tcp 203.0.113.10:80 and its 3 backends\n"
	      "web: add_service: add service tcp 203.0.113.10:81 (nat, affinity flow, weight 0.00 %)\n"
	      "web: add_backend: add stable backend 10.0.0.11:8080 (weight 1)\n");
}

static void test_a_services_settings_change(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct service_model *web = &desired.services[0];

	(void)state;
	actual.services[0].proto = web->proto = IPPROTO_UDP;
	web->forward = CANARY_FORWARD_IPIP;
	web->affinity = CANARY_AFFINITY_CLIENT;
	web->track = CANARY_TRACK_ALWAYS;
	web->overflow = CANARY_OVERFLOW_DROP;
	check(&actual, &desired,
	      "web: change_service: change forward nat -> ipip, affinity flow -> client, track auto -> always, "
	      "overflow "
	      "other -> drop\n");
}

static void test_a_services_segment_size_changes(void **state)
{
	struct model actual = make_actual(), desired = make_example(), none = {};

	(void)state;
	desired.services[0].mss = CANARY_MSS_AUTO;
	check(&actual, &desired, "web: change_service: change mss off -> auto\n");
	actual = make_actual(), desired = make_example();
	actual.services[0].mss = CANARY_MSS_AUTO;
	desired.services[0].mss = 1400;
	check(&actual, &desired, "web: change_service: change mss auto -> 1400\n");
	desired = (struct model){};
	make_service(&desired, "dns", "[2001:db8::10]:53")->mss = 1400;
	check(&none, &desired,
	      "dns: add_service: add service tcp [2001:db8::10]:53 (nat, affinity flow, weight 0.00 %, mss 1400)\n");
}

static void test_a_services_times_change(void **state)
{
	struct model actual = make_actual(), desired = make_example();

	(void)state;
	/* What is left out is the default, whether that was written or not. */
	actual.services[0].idle_timeout = IDLE_TIMEOUT_TCP;
	desired.services[0].max_window = MAX_WINDOW;
	check(&actual, &desired, "");

	actual = make_actual();
	desired = make_example();
	actual.services[0].idle_timeout = 60;
	desired.services[0].max_window = 90 * 60;
	check(&actual, &desired, "web: change_service: change idle_timeout 1m -> 15m, max_window 24h -> 1h30m\n");
}

static void test_what_is_watched_and_guarded_changes(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct service_model *web = &desired.services[0];

	(void)state;
	web->observe_cap = 250;
	web->handshake_timeout = 500;
	web->breaker = false;
	web->breaker_ratio = 150;
	web->breaker_arl = 1000;
	web->lease_default = 30;
	web->on_expiry = CANARY_EXPIRY_HOLD;
	check(&actual, &desired,
	      "web: change_service: change observe.cap 10 % -> 2.5 %, observe.handshake_timeout 3s -> 500ms, "
	      "breaker.enabled true -> false, breaker.ratio 10 -> 1.5, breaker.arl 1000000 -> 1000, "
	      "lease.duration none -> 30s, lease.on_expiry stable -> hold\n");
	/* Keys that a file leaves out are the defaults, and put those into force again. */
	actual = make_actual();
	desired = make_example();
	actual.services[0].breaker = false;
	actual.services[0].lease_default = 90;
	check(&actual, &desired,
	      "web: change_service: change breaker.enabled false -> true, lease.duration 1m30s -> none\n");
}

static void test_a_new_services_guards(void **state)
{
	struct model actual = {}, desired = {};
	struct service_model *mail = make_service(&desired, "mail", "203.0.113.10:25");

	(void)state;
	mail->observe_cap = 0;
	mail->handshake_timeout = 1500;
	mail->breaker = false;
	mail->breaker_ratio = 500;
	mail->breaker_arl = 2000;
	mail->lease_default = 3600;
	mail->on_expiry = CANARY_EXPIRY_HOLD;
	check(&actual, &desired,
	      "mail: add_service: add service tcp 203.0.113.10:25 (nat, affinity flow, weight 0.00 %, observe.cap 0 %, "
	      "observe.handshake_timeout 1500ms, breaker.enabled false, breaker.ratio 5, breaker.arl 2000, "
	      "lease.duration 1h, lease.on_expiry hold)\n");
}

static void test_backends_change(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct service_model *web = &desired.services[0];
	struct plan plan;

	(void)state;
	actual.services[0].backends[0].draining = true;
	web->backends[0].cohort = CANARY_CANARY;
	web->backends[0].weight = 7;
	web->backends[1].draining = true;
	web->backends[2].port = 8081;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(web->backends[0].index, 100);
	assert_int_equal(web->backends[2].index, 0);
	assert_int_equal(web->assignment, 9);
	plan_free(&plan);
	check(&actual, &desired,
	      "web: delete_backend: delete canary backend 10.0.0.21:8080\n"
	      "web: change_backend: change stable backend 10.0.0.11:8080: stable -> canary, weight 1 -> 7, end the "
	      "drain\n"
	      "web: change_backend: change stable backend 10.0.0.12:8080: drain\n"
	      "web: add_backend: add canary backend 10.0.0.21:8081 (weight 1)\n");
}

static void test_segments_change(void **state)
{
	struct model actual = make_actual(), desired = make_example();

	(void)state;
	make_segment(&actual.services[0], "192.0.2.0/24", CANARY_STABLE);
	desired.services[0].segments[0].cohort = CANARY_STABLE;
	make_segment(&desired.services[0], "192.0.2.0/25", CANARY_STABLE);
	check(&actual, &desired,
	      "web: delete_segment: delete segment 192.0.2.0/24 -> stable\n"
	      "web: change_segment: change segment 198.51.100.0/24: canary -> stable\n"
	      "web: add_segment: add segment 192.0.2.0/25 -> stable\n");
}

static void test_deletions_come_first_and_additions_last(void **state)
{
	struct model actual = make_actual(), desired = make_example();
	struct service_model *web = &desired.services[0];

	(void)state;
	make_service(&actual, "old", "203.0.113.20:80");
	make_service(&actual, "kept", "203.0.113.21:80")->weight = 0;
	web->weight = 0;
	service_remove_backend(web, &web->backends[0]);
	make_backend(web, CANARY_CANARY, "10.0.0.22:8080");
	make_service(&desired, "new", "203.0.113.22:80");
	make_service(&desired, "kept", "203.0.113.21:80")->forward = CANARY_FORWARD_L2;
	check(&actual, &desired,
	      "old: delete_service: delete service tcp 203.0.113.20:80 and its 0 backends\n"
	      "web: delete_backend: delete stable backend 10.0.0.11:8080\n"
	      "web: set_weight: set weight 5.00 % -> 0.00 %\n"
	      "kept: change_service: change forward nat -> l2\n"
	      "web: add_backend: add canary backend 10.0.0.22:8080 (weight 1)\n"
	      "new: add_service: add service tcp 203.0.113.22:80 (nat, affinity flow, weight 0.00 %)\n");
}

static void test_large_models(void **state)
{
	struct model actual = {}, desired;
	struct service_model *web = make_service(&actual, "web", "203.0.113.10:80");
	struct plan plan;

	(void)state;
	for (unsigned i = 0; i < CANARY_MAX_SEGMENTS / 2; i++)
		make_segment(web, "10.3.0.0", CANARY_CANARY)->addr.word[3] = htonl(0x0a030000 + i);
	assert_int_equal(model_copy(&actual, &desired), 0);
	desired.services[0].weight = actual.services[0].weight = 0;
	desired.services[0].segments[777].cohort = CANARY_STABLE;
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(plan.count, 1);
	plan_free(&plan);
	model_free(&desired);
	desired = (struct model){};
	make_service(&desired, "web", "203.0.113.10:80");
	assert_int_equal(plan_make(&actual, &desired, &plan), 0);
	assert_int_equal(plan.count, CANARY_MAX_SEGMENTS / 2);
	plan_free(&plan);
	model_free(&desired);
	model_free(&actual);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_the_same_service_inherits),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_a_lease_belongs_to_its_assignment),
		cmocka_unit_test(test_a_new_service),
		cmocka_unit_test(test_a_new_service_shows_what_is_special),
		cmocka_unit_test(test_gues_port_shows_where_it_is_special_or_changes),
		cmocka_unit_test(test_a_service_goes),
		cmocka_unit_test(test_another_address_is_another_service),
		cmocka_unit_test(test_a_services_settings_change),
		cmocka_unit_test(test_a_services_segment_size_changes),
		cmocka_unit_test(test_a_services_times_change),
		cmocka_unit_test(test_what_is_watched_and_guarded_changes),
		cmocka_unit_test(test_a_new_services_guards),
		cmocka_unit_test(test_backends_change),
		cmocka_unit_test(test_segments_change),
		cmocka_unit_test(test_deletions_come_first_and_additions_last),
		cmocka_unit_test(test_large_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
