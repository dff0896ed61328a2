#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a person sees and does about windows, remembered flows and the sweeper.
. "$(dirname "$0")/lib.sh"

two_armed
attach

state=$CANARYCTL_KEY_FILE.state-${CANARYCTL_BPFFS##*/}

service() { # JQ of the service in `status`
	ctl status --json | jq -c ".services[0] | $1"
}

holds() { # JQ-CONDITION CMD...: true of the JSON that canaryctl CMD prints
	local condition=$1 json
	shift
	json=$(ctl "$@" --json) || fail "'$*' failed"
	jq -e "$condition" <<<"$json" >/dev/null 2>&1 || fail "$*: not so: $condition, in $(head -c 600 <<<"$json")"
}

is_closed() {
	[ "$(service .window.open)" = false ]
}

case_ "times are those of the file, and a change of them is told"
{
	web 0 l2
	echo '    idle_timeout: 4s'
} | apply
eq "$(service '[.idle_timeout, .max_window]')" "[4,86400]" "times of the service"
sed 's/idle_timeout: 4s/idle_timeout: 5\n    max_window: 1h30m/' "$work/config.yaml" >"$work/next.yaml"
eq "$(ctl apply -f "$work/next.yaml")" "~ web: change idle_timeout 4s -> 5s, max_window 24h -> 1h30m" "what apply says"
eq "$(service '[.idle_timeout, .max_window]')" "[5,5400]" "times after that"

case_ "with no window open, the status says so"
wait_for 20 "the window to close" is_closed
eq "$(service '.window | [.open, .open_since, .closes_at]')" "[false,null,null]" "the window"
succeeds ctl segment add web 198.51.100.200 stable
wait_for 20 "the window to close" is_closed
succeeds ctl flows flush
eq "$(ctl flows count --json | jq .flows)" 0 "flows that are remembered"

case_ "a change opens a window, which says since when, until when, and how many flows are held"
hold old -s 198.51.100.1/50 -p 20000-20001 "$vip" 80
succeeds ctl set-weight 100
sleep 1.5
holds '.services[0].window | .open and .held == 100 and .fallbacks == 0' status
holds '.services[0].window | (.closes_at | fromdate) - (.open_since | fromdate) | . >= 4 and . <= 6' status
holds '.services[0].window | (.open_since | fromdate) - now | . > -20 and . < 1' status
contains "$(ctl status)" 'window open since 2.*Z, closes 2.*Z: 100 flows held$' "status"

case_ "the state is saved beside the key file, for its owner alone"
eq "$(stat -c %a "$state")" 600 "mode of the file"
eq "$(jq -c '.services[] | [.name, .weight_hundredths] + (.window | [.weight_hundredths, (.backends | length), .changed >= .opened])' "$state")" \
	'["web",10000,0,4,true]' "what it says"

case_ "flows are listed and counted, by service, backend and cohort"
holds '.flows | length == 100' flows list
holds '.flows[0] | .service == "web" and .client == "198.51.100.1" and .client_port == 20000 and .port == 80 and
	.cohort == "stable" and .backend.port == 80 and .idle <= 2' flows list
holds '.flows == 100 and ([.backends[].flows] | add) == 100 and (.backends | length) == 4' flows count
holds '[.backends[] | select(.cohort == "canary") | .flows] == [0, 0]' flows count --service web
holds '.flows == 0 and (.backends | length) == 2' flows count --cohort canary
one=$(ctl flows count --backend 10.0.0.11 --json | jq .flows)
at_least "$one" 20 "flows of one backend"
eq "$(ctl flows list --backend 10.0.0.11:80 | wc -l)" $((one + 1)) "lines of its list"
refused 1 'no service has a backend 10.0.0.99' ctl flows list --backend 10.0.0.99
refused 1 'there is no service "?nobody' ctl flows count --service nobody
refused 2 'no cohort' ctl flows count --cohort both

case_ "a draining backend shows how many flows it still has"
succeeds ctl backend drain web 10.0.0.11
holds "[.backends[] | select(.state == \"draining\") | .flows] == [$one]" backend list
holds "[.services[0].backends[] | .flows // empty] == [$one]" status
contains "$(ctl backend list)" "draining, $one flows" "backend list"

case_ "a flush forgets what it is told to, or all"
kill -STOP "$(cat "$work/old.pid")"
holds ".flushed == $one and .changed" flows flush --backend 10.0.0.11
eq "$(ctl flows count --json | jq .flows)" $((100 - one)) "flows left"
holds '.flushed == 0 and (.changed | not)' flows flush --cohort canary
holds ".flushed == $((100 - one))" flows flush
kill -CONT "$(cat "$work/old.pid")"
let_go old

case_ "--new-salt draws other clients"
succeeds ctl backend add web stable 10.0.0.11
succeeds ctl set-weight 50
bucket=$(ctl explain 198.51.100.1:20000 --json | jq .bucket)
holds '.new_salt == false and .reset_after == null' set-weight 50
eq "$(ctl explain 198.51.100.1:20000 --json | jq .bucket)" "$bucket" "bucket with the old salt"
contains "$(ctl set-weight 50 --new-salt)" 'canary weight 50% \(was 50%\), new salt, epoch' "set-weight --new-salt"
[ "$(ctl explain 198.51.100.1:20000 --json | jq .bucket)" != "$bucket" ] || fail "the bucket is the same"
ctl apply -f "$work/next.yaml" >/dev/null
succeeds ctl set-weight 50
[ "$(ctl explain 198.51.100.1:20000 --json | jq .bucket)" != "$bucket" ] || fail "the salt is the old one again"

case_ "--reset and --drain exclude one another, and are told"
refused 2 'give one of them' ctl set-weight 0 --reset --drain 5
refused 2 'drain is 1s to 7d' ctl set-weight 0 --drain 0
refused 2 'drain is 1s to 7d' ctl stop --drain never
contains "$(ctl set-weight 0 --drain 90)" 'reset in 1m30s$' "set-weight --drain"
holds '.reset_after == 0' stop --reset
contains "$(ctl stop)" 'now all have 0$' "stop"

case_ "an upgrade in place says what it replaced, and leaves everything as it was"
before=$(ctl status --json | jq -c '[.interfaces, (.services[0] | del(.window))]')
holds '.changed and .before.id != .after.id and .after.build == "'"$(ctl version --json | jq -r .version)"'"' upgrade
eq "$(ctl status --json | jq -c '[.interfaces, (.services[0] | del(.window))]')" "$before" "status after an upgrade"
CANARYCTL_BPFFS=$CANARYCTL_BPFFS-none holds '.changed == false' upgrade

case_ "the sweeper shows its build and its last tick"
holds '.sweeper | .state == "ok" and .age < 1 and (.build | length) > 0 and ((.last_tick | fromdate) - now | fabs < 3)' status
contains "$(ctl status)" '^sweeper of build .*, last tick 2.*Z \(0\.[0-9]+ s ago\)' "status"

case_ "a sweeper that stopped is an error, and an upgrade starts it again"
size=$(bpftool -j map show pinned "$CANARYCTL_BPFFS/sweeper" | jq .bytes_value)
# The kernel cancels the timer of an element that is written over.
mapfile -t zeros < <(yes 0 | head -n "$size")
bpftool map update pinned "$CANARYCTL_BPFFS/sweeper" key 0 0 0 0 value "${zeros[@]}"
refused 1 'the sweeper in the kernel has stopped.*canaryctl upgrade' ctl status --json
eq "$(jq -c '[.sweeper.state, (.services | length)]' "$work/output")" '["dead",1]' "status all the same"
succeeds ctl upgrade
holds '.sweeper | .state == "ok" and .age < 1' status

case_ "the last service takes the saved state with it"
succeeds test -s "$state"
succeeds ctl service del web
[ ! -e "$state" ] || fail "$state is left: $(cat "$state")"

case_ "where the state cannot be saved, that is a warning, and the change is in force"
mkdir "$work/keys2.state-${CANARYCTL_BPFFS##*/}"
ctl service add one tcp "$vip:81" --idle-timeout 30 --max-window 30m >/dev/null
succeeds ctl segment add one 198.51.100.0/24 canary --key-file "$work/keys2"
contains "$(cat "$work/output")" 'warning: .*keys2.state.*--key-file' "the warning"
eq "$(service '[.idle_timeout, .max_window, (.segments | length)]')" "[30,1800,1]" "the service"
refused 1 'cannot close before' ctl service add two tcp "$vip:82" --max-window 10m
refused 2 'idle-timeout is 1s to 24h' ctl service add two tcp "$vip:82" --idle-timeout 25h
