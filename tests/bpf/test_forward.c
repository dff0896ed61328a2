/* SPDX-License-Identifier: Apache-2.0 */
/* l2, ipip and gue: what goes out, by which interface, and what does not. */
#include "lib_run.h"

#include <stdio.h>
#include <stdlib.h>

#define FRONT4 "192.0.2.11"
#define FRONT6 "2001:db8:2::11"

static const enum canary_forward tunnels[] = {CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE};
#define EACH_TUNNEL(how) for (const enum canary_forward *how = tunnels; how < tunnels + 2; how++)

static struct tunnel tunnel(enum canary_forward forward, const char *src, const char *dst)
{
	return (struct tunnel){.src = src, .dst = dst, .gue_port = forward == CANARY_FORWARD_GUE ? 6080 : 0};
}

/* One service of each family and protocol, all with one backend: "tcp4", "tcp6", "udp4", "udp6". */
static void one_backend(enum canary_forward forward, const char *backend4, const char *backend6)
{
	CONFIGURE({.name = "tcp4", .endpoint = VIP ":80", .forward = forward, .stable = backend4},
		  {.name = "udp4", .endpoint = VIP ":53", .proto = IPPROTO_UDP, .forward = forward, .stable = backend4},
		  {.name = "tcp6", .endpoint = "[" VIP6 "]:80", .forward = forward, .stable = backend6},
		  {.name = "udp6",
		   .endpoint = "[" VIP6 "]:53",
		   .proto = IPPROTO_UDP,
		   .forward = forward,
		   .stable = backend6});
}

static const struct spec inputs[] = {
	{.src = CLIENT,
	 .dst = VIP,
	 .sport = 4001,
	 .dport = 80,
	 .flags = SYN,
	 .seq = 77,
	 .tcp_options = 20,
	 .tos = 0xb9,
	 .frag = IPV4_DF,
	 .id = 4711},
	{.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 4002, .dport = 53, .payload = 33, .tos = 2, .id = 9},
	{.src = CLIENT6, .dst = VIP6, .sport = 4003, .dport = 80, .flags = SYN, .seq = 77, .tos = 0x2e, .id = 0x12345},
	{.src = CLIENT6, .dst = VIP6, .proto = IPPROTO_UDP, .sport = 4004, .dport = 53, .payload = 1, .ttl = 2},
};
static const char *const names[] = {"tcp4", "udp4", "tcp6", "udp6"};

static void endpoint_text(const char *backend, unsigned port, char ret[80])
{
	snprintf(ret, 80, backend[4] == ':' ? "[%s]:%u" : "%s:%u", backend, port);
}

static void all_sent(enum side side, const char *hop4, const char *hop6, const struct tunnel *outer4,
		     const struct tunnel *outer6)
{
	for (int i = 0; i < 4; i++) {
		const char *hop = i < 2 ? hop4 : hop6;
		const struct tunnel *outer = i < 2 ? outer4 : outer6;
		struct spec want = sent_on(inputs[i], side, hop);
		struct tunnel tunnel;
		char counters[256], endpoint[80];

		if (outer) {
			tunnel = *outer;
			/* Class and DF are the inner packet's; without DF the identification is any. */
			tunnel.tos = inputs[i].tos;
			if (i >= 2 || inputs[i].frag)
				tunnel.frag = outer->src[4] == ':' ? 0 : IPV4_DF;
			else
				tunnel.id_given = true;
			want.outer = &tunnel;
		}
		endpoint_text(outer ? outer->dst : hop, inputs[i].dport, endpoint);
		snprintf(counters, sizeof(counters), "flow:%s.stable:%s", names[i], endpoint);
		EXPECT(names[i], FRONT, &inputs[i], side == FRONT ? XDP_TX : XDP_REDIRECT, &want, counters);
	}
}

static void case14_l2_goes_back_out_one_hop_on(void **state)
{
	(void)state;
	one_backend(CANARY_FORWARD_L2, FRONT4, FRONT6);
	all_sent(FRONT, FRONT4, FRONT6, NULL, NULL);
}

static void case14_l2_goes_to_another_interface(void **state)
{
	(void)state;
	one_backend(CANARY_FORWARD_L2, BACK4, BACK6);
	all_sent(BACK, BACK4, BACK6, NULL, NULL);
}

