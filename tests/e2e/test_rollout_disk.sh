#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A history that cannot be written: nothing goes forward, errors say why, and the data plane and every manual command go on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps:
  - {weight: 10, bake: 1h, warmup: 0, min_flows: 10}
  - {weight: 50, bake: 1h, warmup: 0, min_flows: 10}
  - {weight: 100, warmup: 0, min_flows: 10}
progress_deadline: 0
max_harm: 50
YAML
attach -f "$work/canary.yaml"

# A file system of the test's own, of which it is alone to see anything.
mkdir "$work/state"
mount -t tmpfs -o size=2m none "$work/state"
mounts+=("$work/state")

started() {
	daemon_starts
	cleared
	succeeds ctl rollout start
	wait_for 10 "the first weight" is 0 '.pending | length'
}

# What goes on whatever becomes of the history: packets, and commands that need no daemon.
works_on() { # WEIGHT
	load "during-$1" -s 198.51.100.1/50 -p 20000-20009 "$vip" 80
	succeeds ctl stats
	succeeds ctl events
	succeeds ctl set-weight "$1" --force
	eq "$(weight_in_force)" "$1" "a weight that is set by force"
}

fill() {
	dd if=/dev/zero of="$work/state/rubbish" bs=4k 2>/dev/null || true
}

case_ "the disk is full: no step forward, with an error that says so"
started
fill
refused 1 'no room on the disk' ctl rollout promote
sleep 1
eq "$(rollout '[.state, .step] | join(" ")') $(weight_in_force)" "progressing 1 10" "the rollout, and the weight in force"

case_ "the disk is full: a rollback is possible all the same"
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
wait_for 5 "the weight to be 0" becomes 0 weight_in_force
works_on 20

case_ "with room again everything goes on"
rm "$work/state/rubbish"
cleared
eq "$(weight_in_force)" 0 "the weight in force"
succeeds ctl rollout start
wait_for 10 "the first weight" is 10 .weight

# What the daemon says when it cannot begin; the history is as it was.
does_not_begin() { # PATTERN
	refused 1 "$1" on balancer timeout 10 "$canaryd" -f "$work/canary.yaml" --state-dir "$work/state" \
		--socket "$CANARYD_SOCKET"
}

case_ "the file system is read-only: the daemon says so and ends, and a rollback is possible without it"
wait_for 10 "the action" is 0 '.pending | length'
daemon_ends KILL || true
mount -o remount,ro "$work/state"
does_not_begin 'read-only|cannot be written'
eq "$(weight_in_force)" 10 "the weight in force"
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
eq "$(weight_in_force)" 0 "the weight after the rollback"
works_on 30
mount -o remount,rw "$work/state"
daemon_starts
wait_for 10 "the daemon to know" is true '.state == "rolled_back" or .state == "paused"'

case_ "a history that is damaged is left as it is, and the daemon says so and ends"
daemon_ends KILL || true
database=$(find "$work/state" -name '*.db' -o -name '*.sqlite*' | grep -v -e '-wal$' -e '-shm$' | head -n 1)
rm -f "$database-wal" "$database-shm"
dd if=/dev/urandom of="$database" bs=1k seek=1 count=16 conv=notrunc 2>/dev/null
sum=$(sha256sum "$database")
does_not_begin 'damaged'
eq "$(sha256sum "$database")" "$sum" "the file"
works_on 40
ctl rollout rollback >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
eq "$(weight_in_force)" 0 "the weight after a rollback without a daemon"
