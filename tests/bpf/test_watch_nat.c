/* SPDX-License-Identifier: Apache-2.0 */
/* What nat sees of how connections begin: the backend's packets as well. */
#include "lib_watch.h"

/* nat: an answer of the canary's backend. */
static void backend(unsigned dport, unsigned flags, unsigned payload)
{
	struct spec spec = {.from_mac = "10.0.0.21",
			    .to_mac = "back",
			    .src = "10.0.0.21",
			    .dst = CLIENT,
			    .sport = 80,
			    .dport = dport,
			    .flags = flags,
			    .seq = 5000,
			    .payload = payload};

	run_redirected(BACK, &spec);
}

static void nat_sees_both_sides(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_NAT, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	backend(port, SYN | ACK, 0);
	backend(port, SYN | ACK, 0);
	client(port, ACK, 101, 0);
	saw(CANARY_CANARY, "opened=1 completed=1");
	client(port, ACK | PSH, 101, 30);
	backend(port, ACK, 0);
	assert_int_equal(timed(CANARY_CANARY, CANARY_HISTOGRAM_RESPONSE), 0);
	assert_false(nothing_goes_on());
	backend(port, ACK | PSH, 500);
	assert_int_equal(timed(CANARY_CANARY, CANARY_HISTOGRAM_RESPONSE), 1);
	assert_int_equal(timed(CANARY_CANARY, CANARY_HISTOGRAM_SYN_ACK), 1);
	assert_int_equal(timed(CANARY_CANARY, CANARY_HISTOGRAM_HANDSHAKE), 1);
	assert_true(nothing_goes_on());
	backend(port, RST | ACK, 0);
	client(port, RST | ACK, 131, 0);
	saw(CANARY_CANARY, "opened=1 completed=1");
}

static void nat_sees_how_a_backend_fails(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_NAT, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	backend(port, RST | ACK, 0);
	saw(CANARY_CANARY, "opened=1 refused=1 failed=1");

	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK | PSH, 101, 10);
	backend(port, RST | ACK, 0);
	saw(CANARY_CANARY, "opened=2 completed=1 refused=1 server_reset_early=1 failed=2");

	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	client(port, ACK | PSH, 101, 10);
	client(port, FIN | ACK, 111, 0); /* has said all, and waits */
	backend(port, FIN | ACK, 0);
	saw(CANARY_CANARY, "opened=3 completed=2 refused=1 server_reset_early=1 no_reply=1 failed=3");

	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK | PSH, 101, 10);
	client(port, RST | ACK, 111, 0);
	saw(CANARY_CANARY,
	    "opened=4 completed=3 refused=1 server_reset_early=1 no_reply=1 client_reset_early=1 failed=4");
	assert_true(nothing_goes_on());
}

static void nat_waits_for_an_answer_and_no_longer(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_NAT, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	client(port, ACK | PSH, 101, 10);
	time_out(CANARY_FORWARD_NAT, 5000);
	backend(port, ACK | PSH, 10);
	saw(CANARY_CANARY, "opened=1 completed=1 no_reply=1 failed=1");
	/* A connection that is opened ahead of its use has not failed. */
	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	time_out(CANARY_FORWARD_NAT, 5000);
	client(port, ACK | PSH, 101, 10);
	/* One whose backend speaks first neither. */
	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	backend(port, ACK | PSH, 10);
	client(port, ACK | PSH, 101, 10);
	saw(CANARY_CANARY, "opened=3 completed=3 no_reply=1 failed=1");
	assert_int_equal(timed(CANARY_CANARY, CANARY_HISTOGRAM_RESPONSE), 0);
	assert_true(nothing_goes_on());
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(nat_sees_both_sides),
		TEST(nat_sees_how_a_backend_fails),
		TEST(nat_waits_for_an_answer_and_no_longer),
	};

	return RUN(tests);
}
