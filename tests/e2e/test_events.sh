#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What happened is written down, with time and who asked; readers do not consume it, and can follow it.
. "$(dirname "$0")/lib.sh"

two_armed

events() { # JQ-FILTER [OPTION...]: of all events as an array
	local filter=$1
	shift
	ctl events --json "$@" | jq -sc "$filter"
}

following() { # NAME OPTION...
	local name=$1
	shift
	start "$name" balancer "$canaryctl" events --follow "$@"
	printf '%s' "$started_pid" >"$work/$name.pid"
}

saw() { # NAME PATTERN
	grep -q -- "$2" "$work/$1.out"
}

case_ "with nothing there, there are no events, and that is no error"
eq "$(ctl events --json)" "" "events"
succeeds ctl events

case_ "each command leaves its events, in order, with numbers"
{
	web 10 nat
	echo '    idle_timeout: 2s'
} >"$work/services.yaml"
apply <"$work/services.yaml"
attach
succeeds ctl set-weight 25 --new-salt
succeeds ctl backend add web stable 10.0.0.11:8081 --weight 3
succeeds ctl backend drain web 10.0.0.11:8081
succeeds ctl backend del web 10.0.0.11:8081
succeeds ctl segment add web 198.51.100.0/24 canary
succeeds ctl upgrade
eq "$(events 'map(.type)')" '["service_added","attached","attached","weight_changed","backend_added","backend_changed","backend_deleted","service_changed","upgraded"]' "types"
eq "$(events 'map(.number) == [range(1; 10)]')" true "numbers are 1 to 9"
eq "$(events '.[0] | [.service, .weight, .epoch]')" '["web",10,1]' "service_added"
eq "$(events '.[1:3] | map([.service, .interface]) | sort')" '[[null,"eth0"],[null,"eth1"]]' "attached"
eq "$(events '.[3] | [.weight_before, .weight, .new_salt, .epoch]')" '[10,25,true,2]' "weight_changed"
eq "$(events '.[4:7] | map([.address, .port, .cohort, .state])')" \
	'[["10.0.0.11",8081,"stable","up"],["10.0.0.11",8081,"stable","draining"],["10.0.0.11",8081,"stable","deleted"]]' "backends"
eq "$(events '.[8] | [.service, .abi_before == .abi]')" '[null,true]' "upgraded"

case_ "times are of now, in UTC with milliseconds, and do not run backwards"
eq "$(events 'all(.[]; .time | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{3}Z$"))')" true "the form of times"
eq "$(events 'map(.time) | . == sort')" true "times are in order"
eq "$(events '.[-1].time | sub("[.][0-9]+Z$"; "Z") | (now - fromdate) | . > -2 and . < 30')" true "the last one's time"

case_ "the text says the same: one line each, with names and numbers"
contains "$(ctl events)" '^20[^ ]*Z  web  .*weight_changed .*root \(0\).*canary weight 10% -> 25% with a new salt, assignment [0-9]+, epoch 2$' "text"
contains "$(ctl events)" 'backend_deleted .*stable 10.0.0.11:8081: deleted, epoch' "text"
contains "$(ctl events)" 'attached .*interface eth1, number [0-9]+$' "text"
# On a slow machine the window has closed meanwhile.
eq "$(ctl events | grep -vc window_closed)" 9 "lines"

case_ "reading takes nothing away; --service leaves out what is not its"
eq "$(events 'map(select(.type != "window_closed")) | length')" 9 "events"
eq "$(events 'map(.type) - ["window_closed"] | [index("attached"), index("upgraded"), length]' --service web)" \
	'[null,null,6]' "events of web"
eq "$(events length --service nobody)" 0 "events of nobody"

