/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the service's address at one backend, in frames (l2) or tunnels (ipip, gue), past this host's routes. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/model.h"
#include "io/health_private.h"

#define RECEIVED_AT_ONCE 64

enum { V4, V6 };

static int family_index(const struct canary_addr *addr)
{
	return addr_is_v4(addr) ? V4 : V6;
}

/*
 * Our initial sequence numbers begin with the same 16 secret bits, and so do the answers' acknowledgements. All else stays
 * in the kernel: a flood of segments to this host cannot wash out the answers. Offsets are from the IP header on.
 */
#define ANSWER_LEN (FRAME_WINDOW + 128) /* even if the kernel has put segments together */
static const struct sock_filter answers_v4[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),	      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),	      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 8),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), /* the secret */
	BPF_STMT(BPF_RET | BPF_K, ANSWER_LEN),	      BPF_STMT(BPF_RET | BPF_K, 0),
};
static const struct sock_filter answers_v6[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 3),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 40 + 8), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), /* the secret */
	BPF_STMT(BPF_RET | BPF_K, ANSWER_LEN),	    BPF_STMT(BPF_RET | BPF_K, 0),
};
/* A raw socket to send on is also given all that comes in, which is not for us. */
static struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};

static int open_filtered(int family, int type, int protocol, struct sock_filter *filter, size_t len)
{
	struct sock_fprog program = {.len = (unsigned short)len, .filter = filter};
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))) {
		int code = -errno;

		close(fd);
		return code;
	}
	return fd < 0 ? -errno : fd;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int open_receiver(int ethertype, const struct sock_filter *answers, size_t count, __u16 secret)
{
	struct sock_filter filter[COUNT(answers_v4)];

	memcpy(filter, answers, count * sizeof(*filter));
	filter[count - 3].k = secret;
	return open_filtered(AF_PACKET, SOCK_DGRAM, htons(ethertype), filter, count);
}

/* Outgoing only, of family and protocol. */
static int open_sender(int family, int type, int protocol)
{
	return open_filtered(family, type, protocol, nothing, COUNT(nothing));
}

void health_sockets_close(struct health_prober *prober)
{
	struct health_sockets *sockets = &prober->sockets;
	int *const fds[] = {&sockets->receive[V4],     &sockets->receive[V6],	  &sockets->frames,
			    &sockets->tunnels[V4][V4], &sockets->tunnels[V4][V6], &sockets->tunnels[V6][V4],
			    &sockets->tunnels[V6][V6], &sockets->udp[V4],	  &sockets->udp[V6]};

	if (!sockets->open)
		return;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	if (sockets->netlink)
		netlink_close(sockets->netlink);
	sockets->open = false;
}

static const int families[] = {[V4] = AF_INET, [V6] = AF_INET6};
static const int inner_protocols[] = {[V4] = IPPROTO_IPIP, [V6] = IPPROTO_IPV6};

/* Without checksums, as clients' packets are sent: what does not let those through is found. */
static int open_udp(int family)
{
	int fd = open_sender(families[family], SOCK_DGRAM, 0), on = 1, error;

	if (fd < 0)
		return fd;
	error = family == V4 ? setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on))
			     : setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_TX, &on, sizeof(on));
	if (error) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* A host without IPv6 has no such tunnels, and needs none. */
static int tunnels_open(struct health_sockets *sockets)
{
	int error = 0;

	for (int i = V4; i <= V6; i++) {
		int *const fds[] = {&sockets->tunnels[i][V4], &sockets->tunnels[i][V6], &sockets->udp[i]};

		*fds[0] = open_sender(families[i], SOCK_RAW, inner_protocols[V4]);
		*fds[1] = open_sender(families[i], SOCK_RAW, inner_protocols[V6]);
		*fds[2] = open_udp(i);
		for (int j = 0; j < 3; j++)
			if (*fds[j] < 0 && *fds[j] != -EAFNOSUPPORT)
				error = *fds[j];
	}
	return error;
}

static int sockets_open(struct health_prober *prober)
{
	struct health_sockets *sockets = &prober->sockets;
	int error = 0, tunnels_error;

	if (sockets->open)
		return 0;
	sockets->open = true;
	sockets->netlink = netlink_open();
	if (!sockets->netlink || getrandom(&sockets->secret, sizeof(sockets->secret), 0) < 0)
		error = -errno;
	sockets->receive[V4] = open_receiver(ETH_P_IP, answers_v4, COUNT(answers_v4), sockets->secret);
	sockets->receive[V6] = open_receiver(ETH_P_IPV6, answers_v6, COUNT(answers_v6), sockets->secret);
	sockets->frames = open_sender(AF_PACKET, SOCK_DGRAM, 0);
	tunnels_error = tunnels_open(sockets);
	if (!error)
		error = tunnels_error;
	for (int i = V4; i <= V6 && !error; i++)
		error = sockets->receive[i] < 0
				? sockets->receive[i]
				: watch_add(&prober->watch, sockets->receive[i], EPOLLIN, &sockets->receive[i]);
	if (!error && sockets->frames < 0)
		error = sockets->frames;
	if (error)
		health_sockets_close(prober);
	return error;
}

