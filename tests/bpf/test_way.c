/* SPDX-License-Identifier: Apache-2.0 */
/* What holds in every mode of forwarding, for IPv4 and IPv6: there, and in nat, back. */
#include "lib_way.h"

#include <linux/bpf.h>

static const int protos[] = {IPPROTO_TCP, IPPROTO_UDP};

static void there_and_back(enum side side)
{
	EACH_WAY(way, side)
	{
		for (int i = 0; i < 2; i++) {
			struct spec in = way_request(&way, protos[i]), reply;

			way_forwards(&way, "a flow's first packet", &in, "flow");
			if (way.forward != CANARY_FORWARD_NAT)
				continue;
			reply = way_reply(&way, &in);
			way_returns(&way, "the answer", &reply, &in);
		}
	}
}

static void case00_ordinary_packets(void **state)
{
	(void)state;
	there_and_back(BACK);
}

static void case21_out_of_the_interface_it_came_in_by(void **state)
{
	(void)state;
	there_and_back(FRONT);
}

static void case21_out_of_another_interface(void **state)
{
	(void)state;
	there_and_back(BACK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case00_ordinary_packets),
		TEST(case21_out_of_the_interface_it_came_in_by),
		TEST(case21_out_of_another_interface),
	};

	return RUN(tests);
}
