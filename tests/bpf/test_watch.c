/* SPDX-License-Identifier: Apache-2.0 */
/* What the program sees of how connections begin: each watched flow has one outcome, charged to where and when it began. */
#include "lib_wait.h"
#include "lib_watch.h"

#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define OPENING 2 /* bpf/watch.h */

/* Makes the one flow that is watched one that opens, with no word to packets; or tells them. */
static void plant(bool told)
{
	int sets = open_pin("watched"), bits = open_pin("watching");
	struct canary_watched_set set;
	unsigned found = 0;

	for (__u32 place = 0; place < CANARY_WATCHED_SETS; place++) {
		__u32 key = place / 64;
		__u64 word;

		assert_int_equal(bpf_map_lookup_elem(sets, &place, &set), 0);
		if (!set.word[0])
			continue;
		found++;
		set.word[0] = (set.word[0] & ~CANARY_WATCHED_STATE) | OPENING;
		set.flow[0].isn = 100;
		set.flow[0].opened_ns = ~0ULL >> 1; /* for the sweeper, it is not due */
		assert_int_equal(bpf_map_update_elem(sets, &place, &set, BPF_ANY), 0);
		word = told ? 1ULL << place % 64 : 0;
		assert_int_equal(bpf_map_update_elem(bits, &key, &word, BPF_ANY), 0);
	}
	assert_int_equal(found, 1);
	close(sets);
	close(bits);
}

/* Else the second acknowledgement would be counted as one that completes a handshake. */
static void a_flow_whose_handshake_is_over_is_not_looked_for(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	plant(false);
	client(port, ACK, 101, 0);
	saw(CANARY_CANARY, "opened=1 completed=1");
	plant(true);
	client(port, ACK, 101, 0);
	saw(CANARY_CANARY, "opened=1 completed=2");
}

static void a_handshake_completes_once(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	saw(CANARY_CANARY, "opened=1");
	assert_false(nothing_goes_on());
	client(port, ACK, 101, 0);
	saw(CANARY_CANARY, "opened=1 completed=1");
	client(port, ACK | PSH, 101, 10);
	client(port, FIN | ACK, 111, 0);
	client(port, RST, 112, 0);
	saw(CANARY_CANARY, "opened=1 completed=1");
	saw(CANARY_STABLE, "");
	assert_int_equal(timed(CANARY_CANARY, CANARY_HISTOGRAM_HANDSHAKE), 1);
	/* What is settled looks nowhere. */
	assert_true(nothing_goes_on());
}

static void its_first_packet_after_the_syn_may_be_data(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_STABLE, true, 1000);
	client(port, SYN, 0xfffffffe, 0);
	client(port, ACK, 77, 0); /* within the first flight, beyond a wrap of the sequence */
	saw(CANARY_STABLE, "opened=1 completed=1");
}

static void what_is_of_no_handshake_says_nothing(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	client(port, ACK, 900000, 0); /* forged: another connection's numbers */
	client(port, RST, 900000, 0);
	client(port, ACK, 100, 0); /* does not acknowledge anything of the backend's */
	saw(CANARY_CANARY, "opened=1");
	client(port_in(CANARY_CANARY, true, port + 1), ACK, 1, 0);
	saw(CANARY_CANARY, "opened=1");
}

static void a_tuples_syns_are_one_flow(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	client(port, SYN, 100, 0);
	client(port, SYN, 7000000, 0); /* another ISN: the same client tries again */
	saw(CANARY_CANARY, "opened=1 syn_retransmits=2");
	client(port, ACK, 7000001, 0);
	saw(CANARY_CANARY, "opened=1 completed=1 syn_retransmits=2");
	/* After its end, another connection. */
	client(port, SYN, 200, 0);
	saw(CANARY_CANARY, "opened=2 completed=1 syn_retransmits=2");
}

static void a_client_resets(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	client(port, RST, 101, 0);
	saw(CANARY_CANARY, "opened=1 client_reset=1 failed=1");
	client(port, RST, 101, 0);
	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	client(port, RST | ACK, 101, 0);
	client(port, RST | ACK, 101, 0);
	saw(CANARY_CANARY, "opened=2 completed=1 client_reset=1 client_reset_early=1 failed=2");
	/* Not early any more. */
	port = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	time_is_up(CANARY_FORWARD_L2, 5000);
	client(port, RST | ACK, 101, 0);
	saw(CANARY_CANARY, "opened=3 completed=2 client_reset=1 client_reset_early=1 failed=2");
	assert_true(nothing_goes_on());
}

static void a_handshake_expires(void **state)
{
	unsigned port;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	port = port_in(CANARY_CANARY, true, 1000);
	client(port, SYN, 100, 0);
	wait_for_sweeper();
	saw(CANARY_CANARY, "opened=1");
	time_out(CANARY_FORWARD_L2, 5000);
	saw(CANARY_CANARY, "opened=1 half_open=1 failed=1");
	client(port, SYN, 100, 0);
	client(port, ACK, 101, 0);
	saw(CANARY_CANARY, "opened=1 half_open=1 late=1 syn_retransmits=1 failed=1");
	wait_for_sweeper();
	saw(CANARY_CANARY, "opened=1 half_open=1 late=1 syn_retransmits=1 failed=1");
	assert_true(nothing_goes_on());
}

