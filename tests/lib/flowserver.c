/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend of the tests. It says who it is, and notes who came:
 *
 *   flowserver NAME LOG PORT[-LAST]...
 *
 * TCP: every connection is answered at once with "NAME\n", then its bytes are echoed. UDP: every datagram is answered
 * with "NAME\n" from the address it was sent to; one of 256 bytes or more comes back whole, with that over its beginning. For each connection and each datagram one line goes to LOG before the
 * answer: "tcp|udp PEER PEER-PORT ADDRESS PORT". When it serves, it prints "ready". From SIGUSR1 on new connections are
 * refused, as if nothing listened, while those that are open live on; it then prints "refusing".
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoints.h"

enum kind { LISTENER, DATAGRAMS, CONNECTION };
enum { LARGE = 256 };

/* What an epoll event carries: the descriptor, its kind, and its family in one word. */
static uint64_t pack(int fd, enum kind kind, int family)
{
	return (uint64_t)family << 40 | (uint64_t)kind << 32 | (uint32_t)fd;
}

static char banner[128];
static FILE *log_file;
static int epoll;
static int listeners[64];
static int listener_count;
static volatile sig_atomic_t stopped, refuses;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void refuse(int signal)
{
	(void)signal;
	refuses = 1;
}

static void watch(int fd, enum kind kind, int family)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = pack(fd, kind, family)};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static const char *text(const struct sockaddr_storage *address, char *buf, unsigned *port)
{
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		*port = ntohs(in->sin_port);
		return inet_ntop(AF_INET, &in->sin_addr, buf, INET6_ADDRSTRLEN);
	}
	const struct sockaddr_in6 *in6 = (const void *)address;

	*port = ntohs(in6->sin6_port);
	return inet_ntop(AF_INET6, &in6->sin6_addr, buf, INET6_ADDRSTRLEN);
}

static void note(const char *proto, const struct sockaddr_storage *peer, const struct sockaddr_storage *own)
{
	char peer_text[INET6_ADDRSTRLEN], own_text[INET6_ADDRSTRLEN];
	unsigned peer_port, own_port;

	text(peer, peer_text, &peer_port);
	text(own, own_text, &own_port);
	fprintf(log_file, "%s %s %u %s %u\n", proto, peer_text, peer_port, own_text, own_port);
}

static void accept_all(int listener)
{
	struct sockaddr_storage peer = {}, own = {};
	int fd, family, one = 1;

	for (;;) {
		socklen_t peer_len = sizeof(peer), own_len = sizeof(own);

		fd = accept4(listener, (void *)&peer, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
				err(1, "accept");
			return;
		}
		if (getsockname(fd, (void *)&own, &own_len))
			err(1, "getsockname");
		note("tcp", &peer, &own);
		family = peer.ss_family;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		/* A peer that is gone already shows at the first read. */
		if (send(fd, banner, strlen(banner), MSG_NOSIGNAL) < 0 && errno != ECONNRESET && errno != EPIPE)
			err(1, "send");
		watch(fd, CONNECTION, family);
	}
}

static void echo(int fd)
{
	char buf[4096];
	ssize_t got = recv(fd, buf, sizeof(buf), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || send(fd, buf, got, MSG_NOSIGNAL) != got)
		close(fd);
}

/* Where a datagram was sent to, from its control messages, as the address to answer from. */
static void destination(struct msghdr *message, int port, struct sockaddr_storage *ret)
{
	struct cmsghdr *control;

	memset(ret, 0, sizeof(*ret));
	for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (void *)CMSG_DATA(control);
			struct sockaddr_in *in = (void *)ret;

			*in = (struct sockaddr_in){AF_INET, port, info->ipi_addr, {}};
			/* The answer takes the route, not the way the datagram came. */
			info->ipi_ifindex = 0;
			info->ipi_spec_dst = info->ipi_addr;
		} else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (void *)CMSG_DATA(control);
			struct sockaddr_in6 *in6 = (void *)ret;

			*in6 = (struct sockaddr_in6){
				.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = info->ipi6_addr};
			info->ipi6_ifindex = 0;
		}
	}
}

