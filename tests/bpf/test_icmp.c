/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Case 3: ICMP errors go where the connection goes that they are about. In nat the quoted packet is translated as well;
 * the builder computes every checksum anew: of the outer header, ICMP, the quoted header, the quoted UDP.
 */
#include "lib_run.h"

#include <stdio.h>
#include <string.h>

enum { WHOLE = 4096 };

static void services(enum canary_forward forward)
{
	bool nat = forward == CANARY_FORWARD_NAT;

	CONFIGURE({.name = "tcp4", .endpoint = VIP ":80", .forward = forward, .stable = nat ? BACK4 ":8080" : BACK4},
		  {.name = "udp4",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = forward,
		   .stable = nat ? BACK4 ":5353" : BACK4},
		  {.name = "tcp6",
		   .endpoint = "[" VIP6 "]:80",
		   .forward = forward,
		   .stable = nat ? "[" BACK6 "]:8080" : BACK6},
		  {.name = "udp6",
		   .endpoint = "[" VIP6 "]:53",
		   .proto = IPPROTO_UDP,
		   .forward = forward,
		   .stable = nat ? "[" BACK6 "]:5353" : BACK6});
}

struct error_flow {
	const char *name, *client, *vip, *backend, *router_of_clients, *router_of_backends, *far;
	unsigned proto, sport, port, backend_port, icmp, type;
};

static const struct error_flow flows[] = {
	{"tcp4", CLIENT, VIP, BACK4, "192.0.2.254", "10.0.0.254", "198.51.100.1", IPPROTO_TCP, 4001, 80, 8080,
	 IPPROTO_ICMP, 3},
	{"udp4", CLIENT, VIP, BACK4, "192.0.2.254", "10.0.0.254", "198.51.100.1", IPPROTO_UDP, 4002, 53, 5353,
	 IPPROTO_ICMP, 11},
	{"tcp6", CLIENT6, VIP6, BACK6, "2001:db8:2::fe", "2001:db8:10::fe", "2001:db8:c::1", IPPROTO_TCP, 4003, 80,
	 8080, IPPROTO_ICMPV6, 2},
	{"udp6", CLIENT6, VIP6, BACK6, "2001:db8:2::fe", "2001:db8:10::fe", "2001:db8:c::1", IPPROTO_UDP, 4004, 53,
	 5353, IPPROTO_ICMPV6, 1},
};
#define FLOWS (sizeof(flows) / sizeof(*flows))

static bool is_v6(const struct error_flow *flow)
{
	return flow->icmp == IPPROTO_ICMPV6;
}

