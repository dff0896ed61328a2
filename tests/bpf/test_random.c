/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random and damaged packets, one by one through the real program. What is expected of each is read off the packet by
 * lib_frame.c, which knows nothing of how the program does it. CANARY_TEST_SEED repeats a run, CANARY_TEST_PACKETS is
 * how many.
 */
#include "lib_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib_frame.h"
#include "lib_mutate.h"

#define VIP "203.0.113.10"
#define VIP6 "2001:db8:5::10"
#define ANY "203.0.113.11"
#define ANY6 "2001:db8:5::11"
#define BACKENDS4 .stable = "10.0.0.11 10.0.0.12", .canary = "10.0.0.21 192.0.2.21"
#define BACKENDS6 .stable = "2001:db8:10::11 2001:db8:10::12", .canary = "2001:db8:10::21 2001:db8:2::21"
#define NAT4 .stable = "10.0.0.11:8080 10.0.0.12:8080", .canary = "10.0.0.21:8081 192.0.2.21:8081"
#define NAT6                                                                                                           \
	.stable = "[2001:db8:10::11]:8080 [2001:db8:10::12]:8080",                                                     \
	.canary = "[2001:db8:10::21]:8081 [2001:db8:2::21]:8081"

enum { PACKETS = 300000, PHASES = 12 };

static struct service services[] = {
	{.name = "nat4", .endpoint = VIP ":80", NAT4},
	{.name = "nat4u", .endpoint = VIP ":80", .proto = IPPROTO_UDP, NAT4},
	{.name = "nat6", .endpoint = "[" VIP6 "]:80", NAT6},
	{.name = "nat6u", .endpoint = "[" VIP6 "]:80", .proto = IPPROTO_UDP, NAT6},
	{.name = "l24", .endpoint = VIP ":81", .forward = CANARY_FORWARD_L2, BACKENDS4},
	{.name = "l24u", .endpoint = VIP ":81", .proto = IPPROTO_UDP, .forward = CANARY_FORWARD_L2, BACKENDS4},
	{.name = "l26", .endpoint = "[" VIP6 "]:81", .forward = CANARY_FORWARD_L2, BACKENDS6},
	{.name = "l26u", .endpoint = "[" VIP6 "]:81", .proto = IPPROTO_UDP, .forward = CANARY_FORWARD_L2, BACKENDS6},
	{.name = "ip44", .endpoint = VIP ":82", .forward = CANARY_FORWARD_IPIP, BACKENDS4},
	{.name = "ip46", .endpoint = VIP ":82", .proto = IPPROTO_UDP, .forward = CANARY_FORWARD_IPIP, BACKENDS6},
	{.name = "ip64", .endpoint = "[" VIP6 "]:82", .forward = CANARY_FORWARD_IPIP, BACKENDS4},
	{.name = "ip66", .endpoint = "[" VIP6 "]:82", .proto = IPPROTO_UDP, .forward = CANARY_FORWARD_IPIP, BACKENDS6},
	{.name = "gue4", .endpoint = VIP ":83", .forward = CANARY_FORWARD_GUE, BACKENDS4},
	{.name = "gue6", .endpoint = "[" VIP6 "]:83", .proto = IPPROTO_UDP, .forward = CANARY_FORWARD_GUE, BACKENDS6},
	{.name = "any4", .endpoint = ANY ":0", .affinity = CANARY_AFFINITY_CLIENT, BACKENDS4},
	{.name = "any6", .endpoint = "[" ANY6 "]:0", .forward = CANARY_FORWARD_L2, BACKENDS6},
	{.name = "any4u",
	 .endpoint = ANY ":0",
	 .proto = IPPROTO_UDP,
	 .forward = CANARY_FORWARD_IPIP,
	 .track = CANARY_TRACK_ALWAYS,
	 .segments = "198.51.100.8/32>canary",
	 BACKENDS4},
	/* Ids of one byte: many a packet has one of a backend's. */
	{.name = "quic4",
	 .endpoint = VIP ":83",
	 .proto = IPPROTO_UDP,
	 .affinity = CANARY_AFFINITY_QUIC,
	 .id_length = 1,
	 .stable = "10.0.0.11 10.0.0.12",
	 .canary = "10.0.0.21 192.0.2.21#41"},
	{.name = "quic6",
	 .endpoint = "[" VIP6 "]:83",
	 .proto = IPPROTO_UDP,
	 .forward = CANARY_FORWARD_IPIP,
	 .affinity = CANARY_AFFINITY_QUIC,
	 .id_length = 1,
	 .id_offset = 3,
	 .stable = "2001:db8:10::11 10.0.0.12",
	 .canary = "2001:db8:10::21 2001:db8:2::22"},
};
enum { SERVICES = sizeof(services) / sizeof(*services) };

