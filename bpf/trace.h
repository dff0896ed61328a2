/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What fails after the verdict: the driver's queue was full, the device went down, the frame did not fit. Only the
 * kernel's tracepoints tell. They see the whole machine, and interface numbers repeat from namespace to namespace.
 */
#ifndef BPF_TRACE_H
#define BPF_TRACE_H

static __always_inline void trace_lost(const struct net_device *device, __u64 packets)
{
	__u32 place = (__u32)device->ifindex % CANARY_MAX_INTERFACES;
	struct canary_interface *interface = bpf_map_lookup_elem(&interfaces, &place);
	struct canary_interface_counters *counters;

	if (!interface || interface->ifindex != (__u32)device->ifindex ||
	    interface->netns != device->nd_net.net->ns.inum)
		return;
	counters = bpf_map_lookup_elem(&interface_counters, &place);
	if (counters)
		counters->count[CANARY_INTERFACE_TX_ERRORS] += packets;
}

#endif