static void only_what_the_weight_placed_is_watched(void **state)
{
	struct spec pinned = from_client(1000, SYN, 1, 0);

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	client(port_in(CANARY_CANARY, false, 1000), SYN, 1, 0);
	client(port_in(CANARY_STABLE, false, 1000), SYN, 1, 0);
	pinned.src = "198.51.100.200";
	for (unsigned port = 1000; port < 1200; port++) {
		pinned.sport = port;
		run_redirected(FRONT, &pinned);
	}
	/* No cohort but stable has a backend: what it gets is not what the weight asked for. */
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "10.0.0.11",
		   .canary = "!10.0.0.21",
		   .weight = 10000});
	for (unsigned port = 1000; port < 1200; port++)
		client(port, SYN, 1, 0);
	saw(CANARY_CANARY, "");
	saw(CANARY_STABLE, "");
}

static void an_outcome_is_charged_to_the_epoch_of_its_assignment(void **state)
{
	struct canary_outcomes outcomes;
	unsigned port, late;
	__u64 epoch;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	epoch = find_service("web")->word >> CANARY_WORD_EPOCH_SHIFT;
	port = port_in(CANARY_CANARY, true, 1000);
	late = port_in(CANARY_CANARY, true, port + 1);
	client(port, SYN, 100, 0);
	client(late, SYN, 100, 0);
	web(CANARY_FORWARD_L2, 4900);
	client(port, ACK, 101, 0);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	assert_int_equal(outcomes.epochs[epoch % CANARY_EPOCHS].epoch, epoch);
	assert_int_equal(outcomes.epochs[epoch % CANARY_EPOCHS].count[CANARY_CANARY][CANARY_OUTCOME_COMPLETED], 1);
	assert_int_equal(outcomes.epochs[(epoch + 1) % CANARY_EPOCHS].count[CANARY_CANARY][CANARY_OUTCOME_COMPLETED],
			 0);
	for (int i = 1; i <= CANARY_EPOCHS; i++)
		web(CANARY_FORWARD_L2, 4900 - i);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	assert_int_equal(outcomes.epochs[CANARY_EPOCHS].count[CANARY_CANARY][CANARY_OUTCOME_OPENED], 2);
	client(late, ACK, 101, 0);
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	assert_int_equal(outcomes.epochs[CANARY_EPOCHS].count[CANARY_CANARY][CANARY_OUTCOME_COMPLETED], 2);
	saw(CANARY_CANARY, "opened=2 completed=2");
}

/* More handshakes than can be watched: each is counted once or not at all, and that is told. */
static void a_flood_is_noticed(void **state)
{
	struct spec spec = from_client(0, SYN, 1, 0);
	__u64 counts[CANARY_OUTCOMES];
	struct canary_outcomes outcomes;
	__u64 flooded = 0;
	char source[32];

	(void)state;
	web(CANARY_FORWARD_NAT, 10000);
	for (unsigned i = 0; i < 3 * CANARY_WATCHED_SETS * CANARY_WATCHED_WAYS / 2; i++) {
		snprintf(source, sizeof(source), "198.51.%u.%u", i >> 8 & 0x3f, i & 0x7f);
		spec.src = source;
		spec.sport = 1024 + i;
		run_redirected(FRONT, &spec);
	}
	assert_int_equal(dataplane_outcomes(env.dataplane, find_service("web"), &outcomes), 0);
	for (int i = 0; i <= CANARY_EPOCHS; i++)
		flooded += outcomes.epochs[i].flooded;
	sum(CANARY_CANARY, counts);
	assert_true(flooded > 0);
	assert_true(guard_now().flooded_ns > 0);
	time_is_up(CANARY_FORWARD_NAT, 10000);
	wait_for_sweeper();
	sum(CANARY_CANARY, counts);
	assert_true(counts[CANARY_OUTCOME_HALF_OPEN] > CANARY_WATCHED_SETS * CANARY_WATCHED_WAYS / 2);
	assert_int_equal(counts[CANARY_OUTCOME_OPENED], counts[CANARY_OUTCOME_HALF_OPEN]);
	/* Handshakes that a flood left open say nothing of the canary. */
	assert_false(guard_now().stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_handshake_completes_once),
		TEST(a_flow_whose_handshake_is_over_is_not_looked_for),
		TEST(its_first_packet_after_the_syn_may_be_data),
		TEST(what_is_of_no_handshake_says_nothing),
		TEST(a_tuples_syns_are_one_flow),
		TEST(a_client_resets),
		TEST(a_handshake_expires),
		TEST(only_what_the_weight_placed_is_watched),
		TEST(an_outcome_is_charged_to_the_epoch_of_its_assignment),
		TEST(a_flood_is_noticed),
	};

	return RUN(tests);
}
