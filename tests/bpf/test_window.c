/* SPDX-License-Identifier: Apache-2.0 */
/* Just-enough tracking: what is remembered of flows, and when; and the reset of those that belong elsewhere. */
#include "lib_run.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <time.h>
#include <unistd.h>

#include "canary/select.h"

/* Two flows may share a bit of `held`: of hundreds among two million bits some few, at most, are remembered in vain. */
enum { FLOWS = 1000, SHARED_BITS = 5 };

static void web(enum canary_forward forward, int weight)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .forward = forward,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21",
		   .weight = weight},
		  {.name = "dns",
		   .endpoint = VIP ":53",
		   .proto = IPPROTO_UDP,
		   .forward = forward,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21",
		   .weight = weight});
}

/* The last number of the backend that a packet is sent to, as the MAC in the frame says. */
static int sent(unsigned proto, unsigned sport, unsigned flags, unsigned seq)
{
	struct spec in = {.src = CLIENT,
			  .dst = VIP,
			  .proto = proto,
			  .sport = sport,
			  .dport = proto == IPPROTO_UDP ? 53 : 80,
			  .flags = flags,
			  .seq = seq};

	return redirected_to(&in);
}

static int choice(int port)
{
	return chosen("web", CLIENT, port, 80)->cohort == CANARY_CANARY ? 21 : 11;
}

static void nothing_is_remembered(void)
{
	assert_int_equal(established_flows(), 0);
	assert_int_equal(opening_flows(), 0);
	assert_int_equal(ways_back(), 0);
}

/* From its SYN to its end, and a datagram. */
static void whole_flow(int port, int backend)
{
	assert_int_equal(sent(IPPROTO_TCP, port, SYN, port), backend);
	assert_int_equal(sent(IPPROTO_TCP, port, ACK, port + 1), backend);
	assert_int_equal(sent(IPPROTO_TCP, port, ACK | PSH, port + 1), backend);
	assert_int_equal(sent(IPPROTO_TCP, port, FIN | ACK, port + 1), backend);
	sent(IPPROTO_UDP, port, 0, 0);
}

static void settled_packets_write_no_memory(void **state)
{
	(void)state;
	for (int forward = CANARY_FORWARD_L2; forward <= CANARY_FORWARD_GUE; forward++) {
		env_fresh(state);
		web(forward, 5000);
		nothing_is_remembered();
		for (int port = 1; port <= FLOWS; port++)
			whole_flow(port, choice(port));
		nothing_is_remembered();
	}
}

/* Nor do they while a window is open, which is of no concern to them. */
static void settled_packets_write_no_memory_in_a_window(void **state)
{
	static int before[FLOWS + 1];
	unsigned settled = 0;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	for (int port = 1; port <= FLOWS; port++)
		before[port] = choice(port);
	web(CANARY_FORWARD_L2, 6000);
	for (int port = 1; port <= FLOWS; port++)
		if (choice(port) == before[port]) {
			whole_flow(port, before[port]);
			settled++;
		}
	assert_in_range(settled, FLOWS / 2, FLOWS - 1);
	nothing_is_remembered();
}

/* Plants an opening flow: whoever looks for it finds it, and follows it to that backend. */
static void plant(int port, unsigned isn, const struct backend_model *to)
{
	const struct canary_flow_key key = {.client = make_addr(CLIENT),
					    .service = find_service("web")->id,
					    .client_port = htons(port),
					    .port = htons(80)};
	struct canary_flow flow = {.backend = to->index, .isn = isn};
	int flows = open_pin("embryonic");
	struct canary_backend backend;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	flow.seen_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	read_tables(offsetof(struct canary_tables, backends[to->index]), &backend, sizeof(backend));
	flow.generation = backend.generation;
	assert_int_equal(bpf_map_update_elem(flows, &key, &flow, BPF_ANY), 0);
	close(flows);
}

/* What is planted for a settled flow goes unseen, until a change touches the flow. */
static void settled_packets_read_no_memory(void **state)
{
	const struct service_model *service;
	const struct backend_model *stable;
	int port = 1;

	(void)state;
	web(CANARY_FORWARD_L2, 5000);
	while (choice(port) != 21)
		port++;
	service = find_service("web");
	stable = &service->backends[service->backends[0].cohort == CANARY_STABLE ? 0 : 1];
	plant(port, 100, stable);
	assert_int_equal(sent(IPPROTO_TCP, port, SYN, 100), 21);
	assert_int_equal(sent(IPPROTO_TCP, port, ACK, 101), 21);
	assert_int_equal(sent(IPPROTO_TCP, port, FIN | ACK, 101), 21);
	/* Without it, the older choice would be the canary. */
	web(CANARY_FORWARD_L2, 0);
	assert_int_equal(sent(IPPROTO_TCP, port, FIN | ACK, 101), 11);
}

