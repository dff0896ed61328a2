/* SPDX-License-Identifier: Apache-2.0 */
/* decap: what comes out of a tunnel, what goes up the stack as it came, and what is dropped. */
#include "lib_decap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/decap.h"

/* One packet, of which exactly the counter of `kind` is to move, and the bytes where it is taken. want NULL: untouched. */
static void comes_to(int line, const char *what, const struct packet *in, enum canary_decap_kind kind,
		     const struct packet *want)
{
	static struct outcome out;
	struct canary_decap_counters before = decap_counted(), after;
	__u64 bytes = kind < CANARY_DECAP_FIRST_PASSED ? in->ip_len : 0;

	decap_run(in, &out);
	after = decap_counted();
	for (int i = 0; i < CANARY_DECAP_KINDS; i++)
		if (after.count[i] - before.count[i] != (i == (int)kind))
			fail_msg("line %d: %s: counter %d moved by %llu, kind is %d", line, what, i,
				 after.count[i] - before.count[i], kind);
	if (after.bytes - before.bytes != bytes)
		fail_msg("line %d: %s: %llu bytes counted, wanted %llu", line, what, after.bytes - before.bytes, bytes);
	if (out.verdict != (kind < CANARY_DECAP_FIRST_DROPPED ? XDP_PASS : XDP_DROP))
		fail_msg("line %d: %s: verdict %d", line, what, out.verdict);
	if (out.verdict == XDP_PASS && !packet_same(want ? want : in, &out.packet))
		fail_msg("line %d: %s", line, what);
}
#define COMES_TO(what, in, kind, want) comes_to(__LINE__, what, in, CANARY_DECAP_##kind, want)

/* The frame without what is around the inner packet. */
static struct packet build(const struct spec *spec)
{
	struct packet packet;

	packet_build(spec, NULL, &packet);
	return packet;
}

static struct packet inner_of(struct spec spec)
{
	spec.outer = NULL;
	return build(&spec);
}

static struct tunnel tunnel(bool gue, bool v6)
{
	return (struct tunnel){
		.src = v6 ? BALANCER6 : BALANCER4, .dst = v6 ? OURS6 : OURS4, .gue_port = gue ? PORT : 0};
}

static struct spec inside(const struct tunnel *outer, bool v6)
{
	return (struct spec){.src = v6 ? CLIENT6 : CLIENT,
			     .dst = v6 ? VIP6 : VIP,
			     .sport = 4001,
			     .dport = 80,
			     .flags = PSH | ACK,
			     .seq = 7,
			     .payload = 100,
			     .outer = outer};
}

/* Every combination of encapsulation, outer and inner family. */
#define EACH(i) for (int i = 0; i < 8; i++)
#define GUE(i) ((i)&1)
#define OUTER_V6(i) ((i) >> 1 & 1)
#define INNER_V6(i) ((i) >> 2 & 1)

static void is_taken(int line, const char *what, const struct spec *spec)
{
	struct packet in = build(spec), want = inner_of(*spec);

	comes_to(line, what, &in, spec->outer->gue_port ? CANARY_DECAP_GUE : CANARY_DECAP_IPIP, &want);
}
#define IS_TAKEN(what, spec) is_taken(__LINE__, what, spec)

static void every_combination_comes_out_as_it_went_in(void **state)
{
	static const struct tag tags[][2] = {{{0}}, {{VLAN_Q, 5}}, {{VLAN_AD, 100}, {VLAN_Q, 0xe007}}};

	(void)state;
	EACH(i)
	for (size_t j = 0; j < 3; j++) {
		struct tunnel outer = tunnel(GUE(i), OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));

		memcpy(spec.tag, tags[j], sizeof(spec.tag));
		IS_TAKEN("TCP", &spec);
		spec.proto = IPPROTO_UDP;
		spec.payload = 0;
		IS_TAKEN("UDP without payload", &spec);
		spec.proto = INNER_V6(i) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		spec.icmp_type = 8;
		IS_TAKEN("ICMP", &spec);
		spec.proto = IPPROTO_TCP;
		spec.payload = 1400;
		spec.trailer = 9;
		IS_TAKEN("padded", &spec);
	}
}

static void inner_options_extensions_and_fragments_are_the_stacks_business(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(GUE(i), OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));

		if (INNER_V6(i))
			spec.ext[0] = (struct extension){.type = IPPROTO_HOPOPTS, .len = 16};
		else
			spec.ip_options = 40;
		IS_TAKEN("options", &spec);
		spec = inside(&outer, INNER_V6(i));
		if (INNER_V6(i))
			spec.ext[0] = (struct extension){.type = IPPROTO_FRAGMENT, .len = 8, .fragment = 0x101};
		else
			spec.frag = IPV4_MF | 77;
		IS_TAKEN("an inner fragment", &spec);
	}
}

