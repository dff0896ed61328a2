#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happens while a step's hook keeps its weight from being set: the breaker, `stop`, another weight, a rollback, with the
# daemon there and without; leases; and what a host that begins anew finds. Nothing that took the canary away is undone.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
# Holds the second step's hook as long as $work/hold is there.
cat >"$work/hook" <<'SH'
#!/bin/sh
cd "$(dirname "$0")" || exit
[ "$CANARY_STEP" = 2 ] || exit 0
touch in-hook
while [ -e hold ]; do sleep 0.1; done
SH
chmod +x "$work/hook"
configure <<YAML
steps: [ {weight: 5, bake: 1s, warmup: 0, min_flows: 0}, {weight: 25, bake: 1h, warmup: 0}, {weight: 100} ]
max_harm: 50
lease: {duration: 3s}
hooks: {before_step: $work/hook}
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 200

hooked() {
	[ -e "$work/in-hook" ]
}

# Weight 5 is in force, and the second step's hook lasts.
in_hook() {
	rm -f "$work/in-hook"
	touch "$work/hold"
	succeeds ctl rollout start web
	wait_for 20 "the second step's hook" hooked
	eq "$(weight_in_force)" 5 "the weight in force while the hook lasts"
}

hook_ends() {
	rm -f "$work/hold"
	sleep 2
}

is_rolled_back() { # CAUSE
	wait_for 10 "the rollback" is rolled_back .state
	eq "$(rollout '.last_transition | [.cause, .before, .uid // "none"] | join(" ")')" "$1 ${2-0}" "what the history says, and of whom"
	hook_ends
	eq "$(weight_in_force) $(rollout .state)" "0 rolled_back" "what is in force when the hook is over"
}

case_ "the lease is renewed while a hook lasts, and while it is paused in a hook"
in_hook
sleep 5
eq "$(weight_in_force)" 5 "the weight in force, after more than the lease"
succeeds ctl rollout pause web
sleep 5
eq "$(weight_in_force) $(rollout .state)" "5 paused" "what is in force after a pause of more than the lease"
hook_ends
eq "$(weight_in_force)" 5 "the weight in force while it is paused"
succeeds ctl rollout resume web
wait_for 10 "the second step" becomes 25 weight_in_force
eq "$(ctl events --json | jq '[.events[]? // . | select(.type? == "lease_expired")] | length' | paste -sd+ | bc)" 0 "leases that were over"
cleared

case_ "a stop in a hook ends the rollout"
in_hook
succeeds ctl stop
is_rolled_back "request progressing"

case_ "a weight set by force in a hook stays, and pauses the rollout"
in_hook
succeeds ctl set-weight 10 --force --lease 60s
wait_for 10 "the pause" is paused .state
hook_ends
eq "$(weight_in_force) $(rollout .state)" "10 paused" "what is in force when the hook is over"
case_ "its lease is not the daemon's to renew"
succeeds ctl set-weight 12 --force --lease 2s
wait_for 8 "the lease to run out" becomes 0 weight_in_force
eq "$(rollout .state)" paused "the state"
cleared

case_ "a rollback that is asked for in a hook is done at once"
in_hook
succeeds ctl rollout rollback web
eq "$(weight_in_force)" 0 "the weight in force"
is_rolled_back "request progressing"

case_ "without a daemon, in a hook: a rollback and a stop are honoured by the daemon that comes back"
for command in "rollout rollback web" stop; do
	in_hook
	daemon_ends KILL || true
	# shellcheck disable=SC2086
	succeeds ctl $command
	rm -f "$work/hold"
	daemon_starts
	is_rolled_back "request progressing"
done

case_ "without a daemon, in a hook: a weight set by force is honoured as well"
in_hook
daemon_ends KILL || true
succeeds ctl set-weight 10 --force --lease 60s
rm -f "$work/hold"
daemon_starts
wait_for 10 "the pause" is paused .state
sleep 2
eq "$(weight_in_force)" 10 "the weight in force"
cleared

