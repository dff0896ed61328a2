/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Case 4: what does not fit the next hop's MTU, with the tunnel's header, is dropped and its sender told what would, where the
 * protocols let a router say that. What is expected is built, not taken from the answer: the packet as it was sent, quoted.
 */
#include "lib_way.h"

#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

/* The next hops' MTU is 1,500 everywhere behind "back". */
static const struct row {
	const char *what;
	enum canary_forward forward;
	const char *src, *dst, *backend;
	unsigned proto;
	const struct tunnel *outer;
	unsigned payload; /* the largest that fits */
	unsigned mtu; /* what the sender is told */
} rows[] = {
	{"l2, TCP", CANARY_FORWARD_L2, CLIENT, VIP, BACK4, IPPROTO_TCP, NULL, 1460, 1500},
	{"l2, UDP", CANARY_FORWARD_L2, CLIENT, VIP, BACK4, IPPROTO_UDP, NULL, 1472, 1500},
	{"l2, TCP, IPv6", CANARY_FORWARD_L2, CLIENT6, VIP6, BACK6, IPPROTO_TCP, NULL, 1440, 1500},
	{"l2, UDP, IPv6", CANARY_FORWARD_L2, CLIENT6, VIP6, BACK6, IPPROTO_UDP, NULL, 1452, 1500},
	{"4in4, TCP", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK4, IPPROTO_TCP, &outer4, 1440, 1480},
	{"4in4, UDP", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK4, IPPROTO_UDP, &outer4, 1452, 1480},
	{"4in6, UDP", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK6, IPPROTO_UDP, &outer6, 1432, 1460},
	{"6in6, TCP", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK6, IPPROTO_TCP, &outer6, 1400, 1460},
	{"6in6, UDP", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK6, IPPROTO_UDP, &outer6, 1412, 1460},
	{"6in4, UDP", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK4, IPPROTO_UDP, &outer4, 1432, 1480},
	{"gue, 4in4, UDP", CANARY_FORWARD_GUE, CLIENT, VIP, BACK4, IPPROTO_UDP, &gue4, 1440, 1468},
	{"gue, 6in6, TCP", CANARY_FORWARD_GUE, CLIENT6, VIP6, BACK6, IPPROTO_TCP, &gue6, 1388, 1448},
	{"nat, TCP", CANARY_FORWARD_NAT, CLIENT, VIP, BACK4, IPPROTO_TCP, NULL, 1460, 1500},
	{"nat, UDP, IPv6", CANARY_FORWARD_NAT, CLIENT6, VIP6, BACK6, IPPROTO_UDP, NULL, 1452, 1500},
};

static bool is_v6(const char *addr)
{
	return strchr(addr, ':');
}

static void service_of(const struct row *row)
{
	char endpoint[64], backend[64];
	bool nat = row->forward == CANARY_FORWARD_NAT;

	snprintf(endpoint, sizeof(endpoint), is_v6(row->dst) ? "[%s]:80" : "%s:80", row->dst);
	snprintf(backend, sizeof(backend), nat ? is_v6(row->backend) ? "[%s]:80" : "%s:80" : "%s", row->backend);
	CONFIGURE(
		{.name = "web", .endpoint = endpoint, .proto = row->proto, .forward = row->forward, .stable = backend});
}

/* A packet in the midst of a flow, which has no flow to count; UDP of services that are not sticky has. */
static struct spec packet_of(const struct row *row, unsigned payload)
{
	return (struct spec){.src = row->src,
			     .dst = row->dst,
			     .proto = row->proto,
			     .sport = 4000,
			     .dport = 80,
			     .flags = ACK,
			     .seq = 99,
			     .frag = is_v6(row->src) ? 0 : IPV4_DF,
			     .id = 77,
			     .payload = payload};
}

static const char *also_counts(const struct row *row)
{
	static char text[160];

	if (row->proto == IPPROTO_TCP)
		return "";
	snprintf(text, sizeof(text),
		 is_v6(row->backend) ? " web.stable.flows [%s]:80.flows" : " web.stable.flows %s:80.flows",
		 row->backend);
	return row->forward == CANARY_FORWARD_NAT ? "" : text;
}

/* What the sender of `quote` gets: no longer than 576 or 1,280 bytes, from the packet's destination, back where it came from. */
static struct spec answer_about(const struct spec *quote, unsigned mtu, enum side side)
{
	bool v6 = is_v6(quote->src);
	unsigned headers = v6 ? 40 : 20 + quote->ip_options;