/* From the balancer's tunnel addresses to these backends, by these next hops. */
static void all_tunnelled(enum side side, enum canary_forward forward, const char *const backends[2],
			  const char *const hops[2])
{
	struct tunnel outer[2];

	for (int i = 0; i < 2; i++)
		outer[i] = tunnel(forward, backends[i][4] == ':' ? "2001:db8:10::1" : "10.0.0.1", backends[i]);
	one_backend(forward, backends[0], backends[1]);
	all_sent(side, hops[0], hops[1], &outer[0], &outer[1]);
}

static void case16_every_byte_of_the_outer_header_4in4_and_6in6(void **state)
{
	static const char *const backends[] = {BACK4, BACK6};

	(void)state;
	EACH_TUNNEL(how)
	all_tunnelled(BACK, *how, backends, backends);
}

static void case16_every_byte_of_the_outer_header_4in6_and_6in4(void **state)
{
	static const char *const backends[] = {BACK6, BACK4};

	(void)state;
	EACH_TUNNEL(how)
	all_tunnelled(BACK, *how, backends, backends);
}

static void case16_tunnels_back_out_of_the_same_interface(void **state)
{
	static const char *const backends[][2] = {{FRONT4, FRONT6}, {FRONT6, FRONT4}};

	(void)state;
	EACH_TUNNEL(how)
	{
		all_tunnelled(FRONT, *how, backends[0], backends[0]);
		all_tunnelled(FRONT, *how, backends[1], backends[1]);
	}
}

static void a_tunnel_may_lead_through_a_router(void **state)
{
	static const char *const backends[] = {"10.9.0.5", "2001:db8:9::5"};
	static const char *const hops[] = {"10.0.0.254", "2001:db8:10::fe"};

	(void)state;
	EACH_TUNNEL(how)
	all_tunnelled(BACK, *how, backends, hops);
}

static void gue_goes_to_the_port_that_the_service_says(void **state)
{
	struct tunnel outer = tunnel(CANARY_FORWARD_GUE, "10.0.0.1", BACK4);
	struct spec in = inputs[1], want = sent_on(in, BACK, BACK4);

	(void)state;
	outer.gue_port = 65535;
	outer.tos = in.tos;
	outer.id_given = true;
	CONFIGURE({.name = "udp4",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_GUE,
		   .gue_port = 65535,
		   .stable = BACK4});
	want.outer = &outer;
	EXPECT("another port", FRONT, &in, XDP_REDIRECT, &want, "flow:udp4.stable:10.0.0.11:53");
}

/* The source port of what goes out for it. */
static unsigned gue_source_of(struct spec in, unsigned outer_header)
{
	struct outcome out = run_redirected(FRONT, &in);

	return out.packet.data[14 + outer_header] << 8 | out.packet.data[15 + outer_header];
}

static int compare_ports(const void *a, const void *b)
{
	return *(const unsigned *)a - *(const unsigned *)b;
}

static void gues_source_ports_tell_flows_apart(void **state)
{
	enum { FLOWS = 512 };
	unsigned ports[FLOWS], different = 1, upper = 0;

	(void)state;
	one_backend(CANARY_FORWARD_GUE, BACK4, BACK6);
	for (int i = 0; i < 2; i++) {
		struct spec in = inputs[i * 2];

		for (int j = 0; j < FLOWS; j++) {
			in.sport = 5000 + j;
			in.flags = SYN;
			ports[j] = gue_source_of(in, i ? 40 : 20);
			assert_true(ports[j] >= 49152);
			upper += ports[j] >= 49152 + 8192;
			/* Later packets of the flow are as the first. */
			in.flags = PSH | ACK;
			in.payload = 100;
			assert_int_equal(gue_source_of(in, i ? 40 : 20), ports[j]);
		}
		qsort(ports, FLOWS, sizeof(*ports), compare_ports);
		different = 1;
		for (int j = 1; j < FLOWS; j++)
			different += ports[j] != ports[j - 1];
		/* Of 16,384 equally likely ones 504 different ones are to be expected, with a standard error of 2.8. */
		assert_true(different >= 504 - 5 * 3);
	}
	assert_in_range(upper, FLOWS - 5 * 16, FLOWS + 5 * 16);
}

static unsigned label_of(struct spec in)
{
	struct outcome out = run_redirected(FRONT, &in);

	return (out.packet.data[15] & 15) << 16 | out.packet.data[16] << 8 | out.packet.data[17];
}

