#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client's prefix that is pinned to a cohort goes there, whatever the weight; the longest prefix decides.
. "$(dirname "$0")/lib.sh"

two_armed
attach
web 0 nat | apply

# Which cohorts the flows of 64 clients from ADDRESS on went to
cohorts() { # ADDRESS [VIP]
	load pinned -s "$1/64" -p 20000-20003 "${2:-$vip}" 80
	awk '{ sub(/[0-9]$/, "", $3); print $3 }' "$work/pinned" | sort -u | xargs
}

case_ "at 0 %, clients of a prefix are canary's when it is pinned there, others are not"
succeeds ctl segment add web 198.51.100.64/26 canary
eq "$(cohorts 198.51.100.64)" canary "198.51.100.64/26"
eq "$(cohorts 198.51.100.0)" stable "198.51.100.0/26"
eq "$(cohorts 198.51.100.128)" stable "198.51.100.128/26"

case_ "a longer prefix inside of it decides for its clients"
succeeds ctl segment add web 198.51.100.96/27 stable
load longer -s 198.51.100.96/32 -p 20000-20003 "$vip" 80
eq "$(on_cohort stable longer)" 128 "flows of 198.51.100.96/27 on stable"
load shorter -s 198.51.100.64/32 -p 20000-20003 "$vip" 80
eq "$(on_cohort canary shorter)" 128 "flows of 198.51.100.64/27 on canary"

case_ "at 100 %, clients pinned to stable stay there"
succeeds ctl set-weight 100
load longer -s 198.51.100.96/32 -p 20000-20003 "$vip" 80
eq "$(on_cohort stable longer)" 128 "flows of 198.51.100.96/27 on stable"
eq "$(cohorts 198.51.100.128)" canary "198.51.100.128/26"

case_ "explain says that the segment decided"
contains "$(ctl explain 198.51.100.97:4000)" segment "explain of a pinned client"
contains "$(ctl explain 198.51.100.97:4000)" stable "explain of a pinned client"
contains "$(ctl explain 198.51.100.130:4000)" weight "explain of another client"

case_ "explain names the backend that the next flow then goes to"
for port in 40001 40002 40003 40004 40005; do
	backend=$(ctl explain "198.51.100.7:$port" --json | jq -r .backend.address)
	load explained -s 198.51.100.7 -p "$port" "$vip" 80
	number=$(awk '{ print $3 }' "$work/explained")
	case $number in
	stable*) number=1${number#stable} ;;
	canary*) number=2${number#canary} ;;
	esac
	eq "$backend" "10.0.0.$number" "backend of 198.51.100.7:$port"
done

case_ "deleting a segment gives its clients back to the weight"
succeeds ctl segment del web 198.51.100.96/27
load longer -s 198.51.100.96/32 -p 20000-20003 "$vip" 80
eq "$(on_cohort canary longer)" 128 "flows of 198.51.100.96/27 on canary"
eq "$(ctl segment list --json | jq '.segments | length')" 1 "segments left"

case_ "IPv6 prefixes pin as well"
ctl service del web >/dev/null
web 0 nat "$vip6" 80 tcp 2001:db8:10:: | apply
succeeds ctl segment add web 2001:db8:51::40/122 canary
eq "$(cohorts 2001:db8:51::40 "$vip6")" canary "2001:db8:51::40/122"
eq "$(cohorts 2001:db8:51::80 "$vip6")" stable "2001:db8:51::80/122"
