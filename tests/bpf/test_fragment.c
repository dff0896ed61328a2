/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Case 6: fragments. The first one of a packet is steered, and the others follow it; what belongs to no packet that was seen
 * is left to the stack. A later fragment is described as a datagram whose header is nothing but data.
 */
#include "lib_wait.h"
#include "lib_way.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

enum { LATER_OFFSET = 1400 };

static const struct row {
	const char *what;
	enum canary_forward forward;
	const char *client, *vip, *backend;
	unsigned proto;
	const struct tunnel *outer;
} rows[] = {
	{"l2, UDP", CANARY_FORWARD_L2, CLIENT, VIP, BACK4, IPPROTO_UDP, NULL},
	{"l2, TCP", CANARY_FORWARD_L2, CLIENT, VIP, BACK4, IPPROTO_TCP, NULL},
	{"l2, UDP, IPv6", CANARY_FORWARD_L2, CLIENT6, VIP6, BACK6, IPPROTO_UDP, NULL},
	{"l2, TCP, IPv6", CANARY_FORWARD_L2, CLIENT6, VIP6, BACK6, IPPROTO_TCP, NULL},
	{"4in4, UDP", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK4, IPPROTO_UDP, &outer4},
	{"4in4, TCP", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK4, IPPROTO_TCP, &outer4},
	{"6in6, UDP", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK6, IPPROTO_UDP, &outer6},
	{"4in6, UDP", CANARY_FORWARD_IPIP, CLIENT, VIP, BACK6, IPPROTO_UDP, &outer6},
	{"6in4, TCP", CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK4, IPPROTO_TCP, &outer4_of_6},
	{"gue, 4in4, UDP", CANARY_FORWARD_GUE, CLIENT, VIP, BACK4, IPPROTO_UDP, &gue4},
	{"gue, 6in6, TCP", CANARY_FORWARD_GUE, CLIENT6, VIP6, BACK6, IPPROTO_TCP, &gue6},
	{"nat, UDP", CANARY_FORWARD_NAT, CLIENT, VIP, BACK4, IPPROTO_UDP, NULL},
	{"nat, TCP", CANARY_FORWARD_NAT, CLIENT, VIP, BACK4, IPPROTO_TCP, NULL},
	{"nat, UDP, IPv6", CANARY_FORWARD_NAT, CLIENT6, VIP6, BACK6, IPPROTO_UDP, NULL},
	{"nat, TCP, IPv6", CANARY_FORWARD_NAT, CLIENT6, VIP6, BACK6, IPPROTO_TCP, NULL},
};
enum { ROWS = sizeof(rows) / sizeof(*rows) };

static bool is_v6(const char *addr)
{
	return strchr(addr, ':');
}

static unsigned backend_port(const struct row *row)
{
	return row->forward == CANARY_FORWARD_NAT ? 8080 : 80;
}

static void service_of(const struct row *row)
{
	char endpoint[64], backend[64];

	snprintf(endpoint, sizeof(endpoint), is_v6(row->vip) ? "[%s]:80" : "%s:80", row->vip);
	snprintf(backend, sizeof(backend), is_v6(row->backend) ? "[%s]:%u" : "%s:%u", row->backend, backend_port(row));
	CONFIGURE({.name = "web",
		   .endpoint = endpoint,
		   .proto = row->proto,
		   .forward = row->forward,
		   .stable = row->forward == CANARY_FORWARD_NAT ? backend : row->backend});
}

/* The first part of a packet of a client's: a datagram, or the data in a SYN. */
static struct spec first_part(const struct row *row, unsigned id)
{
	struct spec spec = {.src = row->client,
			    .dst = row->vip,
			    .proto = row->proto,
			    .sport = 4000,
			    .dport = 80,
			    .flags = SYN,
			    .seq = 99,
			    .payload = row->proto == IPPROTO_TCP ? 1380 : 1392,
			    .udp_length = 3000};

	set_fragment(&spec, 0, true, id);
	return spec;
}

static struct spec later_part(const struct row *row, unsigned offset, unsigned id)
{
	struct spec spec = {.src = row->client,
			    .dst = row->vip,
			    .proto = row->proto,
			    .sport = 0xabcd,
			    .dport = 0xef01,
			    .flags = 0xff,
			    .doff = 16,
			    .check = CHECK_VALUE,
			    .check_value = 0x2345,
			    .payload = 700};

