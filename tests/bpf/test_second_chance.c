/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decap: packets that name another backend. What opens a connection, or belongs to one of this host, stays; the rest goes to the
 * one named, if that is a peer, and never further. The sockets are real ones, of the test's network namespace.
 */
#include "lib_decap.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPORT = 4001, DPORT = 80 };

/* Every combination of outer and inner family. */
#define EACH(i) for (int i = 0; i < 4; i++)
#define OUTER_V6(i) ((i)&1)
#define INNER_V6(i) ((i) >> 1 & 1)

static struct tunnel tunnel(int i)
{
	return (struct tunnel){.src = OUTER_V6(i) ? BALANCER6 : BALANCER4,
			       .dst = OUTER_V6(i) ? OURS6 : OURS4,
			       .tos = 1,
			       .gue_port = PORT,
			       .alternate = OUTER_V6(i) ? PEER6 : PEER4};
}

static struct spec inside(const struct tunnel *outer, int i)
{
	return (struct spec){.src = INNER_V6(i) ? CLIENT6 : CLIENT,
			     .dst = INNER_V6(i) ? VIP6 : VIP,
			     .tos = 2,
			     .sport = SPORT,
			     .dport = DPORT,
			     .flags = ACK,
			     .seq = 7,
			     .payload = 40,
			     .outer = outer};
}

/* One packet, and the counter that is to move. */
static void run(int line, const char *what, const struct packet *in, enum canary_decap_kind kind, struct outcome *ret)
{
	struct canary_decap_counters before = decap_counted(), after;

	decap_run(in, ret);
	after = decap_counted();
	for (int i = 0; i < CANARY_DECAP_KINDS; i++)
		if (after.count[i] - before.count[i] != (i == (int)kind))
			fail_msg("line %d: %s: counter %d moved by %llu, kind is %d", line, what, i,
				 after.count[i] - before.count[i], kind);
}

/* It comes out of the tunnel. */
static void stays(int line, const char *what, const struct spec *spec, enum canary_decap_kind kind)
{
	static struct packet in, want;
	static struct outcome out;
	struct spec inner = *spec;

	packet_build(spec, NULL, &in);
	inner.outer = NULL;
	if (spec->tos == 2 && spec->outer->tos == 1)
		inner.tos = 1; /* ECN, as RFC 6040 has it */
	packet_build(&inner, NULL, &want);
	run(line, what, &in, kind, &out);
	if (out.verdict != XDP_PASS || !packet_same(&want, &out.packet))
		fail_msg("line %d: %s: verdict %d", line, what, out.verdict);
}
#define STAYS(what, spec) stays(__LINE__, what, spec, CANARY_DECAP_KEPT)
/* The same, as if it named nobody. */
#define IS_TAKEN(what, spec) stays(__LINE__, what, spec, CANARY_DECAP_GUE)

static void goes_on(int line, const char *what, const struct spec *spec)
{
	static struct packet in, want;
	static struct outcome out;
	struct tunnel outer = *spec->outer;
	struct spec sent = *spec;

	packet_build(spec, NULL, &in);
	outer.src = spec->outer->dst;
	outer.dst = spec->outer->alternate;
	outer.ttl = 63;
	outer.alternate_used = true;
	sent.outer = &outer;
	sent.from_mac = "front";
	sent.to_mac = "192.0.2.254";
	packet_build(&sent, NULL, &want);
	run(line, what, &in, CANARY_DECAP_PASSED_ON, &out);
	if (out.verdict != XDP_TX || !packet_same(&want, &out.packet))
		fail_msg("line %d: %s: verdict %d", line, what, out.verdict);
}
#define GOES_ON(what, spec) goes_on(__LINE__, what, spec)

static void what_belongs_to_no_connection_here_goes_to_the_other_backend(void **state)
{
	static const unsigned flags[] = {ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN | ACK};

	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);

		for (size_t j = 0; j < sizeof(flags) / sizeof(*flags); j++) {
			spec.flags = flags[j];
			GOES_ON("TCP", &spec);
		}
		spec.flags = ACK;
		spec.tag[0] = (struct tag){VLAN_Q, 5};
		GOES_ON("in a VLAN", &spec);
		spec.payload = 1300;
		spec.trailer = 9;
		GOES_ON("large and padded", &spec);
		if (INNER_V6(i))
			spec.ext[0] = (struct extension)EXT(IPPROTO_HOPOPTS, 16);
		else
			spec.ip_options = 40;
		GOES_ON("with options", &spec);
	}
}

static void what_opens_a_connection_and_what_is_not_tcp_stays(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);

		spec.flags = SYN;
		STAYS("a SYN", &spec);
		spec.proto = IPPROTO_UDP;
		STAYS("a datagram", &spec);
		spec.proto = INNER_V6(i) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		spec.icmp_type = INNER_V6(i) ? 128 : 8;
		STAYS("a ping", &spec);
		spec = inside(&outer, i);
		set_fragment(&spec, 0, true, 77);
		STAYS("a first fragment", &spec);
		set_fragment(&spec, 64, false, 77);
		STAYS("a later one", &spec);
		spec = inside(&outer, i);
		spec.flags = SYN | FIN;
		STAYS("flags that nobody sends", &spec);
		spec.doff = 16;
		STAYS("a header that is too short", &spec);
	}
}

