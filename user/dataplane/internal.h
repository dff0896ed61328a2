/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the data plane's user space share. Not for others. */
#ifndef DATAPLANE_INTERNAL_H
#define DATAPLANE_INTERNAL_H

#include <stdarg.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "dataplane/dataplane.h"

/* Every pinned map: the enum, the pin's name and the skeleton's member come from this list. */
#define DATAPLANE_MAPS(X)                                                                                              \
	X(services)                                                                                                    \
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
	X(fragments)                                                                                                   \
	X(tables) /* CANARY_ABI_PREVIOUS has none */                                                                   \
	X(capture)                                                                                                     \
	X(capture_cpus)                                                                                                \
	X(capture_out)                                                                                                 \
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
	__u32 abi; /* of the maps */
	int fd[MAP_COUNT];
	/* Whole arrays, mapped. */
	struct canary_settings *settings;
	struct canary_service *services;
	struct canary_interface *interfaces;
	/* Large ones, mapped where they are looked at: records_of(), backend_at(), words_at(). */
	struct mapped *tables, *arena;
	__u64 quiet_ns; /* no packet reads any more what was taken out of force before that */
};

struct canary_bpf;

/* object.c: the pinned objects. */

/*
 * -ENOENT: incomplete or nothing there; -EPROTO: of another ABI. With DATAPLANE_UPGRADE, `tables` may be missing, which
 * CANARY_ABI_PREVIOUS has not.
 */
int object_open_maps(struct dataplane *dataplane, struct error *error);
extern const char *const object_former_maps[]; /* that CANARY_ABI_PREVIOUS had pinned; NULL ends it */
/* Pins those that were missing, and keeps them open. */
int object_pin_missing(struct dataplane *dataplane, const struct canary_bpf *skeleton, struct error *error);
int object_create(struct dataplane *dataplane, struct error *error); /* loads, pins; a half-made state is replaced */
int object_open_program(const struct dataplane *dataplane, const char *name, struct error *error); /* fd or -errno */
extern const char *const object_map_names[MAP_COUNT];
extern const char *const object_programs[]; /* NULL ends it; the first is the first to be pinned, and the last to go */
int object_pin_path(const struct dataplane *dataplane, const char *name, char path[320]);
int object_pin(int fd, const char *path); /* 0 or -errno */

/* pins.c: those in a directory. */
/* Where there are no settings: are there pins of ours that no interface is attached to? The programs' names are surely ours. */
bool pins_are_abandoned(const char *dir);
void pins_unlink(const char *dir); /* all that the directory holds */
int pins_give(const char *dir, struct error *error); /* all of them, as object_pin() does one */

/* directory.c: it has to lie in a bpffs, or the one that it would be made in. */
int directory_check(const char *dir, struct error *error);
/* Locks it for a writer, and makes it if it is to: a descriptor, whose end is the lock's, or -errno (-EBUSY after 10 s). */
int directory_lock(const char *dir, bool create, struct error *error);
/* Pins an object, in the place of another where there is one, in one step. */
int object_replace_pin(const struct dataplane *dataplane, int fd, const char *name, struct error *error);

/* dataplane.c: gives back what an open data plane holds in this process, and nothing else. */
void dataplane_release(struct dataplane *dataplane);
int dataplane_map_tables(struct dataplane *dataplane, struct error *error);

/* Loads this binary's programs: with the pinned maps where they are open, else with maps of their own. */
int object_load(struct dataplane *dataplane, struct canary_bpf **ret, struct error *error);
/* For libbpf_set_print() while an object is loaded; and what there is to say when the kernel has refused it. */
int object_keep_warning(enum libbpf_print_level level, const char *format, va_list args);
int object_refuse_load(int code, struct error *error);
/* The same, up to what the kernel is to be asked: for who loads one of the programs in another way. */
int object_open(struct dataplane *dataplane, struct canary_bpf **ret, struct error *error);
int object_arm(int program, struct error *error); /* starts the sweeper with the program's code */

/*
 * keys.c: a pin, or a directory of pins, that root has made is given to whom the directory of the key file belongs: canaryd,
 * which where it is installed is not root. 0 or -errno.
 */
int keys_give(const char *path);
/* From the key file, which is made when missing; a service's salt. */
int keys_load(struct canary_keys *ret, struct error *error);
__u64 keys_salt(const struct canary_keys *keys, const struct service_model *service);

/* flows.c: a flow's entry, established or opening, that is in force. -ENOENT: there is none. */
int flows_find(const struct dataplane *dataplane, const struct canary_flow_key *key, __u32 shard,
	       struct canary_flow *ret);

/* Where a shard of the table is pinned; and pins those that an older build has not. */
#define FLOWS_SHARD_NAME_LEN 16
void flows_shard_name(__u32 number, char name[FLOWS_SHARD_NAME_LEN]);
int flows_pin_missing(const struct dataplane *dataplane, struct error *error);

