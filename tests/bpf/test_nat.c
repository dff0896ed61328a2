/* SPDX-License-Identifier: Apache-2.0 */
/* nat: both directions, its checksums, and the clash of two connections at one backend. */
#include "lib_run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void services(void)
{
	CONFIGURE({.name = "tcp4", .endpoint = VIP ":80", .stable = BACK4 ":8080"},
		  {.name = "udp4", .endpoint = VIP ":53", .proto = IPPROTO_UDP, .stable = BACK4 ":5353"},
		  {.name = "tcp6", .endpoint = "[" VIP6 "]:80", .stable = "[" BACK6 "]:8080"},
		  {.name = "udp6", .endpoint = "[" VIP6 "]:53", .proto = IPPROTO_UDP, .stable = "[" BACK6 "]:5353"});
}

static const struct spec requests[] = {
	{.src = CLIENT, .dst = VIP, .sport = 4001, .dport = 80, .flags = SYN, .seq = 77, .tcp_options = 20, .id = 4711},
	{.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 4002, .dport = 53, .payload = 33, .ip_options = 8},
	{.src = CLIENT6, .dst = VIP6, .sport = 4003, .dport = 80, .flags = SYN, .seq = 77, .payload = 5},
	{.src = CLIENT6, .dst = VIP6, .proto = IPPROTO_UDP, .sport = 4004, .dport = 53, .payload = 1, .ttl = 2},
};
static const char *const backends[] = {BACK4, BACK4, BACK6, BACK6};
static const unsigned ports[] = {8080, 5353, 8080, 5353};
static const char *const flow_counters[] = {"flow:tcp4.stable:10.0.0.11:8080", "flow:udp4.stable:10.0.0.11:5353",
					    "flow:tcp6.stable:[2001:db8:10::11]:8080",
					    "flow:udp6.stable:[2001:db8:10::11]:5353"};
static const char *const packet_counters[] = {"packet:tcp4.stable:10.0.0.11:8080", "packet:udp4.stable:10.0.0.11:5353",
					      "packet:tcp6.stable:[2001:db8:10::11]:8080",
					      "packet:udp6.stable:[2001:db8:10::11]:5353"};
static const char *const reply_counters[] = {"reply:tcp4.stable", "reply:udp4.stable", "reply:tcp6.stable",
					     "reply:udp6.stable"};

/* What the backend answers to a request, and what the client should see of it. */
static struct spec answer_to(int i)
{
	struct spec answer = requests[i];

	answer.from_mac = backends[i];
	answer.to_mac = "back";
	answer.src = backends[i];
	answer.dst = requests[i].src;
	answer.sport = ports[i];
	answer.dport = requests[i].sport;
	answer.flags = answer.proto ? 0 : SYN | ACK;
	answer.seq = 1000000;
	answer.ack = 78;
	answer.ip_options = 0;
	answer.ttl = 0;
	return answer;
}

static struct spec seen_by_client(struct spec answer, int i)
{
	answer = sent_on(answer, FRONT, i < 2 ? "192.0.2.254" : "2001:db8:2::fe");
	answer.src = requests[i].dst;
	answer.sport = requests[i].dport;
	return answer;
}

static void open_flows(void)
{
	for (int i = 0; i < 4; i++) {
		struct spec want = translated(requests[i], BACK, backends[i], ports[i]);

		EXPECT("a flow opens", FRONT, &requests[i], XDP_REDIRECT, &want, flow_counters[i]);
	}
}

static void nat_to_the_backend_and_back(void **state)
{
	(void)state;
	services();
	open_flows();
	for (int i = 0; i < 4; i++) {
		struct spec answer = answer_to(i), seen = seen_by_client(answer, i);

		EXPECT("the way back", BACK, &answer, XDP_REDIRECT, &seen, reply_counters[i]);
		answer.payload = seen.payload = 1400;
		answer.flags = seen.flags = answer.proto ? 0 : PSH | ACK;
		EXPECT("more of it", BACK, &answer, XDP_REDIRECT, &seen, reply_counters[i]);
		answer.ttl = 1;
		EXPECT("a hop limit of 1", BACK, &answer, XDP_PASS, NULL, "back.passed");
	}
}

static void case21_nat_out_of_the_interface_it_came_in_at(void **state)
{
	struct spec in = requests[0], want = translated(in, FRONT, "192.0.2.11", 8080), answer, seen;

	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .stable = "192.0.2.11:8080"});
	EXPECT("there", FRONT, &in, XDP_TX, &want, "flow:web.stable:192.0.2.11:8080");
	answer = answer_to(0);
	answer.to_mac = "front";
	answer.from_mac = answer.src = "192.0.2.11";
	seen = seen_by_client(answer, 0);
	EXPECT("back", FRONT, &answer, XDP_TX, &seen, "reply:web.stable");
}

