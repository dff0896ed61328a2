# shellcheck shell=bash disable=SC2034,SC2154  # what tests use, and what lib.sh sets
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh is sourced before: a second balancer, and a router that sends the client's packets to either.

two_balancers() {
	one_armed
	extra_host balancer2 192.0.2.2/24 10.0.0.2/24 2001:db8:10::2/64
	on balancer2 sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -n "${LAB_PREFIX}balancer2" route add 198.51.100.0/24 via 192.0.2.10
	extra_host router 192.0.2.3/24
	ip -n "${LAB_PREFIX}router" route add 198.51.100.0/24 via 192.0.2.10
	on router sysctl -qw net.ipv4.fib_multipath_hash_policy=1
	ip -n "${LAB_PREFIX}client" route replace default via 192.0.2.3
}

ctl2() {
	CANARYCTL_BPFFS=$CANARYCTL_BPFFS-2 CANARYCTL_KEY_FILE=$work/keys2 on balancer2 timeout 60 "$canaryctl" "$@"
}

all_to() { # NEXTHOP...: what the router does with the client's packets
	ip -n "${LAB_PREFIX}router" route replace 203.0.113.0/24 "$@"
}
to_first=(via 192.0.2.1)
to_second=(via 192.0.2.2)
to_both=(nexthop via 192.0.2.1 nexthop via 192.0.2.2)
