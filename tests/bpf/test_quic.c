/* SPDX-License-Identifier: Apache-2.0 */
/* Case 18: affinity quic. Which bytes of a datagram name a backend, and what follows, whichever way it is forwarded. */
#include "lib_run.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Everything is done in each of these. By their ports nothing is left of one in the next. */
struct scene {
	unsigned port;
	enum canary_forward forward;
	const char *vip, *client, *moved; /* the client, and where it comes from later */
	const char *stable, *canary, *other_canary; /* backends, whose ids are the ends of their addresses ... */
	const char *stable_id, *canary_id, *other_id; /* ... and the same as they stand in a packet */
	const char *router; /* the clients' */
};
#define V4(PORT, FORWARD)                                                                                              \
	{                                                                                                              \
		PORT, FORWARD, "203.0.113.10", "198.51.100.7", "198.51.100.99", "10.0.0.11", "10.0.0.21", "10.0.0.22", \
			"0a00000b", "0a000015", "0a000016", "192.0.2.254"                                              \
	}
#define V6(PORT, FORWARD)                                                                                              \
	{                                                                                                              \
		PORT, FORWARD, "2001:db8:5::10", "2001:db8:c::7", "2001:db8:c::99", "2001:db8:10::11",                 \
			"2001:db8:10::21", "2001:db8:10::22", "00000011", "00000021", "00000022", "2001:db8:2::fe"     \
	}
static const struct scene scenes[] = {
	V4(443, CANARY_FORWARD_NAT),  V4(444, CANARY_FORWARD_L2),  V4(445, CANARY_FORWARD_IPIP),
	V4(449, CANARY_FORWARD_GUE),  V6(446, CANARY_FORWARD_NAT), V6(447, CANARY_FORWARD_L2),
	V6(448, CANARY_FORWARD_IPIP), V6(450, CANARY_FORWARD_GUE),
};
static const struct scene *scene;
enum { SCENES = sizeof(scenes) / sizeof(*scenes) };

static const char *with_port(const char *addr, unsigned port, char buf[80])
{
	snprintf(buf, 80, strchr(addr, ':') ? "[%s]:%u" : "%s:%u", addr, port);
	return buf;
}

static void service(const char *stable, const char *canary, int percent)
{
	char endpoint[80];

	CONFIGURE({.name = "quic",
		   .endpoint = with_port(scene->vip, scene->port, endpoint),
		   .proto = IPPROTO_UDP,
		   .forward = scene->forward,
		   .affinity = CANARY_AFFINITY_QUIC,
		   .weight = percent * 100,
		   .stable = stable,
		   .canary = canary});
}

/* One stable backend and two of the canary's, to which nothing new goes. */
static void usual_service(void)
{
	char canary[80];

	snprintf(canary, sizeof(canary), "%s %s", scene->canary, scene->other_canary);
	service(scene->stable, canary, 0);
}

/* A datagram of 40 bytes that begins with these. */
static struct spec datagram(unsigned sport, const char *data)
{
	return (struct spec){.src = scene->client,
			     .dst = scene->vip,
			     .proto = IPPROTO_UDP,
			     .frag = IPV4_DF,
			     .sport = sport,
			     .dport = scene->port,
			     .payload = 40,
			     .data = data};
}

/* A packet with a short header whose connection id has this server id in its place, behind one byte. */
static struct spec named(unsigned sport, const char *id)
{
	static char data[64];

	snprintf(data, sizeof(data), "41 c3 %s 0102030405", id);
	return datagram(sport, data);
}

/* How the scene's service sends it on. */
static void sent(const char *what, struct spec in, const char *backend, const char *format)
{
	struct tunnel tunnel = {.src = strchr(backend, ':') ? "2001:db8:10::1" : "10.0.0.1",
				.dst = backend,
				.frag = strchr(backend, ':') ? 0 : IPV4_DF,
				.gue_port = scene->forward == CANARY_FORWARD_GUE ? 6080 : 0};
	struct spec want = sent_on(in, BACK, backend);
	char endpoint[80], counters[256];

	if (scene->forward == CANARY_FORWARD_NAT)
		want = translated(in, BACK, backend, scene->port);
	if (scene->forward == CANARY_FORWARD_IPIP || scene->forward == CANARY_FORWARD_GUE)
		want.outer = &tunnel;
	snprintf(counters, sizeof(counters), format, with_port(backend, scene->port, endpoint));
	EXPECT(what, FRONT, &in, XDP_REDIRECT, &want, counters);
}
#define BY_ID "packet:quic.canary:%s quic.canary.by_id"
#define NEW_FLOW "flow:quic.stable:%s"
#define OLD_FLOW "packet:quic.stable:%s"

