#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A canary that refuses every connection is out after a few, with no process of ours running, in every way of forwarding;
# its open connections live on, and only a new assignment brings it back.
. "$(dirname "$0")/lib.sh"

allowed=15 # observed connections that may fail until the canary is out
limit_ms=2900 # from a SYN to the trip where nobody sees the RST: handshake_timeout, and two passes of the sweeper

ports='80 81 82 8081'
# shellcheck disable=SC2086  # they are several
two_armed $ports
attach
tunnel_ends

observed() { # adds what is observed to a service's YAML
	sed 's/^    weight:/    observe: {cap: 50, handshake_timeout: 1s}\n    idle_timeout: 3s\n&/'
}
apply < <({
	web 50 l2
	web 50 nat "$vip" 81 | sed 's/name: web/name: rewritten/; s/8080/8081/g'
	web 50 ipip "$vip" 82 | sed 's/name: web/name: tunnel/'
} | observed)

service() { # NAME JQ of it in `status`
	ctl status --json | jq -c --arg name "$1" ".services[] | select(.name == \$name) | $2"
}

trips() { # NAME JQ of the events of its trips, as an array
	ctl events --json --service "$1" | jq -sc "[.[] | select(.type == \"breaker_tripped\")] | $2"
}

has_tripped() { # NAME
	[ "$(trips "$1" length)" -gt "${2:-0}" ]
}

port=20000
# New flows, some of which may fail: what became of them is in $work/new, in their order.
try_flows() { # COUNT OPTION... PORT
	local count=$1
	shift
	on client timeout 60 "$helpers/flowload" -F -n "$count" -s 198.51.100.1/50 -p "$port-$((port + 19))" -o "$work/new" \
		"${@:1:$#-1}" "$vip" "${@: -1}" >"$work/new.summary" || true
	port=$((port + 20))
}

failed() {
	grep -c ' - ' "$work/new" || true
}

# The service has no canary any more: 100 flows, one by one.
is_out() { # PORT
	try_flows 100 "$1"
	eq "$(failed) $(on_cohort stable new)" "0 100" "new flows that failed, and that stable got"
}

# A trip that the service's status, statistics and events tell with their numbers.
is_told() { # NAME PORT
	local count
	count=$(trips "$1" '.[-1].canary.failures')
	at_least "$count" 1 "failures of the canary's until it was out"
	at_least "$allowed" "$count" "failures of the canary's that are allowed, and how many there were"
	eq "$(trips "$1" '.[-1] | [.uid, .service]')" "[null,\"$1\"]" "the event"
	eq "$(service "$1" '[.weight, .effective_weight, .breaker.state, .breaker.failures.canary]')" "[50,0,\"tripped\",$count]" "status"
	contains "$(ctl status)" "STOPPED: the breaker tripped at 20.*Z: canary $count failures in [0-9]+ flows, stable 0 in [0-9]+: " "status"
	contains "$(ctl stats --service "$1")" "STOPPED: the breaker tripped at" "stats"
	contains "$(ctl events --service "$1")" "breaker_tripped  *kernel .*canary $count failures in .*; new flows go to stable" "events"
	note "$1: out after $count failures ($(trips "$1" '.[-1].reason'))"
}

case_ "while all is well nothing trips"
for p in 80 81 82; do
	hold "held-$p" -t 10000 -s 198.51.100.201/20 -p 30000-30004 "$vip" "$p"
	try_flows 200 "$p"
	eq "$(failed)" 0 "flows that failed"
	# Many clients end a short connection with a reset once they have their answer.
	load "reset-$p" -s 198.51.100.101/50 -p 31000-31007 "$vip" "$p"
done
eq "$(ctl events --json | grep -c breaker_tripped)" 0 "trips"
eq "$(stats '[.services[].cohorts[].outcomes.failed] | add')" 0 "failures"
eq "$(service web .breaker.state)" '"closed"' "the breaker"

case_ "nat: a canary that refuses everything is out at once"
refuse canary
try_flows 200 -c 1 81
eq "$(failed)" "$(trips rewritten '.[-1].canary.failures')" "flows that the client saw fail, and that the kernel counted"
eq "$(tail -n 100 "$work/new" | grep -c ' - ')" 0 "failures among the last 100 flows"
is_told rewritten 81
is_out 81

