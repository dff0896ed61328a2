/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel guards itself: the breaker and the lease take the canary's new flows away, and nothing else. */
#include "lib_run.h"
#include "lib_wait.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/text.h"

static void configure_web(struct service web)
{
	web.name = "web";
	web.endpoint = VIP ":80";
	web.handshake_timeout = web.handshake_timeout ? web.handshake_timeout : PATIENT_MS;
	web.stable = web.stable ? web.stable : "10.0.0.11";
	web.canary = "10.0.0.21";
	configure(&web, 1);
}

static int packet(unsigned sport, unsigned flags, unsigned seq, char to[16])
{
	struct spec spec = {.src = CLIENT, .dst = VIP, .sport = sport, .dport = 80, .flags = flags, .seq = seq};
	struct packet in;
	struct outcome out;

	packet_build(&spec, NULL, &in);
	run_packet(FRONT, &in, &out);
	for (int i = 0; to && i < 6; i++)
		snprintf(to + 2 * i, 3, "%02x", out.packet.data[i]);
	return out.verdict;
}

/* The cohort whose backend got it, by the frame's destination. */
static enum canary_cohort cohort_of(unsigned sport, unsigned flags, unsigned seq)
{
	__u8 mac[6];
	char to[16], canary[16];

	assert_int_equal(packet(sport, flags, seq, to), XDP_REDIRECT);
	mac_parse("10.0.0.21", mac);
	for (int i = 0; i < 6; i++)
		snprintf(canary + 2 * i, 3, "%02x", mac[i]);
	return strcmp(to, canary) ? CANARY_STABLE : CANARY_CANARY;
}

/* The next port, from *port on, whose flow the weight gives to the canary; *port goes on. */
static unsigned canary_port(unsigned *port)
{
	*port = port_for("web", CLIENT, "10.0.0.21:80", *port);
	return (*port)++;
}

static void refuse(unsigned dport)
{
	struct spec spec = {.from_mac = "10.0.0.21",
			    .to_mac = "back",
			    .src = "10.0.0.21",
			    .dst = CLIENT,
			    .sport = 80,
			    .dport = dport,
			    .flags = RST | ACK};

	run_redirected(BACK, &spec);
}

/* Handshakes that are open now are so for too long. */
static void handshakes_time_out(struct service web)
{
	web.handshake_timeout = BRIEF_MS;
	configure_web(web);
	usleep(BRIEF_MS * 1000);
}

static int count_trip(const struct canary_event *event, void *arg)
{
	*(unsigned *)arg += event->type == CANARY_EVENT_BREAKER_TRIPPED && !strcmp(event->name, "web");
	return 0;
}

static unsigned trips(void)
{
	__u64 last, lost;
	unsigned count = 0;

	assert_int_equal(dataplane_events(env.dataplane, 0, count_trip, &count, &last, &lost), 0);
	return count;
}

/* Flows that are refused until the breaker trips: how many it took. */
static unsigned refuse_until_tripped(unsigned *port)
{
	for (unsigned n = 1; n <= 50; n++) {
		unsigned sport = canary_port(port);

		assert_int_equal(cohort_of(sport, SYN, 100), CANARY_CANARY);
		refuse(sport);
		if (guard_now().stopped)
			return n;
	}
	return 51;
}

static void refusals_in_a_row_trip_it_at_any_weight(void **state)
{
	static const int weights[] = {100, 500, 2500, 5000, 7500, 9900, 10000};

	(void)state;
	for (size_t i = 0; i < sizeof(weights) / sizeof(*weights); i++) {
		unsigned port = 1000;

		env_fresh(NULL);
		configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = weights[i]});
		/* With nothing of stable's to tell whether failures are usual, nine. */
		assert_int_equal(refuse_until_tripped(&port), weights[i] == 10000 ? 9 : 5);
		assert_int_equal(guard_now().reason, CANARY_STOP_ABSOLUTE);
		assert_int_equal(guard_now().failures[CANARY_CANARY], weights[i] == 10000 ? 9 : 5);
	}
}