static void case18_an_id_that_a_server_chose_says_whose_it_is(void **state)
{
	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		usual_service();
		sent("the first backend's", named(1, scene->stable_id), scene->stable,
		     "packet:quic.stable:%s quic.stable.by_id");
		sent("the second's, at the same port", named(1, scene->canary_id), scene->canary, BY_ID);
		sent("the third's", named(2, scene->other_id), scene->other_canary, BY_ID);
		sent("again", named(2, scene->other_id), scene->other_canary, BY_ID);
	}
}

static void case18_of_long_headers_handshake_alone_names_it(void **state)
{
	static const struct {
		const char *what, *header;
		bool names;
	} packets[] = {
		{"version 1, Initial", "c3 00000001 08", false},
		{"version 1, 0-RTT", "d3 00000001 08", false},
		{"version 1, Handshake", "e3 00000001 08", true},
		{"version 1, Handshake, with its fixed bit greased", "a3 00000001 08", true},
		{"version 1, Retry", "f3 00000001 08", false},
		{"version 2, Retry", "c3 6b3343cf 08", false},
		{"version 2, Initial", "d3 6b3343cf 08", false},
		{"version 2, 0-RTT", "e3 6b3343cf 08", false},
		{"version 2, Handshake", "f3 6b3343cf 08", true},
		{"Version Negotiation", "e3 00000000 08", false},
		{"a version that is not known", "e3 0a0a0a0a 08", false},
		{"an id as long as can be", "e3 00000001 14", true},
		{"an id that is too long for this version", "e3 00000001 15", false},
		{"an id that ends with the server's", "e3 00000001 05", true},
		{"an id that ends within the server's", "e3 00000001 04", false},
		{"no id", "e3 00000001 00", false},
		{"an id beyond the datagram", "e3 00000001 14", false},
	};

	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		usual_service();
		for (unsigned i = 0; i < sizeof(packets) / sizeof(*packets); i++) {
			char data[64];
			struct spec in;

			snprintf(data, sizeof(data), "%s c3 %s", packets[i].header, scene->canary_id);
			in = datagram(100 + i, data);
			if (strstr(packets[i].what, "beyond"))
				in.payload = 25; /* 6 + 20 - 1 */
			sent(packets[i].what, in, packets[i].names ? scene->canary : scene->stable,
			     packets[i].names ? BY_ID : NEW_FLOW);
		}
	}
}

static void case18_what_names_nobody_goes_by_the_hash(void **state)
{
	struct spec in;

	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		usual_service();
		sent("an id of nobody", named(1, "deadbeef"), scene->stable, NEW_FLOW);
		sent("where it stays", named(1, "deadbeef"), scene->stable, OLD_FLOW);
		in = named(2, scene->canary_id);
		in.payload = 6;
		in.data = "41 c3 0a000015";
		if (strchr(scene->vip, ':'))
			in.data = "41 c3 00000021";
		sent("just as long as the id", in, scene->canary, BY_ID);
		in = named(3, scene->canary_id);
		in.udp_length = 8 + 5;
		sent("UDP's length says that the id is cut short", in, scene->stable, NEW_FLOW);
		in = datagram(4, NULL);
		in.payload = 0;
		sent("no payload", in, scene->stable, NEW_FLOW);
		in = datagram(5, "41");
		in.payload = 1;
		sent("one byte", in, scene->stable, NEW_FLOW);
	}
}

static void case18_a_client_that_moves_stays_where_it_is(void **state)
{
	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		struct spec in, answer, seen;
		char canary[80];

		snprintf(canary, sizeof(canary), "%s %s", scene->canary, scene->other_canary);
		service(scene->stable, canary, 100);
		service(scene->stable, canary, 0);
		sent("an Initial", datagram(1, "c3 00000001 08 1122334455667788"), scene->stable, NEW_FLOW);
		sent("the canary's connection", named(2, scene->canary_id), scene->canary, BY_ID);
		sent("goes on", named(2, scene->canary_id), scene->canary, BY_ID);
		in = named(3, scene->canary_id);
		sent("from another port", in, scene->canary, BY_ID);
		in.src = scene->moved;
		sent("from another address", in, scene->canary, BY_ID);
		sent("and more", in, scene->canary, BY_ID);
		if (scene->forward != CANARY_FORWARD_NAT)
			continue;
		answer = in;
		answer.from_mac = answer.src = scene->canary;
		answer.to_mac = "back";
		answer.dst = scene->moved;
		answer.sport = scene->port;
		answer.dport = 3;
		seen = sent_on(answer, FRONT, scene->router);
		seen.src = scene->vip;
		EXPECT("the way back to it", BACK, &answer, XDP_REDIRECT, &seen, "reply:quic.canary");
		answer.dst = seen.dst = scene->client;
		answer.dport = seen.dport = 2;
		EXPECT("and to where it was", BACK, &answer, XDP_REDIRECT, &seen, "reply:quic.canary");
	}
}

