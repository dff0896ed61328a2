#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a rollout does when it may not go on, or cannot know whether it should: freeze windows, on_inconclusive, on_deadline.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps: [ {weight: 5, bake: 3s, warmup: 0, min_flows: 20}, {weight: 20, bake: 60s, warmup: 0, min_flows: 20} ]
max_harm: 50
gates: [ {name: errors, type: failures} ]
freeze: ["10:00 - 10:01"]
YAML
attach -f "$work/canary.yaml"

# What the status says, and the weight that the kernel has.
stands() {
	echo "$(rollout '[.state, .step, .weight] | join(" ")') $(weight_in_force)"
}

carried_out() {
	wait_for 10 "the action to be carried out" is 0 '.pending | length'
}

# A time zone in which it is HH:MM:SS now: freeze windows are in local time, and the test has no minutes to wait for one.
zone_where_it_is() {
	local wanted ahead sign=-
	wanted=$(date -u -d "1970-01-01 $1" +%s)
	ahead=$(((wanted - $(date +%s) % 86400 + 86400 + 43200) % 86400 - 43200))
	# POSIX says what is to be added to local time to get UTC.
	[ "$ahead" -ge 0 ] || sign=+ ahead=$((-ahead))
	printf 'LAB%s%02d:%02d:%02d' "$sign" $((ahead / 3600)) $((ahead / 60 % 60)) $((ahead % 60))
}

it_is() { # HH:MM:SS: for the daemon, which is started anew
	daemon_ends || true
	TZ=$(zone_where_it_is "$1") daemon_starts
}

plan_of() { # LINE...: of a plan whose steps take 2 s
	printf '%s\n' 'steps: [ {weight: 5, bake: 2s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]' \
		'final_bake: 2s' 'max_harm: 50' "$@" >"$work/plan.yaml"
	succeeds ctl rollout start web -f "$work/plan.yaml"
}

TZ=$(zone_where_it_is 12:00:00) daemon_starts

case_ "on_inconclusive: rollback takes back what is undecided when the bake is over"
plan_of 'on_inconclusive: rollback' 'progress_deadline: 1h'
code=0
ctl rollout status --wait --timeout 20 >"$work/output" 2>"$work/complaint" || code=$?
eq "$code $(stands)" "3 rolled_back 1 0 0" "the exit code, and the end"
eq "$(rollout '.last_transition | [.cause, .judgement.verdict, .judgement.reason] | join(" ")')" \
	"undecided inconclusive no_traffic" "why"
eq "$(recorded '[.[] | select(.kind == "transition") | .after]')" '["progressing","rolled_back"]' "the transitions"

case_ "on_deadline: rollback takes it back when the deadline is over, and not when the bake is"
plan_of 'on_inconclusive: hold' 'on_deadline: rollback' 'progress_deadline: 6s'
reaches inconclusive 15
eq "$(stands)" "inconclusive 1 5 5" "when the bake is over"
reaches rolled_back 15
eq "$(stands) $(rollout .last_transition.cause)" "rolled_back 1 0 0 deadline" "when the deadline is over"
at_least "$(recorded '[.[] | select(.kind == "transition" and .release == 2)] |
	[.[0].time, .[-1].time] | map(sub("[.][0-9]+Z$"; "Z") | fromdate) | .[1] - .[0]')" 5 "seconds until then"
contains "$(ctl rollout history)" 'rolled_back .*the deadline is over; no flow went to the canary' "what the history says"

case_ "on_deadline: hold keeps the weight, and says that it is late; the step still passes once it may"
plan_of 'on_inconclusive: hold' 'on_deadline: hold' 'progress_deadline: 4s'
wait_for 15 "the deadline to be over" is true .late
sleep 2
eq "$(stands)" "inconclusive 1 5 5" "when the deadline is over"
contains "$(ctl rollout status)" 'late +the deadline is over, and the plan says to hold' "the status as text"
traffic 400
reaches succeeded 20
eq "$(transitions 3)" "progressing 1, baking 2, succeeded 2" "transitions"
cleared

case_ "a step that has passed waits in a freeze window, which nobody can send it forward in; the deadline stands still"
succeeds ctl rollout start
it_is 10:00:40
wait_for 15 "the step to pass" is freeze .wait
deadline=$(rollout .deadline.elapsed)
refused 1 'freeze window 10:00 - 10:01: no step forward until it is over' ctl rollout promote
refused 1 'freeze window 10:00 - 10:01' ctl rollout promote --full
sleep 3
eq "$(stands)" "progressing 1 5 5" "meanwhile"
at_least "$((deadline + 1))" "$(rollout .deadline.elapsed)" "seconds of the deadline"
contains "$(ctl rollout status)" 'waits +the step has passed; no step forward in a freeze window' "the status as text"

case_ "when the window is over it goes on by itself"
wait_for 20 "the next step" is 2 .step
carried_out
eq "$(stands) $(rollout .wait)" "progressing 2 20 20 nothing" "after the window"

case_ "in a freeze window a canary that fails is rolled back, and nothing is started"
it_is 10:00:05
misbehave canary1 --reset 50/100
misbehave canary2 --reset 50/100
reaches rolled_back 20
eq "$(stands) $(rollout '.last_transition | [.cause, .judgement.gate] | join(" ")')" "rolled_back 2 0 0 gate errors" "the end"
refused 1 'freeze window 10:00 - 10:01: no step forward' ctl rollout start
refused 1 'freeze window 10:00 - 10:01: no step forward' ctl rollout retry
eq "$(stands)" "rolled_back 2 0 0" "afterwards"
behave canary1
behave canary2

case_ "and who asks for a rollback gets it"
it_is 12:00:00
succeeds ctl rollout start
carried_out
it_is 10:00:05
eq "$(stands)" "progressing 1 5 5" "in the window"
succeeds ctl rollout rollback
carried_out
eq "$(stands)" "rolled_back 1 0 0" "afterwards"
traffic_ends
