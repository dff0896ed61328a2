/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behind the balancer: swallows what comes from a flood's addresses, 198.18.0.0/15 (RFC 2544), so that a test's time goes
 * to the balancer and not to the backends' stacks. One packet in 256 gets through to them; all else is passed.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);

	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(0x0800) ||
	    (ip->saddr & bpf_htonl(0xfffe0000)) != bpf_htonl(0xc6120000))
		return XDP_PASS;
	return bpf_get_prandom_u32() % 256 ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
