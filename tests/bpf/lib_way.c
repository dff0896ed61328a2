/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_way.h"

#include <stdio.h>
#include <string.h>

#include <linux/bpf.h>

#include "core/text.h"

static const char *const sides[] = {"front", "back"};

const struct tunnel outer4 = {.src = "10.0.0.1", .dst = BACK4, .id_given = true};
const struct tunnel outer4_of_6 = {.src = "10.0.0.1", .dst = BACK4, .frag = IPV4_DF};
const struct tunnel outer6 = {.src = "2001:db8:10::1", .dst = BACK6};
const struct tunnel gue4 = {.src = "10.0.0.1", .dst = BACK4, .id_given = true, .gue_port = 6080};
const struct tunnel gue6 = {.src = "2001:db8:10::1", .dst = BACK6, .gue_port = 6080};

bool way_begin(const struct way *way)
{
	if (way->forward == CANARY_FORWARDS)
		return false;
	configure(NULL, 0);
	way_configure(way);
	return true;
}

void way_next(struct way *way)
{
	way->forward += way->v6;
	way->v6 = !way->v6;
}

const char *way_host(const struct way *way, unsigned host)
{
	/* By side and family; hosts are 11 to 16 and 21 to 26. */
	static const char *const first[SIDES][2] = {{"192.0.2.1", "2001:db8:2::1"}, {"10.0.0.1", "2001:db8:10::1"}};
	static char texts[2][2][27][40];
	char *text = texts[way->side][way->v6][host];

	assert_true(host < 27);
	snprintf(text, 40, "%.*s%u", (int)strlen(first[way->side][way->v6]) - 1, first[way->side][way->v6], host);
	return text;
}

unsigned way_port(const struct way *way, int proto)
{
	unsigned port = proto == IPPROTO_UDP ? 53 : 80;

	if (way->forward != CANARY_FORWARD_NAT)
		return port;
	return port == 53 ? 5353 : 8080;
}

static const char *endpoint_text(const struct way *way, unsigned host, int proto, char ret[64])
{
	snprintf(ret, 64, way->v6 ? "[%s]:%u" : "%s:%u", way_host(way, host), way_port(way, proto));
	return ret;
}

struct service way_service(const struct way *way, int proto)
{
	static char stable[2][64];
	char *text = stable[proto == IPPROTO_UDP];
	struct service service = {
		.name = proto == IPPROTO_UDP ? "udp" : "tcp", .proto = proto, .forward = way->forward};

	if (way->v6)
		service.endpoint = proto == IPPROTO_UDP ? "[" VIP6 "]:53" : "[" VIP6 "]:80";
	else
		service.endpoint = proto == IPPROTO_UDP ? VIP ":53" : VIP ":80";
	if (way->forward == CANARY_FORWARD_NAT)
		endpoint_text(way, 11, proto, text);
	else
		snprintf(text, 64, "%s", way_host(way, 11));
	service.stable = text;
	return service;
}

void way_configure(const struct way *way)
{
	CONFIGURE(way_service(way, IPPROTO_TCP), way_service(way, IPPROTO_UDP));
}

struct spec way_request(const struct way *way, int proto)
{
	struct spec spec = {
		.src = way->v6 ? CLIENT6 : CLIENT,
		.dst = way->v6 ? VIP6 : VIP,
		.proto = proto,
		.sport = 4000,
		.dport = proto == IPPROTO_UDP ? 53 : 80,
		.payload = proto == IPPROTO_UDP ? 33 : 0,
		.flags = proto == IPPROTO_UDP ? 0 : SYN,
		.seq = 77,
	};

	return spec;
}

static bool is_later(const struct spec *spec)
{
	if (spec->ext[0].type == IPPROTO_FRAGMENT)
		return spec->ext[0].fragment & 0xfff8;
	return spec->frag & 0x1fff;
}

struct spec way_sent(const struct way *way, struct spec in, unsigned host, struct tunnel *outer)
{
	const char *backend = way_host(way, host);
	struct spec want = sent_on(in, way->side, backend);

	switch (way->forward) {
	case CANARY_FORWARD_NAT:
		want.dst = backend;
		if (!is_later(&in))
			want.dport = way_port(way, in.proto);
		break;
	case CANARY_FORWARD_L2:
		break;
	case CANARY_FORWARD_IPIP:
	case CANARY_FORWARD_GUE:
		*outer = (struct tunnel){.src = way->v6 ? "2001:db8:10::1" : "10.0.0.1",
					 .dst = backend,
					 .tos = in.tos,
					 .frag = in.frag & IPV4_DF,
					 .id_given = !way->v6 && !(in.frag & IPV4_DF),
					 .gue_port = way->forward == CANARY_FORWARD_GUE ? 6080 : 0};
		want.outer = outer;
		want.trailer = 0;
		break;
	default:
		fail_msg("nobody has said how %s sends packets on", forward_name(way->forward));
	}
	/* Out of another interface there are no tags, unless its own. */
	if (way->side != FRONT)
		want.tag[0] = want.tag[1] = (struct tag){};
	return want;
}

