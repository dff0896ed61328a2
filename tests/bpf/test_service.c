/* SPDX-License-Identifier: Apache-2.0 */
/* Which service, which cohort, which backend a new flow gets, and why. */
#include "lib_run.h"
#include "lib_wait.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "canary/select.h"
#include "core/text.h"

#define WEB(...)                                                                                                       \
	{                                                                                                              \
		.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, __VA_ARGS__                        \
	}
#define DNS(...)                                                                                                       \
	{                                                                                                              \
		.name = "dns", .endpoint = VIP ":53", .proto = IPPROTO_UDP, .forward = CANARY_FORWARD_L2, __VA_ARGS__  \
	}

static struct spec syn(unsigned sport)
{
	return (struct spec){.src = CLIENT, .dst = VIP, .sport = sport, .dport = 80, .flags = SYN, .seq = 1};
}

/* l2: the new flow goes to a backend, by its last number, and is counted there. */
static void opens(const char *what, struct spec in, const char *cohort, const char *backend, const char *also)
{
	struct spec want = sent_on(in, BACK, backend);
	char counters[200];

	snprintf(counters, sizeof(counters), strchr(backend, ':') ? "flow:%s.%s:[%s]:%u %s" : "flow:%s.%s:%s:%u %s",
		 in.dport == 53 ? "dns" : "web", cohort, backend, in.dport, also);
	EXPECT(what, FRONT, &in, XDP_REDIRECT, &want, counters);
}

/* The first client port from `from` on whose bucket asks for this cohort. */
static int port_wanting(enum canary_cohort wanted, int from)
{
	struct canary_addr client = make_addr(CLIENT);
	struct explanation explanation;
	struct error error;

	for (int port = from; port < 65536; port++) {
		if (dataplane_explain(env.dataplane, find_service("web"), &client, port, 80, &explanation, &error))
			fail_msg("%s", error.text);
		if (explanation.wanted == wanted)
			return port;
	}
	fail_msg("no flow wants cohort %d", wanted);
	return 0;
}

/* The backend's last number, as the MAC in the frame says. */
static unsigned backend_of(struct spec in)
{
	return redirected_to(&in);
}

static bool window_is_closed(void)
{
	env_refresh();
	return !(find_service("web")->word & CANARY_WORD_OPEN);
}

/* Backends' indices are free again a second after nothing names them: no window either. */
static void let_indices_go(void)
{
	wait_until(window_is_closed, "the window to close");
	usleep(1100000);
}

#define NAT_WEB_FOR(LIST, SECONDS)                                                                                     \
	{                                                                                                              \
		.name = "web", .endpoint = VIP ":80", .stable = (LIST), .idle_timeout = (SECONDS)                      \
	}
#define NAT_WEB(LIST) NAT_WEB_FOR(LIST, 1)

enum { FLOWS = 64 };
struct kept {
	int map[FLOWS];
	struct canary_flow_key key[FLOWS];
	struct canary_flow flow[FLOWS];
	unsigned count;
};

static void keep_flow(int map, const struct canary_flow_key *key, void *arg)
{
	struct kept *kept = arg;

	assert_in_range(kept->count, 0, FLOWS - 1);
	kept->map[kept->count] = dup(map);
	kept->key[kept->count] = *key;
	assert_int_equal(bpf_map_lookup_elem(map, key, &kept->flow[kept->count]), 0);
	kept->count++;
}

