/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend a flow has, through all that changes meanwhile; and what is counted as a flow. */
#include "lib_run.h"

#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define STABLE "10.0.0.11"
#define CANARY "10.0.0.21"

static void weight(int weight)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = STABLE,
		   .canary = CANARY,
		   .weight = weight});
}

static struct spec packet(unsigned sport, unsigned flags, unsigned seq)
{
	return (struct spec){.src = CLIENT, .dst = VIP, .sport = sport, .dport = 80, .flags = flags, .seq = seq};
}

static void sent(const char *what, struct spec in, const char *backend, const char *counters)
{
	struct spec want = sent_on(in, BACK, backend);

	EXPECT(what, FRONT, &in, XDP_REDIRECT, &want, counters);
}
#define FLOW_STABLE "flow:web.stable:10.0.0.11:80"
#define FLOW_CANARY "flow:web.canary:10.0.0.21:80"
#define PACKET_STABLE "packet:web.stable:10.0.0.11:80"
#define PACKET_CANARY "packet:web.canary:10.0.0.21:80"

static void case09_a_retransmitted_syn_gets_the_first_ones_choice(void **state)
{
	(void)state;
	weight(0);
	weight(10000);
	sent("a SYN", packet(1, SYN, 100), CANARY, FLOW_CANARY);
	weight(0);
	sent("again", packet(1, SYN, 100), CANARY, PACKET_CANARY);
	sent("its ACK", packet(1, ACK, 101), CANARY, PACKET_CANARY);
	sent("the SYN again, late", packet(1, SYN, 100), CANARY, PACKET_CANARY);
	sent("data", packet(1, ACK | PSH, 101), CANARY, PACKET_CANARY);
	assert_int_equal(established_flows(), 1);
	assert_int_equal(opening_flows(), 0);
}

/* Of the flow itself nothing is remembered. */
static void case09_a_spoofed_syn_moves_nobody(void **state)
{
	(void)state;
	weight(0);
	sent("a SYN", packet(2, SYN, 100), STABLE, FLOW_STABLE);
	sent("its ACK", packet(2, ACK, 101), STABLE, PACKET_STABLE);
	weight(10000);
	sent("a SYN with another ISN", packet(2, SYN, 9000), CANARY, FLOW_CANARY);
	sent("data of the first", packet(2, ACK, 150), STABLE, PACKET_STABLE);
	sent("a bare SYN+1 without ACK", packet(2, RST, 9001), STABLE, PACKET_STABLE);
	sent("data of the first", packet(2, ACK, 200), STABLE, PACKET_STABLE);
	sent("the ACK that means it", packet(2, ACK, 9001), CANARY, PACKET_CANARY);
	sent("data of the second", packet(2, ACK, 9050), CANARY, PACKET_CANARY);
	assert_int_equal(established_flows(), 1);
	assert_int_equal(opening_flows(), 0);
}

static void case09_a_spoofed_syn_moves_nobody_who_is_remembered(void **state)
{
	(void)state;
	weight(0);
	weight(10000);
	sent("a SYN", packet(2, SYN, 100), CANARY, FLOW_CANARY);
	sent("its ACK", packet(2, ACK, 101), CANARY, PACKET_CANARY);
	weight(0);
	sent("a SYN with another ISN", packet(2, SYN, 9000), STABLE, FLOW_STABLE);
	sent("data of the first", packet(2, ACK, 150), CANARY, PACKET_CANARY);
	sent("a bare SYN+1 without ACK", packet(2, RST, 9001), CANARY, PACKET_CANARY);
	sent("data of the first", packet(2, ACK, 200), CANARY, PACKET_CANARY);
	sent("a late packet of the second's", packet(2, ACK, 9050), CANARY, PACKET_CANARY);
	sent("the ACK that means it", packet(2, ACK, 9001), STABLE, PACKET_STABLE);
	weight(10000);
	sent("data of the second", packet(2, ACK, 9050), STABLE, PACKET_STABLE);
	assert_int_equal(established_flows(), 1);
	assert_int_equal(opening_flows(), 0);
}

static void case09_an_isn_that_wraps(void **state)
{
	(void)state;
	weight(0);
	sent("a SYN", packet(3, SYN, 100), STABLE, FLOW_STABLE);
	sent("its ACK", packet(3, ACK, 101), STABLE, PACKET_STABLE);
	weight(10000);
	sent("a SYN with the last ISN", packet(3, SYN, 0xffffffff), CANARY, FLOW_CANARY);
	sent("its ACK", packet(3, ACK, 0), CANARY, PACKET_CANARY);
}