static void nat_keeps_padding(void **state)
{
	struct spec in = {
		.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 1, .dport = 53, .payload = 3, .trailer = 15};
	struct spec want = translated(in, BACK, BACK4, 5353);

	(void)state;
	services();
	EXPECT("15 bytes", FRONT, &in, XDP_REDIRECT, &want, "flow:udp4.stable:10.0.0.11:5353");
}

static void broken_answers_have_their_reason(void **state)
{
	struct spec answer = answer_to(0);

	(void)state;
	services();
	open_flows();
	answer.flags = SYN | FIN;
	EXPECT("impossible flags", BACK, &answer, XDP_DROP, NULL, "back.malformed");
	answer = answer_to(1);
	run_command("ip neighbour del 192.0.2.254 dev front");
	answer = answer_to(1);
	EXPECT("the clients' router is not known", BACK, &answer, XDP_DROP, NULL, "udp4.stable.no_neighbour");
	run_command("ip neighbour add 192.0.2.254 dev front lladdr 02:04:c0:00:02:fe nud permanent");
}

static void case15_a_udp_checksum_of_0_stays_0(void **state)
{
	struct spec in = requests[1], want, answer, seen;

	(void)state;
	services();
	in.check = CHECK_NONE;
	want = translated(in, BACK, BACK4, 5353);
	EXPECT("to the backend", FRONT, &in, XDP_REDIRECT, &want, "flow:udp4.stable:10.0.0.11:5353");
	answer = answer_to(1);
	answer.check = CHECK_NONE;
	seen = seen_by_client(answer, 1);
	EXPECT("back", BACK, &answer, XDP_REDIRECT, &seen, "reply:udp4.stable");
}

static unsigned udp_check(const struct spec *spec)
{
	struct packet packet;

	packet_build(spec, NULL, &packet);
	return packet.data[packet.l4 + 6] << 8 | packet.data[packet.l4 + 7];
}

/* Finds the payload for which the packet's checksum comes out as 0, which is sent as 0xffff. */
static void find_check_of_ones(struct spec *spec)
{
	spec->payload = 20;
	for (spec->word = 1; udp_check(spec) != 0xffff; spec->word++)
		assert_true(spec->word < 0xffff);
}

static void case15_a_computed_0_becomes_ones(void **state)
{
	(void)state;
	services();
	open_flows();
	for (int i = 1; i < 4; i += 2) {
		struct spec in = requests[i], want = translated(in, BACK, backends[i], ports[i]);
		struct spec answer = answer_to(i), seen = seen_by_client(answer, i);

		find_check_of_ones(&want);
		in.payload = want.payload;
		in.word = want.word;
		EXPECT("to the backend", FRONT, &in, XDP_REDIRECT, &want, packet_counters[i]);
		find_check_of_ones(&seen);
		answer.payload = seen.payload;
		answer.word = seen.word;
		EXPECT("back", BACK, &answer, XDP_REDIRECT, &seen, reply_counters[i]);
	}
}

static void case15_ones_become_what_they_should(void **state)
{
	(void)state;
	services();
	open_flows();
	for (int i = 1; i < 4; i += 2) {
		struct spec in = requests[i], want;

		find_check_of_ones(&in);
		want = translated(in, BACK, backends[i], ports[i]);
		EXPECT("to the backend", FRONT, &in, XDP_REDIRECT, &want, packet_counters[i]);
	}
}

static void case15_checksums_are_right_for_any_packet(void **state)
{
	(void)state;
	services();
	open_flows();
	for (int n = 0; n < 2000; n++) {
		int i = n % 4;
		struct spec in = requests[i], want;

		in.filler = n;
		in.payload = 2 + n % 61;
		in.word = 1 + n * 331 % 65535;
		in.ttl = 2 + n % 254;
		in.id = n * 77 % 65536;
		in.flags = ACK;
		want = translated(in, BACK, backends[i], ports[i]);
		EXPECT("a packet", FRONT, &in, XDP_REDIRECT, &want, packet_counters[i]);
	}
}