	set_fragment(&spec, offset, offset == LATER_OFFSET, id);
	return spec;
}

/* As it leaves for the backend. Of later fragments of nat's only the address changes. */
static struct spec forwarded(const struct row *row, struct spec in, bool first)
{
	in = sent_on(in, BACK, row->backend);
	in.outer = row->outer;
	if (row->forward == CANARY_FORWARD_NAT) {
		in.dst = row->backend;
		in.dport = first ? backend_port(row) : in.dport;
	}
	return in;
}

static const char *counted(const struct row *row, const char *kind, const char *more)
{
	static char text[200];

	snprintf(text, sizeof(text), is_v6(row->backend) ? "%s:web.stable:[%s]:%u%s" : "%s:web.stable:%s:%u%s", kind,
		 row->backend, backend_port(row), more);
	return text;
}

static void send_first(const struct row *row, unsigned id)
{
	struct spec in = first_part(row, id), want = forwarded(row, in, true);

	EXPECT(row->what, FRONT, &in, XDP_REDIRECT, &want, counted(row, "flow", ""));
}

static void later_follows(const struct row *row, struct spec in)
{
	struct spec want = forwarded(row, in, false);

	EXPECT(row->what, FRONT, &in, XDP_REDIRECT, &want, counted(row, "packet", " web.stable.fragments"));
}

static void passed_up(const char *what, struct spec in)
{
	EXPECT(what, FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
}

static void case06_all_fragments_follow_the_first(void **state)
{
	for (int i = 0; i < ROWS; i++) {
		struct spec in;

		env_fresh(state);
		service_of(&rows[i]);
		send_first(&rows[i], 7);
		later_follows(&rows[i], later_part(&rows[i], LATER_OFFSET, 7));
		in = later_part(&rows[i], 2 * LATER_OFFSET, 7);
		in.payload = 1;
		in.trailer = 9;
		if (rows[i].outer) {
			struct spec want = forwarded(&rows[i], in, false);

			want.trailer = 0; /* padding does not go through a tunnel */
			EXPECT(rows[i].what, FRONT, &in, XDP_REDIRECT, &want,
			       counted(&rows[i], "packet", " web.stable.fragments"));
		} else {
			later_follows(&rows[i], in);
		}
	}
}

static unsigned outer_port(const struct spec *in)
{
	const unsigned udp = 14 + (is_v6(in->src) ? 40 : 20);
	struct packet packet;
	struct outcome out;

	packet_build(in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
	return out.packet.data[udp] << 8 | out.packet.data[udp + 1];
}

/* Or they would take several ways, and come in another order. */
static void gue_sends_all_from_one_port(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		struct spec whole = first_part(&rows[i], 9), first = whole,
			    later = later_part(&rows[i], LATER_OFFSET, 9);

		if (rows[i].forward != CANARY_FORWARD_GUE)
			continue;
		service_of(&rows[i]);
		for (first.sport = 4001; first.sport < 4050; first.sport++) {
			unsigned port = outer_port(&first);

			whole.sport = 3000 + first.sport; /* of another flow, in between */
			set_fragment(&whole, 0, true, 10);
			outer_port(&whole);
			assert_int_equal(outer_port(&later), port);
			/* Its fragment header may name another: that of an extension header in the part before. */
			later.proto = is_v6(later.src) ? IPPROTO_DSTOPTS : later.proto;
			assert_int_equal(outer_port(&later), port);
			later.proto = whole.proto;
		}
	}
}

static void case06_nat_translates_the_backends_fragments(void **state)
{
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		struct row back = {row->what, row->forward, row->backend, row->client, NULL, row->proto, NULL};
		struct spec first, later, want;

		if (row->forward != CANARY_FORWARD_NAT)
			continue;
		env_fresh(state);
		service_of(row);
		send_first(row, 7);
		first = first_part(&back, 8);
		later = later_part(&back, LATER_OFFSET, 8);
		first.from_mac = later.from_mac = row->backend;
		first.to_mac = later.to_mac = "back";
		first.sport = 8080;
		first.dport = 4000;
		first.flags = ACK;
		EXPECT("it overtakes the first", BACK, &later, XDP_PASS, NULL, "back.passed back.not_ours");
		want = sent_on(first, FRONT, is_v6(row->client) ? "2001:db8:2::fe" : "192.0.2.254");
		want.src = row->vip;
		want.sport = 80;
		EXPECT(row->what, BACK, &first, XDP_REDIRECT, &want, "reply:web.stable");
		want = sent_on(later, FRONT, is_v6(row->client) ? "2001:db8:2::fe" : "192.0.2.254");
		want.src = row->vip;
		EXPECT(row->what, BACK, &later, XDP_REDIRECT, &want, "reply:web.stable web.stable.fragments");
	}
}