static void case10_rst_and_fin_create_nothing(void **state)
{
	static const unsigned flags[] = {RST, RST | ACK, FIN | ACK, SYN | ACK};

	(void)state;
	weight(0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		sent("forwarded by the configuration alone", packet(4, flags[i], 5), STABLE, PACKET_STABLE);
	assert_int_equal(established_flows(), 0);
	assert_int_equal(opening_flows(), 0);
	weight(10000);
	sent("and again: as before the window", packet(4, FIN | ACK, 5), STABLE, PACKET_STABLE);
	assert_int_equal(established_flows(), 0);
	assert_int_equal(opening_flows(), 0);
}

static void a_flow_older_than_our_memory_is_kept_from_now_on(void **state)
{
	(void)state;
	weight(0);
	sent("mid-flow", packet(5, ACK, 1000), STABLE, PACKET_STABLE);
	weight(10000);
	sent("stays", packet(5, ACK | PSH, 1001), STABLE, PACKET_STABLE);
	sent("to its end", packet(5, FIN | ACK, 1002), STABLE, PACKET_STABLE);
	sent("and beyond", packet(5, ACK, 1003), STABLE, PACKET_STABLE);
}

static void established_flows_stay_through_0_100_0(void **state)
{
	static const int walk[] = {500, 2500, 5000, 10000, 5000, 2500, 500, 0};
	struct {
		unsigned port;
		const char *backend;
	} flows[40];

	(void)state;
	weight(5000);
	for (int i = 0; i < 40; i++) {
		flows[i].port = 1000 + i;
		flows[i].backend = chosen("web", CLIENT, 1000 + i, 80)->cohort ? CANARY : STABLE;
		sent("opens", packet(1000 + i, SYN, i), flows[i].backend,
		     flows[i].backend[7] == '2' ? FLOW_CANARY : FLOW_STABLE);
		if (i % 2)
			sent("established", packet(1000 + i, ACK, i + 1), flows[i].backend,
			     flows[i].backend[7] == '2' ? PACKET_CANARY : PACKET_STABLE);
	}
	for (size_t j = 0; j < sizeof(walk) / sizeof(*walk); j++) {
		weight(walk[j]);
		for (int i = 0; i < 40; i++)
			sent("stays", packet(1000 + i, ACK, i + 1), flows[i].backend,
			     flows[i].backend[7] == '2' ? PACKET_CANARY : PACKET_STABLE);
	}
}

static void case12_a_drained_backend_keeps_its_flows_and_gets_no_new_ones(void **state)
{
	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.11"});
	sent("a SYN", packet(6, SYN, 100), STABLE, FLOW_STABLE);
	sent("its ACK", packet(6, ACK, 101), STABLE, PACKET_STABLE);
	sent("another SYN", packet(7, SYN, 100), STABLE, FLOW_STABLE);
	CONFIGURE(
		{.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "!10.0.0.11 10.0.0.12"});
	sent("data", packet(6, ACK, 150), STABLE, PACKET_STABLE);
	sent("the second flow's ACK", packet(7, ACK, 101), STABLE, PACKET_STABLE);
	for (int i = 0; i < 20; i++)
		sent("a new flow", packet(100 + i, SYN, 1), "10.0.0.12", "flow:web.stable:10.0.0.12:80");
}

static void case12_a_deleted_backends_flows_are_chosen_again_and_counted(void **state)
{
	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.11"});
	sent("a SYN", packet(8, SYN, 100), STABLE, FLOW_STABLE);
	sent("its ACK", packet(8, ACK, 101), STABLE, PACKET_STABLE);
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.12"});
	sent("data", packet(8, ACK, 150), "10.0.0.12", "packet:web.stable:10.0.0.12:80 web.stable.moved");
	sent("more data", packet(8, ACK, 160), "10.0.0.12", "packet:web.stable:10.0.0.12:80");
}

/* Only where an entry is written is a move counted: a FIN and what repeats it write none. */
static void case12_a_flow_that_ends_as_its_backend_is_gone_has_not_moved(void **state)
{
	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.11"});
	sent("a SYN", packet(8, SYN, 100), STABLE, FLOW_STABLE);
	sent("its ACK", packet(8, ACK, 101), STABLE, PACKET_STABLE);
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.12"});
	sent("its end", packet(8, FIN | ACK, 150), "10.0.0.12", "packet:web.stable:10.0.0.12:80");
	sent("its end again", packet(8, FIN | ACK, 150), "10.0.0.12", "packet:web.stable:10.0.0.12:80");
	sent("data after all", packet(8, ACK, 150), "10.0.0.12", "packet:web.stable:10.0.0.12:80 web.stable.moved");
	sent("more of it", packet(8, ACK, 160), "10.0.0.12", "packet:web.stable:10.0.0.12:80");
}

static void udp(enum canary_track track, const char *stable, int percent)
{
	CONFIGURE({.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .track = track,
		   .stable = stable,
		   .canary = CANARY,
		   .weight = percent * 100});
}

static struct spec datagram(unsigned sport)
{
	return (struct spec){
		.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = sport, .dport = 53, .payload = 9};
}

static void udp_track_never_and_auto_follow_the_weight_at_once(void **state)
{
	static const enum canary_track tracks[] = {CANARY_TRACK_NEVER, CANARY_TRACK_AUTO};

	(void)state;
	for (int i = 0; i < 2; i++) {
		udp(tracks[i], STABLE, 0);
		sent("a datagram", datagram(1), STABLE, "flow:dns.stable:10.0.0.11:53");
		sent("another", datagram(1), STABLE, "flow:dns.stable:10.0.0.11:53");
		udp(tracks[i], STABLE, 100);
		sent("after the change", datagram(1), CANARY, "flow:dns.canary:10.0.0.21:53");
		assert_int_equal(established_flows(), 0);
	}
}

static void udp_track_always_stays(void **state)
{
	(void)state;
	udp(CANARY_TRACK_ALWAYS, STABLE, 0);
	sent("a datagram", datagram(1), STABLE, "flow:dns.stable:10.0.0.11:53");
	udp(CANARY_TRACK_ALWAYS, STABLE, 100);
	sent("after the change", datagram(1), STABLE, "packet:dns.stable:10.0.0.11:53");
	sent("a new flow", datagram(2), CANARY, "flow:dns.canary:10.0.0.21:53");
	assert_int_equal(established_flows(), 1);
	assert_int_equal(opening_flows(), 1);
}

static void udp_that_lost_its_backend_is_moved_as_tcp_is(void **state)
{
	(void)state;
	udp(CANARY_TRACK_ALWAYS, STABLE, 0);
	sent("a datagram", datagram(1), STABLE, "flow:dns.stable:10.0.0.11:53");
	sent("another", datagram(1), STABLE, "packet:dns.stable:10.0.0.11:53");
	udp(CANARY_TRACK_ALWAYS, "10.0.0.12", 0);
	sent("to another backend", datagram(1), "10.0.0.12", "packet:dns.stable:10.0.0.12:53 dns.stable.moved");
	sent("where it stays", datagram(1), "10.0.0.12", "packet:dns.stable:10.0.0.12:53");
}

static void udp_that_finds_no_other_backend_has_not_moved(void **state)
{
	struct spec in = datagram(1);

	(void)state;
	udp(CANARY_TRACK_ALWAYS, STABLE, 0);
	sent("a datagram", in, STABLE, "flow:dns.stable:10.0.0.11:53");
	CONFIGURE({.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .track = CANARY_TRACK_ALWAYS});
	EXPECT("nowhere to go", FRONT, &in, XDP_DROP, NULL, "dns.stable.no_backend");
	EXPECT("again", FRONT, &in, XDP_DROP, NULL, "dns.stable.no_backend");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case09_a_retransmitted_syn_gets_the_first_ones_choice),
		TEST(case09_a_spoofed_syn_moves_nobody),
		TEST(case09_a_spoofed_syn_moves_nobody_who_is_remembered),
		TEST(case09_an_isn_that_wraps),
		TEST(case10_rst_and_fin_create_nothing),
		TEST(a_flow_older_than_our_memory_is_kept_from_now_on),
		TEST(established_flows_stay_through_0_100_0),
		TEST(case12_a_drained_backend_keeps_its_flows_and_gets_no_new_ones),
		TEST(case12_a_deleted_backends_flows_are_chosen_again_and_counted),
		TEST(case12_a_flow_that_ends_as_its_backend_is_gone_has_not_moved),
		TEST(udp_track_never_and_auto_follow_the_weight_at_once),
		TEST(udp_track_always_stays),
		TEST(udp_that_lost_its_backend_is_moved_as_tcp_is),
		TEST(udp_that_finds_no_other_backend_has_not_moved),
	};

	return RUN(tests);
}