	for (const struct extension *ext = quote->ext; ext->len; ext++)
		headers += ext->len;
	return (struct spec){.from_mac = side == FRONT ? "front" : "back",
			     .to_mac = quote->from_mac ? quote->from_mac : "192.0.2.254",
			     .tag = {quote->tag[0], quote->tag[1]},
			     .src = quote->dst,
			     .dst = quote->src,
			     .tos = v6 ? 0 : 0xc0,
			     .frag = v6 ? 0 : IPV4_DF,
			     .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			     .icmp_type = v6 ? 2 : 3,
			     .icmp_code = v6 ? 0 : 4,
			     .icmp_rest = mtu,
			     .quote = quote,
			     .quote_l4 = (v6 ? 1280 - 48 : 576 - 28) - headers};
}

static void expect_answer(const char *what, const struct row *row, const struct spec *in, unsigned mtu)
{
	struct spec want = answer_about(in, mtu, FRONT);
	char counters[256];

	snprintf(counters, sizeof(counters), "front.forwarded web.stable.too_big web.stable.too_big_answered%s",
		 also_counts(row));
	EXPECT(what, FRONT, in, XDP_TX, &want, counters);
}

static void expect_silence(const char *what, const struct row *row, const struct spec *in)
{
	char counters[256];

	snprintf(counters, sizeof(counters), "web.stable.too_big%s", also_counts(row));
	EXPECT(what, FRONT, in, XDP_DROP, NULL, counters);
}

/* nat remembers: the flow's first packet, so that none of the others is. */
static void open_flow(const struct row *row)
{
	struct spec in = packet_of(row, 10);
	struct packet packet;
	struct outcome out;

	if (row->forward != CANARY_FORWARD_NAT)
		return;
	in.flags = SYN;
	packet_build(&in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
}

static void case04_the_largest_packet_fits_and_one_byte_more_is_answered(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct spec in = packet_of(row, row->payload);
		struct packet packet;
		struct outcome out;

		env_fresh(state);
		service_of(row);
		open_flow(row);
		packet_build(&in, NULL, &packet);
		run_packet(FRONT, &packet, &out);
		assert_int_equal(out.verdict, XDP_REDIRECT);
		assert_int_equal(out.packet.len, 1514);
		in.payload++;
		expect_answer(row->what, row, &in, row->mtu);
		in.payload = 3000; /* 3,000 and more: a device that takes larger ones */
		expect_answer(row->what, row, &in, row->mtu);
		in.payload = 8001; /* in more than one buffer */
		expect_answer(row->what, row, &in, row->mtu);
		in.trailer = 17;
		expect_answer(row->what, row, &in, row->mtu);
	}
}

static void case04_tags_options_and_extension_headers_are_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct spec in = packet_of(row, 1500);

		if (row->forward != CANARY_FORWARD_IPIP)
			continue;
		service_of(row);
		in.tag[0] = (struct tag){VLAN_AD, 0x2005};
		expect_answer("a tag", row, &in, row->mtu);
		in.tag[1] = (struct tag){VLAN_Q, 0xe007};
		expect_answer("two tags", row, &in, row->mtu);
		if (is_v6(row->src))
			in.ext[0] = (struct extension){.type = 60, .len = 56};
		else
			in.ip_options = 40;
		expect_answer("longer headers", row, &in, row->mtu);
	}
}

static void case04_an_ipv4_packet_that_may_be_fragmented_is_dropped_in_silence(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct spec in = packet_of(&rows[i], rows[i].payload + 1);

		if (is_v6(rows[i].src) || rows[i].forward == CANARY_FORWARD_NAT)
			continue;
		service_of(&rows[i]);
		in.frag = 0;
		expect_silence(rows[i].what, &rows[i], &in);
	}
}

static void case04_nothing_is_said_to_whom_is_nobody(void **state)
{
	static const char *const nobody[] = {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"};
	static const char *const nobody6[] = {"::", "::1", "ff02::1"};
	struct row row = rows[4], row6 = rows[7];
	struct spec in;

	(void)state;
	service_of(&row);
	for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++) {
		in = packet_of(&row, 1460);
		in.src = nobody[i];
		expect_silence(nobody[i], &row, &in);
	}
	service_of(&row6);
	for (size_t i = 0; i < sizeof(nobody6) / sizeof(*nobody6); i++) {
		in = packet_of(&row6, 1460);
		in.src = nobody6[i];
		expect_silence(nobody6[i], &row6, &in);
	}
}