/* The sweeper takes the flows of a backend that is gone away: here they are put back, for it may come too late. */
static void case11_an_index_with_a_new_owner_inherits_no_flows(void **state)
{
	static struct kept kept;
	struct spec in, want;
	__u32 index;
	int port;

	(void)state;
	CONFIGURE(NAT_WEB_FOR("10.0.0.11", 60)); /* while all flows open */
	index = find_backend("web", "10.0.0.11:80")->index;
	for (int i = 1; i <= FLOWS; i++) {
		in = syn(i);
		want = translated(in, BACK, "10.0.0.11", 80);
		EXPECT("a SYN", FRONT, &in, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.11:80");
		in.flags = want.flags = ACK;
		in.seq = want.seq = 2;
		EXPECT("its ACK", FRONT, &in, XDP_REDIRECT, &want, "packet:web.stable:10.0.0.11:80");
	}
	each_flow(keep_flow, &kept);
	assert_int_equal(kept.count, FLOWS);
	CONFIGURE(NAT_WEB("10.0.0.12"));
	let_indices_go();
	CONFIGURE(NAT_WEB("10.0.0.12 10.0.0.13"));
	assert_int_equal(find_backend("web", "10.0.0.13:80")->index, index);
	port = port_for("web", CLIENT, "10.0.0.12:80", 1);
	assert_true(port <= FLOWS);
	for (unsigned i = 0; i < kept.count; i++) {
		assert_int_equal(kept.flow[i].backend, index);
		bpf_map_update_elem(kept.map[i], &kept.key[i], &kept.flow[i], BPF_ANY);
		close(kept.map[i]);
	}
	in = syn(port);
	in.flags = ACK;
	in.seq++;
	assert_int_equal(backend_of(in), 12);
	want = translated(in, BACK, "10.0.0.12", 80);
	EXPECT("more", FRONT, &in, XDP_REDIRECT, &want, "packet:web.stable:10.0.0.12:80");
}

static void case11_a_backend_that_comes_back_starts_anew(void **state)
{
	struct spec in = syn(1), want, answer;

	(void)state;
	CONFIGURE(NAT_WEB("10.0.0.11:8080"));
	want = translated(in, BACK, "10.0.0.11", 8080);
	EXPECT("a SYN", FRONT, &in, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.11:8080");
	CONFIGURE(NAT_WEB("10.0.0.12:8080"));
	let_indices_go();
	CONFIGURE(NAT_WEB("10.0.0.11:8080"));
	answer = (struct spec){.src = "10.0.0.11",
			       .dst = CLIENT,
			       .sport = 8080,
			       .dport = 1,
			       .flags = SYN | ACK,
			       .from_mac = "10.0.0.11",
			       .to_mac = "back"};
	EXPECT("an answer of its earlier life", BACK, &answer, XDP_PASS, NULL, "back.passed back.not_ours");
	EXPECT("the SYN again", FRONT, &in, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.11:8080");
	want = sent_on(answer, FRONT, "192.0.2.254");
	want.src = VIP;
	want.sport = 80;
	EXPECT("its answer", BACK, &answer, XDP_REDIRECT, &want, "reply:web.stable");
}

static void case13_a_cohort_without_a_backend_overflows_to_the_other(void **state)
{
	int port = 1;

	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .weight = 5000));
	for (int i = 0; i < 10; i++, port++) {
		port = port_wanting(CANARY_CANARY, port);
		opens("wants the canary", syn(port), "stable", "10.0.0.11", "web.canary.overflow");
		port = port_wanting(CANARY_STABLE, port);
		opens("wants stable", syn(port), "stable", "10.0.0.11", "");
	}
	CONFIGURE(WEB(.canary = "10.0.0.21", .weight = 5000));
	for (int i = 0; i < 10; i++, port++) {
		port = port_wanting(CANARY_STABLE, port);
		opens("wants stable", syn(port), "canary", "10.0.0.21", "web.stable.overflow");
	}
}

static void case13_overflow_drop_drops_and_says_whose_flow_it_was(void **state)
{
	struct spec in;

	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .weight = 5000, .overflow = CANARY_OVERFLOW_DROP));
	in = syn(port_wanting(CANARY_CANARY, 1));
	EXPECT("wants the canary", FRONT, &in, XDP_DROP, NULL, "web.canary.no_backend");
	opens("wants stable", syn(port_wanting(CANARY_STABLE, 1)), "stable", "10.0.0.11", "");
	CONFIGURE(WEB(.canary = "10.0.0.21", .weight = 5000, .overflow = CANARY_OVERFLOW_DROP));
	in = syn(port_wanting(CANARY_STABLE, 1000));
	EXPECT("wants stable", FRONT, &in, XDP_DROP, NULL, "web.stable.no_backend");
}

static void case13_the_last_backend_leaves_no_ring_behind(void **state)
{
	struct spec in = syn(1);

	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 10000));
	opens("a SYN", syn(1), "canary", "10.0.0.21", "");
	CONFIGURE(WEB(.stable = "10.0.0.11", .weight = 10000));
	opens("the canary is gone", syn(2), "stable", "10.0.0.11", "web.canary.overflow");
	CONFIGURE(WEB(.weight = 10000));
	in.sport = 3;
	EXPECT("all are gone", FRONT, &in, XDP_DROP, NULL, "web.canary.no_backend");
	assert_int_equal(find_service("web")->weight, 10000);
}