static void case18_neither_weight_nor_drain_moves_it_and_a_deleted_backend_is_nobody(void **state)
{
	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		char both[96];

		usual_service();
		sent("at 0", named(1, scene->canary_id), scene->canary, BY_ID);
		service(scene->stable, scene->canary, 100);
		sent("at 100", named(1, scene->stable_id), scene->stable, "packet:quic.stable:%s quic.stable.by_id");
		snprintf(both, sizeof(both), "!%s %s", scene->canary, scene->other_canary);
		service(scene->stable, both, 100);
		sent("draining", named(3, scene->canary_id), scene->canary, BY_ID);
		snprintf(both, sizeof(both), "%s %s", scene->stable, scene->canary);
		service(both, scene->other_canary, 0);
		sent("in the other cohort", named(4, scene->canary_id), scene->canary,
		     "packet:quic.stable:%s quic.stable.by_id");
		service(scene->stable, scene->other_canary, 0);
		sent("deleted", named(5, scene->canary_id), scene->stable, NEW_FLOW);
		sent("the others' are where they were", named(6, scene->other_id), scene->other_canary, BY_ID);
	}
}

static void count_flow(int map, const struct canary_flow_key *key, void *arg)
{
	(void)map;
	*(unsigned *)arg += key->port == htons(scene->port);
}

/* Remembered ones of this scene alone: the sweeper takes away those of the others. */
static unsigned scene_flows(void)
{
	unsigned count = 0;

	each_flow(count_flow, &count);
	return count;
}

static void case18_a_forged_id_takes_no_flow_of_another(void **state)
{
	static const char initial[] = "c3 00000001 08 1122334455667788";

	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		unsigned opening = opening_flows();

		usual_service();
		sent("a connection begins", datagram(1, initial), scene->stable, NEW_FLOW);
		for (int i = 0; i < 3; i++)
			sent("another's id", named(1, scene->canary_id), scene->canary, BY_ID);
		sent("it goes on", datagram(1, initial), scene->stable, OLD_FLOW);
		for (int i = 0; i < 3; i++)
			sent("another's id", named(1, scene->canary_id), scene->canary, BY_ID);
		sent("it goes on", datagram(1, initial), scene->stable, OLD_FLOW);
		assert_int_equal(scene_flows(), 1);
		assert_int_equal(opening_flows(), opening);
	}
}

static void case18_a_connections_paths_are_remembered(void **state)
{
	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		unsigned opening = opening_flows();

		usual_service();
		for (int i = 0; i < 3; i++)
			sent("a packet", named(1, scene->canary_id), scene->canary, BY_ID);
		assert_int_equal(scene_flows(), 1);
		assert_int_equal(opening_flows(), opening);
	}
}

static void case18_with_track_never_nothing_is_remembered(void **state)
{
	char endpoint[80];

	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		if (scene->forward == CANARY_FORWARD_NAT)
			continue;
		CONFIGURE({.name = "quic",
			   .endpoint = with_port(scene->vip, scene->port, endpoint),
			   .proto = IPPROTO_UDP,
			   .forward = scene->forward,
			   .affinity = CANARY_AFFINITY_QUIC,
			   .track = CANARY_TRACK_NEVER,
			   .stable = scene->stable,
			   .canary = scene->canary});
		for (int i = 0; i < 3; i++)
			sent("a packet", named(1, scene->canary_id), scene->canary, BY_ID);
		sent("one that names nobody", named(1, "deadbeef"), scene->stable, NEW_FLOW);
		assert_int_equal(established_flows() + opening_flows(), 0);
	}
}

