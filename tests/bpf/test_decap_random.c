/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tunnels, sound and damaged, through the decapsulation program: what it takes was for this host and comes out as it
 * was inside, all else goes up untouched or is dropped; each has one counter. CANARY_TEST_SEED and CANARY_TEST_PACKETS are
 * the seed and how many.
 */
#include "lib_decap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib_frame.h"
#include "lib_mutate.h"

enum { PACKETS = 200000 };

static const char *const names[] = {
#define X(NAME, name, VERDICT, help) #name,
	CANARY_DECAP_LIST(X)
#undef X
};
static unsigned long tally[CANARY_DECAP_KINDS];

static void describe(struct packet *ret)
{
	static const char *const balancers[] = {BALANCER4, BALANCER6}, *const ends[] = {OURS4, OURS6};
	static const char *const clients[] = {CLIENT, CLIENT6}, *const services[] = {VIP, VIP6};
	unsigned outer_v6 = random_below(2), inner_v6 = random_below(2);
	struct tunnel outer = {.src = balancers[outer_v6],
			       .dst = random_below(20) ? ends[outer_v6] : services[outer_v6],
			       .tos = random_below(256),
			       .frag = random_below(20) || outer_v6 ? 0 : IPV4_MF,
			       .gue_port = random_below(2) ? PORT : 0};
	const char *const alternates[] = {outer_v6 ? PEER6 : PEER4, outer_v6 ? PEER4 : PEER6, ends[outer_v6],
					  balancers[outer_v6]};
	struct spec spec = {.src = clients[inner_v6],
			    .dst = services[inner_v6],
			    .proto = random_below(2) ? IPPROTO_UDP : IPPROTO_TCP,
			    .sport = random_below(65536),
			    .dport = 80};

	random_details(&spec);
	if (random_below(2))
		outer.alternate = alternates[random_below(2) ? 0 : random_below(4)];
	outer.alternate_used = !random_below(10);
	spec.to_mac = random_below(20) ? "front" : "back";
	if (random_below(20))
		spec.outer = &outer;
	if (!random_below(50))
		spec.proto = random_below(2) ? IPPROTO_IPIP : IPPROTO_IPV6;
	packet_build(&spec, NULL, ret);
}

static void random_packet(struct packet *ret)
{
	struct frame frame;

	describe(ret);
	for (unsigned n = random_below(2) ? 0 : 1 + random_below(3); n; n--)
		packet_mutate(ret);
	/* Private data or fields that are not there, another version, a control message: what GUE's header can say. */
	if (!random_below(8) && frame_read(ret->data, ret->len, &frame) && frame.proto == IPPROTO_UDP &&
	    frame.l4 + 12 <= ret->len)
		ret->data[frame.l4 + 8 + random_below(4)] = random_below(256);
	/* Else hardly any damage would get past the outer checksum. */
	if (random_below(4) && frame_read(ret->data, ret->len, &frame) && frame.sound)
		frame_fix_checks(ret->data, &frame);
}

/* May a byte of the inner packet be another one after that? ECN, and the checksum over it. */
static bool may_change(unsigned version, unsigned at)
{
	return version == 4 ? at == 1 || at == 10 || at == 11 : at == 1;
}

static const char *check_taken(const struct packet *in, const struct packet *out)
{
	struct canary_addr ours4 = make_addr(OURS4), ours6 = make_addr(OURS6);
	unsigned off = in->len - out->len, version, length, link;
	struct frame outer;
	__u8 mac[6];

	mac_parse("front", mac);
	if (memcmp(in->data, mac, 6) || !frame_read(in->data, in->len, &outer) ||
	    (!addr_equal(&outer.dst, &ours4) && !addr_equal(&outer.dst, &ours6)))
		return "taken, but not for us";
	if (outer.fragment || outer.later || outer.routed)
		return "taken, but a fragment, or on its way elsewhere";
	if (out->len >= in->len || off < 20)
		return "taken, but nothing went";
	link = outer.l3;
	if (memcmp(in->data, out->data, link - 2))
		return "another link header";
	version = out->data[link] >> 4;
	if ((out->data[link - 2] << 8 | out->data[link - 1]) != (version == 4 ? 0x0800 : 0x86dd))
		return "another Ethernet type than what is inside";
	for (unsigned i = 0; i < out->len - link; i++)
		if (out->data[link + i] != in->data[link + off + i] && !may_change(version, i))
			return "another packet than the one that was inside";
	length = version == 4 ? out->data[link + 2] << 8 | out->data[link + 3]
			      : 40 + (out->data[link + 4] << 8 | out->data[link + 5]);
	if (length > out->len - link)
		return "an inner packet that is longer than the frame";
	if (version == 4) {
		unsigned header = (out->data[link] & 15) * 4;
		bool before = packet_sum(in->data + link + off, header, 0) == 0xffff;

		if (before != (packet_sum(out->data + link, header, 0) == 0xffff))
			return "the inner checksum was right, or wrong, and is not any more";
	}
	return NULL;
}

