#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What others do and say in a rollout: hooks, gates that are commands and metrics of a Prometheus; and the lease, which the
# daemon renews as long as it lives.
# Runs first: it takes long.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
steps='steps: [ {weight: 5, bake: 3s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 3s
max_harm: 50'

cat >"$work/hook" <<'SH'
#!/bin/sh
echo "$CANARY_HOOK $CANARY_SERVICE $CANARY_RELEASE $CANARY_STEP $CANARY_WEIGHT" >>"$(dirname "$0")/hooks"
SH
printf '#!/bin/sh\necho "the load test is still running"\nexit 1\n' >"$work/no"
chmod +x "$work/hook" "$work/no"

configure <<YAML
$steps
gates: [ {type: failures} ]
hooks: {before_step: $work/hook, after_step: $work/hook, promote: $work/hook, rollback: $work/hook}
YAML
sed -i 's/^    rollout:/    lease: {duration: 3s}\n&/' "$work/canary.yaml"
attach -f "$work/canary.yaml"
daemon_starts
traffic 800

case_ "hooks run before and after each step, and at the end, in order"
succeeds ctl rollout start
reaches succeeded 40
wait_for 5 "the last hook" is 0 '.pending | length'
eq "$(cat "$work/hooks")" "before_step web 1 1 5.00
after_step web 1 1 5.00
before_step web 1 2 100.00
after_step web 1 2 100.00
promote web 1 2 100.00" "what hooks were told"

case_ "a rollback has its hook, after the weight"
succeeds ctl rollout rollback
eq "$(weight_in_force)" 0 "the weight in force"
wait_for 5 "the hook" grep -q rollback "$work/hooks"
eq "$(tail -n 1 "$work/hooks")" "rollback web 1 2 100.00" "what it was told"

case_ "the lease is renewed while the daemon lives, and runs out when it does not; then the weight is set again"
succeeds ctl rollout start
sleep 2
succeeds ctl rollout pause
sleep 5
eq "$(weight_in_force)" 5 "the weight in force, after twice the lease"
daemon_ends KILL || true
wait_for 8 "the lease to run out" becomes 0 weight_in_force
daemon_starts
wait_for 5 "the weight to be set again" becomes 5 weight_in_force
eq "$(rollout .state)" paused "the state"
cleared

case_ "the time in which a hanging daemon's lease was over is not baked"
echo 'steps: [ {weight: 5, bake: 30s, warmup: 0, min_flows: 20}, {weight: 100} ]' >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
wait_for 15 "some of the bake to be over" is true '.elapsed >= 5'
kill -STOP "$daemon_pid"
wait_for 8 "the lease to run out" becomes 0 weight_in_force
sleep 3
kill -CONT "$daemon_pid"
wait_for 5 "the weight to be set again" becomes 5 weight_in_force
eq "$(rollout '.elapsed < 5')" true "whether the bake began anew (it is at $(rollout .elapsed) s)"
cleared

case_ "a hook that fails keeps its step from coming"
{
	echo "$steps"
	echo 'gates: [ {type: failures} ]'
	echo "hooks: {before_step: $work/no}"
} >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
reaches paused 10
eq "$(weight_in_force)" 0 "the weight in force"
contains "$(rollout .error)" 'hook before_step ended with code 1: the load test is still running' "what the status says"
cleared

case_ "a command that says no rolls back; one that cannot be run holds"
{
	echo "$steps"
	echo "gates: [ {name: load, type: command, command: $work/no} ]"
} >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
reaches rolled_back 10
eq "$(rollout '.last_transition | [.cause, .judgement.gate] | join(" ")')" "gate load" "why"
eq "$(rollout '.last_transition.judgement | [.reason, .text] | join(": ")')" "said_no: the load test is still running" "what it said"
eq "$(recorded '[.[] | select(.kind == "verdict" and .gate == "load") | [.verdict, .text]] | last')" \
	'["fail","the load test is still running"]' "what was recorded of it"
eq "$(ctl rollout explain web --json | jq -c '.gates[] | [.name, .failed, (.answers | last | .step, .verdict, .reason, .text)]')" \
	'["load",true,1,"fail","said_no","the load test is still running"]' "what explain has of it"
explained=$(ctl rollout explain web)
contains "$explained" 'gate load \(command\): failed' "the gate, as text"
contains "$explained" 'step 1 +fail +the load test is still running' "what it said, as text"
sed -i "s#$work/no#/nowhere/no#" "$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
reaches inconclusive 15
eq "$(rollout '[.judgement.reason, .judgement.gate] | join(" ")')" "metric_unavailable load" "why"
cleared

case_ "what a webhook answered is told, also what it said before it changed its mind"
cat >"$work/judge" <<'PY'
# Passes three times, then fails, each time with a reason.
asked = 0
def answer(path):
    global asked
    asked += 1
    no = asked > 3
    return {"verdict": "fail" if no else "pass", "reason": "users complain" if no else "nobody complains"}
PY
start_ready judge balancer python3 -u tests/lib/json_server.py 9091 "$work/judge"
cat >"$work/support.yaml" <<'YAML'
steps: [ {weight: 5, bake: 20s, warmup: 0, min_flows: 20}, {weight: 100} ]
gates: [ {name: support, type: webhook, url: "http://127.0.0.1:9091/judge"} ]
YAML
succeeds ctl rollout start web -f "$work/support.yaml"
reaches rolled_back 40
eq "$(ctl rollout explain web --json | jq -c '.gates[] | [.name, .failed, [.answers[] | [.verdict, .text]]]')" \
	'["support",true,[["pass","nobody complains"],["fail","users complain"]]]' "what explain has of it"
contains "$(ctl rollout explain web)" 'fail +users complain' "the same as text"
contains "$(ctl rollout history web)" 'verdict +pass of support, step 1: nobody complains' "the history"
contains "$(ctl rollout status web)" 'gate support: users complain' "why, in the status"
cleared

case_ "a gate that only reports decides nothing"
sed -i "s#/nowhere/no#$work/no, mode: report#" "$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
reaches succeeded 40
eq "$(recorded '[.[] | select(.kind == "verdict" and .gate == "load") | .verdict] | last')" '"fail"' "what was recorded of it"
cleared

case_ "a metric decides, and compares the cohorts"
cat >"$work/metrics" <<'PY'
# A Prometheus of two cohorts, as far as an instant query goes.
import urllib.parse
def answer(path):
    query = urllib.parse.parse_qs(urllib.parse.urlparse(path).query)["query"][0]
    value = "9" if "canary" in query else "10"
    return {"status": "success", "data": {"resultType": "scalar", "result": [1, value]}}
PY
start_ready metrics balancer python3 -u tests/lib/json_server.py 9090 "$work/metrics"
{
	echo "$steps"
	# shellcheck disable=SC2016  # canaryd expands it
	echo 'gates: [ {name: errors, type: prometheus, url: "http://127.0.0.1:9090", query: "sum(errors{cohort=\"$cohort\"})", compare: stable} ]'
} >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
reaches succeeded 40
cleared
{
	echo "$steps"
	echo 'gates: [ {name: errors, type: prometheus, url: "http://127.0.0.1:9090", query: "canary", max: 8.5} ]'
} >"$work/plan.yaml"
succeeds ctl rollout start web -f "$work/plan.yaml"
reaches rolled_back 10
eq "$(rollout '.last_transition.judgement | [.gate, .reason] | join(" ")')" "errors above_max" "why"
contains "$(ctl rollout history web)" 'fail of errors, step 1: [^()]*\(9\) *$' "what the history says, once"
traffic_ends
