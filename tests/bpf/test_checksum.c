/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums that a sender on this machine left to its device: completed where the interface says that such packets come
 * in, whatever is done with the packet then. Everything goes out of the front interface again, whose MTU is large.
 */
#include "lib_run.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 1460 };

static const struct family {
	const char *client, *service, *backend, *router, *tunnel_source;
	const char *endpoint, *nat_backend;
} families[] = {
	{"198.51.100.7", "203.0.113.10", "192.0.2.11", "192.0.2.254", "10.0.0.1", "203.0.113.10:80", "192.0.2.11:8080"},
	{"2001:db8:c::7", "2001:db8:5::10", "2001:db8:2::11", "2001:db8:2::fe", "2001:db8:10::1", "[2001:db8:5::10]:80",
	 "[2001:db8:2::11]:8080"},
};
static const int protos[] = {IPPROTO_TCP, IPPROTO_UDP};
static const struct family *family;
static enum canary_forward forward;
static struct tunnel outer;

/* A service of one kind, and a connection with it. */
static struct spec service(enum canary_forward how, const struct family *addresses, int proto)
{
	struct spec in = {.src = addresses->client,
			  .dst = addresses->service,
			  .proto = proto,
			  .sport = 5001,
			  .dport = 80,
			  .flags = proto == IPPROTO_TCP ? SYN : 0};
	struct packet packet;
	struct outcome out;

	family = addresses;
	forward = how;
	outer = (struct tunnel){.src = addresses->tunnel_source,
				.dst = addresses->backend,
				.id_given = true,
				.gue_port = how == CANARY_FORWARD_GUE ? 6080 : 0};
	CONFIGURE({.name = "web",
		   .endpoint = addresses->endpoint,
		   .proto = proto,
		   .forward = how,
		   .track = proto == IPPROTO_UDP ? CANARY_TRACK_ALWAYS : CANARY_TRACK_AUTO,
		   .stable = how == CANARY_FORWARD_NAT ? addresses->nat_backend : addresses->backend});
	packet_build(&in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_TX);
	if (proto == IPPROTO_TCP)
		in.flags = PSH | ACK;
	set_partial_checksums(FRONT, true);
	return in;
}

static const char *backend_text(void)
{
	static char text[64];

	if (forward == CANARY_FORWARD_NAT)
		snprintf(text, sizeof(text), "%s", family->nat_backend);
	else
		snprintf(text, sizeof(text), strchr(family->backend, ':') ? "[%s]:80" : "%s:80", family->backend);
	return text;
}

static struct spec sent_to_backend(struct spec in)
{
	struct spec want = sent_on(in, FRONT, family->backend);

	if (forward == CANARY_FORWARD_NAT)
		want = translated(in, FRONT, family->backend, 8080);
	if (forward == CANARY_FORWARD_IPIP || forward == CANARY_FORWARD_GUE) {
		want.outer = &outer;
		want.trailer = 0; /* padding does not follow into the tunnel */
	}
	return want;
}

static void comes_out_as(const char *what, struct spec in, enum check check)
{
	struct spec want = sent_to_backend(in);
	char counters[96];

	want.check = check;
	snprintf(counters, sizeof(counters), "packet:web.stable:%s", backend_text());
	EXPECT(what, FRONT, &in, XDP_TX, &want, counters);
}

static struct spec answer_to(struct spec request)
{
	struct spec answer = request;

	answer.from_mac = answer.src = family->backend;
	answer.dst = request.src;
	answer.sport = 8080;
	answer.dport = request.sport;
	return answer;
}

static void answer_comes_out_as(const char *what, struct spec answer, enum check check)
{
	struct spec want = sent_on(answer, FRONT, family->router);

	want.src = family->service;
	want.sport = 80;
	want.check = check;
	EXPECT(what, FRONT, &answer, XDP_TX, &want, "reply:web.stable");
}

#define FOR_ALL(how)                                                                                                   \
	for (size_t f = 0; f < 2; f++)                                                                                 \
		for (size_t p = 0; p < 2; p++)                                                                         \
			for (struct spec in = service(how, &families[f], protos[p]), *once = &in; once; once = NULL)

static void complete_all_lengths(enum canary_forward how)
{
	FOR_ALL(how)
	{
		in.check = CHECK_PARTIAL;
		for (in.payload = 0; in.payload <= LONGEST; in.payload++) {
			in.filler = in.payload;
			comes_out_as("up to a full segment", in, CHECK_RIGHT);
		}
		in.payload = 3200;
		comes_out_as("above 3,000 bytes", in, CHECK_RIGHT);
		in.payload = 3201;
		comes_out_as("the same, odd", in, CHECK_RIGHT);
	}
}

static void case15_l2_completes_all_lengths(void **state)
{
	(void)state;
	complete_all_lengths(CANARY_FORWARD_L2);
}

static void case15_ipip_completes_all_lengths(void **state)
{
	(void)state;
	complete_all_lengths(CANARY_FORWARD_IPIP);
}

static void case15_nat_completes_all_lengths(void **state)
{
	(void)state;
	complete_all_lengths(CANARY_FORWARD_NAT);
}

static void case15_nat_completes_answers_of_all_lengths(void **state)
{
	(void)state;
	FOR_ALL(CANARY_FORWARD_NAT)
	{
		struct spec answer = answer_to(in);

		answer.check = CHECK_PARTIAL;
		for (answer.payload = 0; answer.payload <= LONGEST; answer.payload++) {
			answer.filler = answer.payload;
			answer_comes_out_as("an answer", answer, CHECK_RIGHT);
		}
		answer.payload = 3201;
		answer_comes_out_as("above 3,000 bytes", answer, CHECK_RIGHT);
	}
}

