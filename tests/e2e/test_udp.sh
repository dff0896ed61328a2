#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# UDP: a flow is remembered at its first packet, or follows the weight at once, as the service says.
. "$(dirname "$0")/lib.sh"

two_armed
attach

udp() { # FORWARD TRACK [ADDRESS NET]
	web 0 "$1" "${3:-$vip}" 80 udp "${4:-10.0.0.}" | sed "s/^    weight:/    track: $2\n&/"
}

# How many of 200 flows that send a datagram a second change their server when the weight goes from 0 to 100 %
changed() { # ADDRESS SOURCE
	start moving client "$helpers/flowload" -u -H 3 -R "$work/moving.ready" -o "$work/moving" -s "$2/50" -p 20000-20003 "$1" 80
	local pid=$started_pid
	wait_for 10 "the flows" test -e "$work/moving.ready"
	succeeds ctl set-weight 100
	wait "$pid" || true
	rm "$work/moving.ready"
	sed -n 's/^FLOWS ok 200 failed 0 changed //p' "$work/moving.out"
}

sticky() { # WHAT FORWARD TRACK WANTED [ADDRESS SOURCE NET]
	case_ "$1"
	ctl service del web >/dev/null 2>&1 || true
	udp "$2" "$3" "${5:-$vip}" "${7:-10.0.0.}" | apply
	eq "$(changed "${5:-$vip}" "${6:-198.51.100.1}")" "$4" "flows that changed their server"
}

sticky "nat, track auto: flows keep their server" nat auto 0
sticky "nat over IPv6, track auto: flows keep their server" nat auto 0 "$vip6" 2001:db8:51::1 2001:db8:10::
sticky "l2, track always: flows keep their server" l2 always 0
sticky "l2, track auto: flows follow the weight" l2 auto 200
sticky "l2 over IPv6, track never: flows follow the weight" l2 never 200 "$vip6" 2001:db8:51::1 2001:db8:10::

case_ "of 5,000 UDP flows the canary gets its share, and stats counts what the backends logged"
ctl service del web >/dev/null
udp nat auto | apply
ctl set-weight 25 >/dev/null
for host in $all_backends; do
	: >"$work/$host.log"
done
load udp -u -s 198.51.100.1/250 -p 25000-25019 "$vip" 80
share_is "$(on_cohort canary udp)" 5000 25 "flows of canary"
eq "$(flows stable) $(flows canary)" "$(logged stable) $(logged canary)" "flows of stable and canary"

case_ "where UDP is not tracked, flows counts datagrams"
ctl service del web >/dev/null
udp l2 never | apply
load first -u -s 198.51.100.1/10 -p 25000-25009 "$vip" 80
load again -u -s 198.51.100.1/10 -p 25000-25009 "$vip" 80
eq "$(flows stable)" 200 "flows"
eq "$(stats '.services[0].cohorts.stable.packets')" 200 "packets"

case_ "TCP to a UDP service's address and port is none of its business"
on client "$helpers/flowload" -t 500 -n 5 "$vip" 80 >"$work/tcp.summary" || true
eq "$(cat "$work/tcp.summary")" "FLOWS ok 0 failed 5" "TCP flows"
eq "$(flows stable)" 200 "flows"