static void a_trip_moves_new_flows_and_no_others(void **state)
{
	unsigned port = 1000, open, next;

	(void)state;
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 5000});
	open = canary_port(&port);
	assert_int_equal(cohort_of(open, SYN, 100), CANARY_CANARY);
	assert_int_equal(cohort_of(open, ACK, 101), CANARY_CANARY);
	next = canary_port(&port);
	assert_true(refuse_until_tripped(&port) <= 6);
	assert_int_equal(trips(), 1);
	assert_true(guard_now().stopped);
	assert_int_equal(cohort_of(open, ACK, 101), CANARY_CANARY);
	assert_int_equal(cohort_of(next, SYN, 100), CANARY_STABLE);
	assert_int_equal(find_service("web")->weight, 5000);
}

static void only_an_assignment_clears_it(void **state)
{
	unsigned port = 1000, next;

	(void)state;
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 5000});
	next = canary_port(&port);
	refuse_until_tripped(&port);
	/* The same weight, and another backend. */
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 5000});
	assert_true(guard_now().stopped);
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 5000, .stable = "10.0.0.11 10.0.0.12"});
	assert_true(guard_now().stopped);
	assert_int_equal(cohort_of(next, SYN, 100), CANARY_STABLE);
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 5100, .stable = "10.0.0.11 10.0.0.12"});
	assert_false(guard_now().stopped);
	assert_int_equal(guard_now().reason, CANARY_STOP_NONE);
	port = 20000;
	assert_int_equal(cohort_of(canary_port(&port), SYN, 100), CANARY_CANARY);
	/* What was held against it is forgotten. */
	assert_int_equal(refuse_until_tripped(&port), 5);
	assert_int_equal(trips(), 2);
}

static void successes_count_for_the_canary(void **state)
{
	unsigned port = 1000;

	(void)state;
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 10000});
	for (int i = 0; i < 60; i++) {
		unsigned sport = canary_port(&port);

		assert_int_equal(cohort_of(sport, SYN, 100), CANARY_CANARY);
		if (i % 10 == 9)
			refuse(sport);
		else
			assert_int_equal(cohort_of(sport, ACK, 101), CANARY_CANARY);
	}
	assert_false(guard_now().stopped);
}

static void half_open_ones_trip_it_where_nothing_else_is_seen(void **state)
{
	const struct service web = {.forward = CANARY_FORWARD_L2, .weight = 1000};
	unsigned port = 1000;

	(void)state;
	/* Of the canary's buckets a tenth of all are watched. */
	configure_web(web);
	for (int i = 0; i < 15; i++)
		assert_int_equal(cohort_of(canary_port(&port), SYN, 100), CANARY_CANARY);
	handshakes_time_out(web);
	wait_until(is_stopped, "the breaker");
	assert_true(guard_now().failures[CANARY_CANARY] <= 15);
}

static void while_stable_fails_as_well_it_does_not_trip(void **state)
{
	const struct service web = {.forward = CANARY_FORWARD_L2, .weight = 2000};
	unsigned port;

	(void)state;
	configure_web(web);
	for (port = 1000; port < 5000; port++)
		assert_int_equal(packet(port, SYN, 100, NULL), XDP_REDIRECT);
	handshakes_time_out(web);
	wait_for_sweeper();
	assert_false(guard_now().stopped);
	/* Of each cohort half are watched. */
	assert_in_range(guard_now().failures[CANARY_CANARY], 300, 500);
	assert_in_range(guard_now().failures[CANARY_STABLE], 1400, 1800);
}

static void a_client_fails_once(void **state)
{
	struct canary_outcomes outcomes;
	unsigned failed = 0;

	(void)state;
	configure_web(
		(struct service){.forward = CANARY_FORWARD_NAT, .weight = 10000, .affinity = CANARY_AFFINITY_CLIENT});
	for (unsigned port = 1000; port < 1100; port++) {
		assert_int_equal(cohort_of(port, SYN, 100), CANARY_CANARY);
		refuse(port);
	}
	assert_false(guard_now().stopped);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	for (int i = 0; i <= CANARY_EPOCHS; i++)
		failed += outcomes.epochs[i].count[CANARY_CANARY][CANARY_OUTCOME_FAILED];
	assert_int_equal(failed, 1);
}

static void a_breaker_that_is_off_stays_closed(void **state)
{
	unsigned port = 1000;

	(void)state;
	configure_web((struct service){.forward = CANARY_FORWARD_NAT, .weight = 5000, .no_breaker = true});
	assert_int_equal(refuse_until_tripped(&port), 51);
}

