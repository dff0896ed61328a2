/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the kernel's own types, where bpf/ is compiled for user space: those of its user API. */
#ifndef MODEL_VMLINUX_H
#define MODEL_VMLINUX_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

#include "model/shim.h"

/* Programs' contexts have pointers as wide as here. */
#define xdp_md shim_frame

/* bpf/kernel.h has them too. */
#undef ETH_P_IPV6
#undef ETH_P_8021AD

struct frag_hdr {
	__u8 nexthdr;
	__u8 reserved;
	__be16 frag_off;
	__be32 identification;
};

struct bpf_map;

struct vlan_hdr {
	__be16 h_vlan_TCI;
	__be16 h_vlan_encapsulated_proto;
};

struct net {
	struct {
		__u32 inum;
	} ns;
};

struct net_device {
	int ifindex;
	struct {
		struct net *net;
	} nd_net;
};

#endif
