#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three balancers and three members of etcd: one configuration and one weight, whoever is asked, and nobody overwrites another.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_fleet.sh"

fleet_up

case_ "an empty prefix is said, and waited on"
contains "$(fleet_status 2 .fault)" 'nothing in etcd under /canary: begin a fleet with canaryctl fleet init' "the fault"
refused 1 'begin a fleet with canaryctl fleet init' lctl 2 set-weight 5 --service web --fleet

case_ "a fleet is begun once, and all hosts have its keys"
fleet_begins
refused 1 'something in etcd under /canary already: a fleet' lctl 2 fleet init
eq "$(cat "$work"/keys-[123] | sort -u | wc -l)" 1 "different files of keys"
eq "$(fleet_status 3 '[.hosts[] | select(.leader)] | length')" 1 "leaders"

case_ "a service comes to all hosts, with the same salt"
fleet_web 0 5s >"$work/applied"
wait_for 10 "web on all" becomes "0 0 0" weights
eq "$(for n in 1 2 3; do lctl "$n" explain 198.51.100.7:40000 --json | jq -c '[.bucket, .slot, .backend]'; done | sort -u | wc -l)" 1 \
	"different answers of explain"

case_ "a weight set on one host is in force on all"
begun=$(now_ms)
contains "$(lctl 2 set-weight 25 --fleet)" 'web: canary weight 25% \(was 0%\) in the fleet, change 2: committed' "set-weight"
committed=$(now_ms)
wait_for 5 "25 on all" becomes "25 25 25" weights
note "set-weight on lb2: committed after $((committed - begun)) ms, seen on all after $(($(now_ms) - begun)) ms"
eq "$(fleet_status 1 '.services[0] | [.change, .assignment, .phase, .weight]')" '[2,2,"open",25]' "the record"
contains "$(fleet_status 3 '.services[0].who')" 'on lb2' "who"

case_ "what the hosts have counted is side by side on any of them, with its sum"
via() { # N: the client's way to the service
	ip -n "${LAB_PREFIX}client" route replace 203.0.113.0/24 via "192.0.2.$1"
}
for n in 1 2 3; do
	via "$n"
	load "load-$n" -s 198.51.100.1/50 -p "2000$n-2000$n" "$vip" 80
done
counted() { # N JQ-FILTER
	lctl "$1" stats --fleet --json | jq -c ".services[0] | $2"
}
wait_for 5 "the counters" becomes 150 counted 2 '.sum.cohorts | .stable.flows + .canary.flows'
eq "$(counted 3 '[.hosts[] | [.name, .alive, (.cohorts | .stable.flows + .canary.flows)]]')" \
	'[["lb1",true,50],["lb2",true,50],["lb3",true,50]]' "hosts"
eq "$(counted 1 .stands_out)" '[]' "who stands out"
contains "$(lctl 1 stats --fleet)" 'sum +stable +[0-9]+ +[0-9]+ +0 ' "stats --fleet"

case_ "the window closes on all when it may, and is settled"
wait_for 25 "web to settle" becomes settled phase 3
eq "$(for n in 1 2 3; do lctl "$n" status --json | jq '[.services[].window.open] | any'; done | sort -u)" false "open windows"

case_ "connections older than a change live on wherever the router moves them, and keep the window open as long as they last"
via 1
hold older -t 10000 -s 198.51.100.1/100 -p 21000-21001 "$vip" 80
contains "$(lctl 1 set-weight 80 --fleet)" committed "set-weight"
for n in 2 3 1; do
	via "$n"
	sleep 2.5
done
eq "$(fleet_status 2 '.services[0].phase')" '"open"' "the phase after more than idle_timeout"
contains "$(fleet_status 2 '.services[0].held')" lb1 "who has connections that now would choose otherwise"
via 2
sleep 1
release older
wait_for 30 "web to settle" becomes settled phase 1
eq "$(fleet_status 2 '.services[0].held')" '[]' "who has them then"

case_ "of two operators who know the same, one is refused, and told by whom"
change=$(fleet_status 1 '.services[0].change')
contains "$(lctl 1 set-weight 30 --fleet --if-change "$change")" 'weight 30%.*committed' "the first"
wait_for 5 "lb3 to know" becomes "$((change + 1))" fleet_status 3 '.services[0].change'
refused 1 'web was changed by .* on lb1 meanwhile \(change' lctl 3 set-weight 40 --fleet --if-change "$change"
both=$({
	lctl 2 set-weight 41 --fleet 2>&1 &
	lctl 3 set-weight 42 --fleet 2>&1 &
	wait
} | grep -Ec 'committed|was changed by|being prepared')
eq "$both" 2 "answers of those who ask at once"

case_ "what a host cannot take is taken back, and it is named"
sed 's/canary: .*/canary: []/' "$work/web.yaml" >"$work/bare.yaml"
refused 1 'taken back: lb[123] cannot take the change: ' lctl 1 apply --fleet -f "$work/bare.yaml"
eq "$(phase 2)" open "the phase"

case_ "a rollback asked on any host reaches all"
begun=$(now_ms)
succeeds lctl 3 rollout rollback web
told=$(now_ms)
wait_for 5 "0 on all" becomes "0 0 0" weights
note "rollback on lb3: written after $((told - begun)) ms, seen on all after $(($(now_ms) - begun)) ms"
refused 1 "the weight of web is the fleet's" lctl 1 rollout start web
contains "$(lctl 1 --fleet set-weight 10)" 'weight 10%.*committed' "--fleet before the command"
contains "$(lctl 2 --fleet rollout rollback)" 'weight 0% \(was 10%\) in the fleet' "rollout rollback --fleet"
contains "$(lctl 2 --fleet status)" 'web +weight 0%' "status --fleet"
refused 2 'events is of this host alone' lctl 2 --fleet events

case_ "a weight that is set on one host alone does not last"
lctl 3 set-weight 33 >/dev/null
wait_for 5 "0 again on lb3" becomes "0 0 0" weights
