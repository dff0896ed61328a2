/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data plane as user space sees it: pinned maps and programs below one directory of a bpffs. The only user of
 * libbpf. All functions return 0 or -errno with a text for a person in *error, and leave outputs untouched on failure.
 *
 * Every change is prepared in objects that no packet sees (configuration records, rings, backends not yet named), then
 * committed by one run of a kernel program: a process that is killed at any moment has changed nothing or everything.
 */
#ifndef DATAPLANE_H
#define DATAPLANE_H

#include "core/error.h"
#include "core/model.h"

#define DATAPLANE_DEFAULT_DIR "/sys/fs/bpf/canaryctl"

struct dataplane;

enum dataplane_access {
	DATAPLANE_READ, /* -ENOENT if there is nothing at dir */
	DATAPLANE_CHANGE, /* as READ, and waits (at most 10 s, then -EBUSY) for the lock that one writer at a time holds */
	DATAPLANE_CREATE, /* as CHANGE, and makes what is missing */
	DATAPLANE_UPGRADE, /* as CHANGE, and takes maps of CANARY_ABI_PREVIOUS, for dataplane_upgrade() alone */
};

int dataplane_open(const char *dir, enum dataplane_access access, struct dataplane **ret, struct error *error);
/*
 * Where the keys of the hashes are kept, for DATAPLANE_CREATE: made (0600) when missing, so that a reboot, or a second
 * balancer that has the file, chooses alike. Before dataplane_open(); NULL: DATAPLANE_DEFAULT_KEY_FILE.
 */
#define DATAPLANE_DEFAULT_KEY_FILE "/var/lib/canary/keys"
void dataplane_use_key_file(const char *path);

/*
 * How many flows can be remembered in a data plane that DATAPLANE_CREATE makes, at least; 0: the default of 65,536. One
 * that is there already has to be as large: -EEXIST. Before dataplane_open().
 */
#define DATAPLANE_MAX_FLOWS (CANARY_FLOW_SHARDS * CANARY_MAX_SHARD_FLOWS)
void dataplane_use_max_flows(unsigned flows);

/* NULL is fine. With access to change: where nothing is attached and no service is left, the pins go as well. */
void dataplane_close(struct dataplane *dataplane);

/* The running configuration: all of it, or the one service `name` (-ENOENT: there is none). */
int dataplane_read(struct dataplane *dataplane, const char *name, struct model *ret, struct error *error);

/* The same of all services, without their backends and segments: 1,000 of them in well under a millisecond. */
int dataplane_read_heads(struct dataplane *dataplane, struct model *ret, struct error *error);

/*
 * Makes the difference between two models real: services only in `actual` are deleted, those of `desired` without an id
 * are added, those in both changed where they differ. Services in neither are left alone. On success `desired` has its
 * ids, indices and words; after a failure it is only good for model_free(). What it did is written down as events.
 * -ESTALE: somebody else changed a service since `actual` was read (not the kernel, by itself: a stop that came in between
 * stays, unless the change is a new assignment); -ENOSPC: something is full.
 */
int dataplane_commit(struct dataplane *dataplane, const struct model *actual, struct model *desired,
		     struct error *error);

/* The outer source address for a backend's tunnel, which user space knows from the route. */
void dataplane_set_tunnel_source(struct dataplane *dataplane, __u32 backend, const struct canary_addr *source);
/* VLAN devices are sent to through the device below: a table of them, by ifindex. Replaces the table. */
struct dataplane_vlan {
	unsigned ifindex;
	struct canary_egress egress;
};
int dataplane_set_vlans(struct dataplane *dataplane, const struct dataplane_vlan *vlans, size_t count,
			struct error *error);

enum attach_mode { ATTACH_AUTO, ATTACH_NATIVE, ATTACH_GENERIC };