static void case04_an_icmp_error_is_never_answered(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		bool v6 = is_v6(row->src);
		struct spec lost = packet_of(row, 1460), in;

		if (row->forward != CANARY_FORWARD_IPIP || row->proto != IPPROTO_TCP)
			continue;
		service_of(row);
		lost.src = row->dst;
		lost.dst = row->src;
		lost.sport = 80;
		lost.dport = 4000;
		in = (struct spec){.src = row->src,
				   .dst = row->dst,
				   .frag = v6 ? 0 : IPV4_DF,
				   .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				   .icmp_type = v6 ? 1 : 3,
				   .icmp_code = 1,
				   .quote = &lost,
				   .quote_l4 = 4096};
		expect_silence(row->what, row, &in);
	}
}

/* Of an IPv6 path no packet is less than 1,280 bytes: that is the least that is told, and what is smaller gets no answer. */
static void case04_never_less_than_1280_over_ipv6(void **state)
{
	const struct row *row = &rows[7];
	struct spec in = packet_of(row, 1221);

	(void)state;
	service_of(row);
	run_command("ip link set back mtu 1300");
	expect_answer("1,281 bytes", row, &in, 1280);
	in.payload--;
	expect_silence("1,280 bytes", row, &in);
	run_command("ip link set back mtu 1500");
}

/* nat's way back: the backend is told, by the client's address, and its own packet is quoted. */
static void case04_nat_tells_the_backend(void **state)
{
	static const struct row ways[] = {
		{"TCP", CANARY_FORWARD_NAT, CLIENT, VIP, BACK4, IPPROTO_TCP, NULL, 0, 1400},
		{"UDP", CANARY_FORWARD_NAT, CLIENT, VIP, BACK4, IPPROTO_UDP, NULL, 0, 1400},
		{"TCP, IPv6", CANARY_FORWARD_NAT, CLIENT6, VIP6, BACK6, IPPROTO_TCP, NULL, 0, 1400},
		{"UDP, IPv6", CANARY_FORWARD_NAT, CLIENT6, VIP6, BACK6, IPPROTO_UDP, NULL, 0, 1400},
	};

	run_command("ip link set front mtu 1400");
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct spec in = packet_of(&ways[i], 1400), want;

		env_fresh(state);
		service_of(&ways[i]);
		open_flow(&ways[i]);
		in.from_mac = ways[i].backend;
		in.to_mac = "back";
		in.src = ways[i].backend;
		in.dst = ways[i].src;
		in.sport = 80;
		in.dport = 4000;
		want = answer_about(&in, 1400, BACK);
		EXPECT(ways[i].what, BACK, &in, XDP_TX, &want,
		       "back.forwarded web.stable.too_big web.stable.too_big_answered");
		in.frag = 0;
		if (!is_v6(in.src))
			EXPECT(ways[i].what, BACK, &in, XDP_DROP, NULL, "web.stable.too_big");
	}
	run_command("ip link set front mtu 3400");
}

/* 10,000 a second on all CPUs: whatever their number, a hundred thousand at once are more. */
static void case04_answers_are_rate_limited(void **state)
{
	enum { SENT = 100000 };
	struct spec in = packet_of(&rows[4], 1460);
	struct canary_cohort_counters counters;
	struct packet packet;
	__u8 out[2048];

	(void)state;
	service_of(&rows[4]);
	packet_build(&in, NULL, &packet);
	for (int i = 0; i < SENT; i++) {
		struct xdp_md ctx = {.data_end = packet.len, .ingress_ifindex = env.interfaces[FRONT].ifindex};
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data, .data_size_in = packet.len,
			    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
			    .repeat = 1);

		assert_int_equal(bpf_prog_test_run_opts(env.program, &options), 0);
	}
	assert_int_equal(dataplane_cohort_counters(env.dataplane, find_service("web")->id, CANARY_STABLE, &counters),
			 0);
	assert_int_equal(counters.drops[CANARY_REASON_TOO_BIG - CANARY_FIRST_COHORT_REASON], SENT);
	assert_true(counters.count[CANARY_COHORT_TOO_BIG_ANSWERED] > 100);
	assert_true(counters.count[CANARY_COHORT_TOO_BIG_ANSWERED] < SENT / 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case04_the_largest_packet_fits_and_one_byte_more_is_answered),
		TEST(case04_tags_options_and_extension_headers_are_kept),
		TEST(case04_an_ipv4_packet_that_may_be_fragmented_is_dropped_in_silence),
		TEST(case04_nothing_is_said_to_whom_is_nobody),
		TEST(case04_an_icmp_error_is_never_answered),
		TEST(case04_never_less_than_1280_over_ipv6),
		TEST(case04_nat_tells_the_backend),
		TEST(case04_answers_are_rate_limited),
	};

	return RUN(tests);
}
