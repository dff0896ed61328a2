#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The disk is lost under a rollout that walks its plan: no step that is not written down is made, the rollout says why it
# waits, a rollback is possible; and with the disk there again it goes on, with nothing missing in its history.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps: [ {weight: 10, bake: 2s, warmup: 0, min_flows: 20}, {weight: 50, bake: 2s, warmup: 0, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 2s
max_harm: 50
YAML
attach -f "$work/canary.yaml"
traffic 400

# A file system of the test's own.
mkdir "$work/state"
mount -t tmpfs -o size=2m none "$work/state"
mounts+=("$work/state")

begins() { # a rollout, up to its first weight
	succeeds ctl rollout start
	wait_for 10 "the first weight" becomes 10 weight_in_force
}

fill() {
	dd if=/dev/zero of="$work/state/rubbish" bs=4k 2>/dev/null || true
}

numbers_are_whole() {
	eq "$(recorded '[.[] | select(.kind == "transition") | .number] | . == [range(1; length + 1)]')" true \
		"transitions are numbered without a gap"
}

# Well beyond the bake the first step is the rollout's, and its weight in force; and the status says why. PATTERN
stays_where_it_is() {
	local now end=$((SECONDS + 5))
	wait_for 10 "an error in the status (it is: $(rollout .error))" complains "$1"
	while [ "$SECONDS" -lt "$end" ]; do
		now=$(rollout '[.state, .step, .weight] | join(" ")')
		[ "$now $(weight_in_force)" = "progressing 1 10 10" ] || fail "the rollout, and the weight in force: $now $(weight_in_force)"
		sleep 0.2
	done
	contains "$(cat "$work/canaryd.err")" "web: .*$1" "the log"
	at_least 5 "$(grep -c "$1" "$work/canaryd.err")" "lines of the log that say so"
	load "during-$SECONDS" -s 198.51.100.101/50 -p 20000-20004 "$vip" 80
	succeeds ctl stats
	succeeds ctl events
}

complains() { # PATTERN
	rollout '.error // ""' | grep -Eq -- "$1"
}

case_ "the disk is full in mid-rollout: it stays in its step, and says why"
daemon_starts
begins
fill
stays_where_it_is 'no room on the disk'

case_ "with room again it goes on by itself, to its end"
rm "$work/state/rubbish"
reaches succeeded 30
eq "$(transitions 1)" "progressing 1, progressing 2, baking 3, succeeded 3" "transitions"
eq "$(rollout .error)" null "the error"
numbers_are_whole
cleared

case_ "a rollback that could not be written down is in the history as soon as it can be"
begins
fill
wait_for 10 "an error in the status" complains 'no room on the disk'
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
wait_for 5 "the weight to be 0" becomes 0 weight_in_force
rm "$work/state/rubbish"
wait_for 5 "the rollback to be in the history" becomes '"rolled_back"' recorded 'map(select(.kind == "transition" and .release == 2)) | last | .after'
numbers_are_whole
daemon_ends KILL || true
daemon_starts
eq "$(rollout '[.state, .weight] | join(" ")') $(weight_in_force)" "rolled_back 0 0" "the rollout after a restart, and the weight in force"
numbers_are_whole
daemon_ends || true
umount "$work/state"

case_ "the file system becomes read-only in mid-rollout, as ext4 does after an error: the same"
truncate -s 16M "$work/disk"
mkfs.ext4 -q "$work/disk"
mount -o loop "$work/disk" "$work/state"
daemon_starts
begins
mount -o remount,abort "$work/state"
stays_where_it_is 'read-only'

case_ "and a rollback is possible"
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
wait_for 5 "the weight to be 0" becomes 0 weight_in_force
daemon_ends || true

case_ "with the file system repaired, a daemon finds that out, and starts anew"
umount "$work/state"
e2fsck -fy "$work/disk" >"$work/output" 2>&1 || [ $? -eq 1 ] || fail "e2fsck: $(cat "$work/output")"
mount -o loop "$work/disk" "$work/state"
daemon_starts
wait_for 10 "the daemon to know of the rollback" is rolled_back .state
eq "$(weight_in_force)" 0 "the weight in force"
numbers_are_whole
begins
wait_for 10 "the second step" is 2 .step
cleared
traffic_ends