static void check_window(unsigned held)
{
	struct window window;

	assert_int_equal(dataplane_window(env.dataplane, find_service("web"), &window), 0);
	assert_true(window.open);
	assert_in_range(window.closes_ns - window.opened_ns, 1, 86400ULL * 1000000000);
	assert_int_equal(window.held, held);
	assert_int_equal(window.skipped, 0);
	assert_int_equal(window.fallbacks, 0);
}

static void a_window_remembers_new_flows_that_are_not_settled(void **state)
{
	unsigned differ = 0;

	(void)state;
	web(CANARY_FORWARD_L2, 0);
	web(CANARY_FORWARD_L2, 5000);
	for (int port = 1; port <= FLOWS; port++) {
		differ += choice(port) == 21;
		assert_int_equal(sent(IPPROTO_TCP, port, SYN, port), choice(port));
	}
	assert_int_equal(established_flows(), 0);
	assert_in_range(opening_flows(), differ, differ + SHARED_BITS);
	for (int port = 1; port <= FLOWS; port++)
		assert_int_equal(sent(IPPROTO_TCP, port, ACK, port + 1), choice(port));
	assert_in_range(established_flows(), differ, differ + SHARED_BITS);
	assert_int_equal(opening_flows(), 0);
	check_window(established_flows());
}

static void a_window_remembers_older_flows_that_are_not_settled(void **state)
{
	unsigned differ = 0;

	(void)state;
	web(CANARY_FORWARD_L2, 0);
	for (int port = 1; port <= FLOWS; port++)
		assert_int_equal(sent(IPPROTO_TCP, port, SYN, port), 11);
	nothing_is_remembered();
	web(CANARY_FORWARD_L2, 5000);
	for (int port = 1; port <= FLOWS; port++) {
		differ += choice(port) == 21;
		assert_int_equal(sent(IPPROTO_TCP, port, ACK, port + 1), 11);
	}
	assert_int_equal(established_flows(), differ);
	assert_int_equal(opening_flows(), 0);
	check_window(differ);
	/* Whatever comes, they stay. */
	web(CANARY_FORWARD_L2, 10000);
	for (int port = 1; port <= FLOWS; port++)
		assert_int_equal(sent(IPPROTO_TCP, port, ACK, port + 1), 11);
	assert_int_equal(established_flows(), FLOWS);
}

#define WEB(...)                                                                                                       \
	{                                                                                                              \
		.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, __VA_ARGS__                        \
	}

static __u64 epoch(void)
{
	return canary_word_epoch(find_service("web")->word);
}

static void the_epoch_rises_with_every_change_and_the_first_opens_a_window(void **state)
{
	__u32 first;

	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21"));
	assert_int_equal(epoch(), 1);
	assert_false(find_service("web")->word & CANARY_WORD_OPEN);
	first = canary_word_now(find_service("web")->word);
	for (int i = 1; i < 6; i++) {
		CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = i));
		assert_int_equal(epoch(), 1 + i);
		assert_true(find_service("web")->word & CANARY_WORD_OPEN);
		assert_int_equal(canary_word_oldest(find_service("web")->word), first);
		assert_int_not_equal(canary_word_now(find_service("web")->word), first);
	}
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 5));
	assert_int_equal(epoch(), 6);
	CONFIGURE(WEB(.stable = "10.0.0.11 10.0.0.12", .canary = "10.0.0.21", .weight = 5));
	assert_int_equal(epoch(), 7);
}

static void both_families(void)
{
	CONFIGURE({.name = "web",
		   .endpoint = VIP ":80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "10.0.0.11",
		   .canary = "10.0.0.21"},
		  {.name = "web6",
		   .endpoint = "[" VIP6 "]:80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "2001:db8:10::11",
		   .canary = "2001:db8:10::21"});
}

