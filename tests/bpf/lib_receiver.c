/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib_env.h"
#include "lib_packet.h"

#define DEVICE "tun"

const char *const receiver_error_names[] = {
#define X(NAME, file, protocol, counter) protocol counter,
	RECEIVER_ERROR_LIST(X)
#undef X
};

/* The ends of tunnels: a way of forwarding is a line more. `skip`: bytes that the socket delivers before the packet. */
static const struct tunnel_end {
	int family, type, proto, port;
	unsigned skip;
} tunnel_ends[] = {
	{AF_INET, SOCK_RAW, IPPROTO_IPIP, 0, 20}, {AF_INET, SOCK_RAW, IPPROTO_IPV6, 0, 20},
	{AF_INET6, SOCK_RAW, IPPROTO_IPIP, 0, 0}, {AF_INET6, SOCK_RAW, IPPROTO_IPV6, 0, 0},
	{AF_INET6, SOCK_DGRAM, 0, GUE_PORT, 4},
};

static const int ports[] = {1, 2, 3, 4, 80, 81, 82, 83, 84, 8080, 8081};

enum {
	ENDS = sizeof(tunnel_ends) / sizeof(*tunnel_ends),
	PORTS = sizeof(ports) / sizeof(*ports),
	FILES = 2,
	PACKET_MAX = 65536,
	TCP_SEGMENTS = RECEIVER_ERRORS, /* a counter more */
	COUNTERS,
};

static const struct {
	const char *file, *protocol, *counter;
} counters[COUNTERS] = {
#define X(NAME, file, protocol, counter) {file, protocol, counter},
	RECEIVER_ERROR_LIST(X)
#undef X
		[TCP_SEGMENTS] = {"snmp", "Tcp:", "InSegs"},
};
static const char *const files[FILES] = {"snmp", "snmp6"};

struct receiver {
	int tun, file[FILES], end[ENDS], socket[PORTS];
	unsigned long counted[COUNTERS];
};

static void must(bool done, const char *what)
{
	if (!done)
		fail_msg("a receiver: %s: %s", what, strerror(errno));
}

static int open_tun(void)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = DEVICE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	must(fd >= 0 && !ioctl(fd, TUNSETIFF, &request), "a TUN device");
	return fd;
}

static int open_socket(int family, int type, int proto, int port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto), one = 1;

	must(fd >= 0, "a socket");
	/* gue's outer packets have none (RFC 6935). */
	if (port == GUE_PORT)
		must(!setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, &one, sizeof(one)), "no checksum");
	if (port)
		must(!bind(fd, (struct sockaddr *)&address, sizeof(address)), "a port");
	return fd;
}

static void set_sysctl(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, "0", 1) == 1, path);
	close(fd);
}

static void add_addresses(const char *addresses)
{
	char copy[512], command[128], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", addresses);
	while ((word = strsep(&rest, " "))) {
		snprintf(command, sizeof(command), "ip address add %s dev lo%s", word,
			 strchr(word, ':') ? " nodad" : "");
		run_command(command);
	}
}

/* A number in lines as /proc/net/snmp has them (names of a protocol, then values), or a name and a value a line. */
static unsigned long find_counter(const char *text, const char *protocol, const char *counter)
{
	size_t len = strlen(protocol), name_len = strlen(counter);
	const char *names, *values;

	if (!len) {
		names = strstr(text, counter);
		must(names, counter);
		return strtoul(names + name_len, NULL, 10);
	}
	names = !strncmp(text, protocol, len) ? text : strstr(strstr(text, "\n"), protocol);
	must(names, protocol);
	values = strchr(names, '\n') + 1;
	for (; *names != '\n'; names++, values++) {
		if (!strncmp(names, counter, name_len) && (names[name_len] == ' ' || names[name_len] == '\n'))
			return strtoul(values, NULL, 10);
		names += strcspn(names, " \n");
		values += strcspn(values, " \n");
		if (*names == '\n')
			break;
	}
	fail_msg("the kernel does not count %s %s", protocol, counter);
	return 0;
}

