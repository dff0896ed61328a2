/* SPDX-License-Identifier: Apache-2.0 */
/* What the helpers are that have nothing to do with maps: loops, timers, routes, checksums, frames. */
#include <errno.h>
#include <string.h>

#include "model/shim.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

enum { TIMERS = 4 };

struct timer {
	struct bpf_timer *timer;
	struct shim_map *map;
	void *callback;
	__u64 due_ns; /* 0: not started */
};

long (*shim_fib)(struct bpf_fib_lookup *fib);

static struct timer timers[SHIM_INSTANCES][TIMERS];

long shim_loop(__u32 turns, void *callback, void *context)
{
	long (*call)(__u32, void *) = callback;

	for (__u32 i = 0; i < turns; i++)
		if (call(i, context))
			return i + 1;
	return turns;
}

static struct timer *timer_find(const struct bpf_timer *timer)
{
	for (int i = 0; i < TIMERS; i++)
		if (timers[shim_instance][i].timer == timer)
			return &timers[shim_instance][i];
	return NULL;
}

long shim_timer_init(struct bpf_timer *timer, void *map)
{
	struct timer *place = timer_find(timer);

	if (place)
		return -EBUSY;
	place = timer_find(NULL);
	if (!place)
		return -ENOMEM;
	*place = (struct timer){.timer = timer, .map = shim_map_of(map)};
	return 0;
}

long shim_timer_callback(struct bpf_timer *timer, void *callback)
{
	struct timer *place = timer_find(timer);

	if (!place)
		return -EINVAL;
	place->callback = callback;
	return 0;
}

long shim_timer_start(struct bpf_timer *timer, __u64 ns)
{
	struct timer *place = timer_find(timer);

	if (!place || !place->callback)
		return -EINVAL;
	place->due_ns = shim_now_ns + ns + 1;
	return 0;
}

void shim_timers_run(bool all)
{
	for (int i = 0; i < TIMERS; i++) {
		struct timer *timer = &timers[shim_instance][i];
		int (*call)(void *, __u32 *, void *) = timer->callback;
		__u32 key = 0;

		if (!timer->due_ns || (!all && timer->due_ns > shim_now_ns + 1))
			continue;
		timer->due_ns = 0;
		call(timer->map, &key, shim_map_first(timer->map));
	}
}

void shim_timers_forget(void)
{
	memset(timers[shim_instance], 0, sizeof(timers[shim_instance]));
}

long shim_fib_lookup(struct bpf_fib_lookup *fib)
{
	if (shim_fib)
		return shim_fib(fib);
	fib->ifindex = 1;
	fib->mtu_result = 1500;
	memset(fib->dmac, 2, sizeof(fib->dmac));
	memset(fib->smac, 4, sizeof(fib->smac));
	return BPF_FIB_LKUP_RET_SUCCESS;
}

long shim_redirect(__u32 ifindex)
{
	(void)ifindex;
	return XDP_REDIRECT;
}

long shim_csum_diff(const __be32 *from, __u32 from_size, const __be32 *to, __u32 to_size, __u32 seed)
{
	__u64 sum = seed;

	for (__u32 i = 0; i < from_size / 4; i++)
		sum += (__u32)~from[i];
	for (__u32 i = 0; i < to_size / 4; i++)
		sum += (__u32)to[i];
	while (sum >> 32)
		sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)sum;
}

void shim_frame_open(const struct shim_frame *ctx)
{
	ASAN_UNPOISON_MEMORY_REGION(ctx->start, (size_t)((char *)ctx->end - (char *)ctx->start));
}

void shim_frame_guard(const struct shim_frame *ctx)
{
	shim_frame_open(ctx);
	ASAN_POISON_MEMORY_REGION(ctx->start, ctx->data - (unsigned long)ctx->start);
	ASAN_POISON_MEMORY_REGION((void *)ctx->data_end, (unsigned long)ctx->end - ctx->data_end);
}

__u64 shim_frame_length(const struct shim_frame *ctx)
{
	return ctx->data_end - ctx->data;
}

long shim_adjust_head(struct shim_frame *ctx, int delta)
{
	unsigned long data = ctx->data + delta;

	if (data < (unsigned long)ctx->start || data + 14 > ctx->data_end)
		return -EINVAL;
	ctx->data = data;
	shim_frame_guard(ctx);
	return 0;
}

long shim_adjust_tail(struct shim_frame *ctx, int delta)
{
	unsigned long end = ctx->data_end + delta;

	if (end > (unsigned long)ctx->end || end < ctx->data + 14)
		return -EINVAL;
	ctx->data_end = end;
	shim_frame_guard(ctx);
	return 0;
}

long shim_load_bytes(const struct shim_frame *ctx, __u32 offset, void *to, __u32 length)
{
	if (offset > shim_frame_length(ctx) || length > shim_frame_length(ctx) - offset)
		return -EINVAL;
	memcpy(to, (const char *)ctx->data + offset, length);
	return 0;
}

long shim_store_bytes(const struct shim_frame *ctx, __u32 offset, const void *from, __u32 length)
{
	if (offset > shim_frame_length(ctx) || length > shim_frame_length(ctx) - offset)
		return -EINVAL;
	memcpy((char *)ctx->data + offset, from, length);
	return 0;
}
