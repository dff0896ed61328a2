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

CANARY_ARRAY(settings, struct canary_settings, 1);
CANARY_ARRAY(services, struct canary_service, CANARY_MAX_SERVICES);
CANARY_ARRAY(configs, struct canary_config, CANARY_MAX_SERVICES *CANARY_CONFIGS);
CANARY_ARRAY(backends, struct canary_backend, CANARY_MAX_BACKENDS);
CANARY_ARRAY(arena, __u64, CANARY_ARENA_WORDS);
CANARY_ARRAY(interfaces, struct canary_interface, CANARY_MAX_INTERFACES);
CANARY_ARRAY(operations, struct canary_operation, CANARY_MAX_OPERATIONS);

/* Twice the services: each may bring an element for its address. */
CANARY_HASH(service_ids, BPF_MAP_TYPE_HASH, struct canary_service_key, __u32, 2 * CANARY_MAX_SERVICES, 0);
CANARY_HASH(segments, BPF_MAP_TYPE_LPM_TRIE, struct canary_segment_key, __u32, CANARY_MAX_SEGMENTS, BPF_F_NO_PREALLOC);
CANARY_HASH(egress, BPF_MAP_TYPE_HASH, __u32, struct canary_egress, CANARY_MAX_VLANS, BPF_F_NO_PREALLOC);

CANARY_HASH(flows, BPF_MAP_TYPE_LRU_HASH, struct canary_flow_key, struct canary_flow, CANARY_MAX_FLOWS, 0);
CANARY_HASH(embryonic, BPF_MAP_TYPE_LRU_HASH, struct canary_flow_key, struct canary_flow, CANARY_MAX_EMBRYONIC, 0);
CANARY_HASH(reverse, BPF_MAP_TYPE_LRU_HASH, struct canary_reverse_key, struct canary_reverse, CANARY_MAX_FLOWS, 0);

CANARY_PERCPU_ARRAY(next_hops, struct canary_next_hop, CANARY_MAX_BACKENDS);
CANARY_PERCPU_ARRAY(cohort_counters, struct canary_cohort_counters, CANARY_MAX_SERVICES *CANARY_COHORTS);
CANARY_PERCPU_ARRAY(backend_counters, struct canary_backend_counters, CANARY_MAX_BACKENDS);
CANARY_PERCPU_ARRAY(interface_counters, struct canary_interface_counters, CANARY_MAX_INTERFACES);

#endif
