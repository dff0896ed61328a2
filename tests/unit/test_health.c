/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of backends that are there and not, in two network namespaces (lib_netns.h). `there` is a backend of all kinds:
 * with nat it serves on its own address, else on the service's, which is on its `lo`. The kernel here may have no tunnel
 * devices, so the test takes its packets out of raw and UDP sockets and puts them in by a TUN device.
 *
 * Runs first: it takes long, and waits nearly all the time.
 */
#include "lib_model.h"

#include "lib_http.h"
#include "lib_netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/text.h"
#include "io/health.h"
#include "io/health_frame.h"
#include "io/watch.h"

#define TEST_GUE_PORT 6081 /* not the default */

static struct health_prober *prober;
static pthread_t decapsulator;
static int tunnel_quit[2];

struct seen {
	int count;
	enum health_outcome outcome;
	char sentence[256];
	__s64 times[64];
};

static void note(const struct health_report *report, void *arg)
{
	struct seen *seen = arg;

	if (seen->count < 64)
		seen->times[seen->count] = clock_ms();
	seen->count++;
	seen->outcome = report->outcome;
	snprintf(seen->sentence, sizeof(seen->sentence), "%s", report->sentence);
}

static void drive(const int *count, int wanted, int milliseconds)
{
	__s64 end = clock_ms() + milliseconds;

	while (*count < wanted && clock_ms() < end) {
		wait_for(health_prober_fd(prober), milliseconds < 50 ? milliseconds : 50);
		health_prober_run(prober);
	}
}

static struct health_target make_target(enum canary_forward forward, const char *address, const char *backend)
{
	return (struct health_target){
		.service = "web",
		.address = make_addr(address),
		.port = 80,
		.forward = forward,
		.gue_port = forward == CANARY_FORWARD_GUE ? TEST_GUE_PORT : 0,
		.backend = make_addr(backend),
		.backend_port = 80,
	};
}

/* One check of it, of a row: the first result. */
static struct seen check(struct health_target target, struct health_check check)
{
	struct health_probe *probe;
	struct seen seen = {};
	struct error error = {};

	check.interval = check.interval ? check.interval : 500;
	check.timeout = check.timeout ? check.timeout : 500;
	if (health_probe_add(prober, &target, &check, note, &seen, &probe, &error))
		fail_msg("%s", error.text);
	drive(&seen.count, 1, 8000);
	assert_true(seen.count > 0);
	health_probe_remove(probe);
	return seen;
}

static void assert_seen(struct seen seen, enum health_outcome outcome, const char *sentence)
{
	if (seen.outcome != outcome || !strstr(seen.sentence, sentence))
		fail_msg("%d: %s\nand should be %d: %s", seen.outcome, seen.sentence, outcome, sentence);
}

/* A socket that listens on the backend. */
static int listen_there(const char *address, int port)
{
	struct canary_addr addr = make_addr(address);
	struct sockaddr_storage bound = {};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&bound;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&bound;
	const int on = 1;
	int fd;

	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	if (addr_is_v4(&addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, &addr.word[3], 4);
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, &addr, 16);
	}
	fd = socket(bound.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&bound, addr_is_v4(&addr) ? sizeof(*v4) : sizeof(*v6)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	return fd;
}

#define GUE_HEADER 4

/* Each of these carries inner packets, of either family; the last ends it. */
enum { IPV4_IN_IPV4, IPV6_IN_IPV4, IPV4_IN_IPV6, IPV6_IN_IPV6, GUE_IN_IPV4, GUE_IN_IPV6, TUNNELS_QUIT, TUNNELS_POLLED };
static struct pollfd tunnels[TUNNELS_POLLED];
static int gue_protocol; /* as the last packet's header had it */

/* What is before the inner packet, in what a socket gives. */
static size_t outer_len(int tunnel, const unsigned char *packet)
{
	if (tunnel >= GUE_IN_IPV4) {
		gue_protocol = packet[1];
		/* Version 0, no control message, no optional fields. */
		return packet[0] || packet[2] || packet[3] ? 2048 : GUE_HEADER;
	}
	/* IPv6's raw sockets give no header. */
	return tunnel <= IPV6_IN_IPV4 ? (packet[0] & 0xfU) * 4 : 0;
}

