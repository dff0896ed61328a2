#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A rollout walks its plan by itself: a healthy canary to 100 %, one that fails or is slow back to 0 at the first step, and
# one of which nothing is known nowhere. What it becomes is made stable, and taken back, without moving a flow.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
# Times are held to a wide tolerance: on a small machine all of a server's connections wait at once while another has the
# processor, so that delays come in bunches, and 50 ms is far beyond.
configure <<'YAML'
steps:
  - {weight: 5, bake: 3s, warmup: 0, min_flows: 50}
  - {weight: 50, bake: 3s, warmup: 0, min_flows: 50}
  - {weight: 100, warmup: 0, min_flows: 50}
final_bake: 3s
max_harm: 5
gates:
  - {name: errors, type: failures, compare: stable, tolerance: 1.2}
  - {name: latency, type: response_time, compare: stable, tolerance: 20}
  - {name: connecting, type: handshake_time, compare: stable, tolerance: 20}
YAML
succeeds ctl rollout validate -f "$work/canary.yaml"
attach -f "$work/canary.yaml"
daemon_starts

case_ "before anything, and without a daemon to ask"
eq "$(rollout '[.state, .release, .weight] | join(" ")')" "idle 0 0" "the status"
refused 1 'canaryd is not running \(/nowhere.*: start it' ctl rollout status --socket /nowhere
refused 1 'no service.*other' ctl rollout status other
refused 1 "is idle, so 'pause' means nothing: start one" ctl rollout pause
refused 1 'no rollout is under way' ctl rollout status --wait

case_ "a healthy canary gets from 5 to 100 % by itself, each step once, and no connection fails"
traffic 800
hold held -t 10000 -s 198.51.100.201/20 -p 40000-40004 "$vip" 80
succeeds ctl rollout start web
refused 1 'belongs to its rollout' ctl set-weight 7
code=0
ctl rollout status --wait --timeout 90 --json >"$work/end.json" || code=$?
eq "$code $(jq -r '[.state, .weight, .effective_weight] | join(" ")' "$work/end.json")" "0 succeeded 100 100" "the end"
eq "$(transitions 1)" "progressing 1, progressing 2, baking 3, succeeded 3" "transitions"
eq "$(weight_in_force)" 100 "the weight in force"
eq "$(ctl events --json | jq -sc '[.[] | select(.type == "weight_changed")] | map(.new_salt) | [.[0], any(.[1:][]; .)]')" \
	'[true,false]' "a new salt at the first step, and at a later one"
eq "$(recorded '[.[] | select(.kind == "transition") | .uid] | unique')" '[null,0]' "who asked"
contains "$(ctl rollout explain web)" 'gate errors \(failures\): did not fail' "what explain says"

case_ "finish makes the canary's backends stable, and no flow moves"
before=$(ctl stats --json | jq '.services[0].epoch')
succeeds ctl rollout finish
wait_for 10 "the change" is 0 '.pending | length'
eq "$(rollout '[.state, .weight, .finished] | join(" ")') $(weight_in_force)" "idle 0 true 0" "the status"
eq "$(ctl backend list web --json | jq -c '[.backends[] | select(.state == "up") | [.cohort, .address]] | sort')" \
	'[["stable","10.0.0.21"],["stable","10.0.0.22"]]' "backends"
refused 1 'release is finished, so its backend 10.0.0.21:8080 is stable.*give --force' ctl apply -f "$work/canary.yaml"
load after -s 198.51.100.150/50 -p 50000-50009 "$vip" 80
eq "$(on_cohort canary after)" 500 "new flows that the new version got"

case_ "a start without a canary to bring out is refused, and what was finished can still be taken back"
refused 1 'web has no canary backend that takes new flows' ctl rollout start
eq "$(rollout '[.state, .release, .finished] | join(" ")')" "idle 1 true" "the status"

case_ "undo makes them the canary again, with no weight, and no flow breaks"
succeeds ctl rollout undo
wait_for 10 "the change" is 0 '.pending | length'
eq "$(rollout '[.state, .weight] | join(" ")') $(weight_in_force)" "rolled_back 0 0" "the status"
eq "$(ctl backend list web --json | jq -c '[.backends[] | select(.state == "up") | [.cohort, .address]] | sort')" \
	'[["canary","10.0.0.21"],["canary","10.0.0.22"],["stable","10.0.0.11"],["stable","10.0.0.12"]]' "backends"
at_least "$(ctl stats --json | jq '.services[0].epoch')" "$((before + 2))" "the epoch"
release held
refused 1 'no finished release' ctl rollout undo
traffic_ends
eq "$(tail -n 1 "$work/traffic.out" | jq -c '[.attempted - .replied]')" '[0]' "connections without an answer"

