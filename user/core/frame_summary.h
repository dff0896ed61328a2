/* SPDX-License-Identifier: Apache-2.0 */
/* What an Ethernet frame says of itself, for people to read: who speaks to whom, and how. */
#ifndef CORE_FRAME_SUMMARY_H
#define CORE_FRAME_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/model.h"

struct frame_summary {
	unsigned vlan_count; /* tags, of which at most two are looked through */
	int vlan[2]; /* their VLANs, outermost first */
	struct canary_addr source, destination;
	int proto; /* IPPROTO_*; of a fragment too */
	int source_port, destination_port; /* -1: there are none, or they are not here */
	bool tcp; /* tcp_flags are here */
	__u8 tcp_flags;
	bool fragment; /* any of a packet that came in several */
};

/*
 * Reads as many of a frame's bytes as there are; IPv6 extension headers are looked through as the kernel program does.
 * 0, or -EINVAL: it is no IP packet, or cut off before its addresses. Only ->vlan is filled in then.
 */
int frame_summarise(const void *bytes, size_t len, struct frame_summary *ret);

/* "S", "SA", "PA", …: the first letters of the flags that are set; "." for none. */
#define TCP_FLAGS_TEXT_LEN 9
const char *format_tcp_flags(__u8 flags, char buf[TCP_FLAGS_TEXT_LEN]);

#endif