static int make_gue_socket(int family)
{
	struct sockaddr_in6 any = {.sin6_family = (sa_family_t)family, .sin6_port = htons(TEST_GUE_PORT)};
	const int on = 1;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET6) {
		/* Without this IPv6 has no datagrams without a checksum. */
		assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, &on, sizeof(on)), 0);
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	}
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	return fd;
}

static int make_tun(void)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "t0");
	return fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0 ? fd : -1;
}

static void *decapsulate(void *arg)
{
	static unsigned char packet[2048];
	int tun = *(int *)arg;

	while (poll(tunnels, TUNNELS_POLLED, -1) > 0 && !tunnels[TUNNELS_QUIT].revents)
		for (int i = 0; i < TUNNELS_QUIT; i++) {
			ssize_t len;
			size_t outer;

			if (!tunnels[i].revents)
				continue;
			len = recv(tunnels[i].fd, packet, sizeof(packet), 0);
			outer = outer_len(i, packet);
			if (len > (ssize_t)outer && write(tun, packet + outer, len - outer) < 0)
				return NULL;
		}
	return NULL;
}

static void write_there(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) > 0);
	close(fd);
}

static void set_up_backend(void)
{
	static int tun;

	netns_run(netns_there, "ip link set lo up");
	netns_run(netns_there, "ip address add 203.0.113.10/32 dev lo");
	netns_run(netns_there, "ip address add 2001:db8:99::10/128 dev lo");
	/* The host's own way to the service leads nowhere: what the kernel sends by itself does not help. */
	netns_run(netns_here, "ip route add 203.0.113.0/24 via 10.1.0.66");
	netns_run(netns_here, "ip route add 2001:db8:99::/64 via 2001:db8:1::66");
	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	tun = make_tun();
	assert_true(tun >= 0);
	write_there("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	write_there("/proc/sys/net/ipv4/conf/t0/rp_filter", "0");
	tunnels[IPV4_IN_IPV4].fd = socket(AF_INET, SOCK_RAW, IPPROTO_IPIP);
	tunnels[IPV6_IN_IPV4].fd = socket(AF_INET, SOCK_RAW, IPPROTO_IPV6);
	tunnels[IPV4_IN_IPV6].fd = socket(AF_INET6, SOCK_RAW, IPPROTO_IPIP);
	tunnels[IPV6_IN_IPV6].fd = socket(AF_INET6, SOCK_RAW, IPPROTO_IPV6);
	tunnels[GUE_IN_IPV4].fd = make_gue_socket(AF_INET);
	tunnels[GUE_IN_IPV6].fd = make_gue_socket(AF_INET6);
	assert_int_equal(pipe(tunnel_quit), 0);
	tunnels[TUNNELS_QUIT].fd = tunnel_quit[0];
	for (int i = 0; i < TUNNELS_POLLED; i++) {
		assert_true(tunnels[i].fd >= 0);
		tunnels[i].events = POLLIN;
	}
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	netns_run(netns_there, "ip link set t0 up");
	assert_int_equal(pthread_create(&decapsulator, NULL, decapsulate, &tun), 0);
}

static int set_up(void **state)
{
	struct error error;

	if (netns_set_up(state))
		return -1;
	if (geteuid() == 0)
		set_up_backend();
	return health_prober_open(&prober, &error);
}

static int tear_down(void **state)
{
	health_prober_close(prober);
	if (geteuid() == 0) {
		close(tunnel_quit[1]);
		pthread_join(decapsulator, NULL);
		for (int i = 0; i < TUNNELS_POLLED; i++)
			close(tunnels[i].fd);
	}
	return netns_tear_down(state);
}

static void test_tcp_with_nat_connects_to_the_backend(void **state)
{
	int fd;

	(void)state;
	netns_needed();
	fd = listen_there("10.1.0.2", 8080);
	assert_seen(
		check(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "10.1.0.2"), (struct health_check){.port = 8080}),
		HEALTH_GOOD, "");
	close(fd);
	assert_seen(
		check(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "10.1.0.2"), (struct health_check){.port = 8080}),
		HEALTH_BAD, "no connection: Connection refused");
	assert_seen(check(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "10.1.0.99"), (struct health_check){}),
		    HEALTH_BAD, "no answer in time");
	assert_seen(check(make_target(CANARY_FORWARD_NAT, "203.0.113.10", "192.0.2.1"), (struct health_check){}),
		    HEALTH_BAD, "no connection: Network is unreachable");
}

