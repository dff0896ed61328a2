#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One arm: what comes in on eth0 leaves there again (XDP_TX), and backends answer clients directly.
. "$(dirname "$0")/lib.sh"

one_armed
tunnel_ends

case_ "attaches to the one interface"
succeeds ctl attach eth0

both() { # FORWARD ADDRESS SOURCE NET
	case_ "$1 through one arm to $2: every flow is answered, and counted where it went"
	ctl service del web >/dev/null 2>&1 || true
	web 50 "$1" "$2" 80 tcp "$4" | apply
	load flows -s "$3/50" -p 20000-20039 "$2" 80
	share_is "$(on_cohort canary flows)" 2000 50 "flows of canary"
	eq "$(flows stable) $(flows canary)" "$(on_cohort stable flows) $(on_cohort canary flows)" "flows of stable and canary"
}

both l2 "$vip" 198.51.100.1 10.0.0.
both l2 "$vip6" 2001:db8:51::1 2001:db8:10::
both ipip "$vip" 198.51.100.1 10.0.0.
both ipip "$vip6" 2001:db8:51::1 10.0.0.

case_ "nat through one arm: the way back leads through the balancer where the backends' routes do"
for host in $all_backends; do
	ip -n "$LAB_PREFIX$host" route del 198.51.100.0/24 via 192.0.2.10
done
ctl service del web >/dev/null
web 50 nat | apply
load flows -s 198.51.100.1/50 -p 20000-20039 "$vip" 80
share_is "$(on_cohort canary flows)" 2000 50 "flows of canary"

case_ "nothing was lost by the driver"
eq "$(stats '[.interfaces[].tx_errors] | add')" 0 "tx_errors"
tunnels_were_sound 4in4 6in4
