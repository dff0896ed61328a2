/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of events, which the kernel and commands write to alike: see bpf/event.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/internal.h"

#define COPY_TRIES 100
#define COPY_PAUSE_US 100

int event_ring_open(const struct dataplane *dataplane, bool write, struct event_ring *ret)
{
	struct event_ring ring;
	int result = array_open(dataplane, MAP_event_head, 0, sizeof(__u64), write, &ring.head);

	if (result)
		return result;
	result = array_open(dataplane, MAP_events, 0, CANARY_EVENTS * sizeof(struct canary_event), write, &ring.events);
	if (result) {
		array_close(&ring.head);
		return result;
	}
	*ret = ring;
	return 0;
}

void event_ring_close(struct event_ring *ring)
{
	array_close(&ring->events);
	array_close(&ring->head);
}

static struct canary_event *place_of(const struct event_ring *ring, __u64 number)
{
	return (struct canary_event *)ring->events.data + (number - 1) % CANARY_EVENTS;
}

void event_ring_put(struct event_ring *ring, const struct canary_event *event)
{
	__u64 number = __atomic_add_fetch((__u64 *)ring->head.data, 1, __ATOMIC_SEQ_CST);
	struct canary_event *place = place_of(ring, number);
	struct canary_event whole = *event;

	/* A reader sees by the number, which is 0 meanwhile, what is whole. */
	__atomic_store_n(&place->number, 0, __ATOMIC_SEQ_CST);
	whole.number = 0;
	whole.time_ns = monotonic_ns();
	whole.uid = getuid();
	memcpy(place, &whole, sizeof(whole));
	__atomic_store_n(&place->number, number, __ATOMIC_SEQ_CST);
}

void dataplane_put_event(struct dataplane *dataplane, const struct canary_event *event)
{
	struct event_ring ring;

	/* What it tells of has been done: there is nothing to take back. */
	if (event_ring_open(dataplane, true, &ring))
		return;
	event_ring_put(&ring, event);
	event_ring_close(&ring);
}

/*
 * A copy of an event. -ENOENT: it was overwritten, or whoever took the number has not written it: waited for a little, as
 * he may have been killed.
 */
static int copy_event(const struct event_ring *ring, __u64 number, struct canary_event *ret)
{
	const struct canary_event *place = place_of(ring, number);

	for (int i = 0; i < COPY_TRIES; i++) {
		__u64 before = __atomic_load_n(&place->number, __ATOMIC_ACQUIRE);

		if (before > number)
			return -ENOENT;
		if (before == number) {
			*ret = *(const volatile struct canary_event *)place;
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (__atomic_load_n(&place->number, __ATOMIC_RELAXED) == number)
				return 0;
		} else {
			usleep(COPY_PAUSE_US);
		}
	}
	return -ENOENT;
}

int dataplane_events(struct dataplane *dataplane, __u64 after, int (*call)(const struct canary_event *event, void *arg),
		     void *arg, __u64 *ret_last, __u64 *ret_lost)
{
	struct event_ring ring;
	__u64 last, first = after + 1, lost = 0;
	int result = event_ring_open(dataplane, false, &ring);

	if (result)
		return result;
	last = __atomic_load_n((const __u64 *)ring.head.data, __ATOMIC_ACQUIRE);
	if (last >= CANARY_EVENTS && first <= last - CANARY_EVENTS) {
		lost = last - CANARY_EVENTS + 1 - first;
		first += lost;
	}
	for (__u64 number = first; !result && number <= last; number++) {
		struct canary_event event;

		if (copy_event(&ring, number, &event))
			lost++;
		else
			result = call(&event, arg);
	}
	event_ring_close(&ring);
	*ret_last = last;
	*ret_lost = lost;
	return result;
}
