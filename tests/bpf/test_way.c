/* SPDX-License-Identifier: Apache-2.0 */
/* What packets look like, in every mode of forwarding, IPv4 and IPv6: there, and in nat, back. */
#include "lib_way.h"

#include <linux/bpf.h>
#include <stdio.h>

static const int protos[] = {IPPROTO_TCP, IPPROTO_UDP};

/* A request, and in nat its answer, with the same oddity: forwarded both. `alter` sees to it; false: not of this way. */
static void both_forwarded(const char *what, enum side side, bool (*alter)(const struct way *way, struct spec *spec))
{
	EACH_WAY(way, side)
	{
		for (int i = 0; i < 2; i++) {
			struct spec in = way_request(&way, protos[i]), plain = in, reply;

			if (!alter(&way, &in))
				continue;
			way_forwards(&way, what, &in, "flow");
			if (way.forward != CANARY_FORWARD_NAT)
				continue;
			reply = way_reply(&way, &plain);
			alter(&way, &reply);
			way_returns(&way, what, &reply, &plain);
		}
	}
}

/* The same for what is dropped, or left to the stack: the answer is that of a connection that had begun well. */
static void both_refused(const char *what, bool (*alter)(const struct way *way, struct spec *spec), int verdict,
			 const char *counters)
{
	EACH_WAY(way, BACK)
	{
		for (int i = 0; i < 2; i++) {
			struct spec in = way_request(&way, protos[i]), plain = in, reply;

			if (!alter(&way, &in))
				continue;
			way_refuses(&way, what, &in, verdict, counters);
			if (way.forward != CANARY_FORWARD_NAT)
				continue;
			way_opens(&way, &plain);
			reply = way_reply(&way, &plain);
			alter(&way, &reply);
			way_refuses(&way, what, &reply, verdict, counters);
		}
	}
}

static bool leave_as_it_is(const struct way *way, struct spec *spec)
{
	(void)way;
	(void)spec;
	return true;
}

static void case00_ordinary_packets(void **state)
{
	(void)state;
	both_forwarded("ordinary", BACK, leave_as_it_is);
}

static void case21_out_of_the_interface_it_came_in_by(void **state)
{
	(void)state;
	both_forwarded("ordinary", FRONT, leave_as_it_is);
}

static void case21_out_of_another_interface(void **state)
{
	(void)state;
	both_forwarded("ordinary", BACK, leave_as_it_is);
}

/* The stack gets what is for a backend on this host; in nat nobody would translate the answer. */
static void case21_a_backend_on_this_host(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		const char *here = way.v6 ? "2001:db8:10::1" : "10.0.0.1";
		struct service service = way_service(&way, IPPROTO_TCP);
		struct spec in = way_request(&way, IPPROTO_TCP);
		struct canary_addr addr = make_addr(here);
		unsigned bytes = way.v6 ? 60 : 40;
		char counters[256];

		service.stable = here;
		CONFIGURE(service);
		dataplane_set_tunnel_source(env.dataplane, find_service("tcp")->backends[0].index, &addr);
		if (way.forward == CANARY_FORWARD_NAT) {
			snprintf(counters, sizeof(counters),
				 way.v6 ? "tcp.stable.no_route tcp.stable.flows [%s]:80.flows"
					: "tcp.stable.no_route tcp.stable.flows %s:80.flows",
				 here);
			EXPECT("nat", FRONT, &in, XDP_DROP, NULL, counters);
			continue;
		}
		snprintf(counters, sizeof(counters),
			 way.v6 ? "front.passed tcp.stable.flows tcp.stable.packets tcp.stable.bytes=%u [%s]:80.flows "
				  "[%s]:80.packets [%s]:80.bytes=%u"
				: "front.passed tcp.stable.flows tcp.stable.packets tcp.stable.bytes=%u %s:80.flows "
				  "%s:80.packets %s:80.bytes=%u",
			 bytes, here, here, here, bytes);
		EXPECT("up the stack, and counted", FRONT, &in, XDP_PASS, NULL, counters);
	}
}