static void ecn_is_merged_as_rfc_6040_says(void **state)
{
	/* Figure 4: by the inner field, then by the outer one; -1: dropped. Not-ECT, ECT(1), ECT(0), CE. */
	static const int merged[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

	(void)state;
	EACH(i)
	for (unsigned ecn = 0; ecn < 16; ecn++) {
		struct tunnel outer = tunnel(GUE(i), OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));
		struct packet in, want;

		/* The inner DSCP stays, the outer one goes. */
		spec.tos = 0xb8 | ecn / 4;
		outer.tos = 0x28 | ecn % 4;
		in = build(&spec);
		if (merged[ecn / 4][ecn % 4] < 0) {
			COMES_TO("congestion that cannot be told", &in, CONGESTION, NULL);
			continue;
		}
		spec.tos = 0xb8 | merged[ecn / 4][ecn % 4];
		want = inner_of(spec);
		comes_to(__LINE__, "ECN", &in, GUE(i) ? CANARY_DECAP_GUE : CANARY_DECAP_IPIP, &want);
	}
}

static void what_is_not_in_a_tunnel_to_us_goes_up_untouched(void **state)
{
	static const struct spec plain[] = {
		{.src = CLIENT, .dst = OURS4, .sport = 1, .dport = 80, .flags = SYN},
		{.src = CLIENT6, .dst = OURS6, .proto = IPPROTO_UDP, .dport = 53},
		{.src = CLIENT, .dst = OURS4, .proto = IPPROTO_UDP, .dport = PORT + 1, .payload = 60},
		{.src = CLIENT, .dst = OURS4, .proto = IPPROTO_ICMP, .icmp_type = 8},
		{.src = CLIENT, .dst = OURS4, .dport = 22, .flags = SYN | FIN, .ihl = 16},
		{.src = CLIENT, .dst = OURS4, .ethertype = 0x0806},
		{.src = CLIENT, .dst = OURS4, .proto = IPPROTO_UDP, .dport = PORT, .cut = 36},
	};
	struct packet in;

	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		in = build(&plain[i]);
		COMES_TO("no tunnel", &in, NOT_OURS, NULL);
	}
	EACH(i)
	{
		struct tunnel outer = tunnel(GUE(i), OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));

		spec.to_mac = "back";
		in = build(&spec);
		COMES_TO("another host's frame", &in, NOT_OURS, NULL);
		spec.to_mac = "ff:ff:ff:ff:ff:ff";
		in = build(&spec);
		COMES_TO("a broadcast", &in, NOT_OURS, NULL);
		spec.to_mac = NULL;
		outer.dst = OUTER_V6(i) ? VIP6 : VIP;
		in = build(&spec);
		COMES_TO("a tunnel that ends elsewhere", &in, NOT_OURS, NULL);
	}
}

/* A byte of the packet, counted from the outer IP header, with the outer checksum right. */
static void set_byte(struct packet *p, unsigned at, unsigned value)
{
	__u8 *ip = p->data + p->l3;
	unsigned sum;

	ip[at] = value;
	if (ip[0] >> 4 != 4)
		return;
	ip[10] = ip[11] = 0;
	sum = ~packet_sum(ip, (ip[0] & 15) * 4, 0);
	ip[10] = sum >> 8;
	ip[11] = sum;
}

static unsigned outer_len(int i)
{
	return (OUTER_V6(i) ? 40 : 20) + (GUE(i) ? 12 : 0);
}

