#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Connections live on through 0 → 100 → 0, whichever way they are forwarded.
. "$(dirname "$0")/lib.sh"

two_armed
attach
tunnel_ends

through() { # FORWARD ADDRESS SOURCE NET
	local at
	case_ "$1 from $2 to ${4}0: connections stay on their backends through 0 → 100 → 0"
	ctl service del web >/dev/null 2>&1 || true
	web 0 "$1" "$2" 80 tcp "$4" | apply
	hold at0 -s "$3/50" -p 20000-20003 "$2" 80
	succeeds ctl set-weight 100
	hold at100 -s "$3/50" -p 21000-21003 "$2" 80
	sleep 1.2
	succeeds ctl set-weight 50
	hold at50 -s "$3/50" -p 22000-22003 "$2" 80
	succeeds ctl stop
	hold stopped -s "$3/50" -p 23000-23003 "$2" 80
	sleep 1.2
	for at in at0 at100 at50 stopped; do
		release "$at"
	done
	eq "$(on_cohort canary at0) $(on_cohort canary at100) $(on_cohort canary stopped)" "0 200 0" "flows of canary"
}

through nat "$vip" 198.51.100.1 10.0.0.
through nat "$vip6" 2001:db8:51::1 2001:db8:10::
through l2 "$vip" 198.51.100.1 10.0.0.
through l2 "$vip6" 2001:db8:51::1 2001:db8:10::
through ipip "$vip" 198.51.100.1 10.0.0.
through ipip "$vip6" 2001:db8:51::1 2001:db8:10::
through ipip "$vip" 198.51.100.1 2001:db8:10::
through ipip "$vip6" 2001:db8:51::1 10.0.0.

case_ "the tunnels' outer headers are right, in all four combinations"
tunnels_were_sound 4in4 6in6 4in6 6in4

case_ "a drained backend keeps its connections and gets no new ones"
ctl service del web >/dev/null
web 0 nat | apply
hold before -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
succeeds ctl backend drain web 10.0.0.11:8080
load after -s 198.51.100.1/50 -p 21000-21003 "$vip" 80
sleep 1.2
release before
at_least "$(on_cohort stable1 before)" 1 "flows of stable1 before"
eq "$(on_cohort stable1 after)" 0 "flows of stable1 after"

case_ "connections live through an apply, an attach again, and a change of another service"
hold before -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
web 70 nat | apply
attach
succeeds ctl service add other udp 203.0.113.11:53 --forward l2
succeeds ctl service del other
sleep 1.2
release before