static void open_flow(const struct error_flow *flow)
{
	struct spec in = {.src = flow->client,
			  .dst = flow->vip,
			  .proto = flow->proto,
			  .sport = flow->sport,
			  .dport = flow->port,
			  .flags = SYN,
			  .seq = 1};
	struct packet packet;
	struct outcome out;

	packet_build(&in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
}

static const char *counted(const char *kind, const struct error_flow *flow, bool nat)
{
	static char text[160];
	unsigned port = nat ? flow->backend_port : flow->port;

	if (*kind == 'r')
		snprintf(text, sizeof(text), "reply:%s.stable", flow->name);
	else
		snprintf(text, sizeof(text), is_v6(flow) ? "%s:%s.stable:[%s]:%u" : "%s:%s.stable:%s:%u", kind,
			 flow->name, flow->backend, port);
	return text;
}

/* The service's answer to the client, which did not arrive. */
static struct spec lost_answer(const struct error_flow *flow)
{
	return (struct spec){.src = flow->vip,
			     .dst = flow->client,
			     .proto = flow->proto,
			     .sport = flow->port,
			     .dport = flow->sport,
			     .flags = ACK,
			     .seq = 555,
			     .ttl = 33,
			     .payload = 111,
			     .ip_options = is_v6(flow) ? 0 : 4};
}

/* The client's packet as the backend's side sees it, which did not arrive. */
static struct spec lost_request(const struct error_flow *flow)
{
	return (struct spec){.src = flow->client,
			     .dst = flow->backend,
			     .proto = flow->proto,
			     .sport = flow->sport,
			     .dport = flow->backend_port,
			     .flags = ACK,
			     .seq = 555,
			     .ttl = 33,
			     .payload = 111};
}

static struct spec error_about(const struct spec *quote, const char *from, const struct error_flow *flow,
			       unsigned bytes)
{
	return (struct spec){.src = from,
			     .dst = quote->src,
			     .proto = flow->icmp,
			     .icmp_type = flow->type,
			     .icmp_code = 1,
			     .icmp_rest = 1400,
			     .quote = quote,
			     .quote_l4 = bytes};
}

static const unsigned quoted[] = {8, 9, 19, 20, 64, WHOLE};
#define QUOTED (sizeof(quoted) / sizeof(*quoted))

static void case03_nat_translates_errors_from_a_router_and_from_the_client(void **state)
{
	(void)state;
	services(CANARY_FORWARD_NAT);
	for (size_t i = 0; i < FLOWS; i++) {
		open_flow(&flows[i]);
		for (size_t j = 0; j < 2 * QUOTED; j++) {
			struct spec quote = lost_answer(&flows[i]), inner = quote;
			const char *from = j % 2 ? flows[i].far : flows[i].client;
			struct spec in = error_about(&quote, from, &flows[i], quoted[j / 2]);
			struct spec want = sent_on(in, BACK, flows[i].backend);

			inner.src = want.dst = flows[i].backend;
			inner.sport = flows[i].backend_port;
			want.quote = &inner;
			EXPECT(flows[i].name, FRONT, &in, XDP_REDIRECT, &want, counted("packet", &flows[i], true));
		}
	}
}

static void translates_back(const struct error_flow *flow, bool router)
{
	for (size_t j = 0; j < QUOTED; j++) {
		struct spec quote = lost_request(flow), inner = quote;
		const char *from = router ? flow->router_of_backends : flow->backend;
		struct spec in = error_about(&quote, from, flow, quoted[j]);
		struct spec want;

		in.to_mac = "back";
		in.from_mac = from;
		want = sent_on(in, FRONT, flow->router_of_clients);
		inner.dst = flow->vip;
		inner.dport = flow->port;
		want.quote = &inner;
		/* A router keeps its own address; the backend's is not the clients' business. */
		if (!router)
			want.src = flow->vip;
		EXPECT(flow->name, BACK, &in, XDP_REDIRECT, &want, counted("reply", flow, true));
	}
}

static void case03_nat_translates_errors_from_the_backend(void **state)
{
	(void)state;
	services(CANARY_FORWARD_NAT);
	for (size_t i = 0; i < FLOWS; i++) {
		open_flow(&flows[i]);
		translates_back(&flows[i], false);
	}
}

static void case03_nat_translates_errors_from_a_router_of_the_backends(void **state)
{
	(void)state;
	services(CANARY_FORWARD_NAT);
	for (size_t i = 0; i < FLOWS; i++) {
		open_flow(&flows[i]);
		translates_back(&flows[i], true);
	}
}

/* Options, extension headers and a first fragment in the quoted packet; what has no ports is nobody's. */
static void case03_quoted_options_extension_headers_and_fragments(void **state)
{
	static const struct {
		const char *what;
		unsigned options, frag;
		struct extension ext[6];
		bool found;
	} rows[] = {
		{"IPv4 options", 40, 0, {}, true},
		{"a first fragment", 0, IPV4_MF, {}, true},
		{"a later fragment", 0, IPV4_MF | 185, {}, false},
		{"hop-by-hop", 0, 0, {EXT(0, 8)}, true},
		{"destination", 0, 0, {EXT(60, 64)}, true},
		{"a way gone", 0, 0, {{.type = 43, .len = 24}}, true},
		{"four", 0, 0, {EXT(0, 8), EXT(60, 16), {.type = 43, .len = 8}, EXT(60, 8)}, true},
		{"five", 0, 0, {EXT(0, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8), EXT(60, 8)}, false},
		{"too long ones", 0, 0, {EXT(60, 400), EXT(60, 504)}, false},
		{"a first fragment, IPv6", 0, 0, {EXT(60, 8), {.type = 44, .len = 8, .fragment = 1}}, true},
		{"a later fragment, IPv6", 0, 0, {{.type = 44, .len = 8, .fragment = 0x580}}, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct error_flow *flow = &flows[rows[i].ext[0].len ? 2 + i % 2 : i % 2];
		struct spec quote = lost_answer(flow), inner, in, want;

		env_fresh(state);
		services(CANARY_FORWARD_NAT);
		open_flow(flow);
		quote.ip_options = rows[i].options;
		quote.frag = rows[i].frag;
		memcpy(quote.ext, rows[i].ext, sizeof(rows[i].ext));
		inner = quote;
		in = error_about(&quote, flow->far, flow, 20);
		want = sent_on(in, BACK, flow->backend);
		inner.src = want.dst = flow->backend;
		inner.sport = flow->backend_port;
		want.quote = &inner;
		if (rows[i].found)
			EXPECT(rows[i].what, FRONT, &in, XDP_REDIRECT, &want, counted("packet", flow, true));
		else
			EXPECT(rows[i].what, FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
	}
}

static void case03_a_quoted_udp_checksum_of_0_stays_0(void **state)
{
	struct spec quote = lost_answer(&flows[1]), inner, in, want;

	(void)state;
	services(CANARY_FORWARD_NAT);
	open_flow(&flows[1]);
	quote.check = CHECK_NONE;
	inner = quote;
	in = error_about(&quote, CLIENT, &flows[1], 8);
	want = sent_on(in, BACK, BACK4);
	inner.src = want.dst = BACK4;
	inner.sport = 5353;
	want.quote = &inner;
	EXPECT("to the backend", FRONT, &in, XDP_REDIRECT, &want, counted("packet", &flows[1], true));
}

static void case03_every_kind_of_error(void **state)
{
	static const unsigned v4[] = {3, 11, 12}, v6[] = {1, 2, 3, 4};
	static const unsigned others4[] = {0, 4, 5, 8, 13}, others6[] = {0, 5, 127, 128, 129, 137};
	struct spec quote4 = lost_answer(&flows[0]), quote6 = lost_answer(&flows[2]);
	struct spec in4 = error_about(&quote4, CLIENT, &flows[0], 8), in6 = error_about(&quote6, CLIENT6, &flows[2], 8);
	struct spec want;

	(void)state;
	services(CANARY_FORWARD_L2);
	open_flow(&flows[0]);
	open_flow(&flows[2]);
	for (size_t i = 0; i < sizeof(v4) / sizeof(*v4); i++) {
		in4.icmp_type = v4[i];
		want = sent_on(in4, BACK, BACK4);
		EXPECT("IPv4", FRONT, &in4, XDP_REDIRECT, &want, counted("packet", &flows[0], false));
	}
	for (size_t i = 0; i < sizeof(v6) / sizeof(*v6); i++) {
		in6.icmp_type = v6[i];
		want = sent_on(in6, BACK, BACK6);
		EXPECT("IPv6", FRONT, &in6, XDP_REDIRECT, &want, counted("packet", &flows[2], false));
	}
	for (size_t i = 0; i < sizeof(others4) / sizeof(*others4); i++) {
		in4.icmp_type = others4[i];
		EXPECT("no error, IPv4", FRONT, &in4, XDP_PASS, NULL, "front.passed front.not_ours");
	}
	for (size_t i = 0; i < sizeof(others6) / sizeof(*others6); i++) {
		in6.icmp_type = others6[i];
		EXPECT("no error, IPv6", FRONT, &in6, XDP_PASS, NULL, "front.passed front.not_ours");
	}
}

static void case03_errors_go_through_the_tunnel(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE};

	for (size_t i = 0; i < 2 * FLOWS; i++) {
		const struct error_flow *flow = &flows[i % FLOWS];
		struct spec quote = lost_answer(flow);
		struct spec in = error_about(&quote, flow->far, flow, 8), want;
		struct tunnel outer = {.src = i % FLOWS < 2 ? "10.0.0.1" : "2001:db8:10::1",
				       .dst = flow->backend,
				       .id_given = true,
				       .gue_port = i < FLOWS ? 0 : 6080};

		if (i % FLOWS == 0) {
			env_fresh(state);
			services(hows[i / FLOWS]);
		}
		open_flow(flow);
		want = sent_on(in, BACK, flow->backend);
		want.outer = &outer;
		EXPECT(flow->name, FRONT, &in, XDP_REDIRECT, &want, counted("packet", flow, false));
	}
}

static void case03_an_error_stays_with_the_flows_backend(void **state)
{
	struct spec quote = lost_answer(&flows[0]);
	struct spec in = error_about(&quote, flows[0].far, &flows[0], 8), want;

	(void)state;
	services(CANARY_FORWARD_L2);
	open_flow(&flows[0]);
	CONFIGURE({.name = "tcp4",
		   .endpoint = VIP ":80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "!" BACK4 " 10.0.0.12",
		   .canary = "10.0.0.21",
		   .weight = 10000});
	want = sent_on(in, BACK, BACK4);
	EXPECT("a drained backend's flow", FRONT, &in, XDP_REDIRECT, &want, counted("packet", &flows[0], false));
}

static void case03_an_error_creates_nothing(void **state)
{
	struct spec quote = lost_answer(&flows[1]);
	struct spec in = error_about(&quote, flows[1].far, &flows[1], 8), inner = quote, want;

	(void)state;
	services(CANARY_FORWARD_NAT);
	want = sent_on(in, BACK, BACK4);
	inner.src = want.dst = BACK4;
	inner.sport = 5353;
	want.quote = &inner;
	EXPECT("about a flow we know nothing of", FRONT, &in, XDP_REDIRECT, &want, counted("packet", &flows[1], true));
	assert_int_equal(established_flows(), 0);
	assert_int_equal(opening_flows(), 0);
	assert_int_equal(ways_back(), 0);
}

static void case03_what_quotes_nothing_of_ours_passes(void **state)
{
	static const char not_ours[] = "front.passed front.not_ours";
	struct spec quote = lost_answer(&flows[0]);
	struct spec in = error_about(&quote, CLIENT, &flows[0], 8);
	struct packet whole;

	(void)state;
	services(CANARY_FORWARD_NAT);
	open_flow(&flows[0]);
	quote.sport = 81;
	EXPECT("another port", FRONT, &in, XDP_PASS, NULL, not_ours);
	quote = lost_answer(&flows[0]);
	in.quote_l4 = 3;
	EXPECT("no ports", FRONT, &in, XDP_PASS, NULL, not_ours);
	in.quote_l4 = 8;
	quote.frag = 100;
	EXPECT("a later fragment", FRONT, &in, XDP_PASS, NULL, not_ours);
	quote.frag = 0;
	quote.proto = 47;
	EXPECT("no TCP or UDP", FRONT, &in, XDP_PASS, NULL, not_ours);
	quote = lost_answer(&flows[0]);
	quote.version = 6;
	EXPECT("no IPv4", FRONT, &in, XDP_PASS, NULL, not_ours);
	quote = lost_answer(&flows[0]);
	quote.ihl = 4;
	EXPECT("IHL below 5", FRONT, &in, XDP_PASS, NULL, not_ours);
	quote = lost_answer(&flows[0]);
	packet_build(&in, NULL, &whole);
	for (in.cut = 34; in.cut < whole.len; in.cut++)
		EXPECT("cut short", FRONT, &in, XDP_PASS, NULL, not_ours);
}

/* Nobody sends that but to have it forwarded: the error is for the sender of the packet that it quotes. */
static void case03_an_error_for_another_address_is_none_of_ours(void **state)
{
	(void)state;
	for (int forward = 0; forward < CANARY_FORWARDS; forward++) {
		env_fresh(state);
		services(forward);
		for (size_t i = 0; i < FLOWS; i++) {
			struct spec quote = lost_answer(&flows[i]);
			struct spec in = error_about(&quote, flows[i].client, &flows[i], 8);

			open_flow(&flows[i]);
			in.dst = i < 2 ? "192.0.2.1" : "2001:db8:2::1";
			EXPECT(flows[i].name, FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
		}
	}
}

/* What follows the packet in its frame is no part of it, though a quoted TCP checksum would stand there. */
static void case03_padding_is_no_part_of_the_quote(void **state)
{
	(void)state;
	services(CANARY_FORWARD_NAT);
	for (size_t i = 0; i < FLOWS; i++) {
		struct spec quote = lost_answer(&flows[i]), inner = quote;
		struct spec in = error_about(&quote, flows[i].client, &flows[i], 8), want;

		open_flow(&flows[i]);
		in.trailer = 30;
		want = sent_on(in, BACK, flows[i].backend);
		inner.src = want.dst = flows[i].backend;
		inner.sport = flows[i].backend_port;
		want.quote = &inner;
		EXPECT(flows[i].name, FRONT, &in, XDP_REDIRECT, &want, counted("packet", &flows[i], true));
	}
}

/* Where the quoted headers end beyond what is looked through, the stack may have it; but never half translated. */
static void case03_an_error_deep_in_its_packet_is_translated_right_or_not_at_all(void **state)
{
	struct spec quote = lost_answer(&flows[2]);

	(void)state;
	services(CANARY_FORWARD_NAT);
	open_flow(&flows[2]);
	for (unsigned len = 800; len <= 944; len += 8) {
		struct spec in = error_about(&quote, CLIENT6, &flows[2], 30), inner = quote, want;
		struct packet packet, expected;
		struct outcome out;

		in.ext[0] = (struct extension){.type = 60, .len = len};
		want = sent_on(in, BACK, BACK6);
		inner.src = want.dst = BACK6;
		inner.sport = 8080;
		want.quote = &inner;
		packet_build(&in, NULL, &packet);
		packet_build(&want, NULL, &expected);
		run_packet(FRONT, &packet, &out);
		assert_true(out.verdict == XDP_REDIRECT || (len > 850 && out.verdict == XDP_PASS));
		if (!packet_same(out.verdict == XDP_PASS ? &packet : &expected, &out.packet))
			fail_msg("extension headers of %u bytes", len);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case03_nat_translates_errors_from_a_router_and_from_the_client),
		TEST(case03_nat_translates_errors_from_the_backend),
		TEST(case03_nat_translates_errors_from_a_router_of_the_backends),
		TEST(case03_quoted_options_extension_headers_and_fragments),
		TEST(case03_a_quoted_udp_checksum_of_0_stays_0),
		TEST(case03_every_kind_of_error),
		TEST(case03_errors_go_through_the_tunnel),
		TEST(case03_an_error_stays_with_the_flows_backend),
		TEST(case03_an_error_creates_nothing),
		TEST(case03_what_quotes_nothing_of_ours_passes),
		TEST(case03_an_error_for_another_address_is_none_of_ours),
		TEST(case03_padding_is_no_part_of_the_quote),
		TEST(case03_an_error_deep_in_its_packet_is_translated_right_or_not_at_all),
	};

	return RUN(tests);
}