/* Padding, options, extension headers and tags are no part of the sum. */
static void case15_what_is_around_the_transport_is_left_out(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE,
						   CANARY_FORWARD_NAT};

	(void)state;
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++)
		FOR_ALL(hows[i])
		{
			in.check = CHECK_PARTIAL;
			in.trailer = 15;
			in.payload = 3;
			in.ip_options = f ? 0 : 12;
			in.tcp_options = 8;
			if (f) {
				in.ext[0] = (struct extension)EXT(IPPROTO_HOPOPTS, 16);
				in.ext[1] = (struct extension)EXT(IPPROTO_DSTOPTS, 8);
			}
			comes_out_as("padding, options", in, CHECK_RIGHT);
			in.tag[0] = (struct tag){VLAN_Q, 77};
			comes_out_as("and a tag", in, CHECK_RIGHT);
		}
}

static void case15_without_the_interfaces_flag_nothing_is_completed(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		FOR_ALL(hows[i])
		{
			set_partial_checksums(FRONT, false);
			in.check = CHECK_PARTIAL;
			in.payload = 99;
			comes_out_as("left alone", in, CHECK_PARTIAL);
			in.check = CHECK_RIGHT;
			comes_out_as("right, and stays so", in, CHECK_RIGHT);
		}
}

static void case15_a_right_checksum_stays_right(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE,
						   CANARY_FORWARD_NAT};

	(void)state;
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++)
		FOR_ALL(hows[i])
		{
			for (in.payload = 0; in.payload < 70; in.payload++)
				comes_out_as("right", in, CHECK_RIGHT);
			if (hows[i] == CANARY_FORWARD_NAT)
				answer_comes_out_as("the way back", answer_to(in), CHECK_RIGHT);
		}
}

static void case15_a_wrong_checksum_is_not_made_right(void **state)
{
	(void)state;
	FOR_ALL(CANARY_FORWARD_L2)
	{
		in.payload = 9;
		in.check = CHECK_VALUE;
		in.check_value = 0x1234;
		comes_out_as("wrong", in, CHECK_VALUE);
	}
}

static unsigned check_of(struct spec in)
{
	unsigned at = in.proto == IPPROTO_TCP ? 16 : 6;
	struct packet packet;

	packet_build(&in, NULL, &packet);
	return packet.data[packet.l4 + at] << 8 | packet.data[packet.l4 + at + 1];
}

static unsigned ones_sum(unsigned a, unsigned b)
{
	return (a + b) % 65536 + (a + b) / 65536;
}

/* A complete checksum that happens to be the pseudo-header's sum looks partial: computed anew, it is the same. */
static void case15_a_complete_checksum_that_looks_partial_stays(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_NAT};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		FOR_ALL(hows[i])
		{
			struct spec partial;

			in.payload = 20;
			in.word = 1;
			partial = in;
			partial.check = CHECK_PARTIAL;
			in.word = ones_sum(ones_sum(1, check_of(in)), ~check_of(partial) & 0xffff);
			assert_int_equal(check_of(in), check_of(partial));
			comes_out_as("complete", in, CHECK_RIGHT);
		}
}

static void case15_a_udp_checksum_that_comes_to_0_becomes_ones(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		FOR_ALL(hows[i])
		{
			in.payload = 31;
			in.word = 1;
			in.word = ones_sum(1, check_of(in));
			assert_int_equal(check_of(in), protos[p] == IPPROTO_UDP ? 0xffff : 0);
			in.check = CHECK_PARTIAL;
			comes_out_as("a sum of ones", in, CHECK_RIGHT);
		}
}

static void case15_a_udp_checksum_of_0_stays_0(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE,
						   CANARY_FORWARD_NAT};

	(void)state;
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		struct spec in = service(hows[i], &families[0], IPPROTO_UDP);

		in.check = CHECK_NONE;
		for (in.payload = 0; in.payload < 9; in.payload++)
			comes_out_as("no checksum", in, CHECK_NONE);
		if (hows[i] == CANARY_FORWARD_NAT)
			answer_comes_out_as("nor on the way back", answer_to(in), CHECK_NONE);
	}
}

/* A backend's short answers come padded to the least length of a frame. */
static void case15_short_answers_keep_their_padding(void **state)
{
	(void)state;
	FOR_ALL(CANARY_FORWARD_NAT)
	{
		struct spec answer = answer_to(in);

		for (int partial = 0; partial < 2; partial++) {
			answer.check = partial ? CHECK_PARTIAL : CHECK_RIGHT;
			answer.flags = in.flags ? ACK : 0;
			answer.payload = 0;
			answer.trailer = protos[p] == IPPROTO_TCP ? 6 : 18;
			answer_comes_out_as("no data", answer, CHECK_RIGHT);
			answer.payload = 1;
			answer.trailer--;
			answer_comes_out_as("one byte", answer, CHECK_RIGHT);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case15_l2_completes_all_lengths),
		TEST(case15_ipip_completes_all_lengths),
		TEST(case15_nat_completes_all_lengths),
		TEST(case15_nat_completes_answers_of_all_lengths),
		TEST(case15_what_is_around_the_transport_is_left_out),
		TEST(case15_without_the_interfaces_flag_nothing_is_completed),
		TEST(case15_a_right_checksum_stays_right),
		TEST(case15_a_wrong_checksum_is_not_made_right),
		TEST(case15_a_complete_checksum_that_looks_partial_stays),
		TEST(case15_a_udp_checksum_that_comes_to_0_becomes_ones),
		TEST(case15_a_udp_checksum_of_0_stays_0),
		TEST(case15_short_answers_keep_their_padding),
	};

	return RUN(tests);
}
