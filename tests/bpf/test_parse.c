/* SPDX-License-Identifier: Apache-2.0 */
/* Odd and broken packets for a service: what is odd is forwarded, what is broken is dropped, and why is counted. */
#include "lib_run.h"

#define TO4 "10.0.0.11"
#define TO6 "2001:db8:10::11"
#define FLOW4 "flow:web.stable:10.0.0.11:80"
#define FLOW6 "flow:web6.stable:[2001:db8:10::11]:80"
#define DATAGRAM4 "flow:dns.stable:10.0.0.11:53"
#define DATAGRAM6 "flow:dns6.stable:[2001:db8:10::11]:53"

/* l2, so that what goes out is what came in, but for its link header and hop limit. */
static void services(void)
{
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = TO4},
		  {.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .stable = TO4},
		  {.name = "web6", .endpoint = "[" VIP6 "]:80", .forward = CANARY_FORWARD_L2, .stable = TO6},
		  {.name = "dns6",
		   .endpoint = "[" VIP6 "]:53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .stable = TO6});
}

struct row {
	const char *what;
	struct spec in;
	const char *counters;
};

static void all_dropped(const struct row *rows, size_t count, const char *counters)
{
	for (size_t i = 0; i < count; i++)
		EXPECT(rows[i].what, FRONT, &rows[i].in, XDP_DROP, NULL, counters);
}
#define ALL_DROPPED(rows, counters) all_dropped(rows, sizeof(rows) / sizeof(*(rows)), counters)

static void all_forwarded(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct spec in = rows[i].in, want;

		/* Each a flow of its own. */
		in.sport = in.sport ? in.sport : 3000 + i;
		want = sent_on(in, BACK, in.src[4] == ':' ? TO6 : TO4);
		EXPECT(rows[i].what, FRONT, &in, XDP_REDIRECT, &want, rows[i].counters);
	}
}
#define ALL_FORWARDED(rows) all_forwarded(rows, sizeof(rows) / sizeof(*(rows)))

static void case05_ip_options_are_skipped(void **state)
{
	static const struct row rows[] = {
		{"4 bytes", {.src = CLIENT, .dst = VIP, .ip_options = 4, .dport = 80, .flags = SYN}, FLOW4},
		{"40 bytes", {.src = CLIENT, .dst = VIP, .ip_options = 40, .dport = 80, .flags = SYN}, FLOW4},
		{"40 bytes, UDP",
		 {.src = CLIENT, .dst = VIP, .ip_options = 40, .proto = IPPROTO_UDP, .dport = 53, .payload = 3},
		 DATAGRAM4},
	};

	(void)state;
	services();
	ALL_FORWARDED(rows);
}

static void case05_ihl_below_5_is_malformed(void **state)
{
	static const struct row rows[] = {
		{"4", {.src = CLIENT, .dst = VIP, .ihl = 4, .sport = 1, .dport = 80, .flags = SYN}, NULL},
		{"0", {.src = CLIENT, .dst = VIP, .ihl = 16, .sport = 1, .dport = 80, .flags = SYN}, NULL},
		{"beyond the frame",
		 {.src = CLIENT, .dst = VIP, .ihl = 15, .sport = 1, .dport = 80, .flags = SYN, .cut = 60},
		 NULL},
	};

	(void)state;
	services();
	ALL_DROPPED(rows, "front.malformed");
}