static struct {
	unsigned long run, passed, forwarded, dropped, ours, answered;
} tally;

static void fail_packet(const char *what, enum side side, const struct packet *in, const struct outcome *out)
{
	struct frame frame;

	fprintf(stderr, "  packet %lu on %s: %s; verdict %d\n", tally.run, side == FRONT ? "front" : "back", what,
		out->verdict);
	for (unsigned i = 0; i < in->len && i < 160; i++)
		fprintf(stderr, "%s%02x", i % 32 ? " " : "\n  ", in->data[i]);
	frame_read(in->data, in->len, &frame);
	fprintf(stderr, "\n  %u bytes in, %u out; protocol %u at %u after %u extensions, sound: %d\n", in->len,
		out->packet.len, frame.proto, frame.l4, frame.extensions, frame.sound);
	packet_same(in, &out->packet);
	fail_msg("%s", what);
}

/* Does a service answer for this address, protocol and port (-1: for any port)? */
static bool is_service(const struct canary_addr *addr, int proto, int port)
{
	for (size_t i = 0; i < env.model.service_count; i++) {
		const struct service_model *service = &env.model.services[i];

		if (addr_equal(&service->addr, addr) && (proto < 0 || service->proto == proto) &&
		    (port < 0 || !service->port || service->port == port))
			return true;
	}
	return false;
}

static bool is_backend(const struct canary_addr *addr)
{
	for (size_t i = 0; i < env.model.service_count; i++)
		for (size_t j = 0; j < env.model.services[i].backend_count; j++)
			if (addr_equal(&env.model.services[i].backends[j].addr, addr))
				return true;
	return false;
}

static bool has_ports(const struct frame *frame)
{
	return frame->proto == IPPROTO_TCP || frame->proto == IPPROTO_UDP;
}

static bool is_icmp(const struct frame *frame)
{
	return frame->proto == IPPROTO_ICMP || frame->proto == IPPROTO_ICMPV6;
}

/* Nothing in the packet has to do with a service: no address of one, no backend's answer, no error that may quote it. */
static bool not_for_a_service(enum side side, const struct packet *in, const struct frame *frame, bool ip)
{
	/* Beyond what is looked through, the address alone says whom a packet is for. */
	bool deep = frame->extensions > 6 || frame->l4 > 1000;

	if (!ip || memcmp(in->data, env.interfaces[side].mac, 6))
		return true;
	if (frame->later && !deep) /* follows its packet's first one, where that was for a service or from a backend */
		return !is_service(&frame->dst, -1, -1) && !is_backend(&frame->src);
	if (frame->sound && !deep) {
		if (!has_ports(frame) && !is_icmp(frame))
			return true;
		if (is_icmp(frame))
			return !is_service(&frame->dst, -1, -1) && frame->l4 < frame->l3 + frame->ip_len &&
			       in->data[frame->l4] > 127;
		return !is_service(&frame->dst, frame->proto, frame->dport) && !is_backend(&frame->src);
	}
	return !is_service(&frame->dst, -1, -1) && !is_backend(&frame->src);
}

static bool is_tunnel_source(const struct canary_addr *addr)
{
	struct canary_addr v4 = make_addr("10.0.0.1"), v6 = make_addr("2001:db8:10::1");

	return addr_equal(addr, &v4) || addr_equal(addr, &v6);
}

static bool for_a_service(enum side side, const struct packet *in, const struct frame *frame, bool ip)
{
	return ip && !memcmp(in->data, env.interfaces[side].mac, 6) && frame->sound && has_ports(frame) &&
	       !frame->routed && frame->ttl > 1 && is_service(&frame->dst, frame->proto, frame->dport);
}