/* Sent on: to a peer, from here, once, with nothing of the inner packet changed. */
static const char *check_passed_on(const struct packet *in, const struct packet *out)
{
	const struct canary_addr peer4 = make_addr(PEER4), peer6 = make_addr(PEER6);
	struct frame before, after;

	if (in->len != out->len || !frame_read(in->data, in->len, &before) || !frame_read(out->data, out->len, &after))
		return "passed on, but of another length";
	if (memcmp(out->data, in->data + 6, 6) || memcmp(out->data + 6, in->data, 6))
		return "passed on to another than who sent it here";
	/* 192.0.2.128/25, 2001:db8:3::/64 */
	if (memcmp(&after.dst, &peer6, 8) != 0 &&
	    (memcmp(&after.dst, &peer4, 15) != 0 || out->data[after.l3 + 19] < 128))
		return "passed on, but to no peer";
	if (!addr_equal(&after.src, &before.dst))
		return "passed on, but not from here";
	if (out->data[after.l4 + 14] != 1)
		return "passed on, and might be again";
	if (memcmp(in->data + after.l4 + 16, out->data + after.l4 + 16, in->len - after.l4 - 16))
		return "passed on, but changed";
	return out->data[after.l3] >> 4 == 6 ||
			       packet_sum(out->data + after.l3, (out->data[after.l3] & 15) * 4, 0) == 0xffff
		       ? NULL
		       : "passed on with a wrong checksum";
}

static const char *check(const struct packet *in, const struct outcome *out, unsigned kind)
{
	int verdict = kind < CANARY_DECAP_FIRST_SENT ? XDP_PASS : kind < CANARY_DECAP_FIRST_DROPPED ? XDP_TX : XDP_DROP;

	if (out->verdict != verdict)
		return "another verdict than the counter says";
	if (kind == CANARY_DECAP_FAULT)
		return "a fault";
	if (kind < CANARY_DECAP_FIRST_PASSED)
		return check_taken(in, &out->packet);
	if (kind == CANARY_DECAP_PASSED_ON)
		return check_passed_on(in, &out->packet);
	if (out->verdict == XDP_PASS && (in->len != out->packet.len || memcmp(in->data, out->packet.data, in->len)))
		return "passed up, but changed";
	return NULL;
}

static void run_one(unsigned long number, const struct packet *in)
{
	static struct canary_decap_counters before;
	struct canary_decap_counters after;
	unsigned moved = 0, kind = 0;
	static struct outcome out;
	const char *problem;

	decap_run(in, &out);
	after = decap_counted();
	for (unsigned i = 0; i < CANARY_DECAP_KINDS; i++) {
		moved += after.count[i] - before.count[i];
		if (after.count[i] != before.count[i])
			kind = i;
	}
	before = after;
	tally[kind]++;
	problem = moved == 1 ? check(in, &out, kind) : "not exactly one counter moved";
	if (!problem)
		return;
	packet_same(in, &out.packet);
	fail_msg("packet %lu, of kind %u, verdict %d: %s", number, kind, out.verdict, problem);
}

static unsigned long long number_from(const char *name, unsigned long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_tunnels_are_taken_passed_sent_on_or_dropped_for_a_reason(void **state)
{
	unsigned long long seed = number_from("CANARY_TEST_SEED", 20240602);
	unsigned long packets = number_from("CANARY_TEST_PACKETS", PACKETS);
	static struct packet packet;

	(void)state;
	fprintf(stderr, "  CANARY_TEST_SEED=%llu\n", seed);
	random_seed(seed);
	for (unsigned long i = 0; i < packets; i++) {
		random_packet(&packet);
		run_one(i, &packet);
	}
	for (unsigned i = 0; i < CANARY_DECAP_KINDS; i++)
		fprintf(stderr, "  %lu %s\n", tally[i], names[i]);
	/* A test that reaches nothing finds nothing. */
	for (unsigned i = 0; i < CANARY_DECAP_FAULT; i++)
		assert_true(tally[i] > packets / 20000);
	assert_true(tally[CANARY_DECAP_IPIP] + tally[CANARY_DECAP_GUE] + tally[CANARY_DECAP_KEPT] > packets / 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(random_tunnels_are_taken_passed_sent_on_or_dropped_for_a_reason, decap_set_up),
	};

	return RUN(tests);
}
