/* SPDX-License-Identifier: GPL-2.0 */
/* Writes down what the kernel did by itself. What commands do, they write down. */
#ifndef BPF_EVENT_H
#define BPF_EVENT_H

struct event_values {
	__u64 value[4];
};

/* Takes a number, and with it the oldest event's place. Readers see by the number, written last, what is whole. */
GLOBAL int event_put(__u32 type, __u32 id, __u64 epoch, const struct event_values *values)
{
	struct canary_service *service = bpf_map_lookup_elem(&services, &id);
	__u32 zero = 0, place;
	__u64 *head = bpf_map_lookup_elem(&event_head, &zero), number;
	struct canary_event *event;

	if (!service || !head || !values)
		return 0;
	number = __sync_fetch_and_add(head, 1) + 1;
	place = (number - 1) % CANARY_EVENTS;
	event = bpf_map_lookup_elem(&events, &place);
	if (!event)
		return 0;
	__sync_lock_test_and_set(&event->number, 0);
	event->time_ns = bpf_ktime_get_ns();
	event->type = type;
	event->uid = CANARY_UID_KERNEL;
	event->epoch = epoch;
	for (int i = 0; i < 4; i++)
		event->value[i] = values->value[i];
	__builtin_memcpy(event->name, service->name, sizeof(event->name));
	__sync_lock_test_and_set(&event->number, number);
	return 0;
}

#endif
