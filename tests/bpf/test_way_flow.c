/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend a packet goes to, in every mode of forwarding, IPv4 and IPv6. Runs first: it takes long. */
#include "lib_way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* Backends of a way's "tcp": hosts, as "11 !12 21", those from 21 on the canary's. */
static void backends(const struct way *way, const char *hosts, int weight, enum canary_overflow overflow)
{
	struct service service = way_service(way, IPPROTO_TCP);
	char lists[CANARY_COHORTS][512] = {}, copy[64], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", hosts);
	while ((word = strsep(&rest, " "))) {
		bool drains = *word == '!';
		unsigned host = strtoul(word + drains, NULL, 10);
		char *list = lists[host >= 21];
		size_t len = strlen(list);
		const char *format =
			way->forward == CANARY_FORWARD_NAT ? way->v6 ? "%s[%s]:8080 " : "%s%s:8080 " : "%s%s ";

		snprintf(list + len, sizeof(lists[0]) - len, format, drains ? "!" : "", way_host(way, host));
	}
	service.stable = lists[CANARY_STABLE];
	service.canary = lists[CANARY_CANARY];
	service.weight = weight;
	service.overflow = overflow;
	service.idle_timeout = 1;
	CONFIGURE(service);
}

static struct spec tcp(const struct way *way, unsigned sport, unsigned flags, unsigned seq)
{
	struct spec spec = way_request(way, IPPROTO_TCP);

	spec.sport = sport;
	spec.flags = flags;
	spec.seq = seq;
	return spec;
}

static void goes_to(const struct way *way, const char *what, struct spec in, unsigned host, const char *kind)
{
	way_forwards_to(way, what, &in, host, kind, "");
}

static void case09_a_syn_that_is_repeated(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		backends(&way, "11 21", 0, CANARY_OVERFLOW_OTHER);
		backends(&way, "11 21", 10000, CANARY_OVERFLOW_OTHER);
		goes_to(&way, "a SYN", tcp(&way, 1, SYN, 100), 21, "flow");
		backends(&way, "11 21", 0, CANARY_OVERFLOW_OTHER);
		goes_to(&way, "again", tcp(&way, 1, SYN, 100), 21, "packet");
		goes_to(&way, "its ACK", tcp(&way, 1, ACK, 101), 21, "packet");
	}
}

static void case09_a_syn_with_the_addresses_of_a_connection(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		backends(&way, "11 21", 0, CANARY_OVERFLOW_OTHER);
		goes_to(&way, "a SYN", tcp(&way, 2, SYN, 100), 11, "flow");
		goes_to(&way, "its ACK", tcp(&way, 2, ACK, 101), 11, "packet");
		backends(&way, "11 21", 10000, CANARY_OVERFLOW_OTHER);
		goes_to(&way, "a SYN with another ISN", tcp(&way, 2, SYN, 9000), 21, "flow");
		goes_to(&way, "data of the first", tcp(&way, 2, ACK, 150), 11, "packet");
		goes_to(&way, "the ACK that means it", tcp(&way, 2, ACK, 9001), 21, "packet");
		goes_to(&way, "data of the second", tcp(&way, 2, ACK, 9050), 21, "packet");
	}
}

static void nothing_is_remembered(void)
{
	assert_int_equal(established_flows(), 0);
	assert_int_equal(opening_flows(), 0);
	assert_int_equal(ways_back(), 0);
}

static void case10_rst_and_fin_open_nothing(void **state)
{
	static const unsigned flags[] = {RST, RST | ACK, FIN | ACK};

	(void)state;
	EACH_WAY(way, BACK)
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		goes_to(&way, "of no connection", tcp(&way, 3, flags[i], 5), 11, "packet");
		nothing_is_remembered();
	}
}

