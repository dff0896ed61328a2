/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of IP-in-IP tunnels on a test's backend, for kernels without tunnel devices:
 *
 *   decap_tun DEVICE [SOURCE]...
 *
 * Raw sockets take the packets of protocols 4 and 41, over IPv4 and IPv6. The outer header is checked (lengths,
 * checksum, hop limit, and that it comes from one of SOURCE, if any are given), the inner packet goes into the TUN
 * device DEVICE, from where the stack delivers it to the address on lo that it is for. Prints "ready" at the start, and
 * on SIGTERM "DECAP 4in4 N 6in4 N 4in6 N 6in6 N bad N"; what was bad is told on stderr, and makes the exit code 1.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	const char *name;
	int family, proto;
} kinds[] = {{"4in4", AF_INET, IPPROTO_IPIP},
	     {"6in4", AF_INET, IPPROTO_IPV6},
	     {"4in6", AF_INET6, IPPROTO_IPIP},
	     {"6in6", AF_INET6, IPPROTO_IPV6}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static unsigned long count[KINDS], bad;
static char **sources;
static int source_count;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static int open_tun(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "/dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request))
		err(1, "TUNSETIFF %s", name);
	request.ifr_flags = IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &request))
		err(1, "SIOCSIFFLAGS %s", name);
	close(control);
	return fd;
}

static int open_raw(int family, int proto)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, proto), one = 1, size = 8 << 20;

	if (fd < 0)
		err(1, "raw socket for protocol %d", proto);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
	return fd;
}

static const char *check_source(const struct sockaddr_storage *from)
{
	static char complaint[128];
	char text[INET6_ADDRSTRLEN];

	inet_ntop(from->ss_family,
		  from->ss_family == AF_INET ? (void *)&((struct sockaddr_in *)from)->sin_addr
					     : (void *)&((struct sockaddr_in6 *)from)->sin6_addr,
		  text, sizeof(text));
	for (int i = 0; i < source_count; i++) {
		if (!strcmp(sources[i], text))
			return NULL;
	}
	snprintf(complaint, sizeof(complaint), "its outer source is %s", text);
	return source_count ? complaint : NULL;
}

static const char *check_outer_v4(const struct iphdr *outer, size_t len)
{
	const uint16_t *word = (const void *)outer;
	uint32_t sum = 0;

	if (len < sizeof(*outer) || outer->version != 4 || outer->ihl != 5)
		return "its outer header is not a plain IPv4 one";
	if (ntohs(outer->tot_len) != len)
		return "its outer length is wrong";
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	if ((uint16_t)(sum + (sum >> 16)) != 0xffff)
		return "its outer checksum is wrong";
	if (outer->ttl < 32)
		return "its outer TTL is too low";
	return NULL;
}

static const char *check_hop_limit(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
			return *(int *)CMSG_DATA(c) < 32 ? "its outer hop limit is too low" : NULL;
	}
	return "it came without a hop limit";
}

static const char *check_inner(const unsigned char *inner, size_t len, int proto)
{
	if (proto == IPPROTO_IPIP) {
		if (len < sizeof(struct iphdr) || inner[0] >> 4 != 4)
			return "no IPv4 packet is inside";
		if (ntohs(((const struct iphdr *)inner)->tot_len) != len)
			return "the inner packet's length is wrong";
		return NULL;
	}
	if (len < sizeof(struct ip6_hdr) || inner[0] >> 4 != 6)
		return "no IPv6 packet is inside";
	if (ntohs(((const struct ip6_hdr *)inner)->ip6_plen) + sizeof(struct ip6_hdr) != len)
		return "the inner packet's length is wrong";
	return NULL;
}

/* One packet from a raw socket into the device. 0 when there is none left. */
static int move(int raw, int tun, int kind)
{
	unsigned char buf[65536], control[256];
	struct sockaddr_storage from;
	struct iovec part = {buf, sizeof(buf)};
	struct msghdr message = {&from, sizeof(from), &part, 1, control, sizeof(control), 0};
	ssize_t len = recvmsg(raw, &message, 0);
	const char *complaint;
	size_t skip = 0;

	if (len < 0)
		return 0;
	if (kinds[kind].family == AF_INET) {
		complaint = check_outer_v4((void *)buf, len);
		skip = sizeof(struct iphdr);
	} else {
		complaint = check_hop_limit(&message);
	}
	if (!complaint)
		complaint = check_source(&from);
	if (!complaint)
		complaint = check_inner(buf + skip, len - skip, kinds[kind].proto);
	if (complaint) {
		if (!bad++)
			warnx("a bad %s packet: %s", kinds[kind].name, complaint);
		return 1;
	}
	count[kind]++;
	if (write(tun, buf + skip, len - skip) < 0)
		warn("%s packet of %zd bytes", kinds[kind].name, len - skip);
	return 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};
	struct pollfd polls[KINDS];
	int tun;

	if (argc < 2)
		errx(2, "usage: decap_tun DEVICE [SOURCE]...");
	sources = argv + 2;
	source_count = argc - 2;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	tun = open_tun(argv[1]);
	for (int i = 0; i < KINDS; i++)
		polls[i] = (struct pollfd){open_raw(kinds[i].family, kinds[i].proto), POLLIN, 0};
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		if (poll(polls, KINDS, -1) < 0)
			continue;
		for (int i = 0; i < KINDS; i++) {
			while (polls[i].revents && move(polls[i].fd, tun, i))
				;
		}
	}
	printf("DECAP");
	for (int i = 0; i < KINDS; i++)
		printf(" %s %lu", kinds[i].name, count[i]);
	printf(" bad %lu\n", bad);
	return bad ? 1 : 0;
}
