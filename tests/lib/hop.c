/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hop with known behaviour between two interfaces of a network namespace, for kernels without netem:
 *
 *   hop [OPTION]... INTERFACE INTERFACE
 *     -d MS                   delay every packet (of --port) so long, in either direction
 *     --syn-ack-delay MS      delay SYN+ACKs so long, instead
 *     --drop-syn N/M          of every M handshakes drop all SYNs of N: they are never answered
 *     --drop-syn-ack N/M      the same with the SYN+ACKs
 *     --lose-first-syn[=N/M]  of every M handshakes drop only the first SYN of N (default: of all)
 *     --port PORT             all that concerns only TCP from or to PORT; everything else just passes
 *     -i SECONDS              end by itself
 *
 * Frames that come in by one interface leave by the other, so all hosts keep their addresses and routes, in every
 * forwarding mode; IPv4 and IPv6, also inside of IP-in-IP. A handshake is a client's address, port and initial sequence
 * number, and the server's address and port: retransmissions share the fate of the first, a new connection from the same
 * port does not. Shares go by counting (the same in every run); when those of --drop-syn and --lose-first-syn fall on
 * one handshake, the latter's turn comes at the next. A delay runs from when the kernel received the packet; packets
 * with the same delay keep their order.
 *
 * In the laboratory of scripts/lab a hop goes in front of a backend: on the switch, between the backend's port and the
 * bridge, so that it sees SYNs to it and SYN+ACKs from it, whether they go back through the balancer (nat) or straight
 * to the client (l2, ipip). `hop_before` of tests/e2e/lib.sh does this:
 *
 *   ip -n lab-switch link add hop-in type veth peer name hop-out
 *   ip -n lab-switch link set canary1 nomaster
 *   ip -n lab-switch link set hop-in up
 *   ip -n lab-switch link set hop-out up master br0
 *   scripts/lab exec switch build/tests/lib/hop --syn-ack-delay 20 canary1 hop-in
 *
 * Prints "ready", and at the end (or on SIGTERM) a JSON object with what it has done:
 *   packets, delayed          all that came in (dropped ones too), and those of them that were delayed
 *   handshakes, syns, syn_acks   distinct ones that began; packets that came in
 *   dropped                   {syn, syn_ack, first_syn}: packets; SYNs include retransmissions
 *   handshakes_dropped        {syn, syn_ack, first_syn}: distinct handshakes
 *   lost                      packets that the kernel did not hand over or did not take: 0, or the figures are worth nothing
 *   passed_us, delayed_us, syn_acks_us   real delays: of packets without any, with that of -d, with that of --syn-ack-delay;
 *                             microseconds from the kernel's receiving until it has been sent
 */
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <sched.h>
#include <search.h>
#include <sys/queue.h>

#include "endpoints.h"
#include "exact.h"

enum { FRAME_MAX = 65536 + ETH_HLEN, BATCH = 64 };

/* A handshake by what all its packets have in common; fields in network order but for `isn`. */
struct handshake {
	struct {
		struct in6_addr client, server; /* IPv4: the first 4 bytes */
		in_port_t client_port, server_port;
		uint32_t isn; /* the client's */
	} key;
	bool syn_ack_seen, first_syn_lost;
	bool drop_syn, drop_syn_ack, lose_first_syn;
};

struct segment {
	struct in6_addr source, dest;
	const struct tcphdr *tcp;
};

/* What becomes of a packet; the delays in this order, so that their queues and samples go by it. */
enum fate { PASS, DELAY, DELAY_SYN_ACK, DELAYS, DROP = DELAYS };

struct packet {
	uint64_t received, due; /* ns, CLOCK_MONOTONIC */
	size_t len;
	TAILQ_ENTRY(packet) queue;
	unsigned char align[2]; /* puts what follows the Ethernet header on a word's boundary */
	unsigned char frame[];
};

TAILQ_HEAD(queue, packet);

/* One way through the hop. Each delay has its own queue, which is in the order of `due`. */
struct way {
	int in, out;
	struct queue queues[DELAYS];
};

static struct {
	uint64_t delay[DELAYS]; /* ns */
	struct share drop_syn, drop_syn_ack, lose_first_syn;
	in_port_t port; /* network order; 0: any */
} options;

static struct {
	uint64_t packets, handshakes, syns, syn_acks, lost;
	uint64_t dropped_syn, dropped_syn_ack, dropped_first_syn;
	struct samples delays[DELAYS];
} counts;

