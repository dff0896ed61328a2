// SPDX-License-Identifier: Apache-2.0
/*
 * Stands where all backends are: counts what arrives by the station it is for, and apart from that what nobody was to get
 * like that. One CPU sends, forwards and receives, so plain counters will do.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "receiver.h"

#define ETH_P_IP 0x0800

struct receiver_wanted wanted;
__u64 received[RECEIVER_STATIONS];
__u64 wrong;
__u64 elsewhere; /* of all of these, what arrived in another thread's time */
__u64 sender;

static __always_inline bool is_right(const struct ethhdr *eth, const struct iphdr *ip, __be16 port)
{
	const __u16 *mac = (const __u16 *)eth->h_dest, *station = (const __u16 *)wanted.station;
	__be32 address = wanted.address;

	if (!address)
		address = wanted.network | bpf_htonl(eth->h_dest[5]);
	return mac[0] == station[0] && mac[1] == station[1] && eth->h_dest[4] == wanted.station[4] &&
	       ip->daddr == address && ip->protocol == wanted.proto && (!wanted.dest_port || port == wanted.dest_port);
}

SEC("xdp.frags")
int receiver_count(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *port = (void *)(ip + 1); /* source and destination */

	if (bpf_get_current_pid_tgid() != sender)
		elsewhere++;
	if ((void *)(port + 2) > end || eth->h_proto != bpf_htons(ETH_P_IP) || !is_right(eth, ip, port[1]))
		wrong++;
	else
		received[eth->h_dest[5]]++;
	return XDP_DROP;
}

/* Run by the sender, who does not know its number outside of its namespace of processes. */
SEC("xdp.frags")
int receiver_meet(struct xdp_md *ctx)
{
	sender = bpf_get_current_pid_tgid();
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