unsigned way_overhead(const struct way *way)
{
	struct spec in = way_request(way, IPPROTO_UDP), want;
	struct packet before, after;
	struct tunnel outer;

	want = way_sent(way, in, 11, &outer);
	packet_build(&in, NULL, &before);
	packet_build(&want, NULL, &after);
	return after.len - before.len;
}

struct spec way_reply(const struct way *way, const struct spec *request)
{
	return (struct spec){.from_mac = way_host(way, 11),
			     .to_mac = sides[way->side],
			     .src = way_host(way, 11),
			     .dst = request->src,
			     .proto = request->proto,
			     .sport = way_port(way, request->proto),
			     .dport = request->sport,
			     .flags = request->proto == IPPROTO_UDP ? 0 : SYN | ACK,
			     .seq = 1000000,
			     .ack = request->seq + 1,
			     .payload = request->proto == IPPROTO_UDP ? 77 : 0};
}

struct spec way_seen(const struct way *way, struct spec reply, const struct spec *request)
{
	struct spec seen = sent_on(reply, FRONT, way->v6 ? "2001:db8:2::fe" : "192.0.2.254");

	seen.src = request->dst;
	seen.sport = request->dport;
	if (way->side != FRONT)
		seen.tag[0] = seen.tag[1] = (struct tag){};
	return seen;
}

static const char *service_name(const struct spec *request)
{
	return request->proto == IPPROTO_UDP ? "udp" : "tcp";
}

void way_forwards_to(const struct way *way, const char *what, const struct spec *in, unsigned host, const char *kind,
		     const char *also)
{
	struct tunnel outer;
	struct spec want = way_sent(way, *in, host, &outer);
	char counters[256], endpoint[64];

	snprintf(counters, sizeof(counters), "%s:%s.%s:%s %s", kind, service_name(in), host < 21 ? "stable" : "canary",
		 endpoint_text(way, host, in->proto, endpoint), also);
	EXPECT(what, FRONT, in, way->side == FRONT ? XDP_TX : XDP_REDIRECT, &want, counters);
}

void way_forwards(const struct way *way, const char *what, const struct spec *in, const char *kind)
{
	way_forwards_to(way, what, in, 11, kind, "");
}

void way_opens(const struct way *way, const struct spec *in)
{
	struct packet packet;
	struct outcome out;

	packet_build(in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, way->side == FRONT ? XDP_TX : XDP_REDIRECT);
}

static void of_interface(enum side side, const char *names, char ret[256])
{
	char copy[128], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", names);
	*ret = 0;
	while ((word = strsep(&rest, " ")))
		snprintf(ret + strlen(ret), 256 - strlen(ret), "%s.%s ", sides[side], word);
}

struct spec way_part(struct spec whole, unsigned offset, bool more, unsigned id)
{
	set_fragment(&whole, offset, more, id);
	if (!offset) {
		whole.payload = 1200;
		whole.udp_length = 3000;
		return whole;
	}
	whole.sport = 0xabcd;
	whole.dport = 0xef01;
	whole.check = CHECK_VALUE;
	whole.check_value = 0x2345;
	whole.payload = 700;
	return whole;
}

void way_follows_to(const struct way *way, const char *what, const struct spec *in, unsigned host)
{
	char counter[40];

	snprintf(counter, sizeof(counter), "%s.%s.fragments", service_name(in), host < 21 ? "stable" : "canary");
	way_forwards_to(way, what, in, host, "packet", counter);
}

void way_refuses(const struct way *way, const char *what, const struct spec *in, int verdict, const char *names)
{
	enum side side = in->to_mac && !strcmp(in->to_mac, sides[way->side]) ? way->side : FRONT;
	char counters[256];

	of_interface(side, names, counters);
	EXPECT(what, side, in, verdict, NULL, counters);
}

void way_returns(const struct way *way, const char *what, const struct spec *reply, const struct spec *request)
{
	struct spec want = way_seen(way, *reply, request);
	char counters[64];

	snprintf(counters, sizeof(counters), "reply:%s.stable", service_name(request));
	EXPECT(what, way->side, reply, way->side == FRONT ? XDP_TX : XDP_REDIRECT, &want, counters);
}
