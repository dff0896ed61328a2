/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data planes of a fleet's hosts: bpf/canary.bpf.c, compiled for user space (tests/model), with one service for each host,
 * all of which have the same hashes, rings and backends.
 */
#ifndef FLEET_PLANE_H
#define FLEET_PLANE_H

#include "core/fleet.h"
#include "model/datapath.h"

enum {
	HOSTS = SHIM_INSTANCES,
	PLANE_MEMBERS = 3, /* backends of a cohort */
	PLANE_NONE = -1,
};
#define PLANE_IDLE_NS 5000000000ULL

void plane_init(void);
void plane_exit(void);
void plane_clear(void);

/* As after a reboot: nothing is left but `state`, with its default as the older view of an open window. */
void plane_install(unsigned host, const struct fleet_state *state);
void plane_adopt(unsigned host, const struct fleet_state *state); /* what it remembers of flows stays */
void plane_change(unsigned host, const struct fleet_state *state);
struct fleet_state plane_have(unsigned host);
/* Keeps the window open; or lets it close as soon as the sweeper has looked twice. */
void plane_keep(unsigned host, bool open);
void plane_sweep(unsigned host);

/* Backends are numbered alike on all hosts. */
struct plane_verdict {
	int backend;
	int alternate; /* gue: named beside it; or PLANE_NONE */
};
struct plane_verdict plane_packet(unsigned host, const struct canary_tuple *tuple, __u32 tcp_flags, __u32 seq);
int plane_choose(const struct fleet_view *view, const struct canary_tuple *tuple);
/* How many flows it remembers that `now` would choose otherwise. */
unsigned plane_older(unsigned host);

#endif