/* Handshakes that the backend still believes in (/proc/net/tcp, state 3 is SYN_RECV). */
static int half_open_there(void)
{
	static const char *const names[] = {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"};
	int count = 0;

	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	for (size_t i = 0; i < 2; i++) {
		FILE *file = fopen(names[i], "r");
		char line[512];
		unsigned state;

		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, " %*d: %*s %*s %x", &state) == 1 && state == 3)
				count++;
		fclose(file);
	}
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	return count;
}

/* Good while it listens; refused when it does not; no answer when the service's address is not on it; RSTs clean up. */
static void try_all(enum canary_forward forward, const char *address, const char *prefix, const char *backend)
{
	struct health_target target = make_target(forward, address, backend);
	/* The first check of a backend may only have found out its link-layer address. */
	const struct health_check once = {.interval = 500, .timeout = 500};
	int fd = listen_there(address, 80);
	struct seen seen;

	check(target, once);
	for (int i = 0; i < 2; i++)
		assert_seen(check(target, once), HEALTH_GOOD, "");
	/* No connection was ever complete. */
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	/* The last RST may still be in the tunnel. Without one it would be seconds. */
	for (int i = 0; i < 50 && half_open_there(); i++)
		usleep(10000);
	assert_int_equal(half_open_there(), 0);
	close(fd);
	assert_seen(check(target, once), HEALTH_BAD, "it refuses connections to the service's address");
	netns_run(netns_there, "ip address del %s dev lo", prefix);
	/* With its own address it would answer. */
	fd = listen_there(backend, 80);
	seen = check(target, once);
	netns_run(netns_there, "ip address add %s dev lo", prefix);
	close(fd);
	assert_seen(seen, HEALTH_BAD, "");
}

static void test_tcp_with_l2_tries_the_services_address(void **state)
{
	(void)state;
	netns_needed();
	try_all(CANARY_FORWARD_L2, "203.0.113.10", "203.0.113.10/32", "10.1.0.2");
	try_all(CANARY_FORWARD_L2, "2001:db8:99::10", "2001:db8:99::10/128", "2001:db8:1::2");
}

static void test_tcp_with_ipip_tries_it_in_the_tunnel(void **state)
{
	(void)state;
	netns_needed();
	try_all(CANARY_FORWARD_IPIP, "203.0.113.10", "203.0.113.10/32", "10.1.0.2");
	try_all(CANARY_FORWARD_IPIP, "2001:db8:99::10", "2001:db8:99::10/128", "2001:db8:1::2");
	try_all(CANARY_FORWARD_IPIP, "203.0.113.10", "203.0.113.10/32", "2001:db8:1::2");
	try_all(CANARY_FORWARD_IPIP, "2001:db8:99::10", "2001:db8:99::10/128", "10.1.0.2");
}

static void test_tcp_with_gue_tries_it_in_the_tunnel(void **state)
{
	(void)state;
	netns_needed();
	try_all(CANARY_FORWARD_GUE, "203.0.113.10", "203.0.113.10/32", "10.1.0.2");
	assert_int_equal(gue_protocol, IPPROTO_IPIP);
	try_all(CANARY_FORWARD_GUE, "2001:db8:99::10", "2001:db8:99::10/128", "2001:db8:1::2");
	assert_int_equal(gue_protocol, IPPROTO_IPV6);
	try_all(CANARY_FORWARD_GUE, "203.0.113.10", "203.0.113.10/32", "2001:db8:1::2");
	assert_int_equal(gue_protocol, IPPROTO_IPIP);
	try_all(CANARY_FORWARD_GUE, "2001:db8:99::10", "2001:db8:99::10/128", "10.1.0.2");
	assert_int_equal(gue_protocol, IPPROTO_IPV6);
}

