#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The breaker and the lease that a plan names are in force while its rollout is under way, and what was before comes back,
# however it ends.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps: [ {weight: 5, bake: 60s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 60s
max_harm: 50
breaker: {enabled: true, ratio: 20}
lease: {duration: 20s, on_expiry: hold}
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 400

guards() { # as they are in force: "STATE RATIO LEASE ON_EXPIRY"
	ctl status --json | jq -r '.services[0] | [.breaker.state, .breaker.ratio, (.lease // {} | .duration, .on_expiry)] | map(. // "none") | join(" ")'
}
planned='closed 20 20 hold' own='off 10 none none'

# What the file says of the service holds; at weight 0 there is no lease to be seen, but what its length would be.
restored() {
	wait_for 10 "the rollback" is 0 '.pending | length'
	eq "$(guards)" "$own" "the guards in force"
	eq "$(ctl apply -f "$work/canary.yaml" --dry-run --json | jq -c .operations)" '[]' "what apply would change"
}

case_ "the plan's guards are in force with the first step's weight"
eq "$(guards)" "$own" "the guards before"
succeeds ctl rollout start
wait_for 10 "the weight" becomes 5 weight_in_force
eq "$(guards)" "$planned" "the guards in force"
eq "$(rollout '.plan | [.breaker.ratio, .breaker.enabled, .lease.duration, .lease.on_expiry] | join(" ")')" "20 true 20s hold" \
	"the plan, in the status"

case_ "the file does not change what the plan has set, and changes the rest"
sed 's/breaker: {enabled: false}/breaker: {enabled: false, arl: 5000}/' "$work/canary.yaml" >"$work/arl.yaml"
contains "$(ctl apply -f "$work/arl.yaml")" 'note: the breaker and the lease of web stay as its rollout' "what apply says"
eq "$(guards) $(ctl status --json | jq '.services[0].breaker.arl')" "$planned 5000" "the guards in force"
succeeds ctl apply -f "$work/canary.yaml"

case_ "they stay in the next step, under a weight set by force, and with another daemon"
succeeds ctl rollout promote
wait_for 10 "the weight" becomes 99 weight_in_force
eq "$(guards)" "$planned" "the guards in the next step"
succeeds ctl set-weight 30 --force
wait_for 10 "the pause" is paused .state
eq "$(guards)" "$planned" "the guards under a weight set by force"
contains "$(ctl apply -f "$work/canary.yaml")" 'stay as its rollout' "what apply says then"
daemon_ends KILL || true
daemon_starts
succeeds ctl rollout resume
wait_for 10 "the weight" becomes 99 weight_in_force
eq "$(guards)" "$planned" "the guards with another daemon"

case_ "a rollback brings back what was before"
succeeds ctl rollout rollback
restored

case_ "a retry has the plan's again, and a rollback without a daemon is put right by the one that comes back"
succeeds ctl rollout retry
wait_for 10 "the weight" becomes 5 weight_in_force
eq "$(guards)" "$planned" "the guards in force"
daemon_ends KILL || true
ctl rollout rollback >"$work/output" 2>&1 || fail "rollback failed: $(cat "$work/output")"
daemon_starts
wait_for 10 "the daemon to know" is rolled_back .state
restored

case_ "what was changed after a rollback without a daemon stays, and the rest comes back"
succeeds ctl rollout start
wait_for 10 "the weight" becomes 5 weight_in_force
wait_for 5 "nothing to be pending" is 0 '.pending | length'
daemon_ends KILL || true
succeeds ctl rollout rollback web
sed 's/breaker: {enabled: false}/breaker: {enabled: false, ratio: 12}/' "$work/canary.yaml" >"$work/since.yaml"
succeeds ctl apply -f "$work/since.yaml"
daemon_starts
wait_for 10 "the daemon to know" is rolled_back .state
wait_for 10 "the rollback" is 0 '.pending | length'
eq "$(guards)" "off 12 none none" "the guards in force"
eq "$(ctl apply -f "$work/since.yaml" --dry-run --json | jq -c .operations)" '[]' "what apply would change"
succeeds ctl apply -f "$work/canary.yaml"

case_ "what was changed right before a start is what comes back"
sed 's/breaker: {enabled: false}/breaker: {enabled: false, ratio: 15}/' "$work/canary.yaml" >"$work/ratio.yaml"
succeeds ctl apply -f "$work/ratio.yaml"
succeeds ctl rollout start
wait_for 10 "the weight" becomes 5 weight_in_force
eq "$(guards)" "$planned" "the guards in force"
cleared
eq "$(guards)" "off 15 none none" "the guards afterwards"
succeeds ctl apply -f "$work/canary.yaml"

case_ "a plan's own file may have them, one alone; a finished release has what was before, and undo does not touch it"
cat >"$work/plan.yaml" <<'YAML'
steps: [ {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 2s
max_harm: 50
lease: {duration: 10s}
YAML
succeeds ctl rollout start web -f "$work/plan.yaml"
wait_for 10 "the weight" becomes 99 weight_in_force
eq "$(guards)" "off 10 10 stable" "the guards in force"
reaches succeeded 30
eq "$(guards)" "off 10 10 stable" "the guards in force until it is finished"
succeeds ctl rollout finish
wait_for 10 "the end" is 0 '.pending | length'
eq "$(guards)" "$own" "the guards when it is finished"
succeeds ctl rollout undo
wait_for 10 "the end" is 0 '.pending | length'
restored

case_ "what is no breaker is refused in a plan as in a service"
sed 's/^lease:.*/breaker: {ratio: 1}/' "$work/plan.yaml" >"$work/wrong.yaml"
refused 1 "wrong.yaml:4: breaker.ratio: '1' is not a ratio: give 1.1 to 600" ctl rollout start web -f "$work/wrong.yaml"
refused 1 "wrong.yaml:4: breaker.ratio: '1' is not a ratio" ctl rollout validate -f "$work/wrong.yaml"
traffic_ends
