#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A flood of SYNs is not held against the canary: from one port it is one connection, from many it is marked, and trips
# nothing while other connections go on.
# Runs alone: it floods, and times what the flood must not disturb.
. "$(dirname "$0")/lib.sh"

ports='80 81 8081'
# shellcheck disable=SC2086  # they are several
two_armed $ports
# As in test_floods.sh: a queue for each CPU, the flood on one of its own, and a sink behind the balancer.
cpus=$(nproc)
on balancer ethtool -L eth0 rx "$cpus"
on switch ethtool -L balancer rx "$cpus"
attach
xdp_program switch balancer xdp_sink
ip -n "${LAB_PREFIX}balancer" route add 198.18.0.0/15 via 192.0.2.10
balancer_mac=$(mac_of balancer)
apply < <({
	web 20 l2
	web 20 nat "$vip" 81 | sed 's/name: web/name: rewritten/; s/8080/8081/g'
} | sed 's/^    weight:/    observe: {handshake_timeout: 1s}\n&/')

service() { # NAME JQ of it in `status`
	ctl status --json | jq -c --arg name "$1" ".services[] | select(.name == \$name) | $2"
}

trips() {
	ctl events --json | grep -c breaker_tripped || true
}

outcome() { # SERVICE COHORT NAME
	stats ".services[] | select(.name == \"$1\") | .cohorts.$2.outcomes.$3"
}

flood() { # PACKETS RATE OPTION... PORT
	start flood client taskset -c "$((cpus - 1))" "$helpers/flood" -n "$1" -r "$2" -t 20 "${@:3:$#-3}" syn eth0 "$balancer_mac" "$vip" "${@: -1}"
	flood_pid=$started_pid
}

# A client of the flood's network whose bucket is an observed one of the canary's.
canary_port() { # SERVICE: with 198.18.0.1
	local port buckets
	buckets=$(service "$1" .observe.buckets.canary)
	for ((port = 2000; port < 2400; port++)); do
		if [ "$(ctl explain "198.18.0.1:$port" --service "$1" --json | jq ".bucket < $buckets")" = true ]; then
			echo "$port"
			return
		fi
	done
	fail "no port of 198.18.0.1 is the canary's"
}

from_one() { # SERVICE PORT
	local port code=0 sent
	port=$(canary_port "$1")
	flood 200000 100000 -s 198.18.0.1/32 -p "$port" "$2"
	wait "$flood_pid" || code=$?
	eq "$code" 0 "exit code of flood ($(cat "$work/flood.err"))"
	sent=$(awk '{ print $5 }' "$work/flood.out")
	sleep 2.5
	at_least 5 "$(outcome "$1" canary opened)" "connections that the flood was, and how many were counted"
	at_least "$(outcome "$1" canary opened)" 1 "connections that were counted"
	at_least "$(outcome "$1" canary syn_retransmits)" $((sent / 2)) "SYNs that were sent again"
	eq "$(trips)" 0 "trips"
	eq "$(service "$1" '[.breaker.state, .effective_weight, .flooded]')" '["closed",20,false]' "status"
	note "$1: $sent SYNs of one port were $(outcome "$1" canary opened) connections, $(outcome "$1" canary half_open) of them half open"
}

case_ "200,000 SYNs of one address and port on the canary trip nothing, by l2"
from_one web 80
case_ "... nor by nat"
from_one rewritten 81

from_few() { # SERVICE PORT
	local code=0
	flood 4500 1500 "$2"
	wait "$flood_pid" || code=$?
	eq "$code" 0 "exit code of flood ($(cat "$work/flood.err"))"
	sleep 2.5
	eq "$(trips)" 0 "trips"
	eq "$(service "$1" '[.breaker.state, .effective_weight, .flooded]')" '["closed",20,false]' "status"
	at_least "$(outcome "$1" canary half_open)" 200 "half-open handshakes of the canary's"
}

case_ "SYNs from many sources, so slow that all are watched, are half open in both cohorts: nothing trips, by l2"
from_few web 80
case_ "... nor by nat"
from_few rewritten 81

port=10000
from_many() { # SERVICE PORT
	local code=0 canary
	hold "held-$1" -t 10000 -s 198.51.100.1/50 -p 20000-20001 "$vip" "$2"
	flood 400000 150000 "$2"
	sleep 0.3
	on client timeout 60 "$helpers/flowload" -F -o "$work/new" -r 250 -t 10000 -s 198.51.100.100/100 -p "$port-$((port + 4))" \
		"$vip" "$2" >"$work/new.summary" || true
	port=$((port + 5))
	eq "$(service "$1" '[.flooded, .breaker.state]')" '[true,"closed"]' "status in a flood"
	contains "$(ctl status)" 'flooded: SYNs came faster than they can be watched, last at 20' "status"
	wait "$flood_pid" || code=$?
	eq "$code" 0 "exit code of flood ($(cat "$work/flood.err"))"
	sleep 2.5
	eq "$(trips)" 0 "trips"
	at_least "$(awk '{ print $3 }' "$work/new.summary")" 475 "new connections, of 500"
	canary=$(on_cohort canary new)
	share_is "$canary" "$(awk '{ print $3 }' "$work/new.summary")" 20 "those of the canary's"
	eq "$(service "$1" '[.breaker.state, .effective_weight]')" '["closed",20]' "status"
	eq "$(stats ".services[] | select(.name == \"$1\") | [.inconclusive, .epochs[0].flooded > 0] | tostring")" '[true,true]' "stats"
	contains "$(ctl stats --service "$1")" 'flooded: SYN flood: handshake figures are inconclusive' "stats"
	release "held-$1"
	note "$1: half open: $(outcome "$1" stable half_open) of stable's, $(outcome "$1" canary half_open) of the canary's; not watched: $(stats ".services[] | select(.name == \"$1\") | .epochs[0].flooded")"
}

case_ "400,000 SYNs from many sources by l2: marked, and nothing trips while connections go on"
from_many web 80
case_ "the same by nat"
from_many rewritten 81

case_ "when it is over it is no longer marked, and a canary that refuses everything is out again"
is_calm() {
	[ "$(service rewritten .flooded)" = false ]
}
wait_for 10 "the flood to be over" is_calm
refuse canary
on client timeout 60 "$helpers/flowload" -F -c 1 -n 200 -s 198.51.100.1/50 -p 30000-30003 -o "$work/new" "$vip" 81 >/dev/null || true
eq "$(trips)" 1 "trips"
eq "$(service rewritten '[.breaker.state, .effective_weight]')" '["tripped",0]' "status"
