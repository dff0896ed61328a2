/* SPDX-License-Identifier: Apache-2.0 */
/* The least packets, and those that take several buffers. */
#include "lib_run.h"

#include <net/if.h>
#include <stdio.h>

#define CLIENT "198.51.100.7"
#define VIP "203.0.113.10"

static void case22_least_packets(void **state)
{
	static const unsigned protos[] = {IPPROTO_TCP, IPPROTO_UDP};

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

static void case22_jumbo_frames_of_several_buffers(void **state)
{
	static const enum canary_forward hows[] = {CANARY_FORWARD_L2, CANARY_FORWARD_IPIP, CANARY_FORWARD_GUE,
						   CANARY_FORWARD_NAT};
	static const struct tunnel outer = {"10.0.0.1", "192.0.2.11", .id_given = true},
				   gue = {"10.0.0.1", "192.0.2.11", .id_given = true, .gue_port = 6080};
	static const struct tunnel *const outers[] = {NULL, &outer, &gue, NULL};
	static const unsigned overheads[] = {0, 20, 32, 0};

	(void)state;
	jumbo(9000);
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++)
		for (unsigned size = 3480; size <= 9000 - 20 - overheads[i] - 8;
		     size += size < 3520 || size > 8900 ? 1 : 397) {
			struct spec in = {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = size, .dport = 53};
			struct spec want;

			if (size == 3480)
				CONFIGURE({.name = "dns",
					   .endpoint = VIP ":53",
					   .proto = IPPROTO_UDP,
					   .forward = hows[i],
					   .stable = "192.0.2.11"});
			in.payload = size;
			in.check = size % 2 ? CHECK_PARTIAL : CHECK_RIGHT;
			set_partial_checksums(FRONT, size % 2);
			want = hows[i] == CANARY_FORWARD_NAT ? translated(in, FRONT, "192.0.2.11", 53)
							     : sent_on(in, FRONT, "192.0.2.11");
			want.outer = outers[i];
			want.check = CHECK_RIGHT;
			EXPECT("several buffers", FRONT, &in, XDP_TX, &want, "flow:dns.stable:192.0.2.11:53");
		}
	jumbo(3400);
}

static void case22_an_interface_for_jumbo_frames_can_be_attached(void **state)
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

static void case22_padding_after_several_buffers_stays_out_of_the_tunnel(void **state)
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
		TEST(case22_least_packets),
		TEST(case22_jumbo_frames_of_several_buffers),
		TEST(case22_an_interface_for_jumbo_frames_can_be_attached),
		TEST(case22_padding_after_several_buffers_stays_out_of_the_tunnel),
	};

	return RUN(tests);
}