static void flow_labels_tell_flows_apart(void **state)
{
	struct spec in = inputs[2];
	unsigned different = 0, first, last = 0;

	(void)state;
	one_backend(CANARY_FORWARD_IPIP, BACK6, BACK6);
	first = label_of(in);
	assert_int_equal(label_of(in), first);
	for (int i = 0; i < 32; i++) {
		unsigned label;

		in.sport++;
		label = label_of(in);
		different += label != last;
		last = label;
	}
	assert_true(different >= 31);
}

static void tunnels_leave_padding_behind(void **state)
{
	(void)state;
	EACH_TUNNEL(how)
	{
		struct tunnel v4 = tunnel(*how, "10.0.0.1", BACK4), v6 = tunnel(*how, "2001:db8:10::1", BACK6);
		struct spec in = {.src = CLIENT,
				  .dst = VIP,
				  .sport = 9,
				  .dport = 80,
				  .flags = SYN,
				  .frag = IPV4_DF,
				  .trailer = 6};
		struct spec want = sent_on(in, BACK, BACK4);

		one_backend(*how, BACK4, BACK6);
		v4.frag = IPV4_DF;
		want.trailer = 0;
		want.outer = &v4;
		EXPECT("in IPv4", FRONT, &in, XDP_REDIRECT, &want, "flow:tcp4.stable:10.0.0.11:80");
		in = (struct spec){.src = CLIENT6, .dst = VIP6, .proto = IPPROTO_UDP, .dport = 53, .trailer = 1500};
		want = sent_on(in, BACK, BACK6);
		want.trailer = 0;
		want.outer = &v6;
		EXPECT("in IPv6", FRONT, &in, XDP_REDIRECT, &want, "flow:udp6.stable:[2001:db8:10::11]:53");
	}
}

static void a_tunnel_without_a_source_has_its_reason(void **state)
{
	struct canary_addr none = {};
	struct spec in = inputs[0];

	(void)state;
	EACH_TUNNEL(how)
	{
		env_fresh(state);
		one_backend(*how, BACK4, BACK6);
		dataplane_set_tunnel_source(env.dataplane, find_backend("tcp4", BACK4)->index, &none);
		EXPECT("not known yet", FRONT, &in, XDP_DROP, NULL,
		       "tcp4.stable.no_tunnel_source tcp4.stable.flows 10.0.0.11:80.flows");
	}
}

static void what_cannot_be_reached_has_no_route(void **state)
{
	static const char *const nowhere[] = {"100.64.0.5", "2001:db8:dead::5"};

	(void)state;
	for (int forward = CANARY_FORWARD_L2; forward <= CANARY_FORWARD_GUE; forward++) {
		char counters[200], endpoint[80];

		env_fresh(state);
		one_backend(forward, nowhere[0], nowhere[1]);
		for (int i = 0; i < 4; i++) {
			endpoint_text(nowhere[i / 2], inputs[i].dport, endpoint);
			snprintf(counters, sizeof(counters), "%s.stable.no_route %s.stable.flows %s.flows", names[i],
				 names[i], endpoint);
			EXPECT(nowhere[i / 2], FRONT, &inputs[i], XDP_DROP, NULL, counters);
		}
	}
}

static void l2_does_not_go_through_a_router(void **state)
{
	struct spec in = inputs[0], in6 = inputs[2];

	(void)state;
	one_backend(CANARY_FORWARD_L2, "10.9.0.5", "2001:db8:9::5");
	EXPECT("IPv4", FRONT, &in, XDP_DROP, NULL, "tcp4.stable.no_route tcp4.stable.flows 10.9.0.5:80.flows");
	EXPECT("IPv6", FRONT, &in6, XDP_DROP, NULL, "tcp6.stable.no_route tcp6.stable.flows [2001:db8:9::5]:80.flows");
	/* The same from what the CPU remembers of the route. Of the flow nothing is remembered. */
	EXPECT("again", FRONT, &in, XDP_DROP, NULL, "tcp4.stable.no_route tcp4.stable.flows 10.9.0.5:80.flows");
}