case_ "without a daemon, in a hook, and nothing else: the step comes"
in_hook
daemon_ends KILL || true
rm -f "$work/hold"
daemon_starts
wait_for 10 "the second step" becomes 25 weight_in_force
cleared

case_ "the breaker trips in a hook: the rollout is rolled back"
cat >"$work/plan.yaml" <<YAML
steps: [ {weight: 30, bake: 1s, warmup: 0, min_flows: 0}, {weight: 50, bake: 1h, warmup: 0}, {weight: 100} ]
max_harm: 50
breaker: {enabled: true}
hooks: {before_step: $work/hook}
YAML
trips_in_hook() {
	behave canary1
	behave canary2
	rm -f "$work/in-hook"
	touch "$work/hold"
	succeeds ctl rollout start web -f "$work/plan.yaml"
	wait_for 20 "the second step's hook" hooked
}
breaker() {
	ctl status --json | jq -r '.services[0].breaker.state'
}
trips_in_hook
misbehave canary1 --reset 1/1
misbehave canary2 --reset 1/1
wait_for 20 "the breaker" becomes 0 weight_in_force
is_rolled_back "breaker progressing" none

case_ "the breaker trips in a hook with no daemon there: the one that comes back rolls back"
trips_in_hook
daemon_ends KILL || true
misbehave canary1 --reset 1/1
misbehave canary2 --reset 1/1
wait_for 20 "the breaker" becomes tripped breaker
rm -f "$work/hold"
daemon_starts
is_rolled_back "breaker progressing" none
behave canary1
behave canary2

# Everything in the kernel is lost, only files stay, and it is another boot.
boots=1
reboots() {
	on balancer "$canaryctl" detach --all >/dev/null
	rm -rf "$CANARYCTL_BPFFS"
	boots=$((boots + 1))
	attach -f "$work/canary.yaml"
	printf '00000000-0000-4000-8000-%012d\n' "$boots" >"$work/boot_id"
	# shellcheck disable=SC2016  # for the inner shell
	start canaryd balancer unshare --mount sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"' sh "$work/boot_id" \
		"$canaryd" -f "$work/canary.yaml" --state-dir "$work/state" --socket "$CANARYD_SOCKET"
	daemon_pid=$started_pid
	wait_for 10 "canaryd to answer" daemon_answers
}

at_second_step() {
	succeeds ctl rollout start web
	wait_for 20 "the second step" becomes 25 weight_in_force
}

case_ "a reboot in mid-rollout: it goes on in its step, with its weight"
at_second_step
daemon_ends KILL || true
reboots
wait_for 10 "the step's weight" becomes 25 weight_in_force
sleep 2
eq "$(rollout '[.state, .step, .effective_weight] | join(" ")')" "progressing 2 25" "where it is"
cleared

case_ "a reboot in a hook: the step before, the hook once more, and then the step"
in_hook
daemon_ends KILL || true
rm -f "$work/in-hook"
reboots
wait_for 10 "the hook" hooked
eq "$(weight_in_force)" 5 "the weight in force"
hook_ends
wait_for 10 "the second step" becomes 25 weight_in_force
cleared

case_ "a rollback without a daemon, then a reboot: it stays rolled back"
for command in "rollout rollback web" stop; do
	at_second_step
	daemon_ends KILL || true
	# shellcheck disable=SC2086
	succeeds ctl $command
	reboots
	is_rolled_back "request progressing" none # what the kernel had is gone, also who asked
done

case_ "a weight set by force without a daemon, then a reboot: it stays, and the rollout is paused"
at_second_step
daemon_ends KILL || true
succeeds ctl set-weight 10 --force --lease 60s
reboots
wait_for 10 "the pause" is paused .state
sleep 2
eq "$(weight_in_force)" 10 "the weight in force"
cleared
traffic_ends
daemon_ends
