/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All ways that a packet of a service can take: every mode of forwarding, IPv4 and IPv6. A case that holds for all of them
 * is written once, and goes through each with EACH_WAY. In each there are the services "tcp" (port 80) and "udp" (port 53) of
 * VIP or VIP6, which have host 11 behind "back", or behind "front", as their backend (at ports 8080 and 5353 in nat).
 */
#ifndef LIB_WAY_H
#define LIB_WAY_H

#include "lib_run.h"

/* The outer headers of tunnels to host 11 behind "back"; gue's without the port that is the flow's. */
extern const struct tunnel outer4, outer4_of_6, outer6, gue4, gue6;

struct way {
	enum canary_forward forward;
	bool v6;
	enum side side; /* where the backend is; packets come in at FRONT */
};

/* Each with services of its own, in the same data plane. `way` is a struct way. */
#define EACH_WAY(way, where) for (struct way way = {.side = (where)}; way_begin(&way); way_next(&way))
bool way_begin(const struct way *way);
void way_next(struct way *way);

/* The service of a protocol, to be altered or given to CONFIGURE; both of them configured. */
struct service way_service(const struct way *way, int proto);
void way_configure(const struct way *way);
/* The address of host 11, 12, ... at the way's side. */
const char *way_host(const struct way *way, unsigned host);
unsigned way_port(const struct way *way, int proto); /* the backend's */

/* A SYN or a datagram of the client's. */
struct spec way_request(const struct way *way, int proto);
/* As it goes out to a host. `outer` is for the tunnel's header. */
struct spec way_sent(const struct way *way, struct spec in, unsigned host, struct tunnel *outer);
/* Bytes that a packet grows by. */
unsigned way_overhead(const struct way *way);
/* nat: what host 11 answers to a request, and what is sent on to the client of it. */
struct spec way_reply(const struct way *way, const struct spec *request);
struct spec way_seen(const struct way *way, struct spec reply, const struct spec *request);

/* The packet is sent on to host 11, and counted as "flow" or "packet". */
void way_forwards(const struct way *way, const char *what, const struct spec *in, const char *kind);
/* To another host, of the canary if that is 21 or above; `also`: what else moves, or "". */
void way_forwards_to(const struct way *way, const char *what, const struct spec *in, unsigned host, const char *kind,
		     const char *also);
/* A part of a packet, the first one (offset 0) or a later one, whose header is nothing but data; and that it follows the first. */
struct spec way_part(struct spec whole, unsigned offset, bool more, unsigned id);
void way_follows_to(const struct way *way, const char *what, const struct spec *in, unsigned host);
/* Lets a connection begin, of which nothing is shown: what the case is about comes after it. */
void way_opens(const struct way *way, const struct spec *in);
/* It is not sent on, and these counters move: names of the interface's counters and reasons, as "passed not_ours". */
void way_refuses(const struct way *way, const char *what, const struct spec *in, int verdict, const char *counters);
/* Host 11's answer is sent on to the client. */
void way_returns(const struct way *way, const char *what, const struct spec *reply, const struct spec *request);

#endif
