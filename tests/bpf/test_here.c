/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend on the balancer itself: what is for it goes up the stack as it came, whatever would become of it on the way to
 * another host, and is counted as forwarded to it.
 */
#include "lib_way.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"

static const struct row {
	enum canary_forward forward;
	const char *client, *vip, *backend;
} rows[] = {
	{CANARY_FORWARD_L2, CLIENT, VIP, BACK4},   {CANARY_FORWARD_L2, CLIENT6, VIP6, BACK6},
	{CANARY_FORWARD_IPIP, CLIENT, VIP, BACK4}, {CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK6},
	{CANARY_FORWARD_IPIP, CLIENT, VIP, BACK6}, {CANARY_FORWARD_IPIP, CLIENT6, VIP6, BACK4},
	{CANARY_FORWARD_GUE, CLIENT, VIP, BACK4},  {CANARY_FORWARD_GUE, CLIENT6, VIP6, BACK6},
};
#define EACH_ROW(row) for (const struct row *row = rows; row < rows + sizeof(rows) / sizeof(*rows); row++)

static bool is_v6(const char *addr)
{
	return strchr(addr, ':');
}

/* As user space says it where the backend's address is one of the host's. */
static void move_here(void)
{
	for (size_t i = 0; i < env.model.service_count; i++) {
		const struct service_model *service = &env.model.services[i];

		for (size_t j = 0; j < service->backend_count; j++)
			dataplane_set_tunnel_source(env.dataplane, service->backends[j].index,
						    &service->backends[j].addr);
	}
}

static void service_of(const struct row *row, unsigned proto)
{
	char endpoint[64];

	snprintf(endpoint, sizeof(endpoint), is_v6(row->vip) ? "[%s]:80" : "%s:80", row->vip);
	CONFIGURE({.name = "web",
		   .endpoint = endpoint,
		   .proto = proto,
		   .forward = row->forward,
		   .mss = proto == IPPROTO_TCP ? CANARY_MSS_AUTO : 0,
		   .stable = row->backend});
	move_here();
}

static struct spec request(const struct row *row, unsigned proto, unsigned sport)
{
	return (struct spec){.src = row->client,
			     .dst = row->vip,
			     .proto = proto,
			     .sport = sport,
			     .dport = 80,
			     .flags = SYN,
			     .seq = 99};
}

static __u64 packets(void)
{
	struct canary_backend_counters counters;

	assert_int_equal(dataplane_backend_counters(env.dataplane, find_service("web")->backends[0].index, &counters),
			 0);
	return counters.count[CANARY_BACKEND_PACKETS];
}

static void passes(const struct spec *in, bool counted)
{
	__u64 before = packets();
	struct packet packet;
	struct outcome out;

	packet_build(in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_PASS);
	assert_int_equal(out.packet.len, packet.len);
	assert_memory_equal(out.packet.data, packet.data, packet.len);
	assert_int_equal(packets(), before + counted);
}

static void what_is_for_it_goes_up_as_it_came(void **state)
{
	(void)state;
	EACH_ROW(row)
	{
		struct spec in = request(row, IPPROTO_TCP, 4000);

		service_of(row, IPPROTO_TCP);
		passes(&in, true);
		in.flags = ACK;
		passes(&in, true);
		in.dport = 81;
		passes(&in, false);
	}
}

static void nothing_is_too_big_for_it(void **state)
{
	(void)state;
	EACH_ROW(row)
	{
		struct spec in = request(row, IPPROTO_UDP, 4000);

		service_of(row, IPPROTO_UDP);
		in.payload = 1472; /* no tunnel's header would fit, and no larger frame into one buffer */
		in.frag = is_v6(row->vip) ? 0 : IPV4_DF;
		passes(&in, true);
	}
}

static void its_segment_size_is_the_clients(void **state)
{
	(void)state;
	EACH_ROW(row)
	{
		struct spec in = request(row, IPPROTO_TCP, 4000);

		service_of(row, IPPROTO_TCP);
		in.tcp_options = 20;
		in.mss = 8960;
		passes(&in, true);
	}
}

static void its_fragments_go_up_together(void **state)
{
	EACH_ROW(row)
	{
		struct spec first = request(row, IPPROTO_UDP, 4000), later = request(row, IPPROTO_UDP, 0xabcd);

		env_fresh(state);
		service_of(row, IPPROTO_UDP);
		first.payload = 1392;
		first.udp_length = 3000;
		set_fragment(&first, 0, true, 7);
		later.check = CHECK_VALUE;
		later.check_value = 0x2345;
		later.payload = 700;
		set_fragment(&later, 1400, false, 7);
		passes(&later, false); /* it overtakes the first: the stack has the rest as well */
		passes(&first, true);
		passes(&later, true);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_for_it_goes_up_as_it_came),
		TEST(nothing_is_too_big_for_it),
		TEST(its_segment_size_is_the_clients),
		TEST(its_fragments_go_up_together),
	};

	return RUN(tests);
}
