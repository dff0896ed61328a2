/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories on the real program: flows open, talk, end and open again, strangers forge SYNs, while services change in
 * every way that a command or the kernel itself can change them. While its backend lives an established flow stays there; a
 * new one goes to no drained backend, and to the canary only where weight or segment say so. tests/model plays far more
 * histories, with CPUs that come in between, against the same code.
 */
#include "lib_change.h"
#include "lib_mutate.h"
#include "lib_run.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STABLE "10.0.0.11 10.0.0.12 10.0.0.13"
#define CANARY "10.0.0.21 10.0.0.22"
#define ALIKE                                                                                                          \
	.weight = 2000, .idle_timeout = IDLE_S, .handshake_timeout = HANDSHAKE_MS, .stable = STABLE, .canary = CANARY

enum {
	SERVICES = 4,
	TCP_FLOWS = 60,
	FLOWS = 72, /* the others are of the UDP service */
	STEPS = 1000,
	IDLE_S = 1,
	PATIENCE_MS = 900, /* a flow that was silent for longer may be forgotten */
	HANDSHAKE_MS = 60000, /* no handshake fails while we look, but by a refusal */
	CLOSING_MS = 15000, /* an idle timeout and some passes of the sweeper, on a busy machine */
	REFUSALS = 300,
};

static const __u64 seeds[] = {1, 2, 3};

static const struct service kinds[SERVICES] = {
	{.name = "direct", .endpoint = VIP ":80", .forward = CANARY_FORWARD_L2, ALIKE},
	{.name = "tunnel", .endpoint = VIP ":81", .forward = CANARY_FORWARD_IPIP, ALIKE},
	{.name = "translated", .endpoint = VIP ":82", .forward = CANARY_FORWARD_NAT, ALIKE},
	{.name = "sticky",
	 .endpoint = VIP ":53",
	 .proto = IPPROTO_UDP,
	 .forward = CANARY_FORWARD_L2,
	 .track = CANARY_TRACK_ALWAYS,
	 ALIKE},
};
static const unsigned ports[SERVICES] = {80, 81, 82, 53};
enum { NAT = 2, UDP = 3 };

enum flow_state { CLOSED, OPENING, ESTABLISHED, ENDING };

struct connection {
	char client[16];
	unsigned kind; /* index of kinds */
	unsigned port;
	enum flow_state state;
	unsigned isn, sent;
	unsigned host, generation; /* its backend's */
	__u64 last_ms;
};

static struct {
	__u64 seed;
	unsigned step;
	struct connection flows[FLOWS];
	/* How many backends a service had on a host that were deleted. */
	unsigned generation[SERVICES][FIRST_CANARY + HOSTS];
	unsigned next_port; /* of flows whose tuple nobody had before */
} history;

static struct {
	unsigned packets, stayed, moved, trips, closings, refused;
} tally;

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

