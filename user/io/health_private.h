/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of health.h share. */
#ifndef IO_HEALTH_PRIVATE_H
#define IO_HEALTH_PRIVATE_H

#include "core/due.h"
#include "io/command.h"
#include "io/health.h"
#include "io/health_frame.h"
#include "io/health_status.h"
#include "io/http_client.h"
#include "io/netlink.h"
#include "io/watch.h"

#define HEALTH_RETRY 1000 /* ms after which a SYN or a request is sent again, as TCP does it (RFC 6298) */

#define HEALTH_WAITING_LISTS 4096

/* Sockets for SYNs that this host's routes do not know: opened when the first is sent. By family: 0 is IPv4, 1 IPv6. */
struct health_sockets {
	bool open;
	struct netlink *netlink;
	__u16 secret; /* the first half of our initial sequence numbers */
	int receive[2];
	int frames; /* l2 */
	int tunnels[2][2]; /* ipip: by the outer and the inner family */
	int udp[2]; /* gue: by the outer family */
	struct health_probe *waiting[HEALTH_WAITING_LISTS]; /* for an answer, by the port that they reserve */
};

struct health_prober {
	struct watch watch;
	struct http_client *http;
	struct health_sockets sockets;
	struct due_heap probes;
	bool in_run; /* those removed meanwhile are freed at its end */
};

/* A handshake that is being tried, and with http the request after it. */
struct health_syn {
	struct health_probe *next; /* that waits, in the same list */
	struct frame_tuple tuple; /* from us to the service's address */
	__u32 isn;
	unsigned ifindex; /* l2 */
	__u8 mac[6];
	__s64 sent;
	__u32 acknowledged; /* of our sequence: the backend expects this next */
	/* http, once the handshake is done: */
	size_t request_len; /* else 0 */
	__u32 expected; /* of the backend's sequence */
	struct status_reader status;
};

struct health_probe {
	struct due due; /* never later than it is, at times earlier: then it is looked at in vain */
	struct health_prober *prober;
	struct health_target target; /* `service` is ours */
	struct health_check check; /* path and host are ours */
	health_reported *reported;
	void *arg;
	bool removed;

	__s64 next_at; /* when the next check begins */
	bool running;
	__s64 started;
	int fd; /* the one that connects, or that reserves the SYN's port; else -1 */
	struct http_transfer *transfer;
	struct command *command;
	struct health_syn syn;
};

/* The check is over, and is reported. */
void health_finish(struct health_probe *probe, enum health_outcome outcome, const char *sentence);
/* With an errno: is it the other side's, or our own? */
void health_finish_errno(struct health_probe *probe, int code, const char *doing);

static inline bool health_by_syn(const struct health_probe *probe)
{
	return probe->check.kind != HEALTH_COMMAND && probe->target.forward != CANARY_FORWARD_NAT;
}

/* The port that is checked, in host order. */
int health_port(const struct health_target *target, const struct health_check *check);

/* What it means that an http check is answered with this status. */
void health_finish_status(struct health_probe *probe, unsigned status);

/* Each begins a check, which may be over at once; each goes on when what it waits for has come. */
void health_tcp_start(struct health_probe *probe);
void health_tcp_ready(struct health_probe *probe);
void health_http_start(struct health_probe *probe);
void health_command_start(struct health_probe *probe);
void health_syn_start(struct health_probe *probe);
/* Sends it once more if that is due. */
void health_syn_again(struct health_probe *probe, __s64 now);
/* No answer will be waited for: the backend forgets what it may have begun. */
void health_syn_stop(struct health_probe *probe);

/* Sends a segment of the probe's connection, whose tuple is filled in: 0 or -errno. */
int health_syn_send(struct health_probe *probe, struct frame *frame);

/* The GET of an http check over its own handshake: begins it, sends it again, takes what comes for it. */
void health_get_start(struct health_probe *probe, const struct frame *accepted);
void health_get_again(struct health_probe *probe);
void health_get_receive(struct health_probe *probe, const struct frame *frame);
/* Its text; its length, which is > FRAME_MSS if it does not fit. */
size_t health_get_write(const struct health_target *target, const struct health_check *check, char ret[FRAME_MSS + 1]);

/* It waits for answers no longer. */
void health_syn_release(struct health_probe *probe);

/* Answers have come in on a socket of health_sockets.receive. */
void health_syn_receive(struct health_prober *prober, int family);
void health_sockets_close(struct health_prober *prober);

/* The socket address of one of ours; its length. */
struct sockaddr_storage;
unsigned health_sockaddr(const struct canary_addr *addr, int port, struct sockaddr_storage *ret);

#endif