/* Answers every SYN for the service, as nobody on the host does, with these flags and a number that is off. */
static void answer_wrongly(int fd, __u8 flags, __u32 off)
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	struct frame asked, answer;
	__u8 packet[FRAME_MAX];
	ssize_t got = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len);

	if (got < 0 || !frame_read(packet, got, &asked) || asked.flags != FRAME_SYN)
		return;
	answer = (struct frame){.tuple = {asked.tuple.destination, asked.tuple.source, asked.tuple.destination_port,
					  asked.tuple.source_port},
				.sequence = 1,
				.acknowledged = asked.sequence + 1 + off,
				.flags = flags};
	assert_true(sendto(fd, packet, frame_write(&answer, packet), 0, (struct sockaddr *)&from, len) > 0);
}

static struct seen check_answered(__u8 flags, __u32 off)
{
	struct health_target target = make_target(CANARY_FORWARD_L2, "203.0.113.10", "10.1.0.2");
	const struct health_check once = {.interval = 500, .timeout = 500};
	struct health_probe *probe;
	struct seen seen = {};
	struct error error;
	int fd;

	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, htons(ETH_P_IP));
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	assert_int_equal(health_probe_add(prober, &target, &once, note, &seen, &probe, &error), 0);
	for (int i = 0; i < 1000 && !seen.count; i++) {
		answer_wrongly(fd, flags, off);
		drive(&seen.count, 1, 1);
	}
	health_probe_remove(probe);
	close(fd);
	return seen;
}

static void test_only_an_answer_to_our_own_syn_counts(void **state)
{
	(void)state;
	netns_needed();
	netns_run(netns_there, "ip address del 203.0.113.10/32 dev lo");
	check_answered(FRAME_SYN | FRAME_ACK, 0);
	assert_seen(check_answered(FRAME_SYN | FRAME_ACK, 0), HEALTH_GOOD, "");
	assert_seen(check_answered(FRAME_RST | FRAME_ACK, 0), HEALTH_BAD, "it refuses");
	assert_seen(check_answered(FRAME_SYN | FRAME_ACK, 1), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_RST | FRAME_ACK, 1), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_SYN | FRAME_ACK, 0x10000), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_SYN, 0), HEALTH_BAD, "no answer in time");
	assert_seen(check_answered(FRAME_ACK, 0), HEALTH_BAD, "no answer in time");
	netns_run(netns_there, "ip address add 203.0.113.10/32 dev lo");
}

static void test_a_backend_that_is_not_there_is_bad(void **state)
{
	(void)state;
	netns_needed();
	assert_seen(check(make_target(CANARY_FORWARD_L2, "203.0.113.10", "10.1.0.77"), (struct health_check){}),
		    HEALTH_BAD, "its link-layer address is not known: No route to host");
	assert_seen(check(make_target(CANARY_FORWARD_L2, "203.0.113.10", "192.0.2.7"), (struct health_check){}),
		    HEALTH_BAD, "there is no way to it: Network is unreachable");
	assert_seen(check(make_target(CANARY_FORWARD_IPIP, "203.0.113.10", "10.1.0.77"), (struct health_check){}),
		    HEALTH_BAD, "no answer in time");
}

static void handle_status(struct http_call *call, void *arg)
{
	const char *host = http_header(call, "Host");

	(void)arg;
	http_reply_text(call, strcmp(host, "shop.example") == 0 ? atoi(http_part(call, "status")) : 421, "text/plain",
			"", 0);
}

static void handle_never(struct http_call *call, void *arg)
{
	http_wait(call, NULL, arg);
}