#define VIOLATED(flow, format, ...)                                                                                    \
	fail_msg("seed %llu, step %u: %s, flow of %s:%u " format, (unsigned long long)history.seed, history.step,      \
		 kinds[(flow)->kind].name, (flow)->client, (flow)->port, ##__VA_ARGS__)

/* Sends a packet with the flow's tuple; the host that gets it. */
static unsigned send_packet(const struct connection *flow, unsigned flags, unsigned seq)
{
	static const __u8 network[] = {10, 0, 0};
	const struct spec spec = {.src = flow->client,
				  .dst = VIP,
				  .proto = kinds[flow->kind].proto,
				  .sport = flow->port,
				  .dport = ports[flow->kind],
				  .flags = flags,
				  .seq = seq};
	static struct packet in;
	static struct outcome out;
	const __u8 *dst = out.packet.data + 14 + 16;

	packet_build(&spec, NULL, &in);
	run_packet(FRONT, &in, &out);
	tally.packets++;
	if (out.verdict != XDP_REDIRECT)
		VIOLATED(flow, "was not forwarded: verdict %d", out.verdict);
	/* Frame and header, of the tunnel or translated, name the same one. */
	if (kinds[flow->kind].forward != CANARY_FORWARD_L2 &&
	    (memcmp(dst, network, sizeof(network)) || dst[3] != out.packet.data[5]))
		VIOLATED(flow, "left in a frame to %u with a packet to another", out.packet.data[5]);
	return out.packet.data[5];
}

/* The cohort that a segment pins the client to, by the longest prefix; -1: none does. */
static int pinned(const struct service_model *service, const char *client)
{
	struct canary_addr addr = make_addr(client);
	unsigned longest = 0;
	int cohort = -1;

	for (size_t i = 0; i < service->segment_count; i++) {
		const struct segment_model *segment = &service->segments[i];
		__u32 differing = ntohl(addr.word[3] ^ segment->addr.word[3]);

		if (differing >> (128 - segment->prefix_len) || segment->prefix_len < longest)
			continue;
		longest = segment->prefix_len;
		cohort = segment->cohort;
	}
	return cohort;
}

static bool stopped(const struct service_model *service)
{
	struct guard guard;

	assert_int_equal(dataplane_guard(env.dataplane, service, &guard), 0);
	return guard.stopped;
}

/* Sends a packet that opens a flow, and checks that it may go where it goes. */
static unsigned send_first(const struct connection *flow, unsigned flags, unsigned seq)
{
	const struct service_model *service = find_service(kinds[flow->kind].name);
	bool closed = !service->weight || stopped(service);
	unsigned host = send_packet(flow, flags, seq);
	const struct backend_model *backend = backend_at(service, host);
	int cohort = pinned(service, flow->client);

	if (!backend)
		VIOLATED(flow, "went to %u, which is no backend", host);
	if (backend->draining)
		VIOLATED(flow, "went to %u, which is drained", host);
	if (cohort >= 0 && (int)backend->cohort != cohort)
		VIOLATED(flow, "went to %u, against its segment", host);
	if (closed && cohort < 0 && backend->cohort == CANARY_CANARY)
		VIOLATED(flow, "went to %u, a canary that takes nobody", host);
	return host;
}

static void settle(struct connection *flow, unsigned host)
{
	flow->host = host;
	flow->generation = history.generation[flow->kind][host];
	flow->last_ms = now_ms();
}

/* A packet of a flow that goes on. False: it has ended, as its backend has, or fell silent for too long. */
static bool go_on(struct connection *flow, unsigned flags)
{
	unsigned host;

	host = now_ms() - flow->last_ms > PATIENCE_MS ? 0 : send_packet(flow, flags, flow->isn + 1 + flow->sent);
	if (!host || now_ms() - flow->last_ms > PATIENCE_MS) {
		flow->state = CLOSED;
		return false;
	}
	if (flow->generation != history.generation[flow->kind][flow->host]) {
		tally.moved++;
		flow->state = CLOSED;
		return false;
	}
	if (host != flow->host)
		VIOLATED(flow, "moved from %u to %u", flow->host, host);
	flow->last_ms = now_ms();
	tally.stayed++;
	return true;
}

static void open_flow(struct connection *flow)
{
	flow->isn = random_below(1U << 31) * 2 + random_below(2);
	flow->sent = 0;
	if (flow->kind == UDP) {
		flow->port = history.next_port++; /* that the one before has ended nobody can see */
		settle(flow, send_first(flow, 0, 0));
		flow->state = ESTABLISHED;
		return;
	}
	settle(flow, send_first(flow, SYN, flow->isn));
	flow->state = OPENING;
}

static void complete(struct connection *flow)
{
	if (!random_below(8)) {
		/* Again; of a flow that was settled nothing is remembered, and its choice may be another by now. */
		settle(flow, send_packet(flow, SYN, flow->isn));
	} else if (!random_below(16)) {
		send_packet(flow, RST, flow->isn + 1); /* to an earlier flow's backend, maybe */
		flow->state = CLOSED;
	} else if (go_on(flow, ACK)) {
		flow->state = ESTABLISHED;
	}
}

static void talk(struct connection *flow)
{
	bool tcp = flow->kind != UDP;

	flow->sent += random_below(3000);
	if (!random_below(20)) {
		if (tcp)
			go_on(flow, RST);
		flow->state = CLOSED;
	} else if (tcp && !random_below(16)) {
		if (go_on(flow, FIN | ACK))
			flow->state = ENDING;
	} else {
		go_on(flow, ACK | PSH);
	}
}

static void progress(struct connection *flow)
{
	switch (flow->state) {
	case CLOSED:
		open_flow(flow);
		break;
	case OPENING:
		complete(flow);
		break;
	case ESTABLISHED:
		talk(flow);
		break;
	case ENDING:
		if (go_on(flow, ACK) && !random_below(3))
			flow->state = CLOSED;
	}
}

/* A stranger's SYN, far from where the flow is. Which backend it gets is no matter; that the flow stays is. */
static void forge(struct connection *flow)
{
	if (flow->state == ESTABLISHED && flow->kind != UDP)
		send_first(flow, SYN, flow->isn + (1U << 30) + random_below(1U << 30));
}

/* A change; backends that it deletes are noted. */
static void change(unsigned kind)
{
	const char *service = kinds[kind].name;
	bool had[FIRST_CANARY + HOSTS];

	for (unsigned host = 0; host < FIRST_CANARY + HOSTS; host++)
		had[host] = backend_at(find_service(service), host);
	change_at_random(service);
	for (unsigned host = 0; host < FIRST_CANARY + HOSTS; host++)
		if (had[host] && !backend_at(find_service(service), host))
			history.generation[kind][host]++;
}

static void refuse(const struct connection *flow, unsigned host)
{
	char from[HOST_TEXT];
	struct spec spec = {.from_mac = host_text(host, from),
			    .to_mac = "back",
			    .src = from,
			    .dst = flow->client,
			    .sport = ports[flow->kind],
			    .dport = flow->port,
			    .flags = RST | ACK};

	run_redirected(BACK, &spec);
	tally.refused++;
}

/* The canary's hosts refuse new flows until the breaker trips. */
static void trip(void)
{
	struct connection flow = {.client = "198.51.100.200", .kind = NAT};
	const char *service = kinds[NAT].name;

	change_to_half(service);
	for (int i = 0; i < REFUSALS && !stopped(find_service(service)); i++) {
		unsigned host;

		flow.port = history.next_port++;
		host = send_first(&flow, SYN, 100);
		if (host >= FIRST_CANARY)
			refuse(&flow, host);
	}
	tally.trips += stopped(find_service(service));
}

static bool windows_open(void)
{
	for (unsigned kind = 0; kind < SERVICES; kind++) {
		struct window window;

		assert_int_equal(dataplane_window(env.dataplane, find_service(kinds[kind].name), &window), 0);
		if (window.open)
			return true;
	}
	return false;
}

/* No change for so long that all windows close, while flows talk on. */
static void let_windows_close(void)
{
	__u64 end = now_ms() + CLOSING_MS;

	while (windows_open() && now_ms() < end) {
		for (int i = 0; i < FLOWS; i++)
			if (history.flows[i].state == ESTABLISHED || history.flows[i].state == ENDING)
				go_on(&history.flows[i], ACK);
		usleep(200000);
	}
	if (windows_open())
		fail_msg("seed %llu, step %u: windows stay open", (unsigned long long)history.seed, history.step);
	env_refresh();
	tally.closings++;
}

static void take_step(void)
{
	struct connection *flow = &history.flows[random_below(FLOWS)];
	unsigned what = random_below(1000);

	if (what < 70)
		change(random_below(SERVICES));
	else if (what < 76)
		trip();
	else if (what < 130)
		forge(flow);
	else
		progress(flow);
}

static void make_flows(void)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct connection *flow = &history.flows[i];

		*flow = (struct connection){.kind = i < TCP_FLOWS ? i % UDP : UDP, .port = 1000 + i};
		snprintf(flow->client, sizeof(flow->client), "198.51.100.%u", 1 + i);
	}
}

static void flows_stay_in_random_histories(void **state)
{
	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++) {
		memset(&history, 0, sizeof(history));
		history.seed = seeds[i];
		history.next_port = 5000;
		print_message("seed %llu\n", (unsigned long long)history.seed);
		random_seed(history.seed);
		env_fresh(state);
		configure(kinds, SERVICES);
		make_flows();
		while (history.step++ < STEPS) {
			if (history.step == STEPS / 2)
				let_windows_close();
			if (history.step == STEPS / 4)
				env_upgrade();
			take_step();
		}
	}
	print_message("%u packets, %u of flows that stayed; %u flows moved as their backends were deleted, %u trips by "
		      "%u refusals, %u closings\n",
		      tally.packets, tally.stayed, tally.moved, tally.trips, tally.refused, tally.closings);
	/* The histories reach what they are for. */
	assert_true(tally.stayed >= STEPS);
	assert_true(tally.moved > 0);
	assert_true(tally.trips > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(flows_stay_in_random_histories),
	};

	return RUN(tests);
}
