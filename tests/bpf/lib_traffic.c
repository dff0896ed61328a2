/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_traffic.h"

#include <netinet/in.h>
#include <string.h>

#include "lib_frame.h"

#define VIP "203.0.113.10"
#define VIP6 "2001:db8:5::10"
#define ANY "203.0.113.11"
#define ANY6 "2001:db8:5::11"

enum { REMEMBERED = 256, REMEMBERED_ROOM = 1600 };

/* Large enough for several buffers, small enough for a jumbo frame with a tunnel's header. */
enum { JUMBO_FROM = 2000, JUMBO_SPAN = 6800 };

static struct {
	__u8 data[REMEMBERED_ROOM];
	unsigned len;
} remembered[REMEMBERED];
static unsigned remembered_count;

void traffic_remember(const struct packet *sent)
{
	unsigned place = remembered_count % REMEMBERED;

	if (sent->len > REMEMBERED_ROOM)
		return;
	memcpy(remembered[place].data, sent->data, sent->len);
	remembered[place].len = sent->len;
	remembered_count++;
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

bool traffic_answer(const struct packet *sent, const char *to, struct packet *ret)
{
	struct frame frame;

	ret->len = sent->len;
	memcpy(ret->data, sent->data, sent->len);
	memcpy(ret->data + 6, ret->data, 6);
	mac_parse(to, ret->data);
	if (!frame_read(ret->data, ret->len, &frame) || !frame.sound ||
	    (frame.proto != IPPROTO_TCP && frame.proto != IPPROTO_UDP))
		return false;
	if (random_below(3))
		turn_bytes(ret, &frame);
	else
		quote_bytes(ret, &frame);
	if (!frame_read(ret->data, ret->len, &frame))
		return false;
	ret->l3 = frame.l3;
	ret->l4 = frame.l4;
	if (frame.sound)
		frame_fix_checks(ret->data, &frame);
	return true;
}

static bool answer_what_was_sent(const char *to, struct packet *ret)
{
	static struct packet sent;
	unsigned place = random_below(REMEMBERED);

	if (remembered_count < REMEMBERED)
		return false;
	sent.len = remembered[place].len;
	memcpy(sent.data, remembered[place].data, sent.len);
	return traffic_answer(&sent, to, ret);
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

static void describe_packet(const char *to, unsigned kind, struct packet *ret)
{
	struct spec spec = {.to_mac = to}, quote = {};
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
	if (!random_below(40))
		spec.payload = JUMBO_FROM + random_below(JUMBO_SPAN);
	spec.payload = spec.quote ? 0 : spec.payload;
	packet_build(&spec, NULL, ret);
}

void traffic_packet(const char *to, struct packet *ret)
{
	unsigned kind = random_below(10);

	if (kind < 5 || kind > 7 || !random_below(5) || !answer_what_was_sent(to, ret))
		describe_packet(to, kind, ret);
}

void traffic_damage(struct packet *packet)
{
	struct frame frame;

	for (unsigned n = random_below(4) ? random_below(3) : random_below(7); n; n--)
		packet_mutate(packet);
	if (!random_below(50))
		for (unsigned i = 12 + random_below(40); i < packet->len; i++)
			packet->data[i] = random_below(256);
	if (random_below(2) && frame_read(packet->data, packet->len, &frame) && frame.sound)
		frame_fix_checks(packet->data, &frame);
}
