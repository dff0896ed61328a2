#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What people ask of a rollout, and what happens around it: approvals, pauses, promotions, rollbacks with and without a
# daemon, weights set by force, blocks, feedback, configurations that are read again, a second daemon.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps:
  - {weight: 5, bake: 2s, warmup: 0, min_flows: 20, approval: required}
  - {weight: 20, bake: 60s, warmup: 0, min_flows: 20}
  - {weight: 100, warmup: 0, min_flows: 20}
final_bake: 60s
progress_deadline: 1h
max_harm: 50
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 400

# The step and the weight of the rollout, and the weight that the kernel has.
stands() {
	echo "$(rollout '[.state, .step, .weight] | join(" ")') $(weight_in_force)"
}

carried_out() {
	wait_for 10 "the action to be carried out" is 0 '.pending | length'
}

case_ "a step that takes an approval waits for it, for as long as that takes"
succeeds ctl rollout start
wait_for 30 "the step to pass" is approval .wait
sleep 2
eq "$(stands)" "progressing 1 5 5" "while it waits"
contains "$(ctl rollout status)" 'waits +the step has passed; the next takes an approval' "the status as text"
succeeds ctl rollout promote
carried_out
eq "$(stands)" "progressing 2 20 20" "after the approval"

case_ "pause keeps the weight and stops the clock; resume goes on"
succeeds ctl rollout pause
elapsed=$(rollout .elapsed)
sleep 2.5
eq "$(stands) $(rollout .elapsed)" "paused 2 20 20 $elapsed" "while it is paused"
refused 1 "is paused, so 'pause' means nothing" ctl rollout pause
succeeds ctl rollout resume
wait_for 10 "the clock to go on" is true ".elapsed > $elapsed"
eq "$(stands)" "progressing 2 20 20" "after the pause"

case_ "the file does not change a weight that belongs to a rollout, nor does set-weight without --force"
sed 's/^    rollout:/    weight: 70\n&/' "$work/canary.yaml" >"$work/weight.yaml"
contains "$(ctl apply -f "$work/weight.yaml")" 'note: the weight of web stays' "what apply says"
refused 1 'belongs to its rollout.*rollback.*--force' ctl set-weight 30
eq "$(stands)" "progressing 2 20 20" "afterwards"
eq "$(ctl status --json | jq -c '.services[0].rollout')" true "whether status says that it is a rollout's"

case_ "a weight set by force pauses the rollout; resume sets the step's again"
succeeds ctl set-weight 30 --force
wait_for 10 "the pause" is paused .state
eq "$(rollout '.last_transition.cause') $(weight_in_force)" "override 30" "the cause, and the weight in force"
eq "$(rollout '.last_transition | [.event, .forced_weight] | join(" ")')" "manual_weight 30" "the event, and the weight"
contains "$(ctl rollout history)" 'paused +from progressing.*: the weight was set to 30% by hand' "the history"
succeeds ctl rollout resume
carried_out
eq "$(stands)" "progressing 2 20 20" "afterwards"

case_ "another affinity in the file is refused during a rollout; by force it pauses the rollout"
sed 's/^    rollout:/    affinity: client\n&/' "$work/canary.yaml" >"$work/affinity.yaml"
affinity_in_force() {
	ctl status --json | jq -r '.services[0].affinity'
}
refused 1 'would change the affinity of web during its rollout.*rollback.*--force' ctl apply -f "$work/affinity.yaml"
refused 1 'would change the affinity of web' ctl apply -f "$work/affinity.yaml" --dry-run
eq "$(affinity_in_force) $(stands)" "flow progressing 2 20 20" "afterwards"
contains "$(ctl apply -f "$work/affinity.yaml" --force)" 'note: the affinity of web changes during its rollout, which is paused' \
	"what apply says"
wait_for 10 "the pause" is paused .state
eq "$(rollout .last_transition.cause) $(affinity_in_force) $(weight_in_force)" "override client 20" \
	"the cause, and what is in force"