unseen() { # NAME PORT: where the backend's RST passes us by, the failure is known when the handshake's time is over
	local begun took
	begun=$(date +%s%3N)
	try_flows 24 -r 200 "$2"
	at_least "$(failed)" 5 "flows that failed"
	wait_for 5 "the breaker" has_tripped "$1"
	took=$(($(date -d "$(trips "$1" '.[-1].time' | jq -r .)" +%s%3N) - begun))
	at_least "$limit_ms" "$took" "milliseconds from the first SYN to the trip"
	at_least "$took" 1000 "milliseconds from the first SYN to the trip"
	note "$1: $took ms from the first SYN to the trip"
	is_told "$@"
	is_out "$2"
}

case_ "l2: the same once handshake_timeout has passed"
unseen web 80
case_ "ipip: the same once handshake_timeout has passed"
unseen tunnel 82

case_ "it stays out over changes that are no assignment, whether a window is open or not"
for p in 80 81 82; do
	is_out "$p"
done
wait_for 20 "the windows to close" settled
for i in 2 3 4 5 6 7 8 9 10 11; do
	succeeds ctl backend add web stable 10.0.0.11 --weight "$i"
	succeeds ctl backend add rewritten canary 10.0.0.21:8081 --weight "$i"
	succeeds ctl apply -f "$work/config.yaml"
done
eq "$(ctl status --json | jq -c '[.services[] | .stopped, .weight, .effective_weight]')" '[true,50,0,true,50,0,true,50,0]' "status"
for p in 80 81 82; do
	is_out "$p"
done

case_ "the connections that the canary had live on"
sleep 1.5
for p in 80 81 82; do
	release "held-$p"
	at_least "$(on_cohort canary "held-$p")" 25 "connections of the canary's that were held"
done

case_ "a new set-weight brings the canary back; at weight 5 it is out as soon"
succeeds ctl set-weight 5 --service rewritten
eq "$(service rewritten '[.effective_weight, .stopped, .breaker.state, .breaker.reason]')" '[5,false,"closed",null]' "status"
try_flows 1000 -c 1 81
at_least "$(failed)" 5 "flows that failed"
at_least "$allowed" "$(failed)" "flows that may fail, and that did"
eq "$(trips rewritten 'length')" 2 "trips"
note "rewritten: out after $(failed) failures at weight 5 ($(trips rewritten '.[-1].reason'))"

case_ "the first flow after the decisive packet is spared"
gaps=()
for i in 1 2 3 4 5; do
	succeeds ctl set-weight 100 --service rewritten
	sequence=$(on client "$helpers/connseq" 198.51.100.100 $((41000 + i * 100)) 100 "$vip" 81) || fail "connseq failed"
	eq "$(cut -d' ' -f 1-5 <<<"$sequence")" "CONNSEQ refused $(trips rewritten '.[-1].canary.failures') spared 3" "connections"
	gaps+=("${sequence##* }")
done
gap=$(printf '%s\n' "${gaps[@]}" | sort -n | sed -n 3p)
at_least 1000 "$gap" "microseconds, with those of two handshakes"
note "from the last refused SYN to the first SYN that is spared: ${gaps[*]} us"

case_ "explain says that it was the breaker, also when a lease is over since"
succeeds ctl set-weight 100 --service rewritten --lease 1s
try_flows 20 -c 1 81
sleep 1.2
eq "$(service rewritten '[.breaker.state, .lease.expired]')" '["tripped",true]' "status"
contains "$(ctl explain 198.51.100.7:40000 --service rewritten)" 'but the breaker has stopped the canary' "explain"

case_ "a breaker that is off trips nothing"
sed 's/^    observe:/    breaker: {enabled: false}\n&/' "$work/config.yaml" >"$work/off.yaml"
succeeds ctl apply -f "$work/off.yaml"
succeeds ctl set-weight 50 --service rewritten
try_flows 100 81
at_least "$(failed)" 20 "flows that failed"
eq "$(service rewritten '[.effective_weight, .breaker.state]')" '[50,"off"]' "status"
succeeds ctl apply -f "$work/config.yaml"

case_ "where stable refuses as well it is nobody's fault: nothing trips"
refuse stable
count=$(trips rewritten length)
succeeds ctl set-weight 20 --service rewritten
try_flows 400 81
eq "$(failed)" 400 "flows that failed"
eq "$(trips rewritten length)" "$count" "trips"
eq "$(service rewritten '[.effective_weight, .breaker.state]')" '[20,"closed"]' "status"
contains "$(ctl stats --service rewritten)" '^  refused +[0-9]{3} +[0-9]{2}$' "stats"
