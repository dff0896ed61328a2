/* SPDX-License-Identifier: Apache-2.0 */
/* Case 2: echo requests to a service's address are answered where they came in; all others are none of our business. */
#include "lib_run.h"

static const struct spec ping4 = {.src = CLIENT,
				  .dst = VIP,
				  .proto = IPPROTO_ICMP,
				  .icmp_type = 8,
				  .icmp_rest = 0x12340001,
				  .payload = 56,
				  .id = 4711,
				  .tos = 0xb8,
				  .frag = IPV4_DF,
				  .ttl = 3};
static const struct spec ping6 = {.src = CLIENT6,
				  .dst = VIP6,
				  .proto = IPPROTO_ICMPV6,
				  .icmp_type = 128,
				  .icmp_rest = 0x12340001,
				  .payload = 56,
				  .tos = 0xb8,
				  .id = 0x12345,
				  .ttl = 3};

static void services(enum canary_forward forward)
{
	CONFIGURE({.name = "web", .endpoint = VIP ":80", .forward = forward, .stable = "10.0.0.11"},
		  {.name = "web6", .endpoint = "[" VIP6 "]:80", .forward = forward, .stable = "2001:db8:10::11"});
}

static struct spec answer_to(struct spec in)
{
	const char *client = in.src;

	in.icmp_type = in.proto == IPPROTO_ICMP ? 0 : 129;
	in.src = in.dst;
	in.dst = client;
	in.from_mac = "front";
	in.to_mac = "192.0.2.254";
	in.ttl = 64;
	return in;
}

static void answered(const char *what, struct spec in)
{
	struct spec want = answer_to(in);

	EXPECT(what, FRONT, &in, XDP_TX, &want, "front.forwarded");
}

static void left_alone(const char *what, struct spec in)
{
	EXPECT(what, FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
}

static void case02_an_echo_request_to_a_service_is_answered(void **state)
{
	(void)state;
	for (int forward = 0; forward < CANARY_FORWARDS; forward++) {
		env_fresh(state);
		services(forward);
		answered("IPv4", ping4);
		answered("IPv6", ping6);
	}
}

/* The last ones lie in more than one buffer. */
static void case02_of_any_size(void **state)
{
	static const unsigned sizes[] = {0, 1, 2, 3, 8, 17, 18, 19, 1471, 1472, 3372, 5001, 8000};

	(void)state;
	services(CANARY_FORWARD_L2);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct spec in4 = ping4, in6 = ping6;

		in4.payload = in6.payload = sizes[i];
		answered("IPv4", in4);
		answered("IPv6", in6);
		in4.trailer = in6.trailer = 21;
		answered("IPv4 with padding", in4);
		answered("IPv6 with padding", in6);
	}
}

static void case02_its_tags_and_header_are_kept(void **state)
{
	struct spec in4 = ping4, in6 = ping6;

	(void)state;
	services(CANARY_FORWARD_IPIP);
	in4.tag[0] = in6.tag[0] = (struct tag){VLAN_AD, 0x2005};
	answered("one tag, IPv4", in4);
	in4.tag[1] = in6.tag[1] = (struct tag){VLAN_Q, 100};
	answered("two tags, IPv4", in4);
	answered("two tags, IPv6", in6);
	in4 = ping4;
	in4.frag = 0;
	in4.id = 0;
	in4.ttl = 1;
	answered("its last hop", in4);
	in4.ttl = 255;
	in4.icmp_rest = 0;
	in4.payload = 0;
	answered("IPv4, an answer of nothing but zeros", in4);
}

static void case02_every_checksum(void **state)
{
	(void)state;
	services(CANARY_FORWARD_L2);
	for (unsigned word = 1; word < 65536; word += 251) {
		struct spec in4 = ping4, in6 = ping6;

		in4.payload = in6.payload = 2;
		in4.word = in6.word = word;
		answered("IPv4", in4);
		answered("IPv6", in6);
	}
}

static void case02_of_no_service_or_not_whole_is_left_to_the_stack(void **state)
{
	struct spec in4 = ping4, in6 = ping6;

	(void)state;
	services(CANARY_FORWARD_NAT);
	in4.dst = "192.0.2.1";
	in6.dst = "2001:db8:2::1";
	left_alone("the host's own address", in4);
	left_alone("the host's own address, IPv6", in6);
	in4 = ping4;
	in6 = ping6;
	in4.ip_options = 8;
	in6.ext[0] = (struct extension){.type = IPPROTO_HOPOPTS, .len = 8};
	left_alone("with options", in4);
	left_alone("with an extension header", in6);
	in4 = ping4;
	in4.frag = IPV4_MF;
	left_alone("its first fragment", in4);
	in4.frag = 100;
	left_alone("its last fragment", in4);
	in6.ext[0] = (struct extension){.type = IPPROTO_FRAGMENT, .len = 8, .fragment = 1};
	left_alone("its first fragment, IPv6", in6);
	in4 = ping4;
	in6 = ping6;
	in4.icmp_code = in6.icmp_code = 1;
	left_alone("a code", in4);
	left_alone("a code, IPv6", in6);
	in4 = answer_to(ping4);
	in4.from_mac = in4.to_mac = NULL;
	in4.src = CLIENT;
	in4.dst = VIP;
	left_alone("an answer", in4);
	in4 = ping4;
	in4.length = 27;
	left_alone("cut short", in4);
	in4.length = 5000;
	left_alone("longer than its frame", in4);
}

static void case02_nothing_is_said_to_whom_is_nobody(void **state)
{
	static const char *const nobody4[] = {"0.0.0.0",   "0.1.2.3",	  "127.0.0.1",
					      "224.0.0.1", "239.255.1.1", "255.255.255.255"};
	static const char *const nobody6[] = {"::", "::1", "ff02::1", "ff0e::2"};
	struct spec in4 = ping4, in6 = ping6;

	(void)state;
	services(CANARY_FORWARD_NAT);
	for (size_t i = 0; i < sizeof(nobody4) / sizeof(*nobody4); i++) {
		in4.src = nobody4[i];
		left_alone(in4.src, in4);
	}
	for (size_t i = 0; i < sizeof(nobody6) / sizeof(*nobody6); i++) {
		in6.src = nobody6[i];
		left_alone(in6.src, in6);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case02_an_echo_request_to_a_service_is_answered),
		TEST(case02_of_any_size),
		TEST(case02_its_tags_and_header_are_kept),
		TEST(case02_every_checksum),
		TEST(case02_of_no_service_or_not_whole_is_left_to_the_stack),
		TEST(case02_nothing_is_said_to_whom_is_nobody),
	};

	return RUN(tests);
}
