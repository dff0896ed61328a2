/* SPDX-License-Identifier: GPL-2.0 */
/* The maps. All are pinned by user space under the names here; types of keys and values are in canary/abi.h. */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

/* Written by user space through mmap; read by packets. */
#define CANARY_ARRAY(map, value_type, entries)                                                                         \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
		__uint(max_entries, entries);                                                                          \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                     \
		__type(key, __u32);                                                                                    \
		__type(value, value_type);                                                                             \
	} map SEC(".maps")

#define CANARY_PERCPU_ARRAY(map, value_type, entries)                                                                  \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                               \
		__uint(max_entries, entries);                                                                          \
		__type(key, __u32);                                                                                    \
		__type(value, value_type);                                                                             \
	} map SEC(".maps")

#define CANARY_HASH(map, map_type, key_type, value_type, entries, flags)                                               \
	struct {                                                                                                       \
		__uint(type, map_type);                                                                                \
		__uint(max_entries, entries);                                                                          \
		__uint(map_flags, flags);                                                                              \
		__type(key, key_type);                                                                                 \
		__type(value, value_type);                                                                             \
	} map SEC(".maps")

/* A variable is a map as well: of one element, whose address the program knows. An index needs no other bounds than a mask. */
struct canary_tables tables;
#define table_at(table, index)                                                                                         \
	({                                                                                                             \
		typeof(&tables.table[0]) at;                                                                           \
		__u32 place = (index);                                                                                 \
		barrier_var(place); /* or clang leaves out a mask that kernel 6.1 wants */                             \
		at = &tables.table[place & (sizeof(tables.table) / sizeof(*tables.table) - 1)];                        \
		barrier_var(at); /* or clang computes it again wherever it is used */                                  \
		at;                                                                                                    \
	})
CANARY_ARRAY(settings, struct canary_settings, 1);
CANARY_ARRAY(services, struct canary_service, CANARY_MAX_SERVICES);
CANARY_ARRAY(arena, __u64, CANARY_ARENA_WORDS);
CANARY_ARRAY(interfaces, struct canary_interface, CANARY_MAX_INTERFACES);
CANARY_ARRAY(operations, struct canary_operation, CANARY_MAX_OPERATIONS);

/* Twice the services: each may bring an element for its address. */
CANARY_HASH(service_ids, BPF_MAP_TYPE_HASH, struct canary_service_key, __u32, 2 * CANARY_MAX_SERVICES, 0);
CANARY_HASH(segments, BPF_MAP_TYPE_LPM_TRIE, struct canary_segment_key, __u32, CANARY_MAX_SEGMENTS, BPF_F_NO_PREALLOC);
CANARY_HASH(egress, BPF_MAP_TYPE_HASH, __u32, struct canary_egress, CANARY_MAX_VLANS, BPF_F_NO_PREALLOC);

/*
 * Remembered flows, in shards that the sweeper can walk one at a time. User space makes the inner maps. What may be
 * forged by anybody goes to the LRUs, which forget; these never evict.
 */
struct flow_shard {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CANARY_SHARD_FLOWS);
	__type(key, struct canary_flow_key);
	__type(value, struct canary_flow);
} flow_shard SEC(".maps"); /* never made itself: user space takes the shards' types from it */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, CANARY_FLOW_SHARDS);
	__type(key, __u32);
	__array(values, struct flow_shard);
} flows SEC(".maps");
CANARY_HASH(reverse, BPF_MAP_TYPE_HASH, struct canary_reverse_key, struct canary_reverse,
	    CANARY_FLOW_SHARDS *CANARY_SHARD_FLOWS, 0);
CANARY_HASH(embryonic, BPF_MAP_TYPE_LRU_HASH, struct canary_flow_key, struct canary_flow, CANARY_MAX_EMBRYONIC, 0);
CANARY_HASH(reverse_embryonic, BPF_MAP_TYPE_LRU_HASH, struct canary_reverse_key, struct canary_reverse,
	    CANARY_MAX_REVERSE_EMBRYONIC, 0);

CANARY_HASH(fragments, BPF_MAP_TYPE_LRU_HASH, struct canary_fragment_key, struct canary_fragment, CANARY_MAX_FRAGMENTS,
	    0);

/* Four bitmaps of CANARY_HELD_BITS, one after the other: see held.h. */
CANARY_ARRAY(held, __u64, 4 * CANARY_HELD_BITS / 64);

CANARY_ARRAY(guards, struct canary_guard, CANARY_MAX_SERVICES);
CANARY_ARRAY(watched, struct canary_watched_set, CANARY_WATCHED_SETS);
/* A bit for each set of `watched` in which a flow is that more than its end is to be seen of. */
CANARY_ARRAY(watching, __u64, CANARY_WATCHED_SETS / 64);
CANARY_ARRAY(events, struct canary_event, CANARY_EVENTS);
CANARY_ARRAY(event_head, __u64, 1);
/* User space makes and removes the elements of a service: they take memory for those that there are. */
CANARY_HASH(outcomes, BPF_MAP_TYPE_HASH, __u32, struct canary_outcomes, CANARY_MAX_SERVICES, BPF_F_NO_PREALLOC);
CANARY_HASH(histograms, BPF_MAP_TYPE_HASH, struct canary_histogram_key, struct canary_histogram,
	    CANARY_MAX_SERVICES *CANARY_COHORTS *CANARY_HISTOGRAM_KINDS, BPF_F_NO_PREALLOC);

/* Not mapped by user space: it holds a timer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct canary_sweeper);
} sweeper SEC(".maps");

/* For `canaryctl capture`, and idle without it: what is asked, what a CPU has of it, and where it goes. */
CANARY_ARRAY(capture, struct canary_capture, 1);
CANARY_PERCPU_ARRAY(capture_cpus, struct canary_capture_cpu, 1);
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} capture_out SEC(".maps");

CANARY_PERCPU_ARRAY(next_hops, struct canary_next_hop, CANARY_MAX_BACKENDS);
CANARY_PERCPU_ARRAY(cohort_counters, struct canary_cohort_counters, CANARY_MAX_SERVICES *CANARY_COHORTS);
CANARY_PERCPU_ARRAY(backend_counters, struct canary_backend_counters, CANARY_MAX_BACKENDS);
CANARY_PERCPU_ARRAY(interface_counters, struct canary_interface_counters, CANARY_MAX_INTERFACES);

#endif
