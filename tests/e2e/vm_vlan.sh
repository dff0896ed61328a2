#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# VLANs, with the kernel's own VLAN devices: backends in one, clients in another, clients behind two tags, and all on one link.
. "$(dirname "$0")/lib.sh"

two_armed
modprobe -a 8021q 2>/dev/null || true
tunnel_ends

# XDP sees only tags that are in the frame.
for host in client balancer $all_backends; do
	for interface in eth0 eth1; do
		on "$host" ethtool -K "$interface" txvlan off tx-vlan-stag-hw-insert off >/dev/null 2>&1 || true
	done
done

# A VLAN device: HOST BELOW ID [PROTOCOL]
vlan() {
	ip -n "$LAB_PREFIX$1" link add link "$2" name "$2.$3" type vlan id "$3" protocol "${4:-802.1Q}"
	ip -n "$LAB_PREFIX$1" link set "$2.$3" up
}

# Addresses move from one device to another: HOST FROM TO ADDRESS...
move() {
	local host=$1 from=$2 to=$3 address
	shift 3
	for address; do
		ip -n "$LAB_PREFIX$host" addr del "$address" dev "$from"
		ip -n "$LAB_PREFIX$host" addr add "$address" dev "$to"
	done
}

# The ends of the clients' side move, with the routes that go through them: CLIENT'S-FROM TO BALANCER'S-FROM TO
clients_to() {
	move client "$1" "$2" 192.0.2.10/24 2001:db8:2::10/64
	move balancer "$3" "$4" 192.0.2.1/24 2001:db8:2::1/64
	ip -n "${LAB_PREFIX}balancer" route replace 198.51.100.0/24 via 192.0.2.10
	ip -n "${LAB_PREFIX}balancer" route replace 2001:db8:51::/64 via 2001:db8:2::10
	ip -n "${LAB_PREFIX}client" route replace default via 192.0.2.1
	ip -n "${LAB_PREFIX}client" route replace default via 2001:db8:2::1
}

# The switch has a port in a VLAN, without tags: PORT ID
in_vlan() {
	on switch bridge vlan del dev "$1" vid 1
	on switch bridge vlan add dev "$1" vid "$2" pvid untagged
}

# In a guest a SYN may be sent twice before it is answered: of a flow that nothing has to remember, both are counted.
through() { # WHAT FORWARD FAMILY
	local address=$vip source=198.51.100.1 net=10.0.0.
	case_ "$2, $3: $1"
	[ "$3" = v4 ] || address=$vip6 source=2001:db8:51::1 net=2001:db8:10::
	ctl service del web >/dev/null 2>&1 || true
	web 50 "$2" "$address" 80 tcp "$net" | apply
	load flows -s "$source/8" -p 20000-20004 "$address" 80
	at_least "$(on_cohort stable flows)" 5 "flows that stable answered"
	at_least "$(on_cohort canary flows)" 5 "flows that canary answered"
	at_least "$(stats '[.interfaces[].forwarded] | add')" 120 "packets that were forwarded"
}

vlan balancer eth1 10
move balancer eth1 eth1.10 10.0.0.1/24 2001:db8:10::1/64
on switch ip link set br0 type bridge vlan_filtering 1
for host in $all_backends; do
	in_vlan "$host" 10
done
on switch bridge vlan add dev balancer vid 10
ctl attach eth0 eth1 >/dev/null
for forward in nat l2 ipip; do
	through "backends in a VLAN" "$forward" v4
	through "backends in a VLAN" "$forward" v6
done

vlan client eth0 20
vlan balancer eth0 20
clients_to eth0 eth0.20 eth0 eth0.20
ctl attach eth0 eth1 >/dev/null
through "clients in a VLAN, backends in another" nat v4
through "clients in a VLAN, backends in another" ipip v6

case_ "a capture has each packet in the VLAN that it came in, and in the one that it left in"
start captured balancer "$canaryctl" capture web --json
captured=$started_pid
wait_for 20 "the capture to begin" grep -qs capturing "$work/captured.err"
load flows -s 2001:db8:51::1/4 -p 21000-21001 "$vip6" 80
sleep 1
stop "$captured" INT || fail "the capture ended with code $?: $(cat "$work/captured.err")"
at_least "$(wc -l <"$work/captured.out")" 20 "packets"
eq "$(jq -c '[.direction, .interface, .vlans, .verdict, .egress]' "$work/captured.out" | sort -u)" \
	'["to_backend","eth0",[20],"forwarded","eth1"]' "what is said of them"
start file balancer "$canaryctl" capture web -w "$work/vlans.pcapng"
captured=$started_pid
wait_for 20 "the capture to begin" grep -qs capturing "$work/file.err"
load flows -s 2001:db8:51::1/4 -p 22000-22001 "$vip6" 80
sleep 1
stop "$captured" INT || fail "the capture ended with code $?: $(cat "$work/file.err")"
frames() { # VLAN: how many have its tag, with IPv6 behind it
	od -An -v -tx1 "$work/vlans.pcapng" | tr -d ' \n' | grep -o "81000${1}86dd" | wc -l
}
at_least "$(frames 014)" 20 "frames in the clients' VLAN"
eq "$(frames 00a)" "$(frames 014)" "those in the backends'"

for host in client balancer; do
	vlan "$host" eth0 100 802.1ad
	vlan "$host" eth0.100 30
done
clients_to eth0.20 eth0.100.30 eth0.20 eth0.100.30
ctl attach eth0 eth1 >/dev/null
through "clients behind two tags" nat v6
through "clients behind two tags" l2 v4

# One link with both VLANs: the client goes to the switch.
ip link add name client netns "${LAB_PREFIX}switch" type veth peer name eth5 netns "${LAB_PREFIX}client"
on switch ethtool -K client tx off rx off txvlan off >/dev/null
on client ethtool -K eth5 tx off rx off txvlan off >/dev/null
on switch ip link set client up master br0
in_vlan client 20
ip -n "${LAB_PREFIX}client" link set eth5 up
vlan balancer eth1 20
on switch bridge vlan add dev balancer vid 20
clients_to eth0.100.30 eth5 eth0.100.30 eth1.20
ctl detach eth0 >/dev/null
ctl attach eth1 >/dev/null
through "clients and backends in VLANs of one link" nat v4
through "clients and backends in VLANs of one link" l2 v6
through "clients and backends in VLANs of one link" ipip v4

case_ "nothing was lost by the driver"
eq "$(stats '[.interfaces[].tx_errors] | add // 0')" 0 "tx_errors"
tunnels_were_sound 4in4 6in6
