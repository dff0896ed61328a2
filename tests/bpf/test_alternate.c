/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gue: which packets name a second backend. Those of TCP flows that are unknown here and that the configurations of the open
 * window place differently; as long as what was guessed of them is remembered. And which flows nobody else knows of.
 */
#include "lib_way.h"

#include <stdio.h>
#include <string.h>

static const char *const old_host[] = {"10.0.0.11", "2001:db8:10::11"};
static const char *const new_host[] = {"10.0.0.21", "2001:db8:10::21"};

/* Every combination of outer and inner family. */
#define EACH(i) for (int i = 0; i < 4; i++)
#define OUTER_V6(i) ((i)&1)
#define INNER_V6(i) ((i) >> 1 & 1)

static void web_of(int i, enum canary_forward forward, int weight, const char *stable, const char *canary)
{
	CONFIGURE({.name = "web",
		   .endpoint = INNER_V6(i) ? "[" VIP6 "]:80" : VIP ":80",
		   .forward = forward,
		   .stable = stable,
		   .canary = canary,
		   .weight = weight},
		  {.name = "dns",
		   .endpoint = INNER_V6(i) ? "[" VIP6 "]:53" : VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = forward,
		   .stable = stable,
		   .canary = canary,
		   .weight = weight});
}

static void web(int i, int weight)
{
	web_of(i, CANARY_FORWARD_GUE, weight, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)]);
}

static struct spec packet(int i, unsigned flags)
{
	return (struct spec){.src = INNER_V6(i) ? CLIENT6 : CLIENT,
			     .dst = INNER_V6(i) ? VIP6 : VIP,
			     .sport = 4001,
			     .dport = 80,
			     .flags = flags,
			     .seq = flags & SYN ? 100 : 101,
			     .frag = INNER_V6(i) ? 0 : IPV4_DF,
			     .payload = flags & SYN ? 0 : 40};
}

/* It goes to `host`, of that cohort, and names `alternate`, or nobody (NULL). kind: "packet" or "flow". */
static void goes(const char *what, const struct spec *in, const char *host, const char *alternate, const char *kind)
{
	bool v6 = strchr(host, ':');
	const char *cohort = strchr(host, '2') && (strstr(host, ".21") || strstr(host, "::21")) ? "canary" : "stable";
	struct tunnel outer = {.src = v6 ? "2001:db8:10::1" : "10.0.0.1",
			       .dst = host,
			       .frag = v6 ? 0 : IPV4_DF,
			       .gue_port = 6080,
			       .alternate = alternate};
	struct spec want = sent_on(*in, BACK, host);
	char counters[256];

	want.outer = &outer;
	snprintf(counters, sizeof(counters), v6 ? "%s:web.%s:[%s]:80" : "%s:web.%s:%s:80", kind, cohort, host);
	if (alternate)
		snprintf(counters + strlen(counters), sizeof(counters) - strlen(counters), " web.%s.second_chance",
			 cohort);
	EXPECT(what, FRONT, in, XDP_REDIRECT, &want, counters);
}