static void case10_rst_and_fin_are_sent_on(void **state)
{
	static const unsigned flags[] = {FIN | ACK, RST | ACK};

	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec in = tcp(&way, 4, SYN, 5), reply;

		way_forwards(&way, "a SYN", &in, "flow");
		for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
			goes_to(&way, "its end", tcp(&way, 4, flags[i], 6), 11, "packet");
			if (way.forward != CANARY_FORWARD_NAT)
				continue;
			reply = way_reply(&way, &in);
			reply.flags = flags[i];
			way_returns(&way, "the backend's", &reply, &in);
		}
	}
}

enum { FLOWS = 32 };

static struct kept {
	int map[FLOWS];
	struct canary_flow_key key[FLOWS];
	struct canary_flow flow[FLOWS];
	unsigned count;
} kept;

static void keep_flow(int map, const struct canary_flow_key *key, void *arg)
{
	(void)arg;
	assert_in_range(kept.count, 0, FLOWS - 1);
	kept.map[kept.count] = dup(map);
	kept.key[kept.count] = *key;
	assert_int_equal(bpf_map_lookup_elem(map, key, &kept.flow[kept.count]), 0);
	kept.count++;
}

/* A window closes an idle timeout after the last change; an index is free a second after nothing names it. */
static void let_indices_go(void)
{
	for (int i = 0; i < 80 && find_service("tcp")->word & CANARY_WORD_OPEN; i++) {
		usleep(100000);
		env_refresh();
	}
	assert_false(find_service("tcp")->word & CANARY_WORD_OPEN);
	usleep(1100000);
}

static void put_back_flows(unsigned backend)
{
	for (unsigned i = 0; i < kept.count; i++) {
		assert_int_equal(kept.flow[i].backend, backend);
		bpf_map_update_elem(kept.map[i], &kept.key[i], &kept.flow[i], BPF_ANY);
		close(kept.map[i]);
	}
}

/* The sweeper takes the flows of a backend that is gone away: here they are put back, for it may come too late. */
static void case11_a_new_backend_in_an_old_ones_place_inherits_no_flows(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		char endpoint[64];
		__u32 index;
		int port;

		env_fresh(NULL);
		way_configure(&way);
		kept.count = 0;
		backends(&way, "11 21", 0, CANARY_OVERFLOW_OTHER);
		backends(&way, "11 21", 10000, CANARY_OVERFLOW_OTHER);
		for (int i = 1; i <= FLOWS; i++) {
			goes_to(&way, "a SYN", tcp(&way, i, SYN, 1), 21, "flow");
			goes_to(&way, "its ACK", tcp(&way, i, ACK, 2), 21, "packet");
		}
		each_flow(keep_flow, NULL);
		assert_int_equal(kept.count, FLOWS);
		backends(&way, "11", 0, CANARY_OVERFLOW_OTHER);
		let_indices_go();
		/* The first of the new ones gets the place of udp's, which is gone. */
		backends(&way, "11 12 13", 0, CANARY_OVERFLOW_OTHER);
		snprintf(endpoint, sizeof(endpoint), way.v6 ? "[%s]:%u" : "%s:%u", way_host(&way, 13),
			 way_port(&way, IPPROTO_TCP));
		index = find_backend("tcp", endpoint)->index;
		put_back_flows(index);
		snprintf(endpoint, sizeof(endpoint), way.v6 ? "[%s]:%u" : "%s:%u", way_host(&way, 11),
			 way_port(&way, IPPROTO_TCP));
		port = port_for("tcp", way.v6 ? CLIENT6 : CLIENT, endpoint, 1);
		assert_true(port <= FLOWS);
		goes_to(&way, "as if it were of no flow", tcp(&way, port, RST, 3), 11, "packet");
	}
}

