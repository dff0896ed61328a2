/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/canary.bpf.c, unchanged, compiled for user space with small limits, so that flows collide, tables fill and passes
 * of the sweeper end soon. Errors of the tests' own abort.
 */
#ifndef MODEL_DATAPATH_H
#define MODEL_DATAPATH_H

#include <stdbool.h>

#include "canary/hash.h"
#include "model/shim.h"

enum {
	SMALL_SHARDS = 4,
	SMALL_SHARD_FLOWS = 48,
	SMALL_EMBRYONIC = 48,
	SMALL_HELD_BITS = 1024,
	SMALL_SERVICES = 32,
	SMALL_BACKENDS = 128,
	SMALL_ARENA = 4096,
	SMALL_OPENING_PASSES = 12,
	SMALL_WATCHED_SETS = 64, /* a word of bits */
	SMALL_WATCHED_WAYS = 2,
	SMALL_EVENTS = 16,
	SMALL_PASS = 2 * SMALL_SHARDS + 1, /* ticks */
};
#define SMALL_TICK_NS 100000000ULL

enum {
	MODEL_SYN = 0x02,
	MODEL_FIN = 0x01,
	MODEL_RST = 0x04,
	MODEL_ACK = 0x10,
};

struct datapath_packet {
	struct canary_tuple tuple;
	__u32 tcp_flags;
	__u32 tcp_seq;
	bool icmp_error;
	bool data;
	bool lease_unchecked;
	__u32 only; /* the service that is asked, though others have the same address; 0: it is looked for */
	__u32 named; /* the backend that a connection id names; 0: none */
	/* What became of it. */
	__u32 service;
	int verdict; /* 0: it goes to `backend` */
	__u32 backend;
	__u32 generation;
	__u32 cohort;
	__u32 alternate; /* the backend that it may name beside its own; 0: none */
};

/* The maps that hold what was learned from packets are there twice: see shim_instance. */
void datapath_init(void);
void datapath_exit(void);
void datapath_clear(void); /* everything, in both */
void datapath_forget(void); /* what a reboot forgets, in the current instance */

void datapath_steer(struct datapath_packet *packet);
/* nat: a reply of the packet's backend to its client. The service that it was given to; 0: none. */
__u32 datapath_reply(const struct datapath_packet *packet, __u32 tcp_flags, bool data);
/* The whole program: a verdict. */
int datapath_frame(struct shim_frame *frame);
void datapath_arm(void);
int datapath_commit(const struct canary_operation *operations, __u32 count);
/* The breaker trips, for no reason. False: the service was stopped already. */
bool datapath_trip(__u32 service);
/* What a view chooses. */
struct datapath_choice {
	__u32 backend; /* 0: none */
	__u32 cohort;
};
struct datapath_choice datapath_choose(__u32 service, __u32 view, const struct canary_tuple *tuple);
/* How many of the service's flows in the table `now` would choose otherwise. */
__u32 datapath_older(__u32 service);

/* Makes what a service is measured by, as user space does when it adds one. */
void datapath_measure(__u32 service);
/* Over all epochs and cohorts. */
__u64 datapath_outcome(__u32 service, enum canary_outcome what);
/* Flows whose outcome is yet to come, in the current instance. */
__u32 datapath_watched_opening(__u32 service);
bool datapath_is_watched_word(const void *place);
struct canary_guard *datapath_guard(__u32 id);
__u64 datapath_coarse_ns(void);

struct canary_service *datapath_service(__u32 id);
struct canary_config *datapath_config(__u32 id, __u32 slot);
struct canary_backend *datapath_backend(__u32 index);
struct canary_settings *datapath_settings(void);
struct canary_keys *datapath_keys(void);
struct canary_interface *datapath_interface(__u32 ifindex);
void datapath_vlan(__u32 ifindex, const struct canary_egress *below); /* a VLAN device */
/* Of the current CPU. */
struct canary_cohort_counters *datapath_cohort_counters(__u32 service, __u32 cohort);
struct canary_backend_counters *datapath_backend_counters(__u32 index);
struct canary_interface_counters *datapath_interface_counters(__u32 ifindex);
struct canary_sweeper *datapath_sweeper(void);
__u64 *datapath_arena(__u32 word);
__u64 *datapath_held(__u32 bitmap, __u32 bit);
__u64 datapath_count(__u32 service, enum canary_cohort_counter counter);
void datapath_segment(__u32 set, const struct canary_addr *addr, __u32 prefix_length, __u32 cohort);
/* From now on, until the clock moves on, limits are exhausted (or not yet used). */
void datapath_exhaust(bool exhausted);

struct shim_map *datapath_flows(void);
struct shim_map *datapath_embryonic(void);
struct shim_map *datapath_reverse(void);
struct canary_flow *datapath_find(const struct canary_flow_key *key); /* in the table */
struct canary_flow *datapath_opening(const struct canary_flow_key *key);

#endif