/* May this byte of the IP packet, counted from its header, change on the way? */
static bool may_change(const struct frame *in, const struct frame *out, unsigned at)
{
	unsigned l4 = in->l4 - in->l3, check = frame_check_at(in) - in->l3;
	bool nat = !addr_equal(&in->src, &out->src) || !addr_equal(&in->dst, &out->dst);

	if (in->family == 4 ? at == 8 || at == 10 || at == 11 : at == 7)
		return true;
	if (is_icmp(in) && at >= l4 + 2)
		return is_service(&in->dst, -1, -1) || is_backend(&in->src) || nat ||
		       at < l4 + 8 + 80 + 1000; /* the quoted headers, and what extends them */
	if (frame_check_at(in) && (at == check || at == check + 1))
		return true;
	if (!nat)
		return false;
	if (at >= l4 && at < l4 + 4)
		return true;
	return in->family == 4 ? at >= 12 && at < 20 : at >= 8 && at < 40;
}

static const char *compare(const struct packet *from, const struct frame *in, const struct packet *to,
			   const struct frame *out, bool partial)
{
	unsigned before = frame_checks(from->data, in), after = frame_checks(to->data, out);

	if (out->ttl != in->ttl - 1)
		return "not one hop on";
	if (out->ip_len != in->ip_len || out->l4 - out->l3 != in->l4 - in->l3 || out->proto != in->proto)
		return "another shape";
	if (before & ~after)
		return "a checksum that was right is wrong now";
	/* With partial checksums a wrong one may be made right. */
	if (!partial && after & ~before)
		return "a checksum that was wrong is right now";
	for (unsigned i = 0; i < in->ip_len; i++)
		if (from->data[in->l3 + i] != to->data[out->l3 + i] && !may_change(in, out, i))
			return "a byte changed that is none of our business";
	return NULL;
}

/* Where the packet inside of a tunnel begins; 0: it is in none. */
static unsigned tunnel_ends_at(const struct frame *out)
{
	if (out->proto == IPPROTO_IPIP || out->proto == IPPROTO_IPV6)
		return out->l4;
	return out->proto == IPPROTO_UDP && out->dport == 6080 && is_tunnel_source(&out->src) ? out->l4 + 12 : 0;
}

/* What is forwarded is sound, was sound, and is the same packet but for what had to change. NULL: all is right. */
static const char *check_forwarded(const struct packet *from, const struct frame *in, const struct packet *to,
				   bool partial)
{
	struct frame out, inner;
	unsigned inner_at;

	/* Of a later fragment nothing is read but its own header. */
	if (in->later ? in->l3 + in->ip_len > from->len : !in->sound)
		return "should never be forwarded";
	if (in->routed || in->ttl < 2)
		return "should never be forwarded";
	if (!frame_read(to->data, to->len, &out))
		return "what comes out is no packet";
	inner_at = tunnel_ends_at(&out);
	if (!inner_at) {
		if (out.sound != in->sound)
			return "what comes out is no packet";
		if (to->len - out.l3 != from->len - in->l3)
			return "bytes were lost or added";
		return compare(from, in, to, &out, partial);
	}
	if (!out.sound)
		return "the tunnel's packet is none";
	if (out.family == 4 && !(frame_checks(to->data, &out) & FRAME_HEADER))
		return "the outer header's checksum is wrong";
	if (to->len != out.l3 + out.ip_len)
		return "the tunnel's length is not the frame's";
	if (!frame_read_ip(to->data, to->len, inner_at, &inner) || inner.sound != in->sound ||
	    to->len != inner.l3 + inner.ip_len)
		return "what is in the tunnel is no packet";
	return compare(from, in, to, &inner, partial);
}

/* Is what comes out a message of the program's own to the packet's sender? */
static bool is_answer(const struct frame *in, const struct packet *to)
{
	struct frame out;

	return frame_read(to->data, to->len, &out) && is_icmp(&out) && addr_equal(&out.src, &in->dst) &&
	       addr_equal(&out.dst, &in->src);
}

/* An echo's answer has the request's data; what was too big is quoted. NULL: all is right. */
static const char *check_answer(const struct packet *from, const struct frame *in, const struct packet *to)
{
	struct frame out;
	unsigned checks, at, was;

	if (!frame_read(to->data, to->len, &out) || !out.sound || !in->sound)
		return "an answer that is no packet";
	if (memcmp(to->data, from->data + 6, 6) || memcmp(to->data + 6, from->data, 6) || out.ttl != 64)
		return "an answer that does not go back";
	at = out.l4 + 8;
	was = is_icmp(in) ? in->l4 + 8 : in->l3;
	if (memcmp(to->data + at, from->data + was, out.l3 + out.ip_len - at))
		return "an answer about another packet";
	checks = frame_checks(to->data, &out);
	if (is_icmp(in))
		return frame_checks(from->data, in) & ~checks ? "a checksum that was right is wrong in the answer"
							      : NULL;
	if (to->len != out.l3 + out.ip_len || to->len - out.l3 > (out.family == 4 ? 576 : 1280))
		return "an answer of the wrong length";
	if ((out.family == 4 && !(checks & FRAME_HEADER)) || !(checks & FRAME_TRANSPORT))
		return "an answer with a wrong checksum";
	return NULL;
}

