/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/tcp.h>
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
#define PARTS_WAIT "86400" /* s */

#define X(NAME, file, protocol, counter) protocol counter,
const char *const receiver_error_names[] = {RECEIVER_ERROR_LIST(X)};
const char *const receiver_taken_names[] = {RECEIVER_TAKEN_LIST(X)};
#undef X

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
	COUNTERS = RECEIVER_ERRORS + RECEIVER_TAKEN,
};

static const struct {
	const char *file, *protocol, *counter;
} counters[COUNTERS] = {
#define X(NAME, file, protocol, counter) {file, protocol, counter},
	RECEIVER_ERROR_LIST(X) RECEIVER_TAKEN_LIST(X)
#undef X
};
static const char *const files[FILES] = {"snmp", "snmp6"};

struct receiver {
	int netns, tun, file[FILES], end[ENDS], socket[PORTS];
	unsigned unpacked; /* of what was given since the last receipt */
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

static void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, value, strlen(value)) > 0, path);
	close(fd);
}

static void add_addresses(const char *addresses)
{
	char copy[512], command[128], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", addresses);
	while ((word = strsep(&rest, " "))) {
		snprintf(command, sizeof(command), "ip address add %s dev " DEVICE "%s", word,
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

static void make_network(const char *addresses)
{
	set_sysctl("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	set_sysctl("/proc/sys/net/ipv4/conf/" DEVICE "/rp_filter", "0");
	/* A client may be a backend as well. */
	set_sysctl("/proc/sys/net/ipv4/conf/" DEVICE "/accept_local", "1");
	set_sysctl("/proc/sys/net/ipv4/ipfrag_time", PARTS_WAIT);
	set_sysctl("/proc/sys/net/ipv6/ip6frag_time", PARTS_WAIT);
	/* "lo" stays down: what the stack answers to an address of its own would be counted as well, some time. */
	run_command("ip link set " DEVICE " mtu 9000 up");
	run_command("ip -4 route add default dev " DEVICE);
	run_command("ip -6 route add default dev " DEVICE);
	add_addresses(addresses);
}

static int open_netns(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	must(fd >= 0, "a network namespace");
	return fd;
}

static int enter(const struct receiver *receiver)
{
	int here = open_netns();

	must(!setns(receiver->netns, CLONE_NEWNET), "its namespace");
	return here;
}

static void leave(int here)
{
	must(!setns(here, CLONE_NEWNET), "the way back");
	close(here);
}

struct receiver *receiver_open(const char *addresses)
{
	struct receiver *receiver = calloc(1, sizeof(*receiver));
	int here = open_netns();
	char path[64];

	assert_non_null(receiver);
	must(!unshare(CLONE_NEWNET), "a network namespace");
	receiver->netns = open_netns();
	receiver->tun = open_tun();
	make_network(addresses);
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
	leave(here);
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
	close(receiver->netns);
	free(receiver);
}

/* What the stack will not even look at (no version of IP) is an error of the write. */
static void deliver(const struct receiver *receiver, const __u8 *ip, unsigned len)
{
	must(write(receiver->tun, ip, len) == (ssize_t)len || errno == EINVAL, "a packet");
}

static void unpack(struct receiver *receiver)
{
	static __u8 packet[PACKET_MAX];

	for (int i = 0; i < ENDS; i++) {
		ssize_t len = recv(receiver->end[i], packet, sizeof(packet), 0);
		ssize_t skip = tunnel_ends[i].skip;

		if (len > skip && tunnel_ends[i].type == SOCK_DGRAM)
			skip += (packet[0] & 31) * 4; /* GUE's optional fields and private data */
		if (len <= skip)
			continue;
		receiver->unpacked++;
		deliver(receiver, packet + skip, (unsigned)(len - skip));
	}
}

void receiver_give(struct receiver *receiver, const __u8 *ip, unsigned len)
{
	deliver(receiver, ip, len);
	unpack(receiver);
}

void receiver_take(struct receiver *receiver, struct receipt *ret)
{
	unsigned long before[COUNTERS];
	static __u8 payload[PACKET_MAX];
	ssize_t got;

	*ret = (struct receipt){.unpacked = receiver->unpacked};
	receiver->unpacked = 0;
	for (int i = 0; i < PORTS; i++)
		while ((got = recv(receiver->socket[i], payload, sizeof(payload), 0)) >= 0) {
			ret->datagrams++;
			ret->bytes += (unsigned)got;
			for (ssize_t j = 0; j < got; j++)
				ret->sum = ret->sum * 31 + payload[j];
		}
	memcpy(before, receiver->counted, sizeof(before));
	read_counters(receiver, receiver->counted);
	for (int i = 0; i < RECEIVER_ERRORS; i++)
		ret->errors[i] = (unsigned)(receiver->counted[i] - before[i]);
	for (int i = 0; i < RECEIVER_TAKEN; i++)
		ret->taken[i] = (unsigned)(receiver->counted[RECEIVER_ERRORS + i] - before[RECEIVER_ERRORS + i]);
}

bool receiver_listens(unsigned port)
{
	for (int i = 0; i < PORTS; i++)
		if (port == (unsigned)ports[i])
			return true;
	return false;
}

/* With a route all goes that was learnt of it. */
static void renew_route(int family)
{
	char command[64];

	snprintf(command, sizeof(command), "ip -%d route del default dev " DEVICE, family);
	run_command(command);
	snprintf(command, sizeof(command), "ip -%d route add default dev " DEVICE, family);
	run_command(command);
}

static struct sockaddr_in6 address_of(const struct canary_addr *addr, unsigned port)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memcpy(&address.sin6_addr, addr, sizeof(address.sin6_addr));
	return address;
}

unsigned receiver_path_mtu(const struct receiver *receiver, const struct canary_addr *to)
{
	struct sockaddr_in6 address = address_of(to, 1);
	int here = enter(receiver), fd = open_socket(AF_INET6, SOCK_DGRAM, 0, 0), mtu = 0;
	bool v4 = addr_is_v4(to);
	socklen_t len = sizeof(mtu);

	must(!connect(fd, (struct sockaddr *)&address, sizeof(address)), "a way");
	must(!getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &len), "its size");
	close(fd);
	renew_route(v4 ? 4 : 6);
	leave(here);
	return (unsigned)mtu;
}

static void set_tcp(int fd, int option, __u32 value)
{
	must(!setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)), "a connection's state");
}

int receiver_connect(const struct receiver *receiver, const struct frame *frame, __u32 next)
{
	struct sockaddr_in6 from = address_of(&frame->src, frame->sport), to = address_of(&frame->dst, frame->dport);
	int here = enter(receiver), fd = open_socket(AF_INET6, SOCK_STREAM, 0, 0);

	set_tcp(fd, TCP_REPAIR, TCP_REPAIR_ON);
	if (!frame->sport || !frame->dport || bind(fd, (struct sockaddr *)&from, sizeof(from))) {
		close(fd);
		leave(here);
		return -1;
	}
	set_tcp(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	set_tcp(fd, TCP_QUEUE_SEQ, next);
	must(!connect(fd, (struct sockaddr *)&to, sizeof(to)), "a connection");
	set_tcp(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	leave(here);
	return fd;
}
