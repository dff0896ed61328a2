#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Raising the weight only moves flows from stable to canary, and lowering it is the exact inverse.
. "$(dirname "$0")/lib.sh"

two_armed
attach

# How flows differ between two loads of the same flows: those that the canary lost or shuffled, and those that moved
# between two stable backends.
difference() { # LOWER HIGHER
	awk '
		NR == FNR { was[$1 " " $2] = $3; next }
		{ before = was[$1 " " $2] }
		before ~ /^canary/ && $3 != before { lost++ }
		before ~ /^stable/ && $3 ~ /^stable/ && $3 != before { shuffled++ }
		END { print lost + 0, shuffled + 0 }' "$work/$1" "$work/$2"
}

climb() { # FORWARD ADDRESS SOURCES NET
	local last weight
	web 0 "$1" "$2" 80 tcp "$4" | apply
	last=''
	for weight in 0 5 25 50 100; do
		case_ "$1 $2: at $weight % the canary has all the flows it had before, and stable's stay where they are"
		succeeds ctl set-weight "$weight"
		load "up$weight" -s "$3/50" -p 20000-20079 "$2" 80
		[ -z "$last" ] || eq "$(difference "up$last" "up$weight")" "0 0" "flows lost and shuffled, $last to $weight"
		last=$weight
	done
	for weight in 50 25 5 0; do
		case_ "$1 $2: back at $weight % every flow goes where it went on the way up"
		succeeds ctl set-weight "$weight"
		load "down$weight" -s "$3/50" -p 20000-20079 "$2" 80
		eq "$(diff "$work/up$weight" "$work/down$weight" | grep -c '^>' || true)" 0 "flows elsewhere than before"
	done
}

climb nat "$vip" 198.51.100.1 10.0.0.
climb l2 "$vip6" 2001:db8:51::1 2001:db8:10::