static void case13_a_canary_whose_backends_all_drain_overflows(void **state)
{
	struct spec in = syn(1), want = sent_on(in, BACK, "10.0.0.21");

	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21"));
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 10000));
	opens("a SYN", syn(1), "canary", "10.0.0.21", "");
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "!10.0.0.21", .weight = 10000));
	EXPECT("the SYN again", FRONT, &in, XDP_REDIRECT, &want, "packet:web.canary:10.0.0.21:80");
	opens("a new flow", syn(2), "stable", "10.0.0.11", "web.canary.overflow");
}

#define SIX "10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16"
#define SIX6 "2001:db8:10::11 2001:db8:10::12 2001:db8:10::13 2001:db8:10::14 2001:db8:10::15 2001:db8:10::16"

static void any_port_clients(int proto, enum canary_forward forward)
{
	unsigned seen = 0;

	CONFIGURE({.name = "any",
		   .endpoint = VIP ":0",
		   .proto = proto,
		   .forward = forward,
		   .affinity = CANARY_AFFINITY_CLIENT,
		   .stable = SIX});
	for (int i = 1; i < 40; i++) {
		char client[32];
		struct spec in = {.src = client, .dst = VIP, .proto = proto, .flags = SYN};
		unsigned backend;

		snprintf(client, sizeof(client), "198.51.100.%d", i);
		in.sport = 1;
		in.dport = 1;
		backend = backend_of(in);
		for (int j = 2; j < 60; j++) {
			in.sport = j * 977;
			in.dport = j * 331;
			assert_int_equal(backend_of(in), backend);
		}
		seen |= 1 << backend;
	}
	assert_int_equal(__builtin_popcount(seen), 6);
}

static void case17_all_ports_of_a_client_go_to_one_backend(void **state)
{
	(void)state;
	any_port_clients(IPPROTO_TCP, CANARY_FORWARD_L2);
	any_port_clients(IPPROTO_UDP, CANARY_FORWARD_L2);
	any_port_clients(IPPROTO_TCP, CANARY_FORWARD_NAT);
}