static union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} address(bool v6, const char *text, int port)
{
	union address ret = {};

	if (v6) {
		ret.v6.sin6_family = AF_INET6;
		ret.v6.sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &ret.v6.sin6_addr), 1);
	} else {
		ret.v4.sin_family = AF_INET;
		ret.v4.sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &ret.v4.sin_addr), 1);
	}
	return ret;
}

static int bound(bool v6, const char *text, int port)
{
	union address local = address(v6, text, port);
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, &local.any, sizeof(local)), 0);
	return fd;
}

/* Both ends are this host's: what matters is the server's. */
static void have_addresses(void)
{
	run_command("ip link set lo up");
	run_command("ip address replace " VIP "/32 dev lo");
	run_command("ip address replace " CLIENT "/32 dev lo");
	run_command("ip address replace " VIP6 "/128 dev lo nodad");
	run_command("ip address replace " CLIENT6 "/128 dev lo nodad");
}

static int listening(bool v6)
{
	int fd = bound(v6, v6 ? VIP6 : VIP, DPORT);

	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int connected(bool v6, int sport)
{
	union address service = address(v6, v6 ? VIP6 : VIP, DPORT);
	int fd = bound(v6, v6 ? CLIENT6 : CLIENT, sport);

	assert_int_equal(connect(fd, &service.any, sizeof(service)), 0);
	return fd;
}

static struct spec error_about(const struct spec *spec, struct spec *quote, int i)
{
	*quote = *spec;
	quote->outer = NULL;
	quote->src = spec->dst;
	quote->dst = spec->src;
	quote->sport = spec->dport;
	quote->dport = spec->sport;
	return (struct spec){.src = INNER_V6(i) ? "2001:db8:77::1" : "198.18.0.1",
			     .dst = spec->dst,
			     .tos = 2,
			     .proto = INNER_V6(i) ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			     .icmp_type = INNER_V6(i) ? 2 : 3,
			     .icmp_code = INNER_V6(i) ? 0 : 4,
			     .icmp_rest = 1400,
			     .quote = quote,
			     .quote_l4 = 8,
			     .outer = spec->outer};
}

static void a_connection_of_this_host_keeps_its_packets_and_a_listener_does_not(void **state)
{
	(void)state;
	have_addresses();
	EACH(i)
	{
		bool v6 = INNER_V6(i);
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i), quote, error;
		int listener = listening(v6), client, server;

		spec.sport = 5001 + 10 * i; /* of none of the other turns and tests */
		GOES_ON("there is a listener alone", &spec);
		client = connected(v6, spec.sport);
		STAYS("not accepted yet", &spec);
		server = accept(listener, NULL, NULL);
		assert_true(server >= 0);
		STAYS("established", &spec);
		spec.flags = FIN | ACK;
		STAYS("its end", &spec);
		error = error_about(&spec, &quote, i);
		STAYS("an error about it", &error);
		spec.sport++;
		GOES_ON("another port's", &spec);
		error = error_about(&spec, &quote, i);
		GOES_ON("an error about that", &error);
		spec.sport--;
		close(server);
		STAYS("closed by the server", &spec);
		close(client);
		STAYS("in TIME_WAIT", &spec);
		close(listener);
	}
}

/* A socket that waits for data before it is any: all there is of the connection is a request. */
static void a_connection_that_opens_keeps_its_packets(void **state)
{
	(void)state;
	have_addresses();
	EACH(i)
	{
		bool v6 = INNER_V6(i);
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);
		int listener = listening(v6), client, seconds = 30;

		spec.sport = 4100 + i;
		assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
		GOES_ON("before", &spec);
		client = connected(v6, spec.sport);
		STAYS("half-open", &spec);
		close(listener);
		close(client);
	}
}

/* Its SYN+ACK's sequence number, as a client sees it that has no socket for it. */
static unsigned cookie_for(int sport, unsigned isn)
{
	union address service = address(false, VIP, 0), client = address(false, CLIENT, 0);
	struct spec syn = {.src = CLIENT, .dst = VIP, .sport = sport, .dport = DPORT, .flags = SYN, .seq = isn};
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
	struct packet packet;
	__u8 answer[128];

	assert_true(raw >= 0);
	packet_build(&syn, NULL, &packet);
	assert_int_equal(bind(raw, &client.any, sizeof(client.v4)), 0);
	assert_int_equal(connect(raw, &service.any, sizeof(service.v4)), 0);
	assert_int_equal(send(raw, packet.data + packet.l4, packet.len - packet.l4, 0), packet.len - packet.l4);
	do
		assert_true(recv(raw, answer, sizeof(answer), 0) >= 40);
	while (answer[20 + 13] != (SYN | ACK));
	close(raw);
	return (unsigned)answer[24] << 24 | answer[25] << 16 | answer[26] << 8 | answer[27];
}

