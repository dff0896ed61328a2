/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_health.h"

#include "lib_http.h"
#include "lib_model.h"
#include "lib_netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/watch.h"

#define TEST_GUE_PORT 6081 /* not the default */

struct health_prober *prober;
static pthread_t decapsulator;
static int tunnel_quit[2];

void note_report(const struct health_report *report, void *arg)
{
	struct seen *seen = arg;

	if (seen->count < 64)
		seen->times[seen->count] = clock_ms();
	seen->count++;
	seen->outcome = report->outcome;
	snprintf(seen->sentence, sizeof(seen->sentence), "%s", report->sentence);
}

void drive(const int *count, int wanted, int milliseconds)
{
	__s64 end = clock_ms() + milliseconds;

	while (*count < wanted && clock_ms() < end) {
		wait_for(health_prober_fd(prober), milliseconds < 50 ? milliseconds : 50);
		health_prober_run(prober);
	}
}

struct health_target make_target(enum canary_forward forward, const char *address, const char *backend)
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

struct seen check_once(struct health_target target, struct health_check check)
{
	struct health_probe *probe;
	struct seen seen = {};
	struct error error = {};

	check.interval = check.interval ? check.interval : 500;
	check.timeout = check.timeout ? check.timeout : 500;
	if (health_probe_add(prober, &target, &check, note_report, &seen, &probe, &error))
		fail_msg("%s", error.text);
	drive(&seen.count, 1, 8000);
	assert_true(seen.count > 0);
	health_probe_remove(probe);
	return seen;
}

void assert_seen(struct seen seen, enum health_outcome outcome, const char *sentence)
{
	if (seen.outcome != outcome || !strstr(seen.sentence, sentence))
		fail_msg("%d: %s\nand should be %d: %s", seen.outcome, seen.sentence, outcome, sentence);
}

int listen_there(const char *address, int port)
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
int gue_protocol;

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

int health_set_up(void **state)
{
	struct error error;

	if (netns_set_up(state))
		return -1;
	if (geteuid() == 0)
		set_up_backend();
	return health_prober_open(&prober, &error);
}

int health_tear_down(void **state)
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