static void case05_wrong_lengths_are_malformed(void **state)
{
	static const struct row rows[] = {
		{"total length beyond the frame",
		 {.src = CLIENT, .dst = VIP, .length = 41, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"total length 65535",
		 {.src = CLIENT, .dst = VIP, .length = 65535, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"total length below the header's",
		 {.src = CLIENT, .dst = VIP, .length = 19, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"total length 0",
		 {.src = CLIENT, .dst = VIP, .length = LENGTH_ZERO, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"total length that ends in the ports",
		 {.src = CLIENT, .dst = VIP, .length = 23, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"total length that ends in the TCP header",
		 {.src = CLIENT, .dst = VIP, .length = 39, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"TCP cut short with its frame",
		 {.src = CLIENT, .dst = VIP, .sport = 1, .dport = 80, .flags = SYN, .length = 38, .cut = 52},
		 NULL},
		{"TCP cut in its ports",
		 {.src = CLIENT, .dst = VIP, .sport = 1, .dport = 80, .flags = SYN, .length = 22, .cut = 36},
		 NULL},
		{"UDP cut short",
		 {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 1, .dport = 53, .length = 27, .cut = 41},
		 NULL},
		{"TCP's data offset below 5",
		 {.src = CLIENT, .dst = VIP, .doff = 4, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"TCP's data offset 0",
		 {.src = CLIENT, .dst = VIP, .doff = 16, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"TCP's data offset beyond the packet",
		 {.src = CLIENT, .dst = VIP, .doff = 6, .sport = 1, .dport = 80, .flags = SYN, .trailer = 8},
		 NULL},
		{"UDP's length below 8",
		 {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53, .udp_length = 7, .payload = 4},
		 NULL},
		{"UDP's length 0",
		 {.src = CLIENT,
		  .dst = VIP,
		  .proto = IPPROTO_UDP,
		  .dport = 53,
		  .udp_length = LENGTH_ZERO,
		  .payload = 4},
		 NULL},
		{"UDP's length beyond the packet",
		 {.src = CLIENT,
		  .dst = VIP,
		  .proto = IPPROTO_UDP,
		  .dport = 53,
		  .udp_length = 13,
		  .payload = 4,
		  .trailer = 9},
		 NULL},
		{"payload length beyond the frame",
		 {.src = CLIENT6, .dst = VIP6, .length = 21, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"payload length 0",
		 {.src = CLIENT6, .dst = VIP6, .length = LENGTH_ZERO, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
		{"payload length below TCP's header",
		 {.src = CLIENT6, .dst = VIP6, .length = 19, .sport = 1, .dport = 80, .flags = SYN},
		 NULL},
	};

	(void)state;
	services();
	ALL_DROPPED(rows, "front.malformed");
}

static void case05_padding_after_a_short_packet_is_fine(void **state)
{
	static const struct row rows[] = {
		{"TCP, IPv4", {.src = CLIENT, .dst = VIP, .dport = 80, .flags = SYN, .trailer = 6}, FLOW4},
		{"TCP, IPv6", {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .trailer = 7}, FLOW6},
		{"UDP, IPv4", {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53, .trailer = 18}, DATAGRAM4},
		{"UDP, IPv6",
		 {.src = CLIENT6, .dst = VIP6, .proto = IPPROTO_UDP, .dport = 53, .trailer = 1},
		 DATAGRAM6},
		{"more padding than packet",
		 {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53, .payload = 1, .trailer = 999},
		 DATAGRAM4},
	};

	(void)state;
	services();
	ALL_FORWARDED(rows);
}

static void case07_extension_headers_are_looked_through(void **state)
{
	static const struct row rows[] = {
		{"hop-by-hop", {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(0, 8)}}, FLOW6},
		{"destination options",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(60, 24)}},
		 FLOW6},
		{"a routing header at its end",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(43, 24)}},
		 FLOW6},
		{"an atomic fragment (RFC 6946)",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(44, 8)}},
		 FLOW6},
		{"all of them, UDP",
		 {.src = CLIENT6,
		  .dst = VIP6,
		  .proto = IPPROTO_UDP,
		  .dport = 53,
		  .payload = 5,
		  .ext = {EXT(0, 16), EXT(60, 8), EXT(43, 8), EXT(44, 8), EXT(60, 40), EXT(60, 8)}},
		 DATAGRAM6},
		{"a long one", {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(60, 904)}}, FLOW6},
	};

	(void)state;
	services();
	ALL_FORWARDED(rows);
}

static void case07_too_many_extension_headers_have_their_reason(void **state)
{
	static const struct row deep[] = {
		{"seven",
		 {.src = CLIENT6,
		  .dst = VIP6,
		  .dport = 80,
		  .flags = SYN,
		  .ext = {EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8)}},
		 NULL},
		{"ten, to no port of ours",
		 {.src = CLIENT6,
		  .dst = VIP6,
		  .dport = 81,
		  .flags = SYN,
		  .ext = {EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8),
			  EXT(60, 8), EXT(60, 8)}},
		 NULL},
		{"two of a kilobyte",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(60, 1000), EXT(60, 1000)}},
		 NULL},
		{"one that ends where a header does not fit any more",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .ext = {EXT(60, 952)}},
		 NULL},
	};
	static const struct row cut[] = {
		{"cut short", {.src = CLIENT6, .dst = VIP6, .dport = 80, .ext = {EXT(60, 8)}, .cut = 55}, NULL},
		{"a fragment header cut short",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .ext = {EXT(44, 8)}, .cut = 61},
		 NULL},
		{"ends beyond the payload's length",
		 {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN, .length = 24, .ext = {EXT(60, 24)}},
		 NULL},
	};

	(void)state;
	services();
	ALL_DROPPED(deep, "front.ext_headers");
	ALL_DROPPED(cut, "front.malformed");
}

