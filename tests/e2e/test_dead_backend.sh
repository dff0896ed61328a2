#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backend dies: its flows move to others, and are counted; nobody else's do.
. "$(dirname "$0")/lib.sh"

two_armed
attach
tunnel_ends

moved() {
	stats '[.services[0].cohorts[].moved] | add'
}

dies() { # FORWARD ADDRESS SOURCE NET
	local port='' of_the_dead broken
	[ "$1" != nat ] || port=:8080
	case_ "$1 to $2: when a backend is deleted, its flows alone break, and are counted as moved"
	ctl service del web >/dev/null 2>&1 || true
	web 50 "$1" "$2" 80 tcp "$4" | apply
	hold held -t 10000 -s "$3/50" -p 20000-20003 "$2" 80
	if [[ $4 == *:* ]]; then
		succeeds ctl backend del web "${port:+[}${4}11${port:+]$port}"
	else
		succeeds ctl backend del web "${4}11$port"
	fi
	sleep 2.5
	let_go held
	broken=$(broken_on '' held)
	of_the_dead=$(broken_on stable1 held)
	at_least "$of_the_dead" 20 "flows of the dead backend"
	eq "$broken" "$of_the_dead" "flows that broke"
	eq "$(on_cohort stable1 held)" 0 "flows that are still answered by the dead backend"
	eq "$(moved)" "$of_the_dead" "flows counted as moved"
	note "$1 to $2: of 200 flows $broken broke, $of_the_dead were the dead backend's, $(moved) moved"

	case_ "$1 to $2: new flows go to those that are left"
	load after -s "$3/50" -p 21000-21003 "$2" 80
	eq "$(on_cohort stable1 after)" 0 "flows to the dead backend"
}

dies l2 "$vip" 198.51.100.1 10.0.0.
dies l2 "$vip6" 2001:db8:51::1 2001:db8:10::
dies ipip "$vip" 198.51.100.1 10.0.0.
dies nat "$vip" 198.51.100.1 10.0.0.