succeeds ctl rollout resume
carried_out
eq "$(stands)" "progressing 2 20 20" "after resume"
eq "$(rollout '.elapsed < 5')" true "whether the step began anew"
succeeds ctl apply -f "$work/canary.yaml" --force
wait_for 10 "the pause" is paused .state
succeeds ctl rollout resume
carried_out
eq "$(affinity_in_force) $(stands)" "flow progressing 2 20 20" "with the affinity of before"

case_ "a service is not deleted during its rollout, by a command or by a file without it"
gone='would delete web, whose weight belongs to its rollout.*rollback.*--force'
refused 1 "$gone" ctl service del web
sed 's/name: web/name: other/' "$work/canary.yaml" >"$work/without.yaml"
refused 1 "$gone" ctl apply -f "$work/without.yaml"
refused 1 "$gone" ctl apply -f "$work/without.yaml" --dry-run
sed "s/$vip/203.0.113.99/" "$work/canary.yaml" >"$work/address.yaml"
refused 1 "$gone" ctl apply -f "$work/address.yaml"
eq "$(stands)" "progressing 2 20 20" "afterwards"

case_ "promote takes the next step now, and --full the last"
succeeds ctl rollout promote
carried_out
eq "$(rollout '[.state, .step, .weight, .effective_weight, .holdback] | join(" ")') $(weight_in_force)" "baking 3 100 99 1 99" \
	"at the last step, with a holdback"
eq "$(ctl status --json | jq -c '.services[0] | [.weight, .effective_weight]')" "[100,99]" "what canaryctl status says"
contains "$(ctl status)" 'weight 100% \(holdback: 99% in force\)' "the same as text"
cleared
succeeds ctl rollout start
carried_out
succeeds ctl rollout promote --full
carried_out
eq "$(stands)" "baking 3 100 99" "after promote --full"
eq "$(recorded '[.[] | select(.kind == "transition") | .event] | .[-4:]')" '["promote","rollback","start","promote_full"]' \
	"what was asked for"
contains "$(ctl rollout history)" 'baking +from progressing, step 3, weight 100%: rollout promote --full' "the history"
contains "$(ctl rollout status)" 'since .* baking: rollout promote --full' "the status"
contains "$(ctl rollout explain)" 'from progressing to baking at step 3 of 3: promote --full' "the explanation"

case_ "rollback is possible in every state, and --reset ends the canary's connections"
hold held -t 10000 -s 198.51.100.201/20 -p 40000-40001 "$vip" 80
succeeds ctl rollout rollback --reset
carried_out
eq "$(stands)" "rolled_back 3 0 0" "afterwards"
succeeds ctl rollout rollback
eq "$(rollout .state)" rolled_back "once more"
sleep 2.5 # a byte goes over each connection every second: the next one ends it
let_go held
eq "$(on_cohort canary held) $(broken_on stable held)" "0 0" "the canary's connections that are left, and stable's that ended"
at_least "$(broken_on canary held)" 30 "the canary's connections that ended"

case_ "a blocked service is not started, and says why"
succeeds ctl rollout block --reason 'the database moves'
refused 1 'rollouts are blocked \(the database moves\): unblock first' ctl rollout start
contains "$(ctl rollout status)" 'blocked +the database moves' "the status"
refused 2 'needs --reason' ctl rollout block
succeeds ctl rollout unblock
succeeds ctl rollout retry
carried_out
eq "$(stands)" "progressing 1 5 5" "after unblock and retry"

case_ "a rollout can be started by another configuration's plan, and a plan may stand below its key"
cleared
sed 's/weight: 20,/weight: 30,/' "$work/canary.yaml" >"$work/other.yaml"
eq "$(ctl rollout start -f "$work/other.yaml" --json | jq -c '[.plan.steps[].weight | tonumber]')" '[5,30,100]' "the configuration's"
cleared
sed -n 's/^    //; /^rollout:/,$p' "$work/other.yaml" | sed 's/weight: 30,/weight: 35,/' >"$work/plan.yaml"
eq "$(ctl rollout start web -f "$work/plan.yaml" --json | jq -c '[.plan.steps[].weight | tonumber]')" '[5,35,100]' "the plan's"
refused 1 'cannot be opened' ctl rollout start web -f "$work/nowhere.yaml"
cleared
succeeds ctl rollout start
carried_out