static void the_ack_of_a_syn_cookie_stays(void **state)
{
	struct tunnel outer = tunnel(0);
	struct spec spec = inside(&outer, 0);
	int listener;

	(void)state;
	have_addresses();
	run_command("sysctl -qw net.ipv4.tcp_syncookies=2");
	listener = listening(false);
	spec.sport = 4200;
	spec.seq = 1001;
	spec.payload = 0;
	spec.ack = cookie_for(spec.sport, 1000) + 1;
	STAYS("the right cookie", &spec);
	spec.ack += 1000;
	GOES_ON("no cookie of ours", &spec);
	close(listener);
}

static void it_goes_to_peers_alone_and_once(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);

		outer.alternate = OUTER_V6(i) ? BALANCER6 : BALANCER4;
		IS_TAKEN("no peer", &spec);
		outer.alternate = OUTER_V6(i) ? PEER4 : PEER6;
		IS_TAKEN("of another family", &spec);
		outer.alternate = OUTER_V6(i) ? OURS6 : OURS4;
		IS_TAKEN("this host itself", &spec);
		outer.alternate = OUTER_V6(i) ? PEER6 : PEER4;
		outer.ttl = 1;
		IS_TAKEN("too far already", &spec);
		outer.ttl = 2;
		outer.alternate_used = true;
		IS_TAKEN("it was passed on", &spec);
		outer.alternate = NULL;
		IS_TAKEN("it names nobody", &spec);
	}
}

static void the_other_backend_keeps_whatever_it_gets(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);
		struct outcome first, second;
		struct packet in;

		packet_build(&spec, NULL, &in);
		run(__LINE__, "at the first", &in, CANARY_DECAP_PASSED_ON, &first);
		/* To the other one's MAC, through a router. */
		memcpy(first.packet.data, in.data, 12);
		decap_add_local(outer.alternate);
		run(__LINE__, "at the other", &first.packet, CANARY_DECAP_GUE, &second);
		assert_int_equal(second.verdict, XDP_PASS);
		decap_set_up(NULL);
	}
}

/* Private data that is not a list of one: skipped, as anybody's. */
static void malformed_lists_are_skipped(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);
		unsigned list = OUTER_V6(i) ? 40 + 12 : 20 + 12;
		struct packet in, bad;
		struct outcome out;

		packet_build(&spec, NULL, &in);
		for (unsigned value = 0; value < 256; value++) {
			bad = in;
			bad.data[in.l3 + list] = value;
			run(__LINE__, "type, upper half", &bad, value ? CANARY_DECAP_GUE : CANARY_DECAP_PASSED_ON,
			    &out);
			bad = in;
			bad.data[in.l3 + list + 1] = value;
			run(__LINE__, "type", &bad, value != OUTER_V6(i) ? CANARY_DECAP_GUE : CANARY_DECAP_PASSED_ON,
			    &out);
			bad = in;
			bad.data[in.l3 + list + 2] = value;
			run(__LINE__, "next", &bad, value ? CANARY_DECAP_GUE : CANARY_DECAP_PASSED_ON, &out);
			bad = in;
			bad.data[in.l3 + list + 3] = value;
			run(__LINE__, "count", &bad, value != 1 ? CANARY_DECAP_GUE : CANARY_DECAP_PASSED_ON, &out);
		}
	}
}

static void a_udp_checksum_that_is_there_stays_right(void **state)
{
	(void)state;
	EACH(i)
	{
		struct tunnel outer = tunnel(i);
		struct spec spec = inside(&outer, i);
		unsigned header = OUTER_V6(i) ? 40 : 20, sum;
		struct packet in;
		struct outcome out;

		for (unsigned n = 0; n < 200; n++) {
			__u8 *udp;

			spec.filler = n;
			packet_build(&spec, NULL, &in);
			udp = in.data + in.l3 + header;
			sum = (__u16)~packet_transport_sum(in.data + in.l3, udp, in.len - in.l3 - header, IPPROTO_UDP);
			udp[6] = sum >> 8;
			udp[7] = sum;
			run(__LINE__, "with a checksum", &in, CANARY_DECAP_PASSED_ON, &out);
			udp = out.packet.data + in.l3 + header;
			assert_int_equal(packet_transport_sum(out.packet.data + in.l3, udp, in.len - in.l3 - header,
							      IPPROTO_UDP),
					 0xffff);
		}
	}
}

#define DECAP_TEST(name) cmocka_unit_test_setup(name, decap_set_up)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		DECAP_TEST(what_belongs_to_no_connection_here_goes_to_the_other_backend),
		DECAP_TEST(what_opens_a_connection_and_what_is_not_tcp_stays),
		DECAP_TEST(a_connection_of_this_host_keeps_its_packets_and_a_listener_does_not),
		DECAP_TEST(a_connection_that_opens_keeps_its_packets),
		DECAP_TEST(the_ack_of_a_syn_cookie_stays),
		DECAP_TEST(it_goes_to_peers_alone_and_once),
		DECAP_TEST(the_other_backend_keeps_whatever_it_gets),
		DECAP_TEST(malformed_lists_are_skipped),
		DECAP_TEST(a_udp_checksum_that_is_there_stays_right),
	};

	return RUN(tests);
}