static void a_neighbour_that_is_not_known_has_its_reason(void **state)
{
	static const struct tunnel outer = {.src = "10.0.0.1", .dst = "10.0.0.99", .tos = 0xb9, .frag = IPV4_DF};
	struct spec in = inputs[0], in6 = inputs[2], want;

	(void)state;
	one_backend(CANARY_FORWARD_IPIP, "10.0.0.99", "2001:db8:10::99");
	EXPECT("IPv4", FRONT, &in, XDP_DROP, NULL, "tcp4.stable.no_neighbour tcp4.stable.flows 10.0.0.99:80.flows");
	EXPECT("IPv6", FRONT, &in6, XDP_DROP, NULL,
	       "tcp6.stable.no_neighbour tcp6.stable.flows [2001:db8:10::99]:80.flows");
	/* A failed lookup is not remembered. */
	run_command("ip neighbour add 10.0.0.99 dev back lladdr 02:04:0a:00:00:63 nud permanent");
	want = sent_on(in, BACK, "10.0.0.99");
	want.outer = &outer;
	EXPECT("once it is known", FRONT, &in, XDP_REDIRECT, &want, "flow:tcp4.stable:10.0.0.99:80");
	run_command("ip neighbour del 10.0.0.99 dev back");
}

static void forwarding_that_is_off_is_no_route(void **state)
{
	struct spec in = inputs[0];

	(void)state;
	one_backend(CANARY_FORWARD_L2, BACK4, BACK6);
	run_command("sysctl -qw net.ipv4.conf.front.forwarding=0");
	EXPECT("off", FRONT, &in, XDP_DROP, NULL, "tcp4.stable.no_route tcp4.stable.flows 10.0.0.11:80.flows");
	run_command("sysctl -qw net.ipv4.conf.front.forwarding=1");
}

static void case14_loops_are_noticed(void **state)
{
	struct spec in = inputs[0], udp = inputs[1];

	(void)state;
	one_backend(CANARY_FORWARD_L2, FRONT4, FRONT6);
	in.from_mac = "front";
	EXPECT("from ourselves", FRONT, &in, XDP_DROP, NULL, "tcp4.stable.loop tcp4.stable.flows 192.0.2.11:80.flows");
	in = inputs[2];
	in.from_mac = FRONT6;
	EXPECT("from the backend it goes to", FRONT, &in, XDP_DROP, NULL,
	       "tcp6.stable.loop tcp6.stable.flows [2001:db8:2::11]:80.flows");
	udp.from_mac = FRONT4;
	EACH_TUNNEL(how)
	{
		one_backend(*how, FRONT4, FRONT6);
		EXPECT("a tunnel, from the backend", FRONT, &udp, XDP_DROP, NULL,
		       "udp4.stable.loop udp4.stable.flows 192.0.2.11:53.flows");
	}
	one_backend(CANARY_FORWARD_NAT, FRONT4, FRONT6);
	in = inputs[0];
	in.src = FRONT4;
	in.from_mac = FRONT4;
	EXPECT("nat, a backend that is its own client", FRONT, &in, XDP_DROP, NULL,
	       "tcp4.stable.loop tcp4.stable.flows 192.0.2.11:80.flows");
}

static void case14_a_router_in_common_is_no_loop(void **state)
{
	static const struct tunnel outer = {.src = "10.0.0.1", .dst = "198.51.100.80", .tos = 2, .id_given = true};
	struct spec in = inputs[1], want = sent_on(in, FRONT, "192.0.2.254");

	(void)state;
	one_backend(CANARY_FORWARD_IPIP, "198.51.100.80", FRONT6);
	want.outer = &outer;
	EXPECT("clients and a backend behind one router", FRONT, &in, XDP_TX, &want,
	       "flow:udp4.stable:198.51.100.80:53");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case14_l2_goes_back_out_one_hop_on),
		TEST(case14_l2_goes_to_another_interface),
		TEST(case14_loops_are_noticed),
		TEST(case14_a_router_in_common_is_no_loop),
		TEST(case16_every_byte_of_the_outer_header_4in4_and_6in6),
		TEST(case16_every_byte_of_the_outer_header_4in6_and_6in4),
		TEST(case16_tunnels_back_out_of_the_same_interface),
		TEST(a_tunnel_may_lead_through_a_router),
		TEST(gue_goes_to_the_port_that_the_service_says),
		TEST(gues_source_ports_tell_flows_apart),
		TEST(flow_labels_tell_flows_apart),
		TEST(tunnels_leave_padding_behind),
		TEST(a_tunnel_without_a_source_has_its_reason),
		TEST(what_cannot_be_reached_has_no_route),
		TEST(l2_does_not_go_through_a_router),
		TEST(a_neighbour_that_is_not_known_has_its_reason),
		TEST(forwarding_that_is_off_is_no_route),
	};

	return RUN(tests);
}