static struct way ways[2];
static void *handshakes; /* a tree of tsearch(3) */
static int timer;

static int open_interface(const char *name)
{
	struct sockaddr_ll own = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, size = 16 << 20;

	own.sll_ifindex = if_nametoindex(name);
	if (!own.sll_ifindex)
		err(1, "%s", name);
	if (fd < 0)
		err(1, "packet socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	/* What this namespace's own stack sends by the interface, and what we do, is not to come back. */
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		err(1, "setsockopt");
	if (bind(fd, (void *)&own, sizeof(own)))
		err(1, "bind to %s", name);
	return fd;
}

/* ---- what a packet is ---- */

/* The TCP header behind an IP header at `at`, and the addresses; NULL where there is none, as in later fragments. */
static const struct tcphdr *find_tcp(const unsigned char *at, const unsigned char *end, struct segment *ret)
{
	const struct iphdr *v4 = (const void *)at;
	const struct ipv6hdr *v6 = (const void *)at;
	unsigned proto;

	memset(ret, 0, sizeof(*ret));
	if (at + sizeof(*v4) <= end && v4->version == 4) {
		if (v4->frag_off & htons(0x1fff))
			return NULL;
		memcpy(&ret->source, &v4->saddr, sizeof(v4->saddr));
		memcpy(&ret->dest, &v4->daddr, sizeof(v4->daddr));
		proto = v4->protocol;
		at += v4->ihl * 4;
	} else if (at + sizeof(*v6) <= end && v6->version == 6) {
		memcpy(&ret->source, &v6->saddr, sizeof(v6->saddr));
		memcpy(&ret->dest, &v6->daddr, sizeof(v6->daddr));
		proto = v6->nexthdr;
		at += sizeof(*v6);
	} else {
		return NULL;
	}
	if (proto == IPPROTO_IPIP || proto == IPPROTO_IPV6)
		return find_tcp(at, end, ret);
	return proto == IPPROTO_TCP && at + sizeof(struct tcphdr) <= end ? (const void *)at : NULL;
}

static bool parse(const struct packet *packet, struct segment *ret)
{
	const struct ethhdr *ether = (const void *)packet->frame;

	if (packet->len < sizeof(*ether) || (ether->h_proto != htons(ETH_P_IP) && ether->h_proto != htons(ETH_P_IPV6)))
		return false;
	ret->tcp = find_tcp(packet->frame + sizeof(*ether), packet->frame + packet->len, ret);
	return ret->tcp;
}

static int compare_keys(const void *a, const void *b)
{
	const struct handshake *left = a, *right = b;

	return memcmp(&left->key, &right->key, sizeof(left->key));
}

/* The handshake that a SYN or SYN+ACK belongs to; the first packet of one decides its fate. */
static struct handshake *handshake_of(const struct segment *segment)
{
	const struct tcphdr *tcp = segment->tcp;
	struct handshake wanted = {}, **found, *made;

	if (tcp->ack) {
		wanted.key.client = segment->dest;
		wanted.key.server = segment->source;
		wanted.key.client_port = tcp->dest;
		wanted.key.server_port = tcp->source;
		wanted.key.isn = ntohl(tcp->ack_seq) - 1;
	} else {
		wanted.key.client = segment->source;
		wanted.key.server = segment->dest;
		wanted.key.client_port = tcp->source;
		wanted.key.server_port = tcp->dest;
		wanted.key.isn = ntohl(tcp->seq);
	}
	found = tfind(&wanted, &handshakes, compare_keys);
	if (found)
		return *found;
	made = malloc(sizeof(*made));
	if (!made)
		err(1, "no memory for handshakes");
	*made = wanted;
	if (!tsearch(made, &handshakes, compare_keys))
		err(1, "no memory for handshakes");
	counts.handshakes++;
	made->lose_first_syn = share_offer(&options.lose_first_syn);
	made->drop_syn = share_take(&options.drop_syn);
	if (made->drop_syn)
		made->lose_first_syn = false;
	options.lose_first_syn.used += made->lose_first_syn;
	return made;
}

static enum fate judge_syn(struct handshake *handshake)
{
	counts.syns++;
	if (handshake->drop_syn) {
		counts.dropped_syn++;
		return DROP;
	}
	if (handshake->lose_first_syn && !handshake->first_syn_lost) {
		handshake->first_syn_lost = true;
		counts.dropped_first_syn++;
		return DROP;
	}
	return options.delay[DELAY] ? DELAY : PASS;
}

static enum fate judge_syn_ack(struct handshake *handshake)
{
	counts.syn_acks++;
	if (!handshake->syn_ack_seen)
		handshake->drop_syn_ack = share_take(&options.drop_syn_ack);
	handshake->syn_ack_seen = true;
	if (handshake->drop_syn_ack) {
		counts.dropped_syn_ack++;
		return DROP;
	}
	if (options.delay[DELAY_SYN_ACK])
		return DELAY_SYN_ACK;
	return options.delay[DELAY] ? DELAY : PASS;
}

static enum fate judge(const struct packet *packet)
{
	struct segment segment;
	bool tcp = parse(packet, &segment);

	if (options.port && (!tcp || (segment.tcp->source != options.port && segment.tcp->dest != options.port)))
		return PASS;
	if (tcp && segment.tcp->syn && !segment.tcp->rst) {
		struct handshake *handshake = handshake_of(&segment);

		return segment.tcp->ack ? judge_syn_ack(handshake) : judge_syn(handshake);
	}
	return options.delay[DELAY] ? DELAY : PASS;
}

/* ---- the way of a packet ---- */

static void send_on(const struct way *way, const struct packet *packet, enum fate fate)
{
	if (send(way->out, packet->frame, packet->len, 0) < 0) {
		if (!counts.lost++)
			warn("packet of %zu bytes", packet->len);
		return;
	}
	samples_add(&counts.delays[fate], now_ns(CLOCK_MONOTONIC) - packet->received);
}

static void handle(struct way *way, const struct packet *packet)
{
	enum fate fate = judge(packet);
	struct packet *copy;

	counts.packets++;
	if (fate == DROP)
		return;
	if (fate == PASS) {
		send_on(way, packet, PASS);
		return;
	}
	copy = malloc(sizeof(*copy) + packet->len);
	if (!copy)
		err(1, "no memory for packets");
	memcpy(copy, packet, sizeof(*copy) + packet->len);
	copy->due = packet->received + options.delay[fate];
	TAILQ_INSERT_TAIL(&way->queues[fate], copy, queue);
}

/* When the kernel received it, in CLOCK_MONOTONIC; its stamp is of CLOCK_REALTIME. */
static uint64_t received_at(struct msghdr *message)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), real_now = now_ns(CLOCK_REALTIME);
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct timespec stamp;

	if (!control || control->cmsg_type != SCM_TIMESTAMPNS)
		errx(1, "the kernel gives no timestamps");
	memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
	return now - (real_now - (stamp.tv_sec * (uint64_t)NS_PER_S + stamp.tv_nsec));
}