case_ "feedback counts for the cohort that the client is in"
succeeds ctl rollout promote
carried_out
hold users -t 10000 -s 198.51.100.221/20 -p 41000-41001 "$vip" 80
for cohort in stable canary; do
	client=$(ctl flows list --cohort "$cohort" --json | jq -r '[.flows[] | select(.client_port == 41000 or .client_port == 41001)][0] |
		"\(.client):\(.client_port)"')
	eq "$(ctl feedback "$client" bad --note 'nothing I like' --json | jq -r .cohort)" "$cohort" "the cohort of $client"
done
eq "$(recorded '[.[] | select(.kind == "feedback") | [.cohort, .verdict, .note]]')" \
	'[["stable","bad","nothing I like"],["canary","bad","nothing I like"]]' "what was recorded"
refused 2 'good or bad' ctl feedback 198.51.100.1 fine

case_ "without a port feedback counts where all of the client's connections agree, and else for neither, which is shown"
said() { # CLIENT: "COHORT COUNTED WHY"
	ctl feedback "$1" bad --json | jq -r '[.cohort // "none", .counted, .text // ""] | join(" ")'
}
ctl flows list --json | jq -c '[.flows[] | select(.client_port == 41000 or .client_port == 41001)] | group_by(.client) |
	map({client: .[0].client, flows: length, cohorts: ([.[].cohort] | unique)}) | .[] | select(.flows == 2)' >"$work/clients"
agreeing=$(jq -rs '[.[] | select(.cohorts == ["stable"])][0].client' "$work/clients")
torn=$(jq -rs '[.[] | select(.cohorts | length == 2)][0].client' "$work/clients")
eq "$(said "$agreeing")" "stable true " "of $agreeing, whose connections are all in one cohort"
eq "$(said "$torn")" "none false its connections are in both cohorts: give the port of one" "of $torn"
contains "$(said 198.51.100.250)" '^none false no connection of it is remembered' "of one who has none"
contains "$(ctl feedback 198.51.100.250 good)" 'noted, but counted for neither cohort: no connection of it' "the same as text"
eq "$(rollout '.feedback | [.canary.words, .stable.words, .unattributed] | join(" ")')" "1 2 3" "what the status has"
contains "$(ctl rollout status)" "feedback +1 of the canary's users, 1 unhappy; 2 of stable's.*; 3 of users whose cohort is not known" \
	"the same as text"
contains "$(ctl rollout history)" "bad from $torn \(cohort not known\)" "the history"
let_go users

case_ "a segment tells, and what it tells is not compared; so does a weight of 0"
{
	cat "$work/canary.yaml"
	echo '    segments: [ {clients: 198.51.100.250/32, cohort: canary} ]'
} >"$work/segment.yaml"
succeeds ctl apply -f "$work/segment.yaml"
wait_for 5 "the daemon to see the segment" becomes "canary false a segment or an overflow has placed it there, not the weight" \
	said 198.51.100.250
unattributed=$(rollout .feedback.unattributed)
succeeds ctl apply -f "$work/canary.yaml"
daemon_ends KILL || true
daemon_starts
wait_for 5 "what is known of it after a restart" is "$unattributed" .feedback.unattributed
cleared
eq "$(said 198.51.100.250)" "stable false no rollout is under way" "at a weight of 0"
succeeds ctl rollout retry
carried_out
succeeds ctl rollout promote
carried_out

case_ "without a daemon, rollback sets the weight itself, and the daemon that comes back knows"
daemon_ends KILL || true
refused 1 'canaryd is not running' ctl rollout pause
refused 1 'belongs to its rollout' ctl set-weight 30
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
contains "$(cat "$work/complaint")" 'warning: done without canaryd: canaryd is not running' "the warning"
eq "$(weight_in_force)" 0 "the weight in force"
daemon_starts
wait_for 10 "the daemon to know" is rolled_back .state
sleep 2
eq "$(stands)" "rolled_back 2 0 0" "the rollout, with the daemon back"
contains "$(ctl rollout status)" 'rolled back: the weight was set to 0% by hand' "why"

case_ "a daemon that hangs does not keep a rollback waiting"
succeeds ctl rollout start
carried_out
kill -STOP "$daemon_pid"
begun=$SECONDS
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
at_least 10 "$((SECONDS - begun))" "seconds that it may take, and took"
contains "$(cat "$work/complaint")" 'done without canaryd: canaryd .* has not answered within 5 s' "the warning"
eq "$(weight_in_force)" 0 "the weight in force"
kill -CONT "$daemon_pid"
wait_for 10 "the daemon to know" is rolled_back .state
eq "$(weight_in_force)" 0 "the weight in force, later"

case_ "status --wait outlives the daemon, and tells how the rollout ended"
cat >"$work/quick.yaml" <<'YAML'
steps: [ {weight: 5, bake: 2s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 2s
max_harm: 50
YAML
succeeds ctl rollout start web -f "$work/quick.yaml"
start waiting balancer timeout 60 "$canaryctl" rollout status web --wait --timeout 50 --json
waiting=$started_pid code=0
sleep 0.5
daemon_ends KILL || true
sleep 1
daemon_starts
wait "$waiting" || code=$?
eq "$code $(jq -r .state "$work/waiting.out")" "0 succeeded" "the exit code, and the state"
cleared

case_ "a second daemon cannot act"
code=0
on balancer timeout 10 "$canaryd" -f "$work/canary.yaml" --state-dir "$work/state" --socket "$work/other.sock" \
	>"$work/output" 2>&1 || code=$?
eq "$code" 1 "the exit code"
contains "$(cat "$work/output")" "another canaryd has it, process $daemon_pid" "what it says"
code=0
on balancer timeout 10 "$canaryd" -f "$work/canary.yaml" --state-dir "$work/other" --socket "$work/other.sock" \
	>"$work/output" 2>&1 || code=$?
eq "$code" 1 "the exit code of one with a history of its own"
contains "$(cat "$work/output")" "$CANARYCTL_BPFFS: another canaryd has it, process $daemon_pid" "what that says"

case_ "a configuration with a mistake is not taken, and --check finds it"
cp "$work/canary.yaml" "$work/good.yaml"
sed -i 's/weight: 20,/weight: 2,/' "$work/canary.yaml"
refused 1 'steps\[1\].weight' on balancer "$canaryd" -f "$work/canary.yaml" --check
kill -HUP "$daemon_pid"
sleep 1.5
eq "$(ctl rollout start --json | jq -c '[.plan.steps[].weight | tonumber]')" '[5,20,100]' "the plan in force"
cleared
cp "$work/good.yaml" "$work/canary.yaml"
sed -i 's/weight: 20,/weight: 40,/' "$work/canary.yaml"
succeeds on balancer "$canaryd" -f "$work/canary.yaml" --check
kill -HUP "$daemon_pid"
sleep 1.5
eq "$(ctl rollout start --json | jq -c '[.plan.steps[].weight | tonumber]')" '[5,40,100]' "the plan, once the file is right"

case_ "SIGTERM ends the daemon, and the weight stays"
carried_out
daemon_ends || fail "the daemon's exit code: $?"
eq "$(weight_in_force)" 5 "the weight in force"
[ ! -e "$CANARYD_SOCKET" ] || fail "its socket is left"

case_ "by force a service is deleted during its rollout"
refused 1 "$gone" ctl service del web
contains "$(ctl service del web --force)" 'web: deleted' "what it says"
eq "$(ctl status --json | jq '.services | length')" 0 "the services that are left"
