#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What canaryd tells systemd: that it is ready when it serves and not before, that it reads its configuration again, that it
# ends, and that its loop turns: while it hangs, nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

watchdog=2000 # ms

two_armed
plan() { # WEIGHT of the first step
	configure <<YAML
steps: [ {weight: $1, bake: 1h}, {weight: 100} ]
progress_deadline: 0
YAML
}
plan 5
attach -f "$work/canary.yaml"

start_ready notified balancer python3 -u tests/lib/notified.py "$work/notify" "$CANARYD_SOCKET"
export NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=$((watchdog * 1000))

# What was said since `listen`, without times and pings.
listen() {
	heard=$(wc -l <"$work/notified.out")
}

said() {
	tail -n +"$((heard + 1))" "$work/notified.out" | sed 's/^[0-9]* //; s/ $//; s/^MONOTONIC_USEC=[0-9]*$/MONOTONIC_USEC/' |
		grep -v '^WATCHDOG=1' | paste -sd ,
}

pings() { # their times since `listen`, in ms
	tail -n +"$((heard + 1))" "$work/notified.out" | sed -n 's/ WATCHDOG=1.*//p'
}

does_not_begin() { # PATTERN OPTION...
	listen
	refused 1 "$1" on balancer timeout 10 "$canaryd" --socket "$CANARYD_SOCKET" "${@:2}"
	eq "$(said)" "" "what a daemon that does not begin says of itself"
}

case_ "one that cannot serve never says that it is ready"
echo 'services: [' >"$work/bad.yaml"
does_not_begin 'bad.yaml:2' -f "$work/bad.yaml" --state-dir "$work/state"
does_not_begin 'cannot make' -f "$work/canary.yaml" --state-dir "$work/canary.yaml/state"

case_ "it is ready when it serves"
listen
daemon_starts
wait_for 5 "the daemon to say so" becomes "READY=1 serves" said
does_not_begin 'already|another' -f "$work/canary.yaml" --state-dir "$work/state"

first_weight() {
	curl -sS --unix-socket "$CANARYD_SOCKET" http://canaryd/v1/services/web/rollout/plan | jq -r '.plan.steps[0].weight'
}

reloaded() { # WEIGHT: what SIGHUP has made of the plan
	listen
	kill -HUP "$daemon_pid"
	wait_for 5 "the daemon to be ready again (it says: $(said))" becomes 'RELOADING=1,MONOTONIC_USEC,READY=1 serves' said
	eq "$(first_weight)" "$1" "the weight of the plan's first step"
}

case_ "SIGHUP: it reads its configuration again, and keeps the old one where the new one is bad"
plan 10
reloaded 10
cp "$work/canary.yaml" "$work/good.yaml"
cp "$work/bad.yaml" "$work/canary.yaml"
reloaded 10
contains "$(tail -n 1 "$work/canaryd.err")" 'the configuration is as it was before: .*canary.yaml:2' "the log"

case_ "the watchdog hears of it as often as it should"
listen
sleep $((3 * watchdog / 1000))
mapfile -t times < <(pings)
at_least "${#times[@]}" 3 "pings in three of the watchdog's times"
at_least 7 "${#times[@]}" "pings that are enough"
for ((i = 1; i < ${#times[@]}; i++)); do
	at_least "$watchdog" $((times[i] - times[i - 1])) "ms between two pings"
done
note "${#times[@]} pings in $((3 * watchdog)) ms"

case_ "one that the watchdog ends goes on where it was"
cp "$work/good.yaml" "$work/canary.yaml"
succeeds ctl rollout start
wait_for 10 "the first weight" is 0 '.pending | length'
daemon_ends ABRT || true
listen
daemon_starts
wait_for 5 "the daemon to say that it is ready" becomes "READY=1 serves" said
eq "$(rollout '[.state, .step, .weight] | join(" ")') $(weight_in_force)" "progressing 1 10 10" "where the rollout is"

# The loop is where rollouts are looked after, and reading a pipe without a writer holds it up.
case_ "while its loop hangs the watchdog hears nothing, and a rollback works all the same"
rm "$work/canary.yaml"
mkfifo "$work/canary.yaml"
listen
kill -HUP "$daemon_pid"
wait_for 5 "the daemon to read" becomes 'RELOADING=1,MONOTONIC_USEC' said
listen
begun=$SECONDS
ctl rollout rollback web >"$work/output" 2>"$work/complaint" || fail "rollback failed: $(cat "$work/complaint")"
at_least 8 $((SECONDS - begun)) "s that the rollback took"
eq "$(weight_in_force)" 0 "the weight in force"
note "a rollback past a daemon that hangs: $((SECONDS - begun)) s; $(cat "$work/output")"
sleep $((3 * watchdog / 2000))
eq "$(pings)" "" "pings of one that hangs"

case_ "when it turns again the watchdog hears of it, and the rollback holds"
cat "$work/good.yaml" >"$work/canary.yaml"
wait_for 5 "the daemon to be ready again" becomes 'READY=1 serves' said
pinged() {
	[ -n "$(pings)" ]
}
wait_for 5 "a ping" pinged
wait_for 5 "the daemon to know of the rollback" is rolled_back .state
sleep 1
eq "$(rollout '[.state, .weight] | join(" ")') $(weight_in_force)" "rolled_back 0 0" "the rollout, and the weight in force"

case_ "it says that it ends"
listen
daemon_ends TERM
eq "$(said)" "STOPPING=1" "what it says"