static bool pad_and_add_options(const struct way *way, struct spec *spec)
{
	spec->ip_options = way->v6 ? 0 : 24;
	spec->trailer = 17;
	return true;
}

static void case05_options_and_padding(void **state)
{
	(void)state;
	both_forwarded("options, padding", BACK, pad_and_add_options);
}

static bool say_more_than_there_is(const struct way *way, struct spec *spec)
{
	spec->length = (way->v6 ? 0 : 20) + (spec->proto == IPPROTO_UDP ? 8 : 20) + spec->payload + 1;
	return true;
}

static bool say_too_little_of_the_transport(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->doff = 4;
	spec->udp_length = 7;
	return true;
}

static bool cut_the_transport_short(const struct way *way, struct spec *spec)
{
	spec->payload = 0;
	spec->cut = 14 + (way->v6 ? 40 : 20) + 7;
	return true;
}

static void case05_lengths_that_do_not_fit(void **state)
{
	(void)state;
	both_refused("longer than the frame", say_more_than_there_is, XDP_DROP, "malformed");
	both_refused("a transport header of too little", say_too_little_of_the_transport, XDP_DROP, "malformed");
	both_refused("cut short", cut_the_transport_short, XDP_DROP, "malformed");
}

static bool add_extension_headers(const struct way *way, struct spec *spec)
{
	spec->ext[0] = (struct extension)EXT(IPPROTO_HOPOPTS, 8);
	spec->ext[1] = (struct extension)EXT(IPPROTO_DSTOPTS, 40);
	spec->ext[2] = (struct extension)EXT(IPPROTO_ROUTING, 24);
	return way->v6;
}

static void case07_extension_headers(void **state)
{
	(void)state;
	both_forwarded("three extension headers", BACK, add_extension_headers);
}

static bool cut_an_extension_header(const struct way *way, struct spec *spec)
{
	spec->ext[0] = (struct extension)EXT(IPPROTO_DSTOPTS, 8);
	spec->payload = 0;
	spec->length = 8 + 3;
	return way->v6;
}

static void case07_an_extension_header_and_nothing_behind_it(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec in = way_request(&way, IPPROTO_TCP);

		if (cut_an_extension_header(&way, &in))
			way_refuses(&way, "no ports", &in, XDP_DROP, "malformed");
	}
}

/* What comes from a backend with so many may be the host's own to forward: nobody looked at its ports. */
static void case07_too_many_extension_headers(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec in = way_request(&way, IPPROTO_TCP), plain = in, reply;

		if (!way.v6)
			continue;
		way_opens(&way, &in);
		reply = way_reply(&way, &plain);
		for (int i = 0; i < 7; i++)
			in.ext[i] = reply.ext[i] = (struct extension)EXT(IPPROTO_DSTOPTS, 8);
		way_refuses(&way, "seven", &in, XDP_DROP, "ext_headers");
		if (way.forward == CANARY_FORWARD_NAT)
			way_refuses(&way, "seven, back", &reply, XDP_PASS, "passed not_ours");
	}
}

static bool tag(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->tag[0] = (struct tag){VLAN_AD, 100};
	spec->tag[1] = (struct tag){VLAN_Q, 0xe007};
	return true;
}

static void case08_tags_stay_on_the_way_back_out_and_no_further(void **state)
{
	(void)state;
	both_forwarded("out of the same interface", FRONT, tag);
	both_forwarded("out of another interface", BACK, tag);
}

static bool set_impossible_flags(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->flags = SYN | FIN;
	return spec->proto == IPPROTO_TCP;
}

static void case09_impossible_flags_in_every_mode(void **state)
{
	(void)state;
	both_refused("SYN and FIN", set_impossible_flags, XDP_DROP, "malformed");
}

static bool set_hop_limit_1(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->ttl = 1;
	return true;
}

static bool set_hop_limit_0(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->ttl = TTL_ZERO;
	return true;
}

static bool set_hop_limit_2(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->ttl = 2;
	return true;
}

