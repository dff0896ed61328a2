/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* How much there may be of everything. Sizes of maps are part of the ABI. */
#ifndef CANARY_LIMITS_H
#define CANARY_LIMITS_H

enum canary_limit {
	CANARY_MAX_SERVICES = 1024, /* ids 1..1023: 0 means none */
	CANARY_MAX_BACKENDS = 32768, /* indices 1..32767: 0 means none */
	CANARY_MAX_COHORT_BACKENDS = 1024, /* of one cohort of one service */
	CANARY_MAX_SEGMENTS = 65535, /* prefixes, over all services and both generations of them */
	CANARY_MAX_INTERFACES = 256, /* an interface's place is its ifindex modulo this */
	CANARY_FLOW_SHARDS = 64,
	CANARY_SHARD_FLOWS = 1024, /* remembered flows of a shard, by default */
	CANARY_MAX_SHARD_FLOWS = 65536,
	CANARY_MAX_EMBRYONIC = 57344,
	CANARY_MAX_REVERSE_EMBRYONIC = 24576,
	CANARY_HELD_BITS = 1 << 21, /* 32 for each flow that can be remembered */
	CANARY_MAX_FRAGMENTS = 4096, /* packets in fragments, remembered at a time */
	CANARY_FILTER_BITS = 1 << 18,
	CANARY_SERVICE_HINTS = 1 << 12,
	CANARY_MAX_VLANS = 4096,
	CANARY_MAX_OPERATIONS =
		34816, /* of one commit: services (twice, where they are stopped) and backends to retire */
	CANARY_CONFIGS = 8, /* configuration records of a service */
	CANARY_ARENA_WORDS = 3 << 20, /* 64-bit words for rings, members, segments */
	CANARY_RING_SLOTS_PER_WORD = 4, /* 16 bits each: a backend's index */
	CANARY_NAME_LEN = 64, /* with its terminating zero */
	CANARY_THRESHOLD_ONE = 65536, /* a threshold is a share in 1/65536 */
	CANARY_WEIGHT_ONE = 10000, /* a weight is a share in 1/100 percent */
	CANARY_MAX_BACKEND_WEIGHT = 1000,
	CANARY_WATCHED_SETS = 2048, /* of CANARY_WATCHED_WAYS flows: connections that are watched at a time */
	CANARY_WATCHED_WAYS = 8,
	CANARY_EPOCHS = 8, /* of a service, whose outcomes are kept apart */
	CANARY_EVENTS = 4096, /* that are kept */
};

#endif
