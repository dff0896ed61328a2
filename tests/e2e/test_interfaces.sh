#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# More interfaces than two, ways that are not the same there and back, clients that are backends themselves, and a backend on
# the balancer.
. "$(dirname "$0")/lib.sh"

# A link more: HOST INTERFACE ADDRESS ADDRESS6 to the balancer's INTERFACE ADDRESS ADDRESS6.
link() {
	local host=$1 interface=$2 address=$3 address6=$4 other=$5
	ip link add name "$interface" netns "$LAB_PREFIX$host" type veth peer name "$other" netns "${LAB_PREFIX}balancer"
	on "$host" ethtool -K "$interface" tx off rx off >/dev/null
	on balancer ethtool -K "$other" tx off rx off >/dev/null
	xdp_program "$host" "$interface" xdp_pass
	ip -n "$LAB_PREFIX$host" link set "$interface" up
	ip -n "${LAB_PREFIX}balancer" link set "$other" up
	ip -n "$LAB_PREFIX$host" addr add "$address" dev "$interface"
	ip -n "$LAB_PREFIX$host" addr add "$address6" dev "$interface" nodad
	ip -n "${LAB_PREFIX}balancer" addr add "$6" dev "$other"
	ip -n "${LAB_PREFIX}balancer" addr add "$7" dev "$other" nodad
}

# Everything that a host has to route goes to an address: HOST VIA VIA6
default_by() {
	ip -n "$LAB_PREFIX$1" route replace default via "$2"
	ip -n "$LAB_PREFIX$1" route replace default via "$3"
}

second_client() {
	ip netns add "${LAB_PREFIX}client2"
	extra_hosts+=(client2)
	on client2 sysctl -qw net.ipv4.conf.{all,default}.rp_filter=0 net.ipv6.conf.{all,default}.accept_dad=0 \
		net.ipv6.ip_nonlocal_bind=1
	ip -n "${LAB_PREFIX}client2" link set lo up
	link client2 eth0 192.0.3.10/24 2001:db8:3::10/64 eth2 192.0.3.1/24 2001:db8:3::1/64
	default_by client2 192.0.3.1 2001:db8:3::1
	ip -n "${LAB_PREFIX}client2" route add local 198.51.101.0/24 dev lo
	ip -n "${LAB_PREFIX}client2" route add local 2001:db8:52::/64 dev lo
	ip -n "${LAB_PREFIX}balancer" route add 198.51.101.0/24 via 192.0.3.10
	ip -n "${LAB_PREFIX}balancer" route add 2001:db8:52::/64 via 2001:db8:3::10
}

shown() { # FORWARD FAMILY
	shows 21 "$1" "$2" request forwarded
	[ "$1" != nat ] || shows 21 nat "$2" reply forwarded
}

again() { # FORWARD FAMILY [ADDRESS NET]: the service anew
	ctl service del web >/dev/null 2>&1 || true
	if [ "$2" = v4 ]; then
		web 50 "$1" "${3:-$vip}" 80 tcp 10.0.0.
	else
		web 50 "$1" "${3:-$vip6}" 80 tcp 2001:db8:10::
	fi | apply
}

counted() { # FILE...: stats has as many flows of both cohorts as the files
	local of_stable of_canary
	of_stable=$(cat "${@/#/$work/}" | grep -c ' stable[0-9]*$' || true)
	of_canary=$(cat "${@/#/$work/}" | grep -c ' canary[0-9]*$' || true)
	eq "$(flows stable) $(flows canary)" "$of_stable $of_canary" "flows of stable and canary"
}

# Options of flowload for a client: NUMBER FAMILY. So few at once that two of them do not fill a veth's ring (256 frames).
from() {
	if [ "$2" = v4 ]; then
		echo "-c 64 -s 198.51.10$(($1 - 1)).1/50 -p 20000-20019 $vip 80"
	else
		echo "-c 64 -s 2001:db8:5$1::1/50 -p 20000-20019 $vip6 80"
	fi
}

two_armed
tunnel_ends
second_client
succeeds ctl attach eth0 eth1 eth2

for forward in nat l2 ipip gue; do
	ends_for "$forward"
	for family in v4 v6; do
		case_ "$forward, $family: two client sides and the backends' at once"
		again "$forward" "$family"
		# shellcheck disable=SC2046
		load_from client2 flows2 $(from 2 "$family") &
		pid=$!
		# shellcheck disable=SC2046
		load flows1 $(from 1 "$family")
		wait "$pid"
		eq "$(cat "$work"/flows[12].summary | sort -u)" "FLOWS ok 1000 failed 0" "flows of both clients"
		counted flows1 flows2
		shown "$forward" "$family"
	done
done

case_ "each interface counts its own packets"
eq "$(stats '[.interfaces[] | select(.forwarded > 3000) | .name] | sort | join(" ")')" "eth0 eth1 eth2" "interfaces"

# The client has a second link to the balancer, by which it gets what it has asked for by the first.
link client eth1 192.0.4.10/24 2001:db8:4::10/64 eth3 192.0.4.1/24 2001:db8:4::1/64
ip -n "${LAB_PREFIX}balancer" route replace 198.51.100.0/24 via 192.0.4.10
ip -n "${LAB_PREFIX}balancer" route replace 2001:db8:51::/64 via 2001:db8:4::10
ctl attach eth0 eth1 >/dev/null