static void read_counters(const struct receiver *receiver, unsigned long ret[COUNTERS])
{
	static char text[FILES][16384];

	for (int i = 0; i < FILES; i++) {
		ssize_t len = pread(receiver->file[i], text[i], sizeof(text[i]) - 1, 0);

		must(len > 0, files[i]);
		text[i][len] = '\0';
	}
	for (int i = 0; i < COUNTERS; i++)
		ret[i] = find_counter(text[!strcmp(counters[i].file, files[1])], counters[i].protocol,
				      counters[i].counter);
}

struct receiver *receiver_open(const char *addresses)
{
	struct receiver *receiver = calloc(1, sizeof(*receiver));
	int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[64];

	assert_non_null(receiver);
	must(here >= 0 && !unshare(CLONE_NEWNET), "a network namespace");
	receiver->tun = open_tun();
	set_sysctl("/proc/sys/net/ipv4/conf/all/rp_filter");
	set_sysctl("/proc/sys/net/ipv4/conf/" DEVICE "/rp_filter");
	run_command("ip link set lo up");
	run_command("ip link set " DEVICE " mtu 9000 up");
	add_addresses(addresses);
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/proc/thread-self/net/%s", files[i]);
		receiver->file[i] = open(path, O_RDONLY | O_CLOEXEC);
		must(receiver->file[i] >= 0, path);
	}
	for (int i = 0; i < ENDS; i++)
		receiver->end[i] = open_socket(tunnel_ends[i].family, tunnel_ends[i].type, tunnel_ends[i].proto,
					       tunnel_ends[i].port);
	for (int i = 0; i < PORTS; i++)
		receiver->socket[i] = open_socket(AF_INET6, SOCK_DGRAM, 0, ports[i]);
	read_counters(receiver, receiver->counted);
	must(!setns(here, CLONE_NEWNET), "the way back");
	close(here);
	return receiver;
}

void receiver_close(struct receiver *receiver)
{
	for (int i = 0; i < FILES; i++)
		close(receiver->file[i]);
	for (int i = 0; i < ENDS; i++)
		close(receiver->end[i]);
	for (int i = 0; i < PORTS; i++)
		close(receiver->socket[i]);
	close(receiver->tun);
	free(receiver);
}

/* What the stack will not even look at (no version of IP) is an error of the write. */
static void deliver(const struct receiver *receiver, const __u8 *ip, unsigned len)
{
	must(write(receiver->tun, ip, len) == (ssize_t)len || errno == EINVAL, "a packet");
}

static void unpack(const struct receiver *receiver, struct receipt *receipt)
{
	static __u8 packet[PACKET_MAX];

	for (int i = 0; i < ENDS; i++) {
		ssize_t len = recv(receiver->end[i], packet, sizeof(packet), 0);

		if (len <= (ssize_t)tunnel_ends[i].skip)
			continue;
		receipt->unpacked++;
		deliver(receiver, packet + tunnel_ends[i].skip, (unsigned)len - tunnel_ends[i].skip);
	}
}

void receiver_take(struct receiver *receiver, const __u8 *ip, unsigned len, struct receipt *ret)
{
	unsigned long before[COUNTERS];
	static __u8 payload[PACKET_MAX];
	ssize_t got;

	*ret = (struct receipt){};
	memcpy(before, receiver->counted, sizeof(before));
	deliver(receiver, ip, len);
	unpack(receiver, ret);
	for (int i = 0; i < PORTS; i++)
		while ((got = recv(receiver->socket[i], payload, sizeof(payload), 0)) >= 0) {
			ret->datagrams++;
			ret->bytes += (unsigned)got;
			for (ssize_t j = 0; j < got; j++)
				ret->sum = ret->sum * 31 + payload[j];
		}
	read_counters(receiver, receiver->counted);
	for (int i = 0; i < RECEIVER_ERRORS; i++)
		ret->errors[i] = (unsigned)(receiver->counted[i] - before[i]);
	ret->tcp = receiver->counted[TCP_SEGMENTS] != before[TCP_SEGMENTS];
}
