/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does nothing, on the far end of a veth pair: its being there makes that end NAPI-driven, without which frames that
 * XDP_TX or a redirect sends into the pair never arrive. Where frames are larger than a page, it takes xdp_pass_frags.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int xdp_pass_frags(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