static void case17_an_exact_port_wins(void **state)
{
	struct spec in = syn(1), want = sent_on(in, BACK, "10.0.0.12");

	(void)state;
	CONFIGURE({.name = "any", .endpoint = VIP ":0", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.11"},
		  {.name = "web", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.12"});
	EXPECT("the port of web", FRONT, &in, XDP_REDIRECT, &want, "flow:web.stable:10.0.0.12:80");
	in.dport = 81;
	want = sent_on(in, BACK, "10.0.0.11");
	EXPECT("another", FRONT, &in, XDP_REDIRECT, &want, "flow:any.stable:10.0.0.11:0");
	in.dport = 80;
	in.proto = IPPROTO_UDP;
	EXPECT("another protocol", FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
	in.proto = 0;
	CONFIGURE({.name = "any", .endpoint = VIP ":0", .forward = CANARY_FORWARD_L2, .stable = "10.0.0.11"});
	want = sent_on(in, BACK, "10.0.0.11");
	EXPECT("web is deleted", FRONT, &in, XDP_REDIRECT, &want, "flow:any.stable:10.0.0.11:0");
}

static void affinity_client_keeps_a_client_in_one_cohort(void **state)
{
	unsigned canaries = 0;

	(void)state;
	CONFIGURE(DNS(.affinity = CANARY_AFFINITY_CLIENT, .stable = "10.0.0.11 10.0.0.12 10.0.0.13",
		      .canary = "10.0.0.21 10.0.0.22", .weight = 5000));
	for (int i = 1; i < 200; i++) {
		char client[32];
		struct spec in = {.src = client, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53};
		unsigned seen = 0, canary;

		snprintf(client, sizeof(client), "198.51.100.%d", i);
		for (in.sport = 1; in.sport < 40; in.sport++)
			seen |= 1 << backend_of(in);
		/* All of a cohort's backends, none of the other's: 11 to 13, or 21 and 22. */
		canary = seen >> 21;
		assert_true(canary ? seen == 3u << 21 : seen == 7u << 11);
		canaries += !!canary;
	}
	assert_in_range(canaries, 100 - 3 * 7, 100 + 3 * 7);
}

/* Untracked datagrams: every one follows the weight at once. */
static void the_share_is_the_weight_and_only_the_weights_flows_move(void **state)
{
	enum { FLOWS = 20000 };
	static const int walk[] = {500, 2500, 5000, 10000, 5000, 2500, 500, 0};
	static unsigned before[FLOWS], first[FLOWS];
	int last = 0;

	(void)state;
	for (size_t step = 0; step < sizeof(walk) / sizeof(*walk); step++) {
		double share = walk[step] / 10000.0, count = 0, off;

		CONFIGURE(DNS(.track = CANARY_TRACK_NEVER, .stable = "10.0.0.11 10.0.0.12*2",
			      .canary = "10.0.0.21 10.0.0.22", .weight = walk[step]));
		for (int i = 0; i < FLOWS; i++) {
			struct spec in = {.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .sport = i, .dport = 53};
			unsigned backend = backend_of(in);

			count += backend >= 21;
			if (step && (before[i] >= 21) != (backend >= 21))
				assert_int_equal(backend >= 21, walk[step] > last);
			else if (step)
				assert_int_equal(backend, before[i]);
			if (!step)
				first[i] = backend;
			else if (walk[step] == walk[0])
				assert_int_equal(backend, first[i]);
			before[i] = backend;
		}
		off = count - share * FLOWS;
		assert_true(off * off <= 9 * share * (1 - share) * FLOWS);
		last = walk[step];
	}
}

static void segment_client(const char *client, const char *cohort, const char *backend)
{
	static unsigned sport = 1;
	bool v6 = strchr(client, ':') != NULL;
	struct spec in = {.src = client, .dst = v6 ? VIP6 : VIP, .sport = sport++, .dport = 80, .flags = SYN};
	struct spec want = sent_on(in, BACK, backend);
	char counters[128];

	snprintf(counters, sizeof(counters), v6 ? "flow:web6.%s:[%s]:80" : "flow:web.%s:%s:80", cohort, backend);
	EXPECT(client, FRONT, &in, XDP_REDIRECT, &want, counters);
}

static void segment_services(int weight)
{
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = weight,
		      .segments = "198.51.100.0/24>canary 198.51.100.128/25>stable 198.51.100.200/32>canary "
				  "198.51.100.201/32>stable 10.0.0.0/8>stable"),
		  {.name = "web6",
		   .endpoint = "[" VIP6 "]:80",
		   .forward = CANARY_FORWARD_L2,
		   .stable = "2001:db8:10::11",
		   .canary = "2001:db8:10::21",
		   .weight = weight,
		   .segments = "2001:db8:c::/48>canary 2001:db8:c:8000::/49>stable 2001:db8:c:8000::1/128>canary"});
}

static void segments_beat_the_weight_and_the_longest_prefix_wins(void **state)
{
	static const int weights[] = {0, 10000};

	(void)state;
	for (int i = 0; i < 2; i++) {
		segment_services(weights[i]);
		segment_client("198.51.100.7", "canary", "10.0.0.21");
		segment_client("198.51.100.127", "canary", "10.0.0.21");
		segment_client("198.51.100.128", "stable", "10.0.0.11");
		segment_client("198.51.100.200", "canary", "10.0.0.21");
		segment_client("198.51.100.201", "stable", "10.0.0.11");
		segment_client("10.255.0.1", "stable", "10.0.0.11");
		segment_client("2001:db8:c:1::1", "canary", "2001:db8:10::21");
		segment_client("2001:db8:c:8000::2", "stable", "2001:db8:10::11");
		segment_client("2001:db8:c:8000::1", "canary", "2001:db8:10::21");
		/* None of a segment: the weight. */
		segment_client("198.51.101.7", i ? "canary" : "stable", i ? "10.0.0.21" : "10.0.0.11");
		segment_client("2001:db8:d::1", i ? "canary" : "stable", i ? "2001:db8:10::21" : "2001:db8:10::11");
	}
}

/* Sets are kept apart, and a change of one takes effect at once, also where nothing else changed. */
static void segments_are_their_services_own(void **state)
{
	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .segments = CLIENT "/32>canary"),
		  DNS(.stable = "10.0.0.11", .canary = "10.0.0.21", .segments = "0.0.0.0/0>stable", .weight = 10000));
	opens("canary by its segment", syn(1), "canary", "10.0.0.21", "");
	opens("stable by another's", (struct spec){.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53},
	      "stable", "10.0.0.11", "");
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .segments = CLIENT "/32>stable", .weight = 10000),
		  DNS(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 10000));
	opens("stable now", syn(2), "stable", "10.0.0.11", "");
	opens("by the weight now", (struct spec){.src = CLIENT, .dst = VIP, .proto = IPPROTO_UDP, .dport = 53},
	      "canary", "10.0.0.21", "");
	CONFIGURE(WEB(.stable = "10.0.0.11", .canary = "10.0.0.21", .weight = 10000),
		  DNS(.stable = "10.0.0.11", .canary = "10.0.0.21"));
	opens("the weight's again", syn(3), "canary", "10.0.0.21", "");
	assert_int_equal(find_service("web")->segment_count, 0);
}