static bool receive(struct way *way)
{
	static struct {
		struct packet packet;
		unsigned char frame[FRAME_MAX];
	} room;
	unsigned char control[128];
	struct iovec part = {room.packet.frame, FRAME_MAX};
	struct msghdr message = {NULL, 0, &part, 1, control, sizeof(control), 0};
	ssize_t len = recvmsg(way->in, &message, 0);

	if (len < 0) {
		if (errno != EAGAIN && errno != EINTR)
			warn("receiving"); /* the interface is down, say */
		return false;
	}
	room.packet.len = len;
	room.packet.received = received_at(&message);
	handle(way, &room.packet);
	return true;
}

/* Sends all that is due; the timer is set for what comes next. */
static void serve_queues(void)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < 2 * DELAYS; i++) {
		struct way *way = &ways[i / DELAYS];
		struct queue *queue = &way->queues[i % DELAYS];
		struct packet *packet;

		while ((packet = TAILQ_FIRST(queue)) && packet->due <= now_ns(CLOCK_MONOTONIC)) {
			TAILQ_REMOVE(queue, packet, queue);
			send_on(way, packet, i % DELAYS);
			free(packet);
		}
		if (packet && packet->due < next)
			next = packet->due;
	}
	if (next != UINT64_MAX)
		timer_arm(timer, next);
}

/* ---- the report ---- */

static uint64_t lost_before(int socket)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		err(1, "PACKET_STATISTICS");
	return stats.tp_drops;
}

