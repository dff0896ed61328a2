#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a change of one service takes does not grow with how many there are: ratios within one run, of the fastest of many.
# Runs alone: it measures times.
. "$(dirname "$0")/lib.sh"

rounds=15
one=$CANARYCTL_BPFFS many=$CANARYCTL_BPFFS-2
export MARKS=$work/marks

for dir in "$one" "$many"; do
	tests/lib/many_services "$([ "$dir" = "$one" ] && echo 1 || echo 1000)" 20 >"$work/services.yaml"
	succeeds "$canaryctl" apply --bpffs "$dir" -f "$work/services.yaml"
done

# What each command took until its change was in force, and the change alone, in µs: to $work/DIRECTORY.MARK.
marked() { # DIRECTORY WORD...
	local dir=$1 mark us
	shift
	rm -f "$MARKS"
	succeeds env LD_PRELOAD="$helpers/marks.so" "$canaryctl" "$@" --bpffs "$dir"
	while read -r mark us; do
		echo "$us" >>"$work/${dir##*/}.$mark"
	done <"$MARKS"
}

least() { # DIRECTORY MARK
	sort -n "$work/${1##*/}.$2" | head -n 1
}

# The fastest of $many takes no more than so many of the fastest of $one.
at_most_times() { # TIMES MARK
	local few all
	few=$(least "$one" "$2") all=$(least "$many" "$2")
	note "$2: $all µs with 1,000 services, $few µs with one"
	awk -v all="$all" -v few="$few" -v times="$1" 'BEGIN { exit !(few > 0 && all <= times * few) }' ||
		fail "$2 takes $all µs with 1,000 services and $few µs with one: more than $1 times that"
}

case_ "a new weight is in force as soon with a thousand services as with one"
for ((i = 1; i <= rounds; i++)); do
	for dir in "$one" "$many"; do
		marked "$dir" set-weight "$((5 + i))" --service s0
	done
done
at_most_times 3 in_force
at_most_times 3 transition