struct interface {
	unsigned ifindex;
	__u32 netns;
	char name[16];
	__u8 mac[6];
	bool partial_checksums; /* senders may leave checksums to us (veth) */
	bool generic; /* attached in generic mode */
	bool gone; /* the interface was deleted since */
	bool chain; /* beside others' programs, in the dispatcher of libxdp */
	unsigned priority; /* there: the lowest runs first. To attach with; not read back */
	/* Of ->chain, in its network namespace: which of how many programs it is, from 1; 0: somebody took it out. */
	int position;
	int programs;
};

/* libxdp's own default is 50: what does not say when it wants to run sees packets before we take them. */
#define DATAPLANE_DEFAULT_PRIORITY 60

/*
 * Fills in ->generic, ->chain and what that has. Attached already: 0, and *ret_already is true (the recorded MAC and name
 * are refreshed).
 */
int dataplane_attach(struct dataplane *dataplane, struct interface *interface, enum attach_mode mode, bool *ret_already,
		     struct error *error);
int dataplane_detach(struct dataplane *dataplane, const struct interface *interface, struct error *error);
/* All that is attached; *ret to be freed. */
int dataplane_interfaces(struct dataplane *dataplane, struct interface **ret, size_t *ret_count, struct error *error);

/*
 * The XDP program that an interface has in this network namespace, ours or not, as a part of a sentence: "xdp_pass (id 7),
 * attached by netlink". false: there is none.
 */
#define OCCUPANT_TEXT_LEN 320
bool occupant_describe(unsigned ifindex, char buf[OCCUPANT_TEXT_LEN]);

/* Counters, summed over CPUs. */
int dataplane_cohort_counters(struct dataplane *dataplane, __u32 service, enum canary_cohort cohort,
			      struct canary_cohort_counters *ret);
int dataplane_backend_counters(struct dataplane *dataplane, __u32 backend, struct canary_backend_counters *ret);
int dataplane_interface_counters(struct dataplane *dataplane, unsigned ifindex, struct canary_interface_counters *ret);

/* What the data plane would do with a client's next flow, and with its present one. */
struct explanation {
	__u32 bucket;
	__u32 threshold;
	enum canary_cohort wanted, cohort; /* they differ where `wanted` has no backend */
	bool segment; /* a segment decided, not the weight */
	__u32 slot, ring_size;
	__u32 backend; /* index; 0: none */
	bool stopped; /* the breaker tripped or the lease expired: no bucket is the canary's, whatever the threshold */
	bool tracked; /* there is a flow: it stays where it is */
	enum canary_cohort tracked_cohort;
	__u32 tracked_backend;
};
int dataplane_explain(struct dataplane *dataplane, const struct service_model *service,
		      const struct canary_addr *client, int client_port, int port, struct explanation *ret,
		      struct error *error);

/* The window of a service, in which older flows may follow the configuration before it. Times: CLOCK_MONOTONIC. */
struct window {
	bool open;
	__u64 opened_ns;
	__u64 closes_ns; /* unless something changes, or is skipped, before */
	__u32 held; /* flows that are remembered */
	__u64 skipped; /* packets of older flows that could not be remembered yet */
	__u64 fallbacks; /* new flows that got the older choice, as no more could be remembered */
};
int dataplane_window(struct dataplane *dataplane, const struct service_model *service, struct window *ret);
/* The configuration that was in force when the open window opened. -ENOENT: no window is open. */
int dataplane_read_oldest(struct dataplane *dataplane, const struct service_model *service, struct model *ret,
			  struct error *error);