static void case14_hop_limits_in_every_mode(void **state)
{
	(void)state;
	both_refused("1", set_hop_limit_1, XDP_PASS, "passed");
	both_refused("0", set_hop_limit_0, XDP_PASS, "passed");
	both_forwarded("2", BACK, set_hop_limit_2);
}

/* l2, tunnels: the backend itself sent it. nat: the backend is its own client. Any: it is from our own interface. */
static void case14_loops_in_every_mode(void **state)
{
	(void)state;
	EACH_WAY(way, FRONT)
	{
		char counters[160];
		struct spec in = way_request(&way, IPPROTO_TCP);

		snprintf(counters, sizeof(counters),
			 way.v6 ? "tcp.stable.loop tcp.stable.flows [%s]:%u.flows"
				: "tcp.stable.loop tcp.stable.flows %s:%u.flows",
			 way_host(&way, 11), way_port(&way, IPPROTO_TCP));
		in.from_mac = "front";
		EXPECT("from ourselves", FRONT, &in, XDP_DROP, NULL, counters);
		in.sport++;
		in.from_mac = way_host(&way, 11);
		if (way.forward == CANARY_FORWARD_NAT)
			in.src = way_host(&way, 11);
		EXPECT("from the backend that it would go to", FRONT, &in, XDP_DROP, NULL, counters);
	}
}

/* A wrong checksum stays wrong, by as much, in all that does not touch it; nat updates it. */
static void case15_wrong_and_absent_checksums_in_every_mode(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec in = way_request(&way, IPPROTO_UDP), reply;

		if (way.v6)
			continue;
		in.check = CHECK_NONE;
		way_forwards(&way, "no checksum", &in, "flow");
		if (way.forward == CANARY_FORWARD_NAT) {
			reply = way_reply(&way, &in);
			reply.check = CHECK_NONE;
			way_returns(&way, "none on the way back", &reply, &in);
			continue;
		}
		in = way_request(&way, IPPROTO_TCP);
		in.check = CHECK_VALUE;
		in.check_value = 0x1234;
		way_forwards(&way, "a wrong one", &in, "flow");
	}
}

static bool leave_no_data(const struct way *way, struct spec *spec)
{
	(void)way;
	spec->payload = 0;
	return true;
}

/* 60 bytes, less the frame check sequence: more than IPv6 with TCP has, so that is not padded. */
static bool pad_to_a_runt(const struct way *way, struct spec *spec)
{
	unsigned len = 14 + (way->v6 ? 40 : 20) + (spec->proto == IPPROTO_UDP ? 8 : 20);

	spec->payload = 0;
	spec->trailer = len < 60 ? 60 - len : 0;
	return true;
}

/* 1,500 bytes, with what is added to a request. */
static bool fill_the_mtu(const struct way *way, struct spec *spec)
{
	bool request = spec->dport == 80 || spec->dport == 53;

	spec->payload = 1500 - (way->v6 ? 40 : 20) - (spec->proto == IPPROTO_UDP ? 8 : 20);
	spec->payload -= request ? way_overhead(way) : 0;
	return true;
}

static void case22_least_and_largest_in_every_mode(void **state)
{
	(void)state;
	both_forwarded("no data", BACK, leave_no_data);
	both_forwarded("padded to 60 bytes", BACK, pad_to_a_runt);
	both_forwarded("the MTU", BACK, fill_the_mtu);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case00_ordinary_packets),
		TEST(case05_options_and_padding),
		TEST(case05_lengths_that_do_not_fit),
		TEST(case07_extension_headers),
		TEST(case07_an_extension_header_and_nothing_behind_it),
		TEST(case07_too_many_extension_headers),
		TEST(case08_tags_stay_on_the_way_back_out_and_no_further),
		TEST(case09_impossible_flags_in_every_mode),
		TEST(case14_hop_limits_in_every_mode),
		TEST(case14_loops_in_every_mode),
		TEST(case15_wrong_and_absent_checksums_in_every_mode),
		TEST(case21_out_of_the_interface_it_came_in_by),
		TEST(case21_out_of_another_interface),
		TEST(case21_a_backend_on_this_host),
		TEST(case22_least_and_largest_in_every_mode),
	};

	return RUN(tests);
}
