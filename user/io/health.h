/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of backends, each again and again, as clients use them. What a row of results means is core/health.h's. The
 * event loop watches health_prober_fd() for EPOLLIN and calls health_prober_run(), which reports.
 *
 *            nat                                  l2, ipip, gue
 *   tcp      connects to the backend's address    sends a SYN to the service's address, in a frame to the backend (l2) or
 *                                                 in its tunnel (ipip, gue), and waits for the SYN+ACK: what a
 *                                                 client's handshake goes through, whatever this host's routes say
 *   http     GET from the backend's address       the same handshake, and after it a GET in one segment: the status
 *                                                 line of the answer decides, the rest is not waited for
 *   command  whatever it does; it is told the addresses, and nothing is encapsulated for it
 *
 * The SYN comes from the address that the kernel would use towards the backend (of the service's family) and from a port
 * that a bound socket reserves, which also keeps the kernel's TCP from taking part. A RST ends it: with tcp, before the
 * backend's application has seen it. A route by which the backend answers that address is needed. This takes CAP_NET_RAW.
 */
#ifndef IO_HEALTH_H
#define IO_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

#include "canary/abi.h"
#include "core/error.h"

struct health_prober;
struct health_probe; /* the checks of one backend */

int health_prober_open(struct health_prober **ret, struct error *error); /* 0 or -errno */
void health_prober_close(struct health_prober *prober); /* with all probes; not from a report. NULL: nothing */
int health_prober_fd(const struct health_prober *prober);
void health_prober_run(struct health_prober *prober);

enum health_kind { HEALTH_TCP, HEALTH_HTTP, HEALTH_COMMAND };

#define HEALTH_STATUS_MAX 8

struct health_check {
	enum health_kind kind;
	unsigned interval, timeout; /* ms; timeout <= interval */
	int port; /* 0: the backend's with nat, else the service's */
	const char *path; /* http: "/healthz"; NULL: "/" */
	const char *host; /* http: the Host header; NULL: the address */
	unsigned statuses[HEALTH_STATUS_MAX]; /* http: which are good, up to a 0; none: 200 to 399 */
	char *const *argv; /* command: up to a NULL */
};

struct health_target {
	const char *service;
	struct canary_addr address;
	int port; /* host order; 0: every port */
	enum canary_forward forward;
	int gue_port; /* host order; gue */
	struct canary_addr backend;
	int backend_port; /* host order */
};

enum health_outcome {
	HEALTH_GOOD,
	HEALTH_BAD, /* among others: no answer in time, a command's exit code other than 0 */
	HEALTH_UNKNOWN, /* the check could not be made, for a reason of our own: no descriptors, no such command. Not bad */
};

struct health_report {
	enum health_outcome outcome;
	const char *sentence; /* unless it is good: why */
	unsigned milliseconds; /* it took */
};

/* Valid during the call. It may add and remove probes. */
typedef void health_reported(const struct health_report *report, void *arg);

/*
 * Begins to check, at first somewhere within an interval from now, so that a thousand backends are not checked at once.
 * What is given is copied, but for argv, which must stay. 0; -EINVAL: no such check of this target, with a
 * sentence; -ENOMEM.
 */
int health_probe_add(struct health_prober *prober, const struct health_target *target, const struct health_check *check,
		     health_reported *reported, void *arg, struct health_probe **ret, struct error *error);
void health_probe_remove(struct health_probe *probe); /* reports no more. NULL: nothing */

/* Whether there is such a check: what health_probe_add() would say, to validate a configuration. 0 or -errno. */
int health_check_allowed(const struct health_target *target, const struct health_check *check, struct error *error);

#endif