/* An address of ours that a backend can answer, of the service's family. */
static int find_source(struct health_probe *probe, struct canary_addr *ret_source, struct route *ret_route)
{
	const struct health_target *target = &probe->target;
	struct netlink *netlink = probe->prober->sockets.netlink;
	struct route other;
	int error = netlink_route(netlink, &target->backend, ret_route);

	if (error)
		return error;
	*ret_source = ret_route->source;
	if (addr_is_v4(&target->backend) == addr_is_v4(&target->address))
		return 0;
	error = netlink_route(netlink, &target->address, &other);
	if (!error && (other.local || addr_equal(&other.source, &target->address)))
		error = -EADDRNOTAVAIL;
	if (!error)
		*ret_source = other.source;
	return error;
}

static int find_mac(struct health_probe *probe, const struct route *route)
{
	struct netlink *netlink = probe->prober->sockets.netlink;
	int known = netlink_neighbour_mac(netlink, route->ifindex, &route->next_hop, probe->syn.mac);

	probe->syn.ifindex = route->ifindex;
	if (known > 0)
		return 0;
	/* For the next check, it may be known. */
	if (known == 0)
		netlink_manage_neighbour(netlink, route->ifindex, &route->next_hop);
	return known ? known : -EHOSTUNREACH;
}

static struct health_probe **waiting_on_port(struct health_prober *prober, __u16 port)
{
	return &prober->sockets.waiting[port % HEALTH_WAITING_LISTS];
}

/*
 * Nobody else on this host sends from that port as long as the socket is bound. It listens, and its filter drops all that
 * comes: else the kernel would answer the SYN+ACK, of which it knows nothing, with a RST.
 */
static int reserve_port(struct health_probe *probe, const struct canary_addr *source)
{
	const struct sock_fprog program = {.len = COUNT(nothing), .filter = nothing};
	struct sockaddr_storage address;
	struct sockaddr_in6 *bound = (struct sockaddr_in6 *)&address; /* a sockaddr_in has its port in the same place */
	socklen_t len = health_sockaddr(source, 0, &address);

	probe->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe->fd < 0 || setsockopt(probe->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ||
	    bind(probe->fd, (struct sockaddr *)&address, len) || listen(probe->fd, 0) ||
	    getsockname(probe->fd, (struct sockaddr *)&address, &len))
		return -errno;
	probe->syn.tuple.source_port = ntohs(bound->sin6_port);
	probe->syn.next = *waiting_on_port(probe->prober, probe->syn.tuple.source_port);
	*waiting_on_port(probe->prober, probe->syn.tuple.source_port) = probe;
	return 0;
}

void health_syn_release(struct health_probe *probe)
{
	struct health_probe **at = waiting_on_port(probe->prober, probe->syn.tuple.source_port);

	while (*at && *at != probe)
		at = &(*at)->syn.next;
	if (*at)
		*at = probe->syn.next;
}

static int choose_isn(struct health_probe *probe)
{
	__u16 rest;

	if (getrandom(&rest, sizeof(rest), 0) < 0)
		return -errno;
	/* The end of a request still begins with the secret. */
	probe->syn.isn = (__u32)probe->prober->sockets.secret << 16 | (rest & 0x7fffU);
	probe->syn.acknowledged = probe->syn.isn + 1;
	return 0;
}

/* In a tunnel to the backend, as bpf/forward/tunnel.h builds it. */
static ssize_t send_through_tunnel(struct health_probe *probe, __u8 *packet, size_t len)
{
	const struct health_target *target = &probe->target;
	struct health_sockets *sockets = &probe->prober->sockets;
	int outer = family_index(&target->backend), inner = family_index(&target->address);
	__u8 gue[4] = {[1] = (__u8)inner_protocols[inner]};
	struct iovec parts[] = {{gue, sizeof(gue)}, {packet, len}};
	struct sockaddr_storage to;
	struct msghdr message = {.msg_name = &to, .msg_iov = parts, .msg_iovlen = 2};

	if (target->forward == CANARY_FORWARD_GUE) {
		message.msg_namelen = health_sockaddr(&target->backend, target->gue_port, &to);
		return sendmsg(sockets->udp[outer], &message, 0);
	}
	message.msg_namelen = health_sockaddr(&target->backend, 0, &to);
	message.msg_iov = &parts[1];
	message.msg_iovlen = 1;
	return sendmsg(sockets->tunnels[outer][inner], &message, 0);
}