/* What nat sent to backends of late: to be answered. */
enum { REMEMBERED = 256, REMEMBERED_ROOM = 1600 };
static struct {
	__u8 data[REMEMBERED_ROOM];
	unsigned len;
} sent[REMEMBERED];
static unsigned sent_count;

static void remember(const struct packet *packet)
{
	unsigned place = sent_count % REMEMBERED;
	struct frame frame;

	if (packet->len > REMEMBERED_ROOM || !frame_read(packet->data, packet->len, &frame) || !has_ports(&frame) ||
	    !is_backend(&frame.dst))
		return;
	memcpy(sent[place].data, packet->data, packet->len);
	sent[place].len = packet->len;
	sent_count++;
}

static void swap(__u8 *at, unsigned size)
{
	__u8 first[16];

	memcpy(first, at, size);
	memmove(at, at + size, size);
	memcpy(at + size, first, size);
}

/* The backend's answer: the packet turned round. */
static void turn_bytes(struct packet *packet, const struct frame *frame)
{
	static const __u8 flags[] = {SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST};
	__u8 *ip = packet->data + frame->l3;

	swap(ip + (frame->family == 4 ? 12 : 8), frame->family == 4 ? 4 : 16);
	swap(packet->data + frame->l4, 2);
	ip[frame->family == 4 ? 8 : 7] = 64;
	if (frame->proto == IPPROTO_TCP)
		packet->data[frame->l4 + 13] = RANDOM_OF(flags);
}

/* The backend's or a router's error about the packet. */
static void quote_bytes(struct packet *packet, const struct frame *frame)
{
	static const __u8 types4[] = {3, 3, 11, 12}, types6[] = {1, 2, 3, 4};
	unsigned header = frame->family == 4 ? 20 : 40;
	unsigned quoted = frame->l4 - frame->l3 + 8 + random_below(40);
	__u8 *ip = packet->data + frame->l3, outer[48] = {};

	if (quoted > frame->ip_len)
		quoted = frame->ip_len;
	memcpy(outer, ip, header);
	memmove(ip + header + 8, ip, quoted);
	packet->len = frame->l3 + header + 8 + quoted;
	swap(outer + (header == 20 ? 12 : 8), header == 20 ? 4 : 16);
	if (random_below(2)) /* a router's */
		outer[header == 20 ? 15 : 23] = 77;
	outer[header == 20 ? 8 : 7] = 64;
	outer[header == 20 ? 9 : 6] = header == 20 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	outer[header == 20 ? 2 : 4] = (packet->len - frame->l3 - (header == 20 ? 0 : 40)) >> 8;
	outer[header == 20 ? 3 : 5] = packet->len - frame->l3 - (header == 20 ? 0 : 40);
	if (header == 20)
		outer[0] = 0x45;
	outer[header] = header == 20 ? RANDOM_OF(types4) : RANDOM_OF(types6);
	memcpy(ip, outer, header + 8);
}

static bool answer_what_was_sent(enum side side, struct packet *ret)
{
	unsigned place = random_below(REMEMBERED);
	struct frame frame;

	if (sent_count < REMEMBERED)
		return false;
	*ret = (struct packet){.len = sent[place].len};
	memcpy(ret->data, sent[place].data, ret->len);
	memcpy(ret->data + 6, ret->data, 6);
	memcpy(ret->data, env.interfaces[side].mac, 6);
	if (!frame_read(ret->data, ret->len, &frame) || !frame.sound)
		return false;
	if (random_below(3))
		turn_bytes(ret, &frame);
	else
		quote_bytes(ret, &frame);
	if (!frame_read(ret->data, ret->len, &frame))
		fail_msg("an answer that is no packet");
	ret->l3 = frame.l3;
	ret->l4 = frame.l4;
	if (frame.sound)
		frame_fix_checks(ret->data, &frame);
	return true;
}