# A bad canary is out at 5 %, without anybody's doing. RELEASE GATE
is_rolled_back() {
	local code=0
	ctl rollout status --wait --timeout 60 >"$work/end" 2>"$work/complaint" || code=$?
	eq "$code" 3 "the exit code"
	contains "$(cat "$work/complaint")" "was rolled back at step 1 of 3: gate $2: " "what the command says"
	eq "$(transitions "$1")" "progressing 1, rolled_back 1" "transitions"
	eq "$(rollout '[.weight, .effective_weight] | join(" ")') $(weight_in_force)" "0 0 0" "the weight"
	eq "$(rollout ".gates[] | select(.name == \"$2\") | [.verdict, .reason] | join(\" \")")" "fail worse" "the gate's verdict in the status"
	at_least "$(rollout .cohorts.canary.flows)" 1 "flows of the canary that the status shows at the end"
	ctl rollout explain web --json >"$work/explain.json"
	eq "$(jq -c '[.release, .state, .gate]' "$work/explain.json")" "[$1,\"rolled_back\",\"$2\"]" "what explain says"
	eq "$(jq --arg gate "$2" '.gates[] | select(.name == $gate) | .failed and .log_e >= .bound - 1e-9' "$work/explain.json")" \
		true "the gate's evidence reached its bound"
	at_least "$(jq --arg gate "$2" '.gates[] | select(.name == $gate) | .deciding | length' "$work/explain.json")" 1 \
		"deciding events"
	note "$2: rolled back after $(jq -r '.steps[0] | "\(.canary.flows) flows of the canary, \(.canary.failures) of which failed"' \
		"$work/explain.json")"
}

case_ "a canary that fails 5 % of its connections is rolled back at 5 %"
misbehave canary1 --reset 5/100
misbehave canary2 --reset 5/100
traffic 800
succeeds ctl rollout start
is_rolled_back 2 errors

case_ "one that answers 50 ms later as well"
misbehave canary1 --response-delay 50
misbehave canary2 --response-delay 50
succeeds ctl rollout start
is_rolled_back 3 latency
behave canary1
behave canary2

case_ "and one whose handshakes take 50 ms longer"
hop_before canary1 --syn-ack-delay 50
hop_before canary2 --syn-ack-delay 50
succeeds ctl rollout start
is_rolled_back 4 connecting
traffic_ends
hop_ends canary1
hop_ends canary2

case_ "one that refuses everything is out by the kernel's breaker, and the rollout with it"
sed 's/enabled: false/enabled: true/' "$work/canary.yaml" >"$work/breaker.yaml"
succeeds ctl apply -f "$work/breaker.yaml"
refuse canary
traffic 200
succeeds ctl rollout start
reaches rolled_back 20
eq "$(rollout '[.last_transition.cause, .weight] | join(" ")') $(weight_in_force)" "breaker 0 0" "the cause, and the weight"
eq "$(rollout '.last_transition.judgement.breaker | [.rule, .flows.canary >= .failures.canary, .failures.canary >= 5, .failures.stable, .sum >= 7, .limit > 0] | join(" ")')" \
	"absolute true true 0 true true" "the numbers of the trip"
said='took the canary out: canary [1-9][0-9]* failures in [1-9][0-9]* flows, stable 0 in [1-9][0-9]*: .*absolute rule, sum [0-9.]*, limit'
contains "$(ctl rollout history)" "$said" "the history"
contains "$(ctl rollout explain)" "$said" "the explanation"
contains "$(ctl rollout status)" "$said" "the status"
traffic_ends
succeeds ctl apply -f "$work/canary.yaml"
behave canary1
behave canary2

case_ "a canary without traffic is inconclusive: it is neither promoted nor rolled back"
succeeds ctl rollout start
reaches inconclusive 20
eq "$(rollout '[.step, .weight, .judgement.verdict, .judgement.reason] | join(" ")')" "1 5 inconclusive no_traffic" "the status"
eq "$(rollout '.gates[0] | [.name, .verdict, .reason] | join(" ")')" "errors inconclusive too_few_flows" "its gate on failures"
eq "$(weight_in_force)" 5 "the weight in force"
sleep 3
eq "$(rollout .state)" inconclusive "the state later"

case_ "a metric that cannot be had holds the rollout"
cleared
traffic 800
cat >"$work/metric.yaml" <<'YAML'
steps: [ {weight: 5, bake: 2s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 2s
max_harm: 50
gates:
  - {name: engagement, type: prometheus, url: "http://127.0.0.1:9", query: "up", min: 1}
YAML
succeeds ctl rollout start web -f "$work/metric.yaml"
reaches inconclusive 20
eq "$(rollout '[.step, .weight, .judgement.reason, .judgement.gate] | join(" ")')" "1 5 metric_unavailable engagement" "the status"
sleep 2
eq "$(rollout .state) $(weight_in_force)" "inconclusive 5" "the state, and the weight in force, later"
succeeds ctl rollout rollback
eq "$(weight_in_force)" 0 "the weight in force"
