#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that starts anew takes nothing it does not know yet for a verdict; and what a release has left behind: `undo` and the
# next release's file.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
# Gates that know nothing at first: one that asks others, slowly, and one of what was counted since the warm-up.
printf '#!/bin/sh\nsleep 1.5\n' >"$work/slow-yes"
chmod +x "$work/slow-yes"
configure <<YAML
steps: [ {weight: 50, bake: 5s, warmup: 1s, min_flows: 5, approval: required}, {weight: 100, warmup: 0, min_flows: 5} ]
final_bake: 2s
max_harm: 50
on_inconclusive: rollback
gates:
  - {name: asked, type: command, command: $work/slow-yes}
  - {name: lost, type: drops, max: 1}
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 400

for signal in TERM KILL; do
	case_ "a step that has passed stays so when the daemon is ended by $signal and started again, also with on_inconclusive: rollback"
	succeeds ctl rollout start web
	wait_for 20 "the step to wait for its approval" is approval .wait
	traffic_ends
	daemon_ends "$signal" || true
	daemon_starts
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(rollout .state)" = progressing ] || break
		sleep 0.3
	done
	eq "$(rollout '[.state, .step, .wait] | join(" ")')" "progressing 1 approval" "where it is"
	wait_for 10 "the gates to say so again" is "pass pass" '[.gates[].verdict] | join(" ")'
	traffic 400
	cleared
done

case_ "undo is refused where what was stable before is the canary of a later release"
sed -i 's/, approval: required//; s/bake: 5s/bake: 2s/' "$work/canary.yaml"
kill -HUP "$daemon_pid"
sleep 1
succeeds ctl rollout start web
reaches succeeded 40
succeeds ctl rollout finish web
wait_for 10 "it to be carried out" is 0 '.pending | length'
# The next release: the new version is stable, and the old one's hosts have the next, at first with no release of its own.
sed 's/^    stable:/    X:/; s/^    canary:/    stable:/; s/^    X:/    canary:/' "$work/canary.yaml" >"$work/next.yaml"
sed '/^    canary:/d' "$work/next.yaml" >"$work/without.yaml"
succeeds ctl apply -f "$work/next.yaml" # what drains may be the next release's canary
succeeds ctl apply -f "$work/without.yaml"
succeeds ctl apply -f "$work/next.yaml"
succeeds ctl rollout undo web
sleep 2
eq "$(ctl backend list web --json | jq -r '[.backends[] | select(.cohort == "stable") | .address] | sort | join(" ")')" "10.0.0.21 10.0.0.22" \
	"what is stable"
contains "$(rollout .error)" 'the canary of a later' "what the status says"
eq "$(rollout .state)" idle "the state"
traffic_ends
