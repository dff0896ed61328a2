/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks by HTTP: with nat of the backend's own address, else with our own TCP of the service's.
 *
 * Runs first: it takes long, and waits nearly all the time.
 */
#include "lib_health.h"
#include "lib_http.h"
#include "lib_model.h"
#include "lib_netns.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/text.h"
#include "io/health_frame.h"

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
		assert_seen(check_once(target, (struct health_check){.kind = HEALTH_HTTP,
								     .path = cases[i].path,
								     .host = cases[i].host,
								     .statuses = {cases[i].status}}),
			    cases[i].outcome, cases[i].sentence);
	test_server_stop(&server);
	assert_seen(check_once(target, (struct health_check){.kind = HEALTH_HTTP}), HEALTH_BAD, "http://127.0.0.1:");
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

	assert_int_equal(health_probe_add(prober, target, &once, note_report, &seen, &probe, &error), 0);
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

	check_once(target, (struct health_check){});
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
	assert_seen(check_once(target, (struct health_check){.kind = HEALTH_HTTP}), HEALTH_BAD,
		    "it refuses connections");
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
	check_once(target, (struct health_check){});
	assert_int_equal(setns(netns_there, CLONE_NEWNET), 0);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, htons(ETH_P_IP));
	assert_int_equal(setns(netns_here, CLONE_NEWNET), 0);
	assert_int_equal(health_probe_add(prober, &target, &once, note_report, &seen, &probe, &error), 0);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_asks_for_a_status),
		cmocka_unit_test(test_http_goes_to_the_services_address),
		cmocka_unit_test(test_a_request_is_sent_again),
	};

	return cmocka_run_group_tests(tests, health_set_up, health_tear_down);
}