static void what_does_not_fit_together_is_dropped(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(GUE(i), OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));
		const unsigned inner = outer_len(i), length = INNER_V6(i) ? 4 : 2;
		struct packet in = build(&spec), bad;

		bad = in;
		set_byte(&bad, inner, INNER_V6(i) ? 0x50 : 0x55);
		COMES_TO("no IP inside", &bad, MALFORMED, NULL);
		bad = in;
		set_byte(&bad, inner, INNER_V6(i) ? 0x45 : 0x60);
		COMES_TO("the other IP inside", &bad, MALFORMED, NULL);
		bad = in;
		set_byte(&bad, inner + length + 1, bad.data[bad.l3 + inner + length + 1] + 1);
		COMES_TO("an inner packet longer than the tunnel's", &bad, MALFORMED, NULL);
		bad = in;
		set_byte(&bad, inner + length, 0xff);
		COMES_TO("one much longer", &bad, MALFORMED, NULL);
		bad = in;
		bad.len--;
		COMES_TO("a frame cut short", &bad, MALFORMED, NULL);
		for (unsigned len = in.l3 + inner - (GUE(i) ? 12 : 0); len < in.l3 + inner + (INNER_V6(i) ? 40 : 20);
		     len++) {
			spec.cut = len;
			bad = build(&spec);
			/* Without its ports nobody can tell that it is GUE. */
			if (GUE(i) && len < in.l3 + inner - 8)
				COMES_TO("cut before the ports", &bad, NOT_OURS, NULL);
			else
				COMES_TO("cut in the headers", &bad, MALFORMED, NULL);
		}
		if (OUTER_V6(i))
			continue;
		bad = in;
		bad.data[bad.l3 + 10] ^= 1;
		COMES_TO("a wrong outer checksum", &bad, MALFORMED, NULL);
		bad = in;
		set_byte(&bad, 3, 19);
		set_byte(&bad, 2, 0);
		comes_to(__LINE__, "an outer length below the header's", &bad,
			 GUE(i) ? CANARY_DECAP_NOT_OURS : CANARY_DECAP_MALFORMED, NULL);
	}
}

static void fragments_of_the_outer_packet_are_left_to_the_stack(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(GUE(i), false);
		struct spec spec = inside(&outer, INNER_V6(i));
		struct packet in;

		outer.frag = IPV4_MF;
		in = build(&spec);
		COMES_TO("the first", &in, FRAGMENT, NULL);
		outer.frag = 100;
		in = build(&spec);
		COMES_TO("the last", &in, NOT_OURS, NULL);
	}
}

static void a_tunnel_in_the_tunnel_is_dropped(void **state)
{
	static const unsigned protos[] = {IPPROTO_IPIP, IPPROTO_IPV6};

	(void)state;
	EACH(i)
	for (int j = 0; j < 2; j++) {
		struct tunnel outer = tunnel(GUE(i), OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));
		struct packet in;

		spec.proto = protos[j];
		in = build(&spec);
		COMES_TO("nested", &in, NESTED, NULL);
	}
}

/* UDP's and the outer header's, of a packet that has another length now. */
static void set_lengths(struct packet *p, unsigned udp)
{
	unsigned len = p->len - udp, ip = udp - p->l3 == 40 ? len : len + 20, at = udp - p->l3 == 40 ? 4 : 2;

	p->data[udp + 4] = len >> 8;
	p->data[udp + 5] = len;
	set_byte(p, at, ip >> 8);
	set_byte(p, at + 1, ip);
}

/* GUE's header with `words` of private data, in front of the inner packet. */
static struct packet with_private_data(const struct spec *spec, unsigned words)
{
	struct packet p = build(spec);
	unsigned udp = p.l3 + (spec->outer->src[4] == ':' ? 40 : 20), after = udp + 12, more = words * 4;

	memmove(p.data + after + more, p.data + after, p.len - after);
	memset(p.data + after, 0xee, more);
	p.data[udp + 8] = words;
	p.len += more;
	set_lengths(&p, udp);
	return p;
}

static void gues_private_data_is_skipped(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(true, OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));
		struct packet want = inner_of(spec);

		for (unsigned words = 0; words < 32; words++) {
			struct packet in = with_private_data(&spec, words);

			COMES_TO("private data", &in, GUE, &want);
			/* The length says more than there is. */
			in = build(&spec);
			in.data[in.l3 + outer_len(i | 1) - 4] = 31;
			if (words > 25)
				COMES_TO("longer than the packet", &in, MALFORMED, NULL);
		}
	}
}

static void what_of_gue_is_not_known_goes_up_the_stack(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(true, OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));
		const unsigned gue = outer_len(i | 1) - 4;
		struct packet in = build(&spec), odd;

		odd = in;
		set_byte(&odd, gue, 0x20);
		COMES_TO("a control message", &odd, CONTROL, NULL);
		for (unsigned version = 2; version < 4; version++) {
			odd = in;
			set_byte(&odd, gue, version << 6);
			COMES_TO("another version", &odd, UNKNOWN, NULL);
		}
		odd = in;
		set_byte(&odd, gue + 1, IPPROTO_TCP);
		COMES_TO("another protocol", &odd, UNKNOWN, NULL);
		odd = in;
		set_byte(&odd, gue + 2, 0x80);
		COMES_TO("a field that a flag announces", &odd, UNKNOWN, NULL);
		odd = in;
		set_byte(&odd, gue, 0x55);
		COMES_TO("version 1, of no IP", &odd, UNKNOWN, NULL);
	}
}

