/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of the tests that opens connections one after the other, from ports that follow each other, as fast as it
 * goes, until some have succeeded: how soon is the first one spared, once the kernel has taken refusing backends away?
 *
 *   connseq SOURCE FIRST-PORT COUNT ADDRESS PORT
 *
 * IPv4. Up to COUNT connections; the third that succeeds is the last. Prints "CONNSEQ refused N spared N gap US": the
 * microseconds from when the last connection that was refused began to when the first began that succeeded. Whatever made
 * the difference came in between. Exit code 1 if a connection ended in another way, or one was refused after another had
 * succeeded. Connections end with a reset.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WANTED = 3 };

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static struct sockaddr_in endpoint(const char *address, int port)
{
	struct sockaddr_in ret = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, address, &ret.sin_addr) != 1)
		errx(2, "%s: not an IPv4 address", address);
	return ret;
}

/* Is the connection made? *ret_begun_us: when its SYN was about to be sent. */
static int is_accepted(const struct sockaddr_in *source, const struct sockaddr_in *target, double *ret_begun_us)
{
	const struct linger reset = {.l_onoff = 1};
	const struct timeval limit = {.tv_sec = 2};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (bind(fd, (const void *)source, sizeof(*source)))
		err(1, "bind to port %d", ntohs(source->sin_port));
	*ret_begun_us = now_us();
	accepted = !connect(fd, (const void *)target, sizeof(*target));
	if (!accepted && errno != ECONNREFUSED)
		err(1, "connect from port %d", ntohs(source->sin_port));
	close(fd);
	return accepted;
}

int main(int argc, char **argv)
{
	struct sockaddr_in target;
	int refused = 0, spared = 0, count;
	double begun_us, refused_us = 0, gap_us = 0;

	if (argc != 6)
		errx(2, "usage: connseq SOURCE FIRST-PORT COUNT ADDRESS PORT");
	count = atoi(argv[3]);
	target = endpoint(argv[4], atoi(argv[5]));
	for (int i = 0; i < count && spared < WANTED; i++) {
		struct sockaddr_in source = endpoint(argv[1], atoi(argv[2]) + i);

		if (!is_accepted(&source, &target, &begun_us)) {
			if (spared)
				errx(1, "connection %d was refused, after %d were not", i + 1, spared);
			refused++;
			refused_us = begun_us;
		} else if (!spared++) {
			gap_us = begun_us - refused_us;
		}
	}
	printf("CONNSEQ refused %d spared %d gap %.0f\n", refused, spared, gap_us);
	return 0;
}