/* What the kernel knows of a service's canary. Of the assignment in force. Times: CLOCK_MONOTONIC. */
struct guard {
	bool stopped; /* new flows go to stable, whatever the weight */
	/* For that; LEASE without it: it would be, but the service says to hold. NONE and stopped: it was before a reboot. */
	enum canary_stop_reason reason;
	__u64 stopped_ns;
	__u64 stopped_epoch;
	double sum, limit; /* of the breaker's rule that tripped, in nats */
	/* Of the assignment: whose outcome was known then, or where there is no reason, is known. */
	__u32 flows[CANARY_COHORTS];
	__u32 failures[CANARY_COHORTS];
	__u64 lease_expires_ns; /* 0: there is no lease */
	bool lease_expired;
	__u64 flooded_ns; /* the last time that SYNs came faster than they could be watched; 0: never */
};
bool guard_has_tripped(const struct guard *guard); /* is it the breaker that stops the canary? */
int dataplane_guard(struct dataplane *dataplane, const struct service_model *service, struct guard *ret);
/*
 * Lets the lease of the assignment in force last `seconds` from now on (0: as long as it lasts by itself). -ENOENT: it has
 * none; -ESTALE: it expired, and only a new assignment helps. Changes nothing else, and needs access to change.
 */
int dataplane_renew_lease(struct dataplane *dataplane, const struct service_model *service, unsigned seconds,
			  struct error *error);

/* What became of watched connections, by epoch; -ENOENT: nothing is known. */
int dataplane_outcomes(struct dataplane *dataplane, const struct service_model *service, struct canary_outcomes *ret);
/* Times, of the assignment in force; -ENOENT: the service's way of forwarding cannot tell. */
int dataplane_histogram(struct dataplane *dataplane, const struct service_model *service, enum canary_cohort cohort,
			enum canary_histogram_kind kind, struct canary_histogram *ret);

/* Writes an event down; type, epoch, name and values are given, number, time and uid filled in. Needs access to change. */
void dataplane_put_event(struct dataplane *dataplane, const struct canary_event *event);
/*
 * Calls back for each event with a number above `after`, oldest first, until it returns nonzero, which is returned.
 * *ret_last is the last number there is, *ret_lost how many of them were overwritten before they could be read.
 */
int dataplane_events(struct dataplane *dataplane, __u64 after, int (*call)(const struct canary_event *event, void *arg),
		     void *arg, __u64 *ret_last, __u64 *ret_lost);

/* A remembered flow. */
struct flow {
	__u32 service; /* id */
	struct canary_addr client;
	int client_port;
	int port; /* what the client speaks to */
	__u32 backend; /* index */
	enum canary_cohort cohort;
	__u64 idle_ns; /* since its last packet from the client, to a second */
};
/* Calls back for each flow that is remembered, until it returns nonzero, which is returned (or -errno). */
int dataplane_flows(struct dataplane *dataplane, int (*call)(const struct flow *flow, void *arg), void *arg);
/*
 * How many of a service's remembered flows, by its id, a balancer that does not remember them would give another backend. 0 or
 * -errno.
 */
int dataplane_exposed_flows(struct dataplane *dataplane, unsigned ret[CANARY_MAX_SERVICES]);
/* Forgets the flows for which `match` returns true: their next packet is chosen anew. How many, or -errno. */
long dataplane_flush_flows(struct dataplane *dataplane, bool (*match)(const struct flow *flow, void *arg), void *arg);

/*
 * Replaces the pinned programs, and those that are attached, by this binary's, in place: no packet is missed, and maps
 * stay. For DATAPLANE_UPGRADE: from maps of CANARY_ABI_PREVIOUS it makes what they lack, and fills in the defaults.
 */
int dataplane_upgrade(struct dataplane *dataplane, struct error *error);

struct dataplane_info {
	__u32 abi;
	char build[CANARY_NAME_LEN]; /* of the pinned programs */
	__u32 program_id; /* of the XDP program */
	char program_tag[17];
	__u64 map_bytes; /* memory of all maps */
	__u32 max_flows; /* that can be remembered */
	char sweeper_build[CANARY_NAME_LEN]; /* of the program whose timer runs */
	__u64 sweeper_age_ns; /* since its last tick */
};
/* A sweeper that did not tick for longer is dead. */
#define DATAPLANE_SWEEPER_DEAD_NS 3000000000ULL
int dataplane_info(struct dataplane *dataplane, struct dataplane_info *ret, struct error *error);

#endif