static void run_one(enum side side, const struct packet *in, bool partial)
{
	static struct outcome out;
	const char *problem = NULL;
	struct frame frame;
	bool ip = frame_read(in->data, in->len, &frame);

	run_packet(side, in, &out);
	tally.run++;
	tally.ours += for_a_service(side, in, &frame, ip);
	switch (out.verdict) {
	case XDP_PASS:
		tally.passed++;
		if (in->len != out.packet.len || memcmp(in->data, out.packet.data, in->len))
			problem = "passed, but changed";
		else if (for_a_service(side, in, &frame, ip))
			problem = "passed, but for a service";
		break;
	case XDP_DROP:
		tally.dropped++;
		break;
	case XDP_TX:
	case XDP_REDIRECT:
		tally.forwarded++;
		remember(&out.packet);
		if (!ip)
			problem = "forwarded, but not IP";
		else if (is_answer(&frame, &out.packet))
			problem = check_answer(in, &frame, &out.packet);
		else
			problem = check_forwarded(in, &frame, &out.packet, partial);
		break;
	default:
		problem = "no verdict of ours";
	}
	if (!problem && out.verdict != XDP_PASS && not_for_a_service(side, in, &frame, ip))
		problem = "not for a service, but not passed";
	if (problem)
		fail_packet(problem, side, in, &out);
}

/* Towards a service, or a port or address beside it. */
static void request(struct spec *spec, bool v6)
{
	static const char *const to4[] = {VIP, VIP, VIP, VIP, VIP, ANY, ANY, "203.0.113.12"};
	static const char *const to6[] = {VIP6, VIP6, VIP6, VIP6, VIP6, ANY6, ANY6, "2001:db8:5::12"};
	static const char *const from4[] = {"198.51.100.7", "198.51.100.7", "198.51.100.8", "192.0.2.21", "10.0.0.11"};
	static const char *const from6[] = {"2001:db8:c::7", "2001:db8:c::7", "2001:db8:c::8", "2001:db8:2::21",
					    "2001:db8:10::11"};

	spec->src = v6 ? RANDOM_OF(from6) : RANDOM_OF(from4);
	spec->dst = v6 ? RANDOM_OF(to6) : RANDOM_OF(to4);
	spec->proto = random_below(2) ? IPPROTO_UDP : IPPROTO_TCP;
	spec->sport = 1 + random_below(4);
	spec->dport = 80 + random_below(random_below(8) ? 4 : 5);
}

/* From a backend: where nat knows the connection, its answer. */
static void answer(struct spec *spec, bool v6)
{
	static const char *const from4[] = {"10.0.0.11", "10.0.0.12", "10.0.0.21", "192.0.2.21"};
	static const char *const from6[] = {"2001:db8:10::11", "2001:db8:10::12", "2001:db8:10::21", "2001:db8:2::21"};

	request(spec, v6);
	spec->dst = spec->src;
	spec->dport = spec->sport;
	spec->src = v6 ? RANDOM_OF(from6) : RANDOM_OF(from4);
	spec->sport = 8080 + random_below(2);
}

/* An error about what was sent the other way, from its receiver or from a router. */
static void error(struct spec *spec, struct spec *quote, bool v6)
{
	static const unsigned types4[] = {3, 3, 3, 11, 12, 5, 8}, types6[] = {1, 2, 2, 3, 4, 128, 135};
	const char *routers[] = {v6 ? "2001:db8:77::1" : "198.18.0.1", quote->dst};

	random_details(quote);
	memset(quote->ext, 0, random_below(8) ? sizeof(quote->ext) : 0);
	spec->src = RANDOM_OF(routers);
	spec->dst = quote->src;
	spec->proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	spec->icmp_type = v6 ? RANDOM_OF(types6) : RANDOM_OF(types4);
	spec->icmp_code = random_below(5);
	spec->quote_l4 = random_below(2) ? 8 : random_below(80);
	spec->quote = quote;
}

static void turn(struct spec *spec)
{
	const char *src = spec->src;
	unsigned sport = spec->sport;

	spec->src = spec->dst;
	spec->sport = spec->dport;
	spec->dst = src;
	spec->dport = sport;
}

