#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks of backends, as clients use them: one that dies leaves its ring within interval × fall, and comes back by itself;
# what somebody drains stays drained; a cohort without backends is `overflow`'s.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
attach
tunnel_ends

# The state of a backend: up or draining. ADDRESS
backend_is() {
	ctl backend list web --json | jq -r --arg address "$1" '.backends[] | select(.address == $address) | .state'
}

checked() { # FORWARD CHECK: the service with that check, and a daemon that knows it
	{
		echo 'services:'
		web 50 "$1"
		echo "    idle_timeout: 5s"
		echo "    health: {$2, interval: 500ms, timeout: 400ms, rise: 2, fall: 2, damping: 0}"
	} >"$work/canary.yaml"
	succeeds ctl apply -f "$work/canary.yaml"
	daemon_starts
}

dies() { # HOST
	stop "$(cat "$work/server-$1.pid")" KILL || true
}

# interval * fall, a timeout, and the test's own looks.
IN_TIME=3

dies_and_comes_back() { # FORWARD CHECK
	case_ "$1, $2: one that dies leaves its ring, alone, and is back when it answers again"
	checked "$1" "$2"
	sleep 2
	eq "$(ctl backend list web --json | jq '[.backends[] | select(.state != "up")] | length')" 0 "backends that are not up"
	dies stable1
	wait_for "$IN_TIME" "stable1 to leave" becomes draining backend_is 10.0.0.11
	eq "$(ctl backend list web --json | jq '[.backends[] | select(.state != "up")] | length')" 1 "backends that are not up"
	contains "$(ctl events --json | tail -n 1)" backend_changed "the last event"
	load without -s 198.51.100.50/50 -p 20000-20009 "$vip" 80
	eq "$(on_cohort stable1 without)" 0 "flows that the dead backend got"
	behave stable1
	wait_for "$IN_TIME" "stable1 to be back" becomes up backend_is 10.0.0.11
	eq "$(ctl set-weight 50 >/dev/null 2>"$work/complaint"; cat "$work/complaint")" "" "a weight set meanwhile"
}

dies_and_comes_back nat 'type: tcp'

case_ "a daemon that was killed knows which backends it drains, and which somebody else does"
succeeds ctl backend drain web 10.0.0.12:8080
dies canary1
wait_for "$IN_TIME" "canary1 to leave" becomes draining backend_is 10.0.0.21
daemon_ends KILL || true
behave canary1
daemon_starts
wait_for "$((IN_TIME + 2))" "canary1 to be back" becomes up backend_is 10.0.0.21
eq "$(backend_is 10.0.0.12)" draining "the one that somebody drains"
succeeds ctl apply -f "$work/canary.yaml"

# What is told of them after event $since.
overflows() {
	ctl events --json | jq -sc --argjson since "$since" '[.[] | select(.number > $since and (.type | startswith("overflow_"))) |
		[.type, .cohort, .to, .weight, .address, .state]]'
}
since=$(ctl events --json | jq -s 'map(.number) | max')

case_ "a cohort without backends is the other's, as overflow says; that it begins is told once, with the last backend"
dies canary1
dies canary2
wait_for "$IN_TIME" "canary1 to leave" becomes draining backend_is 10.0.0.21
wait_for "$IN_TIME" "canary2 to leave" becomes draining backend_is 10.0.0.22
load over -s 198.51.100.100/50 -p 21000-21009 "$vip" 80
eq "$(on_cohort stable over)" 500 "flows that stable got"
last=$(overflows | jq -r '.[0][4]')
contains "$last" '^10\.0\.0\.2[12]$' "the last backend"
begun="[\"overflow_begun\",\"canary\",\"stable\",50,\"$last\",\"draining\"]"
eq "$(overflows)" "[$begun]" "what is told of it"
contains "$(ctl events)" "overflow_begun .*canary's 50% of new flows go to stable: its last backend $last:8080 is draining, epoch" \
	"the same as text"
contains "$(cat "$work/canaryd.err")" 'web: no backend of canary is left that takes new flows' "what the daemon's log says"

case_ "that it ends is told once as well, with the backend that is back, and not with the other one"
behave canary1
wait_for "$IN_TIME" "canary1 to be back" becomes up backend_is 10.0.0.21
behave canary2
wait_for "$IN_TIME" "canary2 to be back" becomes up backend_is 10.0.0.22
eq "$(overflows)" "[$begun,[\"overflow_ended\",\"canary\",\"stable\",50,\"10.0.0.21\",\"up\"]]" "what is told of it"
contains "$(ctl events)" "overflow_ended .*no longer go to stable: its backend 10.0.0.21:8080 is up, epoch" "the same as text"
daemon_ends || true

dies_and_comes_back l2 'type: tcp'
daemon_ends || true
dies_and_comes_back ipip 'type: tcp'
daemon_ends || true
decap_ends
dies_and_comes_back gue 'type: tcp'
daemon_ends || true