int health_syn_send(struct health_probe *probe, struct frame *frame)
{
	const struct health_target *target = &probe->target;
	struct health_sockets *sockets = &probe->prober->sockets;
	int inner = family_index(&target->address);
	struct sockaddr_ll link = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(inner == V4 ? ETH_P_IP : ETH_P_IPV6),
				   .sll_ifindex = (int)probe->syn.ifindex,
				   .sll_halen = sizeof(probe->syn.mac)};
	__u8 packet[FRAME_MAX];
	ssize_t sent;
	size_t len;

	frame->tuple = probe->syn.tuple;
	len = frame_write(frame, packet);
	if (target->forward == CANARY_FORWARD_L2) {
		memcpy(link.sll_addr, probe->syn.mac, sizeof(probe->syn.mac));
		sent = sendto(sockets->frames, packet, len, 0, (struct sockaddr *)&link, sizeof(link));
	} else {
		sent = send_through_tunnel(probe, packet, len);
	}
	return sent < 0 ? -errno : 0;
}

static int send_flags(struct health_probe *probe, __u8 flags, __u32 sequence)
{
	return health_syn_send(probe, &(struct frame){.sequence = sequence, .flags = flags});
}

void health_syn_start(struct health_probe *probe)
{
	struct health_syn *syn = &probe->syn;
	struct route route;
	int error = sockets_open(probe->prober);

	if (error) {
		health_finish_errno(probe, error, "cannot open raw sockets");
		return;
	}
	*syn = (struct health_syn){};
	syn->tuple.destination = probe->target.address;
	syn->tuple.destination_port = (__u16)health_port(&probe->target, &probe->check);
	error = find_source(probe, &syn->tuple.source, &route);
	if (error) {
		health_finish_errno(probe, error, "there is no way to it");
		return;
	}
	error = probe->target.forward == CANARY_FORWARD_L2 ? find_mac(probe, &route) : 0;
	if (error) {
		health_finish_errno(probe, error, "its link-layer address is not known");
		return;
	}
	error = reserve_port(probe, &syn->tuple.source);
	if (!error)
		error = choose_isn(probe);
	if (!error)
		error = send_flags(probe, FRAME_SYN, syn->isn);
	if (error)
		health_finish_errno(probe, error, "cannot send to it");
	else
		syn->sent = clock_ms();
}

void health_syn_again(struct health_probe *probe, __s64 now)
{
	if (now - probe->syn.sent < HEALTH_RETRY)
		return;
	if (probe->syn.request_len)
		health_get_again(probe);
	else
		send_flags(probe, FRAME_SYN, probe->syn.isn);
	probe->syn.sent = now;
}

void health_syn_stop(struct health_probe *probe)
{
	const struct health_syn *syn = &probe->syn;
	__u32 end = syn->isn + 1 + (__u32)syn->request_len;

	/* A RST counts only where the backend expects its next byte (RFC 5961): it may have the request, or not. */
	send_flags(probe, FRAME_RST, syn->acknowledged);
	if (syn->acknowledged != end)
		send_flags(probe, FRAME_RST, end);
}

static bool answers(const struct frame *frame, const struct health_probe *probe)
{
	const struct frame_tuple *ours = &probe->syn.tuple, *theirs = &frame->tuple;

	return probe->running && health_by_syn(probe) &&
	       frame->acknowledged - (probe->syn.isn + 1) <= probe->syn.request_len &&
	       theirs->destination_port == ours->source_port && theirs->source_port == ours->destination_port &&
	       addr_equal(&theirs->source, &ours->destination) && addr_equal(&theirs->destination, &ours->source);
}

static void take_handshake(struct health_probe *probe, const struct frame *frame)
{
	if (frame->flags & FRAME_RST) {
		health_finish(probe, HEALTH_BAD, "it refuses connections to the service's address");
	} else if (frame->flags != (FRAME_SYN | FRAME_ACK)) {
		return;
	} else if (probe->check.kind == HEALTH_HTTP) {
		health_get_start(probe, frame);
	} else {
		health_syn_stop(probe);
		health_finish(probe, HEALTH_GOOD, "");
	}
}

static void take_answer(struct health_prober *prober, const struct frame *frame)
{
	struct health_probe *probe = *waiting_on_port(prober, frame->tuple.destination_port);

	for (; probe; probe = probe->syn.next) {
		if (!answers(frame, probe))
			continue;
		if (probe->syn.request_len)
			health_get_receive(probe, frame);
		else
			take_handshake(probe, frame);
		return;
	}
}

void health_syn_receive(struct health_prober *prober, int family)
{
	__u8 packet[ANSWER_LEN];

	for (int i = 0; i < RECEIVED_AT_ONCE; i++) {
		ssize_t len = recv(prober->sockets.receive[family], packet, sizeof(packet), 0);
		struct frame frame;

		if (len < 0)
			return;
		if (frame_read(packet, (size_t)len, &frame))
			take_answer(prober, &frame);
	}
}