static void case06_what_belongs_to_no_packet_that_was_seen_passes(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		struct spec in = later_part(row, LATER_OFFSET, 7);

		env_fresh(state);
		service_of(row);
		passed_up("it overtakes the first", in);
		send_first(row, 7);
		in = later_part(row, LATER_OFFSET, 8);
		passed_up("of another packet", in);
		in = later_part(row, LATER_OFFSET, 7);
		in.src = is_v6(in.src) ? "2001:db8:c::8" : "198.51.100.8";
		passed_up("of another client", in);
		in = later_part(row, LATER_OFFSET, 7);
		in.dst = is_v6(in.src) ? "2001:db8:2::1" : "192.0.2.1";
		passed_up("to the host", in);
		in = later_part(row, LATER_OFFSET, 7);
		in.proto = row->proto == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
		if (!is_v6(in.src))
			passed_up("of another protocol", in);
		else
			later_follows(row, in); /* they need not name the same */
		in = later_part(row, LATER_OFFSET, 7);
		in.ttl = 1;
		EXPECT("at its last hop", FRONT, &in, XDP_PASS, NULL, "front.passed");
	}
}

/* The same sender may give its next packet to the address that number, and to a port that is none of ours. */
static void case06_a_first_fragment_that_passes_takes_the_number(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		struct spec in;

		env_fresh(state);
		service_of(&rows[i]);
		send_first(&rows[i], 7);
		in = first_part(&rows[i], 7);
		in.dport = 81;
		passed_up("a first fragment to another port", in);
		passed_up("what follows it", later_part(&rows[i], LATER_OFFSET, 7));
		if (!is_v6(rows[i].vip))
			continue;
		/* IPv6's numbers are of all protocols. */
		env_fresh(state);
		service_of(&rows[i]);
		send_first(&rows[i], 8);
		in = first_part(&rows[i], 8);
		in.proto = IPPROTO_ICMPV6;
		passed_up("a first fragment of a ping", in);
		passed_up("what follows that", later_part(&rows[i], LATER_OFFSET, 8));
	}
}

/* Two cohorts, UDP that no one remembers: the weight changes between the fragments, the packet is not split. */
static void case06_a_packet_is_never_split(void **state)
{
	unsigned stable = 0, canary = 0;

	(void)state;
	for (unsigned id = 1; id <= 64; id++) {
		struct spec in = first_part(&rows[0], id), later = later_part(&rows[0], LATER_OFFSET, id);
		struct packet packet;
		struct outcome first, second;

		CONFIGURE({.name = "web",
			   .endpoint = VIP ":80",
			   .proto = IPPROTO_UDP,
			   .forward = CANARY_FORWARD_L2,
			   .weight = 5000,
			   .stable = "10.0.0.11 10.0.0.12",
			   .canary = "10.0.0.21 10.0.0.22"});
		in.sport = 4000 + id;
		packet_build(&in, NULL, &packet);
		run_packet(FRONT, &packet, &first);
		CONFIGURE({.name = "web",
			   .endpoint = VIP ":80",
			   .proto = IPPROTO_UDP,
			   .forward = CANARY_FORWARD_L2,
			   .weight = id % 2 ? 0 : 10000,
			   .stable = "10.0.0.11 10.0.0.12",
			   .canary = "10.0.0.21 10.0.0.22"});
		packet_build(&later, NULL, &packet);
		run_packet(FRONT, &packet, &second);
		assert_int_equal(first.verdict, XDP_REDIRECT);
		assert_int_equal(second.verdict, XDP_REDIRECT);
		assert_memory_equal(first.packet.data, second.packet.data, 6);
		if (first.packet.data[5] < 20)
			stable++;
		else
			canary++;
	}
	assert_true(stable > 8 && canary > 8);
}

