#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon at any moment of a rollout: started again it goes on where it was. No step is lost or repeated, and
# the weight is always what the history says.
# Runs first: it takes longest.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

kills=${ROLLOUT_KILLS:-200}

two_armed
configure <<'YAML'
steps:
  - {weight: 10, bake: 1s, warmup: 0, min_flows: 10}
  - {weight: 20, bake: 1s, warmup: 0, min_flows: 10}
  - {weight: 30, bake: 1s, warmup: 0, min_flows: 10}
  - {weight: 40, bake: 1s, warmup: 0, min_flows: 10}
  - {weight: 50, bake: 1s, warmup: 0, min_flows: 10}
  - {weight: 100, warmup: 0, min_flows: 10}
final_bake: 1s
holdback: 0
max_harm: 50
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 400

last_weight() { # that the history has
	recorded '[.[] | select(.kind == "transition")] | last | .weight'
}

# One question, so that nothing happens between two. Nothing is being carried out: then weights must agree.
agree() {
	local status wanted
	status=$(ctl rollout status web --json) || return 1
	[ "$(jq '.pending | length' <<<"$status")" = 0 ] || return 1
	wanted=$(last_weight)
	[ "$(jq .weight <<<"$status") $(weight_in_force)" = "$wanted $wanted" ]
}

# A rollout that has ended makes room for the next one.
goes_on() {
	case $(rollout .state) in
	idle | rolled_back) ctl rollout start >/dev/null ;;
	succeeded) ctl rollout rollback >/dev/null ;;
	esac
}

case_ "$kills kills at random moments: after each the weight is what the history says"
goes_on
for ((i = 0; i < kills; i++)); do
	[ $((i % 4)) -ne 0 ] || goes_on
	sleep "$(printf '0.%03d' $((RANDOM % 700)))"
	daemon_ends KILL || true
	daemon_starts
	wait_for 10 "the weight to be the history's (kill $i)" agree
done
agree || fail "at the end: $(rollout '[.state, .step, .weight, .pending] | tojson'), $(last_weight), $(weight_in_force)"
note "$kills kills in $(recorded '[.[] | select(.kind == "transition") | .release] | unique | length') rollouts of $(recorded '[.[] | select(.kind == "transition")] | length') transitions"

case_ "no transition is lost or comes twice"
eq "$(recorded '[.[] | select(.kind == "transition") | .number] | . == [range(1; length + 1)]')" true "transitions are numbered without a gap"

case_ "no step is left out or repeated"
# Of a release, the steps that it entered: 1, 2, 3, … as far as it got. One that was undecided for a while is not entered anew.
# shellcheck disable=SC2016  # $entry is for jq
eq "$(recorded '[.[] | select(.kind == "transition")] | group_by(.release) | map(
	reduce (.[] | select(.after == "progressing" or .after == "baking")) as $entry ([];
		if $entry.before == "inconclusive" and $entry.step == last then . else . + [$entry.step] end) |
	select(. != [range(1; length + 1)]))')" '[]' "releases whose steps are not 1, 2, 3, …"
at_least "$(recorded '[.[] | select(.after == "succeeded")] | length')" 1 "rollouts that succeeded under all of that"

case_ "the time that passes while the daemon is dead counts"
cleared
succeeds ctl rollout start
wait_for 10 "the first weight" is 0 '.pending | length'
daemon_ends KILL || true
sleep 2
daemon_starts
wait_for 5 "the second step" is 2 .step

traffic_ends
case_ "and no connection failed"
eq "$(tail -n 1 "$work/traffic.out" | jq -c '[.attempted - .replied]')" '[0]' "connections without an answer"