static const struct spec established[] = {
	{.src = CLIENT, .dst = VIP, .sport = 4001, .dport = 80, .flags = SYN, .seq = 100},
	{.src = CLIENT6, .dst = VIP6, .sport = 4001, .dport = 80, .flags = SYN, .seq = 100},
};
static const char *const old_backend[] = {"10.0.0.11", "2001:db8:10::11"};
static const char *const new_backend[] = {"10.0.0.21", "2001:db8:10::21"};
static const char *const opened[] = {"flow:web.stable:10.0.0.11:80", "flow:web6.stable:[2001:db8:10::11]:80"};
static const char *const went_on[] = {"packet:web.stable:10.0.0.11:80", "packet:web6.stable:[2001:db8:10::11]:80"};
static const char *const opened_new[] = {"flow:web.canary:10.0.0.21:80", "flow:web6.canary:[2001:db8:10::21]:80"};
static const char *const went_there[] = {"packet:web.canary:10.0.0.21:80", "packet:web6.canary:[2001:db8:10::21]:80"};
static const char *const was_reset[] = {"front.forwarded web.stable.reset", "front.forwarded web6.stable.reset"};

static void open_both(void)
{
	both_families();
	for (int i = 0; i < 2; i++) {
		struct spec in = established[i], want = sent_on(in, BACK, old_backend[i]);

		EXPECT("a SYN", FRONT, &in, XDP_REDIRECT, &want, opened[i]);
		in.flags = want.flags = ACK;
		in.seq = want.seq = 101;
		EXPECT("its ACK", FRONT, &in, XDP_REDIRECT, &want, went_on[i]);
	}
}

static void a_reset_answers_with_what_the_client_believes(void **state)
{
	(void)state;
	open_both();
	move_all_and_reset(0);
	for (int i = 0; i < 2; i++) {
		struct spec in = established[i], rst, want;

		in.flags = ACK | PSH;
		in.seq = 101;
		in.ack = 0xfedcba98;
		in.payload = 300;
		in.tcp_options = 12;
		in.ip_options = i ? 0 : 8;
		in.ttl = 7;
		rst = (struct spec){.from_mac = "front",
				    .to_mac = "192.0.2.254",
				    .src = in.dst,
				    .dst = in.src,
				    .frag = i ? 0 : IPV4_DF,
				    .sport = 80,
				    .dport = in.sport,
				    .flags = RST,
				    .seq = in.ack,
				    .no_window = true};
		EXPECT("data", FRONT, &in, XDP_TX, &rst, was_reset[i]);
		in.payload = 0;
		EXPECT("more, with no data", FRONT, &in, XDP_TX, &rst, was_reset[i]);
		in.tag[0] = (struct tag){VLAN_Q, 77};
		rst.tag[0] = in.tag[0];
		EXPECT("in a VLAN", FRONT, &in, XDP_TX, &rst, was_reset[i]);
		in = established[i];
		in.seq = 7000;
		want = sent_on(in, BACK, new_backend[i]);
		EXPECT("the client opens anew", FRONT, &in, XDP_REDIRECT, &want, opened_new[i]);
		in.flags = want.flags = ACK;
		in.seq = want.seq = 7001;
		EXPECT("and gets there", FRONT, &in, XDP_REDIRECT, &want, went_there[i]);
	}
}

static void flows_have_time_until_a_reset(void **state)
{
	(void)state;
	open_both();
	move_all_and_reset(1);
	for (int i = 0; i < 2; i++) {
		struct spec in = established[i], want;

		in.flags = ACK;
		in.seq = 101;
		want = sent_on(in, BACK, old_backend[i]);
		EXPECT("before", FRONT, &in, XDP_REDIRECT, &want, went_on[i]);
	}
	usleep(1100000);
	for (int i = 0; i < 2; i++) {
		struct packet packet;
		struct outcome out;
		struct spec in = established[i];

		in.flags = ACK;
		in.seq = 101;
		packet_build(&in, NULL, &packet);
		run_packet(FRONT, &packet, &out);
		assert_int_equal(out.verdict, XDP_TX);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(settled_packets_write_no_memory),
		TEST(settled_packets_write_no_memory_in_a_window),
		TEST(settled_packets_read_no_memory),
		TEST(a_window_remembers_new_flows_that_are_not_settled),
		TEST(a_window_remembers_older_flows_that_are_not_settled),
		TEST(the_epoch_rises_with_every_change_and_the_first_opens_a_window),
		TEST(a_reset_answers_with_what_the_client_believes),
		TEST(flows_have_time_until_a_reset),
	};

	return RUN(tests);
}
