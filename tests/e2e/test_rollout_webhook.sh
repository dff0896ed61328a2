#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A gate that asks a webhook: the rollout goes on where it says pass, is rolled back where it says fail, and waits where it
# says neither, says rubbish, or nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps: [ {weight: 5, bake: 3s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 3s
max_harm: 50
gates: [ {name: review, type: webhook, url: "http://127.0.0.1:8000/canary?team=web"} ]
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 400

says() { # "STATUS BODY": the webhook, from now on. At once: what is half written, nobody reads
	printf '%s' "$1" >"$work/hook.new"
	mv "$work/hook.new" "$work/hook"
}

more_requests_than() {
	[ "$(wc -l <"$work/hook.requests")" -gt "$1" ]
}

now_ms() {
	local now=${EPOCHREALTIME/./}
	echo "${now%???}"
}

gate() { # KEY of the gate's status
	rollout ".gates[0].$1"
}

gate_says() { # PATTERN
	gate text 2>/dev/null | grep -Eq -- "$1"
}

# The rollout waits in its first step, and the gate says why. PATTERN
waits() {
	wait_for 12 "the gate to say '$1' (it says: $(gate text))" gate_says "$1"
	eq "$(gate verdict) $(gate reason)" "inconclusive metric_unavailable" "the gate's verdict at '$1'"
	reaches inconclusive 10
	eq "$(rollout '[.step, .judgement.reason, .judgement.gate] | join(" ")') $(weight_in_force)" \
		"1 metric_unavailable review 5" "the rollout at '$1', and the weight in force"
}

says '200 {"verdict": "pass", "reason": "all is well"}'
start_ready hook balancer python3 -u tests/lib/answers.py 8000 "$work/hook"
hook_pid=$started_pid

case_ "pass: the rollout goes to its end"
succeeds ctl rollout start
reaches succeeded 40
eq "$(recorded '[.[] | select(.kind == "verdict" and .gate == "review")] | last | .text')" '"all is well"' "what it said last"
eq "$(transitions 1)" "progressing 1, baking 2, succeeded 2" "transitions"
contains "$(recorded '[.[] | select(.kind == "verdict" and .gate == "review")] | last')" '"verdict":"pass".*all is well' "the history"

case_ "what it is asked is as documented"
eq "$(jq -sc '[.[] | [.method, .path, .host, .type]] | unique' "$work/hook.requests")" \
	'[["POST","/canary?team=web","127.0.0.1:8000","application/json"]]' "the requests"
eq "$(jq -sc '[.[] | .body | fromjson] | unique' "$work/hook.requests")" \
	'[{"service":"web","gate":"review","release":1,"step":1,"weight":5},{"service":"web","gate":"review","release":1,"step":2,"weight":100}]' \
	"the bodies"
cleared

case_ "inconclusive, a word that is none, an error and too much: the rollout waits, and says why"
says '200 {"verdict": "inconclusive", "reason": "still counting"}'
succeeds ctl rollout start
waits '^still counting$'
says '200 {"verdict": "perhaps"}'
waits '^the webhook.s verdict is none of pass, fail, inconclusive$'
says '503 <html>overloaded</html>'
waits '^the webhook answered with status 503$'
says "200 $(head -c 100000 /dev/zero | tr '\0' x)"
waits 'the answer is longer than 65536 bytes$'

case_ "no answer: it waits, and the daemon does not wait with it"
says silent
asked=$(wc -l <"$work/hook.requests")
wait_for 5 "the webhook to be asked" more_requests_than "$asked"
begun=$(now_ms)
rollout .state >"$work/output"
at_least 1000 $(($(now_ms) - begun)) "ms that the status took"
waits 'timed out|[Tt]imeout'
stop "$hook_pid" || true
waits 'refused|connect'

case_ "with an answer it goes on"
says '204'
start_ready hook balancer python3 -u tests/lib/answers.py 8000 "$work/hook"
wait_for 10 "the second step" is 2 .step
wait_for 5 "an answer in the second step" becomes pass gate verdict

case_ "fail: it is rolled back, with what the webhook said as the reason"
says '200 {"verdict": "fail", "reason": "users complain\u001b[31m"}'
reaches rolled_back 10
eq "$(rollout '.last_transition | [.cause, .judgement.gate] | join(" ")') $(weight_in_force)" "gate review 0" \
	"why, and the weight in force"
eq "$(recorded '[.[] | select(.kind == "verdict" and .gate == "review")] | last | [.verdict, .reason, .text]')" \
	'["fail","said_no","users complain?[31m"]' "the history"
contains "$(ctl rollout history web)" 'fail of review, step 2: users complain' "the history as text"

case_ "409 without a verdict as well"
says '409 not so'
succeeds ctl rollout start
reaches rolled_back 10
eq "$(rollout '[.step, .last_transition.judgement.gate] | join(" ")') $(weight_in_force)" "1 review 0" "where and why"

traffic_ends
