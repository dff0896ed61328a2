/* SPDX-License-Identifier: Apache-2.0 */
/* What time does to a flow's entry. Nobody waits: entries are made older than they are. */
#include "lib_run.h"
#include "lib_wait.h"

#include <unistd.h>

#include <bpf/bpf.h>

#define SECOND 1000000000ULL

static void percent(int proto, enum canary_forward forward, int percent)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .proto = proto,
		   .forward = forward,
		   .track = proto == IPPROTO_UDP ? CANARY_TRACK_ALWAYS : CANARY_TRACK_AUTO,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21",
		   .weight = 100 * percent,
		   .idle_timeout = 60});
}

static struct spec datagram(void)
{
	return (struct spec){.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = 9, .dport = 80, .payload = 20};
}

static struct spec segment(unsigned flags, unsigned seq)
{
	return (struct spec){.src = CLIENT, .dst = VIP, .sport = 9, .dport = 80, .flags = flags, .seq = seq};
}

static void sent(const char *what, struct spec in, const char *backend, const char *counters)
{
	struct spec want = sent_on(in, BACK, backend);

	EXPECT(what, FRONT, &in, XDP_REDIRECT, &want, counters);
}
#define STABLE(what, in) sent(what, in, "10.0.0.11", "packet:web.stable:10.0.0.11:80")
#define CANARY(what, in) sent(what, in, "10.0.0.21", "packet:web.canary:10.0.0.21:80")
#define NEW_STABLE(what, in) sent(what, in, "10.0.0.11", "flow:web.stable:10.0.0.11:80")
#define NEW_CANARY(what, in) sent(what, in, "10.0.0.21", "flow:web.canary:10.0.0.21:80")

static __u64 earlier_ns;

static void make_one_older(int map, const struct canary_flow_key *key, void *arg)
{
	struct canary_flow flow;

	assert_int_equal(bpf_map_lookup_elem(map, key, &flow), 0);
	flow.seen_ns -= earlier_ns;
	assert_int_equal(bpf_map_update_elem(map, key, &flow, BPF_EXIST), 0);
	++*(unsigned *)arg;
}

static unsigned make_all_older(__u64 seconds)
{
	struct canary_flow_key key;
	unsigned count = 0;
	int opening = open_pin("embryonic");

	earlier_ns = seconds * SECOND;
	each_flow(make_one_older, &count);
	if (!bpf_map_get_next_key(opening, NULL, &key))
		make_one_older(opening, &key, &count);
	close(opening);
	return count;
}

/* The only flow there is was last seen `seconds` earlier than it was, in the table or among those that open. */
static void make_older(__u64 seconds)
{
	assert_int_equal(make_all_older(seconds), 1);
}

/* The same of one that a RST has ended: on a slow machine it may be gone by itself. */
static void make_older_if_there(__u64 seconds)
{
	assert_in_range(make_all_older(seconds), 0, 1);
}

static void udp_that_was_silent_for_a_minute_is_a_new_flow(void **state)
{
	(void)state;
	percent(IPPROTO_UDP, CANARY_FORWARD_L2, 0);
	NEW_STABLE("a datagram", datagram());
	percent(IPPROTO_UDP, CANARY_FORWARD_L2, 100);
	make_older(58);
	STABLE("after 58 s", datagram());
	make_older(58);
	STABLE("after 58 s more: the last one counts", datagram());
	make_older(62);
	NEW_CANARY("after 62 s", datagram());
	CANARY("where it stays", datagram());
}

/* Nor has it moved where its backend is gone by then. */
static void udp_that_was_silent_while_its_backend_went_has_not_moved(void **state)
{
	(void)state;
	percent(IPPROTO_UDP, CANARY_FORWARD_L2, 0);
	NEW_STABLE("a datagram", datagram());
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .proto = IPPROTO_UDP,
		   .forward = CANARY_FORWARD_L2,
		   .track = CANARY_TRACK_ALWAYS,
		   .stable = "10.0.0.12",
		   .idle_timeout = 60});
	make_older(62);
	sent("a minute later", datagram(), "10.0.0.12", "flow:web.stable:10.0.0.12:80");
}

