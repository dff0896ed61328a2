/* SPDX-License-Identifier: Apache-2.0 */
#include "io/solicit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/netlink_talk.h"

#define HOPS 255 /* of neighbour discovery: what came over a router is none (RFC 4861, 7.1) */
#define UNITS 8 /* of bytes, that the length of its options is in */

enum { ARP, NDP, SOCKETS };

struct solicit {
	unsigned ifindex;
	__u8 mac[6];
	int socket[SOCKETS]; /* NDP's is -1 where the kernel has no IPv6 */
};

/* A neighbour solicitation, and an advertisement as far as it says whose address is where. */
struct solicitation {
	struct nd_neighbor_solicit header;
	struct nd_opt_hdr option;
	__u8 mac[6];
};

static int open_arp(unsigned ifindex)
{
	const struct sockaddr_ll here = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = (int)ifindex};
	/* Without a protocol until it is bound: nothing of another link gets in. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (const void *)&here, sizeof(here))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_ndp(unsigned ifindex)
{
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6), hops = HOPS;
	struct icmp6_filter filter;

	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &filter);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, sizeof(ifindex)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) ||
	    setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter))) {
		close(fd);
		return -1;
	}
	return fd;
}

struct solicit *solicit_open(const struct link *link)
{
	struct solicit *solicit = malloc(sizeof(*solicit));
	int error;

	if (!solicit)
		return NULL;
	solicit->ifindex = link->ifindex;
	memcpy(solicit->mac, link->mac, sizeof(solicit->mac));
	solicit->socket[ARP] = open_arp(link->ifindex);
	solicit->socket[NDP] = solicit->socket[ARP] < 0 ? -1 : open_ndp(link->ifindex);
	if (solicit->socket[ARP] >= 0 && (solicit->socket[NDP] >= 0 || errno == EAFNOSUPPORT))
		return solicit;
	error = errno;
	solicit_close(solicit);
	errno = error;
	return NULL;
}

void solicit_close(struct solicit *solicit)
{
	if (!solicit)
		return;
	for (int i = 0; i < SOCKETS; i++)
		if (solicit->socket[i] >= 0)
			close(solicit->socket[i]);
	free(solicit);
}

static int ask_arp(const struct solicit *solicit, const struct canary_addr *addr)
{
	struct ether_arp probe = {
		.ea_hdr = {htons(ARPHRD_ETHER), htons(ETH_P_IP), ETH_ALEN, sizeof(addr->word[3]), htons(ARPOP_REQUEST)},
	};
	struct sockaddr_ll everybody = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ARP),
		.sll_ifindex = (int)solicit->ifindex,
		.sll_halen = ETH_ALEN,
	};

	memset(everybody.sll_addr, 0xff, ETH_ALEN);
	memcpy(probe.arp_sha, solicit->mac, sizeof(probe.arp_sha));
	memcpy(probe.arp_tpa, &addr->word[3], sizeof(probe.arp_tpa));
	return sendto(solicit->socket[ARP], &probe, sizeof(probe), 0, (void *)&everybody, sizeof(everybody)) < 0
		       ? -errno
		       : 0;
}

static int ask_ndp(const struct solicit *solicit, const struct canary_addr *addr)
{
	struct solicitation probe = {
		.header.nd_ns_type = ND_NEIGHBOR_SOLICIT,
		.option = {ND_OPT_SOURCE_LINKADDR, 1},
	};
	/* The solicited-node address (RFC 4291, 2.7.1). */
	struct sockaddr_in6 group = {
		.sin6_family = AF_INET6,
		.sin6_scope_id = solicit->ifindex,
		.sin6_addr.s6_addr = {0xff, 2, [11] = 1, [12] = 0xff},
	};

	if (solicit->socket[NDP] < 0)
		return -EAFNOSUPPORT;
	memcpy(&group.sin6_addr.s6_addr[13], (const __u8 *)addr + 13, 3);
	memcpy(&probe.header.nd_ns_target, addr, sizeof(*addr));
	memcpy(probe.mac, solicit->mac, sizeof(probe.mac));
	return sendto(solicit->socket[NDP], &probe, sizeof(probe), 0, (void *)&group, sizeof(group)) < 0 ? -errno : 0;
}

int solicit_ask(struct solicit *solicit, const struct canary_addr *addr)
{
	return addr_family(addr) == AF_INET ? ask_arp(solicit, addr) : ask_ndp(solicit, addr);
}

/* 0 with *ret and mac, or -EINVAL: it is no answer. */
static int parse_arp(const void *packet, size_t len, struct canary_addr *ret, __u8 mac[6])
{
	const struct ether_arp *answer = packet;

	if (len < sizeof(*answer) || answer->ea_hdr.ar_op != htons(ARPOP_REPLY) ||
	    answer->ea_hdr.ar_pro != htons(ETH_P_IP) || answer->ea_hdr.ar_hln != ETH_ALEN)
		return -EINVAL;
	memcpy(mac, answer->arp_sha, ETH_ALEN);
	return get_addr(AF_INET, answer->arp_spa, sizeof(answer->arp_spa), ret);
}

static int parse_ndp(const void *packet, size_t len, struct canary_addr *ret, __u8 mac[6])
{
	const struct nd_neighbor_advert *answer = packet;
	const __u8 *options = (const __u8 *)(answer + 1);
	size_t left = len < sizeof(*answer) ? 0 : len - sizeof(*answer);

	if (len < sizeof(*answer))
		return -EINVAL;
	memset(mac, 0, ETH_ALEN);
	/* An answer to a solicitation that was sent to a group says the link-layer address (RFC 4861, 4.4). */
	for (size_t size; left >= UNITS; left -= size, options += size) {
		size = options[1] * UNITS;
		if (!size || size > left)
			return -EINVAL;
		if (options[0] == ND_OPT_TARGET_LINKADDR)
			memcpy(mac, options + sizeof(struct nd_opt_hdr), ETH_ALEN);
	}
	return get_addr(AF_INET6, &answer->nd_na_target, sizeof(answer->nd_na_target), ret);
}

static void read_answers(int fd, bool arp, void (*call)(const struct canary_addr *, const __u8 mac[6], void *),
			 void *arg)
{
	_Alignas(8) char packet[1500];
	struct canary_addr addr;
	ssize_t len;
	__u8 mac[6];

	while ((len = recv(fd, packet, sizeof(packet), 0)) >= 0)
		if (!(arp ? parse_arp : parse_ndp)(packet, (size_t)len, &addr, mac))
			call(&addr, mac, arg);
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int solicit_collect(struct solicit *solicit, int timeout_ms,
		    void (*call)(const struct canary_addr *addr, const __u8 mac[6], void *arg), void *arg)
{
	long long until = now_ms() + timeout_ms, left;

	while ((left = until - now_ms()) > 0) {
		struct pollfd sockets[SOCKETS];

		for (int i = 0; i < SOCKETS; i++)
			sockets[i] = (struct pollfd){.fd = solicit->socket[i], .events = POLLIN};
		if (poll(sockets, SOCKETS, (int)left) < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < SOCKETS; i++)
			if (sockets[i].revents)
				read_answers(sockets[i].fd, i == ARP, call, arg);
	}
	return 0;
}
