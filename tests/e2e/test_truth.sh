#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the backends' own logs count is what stats counts, while the weight changes under load.
. "$(dirname "$0")/lib.sh"

two_armed
attach

compare() { # the backends' logs with stats, since the last empty_logs
	local host want address
	for host in $all_backends; do
		case $host in
		stable*) address=${net}1${host#stable} ;;
		canary*) address=${net}2${host#canary} ;;
		esac
		want=$(logged "$host")
		eq "$(stats ".services[0].backends[] | select(.address == \"$address\") | .flows")" "$want" "flows of $host"
		at_least "$want" 1 "flows that $host logged"
	done
	eq "$(flows stable)" "$(logged stable)" "flows of stable"
	eq "$(flows canary)" "$(logged canary)" "flows of canary"
	eq "$(stats '[.services[0].cohorts[].drops.total] | add')" 0 "packets dropped"
}

empty_logs() {
	local host
	for host in $all_backends; do
		: >"$work/$host.log"
	done
}

walk() { # FORWARD ADDRESS SOURCE NET: 5 → 25 → 50 → 100 → 0 under 2,000 new connections a second
	local weight loader net=$4
	case_ "$1 to $2: not one of 16,000 flows is lost or miscounted while the weight changes"
	ctl service del web >/dev/null 2>&1 || true
	web 0 "$1" "$2" 80 tcp "$net" | apply
	empty_logs
	load "$1" -r 2000 -s "$3/200" -p 30000-30079 "$2" 80 &
	loader=$!
	for weight in 5 25 50 100 0 33.33 77 12.5; do
		sleep 0.8
		succeeds ctl set-weight "$weight"
	done
	wait "$loader"
	eq "$(cat "$work/$1.summary")" "FLOWS ok 16000 failed 0" "what the client saw"
	compare
}

walk nat "$vip" 198.51.100.1 10.0.0.
walk l2 "$vip" 198.51.100.1 10.0.0.
walk nat "$vip6" 2001:db8:51::1 2001:db8:10::

case_ "changes of backends and services under load lose and miscount nothing either"
ctl service del web >/dev/null
net=10.0.0.
web 50 nat | apply
empty_logs
load backends -r 2000 -s 198.51.100.1/200 -p 40000-40049 "$vip" 80 &
loader=$!
for _ in 1 2; do
	sleep 0.5
	succeeds ctl backend drain web 10.0.0.22:8080
	sleep 0.5
	succeeds ctl segment add web 198.51.100.64/26 canary
	sleep 0.5
	web 40 nat | apply
	sleep 0.5
	succeeds ctl service add other tcp 203.0.113.99:443 --forward nat
	succeeds ctl service del other
done
wait "$loader"
compare