case_ "who asked is known by number and, in text, by name"
# The pins are root's alone: another user with root's capabilities.
capabilities=+dac_override,+net_admin,+sys_admin,+bpf,+perfmon
on balancer setpriv --reuid 1 --inh-caps="$capabilities" --ambient-caps="$capabilities" "$canaryctl" set-weight 30 >/dev/null
eq "$(events '.[-1] | [.type, .uid]')" '["weight_changed",1]' "the event"
contains "$(ctl events | tail -n 1)" "$(getent passwd 1 | cut -d: -f1) \\(1\\)" "text"

case_ "what the kernel did by itself is nobody's"
window_closed() {
	[ "$(events '[.[] | select(.type == "window_closed")] | length > 0')" = true ]
}
wait_for 20 "the window to close" window_closed
eq "$(events '[.[] | select(.type == "window_closed")][-1] | [.service, .uid, .forced, .opened_at < .time]')" '["web",null,false,true]' "window_closed"
contains "$(ctl events)" 'window_closed  *kernel .*open since 20' "text"

case_ "a follower gets what there is, then each event as it comes"
following json --json
following text
wait_for 5 "the events there are" saw json upgraded
succeeds ctl set-weight 40
wait_for 2 "the event" saw json '"weight":40.0'
wait_for 2 "the event as text" saw text 'canary weight 30% -> 40%'
eq "$(jq -c . "$work/json.out" | wc -l)" "$(wc -l <"$work/json.out")" "lines that are JSON"

case_ "it survives an upgrade, and a data plane that is removed and made again"
succeeds ctl upgrade
upgrades() {
	[ "$(grep -c '"upgraded"' "$work/json.out")" = "$1" ]
}
wait_for 2 "the upgrade" upgrades 2
succeeds ctl service del web
succeeds ctl detach --all
[ ! -e "$CANARYCTL_BPFFS" ] || fail "the pins are still there"
apply <"$work/services.yaml"
attach
succeeds ctl set-weight 55
wait_for 3 "events after that" saw json '"weight":55.0'
eq "$(jq -sc '[.[] | select(.type == "service_added") | .number]' "$work/json.out")" '[1,1]' "numbers of service_added"

case_ "it ends well when it is told to, or nobody reads"
stop "$(cat "$work/json.pid")" || fail "SIGTERM ended it with code $?"
stop "$(cat "$work/text.pid")" INT || fail "SIGINT ended it with code $?"
eq "$(cat "$work/json.err" "$work/text.err")" "" "complaints"
code=0
# shellcheck disable=SC2016  # the inner shell expands them
on balancer timeout 5 bash -c '"$1" events --follow | head -n 1' bash "$canaryctl" >"$work/output" || code=$?
eq "$code $(wc -l <"$work/output")" "0 1" "code and lines of a pipe whose reader goes"

case_ "the last 4096 are kept, and how many were overwritten is told first"
export CANARYCTL_BPFFS=$CANARYCTL_BPFFS-2
backends() { # WEIGHT of 1000 backends
	echo 'services:'
	echo '  - {name: many, address: 203.0.113.20, port: 80, protocol: tcp, forward: nat, weight: 0, stable: ['
	for ((i = 0; i < 1000; i++)); do
		echo "{address: 10.9.$((i / 250)).$((i % 250)), port: 80, weight: $1},"
	done
	echo ']}'
}
for weight in 1 2 3 4 5 6; do
	backends "$weight" >"$work/many.yaml"
	succeeds ctl apply -f "$work/many.yaml"
done
ctl events --json >"$work/all"
eq "$(head -n 1 "$work/all" | jq -c '[.type, .count, .time]')" '["overwritten",905,null]' "the first line"
eq "$(tail -n +2 "$work/all" | jq -sc '[length, .[0].number, .[-1].number, (map(.number) | . == unique)]')" '[4096,906,5001,true]' "the rest"
eq "$(ctl events | head -n 1)" "905 events were overwritten before they could be read" "text"
succeeds ctl service del many
export CANARYCTL_BPFFS=${CANARYCTL_BPFFS%-2}

case_ "what cannot be meant is refused"
refused 2 'takes no arguments' ctl events web
refused 2 'follow' ctl stats --follow
