/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the data plane's user space share. Not for others. */
#ifndef DATAPLANE_INTERNAL_H
#define DATAPLANE_INTERNAL_H

#include <time.h>

#include "dataplane/dataplane.h"

/* Every pinned map: the enum, the pin's name and the skeleton's member come from this list. */
#define DATAPLANE_MAPS(X)                                                                                              \
	X(services)                                                                                                    \
	X(configs)                                                                                                     \
	X(backends)                                                                                                    \
	X(arena)                                                                                                       \
	X(interfaces)                                                                                                  \
	X(operations)                                                                                                  \
	X(service_ids)                                                                                                 \
	X(segments)                                                                                                    \
	X(egress)                                                                                                      \
	X(flows)                                                                                                       \
	X(embryonic)                                                                                                   \
	X(reverse)                                                                                                     \
	X(reverse_embryonic)                                                                                           \
	X(held)                                                                                                        \
	X(guards)                                                                                                      \
	X(watched)                                                                                                     \
	X(watching)                                                                                                    \
	X(outcomes)                                                                                                    \
	X(histograms)                                                                                                  \
	X(events)                                                                                                      \
	X(event_head)                                                                                                  \
	X(sweeper)                                                                                                     \
	X(next_hops)                                                                                                   \
	X(cohort_counters)                                                                                             \
	X(backend_counters)                                                                                            \
	X(interface_counters)                                                                                          \
	X(settings) /* the last: where it is pinned, everything is there */

enum dataplane_map {
#define X(name) MAP_##name,
	DATAPLANE_MAPS(X)
#undef X
		MAP_COUNT
};

struct dataplane {
	char dir[256];
	enum dataplane_access access;
	int lock; /* the directory, locked; -1 for readers */
	int fd[MAP_COUNT];
	int cpus;
	/* Whole arrays, mapped. */
	struct canary_settings *settings;
	struct canary_service *services;
	struct canary_config *configs;
	struct canary_backend *backends;
	struct canary_interface *interfaces;
};

/* object.c: the pinned objects. */
int object_open_maps(struct dataplane *dataplane, struct error *error); /* -ENOENT: incomplete or nothing there */
int object_create(struct dataplane *dataplane, struct error *error); /* loads, pins; a half-made state is replaced */
int object_open_program(const struct dataplane *dataplane, const char *name, struct error *error); /* fd or -errno */
void object_unlink_pins(const char *dir); /* all that the directory holds */
int object_pin_path(const struct dataplane *dataplane, const char *name, char path[320]);

/* dataplane.c: gives back what an open data plane holds in this process, and nothing else. */
void dataplane_release(struct dataplane *dataplane);

/* Loads this binary's programs: with the pinned maps where they are open, else with maps of their own. */
struct canary_bpf;
int object_load(struct dataplane *dataplane, struct canary_bpf **ret, struct error *error);
int object_arm(int program, struct error *error); /* starts the sweeper with the program's code */

/* keys.c: from the key file, which is made when missing; a service's salt. */
int keys_load(struct canary_keys *ret, struct error *error);
__u64 keys_salt(const struct canary_keys *keys, const struct service_model *service);

/* flows.c: a flow's entry, established or opening, that is in force. -ENOENT: there is none. */
int flows_find(const struct dataplane *dataplane, const struct canary_flow_key *key, __u32 shard,
	       struct canary_flow *ret);

__u64 flows_memory(const struct dataplane *dataplane); /* of the table's shards, in bytes */
__u64 map_memory(int fd); /* counters.c: of one map */

/* attach.c: the pinned link of an interface: fd or -errno. */
int attach_open_link(const struct dataplane *dataplane, const struct interface *interface);

#define PROGRAM_XDP "canary_xdp"
#define PROGRAM_COMMIT "canary_commit"
#define PROGRAM_ARM "canary_arm"
/* Tracepoint programs, by their pin's name; their links are pinned under the same name with "link_" before it. */
extern const char *const object_trace_programs[];

/* Why the kernel refused something, in words. */
const char *explain_errno(int error);

/* arena.c: a window on the arena's words. Release with arena_close(). NULL with errno. */
struct arena_window {
	void *map;
	size_t length;
	__u64 *words;
};
int arena_open(const struct dataplane *dataplane, __u32 base, __u32 words, bool write, struct arena_window *ret);
void arena_close(struct arena_window *window);

/* occupied.c: which places of the shared arrays are in use, or may still be read by a packet on its way. */
struct occupied;
int occupied_find(struct dataplane *dataplane, struct occupied **ret);
void occupied_free(struct occupied *occupied);
/* Each takes a free place and marks it taken: its number, or 0 where all are taken (an arena extent of 0 words is 0 too). */
__u32 occupied_take_service(struct occupied *occupied);
__u32 occupied_take_backend(struct occupied *occupied);
__u32 occupied_take_words(struct occupied *occupied, __u32 count);
bool occupied_has_segment_set(const struct occupied *occupied, __u32 set);
/* Is this the first segment set of the change? Then sets of no record can go: later, those that it brings would, too. */
bool occupied_first_segments(struct occupied *occupied);
/* A configuration record's slot of a service that no packet reads; waits for packets on their way where it must. */
__u32 occupied_free_slot(const struct dataplane *dataplane, struct occupied *occupied, __u32 service);

/* record.c: builds a service's configuration record from the model. */
int record_build(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *actual,
		 struct service_model *desired, struct canary_config *ret, struct error *error);

int record_zero_service(const struct dataplane *dataplane, __u32 service);

static inline __u64 monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static inline struct canary_config *record_at(const struct dataplane *dataplane, __u32 service, __u32 slot)
{
	return &dataplane->configs[service * CANARY_CONFIGS + slot];
}

#endif