static void gue_of_version_1_is_udp_and_then_ip(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(true, OUTER_V6(i));
		struct spec spec = inside(&outer, INNER_V6(i));
		struct packet in = build(&spec), want = inner_of(spec);
		unsigned udp = in.l3 + outer_len(i | 1) - 12;

		memmove(in.data + udp + 8, in.data + udp + 12, in.len - udp - 12);
		in.len -= 4;
		set_lengths(&in, udp);
		COMES_TO("version 1", &in, GUE, &want);
	}
}

static void extension_headers_of_the_outer_packet_are_skipped(void **state)
{
	/* As Linux' own tunnels send it: the Tunnel Encapsulation Limit (RFC 2473). */
	static const __u8 limit[8] = {IPPROTO_IPIP, 0, 4, 1, 4, 1, 0, 0};
	struct tunnel outer = tunnel(false, true);
	struct spec spec = inside(&outer, false);
	struct packet in = build(&spec), want = inner_of(spec);

	(void)state;
	memmove(in.data + in.l3 + 48, in.data + in.l3 + 40, in.len - in.l3 - 40);
	memcpy(in.data + in.l3 + 40, limit, 8);
	in.len += 8;
	in.data[in.l3 + 6] = IPPROTO_DSTOPTS;
	in.data[in.l3 + 5] += 8;
	COMES_TO("an encapsulation limit", &in, IPIP, &want);
}

static void attached_again_it_is_replaced_in_place(void **state)
{
	struct interface *front = &env.interfaces[FRONT];
	const struct canary_addr addrs[] = {make_addr(OURS4), make_addr("192.0.2.77")};
	const struct canary_decap_peer peers[] = {{96 + 24, make_addr("10.0.0.0")}, {64, make_addr("2001:db8:10::")}};
	struct decap_ends ends = {.gue_port = PORT, .addresses = addrs, .address_count = 2, .peers = peers};
	char dir[80];
	struct decap *list;
	struct error error;
	size_t count;
	bool already;

	(void)state;
	snprintf(dir, sizeof(dir), "%s-decap", env.dir);
	assert_int_equal(decap_attach(dir, front, ATTACH_NATIVE, &ends, &already, &error), -EBUSY);
	assert_non_null(strstr(error.text, "canary_xdp"));
	assert_int_equal(dataplane_detach(env.dataplane, front, &error), 0);
	for (int i = 0; i < 3; i++) {
		ends.gue_port = PORT + i;
		ends.address_count = 1 + i % 2;
		ends.peer_count = i;
		if (decap_attach(dir, front, ATTACH_NATIVE, &ends, &already, &error))
			fail_msg("%s", error.text);
		assert_int_equal(already, i > 0);
		assert_int_equal(decap_list(dir, &list, &count, &error), 0);
		assert_int_equal(count, 1);
		assert_int_equal(list->gue_port, PORT + i);
		assert_int_equal(list->address_count, 1 + i % 2);
		assert_int_equal(list->peer_count, i);
		if (i == 2)
			assert_int_equal(list->peers[0].prefixlen + list->peers[1].prefixlen, 96 + 24 + 64);
		assert_string_equal(list->interface.name, "front");
		assert_false(list->interface.generic);
		decap_free(list, count);
	}
	assert_int_equal(decap_detach(dir, front, &error), 0);
	assert_int_equal(decap_detach(dir, front, &error), -ENOENT);
	assert_int_equal(decap_list(dir, &list, &count, &error), 0);
	assert_int_equal(count, 0);
	decap_free(list, count);
	assert_int_equal(dataplane_attach(env.dataplane, front, ATTACH_NATIVE, &already, &error), 0);
}

#define DECAP_TEST(name) cmocka_unit_test_setup(name, decap_set_up)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(attached_again_it_is_replaced_in_place),
		DECAP_TEST(every_combination_comes_out_as_it_went_in),
		DECAP_TEST(inner_options_extensions_and_fragments_are_the_stacks_business),
		DECAP_TEST(ecn_is_merged_as_rfc_6040_says),
		DECAP_TEST(what_is_not_in_a_tunnel_to_us_goes_up_untouched),
		DECAP_TEST(what_does_not_fit_together_is_dropped),
		DECAP_TEST(fragments_of_the_outer_packet_are_left_to_the_stack),
		DECAP_TEST(a_tunnel_in_the_tunnel_is_dropped),
		DECAP_TEST(gues_private_data_is_skipped),
		DECAP_TEST(what_of_gue_is_not_known_goes_up_the_stack),
		DECAP_TEST(gue_of_version_1_is_udp_and_then_ip),
		DECAP_TEST(extension_headers_of_the_outer_packet_are_skipped),
	};

	return RUN(tests);
}
