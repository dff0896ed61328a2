#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Datagrams of 4,000 bytes over an MTU of 1,500, there and back, through both cohorts: none is lost, none is split.
. "$(dirname "$0")/lib.sh"

two_armed
tunnel_ends
attach

# As one does for a tunnel: the network of the backends takes its header on top of 1,500 bytes, and answers are no larger.
for host in $all_backends balancer; do
	on switch ip link set "$host" mtu 1560
done
on switch ip link set br0 mtu 1560
on balancer ip link set eth1 mtu 1560
for host in $all_backends; do
	on "$host" ip link set eth0 mtu 1560
	on "$host" ip route change default via 10.0.0.1 mtu 1500
	on "$host" ip -6 route change default via 2001:db8:10::1 mtu 1500
done

whole() { # FORWARD SOURCE ADDRESS NET
	local code=0 sent=400
	case_ "$1 to $3: $sent datagrams in fragments are echoed whole, by both cohorts"
	ctl service del web >/dev/null 2>&1 || true
	web 50 "$1" "$3" 80 udp "$4" | apply
	on client timeout 100 "$helpers/bulk" udp "$2" "$3" 80 "$sent" 4000 >"$work/bulk" 2>"$work/bulk.err" || code=$?
	eq "$code $(sed -n 's/ mtu.*//p' "$work/bulk")" "0 BULK ok $sent lost 0 damaged 0" "datagrams"
	share_is "$(awk '/^canary/ { n += $2 } END { print n + 0 }' "$work/bulk")" "$sent" 50 "those that canary answered"
	eq "$(grep -c '^stable\|^canary' "$work/bulk")" 4 "servers that answered"
	# Three fragments each way where nat sees both; two of three follow the first.
	if [ "$1" = nat ]; then
		eq "$(stats '[.services[0].cohorts[].fragments] | add')" $((4 * sent)) "fragments that followed"
	else
		eq "$(stats '[.services[0].cohorts[].fragments] | add')" $((2 * sent)) "fragments that followed"
	fi
	eq "$(stats '[.services[0].cohorts[].packets] | add')" $((3 * sent)) "packets from clients"
	eq "$(stats '[.interfaces[].drops.fragment, .services[0].cohorts[].drops.total] | add')" 0 "drops"
}

for forward in nat l2 ipip; do
	whole "$forward" 198.51.100.1 "$vip" 10.0.0.
	whole "$forward" 2001:db8:51::1 "$vip6" 2001:db8:10::
done
tunnels_were_sound 4in4 6in6
decap_ends
whole gue 198.51.100.1 "$vip" 10.0.0.
whole gue 2001:db8:51::1 "$vip6" 2001:db8:10::
gue_was_sound

case_ "nothing was lost by the driver, and the host's own fragments are its own"
eq "$(stats '[.interfaces[].tx_errors] | add')" 0 "tx_errors"
eq "$(on client ping -q -c 5 -i 0.01 -s 4000 192.0.2.1 | sed -n 's/.*, \([0-9]*\) received.*/\1/p')" 5 "pings of 4,000 bytes"
eq "$(on client ping -q -c 5 -i 0.01 -s 4000 2001:db8:2::1 | sed -n 's/.*, \([0-9]*\) received.*/\1/p')" 5 "pings of 4,000 bytes"