static void case12_a_backend_that_drains_and_one_that_is_gone(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec data = tcp(&way, 6, ACK, 150);

		backends(&way, "11", 0, CANARY_OVERFLOW_OTHER);
		goes_to(&way, "a SYN", tcp(&way, 6, SYN, 100), 11, "flow");
		goes_to(&way, "its ACK", tcp(&way, 6, ACK, 101), 11, "packet");
		backends(&way, "!11 12", 0, CANARY_OVERFLOW_OTHER);
		goes_to(&way, "data, while it drains", data, 11, "packet");
		for (unsigned i = 0; i < 5; i++)
			goes_to(&way, "a new flow", tcp(&way, 100 + i, SYN, 1), 12, "flow");
		backends(&way, "12", 0, CANARY_OVERFLOW_OTHER);
		way_forwards_to(&way, "data, when it is gone", &data, 12, "packet", "tcp.stable.moved");
		goes_to(&way, "more data", tcp(&way, 6, ACK, 160), 12, "packet");
	}
}

static void case13_a_cohort_without_a_backend(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec in = tcp(&way, 7, SYN, 1);

		backends(&way, "11", 10000, CANARY_OVERFLOW_OTHER);
		way_forwards_to(&way, "overflows to the other", &in, 11, "flow", "tcp.canary.overflow");
		backends(&way, "11", 10000, CANARY_OVERFLOW_DROP);
		in.sport++;
		EXPECT("or is dropped", FRONT, &in, XDP_DROP, NULL, "tcp.canary.no_backend");
	}
}

/* Which of the hosts 11 to 16 a packet is sent to. */
static unsigned host_of(const struct way *way, const struct spec *in)
{
	struct packet packet;
	struct outcome out;
	__u8 mac[6];

	packet_build(in, NULL, &packet);
	run_packet(FRONT, &packet, &out);
	for (unsigned host = 11; host <= 16; host++) {
		mac_parse(way_host(way, host), mac);
		if (!memcmp(out.packet.data, mac, sizeof(mac)))
			return host;
	}
	fail_msg("sent to none of the backends");
	return 0;
}

static void every_port(const struct way *way, char list[256], struct service *ret)
{
	*list = 0;
	for (unsigned host = 11; host <= 16; host++)
		snprintf(list + strlen(list), 256 - strlen(list), "%s ", way_host(way, host));
	*ret = way_service(way, IPPROTO_TCP);
	ret->endpoint = way->v6 ? "[" VIP6 "]:0" : VIP ":0";
	ret->affinity = CANARY_AFFINITY_CLIENT;
	ret->stable = list;
}

static void answers_from(const struct way *way, unsigned host, const struct spec *request)
{
	struct spec reply = way_reply(way, request);

	reply.src = reply.from_mac = way_host(way, host);
	reply.sport = request->dport;
	way_returns(way, "back", &reply, request);
}

static void case17_all_ports_in_every_mode(void **state)
{
	(void)state;
	EACH_WAY(way, BACK)
	{
		struct spec in = tcp(&way, 8, SYN, 1), want;
		struct service service;
		struct tunnel outer;
		char list[256], counters[128];
		unsigned host;

		every_port(&way, list, &service);
		CONFIGURE(service);
		host = host_of(&way, &in);
		for (in.dport = 1; in.dport < 60000; in.dport += 7919) {
			in.sport += 331;
			want = way_sent(&way, in, host, &outer);
			want.dport = in.dport;
			snprintf(counters, sizeof(counters), way.v6 ? "flow:tcp.stable:[%s]:0" : "flow:tcp.stable:%s:0",
				 way_host(&way, host));
			EXPECT("another port", FRONT, &in, XDP_REDIRECT, &want, counters);
			if (way.forward == CANARY_FORWARD_NAT)
				answers_from(&way, host, &in);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case09_a_syn_that_is_repeated),
		TEST(case09_a_syn_with_the_addresses_of_a_connection),
		TEST(case10_rst_and_fin_open_nothing),
		TEST(case10_rst_and_fin_are_sent_on),
		TEST(case11_a_new_backend_in_an_old_ones_place_inherits_no_flows),
		TEST(case12_a_backend_that_drains_and_one_that_is_gone),
		TEST(case13_a_cohort_without_a_backend),
		TEST(case17_all_ports_in_every_mode),
	};

	return RUN(tests);
}
