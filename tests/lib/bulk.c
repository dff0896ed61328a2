/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large transfers to flowserver and back, with every byte checked:
 *
 *   bulk tcp SOURCE ADDRESS PORT ROUNDS        one connection, 32 KiB there and back a round
 *   bulk udp SOURCE ADDRESS PORT COUNT SIZE    so many datagrams of SIZE bytes, each a flow of its own
 *
 * Prints "BULK ok N lost N damaged N mtu N mss N" (rounds or datagrams; the path's MTU and TCP's segment size as the stack
 * has them in the end) and then how many each server answered, as "NAME N". The exit code is 1 where any was lost or damaged.
 */
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/time.h>
#include <unistd.h>

#include "endpoints.h"

enum { ROUND = 32 << 10, NAMES = 8, NAME_LEN = 32 };

static struct {
	char name[NAME_LEN];
	unsigned answered;
} servers[NAMES];
static unsigned ok, lost, damaged;
static int mss;

static void answered(const char *name)
{
	for (int i = 0; i < NAMES; i++) {
		if (servers[i].name[0] && strcmp(servers[i].name, name))
			continue;
		snprintf(servers[i].name, NAME_LEN, "%s", name);
		servers[i].answered++;
		return;
	}
}

static int open_from(int type, const char *source, const struct sockaddr_storage *to, socklen_t len)
{
	struct timeval patience = {.tv_sec = 5};
	struct sockaddr_storage from;
	socklen_t from_len = parse_address(source, &from);
	int fd = socket(to->ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (bind(fd, (void *)&from, from_len))
		err(1, "bind to %s", source);
	if (connect(fd, (const void *)to, len))
		err(1, "connect");
	return fd;
}

static int path_mtu(int fd, int family)
{
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	getsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_MTU : IPV6_MTU, &mtu,
		   &len);
	return mtu;
}

static void fill(unsigned char *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = seed + i * 7 + (i >> 8);
}

/* Bytes received before the patience is over, or all. */
static size_t receive_all(int fd, unsigned char *buf, size_t len)
{
	size_t had = 0;

	while (had < len) {
		ssize_t got = recv(fd, buf + had, len - had, 0);

		if (got <= 0)
			break;
		had += got;
	}
	return had;
}

static int transfer(const char *source, const struct sockaddr_storage *to, socklen_t len, unsigned rounds)
{
	static unsigned char sent[ROUND], got[ROUND];
	int fd = open_from(SOCK_STREAM, source, to, len), mtu;
	socklen_t mss_len = sizeof(mss);
	char name[NAME_LEN] = "";

	for (size_t i = 0; i + 1 < sizeof(name) && recv(fd, name + i, 1, 0) == 1 && name[i] != '\n'; i++)
		;
	name[strcspn(name, "\n")] = 0;
	for (unsigned i = 0; i < rounds; i++) {
		fill(sent, sizeof(sent), i);
		if (send(fd, sent, sizeof(sent), MSG_NOSIGNAL) != sizeof(sent) ||
		    receive_all(fd, got, sizeof(got)) != sizeof(got)) {
			lost = rounds - i;
			break;
		}
		if (memcmp(sent, got, sizeof(got)))
			damaged++;
		else
			ok++;
	}
	answered(name);
	mtu = path_mtu(fd, to->ss_family);
	getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &mss_len);
	close(fd);
	return mtu;
}

/* The answer is the datagram with the server's name and a newline over its beginning. */
static void exchange(int fd, unsigned size, unsigned seed)
{
	static unsigned char sent[65536], got[65536];
	unsigned char *end;
	ssize_t len;

	fill(sent, size, seed);
	if (send(fd, sent, size, 0) < 0) {
		lost++;
		return;
	}
	len = recv(fd, got, sizeof(got), 0);
	end = len > 0 ? memchr(got, '\n', NAME_LEN) : NULL;
	if (len < 0) {
		lost++;
	} else if (len != size || !end || memcmp(end + 1, sent + (end + 1 - got), got + size - end - 1)) {
		damaged++;
	} else {
		*end = 0;
		answered((char *)got);
		ok++;
	}
}

static int datagrams(const char *source, const struct sockaddr_storage *to, socklen_t len, unsigned count,
		     unsigned size)
{
	int mtu = 0;

	for (unsigned i = 0; i < count; i++) {
		int fd = open_from(SOCK_DGRAM, source, to, len);

		exchange(fd, size, i);
		mtu = path_mtu(fd, to->ss_family);
		close(fd);
	}
	return mtu;
}

int main(int argc, char **argv)
{
	bool tcp = argc == 6 && !strcmp(argv[1], "tcp");
	struct sockaddr_storage to;
	socklen_t len;
	char *rest;
	int mtu;

	if (!tcp && (argc != 7 || strcmp(argv[1], "udp")))
		errx(2, "usage: bulk tcp SOURCE ADDRESS PORT ROUNDS | bulk udp SOURCE ADDRESS PORT COUNT SIZE");
	len = parse_endpoint(argv[3], argv[4], &to);
	if (tcp)
		mtu = transfer(argv[2], &to, len, parse_number(argv[5], &rest));
	else
		mtu = datagrams(argv[2], &to, len, parse_number(argv[5], &rest), parse_number(argv[6], &rest) & 0xffff);
	printf("BULK ok %u lost %u damaged %u mtu %d mss %d\n", ok, lost, damaged, mtu, mss);
	for (int i = 0; i < NAMES && servers[i].name[0]; i++)
		printf("%s %u\n", servers[i].name, servers[i].answered);
	return lost || damaged;
}
