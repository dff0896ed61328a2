/* SPDX-License-Identifier: Apache-2.0 */
/* What is not for a service, or not for us to answer, goes up the stack untouched, byte for byte. */
#include "lib_run.h"

#include <stdlib.h>
#include <string.h>

#define HOST "192.0.2.1"
#define HOST6 "2001:db8:2::1"

#define NOT_OURS "front.passed front.not_ours"

static void web_services(void)
{
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .stable = "10.0.0.11:8080"},
		  {.name = "dns", .endpoint = VIP ":53", .proto = IPPROTO_UDP, .stable = "10.0.0.11:53"},
		  {.name = "web6", .endpoint = "[" VIP6 "]:80", .stable = "[2001:db8:10::11]:8080"});
}

struct row {
	const char *what;
	struct spec in;
};

static void all_pass(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		EXPECT(rows[i].what, FRONT, &rows[i].in, XDP_PASS, NULL, NOT_OURS);
}
#define ALL_PASS(rows) all_pass(rows, sizeof(rows) / sizeof(*(rows)))

static void case01_other_traffic_passes_untouched(void **state)
{
	static const struct row rows[] = {
		{"ssh", {.src = CLIENT, .dst = HOST, .sport = 40000, .dport = 22, .flags = SYN}},
		{"ssh over IPv6", {.src = CLIENT6, .dst = HOST6, .sport = 40000, .dport = 22, .flags = SYN}},
		{"a service's address, another port",
		 {.src = CLIENT, .dst = VIP, .sport = 40000, .dport = 81, .flags = SYN}},
		{"a service's address and port, another protocol",
		 {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 40000, .dport = 80, .payload = 9}},
		{"a service's port, another address",
		 {.src = CLIENT, .dst = HOST, .sport = 40000, .dport = 80, .flags = SYN}},
		{"a protocol without ports", {.src = CLIENT, .dst = HOST, .proto = 89, .payload = 44}},
		{"the same to a service's address", {.src = CLIENT, .dst = VIP, .proto = 47, .payload = 44}},
		{"ARP", {.src = CLIENT, .dst = HOST, .ethertype = 0x0806, .payload = 8}},
		{"an EtherType nobody knows", {.src = CLIENT, .dst = VIP, .dport = 80, .ethertype = 0x1234}},
		{"a length instead of an EtherType", {.src = CLIENT, .dst = VIP, .dport = 80, .ethertype = 60}},
		{"UDP of odd length",
		 {.src = CLIENT, .dst = HOST, .proto = IPPROTO_UDP, .sport = 1, .dport = 2, .payload = 1}},
		{"a frame of a link header alone",
		 {.src = CLIENT, .dst = VIP, .dport = 80, .sport = 1, .flags = SYN, .cut = 14}},
		{"an IPv4 header that is cut short",
		 {.src = CLIENT, .dst = VIP, .dport = 80, .sport = 1, .flags = SYN, .cut = 33}},
		{"an IPv6 header that is cut short",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .sport = 1, .flags = SYN, .cut = 53}},
		{"IPv4 by its EtherType, not by its version",
		 {.src = CLIENT, .dst = VIP, .version = 6, .sport = 1, .dport = 80, .flags = SYN}},
		{"IPv6 by its EtherType, not by its version",
		 {.src = CLIENT6, .dst = VIP6, .version = 4, .sport = 1, .dport = 80, .flags = SYN}},
		{"a SYN of three fragments",
		 {.src = CLIENT, .dst = VIP, .frag = IPV4_MF | 10, .sport = 1, .dport = 80, .flags = SYN}},
		{"a datagram larger than a page's half",
		 {.src = CLIENT, .dst = HOST, .proto = IPPROTO_UDP, .sport = 1, .dport = 53, .payload = 3000}},
	};

	(void)state;
	web_services();
	ALL_PASS(rows);
}

/* They stand for IPv4's addresses in tables; in an IPv6 packet they are nobody's service. */
static void case01_ipv6_packets_with_ipv4_mapped_addresses_pass(void **state)
{
	static const struct spec specs[] = {
		{.src = CLIENT6, .dst = "::ffff:" VIP, .sport = 40000, .dport = 80, .flags = SYN},
		{.src = "::ffff:" CLIENT, .dst = "::ffff:" VIP, .sport = 40000, .dport = 80, .flags = SYN},
		{.src = "::ffff:" CLIENT, .dst = VIP6, .sport = 40000, .dport = 80, .flags = SYN},
	};

	(void)state;
	web_services();
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct packet packet;
		struct outcome out;

		packet_build(&specs[i], NULL, &packet);
		run_packet(FRONT, &packet, &out);
		assert_int_equal(out.verdict, XDP_PASS);
		assert_int_equal(out.packet.len, packet.len);
		assert_memory_equal(out.packet.data, packet.data, packet.len);
	}
}