static void answer_all(int fd)
{
	struct sockaddr_storage own = {}, bound;
	socklen_t bound_len = sizeof(bound);
	in_port_t port;

	if (getsockname(fd, (void *)&bound, &bound_len))
		err(1, "getsockname");
	port = bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
					  : ((struct sockaddr_in6 *)&bound)->sin6_port;
	for (;;) {
		char buf[65536], control[256];
		struct sockaddr_storage peer = {};
		struct iovec part = {buf, sizeof(buf)};
		struct msghdr message = {&peer, sizeof(peer), &part, 1, control, sizeof(control), 0};
		ssize_t got = recvmsg(fd, &message, 0);

		if (got < 0) {
			/* An ICMP error about an earlier answer is no fault of the server. */
			if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH)
				continue;
			if (errno != EAGAIN && errno != EINTR)
				err(1, "recvmsg");
			return;
		}
		destination(&message, port, &own);
		note("udp", &peer, &own);
		if (got < LARGE) {
			part = (struct iovec){banner, strlen(banner)};
		} else {
			for (size_t i = 0; banner[i]; i++)
				buf[i] = banner[i];
			part = (struct iovec){buf, got};
		}
		if (sendmsg(fd, &message, 0) < 0 && errno != EAGAIN)
			warn("sendmsg");
	}
}

static void serve(int family, int type, int port)
{
	struct sockaddr_in in = {AF_INET, htons(port), {INADDR_ANY}, {}};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int one = 1, size = 8 << 20, fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, family == AF_INET ? (void *)&in : (void *)&in6, family == AF_INET ? sizeof(in) : sizeof(in6)))
		err(1, "bind to port %d", port);
	if (type == SOCK_STREAM) {
		if (listen(fd, 8192) || listener_count == sizeof(listeners) / sizeof(listeners[0]))
			err(1, "listen");
		listeners[listener_count++] = fd;
		watch(fd, LISTENER, family);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO,
		   &one, sizeof(one));
	watch(fd, DATAGRAMS, family);
}

static void serve_ports(const char *ports)
{
	int first, last, fields = sscanf(ports, "%d-%d", &first, &last);

	if (fields < 1)
		errx(2, "%s: not a port", ports);
	if (fields == 1)
		last = first;
	for (int port = first; port <= last; port++) {
		serve(AF_INET, SOCK_STREAM, port);
		serve(AF_INET6, SOCK_STREAM, port);
		serve(AF_INET, SOCK_DGRAM, port);
		serve(AF_INET6, SOCK_DGRAM, port);
	}
}

static void close_listeners(void)
{
	while (listener_count)
		close(listeners[--listener_count]);
	refuses = 0;
	puts("refusing");
	fflush(stdout);
}

static void handle(const struct epoll_event *event)
{
	int fd = (uint32_t)event->data.u64;

	switch (event->data.u64 >> 32 & 0xff) {
	case LISTENER:
		accept_all(fd);
		break;
	case DATAGRAMS:
		answer_all(fd);
		break;
	case CONNECTION:
		echo(fd);
		break;
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};

	if (argc < 4)
		errx(2, "usage: flowserver NAME LOG PORT[-LAST]...");
	raise_descriptor_limit();
	snprintf(banner, sizeof(banner), "%s\n", argv[1]);
	log_file = fopen(argv[2], "ae");
	if (!log_file)
		err(1, "%s", argv[2]);
	setvbuf(log_file, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = refuse}, NULL);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		err(1, "epoll_create1");
	for (int i = 3; i < argc; i++)
		serve_ports(argv[i]);
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		struct epoll_event events[256];
		int count = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < count; i++)
			handle(&events[i]);
		if (refuses)
			close_listeners();
	}
	return fclose(log_file) ? 1 : 0;
}