static void a_segments_cohort_without_a_backend_overflows_too(void **state)
{
	struct spec in = syn(2);

	(void)state;
	CONFIGURE(WEB(.stable = "10.0.0.11", .segments = CLIENT "/32>canary"));
	opens("no canary", syn(1), "stable", "10.0.0.11", "web.canary.overflow");
	CONFIGURE(WEB(.stable = "10.0.0.11", .segments = CLIENT "/32>canary", .overflow = CANARY_OVERFLOW_DROP));
	EXPECT("no canary", FRONT, &in, XDP_DROP, NULL, "web.canary.no_backend");
}

static void what_is_malformed_is_dropped_until_the_addresss_last_service_is_gone(void **state)
{
	static const struct service all[] = {
		{.name = "a", .endpoint = VIP ":1", .stable = "10.0.0.11"},
		{.name = "b", .endpoint = VIP ":2", .stable = "10.0.0.11"},
		{.name = "c", .endpoint = VIP ":1", .proto = IPPROTO_UDP, .stable = "10.0.0.11"},
		{.name = "d", .endpoint = VIP ":0", .proto = IPPROTO_UDP, .stable = "10.0.0.12"},
		{.name = "e", .endpoint = "203.0.113.99:1", .stable = "10.0.0.11"},
	};
	struct spec in = {.src = CLIENT, .dst = VIP, .dport = 1, .ihl = 4};

	(void)state;
	configure(all, 5);
	for (size_t gone = 0; gone < 4; gone++) {
		configure(all + gone, 5 - gone);
		EXPECT("one is left", FRONT, &in, XDP_DROP, NULL, "front.malformed");
	}
	configure(all + 4, 1);
	EXPECT("none is left", FRONT, &in, XDP_PASS, NULL, "front.passed front.not_ours");
	/* One goes and another comes in one change. */
	configure(all + 1, 1);
	configure(all + 3, 1);
	EXPECT("there is one", FRONT, &in, XDP_DROP, NULL, "front.malformed");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(case11_an_index_with_a_new_owner_inherits_no_flows),
		TEST(case11_a_backend_that_comes_back_starts_anew),
		TEST(case13_a_cohort_without_a_backend_overflows_to_the_other),
		TEST(case13_overflow_drop_drops_and_says_whose_flow_it_was),
		TEST(case13_the_last_backend_leaves_no_ring_behind),
		TEST(case13_a_canary_whose_backends_all_drain_overflows),
		TEST(case17_all_ports_of_a_client_go_to_one_backend),
		TEST(case17_an_exact_port_wins),
		TEST(affinity_client_keeps_a_client_in_one_cohort),
		TEST(the_share_is_the_weight_and_only_the_weights_flows_move),
		TEST(segments_beat_the_weight_and_the_longest_prefix_wins),
		TEST(segments_are_their_services_own),
		TEST(a_segments_cohort_without_a_backend_overflows_too),
		TEST(what_is_malformed_is_dropped_until_the_addresss_last_service_is_gone),
	};

	return RUN(tests);
}
