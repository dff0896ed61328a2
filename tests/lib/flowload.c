/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the tests: opens many flows from addresses and ports that the test chooses, and tells which server
 * answered each.
 *
 *   flowload [OPTION]... ADDRESS PORT
 *     -s ADDRESS[/COUNT]  source addresses: COUNT in a row from ADDRESS on (default: the kernel's choice)
 *     -p FIRST[-LAST]     source ports (default: 20000-59999)
 *     -n COUNT            how many flows (default: one for each address and port); flow I has address I modulo COUNT
 *     -c COUNT            so many at once (default 256)
 *     -r COUNT            at most so many new ones a second
 *     -t MS               a flow without an answer for so long has failed (default 5000)
 *     -u                  UDP: one datagram, one answer
 *     -F                  end connections with a FIN: with a reset they tell who watches them that something was wrong
 *     -o FILE             "CLIENT PORT SERVER" for every flow, in the order of the flows; a failed one says "-" and why, and
 *                         in brackets who had answered it
 *     -H SECONDS          hold: keep all flows open, exchange a byte (UDP: a datagram) on each every second, for so
 *                         long (0: until SIGTERM). A flow that breaks, or that another server answers, is a failure; a
 *                         datagram without an answer is sent again until the time of -t is over
 *     -R FILE             hold: is created when all flows are open
 *
 * At the end, or on SIGTERM: "FLOWS ok N failed N" (and "changed N" when holding). Without -F connections end with a
 * reset, so that the same ports can be used again at once. Exit code 1 if a flow failed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "endpoints.h"

enum state { UNOPENED, OPENING, HELD, DONE, FAILED };

struct flow {
	int fd;
	enum state state;
	bool waiting; /* HELD: for the echo of what was sent */
	int error;
	uint64_t deadline; /* ms */
	char server[24];
	char got; /* bytes of `server` */
};

static struct {
	struct sockaddr_storage target;
	struct sources sources;
	socklen_t addr_len;
	bool udp, hold, fin;
	unsigned flows, concurrency, rate, timeout, seconds;
	const char *output, *ready;
} options = {.sources = {.addresses = 1, .first_port = 20000, .ports = 40000}, .concurrency = 256, .timeout = 5000};

static struct flow *flows;
static unsigned open_count, active, opened, failed, changed;
static int epoll;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static void end(struct flow *flow, enum state state, int error)
{
	if (flow->state == OPENING)
		active--;
	else if (flow->state == HELD)
		open_count--;
	if (flow->fd >= 0)
		close(flow->fd);
	flow->fd = -1;
	flow->state = state;
	flow->error = error;
	if (state == FAILED)
		failed++;
}

static void say_hello(struct flow *flow)
{
	if (send(flow->fd, "?", 1, MSG_NOSIGNAL) != 1)
		end(flow, FAILED, errno);
}

static void start(unsigned index)
{
	struct flow *flow = &flows[index];
	struct sockaddr_storage source = source_of(&options.sources, index);
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
	struct linger reset = {1, 0};
	int one = 1;

	opened++;
	active++;
	flow->state = OPENING;
	flow->deadline = now_ms() + options.timeout;
	flow->fd = socket(source.ss_family, (options.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (flow->fd < 0)
		err(1, "socket (flow %u)", index);
	setsockopt(flow->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!options.fin)
		setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(flow->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(flow->fd, (void *)&source, options.addr_len))
		end(flow, FAILED, errno);
	else if (connect(flow->fd, (void *)&options.target, options.addr_len) && errno != EINPROGRESS)
		end(flow, FAILED, errno);
	else if (epoll_ctl(epoll, EPOLL_CTL_ADD, flow->fd, &event))
		err(1, "epoll_ctl");
	else if (options.udp)
		say_hello(flow);
}

/* A whole banner has come. */
static void answered(struct flow *flow)
{
	if (!options.hold) {
		end(flow, DONE, 0);
		return;
	}
	active--;
	open_count++;
	flow->state = HELD;
}

static void read_banner(struct flow *flow)
{
	int room = sizeof(flow->server) - flow->got;
	ssize_t got = recv(flow->fd, flow->server + flow->got, room, 0);
	char *line_end;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || got == room) {
		end(flow, FAILED, got < 0 ? errno : EPROTO);
		return;
	}
	line_end = memchr(flow->server + flow->got, '\n', got);
	flow->got += got;
	if (line_end) {
		*line_end = '\0';
		answered(flow);
	}
}

static void read_echo(struct flow *flow)
{
	char buf[64] = "";
	ssize_t got = recv(flow->fd, buf, sizeof(buf) - 1, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end(flow, FAILED, got < 0 ? errno : EPIPE);
		return;
	}
	flow->waiting = false;
	if (!options.udp)
		return;
	buf[strcspn(buf, "\n")] = '\0';
	if (strcmp(buf, flow->server)) {
		changed++;
		snprintf(flow->server, sizeof(flow->server), "%.*s", (int)sizeof(flow->server) - 1, buf);
	}
}

static void handle_events(int timeout)
{
	struct epoll_event events[256];
	int count = epoll_wait(epoll, events, 256, timeout);

	for (int i = 0; i < count; i++) {
		struct flow *flow = &flows[events[i].data.u32];

		if (flow->state == OPENING)
			read_banner(flow);
		else if (flow->state == HELD)
			read_echo(flow);
	}
}

static void fail_late(uint64_t now)
{
	for (unsigned i = 0; i < opened; i++) {
		struct flow *flow = &flows[i];

		if ((flow->state == OPENING || (flow->state == HELD && flow->waiting)) && now > flow->deadline)
			end(flow, FAILED, ETIMEDOUT);
	}
}

static void open_all(void)
{
	uint64_t begun = now_ms(), checked = begun;

	while ((!stopped && opened < options.flows) || active) {
		uint64_t now = now_ms();
		bool held_back = false;

		while (!stopped && opened < options.flows && active < options.concurrency) {
			held_back = options.rate && opened >= (now - begun) * options.rate / 1000 + 1;
			if (held_back)
				break;
			start(opened);
		}
		handle_events(held_back ? 1 : 50);
		if (now > checked + 100) {
			fail_late(now);
			checked = now;
		}
	}
}

static void exchange(void)
{
	for (unsigned i = 0; i < options.flows; i++) {
		struct flow *flow = &flows[i];

		if (flow->state != HELD || (flow->waiting && !options.udp))
			continue;
		if (!flow->waiting)
			flow->deadline = now_ms() + options.timeout;
		flow->waiting = true;
		say_hello(flow);
	}
}

static void hold_all(void)
{
	uint64_t until = options.seconds ? now_ms() + options.seconds * 1000ULL : UINT64_MAX, next = 0;

	if (options.ready)
		close(open(options.ready, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	while (!stopped && now_ms() < until) {
		if (now_ms() >= next) {
			fail_late(now_ms());
			exchange();
			next = now_ms() + 1000;
		}
		handle_events(50);
	}
	/* What was sent last is answered as well, before all is judged. */
	for (uint64_t last = now_ms() + options.timeout; now_ms() < last;) {
		unsigned waiting = 0;

		for (unsigned i = 0; i < options.flows; i++)
			waiting += flows[i].state == HELD && flows[i].waiting;
		if (!waiting)
			break;
		handle_events(50);
	}
	fail_late(UINT64_MAX);
}

static void report(void)
{
	FILE *out = options.output ? fopen(options.output, "we") : NULL;
	char text[INET6_ADDRSTRLEN];

	if (options.output && !out)
		err(1, "%s", options.output);
	for (unsigned i = 0; out && i < opened; i++) {
		struct sockaddr_storage source = source_of(&options.sources, i);
		unsigned port = ntohs(((struct sockaddr_in *)&source)->sin_port);

		inet_ntop(source.ss_family,
			  source.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&source)->sin_addr
						      : (void *)&((struct sockaddr_in6 *)&source)->sin6_addr,
			  text, sizeof(text));
		if (flows[i].state == FAILED)
			fprintf(out, "%s %u - %s (%s)\n", text, port, strerror(flows[i].error),
				options.hold ? flows[i].server : "");
		else
			fprintf(out, "%s %u %s\n", text, port, flows[i].server);
	}
	if (out && fclose(out))
		err(1, "%s", options.output);
	printf("FLOWS ok %u failed %u", opened - failed, failed);
	if (options.hold)
		printf(" changed %u", changed);
	printf("\n");
}

static void parse_options(int argc, char **argv)
{
	unsigned all;
	char *rest;
	int option;

	while ((option = getopt(argc, argv, "s:p:n:c:r:t:uFo:H:R:")) >= 0) {
		switch (option) {
		case 's':
			parse_source_addresses(optarg, &options.sources);
			break;
		case 'p':
			parse_source_ports(optarg, &options.sources);
			break;
		case 'n':
			options.flows = parse_number(optarg, &rest);
			break;
		case 'c':
			options.concurrency = parse_number(optarg, &rest);
			break;
		case 'r':
			options.rate = parse_number(optarg, &rest);
			break;
		case 't':
			options.timeout = parse_number(optarg, &rest);
			break;
		case 'u':
			options.udp = true;
			break;
		case 'F':
			options.fin = true;
			break;
		case 'o':
			options.output = optarg;
			break;
		case 'H':
			options.hold = true;
			options.seconds = parse_number(optarg, &rest);
			break;
		case 'R':
			options.ready = optarg;
			break;
		default:
			errx(2, "see the head of flowload.c");
		}
	}
	if (argc - optind != 2)
		errx(2, "usage: flowload [OPTION]... ADDRESS PORT");
	options.addr_len = parse_endpoint(argv[optind], argv[optind + 1], &options.target);
	match_family(&options.sources, &options.target);
	all = options.sources.addresses * options.sources.ports;
	if (!options.flows || options.flows > all)
		options.flows = all;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};

	parse_options(argc, argv);
	raise_descriptor_limit();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	flows = calloc(options.flows, sizeof(*flows));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!flows || epoll < 0)
		err(1, "no memory or descriptors");
	for (unsigned i = 0; i < options.flows; i++)
		flows[i].fd = -1;
	open_all();
	if (options.hold)
		hold_all();
	report();
	return failed || changed ? 1 : 0;
}