static void case09_impossible_tcp_flags_are_malformed(void **state)
{
	static const unsigned impossible[] = {
		0,	  FIN, SYN | FIN,	SYN | RST,	 FIN | URG | PSH, FIN | RST,
		URG,	  PSH, SYN | FIN | ACK, SYN | RST | ACK, RST | FIN | ACK, 0x3f,
		RST | URG};
	struct spec in = {.src = CLIENT, .dst = VIP, .sport = 1, .dport = 80};
	struct spec in6 = {.src = CLIENT6, .dst = VIP6, .sport = 1, .dport = 80};

	(void)state;
	services();
	for (size_t i = 0; i < sizeof(impossible) / sizeof(*impossible); i++) {
		in.flags = in6.flags = impossible[i];
		EXPECT("impossible flags", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		EXPECT("impossible flags, IPv6", FRONT, &in6, XDP_DROP, NULL, "front.malformed");
	}
	assert_int_equal(opening_flows(), 0);
}

static void case09_flags_that_say_nothing_are_no_matter(void **state)
{
	static const struct row rows[] = {
		{"SYN with ECN", {.src = CLIENT, .dst = VIP, .dport = 80, .flags = SYN | 0xc0}, FLOW4},
		{"SYN with PSH", {.src = CLIENT, .dst = VIP, .dport = 80, .flags = SYN | PSH}, FLOW4},
		{"SYN with options and data",
		 {.src = CLIENT, .dst = VIP, .dport = 80, .flags = SYN, .tcp_options = 40, .payload = 100},
		 FLOW4},
		{"ACK in mid-flow",
		 {.src = CLIENT, .dst = VIP, .dport = 80, .flags = ACK},
		 "packet:web.stable:10.0.0.11:80"},
		{"urgent data",
		 {.src = CLIENT, .dst = VIP, .dport = 80, .flags = ACK | URG | PSH, .payload = 1},
		 "packet:web.stable:10.0.0.11:80"},
	};

	(void)state;
	services();
	ALL_FORWARDED(rows);
}

static void case22_smallest_and_largest(void **state)
{
	static const struct row rows[] = {
		{"UDP without data", {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53}, DATAGRAM4},
		{"UDP without data, IPv6", {.src = CLIENT6, .dst = VIP6, .proto = IPPROTO_UDP, .dport = 53}, DATAGRAM6},
		{"TCP without data, IPv6", {.src = CLIENT6, .dst = VIP6, .dport = 80, .flags = SYN}, FLOW6},
		{"a runt: 64 bytes less its frame check",
		 {.src = CLIENT, .dst = VIP, .dport = 80, .flags = SYN, .trailer = 6},
		 FLOW4},
		{"the back interface's MTU",
		 {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53, .payload = 1472},
		 DATAGRAM4},
		{"the same, IPv6",
		 {.src = CLIENT6, .dst = VIP6, .proto = IPPROTO_UDP, .dport = 53, .payload = 1452},
		 DATAGRAM6},
	};

	(void)state;
	services();
	ALL_FORWARDED(rows);
}

/* The largest that one buffer holds: the front interface's MTU is near what veth takes without multi-buffer. */
static void case22_jumbo_frames(void **state)
{
	struct spec in = {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 7, .dport = 53, .payload = 3372};
	struct spec want = sent_on(in, FRONT, "192.0.2.11");

	(void)state;
	CONFIGURE({.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .stable = "192.0.2.11"});
	EXPECT("3,400 bytes", FRONT, &in, XDP_TX, &want, "flow:dns.stable:192.0.2.11:53");
	in.payload++;
	EXPECT("one more", FRONT, &in, XDP_DROP, NULL, "dns.stable.too_big dns.stable.flows 192.0.2.11:53.flows");
}

static void case08_tags_are_kept_on_the_way_back_out(void **state)
{
	static const struct tag tags[][2] = {
		{{VLAN_Q, 0x2005}}, {{VLAN_AD, 100}, {VLAN_Q, 0xe007}}, {{VLAN_Q, 1}, {VLAN_Q, 2}}};

	(void)state;
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "192.0.2.11"},
		  {.name = "nat", .endpoint = VIP ":81", .stable = "192.0.2.11:8080"},
		  {.name = "ipip", .endpoint = VIP ":82", .forward = CANARY_FORWARD_IPIP, .stable = "192.0.2.12"},
		  {.name = "gue", .endpoint = VIP ":83", .forward = CANARY_FORWARD_GUE, .stable = "192.0.2.12"},
		  {.name = "web6",
		   .endpoint = "[" VIP6 "]:80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "2001:db8:2::11"});
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		static const struct tunnel outer = {"10.0.0.1", "192.0.2.12", .id_given = true},
					   gue = {"10.0.0.1", "192.0.2.12", .id_given = true, .gue_port = 6080};
		struct spec in = {.src = CLIENT,
				  .dst = VIP,
				  .sport = 100 + i,
				  .dport = 80,
				  .flags = SYN,
				  .tag = {tags[i][0], tags[i][1]}};
		struct spec want = sent_on(in, FRONT, "192.0.2.11");

		EXPECT("l2", FRONT, &in, XDP_TX, &want, "flow:web.stable:192.0.2.11:80");
		in.dport = 81;
		want = translated(in, FRONT, "192.0.2.11", 8080);
		EXPECT("nat", FRONT, &in, XDP_TX, &want, "flow:nat.stable:192.0.2.11:8080");
		in.dport = 82;
		want = sent_on(in, FRONT, "192.0.2.12");
		want.outer = &outer;
		EXPECT("ipip", FRONT, &in, XDP_TX, &want, "flow:ipip.stable:192.0.2.12:82");
		want.dport = in.dport = 83;
		want.outer = &gue;
		EXPECT("gue", FRONT, &in, XDP_TX, &want, "flow:gue.stable:192.0.2.12:83");
		in.dport = 80;
		in.src = CLIENT6;
		in.dst = VIP6;
		want = sent_on(in, FRONT, "2001:db8:2::11");
		EXPECT("IPv6", FRONT, &in, XDP_TX, &want, "flow:web6.stable:[2001:db8:2::11]:80");
	}
}