/* A wrong checksum must not become right: whoever receives the packet has to notice. */
static void case15_a_wrong_checksum_stays_wrong(void **state)
{
	struct spec in = requests[0], want;
	struct packet packet;
	struct outcome out;

	(void)state;
	services();
	in.check = CHECK_VALUE;
	in.check_value = 0x1234;
	packet_build(&in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
	want = translated(requests[0], BACK, BACK4, 8080);
	packet_build(&want, NULL, &packet);
	assert_memory_not_equal(out.packet.data + packet.l4 + 16, packet.data + packet.l4 + 16, 2);
}

static void case17_an_any_port_service_keeps_the_port(void **state)
{
	struct spec in = requests[0], want, answer, seen;

	(void)state;
	CONFIGURE({.name = "all", .endpoint = VIP ":0", .stable = BACK4});
	in.dport = 12345;
	want = translated(in, BACK, BACK4, 12345);
	EXPECT("there", FRONT, &in, XDP_REDIRECT, &want, "flow:all.stable:10.0.0.11:0");
	answer = answer_to(0);
	answer.sport = 12345;
	seen = seen_by_client(answer, 0);
	seen.sport = 12345;
	EXPECT("back", BACK, &answer, XDP_REDIRECT, &seen, "reply:all.stable");
	answer.sport = 12346;
	EXPECT("another port of the backend's is its own", BACK, &answer, XDP_PASS, NULL, "back.passed back.not_ours");
}

static void two_services(const char *list, int proto)
{
	CONFIGURE({.name = "one", .endpoint = VIP ":81", .proto = proto, .stable = list},
		  {.name = "two", .endpoint = VIP ":82", .proto = proto, .stable = list});
}

static void nat_collision_is_dropped_where_no_other_backend_is(void **state)
{
	(void)state;
	for (int udp = 0; udp < 2; udp++) {
		int proto = udp ? IPPROTO_UDP : IPPROTO_TCP;
		struct spec one = {
			.src = CLIENT, .dst = VIP, .proto = proto, .sport = 4444, .dport = 81, .flags = SYN, .seq = 1};
		struct spec two = one, want = translated(one, BACK, BACK4, 8080), answer, seen;

		two_services(BACK4 ":8080", proto);
		two.dport = 82;
		EXPECT("the first", FRONT, &one, XDP_REDIRECT, &want, "flow:one.stable:10.0.0.11:8080");
		EXPECT("the second", FRONT, &two, XDP_DROP, NULL, "two.stable.nat_collision");
		two.flags = one.flags = ACK;
		EXPECT("its next packet", FRONT, &two, XDP_DROP, NULL, "two.stable.nat_collision");
		want.flags = ACK;
		EXPECT("the first is undisturbed", FRONT, &one, XDP_REDIRECT, &want,
		       "packet:one.stable:10.0.0.11:8080");
		answer = (struct spec){.from_mac = BACK4,
				       .to_mac = "back",
				       .src = BACK4,
				       .dst = CLIENT,
				       .proto = proto,
				       .sport = 8080,
				       .dport = 4444,
				       .flags = ACK};
		seen = sent_on(answer, FRONT, "192.0.2.254");
		seen.src = VIP;
		seen.sport = 81;
		EXPECT("and so is its way back", BACK, &answer, XDP_REDIRECT, &seen, "reply:one.stable");
		two.sport = 4445;
		two.flags = SYN;
		want = translated(two, BACK, BACK4, 8080);
		EXPECT("another client port is free", FRONT, &two, XDP_REDIRECT, &want,
		       "flow:two.stable:10.0.0.11:8080");
	}
}

static void nat_collision_ends_with_the_first_connection(void **state)
{
	struct spec one = {.src = CLIENT, .dst = VIP, .sport = 4444, .dport = 81, .flags = SYN, .seq = 1};
	struct spec two = one, want = translated(one, BACK, BACK4, 8080), answer;

	(void)state;
	two_services(BACK4 ":8080", 0);
	two.dport = 82;
	EXPECT("the first opens", FRONT, &one, XDP_REDIRECT, &want, "flow:one.stable:10.0.0.11:8080");
	one.flags = want.flags = ACK;
	one.seq = want.seq = 2;
	EXPECT("is established", FRONT, &one, XDP_REDIRECT, &want, "packet:one.stable:10.0.0.11:8080");
	EXPECT("the second clashes", FRONT, &two, XDP_DROP, NULL, "two.stable.nat_collision");
	one.flags = want.flags = FIN | ACK;
	EXPECT("the first ends", FRONT, &one, XDP_REDIRECT, &want, "packet:one.stable:10.0.0.11:8080");
	EXPECT("the other side may go on", FRONT, &two, XDP_DROP, NULL, "two.stable.nat_collision");
	answer = (struct spec){.from_mac = BACK4,
			       .to_mac = "back",
			       .src = BACK4,
			       .dst = CLIENT,
			       .sport = 8080,
			       .dport = 4444,
			       .flags = FIN | ACK};
	want = sent_on(answer, FRONT, "192.0.2.254");
	want.src = VIP;
	want.sport = 81;
	EXPECT("it ends too", BACK, &answer, XDP_REDIRECT, &want, "reply:one.stable");
	for (int i = 0; i < 60 && ways_back(); i++)
		usleep(100000);
	assert_int_equal(ways_back(), 0);
	assert_int_equal(established_flows(), 0);
	want = translated(two, BACK, BACK4, 8080);
	EXPECT("the second opens", FRONT, &two, XDP_REDIRECT, &want, "flow:two.stable:10.0.0.11:8080");
}

static void nat_collision_ends_with_the_service(void **state)
{
	struct spec one = {.src = CLIENT, .dst = VIP, .sport = 4444, .dport = 81, .flags = SYN, .seq = 1};
	struct spec two = one, want = translated(one, BACK, BACK4, 8080);

	(void)state;
	two_services(BACK4 ":8080", 0);
	two.dport = 82;
	EXPECT("the first opens", FRONT, &one, XDP_REDIRECT, &want, "flow:one.stable:10.0.0.11:8080");
	CONFIGURE({.name = "two", .endpoint = VIP ":82", .stable = BACK4 ":8080"});
	want = translated(two, BACK, BACK4, 8080);
	EXPECT("the second opens", FRONT, &two, XDP_REDIRECT, &want, "flow:two.stable:10.0.0.11:8080");
}

/* Where a packet of a SYN goes: a backend's last address byte, 0 for a drop. */
static int sent_to(const char *src, unsigned sport, unsigned dport)
{
	struct spec in = {.src = src, .dst = VIP, .sport = sport, .dport = dport, .flags = SYN, .seq = 9};
	struct packet packet;
	struct outcome out;

	packet_build(&in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	return out.verdict == XDP_REDIRECT ? out.packet.data[33] : 0;
}

static void nat_collision_takes_another_backend(void **state)
{
	int clashes = 0;

	(void)state;
	two_services(BACK4 ":8080 10.0.0.12:8080", 0);
	for (int port = 10000; port < 10400; port++) {
		int first = sent_to(CLIENT, port, 81), second;
		const struct backend_model *would = chosen("two", CLIENT, port, 82);

		second = sent_to(CLIENT, port, 82);
		assert_true(first && second != first);
		if ((ntohl(would->addr.word[3]) & 0xff) != (unsigned)first)
			assert_int_equal(second, ntohl(would->addr.word[3]) & 0xff);
		else
			clashes++;
		assert_int_equal(second, 23 - first);
	}
	assert_true(clashes > 100);
}

static void nat_collision_takes_another_backend_of_lesser_weight(void **state)
{
	(void)state;
	two_services(BACK4 ":8080*100 10.0.0.12:8080", 0);
	for (int port = 10000; port < 10050; port++) {
		int first = sent_to(CLIENT, port, 81), second = sent_to(CLIENT, port, 82);

		assert_int_not_equal(first, 0);
		assert_int_equal(second, 23 - first);
	}
}

static void case10_what_opens_no_connection_reserves_no_way_back(void **state)
{
	static const unsigned flags[] = {RST, RST | ACK, FIN | ACK, SYN | ACK};

	(void)state;
	services();
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		struct spec in = requests[0], want;

		in.flags = flags[i];
		want = translated(in, BACK, BACK4, 8080);
		EXPECT("forwarded all the same", FRONT, &in, XDP_REDIRECT, &want, packet_counters[0]);
		assert_int_equal(ways_back(), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(nat_to_the_backend_and_back),
		TEST(case21_nat_out_of_the_interface_it_came_in_at),
		TEST(nat_keeps_padding),
		TEST(broken_answers_have_their_reason),
		TEST(case17_an_any_port_service_keeps_the_port),
		TEST(case10_what_opens_no_connection_reserves_no_way_back),
		TEST(case15_a_udp_checksum_of_0_stays_0),
		TEST(case15_a_computed_0_becomes_ones),
		TEST(case15_ones_become_what_they_should),
		TEST(case15_checksums_are_right_for_any_packet),
		TEST(case15_a_wrong_checksum_stays_wrong),
		TEST(nat_collision_is_dropped_where_no_other_backend_is),
		TEST(nat_collision_ends_with_the_first_connection),
		TEST(nat_collision_ends_with_the_service),
		TEST(nat_collision_takes_another_backend),
		TEST(nat_collision_takes_another_backend_of_lesser_weight),
	};

	return RUN(tests);
}