static void nat_udp_that_was_silent_has_a_way_back_again(void **state)
{
	struct spec in = datagram(), want, answer, seen;

	(void)state;
	percent(IPPROTO_UDP, CANARY_FORWARD_NAT, 0);
	want = translated(in, BACK, "10.0.0.11", 80);
	EXPECT("a datagram", FRONT, &in, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.11:80");
	percent(IPPROTO_UDP, CANARY_FORWARD_NAT, 100);
	make_older(62);
	want = translated(in, BACK, "10.0.0.21", 80);
	EXPECT("a minute later", FRONT, &in, XDP_REDIRECT, &want, "flow:web.canary:10.0.0.21:80");
	answer = (struct spec){.src = "10.0.0.21",
			       .dst = CLIENT,
			       .proto = IPPROTO_UDP,
			       .sport = 80,
			       .dport = 9,
			       .from_mac = "10.0.0.21",
			       .to_mac = "back"};
	seen = sent_on(answer, FRONT, "192.0.2.254");
	seen.src = VIP;
	EXPECT("its answer", BACK, &answer, XDP_REDIRECT, &seen, "reply:web.canary");
	answer.src = answer.from_mac = "10.0.0.11";
	seen = sent_on(answer, FRONT, "192.0.2.254");
	seen.src = VIP;
	EXPECT("a late answer of the first", BACK, &answer, XDP_REDIRECT, &seen, "reply:web.stable");
}

/*
 * A flow of the canary, and a weight of 0 in force, as before the window: of all flows it is the only one that has to be
 * remembered, and one that is not remembered goes to stable.
 */
static void established(void)
{
	percent(IPPROTO_TCP, CANARY_FORWARD_L2, 0);
	percent(IPPROTO_TCP, CANARY_FORWARD_L2, 100);
	NEW_CANARY("a SYN", segment(SYN, 100));
	CANARY("its ACK", segment(ACK, 101));
	percent(IPPROTO_TCP, CANARY_FORWARD_L2, 0);
}

static void tcp_may_be_silent_for_its_idle_timeout(void **state)
{
	(void)state;
	established();
	make_older(58);
	CANARY("after 58 s", segment(ACK, 101));
	make_older(58);
	CANARY("after 58 s more: the last one counts", segment(ACK, 101));
}

static bool no_flow_is_left(void)
{
	return !established_flows();
}

static void tcp_that_is_silent_for_longer_is_forgotten(void **state)
{
	(void)state;
	established();
	make_older(62);
	wait_until(no_flow_is_left, "the flow to go");
	STABLE("as if it had never been", segment(ACK, 101));
	assert_int_equal(find_service("web")->word & CANARY_WORD_OPEN, CANARY_WORD_OPEN);
}

static void a_rst_ends_a_flow_a_second_later(void **state)
{
	(void)state;
	established();
	CANARY("a RST", segment(RST, 101));
	CANARY("the RST again", segment(RST | ACK, 101));
	make_older(2);
	STABLE("data, 2 s later: as if it had never been, and no move", segment(ACK, 150));
	STABLE("where it stays", segment(ACK, 160));
}

static void a_flow_that_goes_on_after_a_rst_was_not_ended(void **state)
{
	(void)state;
	established();
	CANARY("a forged RST", segment(RST, 7777));
	CANARY("data goes on", segment(ACK, 150));
	make_older(30);
	CANARY("also much later", segment(ACK, 160));
}

/* The time of a RST counts, also right after another packet. */
static void a_rst_after_long_silence_gives_a_second_as_well(void **state)
{
	(void)state;
	established();
	make_older(50);
	CANARY("a forged RST", segment(RST, 7777));
	CANARY("data", segment(ACK, 150));
}

static void a_new_connection_after_a_rst_is_chosen_anew(void **state)
{
	(void)state;
	established();
	CANARY("a RST", segment(RST, 101));
	make_older_if_there(2);
	NEW_STABLE("a SYN", segment(SYN, 5000));
	STABLE("its ACK", segment(ACK, 5001));
	STABLE("data", segment(ACK | PSH, 5001));
	percent(IPPROTO_TCP, CANARY_FORWARD_L2, 100);
	STABLE("stays", segment(ACK, 5100));
}

static void a_syn_with_the_isn_of_a_flow_that_was_reset_is_a_new_one(void **state)
{
	(void)state;
	established();
	CANARY("a RST", segment(RST, 101));
	make_older_if_there(2);
	NEW_STABLE("the same SYN", segment(SYN, 100));
	STABLE("its ACK", segment(ACK, 101));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(udp_that_was_silent_for_a_minute_is_a_new_flow),
		TEST(udp_that_was_silent_while_its_backend_went_has_not_moved),
		TEST(nat_udp_that_was_silent_has_a_way_back_again),
		TEST(tcp_may_be_silent_for_its_idle_timeout),
		TEST(tcp_that_is_silent_for_longer_is_forgotten),
		TEST(a_rst_ends_a_flow_a_second_later),
		TEST(a_flow_that_goes_on_after_a_rst_was_not_ended),
		TEST(a_rst_after_long_silence_gives_a_second_as_well),
		TEST(a_new_connection_after_a_rst_is_chosen_anew),
		TEST(a_syn_with_the_isn_of_a_flow_that_was_reset_is_a_new_one),
	};

	wait_for_uptime(63); /* no entry can be older than the machine */
	return RUN(tests);
}
