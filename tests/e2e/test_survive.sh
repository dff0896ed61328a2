#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 8,000 long-lived connections, which exchange a byte every second, live through all that an operator does to them.
# Runs alone: connections are to be changed so many times in a second.
. "$(dirname "$0")/lib.sh"

two_armed 80-83 8082
attach
tunnel_ends
RANDOM=${SEED:=$$}

service() { # NAME FORWARD ADDRESS PORT [NET]: its second stable backend comes later
	web 20 "$2" "$3" "$4" tcp "${5:-10.0.0.}" |
		sed "s/name: web/name: $1/; s/port: 8080/port: 8082/g; s/, {address: \"[^\"]*12\"[^}]*}//; s/^    weight:/    idle_timeout: 5s\n&/"
}

{
	service direct l2 "$vip" 80
	service tunnel ipip "$vip" 81
	service rewritten nat "$vip" 82
	service direct6 l2 "$vip6" 83 2001:db8:10::
} | apply

# With the build of the other compiler, where there is one, an upgrade brings another program.
other=$canaryctl
[ ! -x "$build/clang-19/canaryctl" ] || other=$build/clang-19/canaryctl

hold direct -t 10000 -s 198.51.100.1/200 -p 20000-20009 "$vip" 80
hold tunnel -t 10000 -s 198.51.100.1/200 -p 20000-20009 "$vip" 81
hold rewritten -t 10000 -s 198.51.100.1/200 -p 20000-20009 "$vip" 82
hold direct6 -t 10000 -s 2001:db8:51::1/200 -p 20000-20009 "$vip6" 83

kills=0 changes=0 most=0
# kill -9 of whatever of ours runs on the balancer: it has nothing else.
kill_all() {
	local pids pid
	pids=$(ip netns pids "${LAB_PREFIX}balancer" | grep -vx "$$" || true)
	for pid in $pids; do
		# It may have ended meanwhile.
		! kill -KILL "$pid" 2>/dev/null || kills=$((kills + 1))
	done
}

# Commands that change something, in the background, of which some do not live to see it.
in_danger() {
	local command pids=()
	for command in "set-weight $((RANDOM % 101)) --service tunnel" "set-weight $((RANDOM % 101)) --service rewritten" \
		'stats --watch 1 --json' 'flows list --json'; do
		# shellcheck disable=SC2086
		nsenter --net="/run/netns/${LAB_PREFIX}balancer" -- "$canaryctl" $command >/dev/null 2>&1 &
		pids+=("$!")
	done
	sleep "$(printf '0.%03d' "$((RANDOM % 30))")"
	kill_all
	wait "${pids[@]}" 2>/dev/null || true
}

address_in() { # SERVICE NUMBER
	case $1 in
	rewritten) echo "10.0.0.$2:8082" ;;
	direct6) echo "2001:db8:10::$2" ;;
	*) echo "10.0.0.$2" ;;
	esac
}

step() { # I
	local service
	for service in direct tunnel rewritten direct6; do
		succeeds ctl set-weight "$((RANDOM % 101))" --service "$service"
		changes=$((changes + 1))
		case $1 in
		8) succeeds ctl backend add "$service" stable "$(address_in "$service" 12)" ;;
		16) succeeds ctl backend drain "$service" "$(address_in "$service" 11)" ;;
		28) succeeds ctl backend add "$service" stable "$(address_in "$service" 11)" ;;
		esac
	done
	case $1 in
	12 | 32) succeeds on balancer timeout 60 "$other" upgrade ;;
	20) succeeds ctl upgrade ;;
	*) [ $(($1 % 4)) -ne 2 ] || in_danger ;;
	esac
}

case_ "a weight that changes 40 times in 20 s, an added and a drained backend, upgrades and kills (seed $SEED)"
begun=${EPOCHREALTIME/./}
for ((i = 0; i < 40; i++)); do
	step "$i"
	remembered=$(ctl flows count --json | jq .flows)
	[ "$remembered" -le "$most" ] || most=$remembered
	rest=$((begun + (i + 1) * 500000 - ${EPOCHREALTIME/./}))
	[ "$rest" -le 0 ] || sleep "$(printf '%d.%06d' "$((rest / 1000000))" "$((rest % 1000000))")"
done
took=$(((${EPOCHREALTIME/./} - begun) / 1000000))
[ "$took" -le 40 ] || fail "40 rounds of changes took $took s"
at_least "$kills" 10 "processes that were killed"
note "$changes changes in $took s, $kills kills, at most $most flows remembered"

case_ "windows close, changes go on, and all windows close once more"
wait_for 15 "all windows to close" settled
for service in direct tunnel rewritten direct6; do
	succeeds ctl set-weight "$((RANDOM % 101))" --service "$service"
done
wait_for 15 "all windows to close" settled
sleep 1.5
note "$(ctl flows count --json | jq .flows) flows remembered in the end, $(stats '[.services[].cohorts[] | .skipped] | add') \
packets skipped, $(stats '[.services[].cohorts[] | .fallback] | add') fallbacks"
eq "$(stats '[.services[].cohorts[].moved] | add')" 0 "flows that were moved"
eq "$(stats '[.interfaces[].drops.fault] | add')" 0 "faults"

for service in direct tunnel rewritten direct6; do
	case_ "no connection of $service broke, of 2,000"
	release "$service"
done

case_ "the tunnels were sound, and connections open as ever"
tunnels_were_sound 4in4
load after -s 198.51.100.1/200 -p 30000-30004 "$vip" 80
load after6 -s 2001:db8:51::1/200 -p 30000-30004 "$vip6" 83
