#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Gates that decide a rollout without looking at how connections fare: what the balancer drops, and what users say.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps: [ {weight: 20, bake: 3s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 2s
max_harm: 50
gates: [ {name: lost, type: drops, max: 5} ]
YAML
attach -f "$work/canary.yaml"
daemon_starts

# Who was rolled back at the first step, why, and what explain says of it. RELEASE GATE TYPE
is_rolled_back() {
	reaches rolled_back 20
	eq "$(transitions "$1")" "progressing 1, rolled_back 1" "transitions"
	eq "$(rollout '.last_transition | [.cause, .judgement.gate] | join(" ")') $(weight_in_force)" "gate $2 0" "why, and the weight"
	eq "$(ctl rollout explain web --json | jq -c --arg gate "$2" '[.release, .state, .gate, (.gates[] | select(.name == $gate) | .failed)]')" \
		"[$1,\"rolled_back\",\"$2\",true]" "what explain says"
	contains "$(ctl rollout explain web)" "gate $2 \\($3\\): failed" "the same as text"
	contains "$(ctl rollout status)" " $2 +fail +" "its verdict in the status"
}

case_ "nothing is dropped of a healthy canary: the gate passes"
traffic 800
succeeds ctl rollout start
reaches succeeded 30
eq "$(recorded '[.[] | select(.kind == "verdict" and .gate == "lost" and .release == 1)] | last | [.verdict, .value]')" '["pass",0]' \
	"what was recorded of it"
cleared

case_ "a canary whose packets the balancer cannot deliver is rolled back by what it drops"
# Nobody has this address: its neighbour is never resolved.
succeeds ctl backend add web canary 10.0.0.99:8080
succeeds ctl rollout start
is_rolled_back 2 lost drops
eq "$(rollout .last_transition.judgement.reason)" above_max "the reason"
at_least "$(recorded '[.[] | select(.kind == "verdict" and .gate == "lost" and .release == 2)] | last | .value | floor')" 5 \
	"percent that were dropped"
at_least "$(stats '.services[0].cohorts.canary.drops.no_neighbour' 2>"$work/complaint")" 10 "packets dropped as no_neighbour"
note "drops: $(ctl rollout history web | grep -o 'fail of lost.*' | tail -n 1)"

case_ "the status shows the verdict and the value that were recorded, and so it does with another daemon"
shown='[.gates[0] | .verdict, .reason, .value]'
recorded_last=$(recorded '[.[] | select(.kind == "verdict" and .gate == "lost" and .release == 2)] | last | [.verdict, .reason, .value]')
contains "$recorded_last" '^\["fail","above_max",[0-9.]+\]$' "what was recorded"
eq "$(ctl rollout status --json | jq -c "$shown")" "$recorded_last" "what the status has"
daemon_ends KILL || true
daemon_starts
eq "$(ctl rollout status --json | jq -c "$shown")" "$recorded_last" "what it has after a restart"
contains "$(ctl rollout status)" 'lost +fail +value [0-9.]+ +the value is outside its bound' "the same as text"

case_ "the same beside stable, of whose packets none are dropped"
printf '%s\n' 'steps: [ {weight: 20, bake: 60s, warmup: 0, min_flows: 20} ]' \
	'gates: [ {name: lost, type: drops, compare: stable, tolerance: 1.2} ]' >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
is_rolled_back 3 lost drops
succeeds ctl backend del web 10.0.0.99:8080
traffic_ends

# Users of either cohort, as CLIENT:PORT in $work/COHORT, by connections that are held.
users() { # NAME PORTS
	hold "$1" -t 10000 -s 198.51.100.101/100 -p "$2" "$vip" 80
	for cohort in stable canary; do
		ctl flows list --cohort "$cohort" --json |
			jq -r --argjson first "${2%-*}" --argjson last "${2#*-}" '.flows[] |
				select(.client_port >= $first and .client_port <= $last) | "\(.client):\(.client_port)"' >"$work/$cohort"
	done
}

say() { # VERDICT COHORT FIRST COUNT: of its users
	local client
	while read -r client; do
		ctl feedback "$client" "$1" >/dev/null || fail "feedback of $client: $?"
	done < <(tail -n "+$3" "$work/$2" | head -n "$4")
}

case_ "users who are as unhappy with either cohort decide nothing"
printf '%s\n' 'steps: [ {weight: 50, bake: 60s, warmup: 0, min_flows: 20} ]' \
	'gates: [ {name: happiness, type: feedback, compare: stable, tolerance: 1.5} ]' >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
wait_for 10 "the weight" is 0 '.pending | length'
users many 40000-40001
for cohort in stable canary; do
	say bad "$cohort" 1 8
	say good "$cohort" 9 8
done
wait_for 5 "all to be counted" is "16 16" '.feedback | [.stable.words, .canary.words] | join(" ")'
sleep 2
eq "$(rollout '[.state, .step] | join(" ")') $(weight_in_force)" "progressing 1 50" "the rollout"

case_ "those of the canary alone have it rolled back"
say good stable 17 40
say bad canary 17 40
is_rolled_back 4 happiness feedback
let_go many
note "feedback: $(ctl rollout history web | grep -o 'fail of happiness.*' | tail -n 1)"

case_ "a bound on the unhappy ones decides as well, once there are enough"
printf '%s\n' 'steps: [ {weight: 50, bake: 60s, warmup: 0, min_flows: 20} ]' \
	'gates: [ {name: unhappy, type: feedback, max: 20} ]' >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
wait_for 10 "the weight" is 0 '.pending | length'
users more 41000-41000
say bad canary 1 10
sleep 2
eq "$(rollout '[.state, .step] | join(" ")')" "progressing 1" "the rollout after 10 words"
say good canary 11 10
is_rolled_back 5 unhappy feedback
eq "$(rollout .last_transition.judgement.reason)" above_max "the reason"
let_go more