__u64 flows_memory(const struct dataplane *dataplane); /* of the table's shards, in bytes */
__u32 flows_room(const struct dataplane *dataplane); /* how many each of them holds; 0: cannot be told */
__u32 flows_wanted(void); /* how many each is to hold, as dataplane_use_max_flows() said; 0: it did not */
/* counters.c */
__u64 map_memory(int fd); /* of one map */
int counters_zero(const struct dataplane *dataplane, enum dataplane_map map, __u32 key, size_t size); /* on all CPUs */

/* attach.c: the pinned link of an interface that is not in a chain: fd or -errno. */
int attach_open_link(const struct dataplane *dataplane, const struct interface *interface);
/* Where an interface's link is pinned below a directory. 0 or -ENAMETOOLONG. */
int attach_link_path(const char *dir, const struct interface *interface, char path[320]);
/* 1: the pinned link is attached. 0: its interface is gone. -ENOENT: there is no such pin. */
int attach_link_alive(const char *path);
/* What programs read of an interface, and what that says: all but its numbers. */
void attach_describe(const struct interface *interface, struct canary_interface *ret);
void attach_described(const struct canary_interface *entry, struct interface *ret);
/* A link of a program with an interface, in its driver or in generic mode, which interface->generic then says: fd or -errno. */
int attach_make_link(int program, struct interface *interface, enum attach_mode mode, struct error *error);

/*
 * chain.c: our program beside others, in the dispatcher of libxdp. All that change a chain want to be in the interface's
 * network namespace, unless the interface is gone.
 */
bool chain_is_here(const struct interface *interface);
int chain_name(const struct interface *interface, char name[64]); /* of the pin that says that it is attached so */
/* Fills in ->gone; and in the interface's network namespace ->position and ->programs. */
void chain_look(const struct dataplane *dataplane, struct interface *interface);
/*
 * Puts this binary's program into the chain, in the place of an older one of this data plane if there is one, without a
 * moment in which there is none: for that time both are there. ->priority: CHAIN_KEEP_PRIORITY takes the older one's.
 */
#define CHAIN_KEEP_PRIORITY (~0U)
int chain_put(struct dataplane *dataplane, struct interface *interface, enum attach_mode mode, struct error *error);
/* Takes it out; the others stay, and the dispatcher goes with the last. What the pin holds is let go. */
int chain_remove(const struct dataplane *dataplane, const struct interface *interface, struct error *error);

/*
 * device.c: remembers, from within its network namespace, an interface, so that one sees from any whether it was deleted.
 * One that was never remembered (by an older build) is not known to be gone.
 */
int device_remember(const struct dataplane *dataplane, const struct interface *interface, struct error *error);
bool device_is_gone(const struct dataplane *dataplane, const struct interface *interface);
void device_forget(const struct dataplane *dataplane, const struct interface *interface);

/* occupant.c: which XDP program an interface has, and what can be done about it, as the error `code`. */
int occupant_refuse(const struct interface *interface, int code, struct error *error);

#define PROGRAM_XDP "canary_xdp"
#define PROGRAM_COMMIT "canary_commit"
#define PROGRAM_ARM "canary_arm"
/* Tracepoint programs, by their pin's name; their links are pinned under the same name with "link_" before it. */
extern const char *const object_trace_programs[];

/* Why the kernel refused something, in words. */
const char *explain_errno(int error);

/* mapped.c: an array of which what is asked for is mapped, and stays so. NULL, with errno: it cannot be done. */
struct mapped;
struct mapped *mapped_reserve(int fd, size_t element, size_t count, bool write);
void mapped_free(struct mapped *mapped);
void *mapped_at(struct mapped *mapped, size_t index, size_t count); /* so many elements from there on */

/* array.c: a window on a part of a mapped array, to be released with array_close(). */
struct array_window {
	void *map;
	size_t length;
	void *data;
};
int array_open(const struct dataplane *dataplane, enum dataplane_map array, size_t start, size_t size, bool write,
	       struct array_window *ret);
void array_close(struct array_window *window);

/* occupied.c: which places of the shared arrays are in use, or may still be read by a packet on its way. */
struct occupied;
struct occupied *occupied_begin(struct dataplane *dataplane); /* NULL: out of memory */
void occupied_free(struct occupied *occupied);
/* Each takes a free place and marks it taken. -ENOSPC: there is none; or what is taken cannot be seen. */
int occupied_take_service(struct occupied *occupied, __u32 *ret);
int occupied_take_backend(struct occupied *occupied, __u32 *ret);
/* So many words of the arena, from *ret_base on; NULL: the same, in errno. */
__u64 *occupied_take_words(struct occupied *occupied, __u32 count, __u32 *ret_base);
/* May packets on their way still read what is out of force? Then waits until they do not: its places are free after that. */
bool occupied_wait(struct dataplane *dataplane);
/* Does a record name it? To be asked after words were taken. */
bool occupied_has_segment_set(const struct occupied *occupied, __u32 set);
/* Is this the first segment set of the change? Then sets of no record can go: later, those that it brings would, too. */
bool occupied_first_segments(struct occupied *occupied);
/*
 * A configuration record's slot of a service that no packet reads, other than `taken` (CANARY_CONFIGS: none); waits for
 * packets on their way where it must.
 */
