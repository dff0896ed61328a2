/* SPDX-License-Identifier: GPL-2.0 */
/* Bounds on what anybody can make us do, per CPU and time slice. */
#ifndef BPF_LIMIT_H
#define BPF_LIMIT_H

enum limit_kind {
	LIMIT_OPEN, /* SYNs remembered in a window */
	LIMIT_REMEMBER, /* older flows remembered in a window */
	LIMIT_RESET, /* RSTs sent */
	LIMIT_TOO_BIG, /* Fragmentation Needed and Packet Too Big sent */
	LIMIT_KINDS,
};

/* Rates are of the whole machine: user space says of how many CPUs each gets its part. */
const volatile __u32 limit_cpus = 1;

#define LIMIT_SLICE_NS 1000000000ULL

struct limit {
	__u64 slice_ns;
	__u32 used;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LIMIT_KINDS);
	__type(key, __u32);
	__type(value, struct limit);
} limits SEC(".maps");

/* May it be done once more? `rate`: times a second, on all CPUs. */
static __always_inline bool limit_allows(__u32 kind, __u32 rate, __u64 now_ns)
{
	struct limit *limit = bpf_map_lookup_elem(&limits, &kind);

	if (!limit)
		return false;
	if (now_ns - limit->slice_ns >= LIMIT_SLICE_NS) {
		limit->slice_ns = now_ns;
		limit->used = 0;
	}
	if (limit->used >= rate / (limit_cpus ? limit_cpus : 1))
		return false;
	limit->used++;
	return true;
}

#endif