static void case08_tags_go_where_another_interface_needs_none(void **state)
{
	struct spec in = {
		.src = CLIENT, .dst = VIP, .sport = 9, .dport = 80, .flags = SYN, .tag = {{VLAN_AD, 100}, {VLAN_Q, 7}}};
	struct spec want = sent_on(in, BACK, TO4);

	(void)state;
	services();
	want.tag[0] = want.tag[1] = (struct tag){};
	EXPECT("two tags fewer", FRONT, &in, XDP_REDIRECT, &want, FLOW4);
}

static void case08_tags_come_as_the_egress_needs(void **state)
{
	struct dataplane_vlan vlan = {.ifindex = env.interfaces[BACK].ifindex,
				      .egress = {.ifindex = env.interfaces[FRONT].ifindex,
						 .tag_count = 2,
						 .tag = {{htons(VLAN_AD), htons(0x6064)}, {htons(VLAN_Q), htons(7)}}}};
	struct spec in = {.src = CLIENT, .dst = VIP, .sport = 9, .dport = 80, .flags = SYN};
	struct spec want = sent_on(in, BACK, TO4);
	struct error error;

	(void)state;
	services();
	/* As if "back" were a VLAN device on top of "front". */
	assert_int_equal(dataplane_set_vlans(env.dataplane, &vlan, 1, &error), 0);
	want.tag[0] = (struct tag){VLAN_AD, 0x6064};
	want.tag[1] = (struct tag){VLAN_Q, 7};
	EXPECT("untagged in, two tags out", FRONT, &in, XDP_TX, &want, FLOW4);
	in.sport++;
	want.sport++;
	in.tag[0] = (struct tag){VLAN_Q, 55};
	EXPECT("another tag in, two tags out", FRONT, &in, XDP_TX, &want, FLOW4);
	assert_int_equal(dataplane_set_vlans(env.dataplane, NULL, 0, &error), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case05_ip_options_are_skipped),
		TEST(case05_ihl_below_5_is_malformed),
		TEST(case05_wrong_lengths_are_malformed),
		TEST(case05_padding_after_a_short_packet_is_fine),
		TEST(case07_extension_headers_are_looked_through),
		TEST(case07_too_many_extension_headers_have_their_reason),
		TEST(case08_tags_are_kept_on_the_way_back_out),
		TEST(case08_tags_go_where_another_interface_needs_none),
		TEST(case08_tags_come_as_the_egress_needs),
		TEST(case09_impossible_tcp_flags_are_malformed),
		TEST(case09_flags_that_say_nothing_are_no_matter),
		TEST(case22_smallest_and_largest),
		TEST(case22_jumbo_frames),
	};

	return RUN(tests);
}