static void test_http_asks_for_a_status(void **state)
{
	static const struct http_route routes[] = {{"GET", "/status/{status}", HTTP_EVERYBODY, handle_status},
						   {"GET", "/never", HTTP_EVERYBODY, handle_never},
						   {}};
	static const struct {
		const char *path, *host;
		unsigned status;
		enum health_outcome outcome;
		const char *sentence;
	} cases[] = {
		{"/status/200", "shop.example", 0, HEALTH_GOOD, ""},
		{"/status/302", "shop.example", 0, HEALTH_GOOD, ""},
		{"/status/404", "shop.example", 0, HEALTH_BAD, "it answers with status 404"},
		{"/status/503", "shop.example", 0, HEALTH_BAD, "it answers with status 503"},
		{"/status/503", "shop.example", 503, HEALTH_GOOD, ""},
		{"/status/200", "shop.example", 503, HEALTH_BAD, "it answers with status 200"},
		{"/status/200", NULL, 0, HEALTH_BAD, "it answers with status 421"},
		{"/never", NULL, 0, HEALTH_BAD, "timed out"},
	};
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	struct test_server server;

	(void)state;
	netns_needed();
	test_server_start(&server, NULL, routes, NULL);
	target.backend_port = server.port;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_seen(check(target, (struct health_check){.kind = HEALTH_HTTP,
								.path = cases[i].path,
								.host = cases[i].host,
								.statuses = {cases[i].status}}),
			    cases[i].outcome, cases[i].sentence);
	test_server_stop(&server);
	assert_seen(check(target, (struct health_check){.kind = HEALTH_HTTP}), HEALTH_BAD, "http://127.0.0.1:");
}

/* Accepts what the check connects to, and answers its request with these parts, each in a segment of its own. */
static void serve_parts(int listener, const char *const parts[], char request[512], const struct seen *seen)
{
	struct pollfd client = {.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), .events = POLLIN};
	const int on = 1;
	ssize_t len;

	if (client.fd < 0)
		return;
	setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(poll(&client, 1, 1000), 1);
	len = recv(client.fd, request, 511, 0);
	assert_true(len > 0);
	request[len] = '\0';
	for (int i = 0; parts[i]; i++)
		assert_true(send(client.fd, parts[i], strlen(parts[i]), MSG_NOSIGNAL) > 0);
	/* Without an answer it is the server that ends it; else the check has to. */
	if (!parts[0])
		shutdown(client.fd, SHUT_WR);
	drive(&seen->count, 1, 600);
	/* The RST may still be in the tunnel: a FIN that crossed it would be answered by the kernel here. */
	if (seen->count)
		assert_int_equal(poll(&client, 1, 1000), 1);
	close(client.fd);
}

static struct seen get(const struct health_target *target, const char *const parts[], char request[512])
{
	const struct health_check once = {
		.kind = HEALTH_HTTP, .interval = 500, .timeout = 500, .path = "/healthz", .host = "shop.example"};
	char text[ADDR_TEXT_LEN];
	int listener = listen_there(format_addr(&target->address, text), 80);
	struct health_probe *probe;
	struct seen seen = {};
	struct error error;

