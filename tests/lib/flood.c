/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flood of small packets from random sources, bounded in number and time:
 *
 *   flood [OPTION]... syn|ack|udp INTERFACE MAC ADDRESS PORT
 *     -n COUNT         how many packets (default 1000000)
 *     -t SECONDS       no longer than so (default 60)
 *     -r COUNT         at most so many a second (default: as fast as it goes)
 *     -s NET/BITS      where they come from (default 198.18.0.0/15, RFC 2544), ports 1024-65535
 *     -p PORT          from this port alone
 *
 * They leave through INTERFACE of this network namespace to the station MAC, with right checksums: frames are made by a
 * kernel program (flood.bpf.o, beside this program) in BPF_PROG_TEST_RUN's live mode. A veth needs an XDP program on both
 * ends for that. Prints "FLOOD kind KIND packets N seconds S rate N" at the end, or on SIGTERM.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/types.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "flood_frame.h"

static const char *const kinds[] = {[FLOOD_SYN] = "syn", [FLOOD_ACK] = "ack", [FLOOD_UDP] = "udp"};

static struct {
	unsigned long count, rate, seconds;
	unsigned ifindex;
} options = {.count = 1000000, .seconds = 60};

static int map;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static __u32 sum_of(const void *data, size_t len)
{
	const __u16 *word = data;
	__u32 sum = 0;

	for (; len; len -= 2)
		sum += *word++;
	return sum;
}

static void fill_in(struct flood_frame *frame, const struct ether_addr *to, struct in_addr address, unsigned port)
{
	size_t l4_len = frame->kind == FLOOD_UDP ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	struct ethhdr *eth = (void *)frame->bytes;
	struct iphdr *ip = (void *)(eth + 1);
	void *l4 = ip + 1;

	memcpy(eth->h_dest, to, ETH_ALEN);
	memcpy(eth->h_source, "\x02\x00\x00\x00\x0f\x10", ETH_ALEN);
	eth->h_proto = htons(ETH_P_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->tot_len = htons(sizeof(*ip) + l4_len);
	ip->daddr = address.s_addr;
	if (frame->kind == FLOOD_UDP) {
		struct udphdr *udp = l4;

		ip->protocol = IPPROTO_UDP;
		udp->dest = htons(port);
		udp->len = htons(l4_len);
	} else {
		struct tcphdr *tcp = l4;

		ip->protocol = IPPROTO_TCP;
		tcp->dest = htons(port);
		tcp->doff = l4_len / 4;
		tcp->window = htons(1024);
		tcp->syn = frame->kind == FLOOD_SYN;
		tcp->ack = frame->kind == FLOOD_ACK;
	}
	frame->ip_sum = sum_of(ip, sizeof(*ip));
	frame->l4_sum =
		sum_of(l4, l4_len) + sum_of(&ip->daddr, sizeof(ip->daddr)) + htons(ip->protocol) + htons(l4_len);
}

/* Loads flood.bpf.o and gives it the template. Returns the program's descriptor. */
static int load(const struct flood_frame *frame)
{
	char self[PATH_MAX] = "", path[PATH_MAX + 16];
	struct bpf_object *object;
	__u32 zero = 0;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		err(1, "/proc/self/exe");
	snprintf(path, sizeof(path), "%s/flood.bpf.o", dirname(self));
	object = bpf_object__open_file(path, NULL);
	if (!object || bpf_object__load(object))
		err(1, "%s", path);
	map = bpf_object__find_map_fd_by_name(object, "frame");
	if (bpf_map_update_elem(map, &zero, frame, BPF_ANY))
		err(1, "the map of %s", path);
	return bpf_program__fd(bpf_object__find_program_by_name(object, "flood"));
}

static void send_some(int program, unsigned count)
{
	struct xdp_md context = {.data_end = FLOOD_FRAME_LEN, .ingress_ifindex = options.ifindex};
	unsigned char data[FLOOD_FRAME_LEN] = {};

	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = data, .data_size_in = sizeof(data), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = count, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = 64);
	if (bpf_prog_test_run_opts(program, &run) && errno != EINTR)
		err(1, "BPF_PROG_TEST_RUN");
}

static unsigned long sent(void)
{
	struct flood_frame frame;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(map, &zero, &frame))
		err(1, "the map of flood.bpf.o");
	return frame.sent;
}

static void flood(int program, const char *kind)
{
	double begun = now(), elapsed;
	struct itimerval limit = {.it_value.tv_sec = options.seconds};
	unsigned long done = 0;

	/* A system call costs 20 ms, in which the kernel waits: few and large ones. A signal ends it. */
	setitimer(ITIMER_REAL, &limit, NULL);
	while (!stopped && done < options.count) {
		send_some(program, options.count - done < 10000000 ? options.count - done : 10000000);
		done = sent();
	}
	elapsed = now() - begun;
	printf("FLOOD kind %s packets %lu seconds %.1f rate %.0f\n", kind, done, elapsed, done / (elapsed + 1e-9));
}

static unsigned long number(const char *text, unsigned long max)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);

	if (rest == text || *rest || value > max)
		errx(2, "%s: not a number up to %lu", text, max);
	return value;
}

static void parse_net(char *text, struct flood_frame *frame)
{
	char *slash = strchr(text, '/');
	struct in_addr net;
	unsigned bits;

	if (!slash)
		errx(2, "%s: not NET/BITS", text);
	*slash = '\0';
	bits = number(slash + 1, 32);
	if (!bits || inet_pton(AF_INET, text, &net) != 1)
		errx(2, "%s/%u: not NET/BITS", text, bits);
	frame->net = ntohl(net.s_addr);
	frame->hosts = 1U << (32 - bits);
}

static void parse_options(int argc, char **argv, struct flood_frame *frame)
{
	int option;

	while ((option = getopt(argc, argv, "n:t:r:s:p:")) >= 0) {
		switch (option) {
		case 'n':
			options.count = number(optarg, 1000000000);
			break;
		case 't':
			options.seconds = number(optarg, 3600);
			break;
		case 'r':
			options.rate = number(optarg, 100000000);
			break;
		case 'p':
			frame->first_port = number(optarg, 65535);
			frame->ports = 1;
			break;
		case 's':
			parse_net(optarg, frame);
			break;
		default:
			errx(2, "see the head of flood.c");
		}
	}
	if (argc - optind != 5)
		errx(2, "usage: flood [OPTION]... syn|ack|udp INTERFACE MAC ADDRESS PORT");
}

int main(int argc, char **argv)
{
	struct flood_frame frame = {
		.net = 0xc6120000, .hosts = 1 << 17, .first_port = 1024, .ports = 64512, .kind = ~0U};
	struct sigaction action = {.sa_handler = stop};
	struct ether_addr *to;
	struct in_addr address;
	char **words;

	parse_options(argc, argv, &frame);
	words = argv + optind;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(words[0], kinds[i]))
			frame.kind = i;
	}
	options.ifindex = if_nametoindex(words[1]);
	to = ether_aton(words[2]);
	if (frame.kind == ~0U || !options.ifindex || !to || inet_pton(AF_INET, words[3], &address) != 1)
		errx(2, "%s to %s through %s: no such kind, address or interface", words[0], words[3], words[1]);
	if (options.rate)
		frame.gap_ns = 1000000000 / options.rate;
	fill_in(&frame, to, address, number(words[4], 65535));
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	flood(load(&frame), kinds[frame.kind]);
	return 0;
}
