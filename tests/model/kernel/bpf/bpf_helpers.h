/* SPDX-License-Identifier: Apache-2.0 */
/* In place of libbpf's: what declares maps and programs, and the helpers, for user space. See shim.h. */
#ifndef MODEL_BPF_HELPERS_H
#define MODEL_BPF_HELPERS_H

#include <errno.h>

#define SEC(name) __attribute__((unused))
#define __uint(name, value) int(*name)[value]
#define __type(name, type) __typeof__(type) *name
#define __array(name, type) __typeof__(type) *name[]

#define bpf_map_lookup_elem(map, key) shim_lookup((map), (key))
#define bpf_map_update_elem(map, key, value, flags) shim_update((map), (key), (value), (flags))
#define bpf_map_delete_elem(map, key) shim_delete((map), (key))
#define bpf_for_each_map_elem(map, callback, context, flags) shim_for_each((map), (void *)(callback), (context))
#define bpf_loop(turns, callback, context, flags) shim_loop((turns), (void *)(callback), (context))
#define bpf_timer_init(timer, map, flags) shim_timer_init((timer), (map))
#define bpf_timer_set_callback(timer, callback) shim_timer_callback((timer), (void *)(callback))
#define bpf_timer_start(timer, ns, flags) shim_timer_start((timer), (ns))
#define bpf_ktime_get_ns() shim_now_ns
#define bpf_ktime_get_coarse_ns() (shim_now_ns / SHIM_COARSE_NS * SHIM_COARSE_NS)
#define bpf_jiffies64() (shim_now_ns / SHIM_COARSE_NS)
#define bpf_get_prandom_u32() ((__u32)shim_random())
#define bpf_fib_lookup(ctx, fib, size, flags) shim_fib_lookup((fib))
#define bpf_redirect(ifindex, flags) shim_redirect((ifindex))
#define bpf_perf_event_output(ctx, map, flags, data, size) (-ENOENT) /* nobody reads */
#define bpf_csum_diff(from, from_size, to, to_size, seed) shim_csum_diff((from), (from_size), (to), (to_size), (seed))
#define bpf_xdp_get_buff_len(ctx) shim_frame_length((ctx))
#define bpf_xdp_adjust_head(ctx, delta) shim_adjust_head((ctx), (delta))
#define bpf_xdp_adjust_tail(ctx, delta) shim_adjust_tail((ctx), (delta))
#define bpf_xdp_load_bytes(ctx, offset, to, length) shim_load_bytes((ctx), (offset), (to), (length))
#define bpf_xdp_store_bytes(ctx, offset, from, length) shim_store_bytes((ctx), (offset), (from), (length))

/* Atomic operations are places where another CPU may come in between, and where a mutant loses one. */
#define __sync_fetch_and_or(pointer, value)                                                                            \
	(shim_point(SHIM_SYNC, (pointer)) ? (__sync_fetch_and_or(pointer, value)) : 0)
#define __sync_fetch_and_and(pointer, value)                                                                           \
	(shim_point(SHIM_SYNC, (pointer)) ? (__sync_fetch_and_and(pointer, value)) : 0)
#define __sync_fetch_and_add(pointer, value)                                                                           \
	(shim_point(SHIM_SYNC, (pointer)) ? (__sync_fetch_and_add(pointer, value)) : 0)
#define __sync_lock_test_and_set(pointer, value)                                                                       \
	(shim_point(SHIM_SYNC, (pointer)), __sync_lock_test_and_set(pointer, value))
#define __sync_val_compare_and_swap(pointer, from, to)                                                                 \
	({                                                                                                             \
		__typeof__(*(pointer)) shim_found = (from);                                                            \
                                                                                                                       \
		if (shim_point(SHIM_SWAP, (pointer)))                                                                  \
			shim_found = __sync_val_compare_and_swap(pointer, from, to);                                   \
		shim_point(SHIM_SWAPPED, (pointer));                                                                   \
		shim_found;                                                                                            \
	})

#endif