	assert_int_equal(health_probe_add(prober, target, &once, note, &seen, &probe, &error), 0);
	for (int i = 0; i < 2000 && !seen.count; i++) {
		serve_parts(listener, parts, request, &seen);
		drive(&seen.count, 1, 1);
	}
	health_probe_remove(probe);
	close(listener);
	return seen;
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* RSTs that the kernel here has sent by itself: raw sockets' do not count. */
static int resets_here(void)
{
	FILE *file = fopen("/proc/thread-self/net/snmp", "r");
	char line[1024];
	int resets = -1;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %d", &resets) == 1)
			break;
	fclose(file);
	assert_int_not_equal(resets, -1);
	return resets;
}

static void get_good(enum canary_forward forward, const char *address, const char *backend)
{
	struct health_target target = make_target(forward, address, backend);
	static char request[512];
	int resets;

	check(target, (struct health_check){});
	resets = resets_here();
	assert_seen(get(&target, PARTS("HTTP/1.1 200 OK\r\n\r\n"), request), HEALTH_GOOD, "");
	assert_non_null(strstr(request, "GET /healthz HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: canaryd/"));
	assert_non_null(strstr(request, "\r\nConnection: close\r\n\r\n"));
	assert_int_equal(resets_here(), resets);
}

static void get_all(enum canary_forward forward, const char *address, const char *backend)
{
	struct health_target target = make_target(forward, address, backend);
	static char request[512], page[20000];

	memset(page, 'x', sizeof(page) - 1);
	get_good(forward, address, backend);
	assert_seen(get(&target, PARTS("H", "TTP/1.0 5", "00"), request), HEALTH_BAD, "no answer in time");
	assert_seen(get(&target, PARTS("H", "TTP/1.0 5", "00", " Oh"), request), HEALTH_BAD, "answers with status 500");
	assert_seen(get(&target, PARTS("HTTP/1.1 103 Hints\r\n\r\n", "HTTP/1.1 204 \r\n"), request), HEALTH_GOOD, "");
	/* More than the window. */
	assert_seen(get(&target, PARTS("HTTP/1.1 404 \r\n\r\n", page), request), HEALTH_BAD, "answers with status 404");
	assert_seen(get(&target, PARTS("SSH-2.0-x\r\n"), request), HEALTH_BAD, "it does not answer in HTTP/1");
	assert_seen(get(&target, PARTS(), request), HEALTH_BAD, "it ends the connection without an answer");
	assert_seen(check(target, (struct health_check){.kind = HEALTH_HTTP}), HEALTH_BAD, "it refuses connections");
}

static void test_http_goes_to_the_services_address(void **state)
{
	(void)state;
	netns_needed();
	get_all(CANARY_FORWARD_L2, "203.0.113.10", "10.1.0.2");
	get_good(CANARY_FORWARD_L2, "2001:db8:99::10", "2001:db8:1::2");
	get_good(CANARY_FORWARD_IPIP, "203.0.113.10", "10.1.0.2");
	get_good(CANARY_FORWARD_IPIP, "2001:db8:99::10", "10.1.0.2");
	get_good(CANARY_FORWARD_GUE, "203.0.113.10", "2001:db8:1::2");
	get_all(CANARY_FORWARD_GUE, "2001:db8:99::10", "2001:db8:1::2");
}

/* Accepts every handshake; the first request is lost, and what comes too early does not count. */
static void answer_with_losses(int fd, int *requests)
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	struct frame asked, answer;
	__u8 packet[FRAME_MAX];
	ssize_t got = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len);

	if (got < 0 || !frame_read(packet, got, &asked) || (asked.flags != FRAME_SYN && !asked.len))
		return;
	*requests += asked.flags != FRAME_SYN;
	answer = (struct frame){.tuple = {asked.tuple.destination, asked.tuple.source, asked.tuple.destination_port,
					  asked.tuple.source_port},
				.sequence = asked.flags == FRAME_SYN ? 0xffffffff : 0,
				.acknowledged = asked.sequence + (asked.flags == FRAME_SYN),
				.flags = asked.flags == FRAME_SYN ? FRAME_SYN | FRAME_ACK : FRAME_ACK};
	if (*requests == 1) {
		/* The end of an answer, of which the beginning is lost: nothing is acknowledged. */
		answer.sequence = 13;
		answer.data = (const __u8 *)"HTTP/1.1 500 ";
		answer.len = 13;
	} else if (*requests == 2) {
		answer.acknowledged = asked.sequence + (__u32)asked.len;
		answer.data = (const __u8 *)"HTTP/1.1 200 ";
		answer.len = 13;
	}
	assert_true(sendto(fd, packet, frame_write(&answer, packet), 0, (struct sockaddr *)&from, len) > 0);
}

static void test_a_request_is_sent_again(void **state)
{
	struct health_target target = make_target(CANARY_FORWARD_L2, "203.0.113.10", "10.1.0.2");
	const struct health_check once = {.kind = HEALTH_HTTP, .interval = 3000, .timeout = 3000};
	struct health_probe *probe;
	struct seen seen = {};
	struct error error;
	int fd, requests = 0;

	(void)state;
	netns_needed();
	netns_run(netns_there, "ip address del 203.0.113.10/32 dev lo");
	check(target, (struct health_check){});
	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, htons(ETH_P_IP));
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	assert_int_equal(health_probe_add(prober, &target, &once, note, &seen, &probe, &error), 0);
	for (int i = 0; i < 10000 && !seen.count; i++) {
		answer_with_losses(fd, &requests);
		drive(&seen.count, 1, 1);
	}
	health_probe_remove(probe);
	close(fd);
	netns_run(netns_there, "ip address add 203.0.113.10/32 dev lo");
	assert_seen(seen, HEALTH_GOOD, "");
	assert_int_equal(requests, 2);
}