static void report(void)
{
	uint64_t delayed = counts.delays[DELAY].count + counts.delays[DELAY_SYN_ACK].count;

	counts.lost += lost_before(ways[0].in) + lost_before(ways[1].in);
	printf("{\"packets\":%lu,\"delayed\":%lu,\"handshakes\":%lu,\"syns\":%lu,\"syn_acks\":%lu,", counts.packets,
	       delayed, counts.handshakes, counts.syns, counts.syn_acks);
	printf("\"dropped\":{\"syn\":%lu,\"syn_ack\":%lu,\"first_syn\":%lu},", counts.dropped_syn,
	       counts.dropped_syn_ack, counts.dropped_first_syn);
	printf("\"handshakes_dropped\":{\"syn\":%lu,\"syn_ack\":%lu,\"first_syn\":%lu},", options.drop_syn.used,
	       options.drop_syn_ack.used, options.lose_first_syn.used);
	printf("\"lost\":%lu,", counts.lost);
	samples_print(&counts.delays[PASS], "passed_us");
	printf(",");
	samples_print(&counts.delays[DELAY], "delayed_us");
	printf(",");
	samples_print(&counts.delays[DELAY_SYN_ACK], "syn_acks_us");
	printf("}\n");
}

/* ---- the start ---- */

enum { OPT_SYN_ACK_DELAY = 256, OPT_DROP_SYN, OPT_DROP_SYN_ACK, OPT_LOSE_FIRST_SYN, OPT_PORT };

static void parse_options(int argc, char **argv)
{
	static const struct option names[] = {{"syn-ack-delay", required_argument, NULL, OPT_SYN_ACK_DELAY},
					      {"drop-syn", required_argument, NULL, OPT_DROP_SYN},
					      {"drop-syn-ack", required_argument, NULL, OPT_DROP_SYN_ACK},
					      {"lose-first-syn", optional_argument, NULL, OPT_LOSE_FIRST_SYN},
					      {"port", required_argument, NULL, OPT_PORT},
					      {}};
	char *rest;
	int option;

	while ((option = getopt_long(argc, argv, "d:i:", names, NULL)) >= 0) {
		if (option == 'd')
			options.delay[DELAY] = parse_number(optarg, &rest) * (uint64_t)NS_PER_MS;
		else if (option == 'i')
			alarm(parse_number(optarg, &rest));
		else if (option == OPT_SYN_ACK_DELAY)
			options.delay[DELAY_SYN_ACK] = parse_number(optarg, &rest) * (uint64_t)NS_PER_MS;
		else if (option == OPT_DROP_SYN)
			options.drop_syn = parse_share(optarg);
		else if (option == OPT_DROP_SYN_ACK)
			options.drop_syn_ack = parse_share(optarg);
		else if (option == OPT_LOSE_FIRST_SYN)
			options.lose_first_syn = parse_share(optarg ? optarg : "1/1");
		else if (option == OPT_PORT)
			options.port = htons(parse_number(optarg, &rest));
		else
			errx(2, "see the head of hop.c");
	}
	if (argc - optind != 2)
		errx(2, "usage: hop [OPTION]... INTERFACE INTERFACE");
}

static void watch(int epoll, int fd, struct way *way)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = way};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static void open_ways(char **interfaces, int epoll)
{
	int sockets[2] = {open_interface(interfaces[0]), open_interface(interfaces[1])};

	for (int i = 0; i < 2; i++) {
		ways[i].in = sockets[i];
		ways[i].out = sockets[!i];
		for (int fate = 0; fate < DELAYS; fate++)
			TAILQ_INIT(&ways[i].queues[fate]);
		watch(epoll, ways[i].in, &ways[i]);
	}
}

int main(int argc, char **argv)
{
	/* An instrument: what else the machine does should not be in its delays. Without the right to that it works too. */
	const struct sched_param priority = {.sched_priority = 1};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	stop_on_signals();
	parse_options(argc, argv);
	sched_setscheduler(0, SCHED_FIFO, &priority);
	if (epoll < 0)
		err(1, "epoll_create1");
	timer = timer_open();
	watch(epoll, timer, NULL);
	open_ways(argv + optind, epoll);
	say_ready();
	while (!stopped) {
		struct epoll_event events[4];
		int count = epoll_pwait(epoll, events, 4, -1, &while_waiting);

		for (int i = 0; i < count; i++) {
			struct way *way = events[i].data.ptr;

			if (!way)
				timer_drain(timer);
			for (int n = 0; way && n < BATCH && receive(way); n++)
				;
		}
		serve_queues();
	}
	report();
	return counts.lost ? 1 : 0;
}
