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

/* As user space says it where the first backend's address is one of the host's. */
static void move_here(void)
{
	const struct backend_model *backend = &find_service("web")->backends[0];

	dataplane_set_tunnel_source(env.dataplane, backend->index, &backend->addr);
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

static const char *other_of(const struct row *row)
{
	return is_v6(row->backend) ? "2001:db8:10::22" : "10.0.0.22";
}

/* The backend here and another one, to which all goes that names nobody. */
static void quic_service_of(const struct row *row)
{
	char endpoint[64], stable[80], canary[80];

	snprintf(endpoint, sizeof(endpoint), is_v6(row->vip) ? "[%s]:80" : "%s:80", row->vip);
	snprintf(stable, sizeof(stable), "%s#00c0ffee", row->backend);
	snprintf(canary, sizeof(canary), "%s#00000022", other_of(row));
	CONFIGURE({.name = "web",
		   .endpoint = endpoint,
		   .proto = IPPROTO_UDP,
		   .forward = row->forward,
		   .affinity = CANARY_AFFINITY_QUIC,
		   .weight = CANARY_WEIGHT_ONE,
		   .stable = stable,
		   .canary = canary});
	move_here();
}

static struct spec datagram(const struct row *row, unsigned sport, const char *data)
{
	struct spec in = request(row, IPPROTO_UDP, sport);

	in.payload = 40;
	in.data = data;
	return in;
}

static void goes_to_the_other(const struct row *row, struct spec in)
{
	__u64 before = packets();
	__u8 mac[6];
	struct packet packet;
	struct outcome out;

	packet_build(&in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
	mac_parse(other_of(row), mac);
	assert_memory_equal(out.packet.data, mac, sizeof(mac));
	assert_int_equal(packets(), before);
}

static __u64 by_id(void)
{
	struct canary_cohort_counters counters;

	assert_int_equal(dataplane_cohort_counters(env.dataplane, find_service("web")->id, CANARY_STABLE, &counters),
			 0);
	return counters.count[CANARY_COHORT_BY_ID];
}

static void a_quic_connection_of_its_goes_up_wherever_its_client_is(void **state)
{
	static const char initial[] = "c3 00000001 08 1122334455667788", its[] = "41 c3 00c0ffee 0102",
			  its_handshake[] = "e3 00000001 08 c3 00c0ffee 0102", others[] = "41 c3 00000022 0102",
			  nobodys[] = "41 c3 deadbeef 0102";

	EACH_ROW(row)
	{
		struct spec moved = datagram(row, 4001, its), in;

		env_fresh(state);
		quic_service_of(row);
		in = datagram(row, 4000, initial);
		goes_to_the_other(row, in);
		in = datagram(row, 4001, its_handshake);
		passes(&in, true);
		passes(&moved, true);
		moved.src = is_v6(row->client) ? "2001:db8:c::99" : "198.51.100.99";
		passes(&moved, true);
		assert_int_equal(by_id(), 3);
		goes_to_the_other(row, datagram(row, 4002, others));
		goes_to_the_other(row, datagram(row, 4003, nobodys));
	}
}

/* About what it answered, from a router on the way or from the client: path-MTU discovery depends on it. */
static void icmp_errors_about_its_answers_go_up(void **state)
{
	static const unsigned protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	(void)state;
	EACH_ROW(row)
	{
		for (int i = 0; i < 4; i++) {
			bool v6 = is_v6(row->vip);
			struct spec opens = request(row, protos[i % 2], 4000), in,
				    quote = {.src = row->vip,
					     .dst = row->client,
					     .proto = opens.proto,
					     .sport = 80,
					     .dport = 4000,
					     .flags = ACK,
					     .payload = 1400};

			service_of(row, opens.proto);
			passes(&opens, true);
			in = (struct spec){.src = i < 2 ? v6 ? "2001:db8:77::1" : "198.18.0.1" : row->client,
					   .dst = row->vip,
					   .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
					   .icmp_type = v6 ? 2 : 3,
					   .icmp_code = v6 ? 0 : 4,
					   .icmp_rest = 1300,
					   .quote = &quote,
					   .quote_l4 = 100};
			passes(&in, true);
			quote.sport = 81;
			passes(&in, false);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_for_it_goes_up_as_it_came),
		TEST(nothing_is_too_big_for_it),
		TEST(its_segment_size_is_the_clients),
		TEST(its_fragments_go_up_together),
		TEST(a_quic_connection_of_its_goes_up_wherever_its_client_is),
		TEST(icmp_errors_about_its_answers_go_up),
	};

	return RUN(tests);
}