static void describe_packet(enum side side, unsigned kind, struct packet *ret)
{
	struct spec spec = {.to_mac = side == FRONT ? "front" : "back"}, quote = {};
	bool v6 = random_below(2);

	if (kind < 5)
		request(&spec, v6);
	else if (kind < 8)
		answer(&spec, v6);
	else
		request(&quote, v6);
	if (kind >= 8) {
		turn(&quote);
		error(&spec, &quote, v6);
	}
	random_details(&spec);
	spec.payload = spec.quote ? 0 : spec.payload;
	packet_build(&spec, NULL, ret);
}

static void random_packet(enum side side, struct packet *ret)
{
	unsigned kind = random_below(10);
	struct frame frame;

	if (kind < 5 || kind > 7 || !random_below(5) || !answer_what_was_sent(side, ret))
		describe_packet(side, kind, ret);
	for (unsigned n = random_below(4) ? random_below(3) : random_below(7); n; n--)
		packet_mutate(ret);
	if (!random_below(50))
		for (unsigned i = 12 + random_below(40); i < ret->len; i++)
			ret->data[i] = random_below(256);
	if (random_below(2) && frame_read(ret->data, ret->len, &frame) && frame.sound)
		frame_fix_checks(ret->data, &frame);
}

static unsigned long all_counted(void)
{
	unsigned long sum = 0;

	for (int side = 0; side < SIDES; side++) {
		struct canary_interface_counters values;

		assert_int_equal(dataplane_interface_counters(env.dataplane, env.interfaces[side].ifindex, &values), 0);
		assert_int_equal(values.drops[CANARY_REASON_FAULT], 0);
		assert_int_equal(values.count[CANARY_INTERFACE_TX_ERRORS], 0);
		sum += values.count[CANARY_INTERFACE_PASSED] + values.count[CANARY_INTERFACE_FORWARDED];
		for (int i = 0; i < CANARY_REASONS; i++)
			sum += values.drops[i];
	}
	for (size_t i = 0; i < env.model.service_count; i++)
		for (int cohort = 0; cohort < CANARY_COHORTS; cohort++) {
			struct canary_cohort_counters values;

			assert_int_equal(
				dataplane_cohort_counters(env.dataplane, env.model.services[i].id, cohort, &values), 0);
			for (int j = 0; j < CANARY_COHORT_REASONS; j++)
				sum += values.drops[j];
			/* Those were sent as well. */
			sum -= values.count[CANARY_COHORT_TOO_BIG_ANSWERED];
			tally.answered += values.count[CANARY_COHORT_TOO_BIG_ANSWERED];
		}
	return sum;
}

static void print_tally(void)
{
	fprintf(stderr,
		"  %lu packets: %lu passed, %lu forwarded, %lu dropped; %lu sound ones for a service; %lu told the "
		"MTU\n",
		tally.run, tally.passed, tally.forwarded, tally.dropped, tally.ours, tally.answered);
}

static unsigned long long number_from(const char *name, unsigned long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_packets_are_passed_forwarded_or_dropped_for_a_reason(void **state)
{
	unsigned long long seed = number_from("CANARY_TEST_SEED", 20240601);
	unsigned long packets = number_from("CANARY_TEST_PACKETS", PACKETS), before;
	static struct packet packet;

	(void)state;
	fprintf(stderr, "  CANARY_TEST_SEED=%llu\n", seed);
	random_seed(seed);
	configure(services, SERVICES);
	before = all_counted();
	tally.answered = 0;
	for (int phase = 0; phase < PHASES; phase++) {
		bool partial = phase % 3 == 1;

		/* The weights walk, the flow tables stay. */
		for (int i = 0; i < SERVICES; i++)
			services[i].weight = random_below(10001);
		configure(services, SERVICES);
		set_partial_checksums(FRONT, partial);
		set_partial_checksums(BACK, partial);
		for (unsigned long i = 0; i < packets / PHASES; i++) {
			enum side side = random_below(3) ? FRONT : BACK;

			random_packet(side, &packet);
			run_one(side, &packet, partial);
		}
	}
	assert_int_equal(all_counted() - before, tally.run);
	print_tally();
	/* A test that reaches nothing finds nothing. */
	assert_true(tally.forwarded > tally.run / 3);
	assert_true(tally.dropped > tally.run / 20);
	assert_true(tally.passed > tally.run / 10);
	assert_true(tally.answered > tally.run / 2000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(random_packets_are_passed_forwarded_or_dropped_for_a_reason),
	};

	return RUN(tests);
}
