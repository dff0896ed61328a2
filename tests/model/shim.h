/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of BPF for programs that are compiled for user space: maps, timers, clock, frames. One thread; other
 * CPUs and the timer come in between where the hook says so.
 */
#ifndef MODEL_SHIM_H
#define MODEL_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/types.h>

enum {
	SHIM_CPUS = 2,
	SHIM_INSTANCES = 4, /* balancers, at most */
	SHIM_COARSE_NS = 4000000, /* the tick of the coarse clock */
};

/* The context of an XDP program, with pointers as wide as here. */
struct shim_frame {
	unsigned long data;
	unsigned long data_end;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	void *start; /* of the buffer, headroom and tailroom included */
	void *end;
};

enum shim_op {
	SHIM_LOOKUP, /* before one */
	SHIM_UPDATE, /* before one; false: it seems done and is not */
	SHIM_UPDATED,
	SHIM_DELETE,
	SHIM_SYNC, /* before an atomic operation on *key; false: it is not done */
	SHIM_SWAP, /* before a compare-and-swap of *key; false: it seems done and is not */
	SHIM_SWAPPED,
};

struct shim_store;

/* A map. A map of the program has the address of this in its first member; inner maps are this. */
struct shim_map {
	struct shim_map *self;
	const char *name;
	__u32 type; /* enum bpf_map_type; may be changed to what behaves otherwise */
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	bool shared; /* by all instances: configuration */
	struct shim_map **inner; /* ARRAY_OF_MAPS */
	struct shim_store *store[SHIM_INSTANCES];
};

extern __u64 shim_now_ns;
extern __u32 shim_cpu;
extern __u32 shim_instance;
extern __u32 shim_instances; /* that there are: 2 */
/* Is called when an LRU forgets an element. */
extern void (*shim_evicted)(const struct shim_map *map, const void *key);
/* Is called at every operation, but not for those that it makes itself. */
extern bool (*shim_hook)(enum shim_op op, struct shim_map *map, const void *key, const void *value);

/* Makes the map of the program at `object` work. */
struct shim_map *shim_map_make(void *object, const char *name, __u32 type, __u32 key_size, __u32 value_size,
			       __u32 max_entries);
#define SHIM_MAP(map)                                                                                                  \
	shim_map_make(&map, #map, sizeof(*map.type) / sizeof(int), sizeof(*map.key), sizeof(*map.value),               \
		      sizeof(*map.max_entries) / sizeof(int))
/* Gives an ARRAY_OF_MAPS its inner maps. */
void shim_map_nest(struct shim_map *outer, __u32 type, __u32 key_size, __u32 value_size, __u32 max_entries);
/* Empties it, in the current instance. */
void shim_map_clear(struct shim_map *map);
void shim_map_free(struct shim_map *map);
/* In the current instance: the first element, and whether an element is there. */
void *shim_map_first(const struct shim_map *map);
bool shim_map_contains(const struct shim_map *map, const void *place);
__u32 shim_map_count(const struct shim_map *map);
static inline struct shim_map *shim_map_of(const void *object)
{
	return *(struct shim_map *const *)object;
}

/* Runs the instance's timers that are due, or all that are started, each once. Forgets them all. */
void shim_timers_run(bool all);
void shim_timers_forget(void);

void shim_seed(__u64 seed);
__u64 shim_random(void);

/* What the helpers are here. Errors are the kernel's. */
void *shim_lookup(const void *object, const void *key);
long shim_update(void *object, const void *key, const void *value, __u64 flags);
long shim_delete(void *object, const void *key);
long shim_for_each(void *object, void *callback, void *context);
long shim_loop(__u32 turns, void *callback, void *context);
long shim_timer_init(struct bpf_timer *timer, void *map);
long shim_timer_callback(struct bpf_timer *timer, void *callback);
long shim_timer_start(struct bpf_timer *timer, __u64 ns);
bool shim_point(enum shim_op op, const void *place);

/* Frames. Routes: every address is a neighbour on interface 1, until the test sets another answer. */
extern long (*shim_fib)(struct bpf_fib_lookup *fib);
long shim_fib_lookup(struct bpf_fib_lookup *fib);
long shim_redirect(__u32 ifindex);
long shim_csum_diff(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size, __u32 seed);
/* With AddressSanitizer: what is in the buffer but not in the frame may not be touched. shim_frame_open() allows it again. */
void shim_frame_guard(const struct shim_frame *ctx);
void shim_frame_open(const struct shim_frame *ctx);
__u64 shim_frame_length(const struct shim_frame *ctx);
long shim_adjust_head(struct shim_frame *ctx, int delta);
long shim_adjust_tail(struct shim_frame *ctx, int delta);
long shim_load_bytes(const struct shim_frame *ctx, __u32 offset, void *to, __u32 length);
long shim_store_bytes(const struct shim_frame *ctx, __u32 offset, const void *from, __u32 length);

#endif