static void an_unknown_flow_names_what_the_newer_configuration_chooses(void **state)
{
	static const unsigned flags[] = {RST, FIN | ACK, ACK, ACK | PSH, FIN | ACK, RST | ACK};

	EACH(i)
	{
		env_fresh(state);
		web(i, 0);
		web(i, 10000);
		for (size_t j = 0; j < sizeof(flags) / sizeof(*flags); j++) {
			struct spec in = packet(i, flags[j]);

			goes("unknown, then remembered", &in, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
		}
		assert_int_equal(established_flows(), 1);
	}
}

/* Without memory it would not be known any more what the window's middle was. */
static void what_is_remembered_of_it_keeps_the_name_whatever_comes(void **state)
{
	EACH(i)
	{
		struct spec in = packet(i, ACK);

		env_fresh(state);
		web(i, 0);
		web(i, 10000);
		goes("unknown", &in, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
		web(i, 0);
		goes("rolled back", &in, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
		web(i, 10000);
		goes("and forth", &in, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
		env_upgrade();
		goes("upgraded", &in, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
	}
}

static void flows_that_are_known_here_or_settled_name_nobody(void **state)
{
	EACH(i)
	{
		const char *old = old_host[OUTER_V6(i)], *new = new_host[OUTER_V6(i)];
		struct spec in;

		env_fresh(state);
		web(i, 0);
		in = packet(i, ACK);
		goes("no window", &in, old, NULL, "packet");
		web(i, 10000);
		in.sport = 4002;
		in.flags = SYN;
		in.seq = 100;
		in.payload = 0;
		goes("a SYN", &in, new, NULL, "flow");
		in.flags = ACK;
		in.seq = 101;
		goes("its ACK", &in, new, NULL, "packet");
		goes("more", &in, new, NULL, "packet");
		/* A SYN at the tuple of one that is only guessed at belongs where it is sent. */
		in = packet(i, ACK);
		goes("unknown", &in, old, new, "packet");
		in = packet(i, SYN);
		in.seq = 7000;
		goes("a new connection", &in, new, NULL, "flow");
		in = packet(i, ACK);
		goes("the older one goes on", &in, old, new, "packet");
		in.seq = 7001;
		goes("the new one", &in, new, NULL, "packet");
		/* Placed alike by both. */
		env_fresh(state);
		web(i, 10000);
		web(i, 0);
		web(i, 10000);
		in = packet(i, ACK);
		goes("settled", &in, new, NULL, "packet");
	}
}

static void an_error_about_an_unknown_flow_names_both(void **state)
{
	EACH(i)
	{
		struct spec in = packet(i, ACK), quote = in, error;
		bool v6 = INNER_V6(i);

		env_fresh(state);
		web(i, 0);
		web(i, 10000);
		quote.src = in.dst;
		quote.dst = in.src;
		quote.sport = 80;
		quote.dport = in.sport;
		error = (struct spec){.src = v6 ? "2001:db8:77::1" : "198.18.0.1",
				      .dst = in.dst,
				      .frag = v6 ? 0 : IPV4_DF,
				      .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				      .icmp_type = v6 ? 2 : 3,
				      .icmp_code = v6 ? 0 : 4,
				      .icmp_rest = 1400,
				      .quote = &quote,
				      .quote_l4 = 8};
		goes("an error", &error, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
		assert_int_equal(established_flows(), 0);
	}
}

static void other_ways_datagrams_and_fragments_name_nobody(void **state)
{
	struct spec in = packet(0, ACK), want, part;
	struct tunnel outer = outer4;

	env_fresh(state);
	web_of(0, CANARY_FORWARD_IPIP, 0, BACK4, "10.0.0.21");
	web_of(0, CANARY_FORWARD_IPIP, 10000, BACK4, "10.0.0.21");
	want = sent_on(in, BACK, BACK4);
	outer.frag = IPV4_DF;
	outer.id_given = false;
	want.outer = &outer;
	EXPECT("ipip", FRONT, &in, XDP_REDIRECT, &want, "packet:web.stable:10.0.0.11:80");
	env_fresh(state);
	web(0, 0);
	web(0, 10000);
	goes("gue", &in, BACK4, "10.0.0.21", "packet");
	web_of(0, CANARY_FORWARD_IPIP, 10000, BACK4, "10.0.0.21");
	EXPECT("ipip, of a flow that is remembered from gue", FRONT, &in, XDP_REDIRECT, &want,
	       "packet:web.stable:10.0.0.11:80");
	env_fresh(state);
	web(0, 0);
	web(0, 10000);
	outer.gue_port = 6080;
	part = packet(0, ACK);
	part.frag = 0;
	set_fragment(&part, 0, true, 77);
	want = sent_on(part, BACK, BACK4);
	outer.frag = 0;
	outer.id_given = true;
	want.outer = &outer;
	EXPECT("a first fragment", FRONT, &part, XDP_REDIRECT, &want, "packet:web.stable:10.0.0.11:80");
	part = packet(0, 0);
	part.proto = IPPROTO_UDP;
	part.dport = 53;
	outer.frag = IPV4_DF;
	outer.dst = "10.0.0.21";
	outer.id_given = false;
	want = sent_on(part, BACK, "10.0.0.21");
	want.outer = &outer;
	EXPECT("a datagram", FRONT, &part, XDP_REDIRECT, &want, "flow:dns.canary:10.0.0.21:53");
}

/* A backend could not send it on with the header that it came in. */
static void an_alternate_of_the_other_family_is_not_named(void **state)
{
	EACH(i)
	{
		const char *old = old_host[OUTER_V6(i)], *new = new_host[!OUTER_V6(i)];
		struct spec in = packet(i, ACK);

		env_fresh(state);
		web_of(i, CANARY_FORWARD_GUE, 0, old, new);
		web_of(i, CANARY_FORWARD_GUE, 10000, old, new);
		goes("unknown", &in, old, NULL, "packet");
	}
}

/* The next hops' MTU is 1,500: a window takes nothing of what fits. */
static void where_there_is_no_room_for_it_it_is_left_out(void **state)
{
	EACH(i)
	{
		unsigned room = 1500 - (OUTER_V6(i) ? 40 : 20) - 12 - (INNER_V6(i) ? 40 : 20) - 20;
		unsigned list = OUTER_V6(i) ? 20 : 8;
		struct spec in = packet(i, ACK);
		struct outcome out;
		struct packet large;

		env_fresh(state);
		web(i, 0);
		web(i, 10000);
		in.payload = room - list;
		goes("there is room", &in, old_host[OUTER_V6(i)], new_host[OUTER_V6(i)], "packet");
		in.payload++;
		goes("one byte more", &in, old_host[OUTER_V6(i)], NULL, "packet");
		in.payload = room;
		goes("the largest", &in, old_host[OUTER_V6(i)], NULL, "packet");
		in.payload++;
		packet_build(&in, NULL, &large);
		run_packet(FRONT, &large, &out);
		assert_int_equal(out.verdict, XDP_TX);
		/* What its sender is told is what fits without. */
		assert_int_equal(out.packet.data[14 + (INNER_V6(i) ? 46 : 26)] << 8 |
					 out.packet.data[14 + (INNER_V6(i) ? 47 : 27)],
				 1500 - (OUTER_V6(i) ? 40 : 20) - 12);
	}
}

static unsigned exposed(void)
{
	static unsigned counts[CANARY_MAX_SERVICES];

	assert_int_equal(dataplane_exposed_flows(env.dataplane, counts), 0);
	return counts[find_service("web")->id];
}

static void flows_that_were_born_in_the_window_are_exposed(void **state)
{
	static const enum canary_forward forwards[] = {CANARY_FORWARD_NAT, CANARY_FORWARD_L2, CANARY_FORWARD_IPIP,
						       CANARY_FORWARD_GUE};
	enum { OLDER = 20, BORN = 30 };

	for (size_t f = 0; f < sizeof(forwards) / sizeof(*forwards); f++) {
		bool nat = forwards[f] == CANARY_FORWARD_NAT;
		const char *stable = nat ? "10.0.0.11:80" : BACK4, *canary = nat ? "10.0.0.21:80" : "10.0.0.21";

		env_fresh(state);
		web_of(0, forwards[f], 0, stable, canary);
		for (int n = 0; n < OLDER; n++) {
			struct spec in = packet(0, SYN);

			in.sport = 1000 + n;
			run_redirected(FRONT, &in);
			in.flags = ACK;
			in.seq = 101;
			run_redirected(FRONT, &in);
		}
		assert_int_equal(exposed(), 0);
		web_of(0, forwards[f], 10000, stable, canary);
		for (int n = 0; n < OLDER; n++) {
			struct spec in = packet(0, ACK);

			in.sport = 1000 + n;
			run_redirected(FRONT, &in);
		}
		assert_int_equal(exposed(), 0);
		for (int n = 0; n < BORN; n++) {
			struct spec in = packet(0, SYN);

			in.sport = 2000 + n;
			run_redirected(FRONT, &in);
			in.flags = ACK;
			in.seq = 101;
			run_redirected(FRONT, &in);
		}
		assert_int_equal(exposed(), BORN);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(an_unknown_flow_names_what_the_newer_configuration_chooses),
		TEST(what_is_remembered_of_it_keeps_the_name_whatever_comes),
		TEST(flows_that_are_known_here_or_settled_name_nobody),
		TEST(an_error_about_an_unknown_flow_names_both),
		TEST(other_ways_datagrams_and_fragments_name_nobody),
		TEST(an_alternate_of_the_other_family_is_not_named),
		TEST(where_there_is_no_room_for_it_it_is_left_out),
		TEST(flows_that_were_born_in_the_window_are_exposed),
	};

	return RUN(tests);
}