static void test_a_command_says_what_it_says(void **state)
{
	static const struct {
		char *script;
		enum health_outcome outcome;
		const char *sentence;
	} cases[] = {
		{"exit 0", HEALTH_GOOD, ""},
		{"echo $CANARY_SERVICE $CANARY_ADDRESS $CANARY_BACKEND; exit 1", HEALTH_BAD,
		 "web 203.0.113.10:80 10.1.0.2:80"},
		{"exit 3", HEALTH_BAD, "the command ended with code 3"},
		{"exec sleep 9", HEALTH_BAD, "the command did not end in time"},
	};
	char *missing[] = {"/no/such/command", NULL};
	struct health_target target = make_target(CANARY_FORWARD_IPIP, "203.0.113.10", "10.1.0.2");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[] = {"sh", "-c", cases[i].script, NULL};

		assert_seen(check(target, (struct health_check){.kind = HEALTH_COMMAND, .argv = argv}),
			    cases[i].outcome, cases[i].sentence);
	}
	assert_seen(check(target, (struct health_check){.kind = HEALTH_COMMAND, .argv = missing}), HEALTH_UNKNOWN,
		    "/no/such/command: cannot be run");
}

static void test_checks_come_once_an_interval(void **state)
{
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	const struct health_check every = {.interval = 50, .timeout = 50};
	struct health_probe *probe;
	struct seen seen = {};
	struct error error;
	__s64 took;

	(void)state;
	assert_int_equal(health_probe_add(prober, &target, &every, note, &seen, &probe, &error), 0);
	drive(&seen.count, 21, 5000);
	took = seen.times[20] - seen.times[0];
	if (took < 20 * 50 - 10 || took > 20 * 50 + 300)
		fail_msg("20 intervals of 50 ms took %lld ms", took);
	health_probe_remove(probe);
	seen.count = 0;
	drive(&seen.count, 1, 150);
	assert_int_equal(seen.count, 0);
}

static struct health_probe *many[300];
static int reports;

/* Each report removes this probe and the next one, and puts another in its place. */
static void replace(const struct health_report *report, void *arg)
{
	const struct health_check once = {.interval = 20, .timeout = 20};
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	size_t here = (size_t)((struct health_probe **)arg - many), next = (here + 1) % 300;
	struct error error;

	(void)report;
	reports++;
	health_probe_remove(many[here]);
	health_probe_remove(many[next]);
	many[next] = NULL;
	assert_int_equal(health_probe_add(prober, &target, &once, replace, arg, &many[here], &error), 0);
}

static void test_probes_may_come_and_go_in_a_report(void **state)
{
	struct health_target target = make_target(CANARY_FORWARD_NAT, "203.0.113.10", "127.0.0.1");
	const struct health_check once = {.interval = 20, .timeout = 20};
	struct error error;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(health_probe_add(prober, &target, &once, replace, &many[i], &many[i], &error), 0);
	drive(&reports, 2000, 10000);
	assert_true(reports >= 2000);
	for (size_t i = 0; i < 300; i++)
		health_probe_remove(many[i]);
}

#define CHECK(name, every, within, ...)                                                                                \
	{                                                                                                              \
		.kind = HEALTH_##name, .interval = (every), .timeout = (within), __VA_ARGS__                           \
	}