/* What the id names cannot tell the two apart, and nobody else has the connection. */
static void case18_a_clash_at_the_named_backend_is_dropped(void **state)
{
	struct spec first, second;

	(void)state;
	scene = &scenes[0];
	CONFIGURE({.name = "dns", .endpoint = "203.0.113.11:53", .proto = IPPROTO_UDP, .stable = "10.0.0.21:443"},
		  {.name = "quic",
		   .endpoint = "203.0.113.10:443",
		   .proto = IPPROTO_UDP,
		   .affinity = CANARY_AFFINITY_QUIC,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21 10.0.0.22"});
	first = datagram(7, NULL);
	first.dst = "203.0.113.11";
	first.dport = 53;
	second = translated(first, BACK, "10.0.0.21", 443);
	EXPECT("another service's flow", FRONT, &first, XDP_REDIRECT, &second, "flow:dns.stable:10.0.0.21:443");
	second = named(7, scene->canary_id);
	EXPECT("the same port", FRONT, &second, XDP_DROP, NULL, "quic.canary.by_id quic.canary.nat_collision");
	sent("another port", named(8, scene->canary_id), scene->canary, BY_ID);
}

static void case18_icmp_errors_find_a_path_that_was_moved_to(void **state)
{
	struct spec answer, in, want;
	char counters[128], endpoint[80];

	(void)state;
	for (scene = scenes; scene < scenes + SCENES; scene++) {
		bool v6 = strchr(scene->vip, ':');

		if (scene->forward != CANARY_FORWARD_L2)
			continue;
		usual_service();
		for (int i = 0; i < 2; i++)
			sent("a packet", named(9, scene->canary_id), scene->canary, BY_ID);
		/* What the client's side could not deliver has the client's id, which says nothing here. */
		answer = named(scene->port, scene->stable_id);
		answer.src = scene->vip;
		answer.dst = scene->client;
		answer.dport = 9;
		in = (struct spec){.src = scene->moved,
				   .dst = scene->vip,
				   .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				   .icmp_type = v6 ? 2 : 3,
				   .icmp_code = v6 ? 0 : 4,
				   .icmp_rest = 1400,
				   .quote = &answer,
				   .quote_l4 = 28};
		want = sent_on(in, BACK, scene->canary);
		snprintf(counters, sizeof(counters), "packet:quic.canary:%s",
			 with_port(scene->canary, scene->port, endpoint));
		EXPECT("an error", FRONT, &in, XDP_REDIRECT, &want, counters);
	}
}

static void the_id_is_where_the_service_says(void **state)
{
	static const struct {
		unsigned offset, length;
		const char *backends, *data;
	} layouts[] = {
		{0, 1, "10.0.0.21#07", "41 07"},
		{19, 1, "10.0.0.21#07", "41 00112233445566778899aabbccddeeff00112207"},
		{4, 16, "10.0.0.21#000102030405060708090a0b0c0d0e0f", "41 ffffffff 000102030405060708090a0b0c0d0e0f"},
		{4, 16, "10.0.0.21", "41 ffffffff 00000000000000000000ffff0a000015"},
		{2, 9, "10.0.0.21#010203040506070809", "41 ffff 010203040506070809"},
		{1, 3, "10.0.0.21", "41 ff 000015"},
	};

	(void)state;
	scene = &scenes[1];
	for (unsigned i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
		CONFIGURE({.name = "quic",
			   .endpoint = "203.0.113.10:444",
			   .proto = IPPROTO_UDP,
			   .forward = CANARY_FORWARD_L2,
			   .affinity = CANARY_AFFINITY_QUIC,
			   .id_offset = layouts[i].offset,
			   .id_length = layouts[i].length,
			   .stable = "10.0.0.11",
			   .canary = layouts[i].backends});
		sent(layouts[i].backends, datagram(i, layouts[i].data), "10.0.0.21", BY_ID);
	}
}

static void each_of_many_ids_is_found(void **state)
{
	char list[1024] = "", id[16];

	(void)state;
	scene = &scenes[0];
	/* Ports tell them apart, and nat lets backends have their own. */
	for (int i = 0; i < 30; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "10.0.0.21:%d#ab0000%02x ", 1000 + i, i);
	CONFIGURE({.name = "quic",
		   .endpoint = "203.0.113.10:443",
		   .proto = IPPROTO_UDP,
		   .affinity = CANARY_AFFINITY_QUIC,
		   .stable = "10.0.0.11",
		   .canary = list});
	for (int i = 0; i < 30; i++) {
		struct spec in, want;
		char counters[128];

		snprintf(id, sizeof(id), "ab0000%02x", i);
		in = named(i, id);
		want = translated(in, BACK, "10.0.0.21", 1000 + i);
		snprintf(counters, sizeof(counters), "packet:quic.canary:10.0.0.21:%d quic.canary.by_id", 1000 + i);
		EXPECT(id, FRONT, &in, XDP_REDIRECT, &want, counters);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case18_an_id_that_a_server_chose_says_whose_it_is),
		TEST(case18_of_long_headers_handshake_alone_names_it),
		TEST(case18_what_names_nobody_goes_by_the_hash),
		TEST(case18_a_client_that_moves_stays_where_it_is),
		TEST(case18_neither_weight_nor_drain_moves_it_and_a_deleted_backend_is_nobody),
		TEST(case18_a_forged_id_takes_no_flow_of_another),
		TEST(case18_a_connections_paths_are_remembered),
		TEST(case18_with_track_never_nothing_is_remembered),
		TEST(case18_a_clash_at_the_named_backend_is_dropped),
		TEST(case18_icmp_errors_find_a_path_that_was_moved_to),
		TEST(the_id_is_where_the_service_says),
		TEST(each_of_many_ids_is_found),
	};

	return RUN(tests);
}