/* A place is given to another service after a second: handshakes of the one before may still be open then. */
static void a_new_service_pays_for_no_other(void **state)
{
	const struct service web = {.forward = CANARY_FORWARD_NAT, .weight = 5000};
	struct canary_outcomes outcomes;
	unsigned port = 1000;
	__u32 id;

	(void)state;
	configure_web(web);
	id = find_service("web")->id;
	for (int i = 0; i < 20; i++)
		assert_int_equal(cohort_of(canary_port(&port), SYN, 100), CANARY_CANARY);
	configure(NULL, 0);
	usleep(1100000);
	configure_web(web);
	assert_int_equal(find_service("web")->id, id);
	handshakes_time_out(web);
	wait_for_sweeper();
	assert_false(guard_now().stopped);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	for (int i = 0; i <= CANARY_EPOCHS; i++)
		assert_int_equal(outcomes.epochs[i].count[CANARY_CANARY][CANARY_OUTCOME_HALF_OPEN], 0);
}

/* By the packet itself: the sweeper may not have come by yet. */
static void a_lease_ends_with_the_first_flow_after_it(void **state)
{
	struct timespec until;
	unsigned port = 1000, open, next;
	struct guard guard;

	(void)state;
	configure_web((struct service){.forward = CANARY_FORWARD_L2, .weight = 10000, .lease = 3});
	guard = guard_now();
	assert_true(guard.lease_expires_ns > 0);
	assert_false(guard.lease_expired);
	open = canary_port(&port);
	next = canary_port(&port);
	assert_int_equal(cohort_of(open, SYN, 100), CANARY_CANARY);
	assert_int_equal(cohort_of(open, ACK, 101), CANARY_CANARY);
	until.tv_sec = guard.lease_expires_ns / 1000000000;
	until.tv_nsec = guard.lease_expires_ns % 1000000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	usleep(10000); /* the coarse clock's tick */
	assert_int_equal(cohort_of(next, SYN, 100), CANARY_STABLE);
	assert_true(guard_now().stopped);
	assert_int_equal(guard_now().reason, CANARY_STOP_LEASE);
	assert_int_equal(cohort_of(open, ACK, 101), CANARY_CANARY);
}

static void a_renewed_lease_goes_on_and_an_expired_one_does_not(void **state)
{
	struct error error;

	(void)state;
	configure_web((struct service){.forward = CANARY_FORWARD_L2, .weight = 10000, .lease = 3});
	for (int i = 0; i < 4; i++) {
		usleep(1000000);
		assert_int_equal(dataplane_renew_lease(env.dataplane, find_service("web"), 3, &error), 0);
	}
	assert_false(guard_now().stopped);
	wait_until(is_stopped, "the lease to end");
	assert_true(guard_now().lease_expired);
	assert_int_equal(dataplane_renew_lease(env.dataplane, find_service("web"), 1, &error), -ESTALE);
	assert_true(guard_now().stopped);
}

static bool lease_has_expired(void)
{
	return guard_now().reason == CANARY_STOP_LEASE;
}

static void a_lease_may_hold(void **state)
{
	unsigned port = 1000;

	(void)state;
	configure_web((struct service){
		.forward = CANARY_FORWARD_L2, .weight = 10000, .lease = 1, .on_expiry = CANARY_EXPIRY_HOLD});
	wait_until(lease_has_expired, "the lease to end");
	assert_false(guard_now().stopped);
	assert_true(guard_now().lease_expired);
	assert_int_equal(guard_now().reason, CANARY_STOP_LEASE);
	assert_int_equal(cohort_of(canary_port(&port), SYN, 100), CANARY_CANARY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refusals_in_a_row_trip_it_at_any_weight),
		TEST(a_trip_moves_new_flows_and_no_others),
		TEST(only_an_assignment_clears_it),
		TEST(successes_count_for_the_canary),
		TEST(half_open_ones_trip_it_where_nothing_else_is_seen),
		TEST(while_stable_fails_as_well_it_does_not_trip),
		TEST(a_client_fails_once),
		TEST(a_breaker_that_is_off_stays_closed),
		TEST(a_new_service_pays_for_no_other),
		TEST(a_lease_ends_with_the_first_flow_after_it),
		TEST(a_renewed_lease_goes_on_and_an_expired_one_does_not),
		TEST(a_lease_may_hold),
	};

	return RUN(tests);
}