static void case06_fragments_made_to_deceive_are_malformed(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		struct spec in = first_part(row, 7);

		env_fresh(state);
		service_of(row);
		in.length = (is_v6(in.src) ? 8 : 20) + 3;
		EXPECT("no ports in the first one", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		in.length += 4;
		EXPECT("half a header in the first one", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		send_first(row, 7);
		in = later_part(row, 8, 7);
		if (row->proto == IPPROTO_TCP)
			EXPECT("over the first one's header", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		else
			later_follows(row, in);
		in = later_part(row, 16, 7);
		if (row->proto == IPPROTO_TCP)
			EXPECT("over the first one's header", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		later_follows(row, later_part(row, 24, 7));
		in = later_part(row, LATER_OFFSET, 7);
		in.length = 5000;
		EXPECT("longer than its frame", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		in.length = 7;
		if (is_v6(in.src))
			EXPECT("shorter than the header that says so", FRONT, &in, XDP_DROP, NULL, "front.malformed");
	}
}

static void case06_the_choice_goes_with_its_backend_its_service_and_in_time(void **state)
{
	struct spec in = later_part(&rows[0], LATER_OFFSET, 7);
	struct canary_fragment_key key;
	struct canary_fragment first;
	int map;

	(void)state;
	wait_for_uptime(62); /* no entry can be older than the machine */
	service_of(&rows[0]);
	send_first(&rows[0], 7);
	map = open_pin("fragments");
	assert_int_equal(bpf_map_get_next_key(map, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &first), 0);
	first.seen_s -= 31;
	assert_int_equal(bpf_map_update_elem(map, &key, &first, BPF_ANY), 0);
	close(map);
	passed_up("half a minute later", in);
	in = first_part(&rows[0], 7);
	struct spec want = forwarded(&rows[0], in, true);
	EXPECT("the number comes again", FRONT, &in, XDP_REDIRECT, &want, counted(&rows[0], "flow", ""));
	later_follows(&rows[0], later_part(&rows[0], LATER_OFFSET, 7));
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .stable = "10.0.0.12"});
	in = later_part(&rows[0], LATER_OFFSET, 7);
	EXPECT("its backend was taken away", FRONT, &in, XDP_DROP, NULL, "front.fragment");
	configure(NULL, 0);
	EXPECT("its service, too", FRONT, &in, XDP_DROP, NULL, "front.fragment");
}

/* A tunnel's header beside a fragment of 1,500 bytes: none of the later ones is answered. */
static void case06_a_later_fragment_that_is_too_big_is_dropped_in_silence(void **state)
{
	(void)state;
	for (int i = 0; i < ROWS; i++) {
		struct spec in = later_part(&rows[i], LATER_OFFSET, 7);

		if (!rows[i].outer)
			continue;
		env_fresh(state);
		service_of(&rows[i]);
		send_first(&rows[i], 7);
		in.payload = 1470;
		if (!is_v6(in.src))
			in.frag |= IPV4_DF;
		EXPECT(rows[i].what, FRONT, &in, XDP_DROP, NULL, "web.stable.too_big");
	}
}

/* A fragment's checksum is of its whole packet: it is never taken for one that a local sender left to its device. */
static void case06_a_first_fragments_checksum_is_never_completed(void **state)
{
	(void)state;
	set_partial_checksums(FRONT, true);
	for (int i = 0; i < ROWS; i++) {
		struct spec in = first_part(&rows[i], 7), want;

		env_fresh(state);
		service_of(&rows[i]);
		in.check = CHECK_PARTIAL;
		if (rows[i].forward == CANARY_FORWARD_NAT)
			continue; /* changes with the addresses */
		want = forwarded(&rows[i], in, true);
		set_partial_checksums(FRONT, true);
		EXPECT(rows[i].what, FRONT, &in, XDP_REDIRECT, &want, counted(&rows[i], "flow", ""));
	}
	set_partial_checksums(FRONT, false);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case06_all_fragments_follow_the_first),
		TEST(gue_sends_all_from_one_port),
		TEST(case06_nat_translates_the_backends_fragments),
		TEST(case06_what_belongs_to_no_packet_that_was_seen_passes),
		TEST(case06_a_first_fragment_that_passes_takes_the_number),
		TEST(case06_a_packet_is_never_split),
		TEST(case06_fragments_made_to_deceive_are_malformed),
		TEST(case06_the_choice_goes_with_its_backend_its_service_and_in_time),
		TEST(case06_a_later_fragment_that_is_too_big_is_dropped_in_silence),
		TEST(case06_a_first_fragments_checksum_is_never_completed),
	};

	return RUN(tests);
}