static void case01_what_is_broken_passes_if_it_is_not_for_a_service(void **state)
{
	static const struct row rows[] = {
		{"IP options", {.src = CLIENT, .dst = HOST, .ip_options = 40, .sport = 1, .dport = 22, .flags = SYN}},
		{"IHL below 5", {.src = CLIENT, .dst = HOST, .ihl = 4, .sport = 1, .dport = 22, .flags = SYN}},
		{"IHL 0", {.src = CLIENT, .dst = HOST, .ihl = 16, .sport = 1, .dport = 22, .flags = SYN}},
		{"a total length beyond the frame",
		 {.src = CLIENT, .dst = HOST, .length = 500, .sport = 1, .dport = 22, .flags = SYN}},
		{"a total length shorter than the header",
		 {.src = CLIENT, .dst = HOST, .length = 19, .sport = 1, .dport = 22, .flags = SYN}},
		{"a payload length beyond the frame",
		 {.src = CLIENT6, .dst = HOST6, .length = 500, .sport = 1, .dport = 22, .flags = SYN}},
		{"TCP cut short", {.src = CLIENT, .dst = HOST, .sport = 1, .dport = 22, .flags = SYN, .cut = 40}},
		{"UDP cut short",
		 {.src = CLIENT, .dst = HOST, .proto = IPPROTO_UDP, .sport = 1, .dport = 22, .payload = 5, .cut = 38}},
		{"SYN and FIN at once", {.src = CLIENT, .dst = HOST, .sport = 1, .dport = 22, .flags = SYN | FIN}},
		{"no TCP flag at all", {.src = CLIENT, .dst = HOST, .sport = 1, .dport = 22}},
		{"a service's address, broken, another port",
		 {.src = CLIENT, .dst = VIP, .sport = 1, .dport = 22, .flags = SYN | FIN}},
		{"a first fragment",
		 {.src = CLIENT, .dst = HOST, .frag = IPV4_MF, .sport = 1, .dport = 22, .flags = SYN}},
		{"a last fragment", {.src = CLIENT, .dst = HOST, .frag = 185, .proto = IPPROTO_UDP, .payload = 100}},
		{"IPv6 extension headers without end",
		 {.src = CLIENT6,
		  .dst = HOST6,
		  .sport = 1,
		  .dport = 22,
		  .flags = SYN,
		  .ext = {EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8),
			  EXT(60, 8)}}},
		{"an IPv6 extension header cut short",
		 {.src = CLIENT6, .dst = HOST6, .dport = 22, .flags = SYN, .ext = {EXT(60, 8)}, .cut = 58}},
		{"an IPv6 fragment",
		 {.src = CLIENT6,
		  .dst = HOST6,
		  .dport = 22,
		  .flags = SYN,
		  .ext = {{.type = 44, .len = 8, .fragment = 0x0008}}}},
		{"a routing header that is not at its end yet",
		 {.src = CLIENT6,
		  .dst = VIP6,
		  .sport = 1,
		  .dport = 80,
		  .flags = SYN,
		  .ext = {{.type = 43, .len = 24, .segments_left = 1}}}},
	};

	(void)state;
	web_services();
	ALL_PASS(rows);
}

static void case02_icmp_echo_of_the_host_passes(void **state)
{
	static const struct row rows[] = {
		{"ping of the host",
		 {.src = CLIENT,
		  .dst = HOST,
		  .proto = IPPROTO_ICMP,
		  .icmp_type = 8,
		  .icmp_rest = 0x10001,
		  .payload = 56}},
		{"neighbour solicitation",
		 {.src = CLIENT6, .dst = HOST6, .ttl = 255, .proto = IPPROTO_ICMPV6, .icmp_type = 135, .payload = 24}},
		{"echo reply", {.src = CLIENT, .dst = HOST, .proto = IPPROTO_ICMP, .payload = 56}},
	};

	(void)state;
	web_services();
	ALL_PASS(rows);
}

static void case19_what_is_not_for_our_mac_is_never_forwarded(void **state)
{
	static const char *const others[] = {"ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01",
					     "02:00:00:00:00:02", "02:99:99:99:99:99"};

	(void)state;
	web_services();
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct spec in = {
			.to_mac = others[i], .src = CLIENT, .dst = VIP, .sport = 1, .dport = 80, .flags = SYN};
		struct spec in6 = {.to_mac = others[i], .src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN};

		EXPECT(others[i], FRONT, &in, XDP_PASS, NULL, NOT_OURS);
		EXPECT(others[i], FRONT, &in6, XDP_PASS, NULL, NOT_OURS);
	}
}

