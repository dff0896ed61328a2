/* SPDX-License-Identifier: Apache-2.0 */
/* The least packets, and those that take several buffers. */
#include "lib_way.h"

#include <net/if.h>
#include <stdio.h>

static const unsigned protos[] = {IPPROTO_TCP, IPPROTO_UDP};

static void case22_least_packets(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct spec in = {.src = CLIENT, .dst = VIP, .proto = protos[i], .sport = 5, .dport = 80}, want;

		CONFIGURE({.name = "web", .endpoint = VIP ":80", .proto = protos[i], .stable = "10.0.0.11:8080"});
		in.flags = i ? 0 : SYN;
		want = translated(in, BACK, "10.0.0.11", 8080);
		EXPECT("no data", FRONT, &in, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.11:8080");
		in.flags = i ? 0 : ACK;
		in.seq = 1;
		in.trailer = i ? 18 : 6;
		want = translated(in, BACK, "10.0.0.11", 8080);
		EXPECT("padded to 60 bytes", FRONT, &in, XDP_REDIRECT, &want, "packet:web.stable:10.0.0.11:8080");
	}
}

static void case05_cut_packets(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct spec in = {.src = CLIENT, .dst = VIP, .proto = protos[i], .sport = 5, .dport = 80};

		CONFIGURE({.name = "web", .endpoint = VIP ":80", .proto = protos[i], .stable = "10.0.0.11:8080"});
		in.flags = i ? 0 : ACK;
		in.trailer = i ? 18 : 6;
		/* Cut inside the transport's header: the IP length says more than there is. */
		for (in.cut = 14 + 20 + 4; in.cut < 14u + 20 + (i ? 8 : 20); in.cut++)
			EXPECT("cut", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		in.cut = 14 + 20 + 3;
		EXPECT("cut before the ports", FRONT, &in, XDP_DROP, NULL, "front.malformed");
		for (in.cut = 15; in.cut < 14 + 20; in.cut++)
			EXPECT("no IP header", FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
	}
}

static void jumbo(unsigned mtu)
{
	char command[64];

	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "ip link set %s mtu %u", i ? "front" : "front-peer", mtu);
		run_command(command);
	}
}

static void jumbo_goes(const struct way *way, const struct spec *in, const struct spec *want)
{
	char counters[96];

	snprintf(counters, sizeof(counters), way->v6 ? "flow:udp.stable:[%s]:%u" : "flow:udp.stable:%s:%u",
		 way_host(way, 11), way_port(way, IPPROTO_UDP));
	EXPECT("several buffers", FRONT, in, XDP_TX, want, counters);
}

/* The program sees the first buffer alone, some 3,500 bytes; what follows has to come along, summed where it must be. */
static void case20_jumbo_frames_of_several_buffers(void **state)
{
	(void)state;
	jumbo(9000);
	EACH_WAY(way, FRONT)
	{
		unsigned room = 9000 - way_overhead(&way) - (way.v6 ? 40 : 20) - 8;

		for (unsigned size = 3440; size <= room; size += size < 3520 || size > 8900 ? 1 : 397) {
			struct spec in = way_request(&way, IPPROTO_UDP), want, reply;
			struct tunnel outer;

			in.sport = size;
			in.payload = size;
			in.check = size % 2 ? CHECK_PARTIAL : CHECK_RIGHT;
			set_partial_checksums(FRONT, size % 2);
			want = way_sent(&way, in, 11, &outer);
			want.check = CHECK_RIGHT;
			jumbo_goes(&way, &in, &want);
			if (way.forward != CANARY_FORWARD_NAT)
				continue;
			reply = way_reply(&way, &in);
			reply.payload = size;
			reply.check = in.check;
			want = way_seen(&way, reply, &in);
			want.check = CHECK_RIGHT;
			EXPECT("several buffers back", FRONT, &reply, XDP_TX, &want, "reply:udp.stable");
		}
	}
	jumbo(3400);
}

static void case20_an_interface_for_jumbo_frames_can_be_attached(void **state)
{
	struct interface interface = {.netns = env.interfaces[FRONT].netns, .name = "jumbo", .mac = {2, 0, 0, 0, 0, 3}};
	struct error error;
	bool already;

	(void)state;
	run_command("ip link add jumbo address 02:00:00:00:00:03 mtu 9000 type veth peer name jumbo-peer mtu 9000");
	run_command("ip link set jumbo up");
	interface.ifindex = if_nametoindex("jumbo");
	if (dataplane_attach(env.dataplane, &interface, ATTACH_NATIVE, &already, &error))
		fail_msg("%s", error.text);
	assert_false(already);
	assert_false(interface.generic);
	assert_int_equal(dataplane_detach(env.dataplane, &interface, &error), 0);
	run_command("ip link delete jumbo");
}

static void case20_padding_after_several_buffers_stays_out_of_the_tunnel(void **state)
{
	static const struct tunnel outer = {"10.0.0.1", "192.0.2.11", .id_given = true};
	struct spec in = {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 1, .dport = 53, .trailer = 9};

	(void)state;
	jumbo(9000);
	CONFIGURE({.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_IPIP,
		   .stable = "192.0.2.11"});
	for (in.payload = 3440; in.payload < 3500; in.payload++) {
		struct spec want = sent_on(in, FRONT, "192.0.2.11");

		want.outer = &outer;
		want.trailer = 0;
		EXPECT("padded", FRONT, &in, XDP_TX, &want, "flow:dns.stable:192.0.2.11:53");
	}
	jumbo(3400);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case05_cut_packets),
		TEST(case22_least_packets),
		TEST(case20_jumbo_frames_of_several_buffers),
		TEST(case20_an_interface_for_jumbo_frames_can_be_attached),
		TEST(case20_padding_after_several_buffers_stays_out_of_the_tunnel),
	};

	return RUN(tests);
}