__u32 occupied_free_slot(struct dataplane *dataplane, __u32 service, __u32 taken);

/* record.c: builds a service's configuration record from the model. */
int record_build(struct dataplane *dataplane, struct occupied *occupied, const struct service_model *actual,
		 struct service_model *desired, struct canary_config *ret, struct error *error);
/* What a record means while its service is stopped, as a record: see CANARY_CHANGE_OLDEST(). */
struct canary_config record_materialise(const struct canary_config *stopped);
int record_zero_service(const struct dataplane *dataplane, __u32 service);

/* record_guard.c: what is watched, and what the kernel does by itself. */
#define FAILED_WORDS (CANARY_THRESHOLD_ONE / 64) /* of a bitmap of buckets with a failure */
/* `now`: the record in force, NULL: the service is new. */
int record_guard(struct occupied *occupied, const struct canary_config *now, const struct service_model *desired,
		 struct canary_config *config, struct error *error);

/* outcomes.c: the elements of `outcomes` and `histograms` that a service has, and what is in them. */
/* Makes what is missing. `fresh`: a new service's, whatever was there. */
int outcomes_make(const struct dataplane *dataplane, __u32 service, const struct service_model *model, bool fresh);
/* After a change: a new assignment begins its histograms, and what the new way of forwarding cannot see goes. */
void outcomes_settle(const struct dataplane *dataplane, const struct service_model *before,
		     const struct service_model *after);
void outcomes_remove(const struct dataplane *dataplane, __u32 service);

/* upgrade_counters.c */
/* What has too few counters for this build: its descriptor, to be closed, in the place of which there is none. Or -1. */
int upgrade_put_counters_aside(struct dataplane *dataplane);
/* The new map gets what is in it, and its pin: once nobody of the build before opens that any more. */
int upgrade_grow_counters(const struct dataplane *dataplane, int former, struct error *error);

/* filter.c: before a change, what it brings is added; after it, what is gone is taken out: see canary/filter.h. */
int filter_add(const struct dataplane *dataplane, const struct model *model);
int filter_renew(const struct dataplane *dataplane);

/* guard.c */
int guard_zero(const struct dataplane *dataplane, __u32 service);

/* differ.c: `desired` and what it replaces. NULL: there is none with that id or index (0: never). */
const struct service_model *find_by_id(const struct model *model, __u32 id);
const struct backend_model *find_by_index(const struct service_model *service, __u32 index);
bool backend_differs(const struct backend_model *a, const struct backend_model *b);
bool backends_differ(const struct service_model *a, const struct service_model *b);
bool services_differ(const struct service_model *actual, const struct service_model *desired);
/* Other than in weight, salt, assignment and backends. */
bool settings_differ(const struct service_model *a, const struct service_model *b);

/* change_events.c: writes down what a commit has done. */
void events_of_change(struct dataplane *dataplane, const struct model *actual, const struct model *desired);

/* events.c: the ring. For many events, which is mapped once. */
struct event_ring {
	struct array_window events, head;
};
int event_ring_open(const struct dataplane *dataplane, bool write, struct event_ring *ret);
void event_ring_close(struct event_ring *ring);
void event_ring_put(struct event_ring *ring, const struct canary_event *event);

static inline __u64 monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* The service's word as it is now: the kernel may change it at any moment. */
static inline __u64 word_of(const struct dataplane *dataplane, __u32 service)
{
	return *(const volatile __u64 *)&dataplane->services[service].word;
}

/* So many elements of one of `tables`, from `index` on. */
#define TABLE_AT(dataplane, table, index, count)                                                                       \
	mapped_at((dataplane)->tables,                                                                                 \
		  offsetof(struct canary_tables, table) + (index) * sizeof(*((struct canary_tables *)0)->table),       \
		  (count) * sizeof(*((struct canary_tables *)0)->table))

/* A service's, by slot. NULL, with errno: they cannot be mapped. So are those that follow. */
static inline struct canary_config *records_of(const struct dataplane *dataplane, __u32 service)
{
	return TABLE_AT(dataplane, configs, service * CANARY_CONFIGS, CANARY_CONFIGS);
}

static inline struct canary_backend *backend_at(const struct dataplane *dataplane, __u32 index)
{
	return TABLE_AT(dataplane, backends, index % CANARY_MAX_BACKENDS, 1);
}

static inline __u64 *words_at(const struct dataplane *dataplane, __u32 base, __u32 count)
{
	return mapped_at(dataplane->arena, base, count);
}

/* To be called first by who looks at many: to map them one by one takes far longer. */
static inline struct canary_config *all_records(const struct dataplane *dataplane)
{
	return TABLE_AT(dataplane, configs, 0, CANARY_MAX_SERVICES * CANARY_CONFIGS);
}

static inline struct canary_backend *all_backends(const struct dataplane *dataplane)
{
	return TABLE_AT(dataplane, backends, 0, CANARY_MAX_BACKENDS);
}

#endif