static void case14_a_hop_limit_of_1_or_0_is_left_to_the_stack(void **state)
{
	static const unsigned limits[] = {1, TTL_ZERO};
	struct spec in[] = {
		{.src = CLIENT, .dst = VIP, .sport = 1, .dport = 80, .flags = SYN},
		{.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 1, .dport = 53, .payload = 20},
		{.src = CLIENT6, .dst = VIP6, .sport = 1, .dport = 80, .flags = SYN},
	};

	(void)state;
	web_services();
	for (size_t i = 0; i < 6; i++) {
		in[i / 2].ttl = limits[i % 2];
		EXPECT("hop limit at its end", FRONT, &in[i / 2], XDP_PASS, NULL, "front.passed");
	}
	assert_int_equal(established_flows(), 0);
	assert_int_equal(opening_flows(), 0);
	assert_int_equal(ways_back(), 0);
}

static void the_hosts_own_connections_to_a_backend_are_left_alone(void **state)
{
	struct spec answer = {.from_mac = "10.0.0.11",
			      .to_mac = "back",
			      .src = "10.0.0.11",
			      .dst = "10.0.0.1",
			      .sport = 8080,
			      .dport = 50000,
			      .flags = SYN | ACK};
	struct spec answer6 = {.from_mac = "2001:db8:10::11",
			       .to_mac = "back",
			       .src = "2001:db8:10::11",
			       .dst = "2001:db8:10::1",
			       .sport = 8080,
			       .dport = 50000,
			       .flags = SYN | ACK};
	struct spec other = {.from_mac = "10.0.0.11",
			     .to_mac = "back",
			     .src = "10.0.0.11",
			     .dst = CLIENT,
			     .sport = 8080,
			     .dport = 50000,
			     .flags = SYN | ACK};

	(void)state;
	web_services();
	EXPECT("a health check's answer", BACK, &answer, XDP_PASS, NULL, "back.passed back.not_ours");
	EXPECT("the same, IPv6", BACK, &answer6, XDP_PASS, NULL, "back.passed back.not_ours");
	EXPECT("a backend's answer to nobody we know", BACK, &other, XDP_PASS, NULL, "back.passed back.not_ours");
	other.flags = SYN | FIN;
	EXPECT("a broken one", BACK, &other, XDP_PASS, NULL, "back.passed back.not_ours");
}

static void a_deleted_services_packets_pass(void **state)
{
	struct spec syn = {.src = CLIENT, .dst = VIP, .sport = 4000, .dport = 80, .flags = SYN, .seq = 5};
	struct spec want = translated(syn, BACK, "10.0.0.11", 8080);
	struct spec answer = {.from_mac = "10.0.0.11",
			      .to_mac = "back",
			      .src = "10.0.0.11",
			      .dst = CLIENT,
			      .sport = 8080,
			      .dport = 4000,
			      .flags = SYN | ACK};
	struct spec broken = {.src = CLIENT, .dst = VIP, .ihl = 4, .dport = 80, .flags = SYN};

	(void)state;
	web_services();
	EXPECT("a flow", FRONT, &syn, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.11:8080");
	CONFIGURE({.name = "dns", .endpoint = VIP ":53", .proto = IPPROTO_UDP, .stable = "10.0.0.11:53"});
	EXPECT("after the deletion", FRONT, &syn, XDP_PASS, NULL, NOT_OURS);
	EXPECT("the backend's answer", BACK, &answer, XDP_PASS, NULL, "back.passed back.not_ours");
	EXPECT("broken, and another service has the address", FRONT, &broken, XDP_DROP, NULL, "front.malformed");
	CONFIGURE({.name = "web6", .endpoint = "[" VIP6 "]:80", .stable = "[2001:db8:10::11]:8080"});
	EXPECT("broken, and no service has the address", FRONT, &broken, XDP_PASS, NULL, NOT_OURS);
}

static void an_interface_can_be_detached_and_attached_again(void **state)
{
	struct spec syn = {.src = CLIENT, .dst = VIP, .sport = 4000, .dport = 80, .flags = SYN};
	struct error error;
	bool already;

	(void)state;
	web_services();
	assert_int_equal(dataplane_detach(env.dataplane, &env.interfaces[FRONT], &error), 0);
	assert_int_equal(dataplane_attach(env.dataplane, &env.interfaces[FRONT], ATTACH_NATIVE, &already, &error), 0);
	assert_false(already);
	syn.dport = 22;
	EXPECT("attached again", FRONT, &syn, XDP_PASS, NULL, NOT_OURS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case01_other_traffic_passes_untouched),
		TEST(case01_ipv6_packets_with_ipv4_mapped_addresses_pass),
		TEST(case01_what_is_broken_passes_if_it_is_not_for_a_service),
		TEST(case02_icmp_echo_of_the_host_passes),
		TEST(case14_a_hop_limit_of_1_or_0_is_left_to_the_stack),
		TEST(case19_what_is_not_for_our_mac_is_never_forwarded),
		TEST(the_hosts_own_connections_to_a_backend_are_left_alone),
		TEST(a_deleted_services_packets_pass),
		TEST(an_interface_can_be_detached_and_attached_again),
	};

	return RUN(tests);
}