static void test_checks_that_make_no_sense_are_refused(void **state)
{
	static char fits[1001], too_long[1201];
	static const struct {
		enum canary_forward forward;
		struct health_check check;
		int port, code;
		const char *sentence;
	} cases[] = {
		{CANARY_FORWARD_L2, CHECK(HTTP, 100, 100, .host = fits), 80, 0, ""},
		{CANARY_FORWARD_L2, CHECK(HTTP, 100, 100, .host = too_long), 80, -EINVAL,
		 "longer than one segment, 1220"},
		{CANARY_FORWARD_NAT, CHECK(HTTP, 100, 100, .host = too_long), 80, 0, ""},
		{CANARY_FORWARD_GUE, CHECK(HTTP, 100, 100), 0, -EINVAL, "web: is on every port: say which one"},
		{CANARY_FORWARD_L2, CHECK(TCP, 100, 100), 0, -EINVAL, "web: is on every port: say which one"},
		{CANARY_FORWARD_NAT, CHECK(TCP, 100, 101), 80, -EINVAL, "timeout is at least 1 ms, and at most"},
		{CANARY_FORWARD_NAT, CHECK(TCP, 0, 0), 80, -EINVAL, "timeout is at least 1 ms, and at most"},
		{CANARY_FORWARD_NAT, CHECK(COMMAND, 100, 100), 80, -EINVAL, "the check has no command"},
		{CANARY_FORWARD_NAT, CHECK(HTTP, 100, 100, .path = "x"), 80, -EINVAL, "path begins with a '/'"},
		{CANARY_FORWARD_L2, CHECK(TCP, 100, 100, .port = 8080), 0, 0, ""},
	};

	(void)state;
	memset(fits, 'a', sizeof(fits) - 1);
	memset(too_long, 'a', sizeof(too_long) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct health_target target = make_target(cases[i].forward, "203.0.113.10", "10.1.0.2");
		struct error error = {};

		target.port = cases[i].port;
		assert_int_equal(health_check_allowed(&target, &cases[i].check, &error), cases[i].code);
		if (!strstr(error.text, cases[i].sentence))
			fail_msg("%s", error.text);
	}
	health_probe_remove(NULL);
	health_prober_close(NULL);
}

static void test_frames_are_read_as_they_were_written(void **state)
{
	static const char *const addresses[][2] = {{"10.1.0.1", "203.0.113.10"}, {"2001:db8::1", "2001:db8:99::10"}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct frame written = {.tuple = {make_addr(addresses[i][0]), make_addr(addresses[i][1]), 40000, 80},
					.sequence = 0xfedcba98,
					.acknowledged = 0x01234567,
					.flags = FRAME_SYN | FRAME_ACK},
			     read = {};
		__u8 packet[FRAME_MAX];
		size_t len = frame_write(&written, packet);

		assert_true(frame_read(packet, len, &read));
		assert_memory_equal(&read.tuple, &written.tuple, sizeof(read.tuple));
		assert_int_equal(read.sequence, written.sequence);
		assert_int_equal(read.acknowledged, written.acknowledged);
		assert_int_equal(read.flags, written.flags);
		/* Without its options it is whole; without a byte more it is not. */
		assert_true(frame_read(packet, len - 4, &read));
		for (size_t cut = 0; cut < len - 4; cut++)
			assert_false(frame_read(packet, cut, &read));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_with_nat_connects_to_the_backend),
		cmocka_unit_test(test_tcp_with_l2_tries_the_services_address),
		cmocka_unit_test(test_tcp_with_ipip_tries_it_in_the_tunnel),
		cmocka_unit_test(test_tcp_with_gue_tries_it_in_the_tunnel),
		cmocka_unit_test(test_only_an_answer_to_our_own_syn_counts),
		cmocka_unit_test(test_a_backend_that_is_not_there_is_bad),
		cmocka_unit_test(test_http_asks_for_a_status),
		cmocka_unit_test(test_http_goes_to_the_services_address),
		cmocka_unit_test(test_a_request_is_sent_again),
		cmocka_unit_test(test_a_command_says_what_it_says),
		cmocka_unit_test(test_checks_come_once_an_interval),
		cmocka_unit_test(test_probes_may_come_and_go_in_a_report),
		cmocka_unit_test(test_checks_that_make_no_sense_are_refused),
		cmocka_unit_test(test_frames_are_read_as_they_were_written),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