received() { # HOST INTERFACE: packets
	ip -n "$LAB_PREFIX$1" -s -j link show "$2" | jq '.[0].stats64.rx.packets'
}

for forward in nat l2 ipip gue; do
	ends_for "$forward"
	for family in v4 v6; do
		case_ "$forward, $family: requests come in by one interface, answers leave by another"
		again "$forward" "$family"
		before=$(received client eth1)
		# shellcheck disable=SC2046
		load flows $(from 1 "$family")
		counted flows
		at_least "$(($(received client eth1) - before))" 1900 "packets that came back by the other link"
		shown "$forward" "$family"
	done
done

# stable1 answers by a link of its own.
link stable1 eth1 10.1.0.11/24 2001:db8:11::11/64 eth4 10.1.0.1/24 2001:db8:11::1/64
default_by stable1 10.1.0.1 2001:db8:11::1
succeeds ctl attach eth4

for family in v4 v6; do
	case_ "nat, $family: a backend gets requests by one interface of ours, and answers by another"
	again nat "$family"
	before=$(received balancer eth4)
	# shellcheck disable=SC2046
	load flows $(from 1 "$family")
	counted flows
	at_least "$(($(received balancer eth4) - before))" 300 "packets of answers by the other link"
	shows 21 nat "$family" reply forwarded
done
default_by stable1 10.0.0.1 2001:db8:10::1

# The backends have the service's address themselves: they reach this one through the balancer.
hairpin=203.0.113.20 hairpin6=2001:db8:113::20
for host in stable2 canary1 canary2; do
	ip -n "$LAB_PREFIX$host" addr add "$hairpin/32" dev lo
	ip -n "$LAB_PREFIX$host" addr add "$hairpin6/128" dev lo
	# In nat the answers have to come back through the balancer.
	ip -n "$LAB_PREFIX$host" route add 10.0.0.11/32 via 10.0.0.1
	ip -n "$LAB_PREFIX$host" route add 2001:db8:10::11/128 via 2001:db8:10::1
done

for forward in nat l2 ipip gue; do
	ends_for "$forward"
	for family in v4 v6; do
		case_ "$forward, $family: a backend is a client of the others"
		address=$hairpin
		[ "$family" = v4 ] || address=$hairpin6
		again "$forward" "$family" "$address"
		endpoint=10.0.0.11
		[ "$family" = v4 ] || endpoint="[2001:db8:10::11]"
		[ "$forward" = nat ] && endpoint=$endpoint:8080 || endpoint=$endpoint:80
		succeeds ctl backend del web "$endpoint"
		load_from stable1 flows -p 21000-21499 "$address" 80
		eq "$(grep -cE ' (stable2|canary[12])$' "$work/flows")" 500 "flows that the others answered"
		shown "$forward" "$family"
	done
done

case_ "nat: a backend that is its own client gets the answers of the others; what it would get itself is dropped, as a loop"
again nat v4 "$hairpin"
on stable1 timeout 60 "$helpers/flowload" -t 2500 -p 22000-22099 -o "$work/flows" "$hairpin" 80 >"$work/flows.summary" || true
failed=$(grep -c ' - ' "$work/flows" || true)
eq "$(grep -cE ' (stable2|canary[12])$' "$work/flows")" "$((100 - failed))" "flows that the others answered"
within "$failed" 25 13 "flows that would go to itself"
at_least "$(stats '.services[] | select(.name == "web").cohorts.stable.drops.loop')" "$failed" "drops as loops"

# The balancer is a backend, too.
ip -n "${LAB_PREFIX}balancer" addr add "$vip/32" dev lo
ip -n "${LAB_PREFIX}balancer" addr add "$vip6/128" dev lo nodad
# What it routes for the others comes from that address as well, which the kernel takes for forged unless it is told.
on balancer sysctl -qw net.ipv4.conf.eth1.accept_local=1
start_ready server-balancer balancer "$helpers/flowserver" stable9 "$work/balancer.log" 80

for forward in l2 ipip gue; do
	ends_for "$forward"
	for family in v4 v6; do
		case_ "$forward, $family: a backend on the balancer itself serves beside the others"
		again "$forward" "$family"
		here=10.0.0.1
		[ "$family" = v4 ] || here="[2001:db8:10::1]"
		succeeds ctl backend add web stable "$here:80"
		eq "$(grep -c 'address of this host' "$work/output")" 0 "warnings"
		# shellcheck disable=SC2046
		load flows $(from 1 "$family")
		counted flows
		at_least "$(on_cohort stable9 flows)" 100 "flows that the balancer answered"
		shows 21 "$forward" "$family" request passed
	done
done

case_ "nat: a backend on the balancer itself is warned of"
again nat v4
succeeds ctl backend add web stable 10.0.0.1:80
contains "$(cat "$work/output")" 'answers would not be translated' "the warning"

case_ "nothing was lost by the driver"
eq "$(stats '[.interfaces[].tx_errors] | add')" 0 "tx_errors"
tunnels_were_sound 4in4 6in6
gue_was_sound
