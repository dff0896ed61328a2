#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `canaryctl top`: what stats says, again and again; on a terminal of any size, which it gives back whatever ends it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

export TERM=xterm
two_armed
configure <<'YAML'
steps: [ {weight: 50, bake: 10m}, {weight: 100} ]
YAML
attach -f "$work/canary.yaml"
ctl set-weight 50 --service web >/dev/null
succeeds ctl service add dead tcp 203.0.113.77:80
succeeds ctl backend add dead stable 10.0.0.99:80
on client "$helpers/flowload" -t 300 -s 192.0.2.10 -p 30000-30004 203.0.113.77 80 >"$work/dead.summary" || true
load first -s 192.0.2.10 -p 20000-20099 "$vip" 80
misbehave canary1 --reset 50/100
load second -t 2000 -s 192.0.2.10 -p 21000-21099 "$vip" 80 2>/dev/null || true
case_failed=''

screen() { # COLUMNSxROWS STEP... -- [NAME=VALUE]... ARGUMENT...: top on a terminal; what it leaves is in $work/left
	local steps=() variables=()
	while [ "$1" != -- ]; do
		steps+=("$1")
		shift
	done
	shift
	while [[ ${1:-} == *=* ]]; do
		variables+=("$1")
		shift
	done
	on balancer env "${variables[@]}" timeout 60 /usr/bin/python3 tests/lib/screen.py "${steps[@]}" -- "$canaryctl" top "$@" >"$work/left"
}

# The terminal is as it was, and the exit code of top this.
gives_back() { # CODE
	eq "$(jq -c '[.code, .alternate, .cursor, .same]' "$work/left")" "[$1,false,true,true]" \
		"code, alternate screen, cursor, settings are those of before"
}

row() { # LABEL FILE: the values of both cohorts, without sparklines
	sed -n "s/^ *$1  *//p" "$2" | grep -oE '[0-9.]+( ms|%)?' | head -n 2 | xargs
}

case_ "as JSON it is what stats has, with the window and the rollout"
ctl stats --service web --json | jq -S '.services[0] | del(.flooded, .flooded_at)' >"$work/stats"
ctl top web --json --interval 0.2 | jq -S '.services[0] | del(.flooded, .flooded_at, .window, .rollout_status, (.. | .rates?))' >"$work/top"
diff "$work/stats" "$work/top" >"$work/diff" || fail "they differ: $(head -c 500 "$work/diff")"
ctl top web --json --interval 0.2 >"$work/top"
eq "$(jq -c '[.services[0].rollout_status, (.services[0].window | keys | length), (.interfaces | length)]' "$work/top")" "[null,6,2]" \
	"rollout, window and interfaces"
contains "$(jq -r .time "$work/top")" '^20..-..-..T..:..:..\.[0-9]{3}Z$' "its time"
within "$(jq .interval "$work/top")" 0.2 0.15 "its interval"

case_ "as text it shows the figures of stats, cohorts side by side, and what was dropped, by reason"
ctl stats --service web >"$work/stats"
ctl top web --interval 0.2 >"$work/top"
for label in 'handshake p50' 'handshake p90' 'handshake p99'; do
	eq "$(row "$label" "$work/top")" "$(row "$label" "$work/stats")" "$label"
done
bad=$(ctl stats --json | jq -c '[.services[] | select(.name == "web").cohorts | .stable, .canary | .outcomes |
	100 * (.refused + .client_reset + .half_open + .server_reset_early + .no_reply + .client_reset_early) /
	(.completed + .refused + .client_reset + .half_open)] | map(. * 100 | round / 100)')
eq "$(row failures "$work/top" | tr -d % | jq -sc .)" "$bad" "failures"
at_least "$(jq '.[1] * 100 | round' <<<"$bad")" 100 "the canary's, in 1/100 percent"
eq "$(row weight "$work/top")" "50.00% 50.00%" "weights"
eq "$(sed -n '/^  backend /,/^$/s/ \([a-z0-9.:]* *[a-z]* *up *[0-9]* *[0-9]* *[0-9]* *[0-9]*\) .*/\1/p' "$work/top" | xargs)" \
	"$(sed -n '/^  backend /,/^$/s/ \([a-z0-9.:]* *[a-z]* *up *[0-9]* *[0-9]* *[0-9]* *[0-9]*\) .*/\1/p' "$work/stats" | xargs)" "backends"
eq "$(head -n 1 "$work/top" | cut -c 25-)" "" "what is said of other services"
contains "$(ctl top --interval 0.2 | head -n 1)" 'Z  service [12] of 2: name another one$' "the same, where none was named"
ctl top dead --interval 0.2 >"$work/top"
eq "$(row 'dropped: no_neighbour' "$work/top")" "$(row 'dropped: no_neighbour' <(ctl stats --service dead))" "what was dropped"
eq "$(grep -c $'\x1b' "$work/top")" 0 "lines with an escape"

case_ "a block an interval, as many as are asked for, one if nothing is said; rates are what counters rose by"
traffic 400
SECONDS=0
ctl top web --json --interval 0.5 --count 4 >"$work/top"
within "$SECONDS" 2 1 "seconds"
eq "$(jq -s length "$work/top") $(ctl top web | grep -c '^20')" "4 1" "blocks"
eq "$(jq -sc '[range(1; 4) as $i | .[$i].services[0].cohorts as $now | .[$i - 1].services[0].cohorts as $before | .[$i].interval as $s |
	("stable", "canary") as $c | ("flows", "packets", "bytes") as $k |
	(($now[$c][$k] - $before[$c][$k]) / $s - $now[$c].rates[$k]) | fabs < 0.11] | all' "$work/top")" true "whether rates are those"
at_least "$(jq -s '[.[].services[0].cohorts | .stable.rates.flows + .canary.rates.flows] | min | floor' "$work/top")" 150 "flows a second"
ctl top web --interval 0.2 --count 3 >"$work/top"
eq "$(grep -c '^20' "$work/top") $(grep -c '^$' "$work/top")" "3 8" "blocks, and lines between them and in them"
at_least "$(grep -cE '^  flows/s +[0-9.]+ +[_.:=+*#-]+ +[0-9.]+ +[_.:=+*#-]+$' "$work/top")" 3 "rows with two sparklines"

case_ "what it does not take is refused"
refused 2 'interval is 0.1 to 3600 seconds, not "0"' ctl top --interval 0
refused 2 'count is a whole number' ctl top --count 0
refused 2 'too many arguments' ctl top web dead
refused 1 'no service "none"' ctl top none

case_ "on a terminal of any size the first line is the service's, the last one the keys', and none is broken"
for size in 20x5 40x12 80x24 132x43 300x100; do
	screen "$size" "shows:^web  tcp" "shows:flows/s +[0-9]|^q quits" sleep:0.5 "dump:$work/screen" key:q -- --interval 0.2
	gives_back 0
	columns=${size%x*} rows=${size#*x}
	eq "$(wc -l <"$work/screen")" "$rows" "rows at $size"
	contains "$(head -n 1 "$work/screen")" '^web  tcp 203' "the first line at $size"
	contains "$(sed -n 2p "$work/screen")" '^  breaker off' "the second line at $size"
	contains "$(tail -n 1 "$work/screen")" '^q quits' "the last line at $size"
	[ "$rows" -lt 12 ] || contains "$(cat "$work/screen")" '^  flows/s +[0-9.]+' "the flows at $size"
	[ "$columns" -lt 80 ] || at_least "$(grep -cE '^  (flows|packets|bytes)/s +[0-9.]+ +[_.:=+*#-]+ +[0-9.]+ +[_.:=+*#-]+$' "$work/screen")" 3 \
		"rows with two sparklines at $size"
	[ "$columns" -lt 132 ] || contains "$(cat "$work/screen")" '^eth1 +native' "the interfaces at $size"
done

case_ "it follows the terminal's size, up and down"
screen 80x24 "shows:^web  tcp" size:20x5 "shows:\Aweb[^\n]*\n  breaker([^\n]*\n){3}q quits" "dump:$work/small" size:300x100 \
	"shows:\A([^\n]*\n){99}q quits[^\n]*Z\Z" "shows:eth1 +native" "dump:$work/large" size:1x1 sleep:0.3 size:21x2 sleep:0.3 size:80x24 \
	"shows:\A([^\n]*\n){23}q quits" "dump:$work/screen" key:q -- --interval 5
gives_back 0
eq "$(wc -l <"$work/small") $(wc -l <"$work/large") $(wc -l <"$work/screen")" "5 100 24" "rows"
contains "$(sed -n 2p "$work/small")" '^  breaker off  no le' "the second line of the small one"

case_ "keys choose the service, and what was seen of another is not taken for it"
screen 80x24 "shows:^web  tcp" 'key:\t' "shows:^dead  tcp" "shows:service 2 of 2" "dump:$work/screen" 'key:\t' "shows:^web  tcp" \
	key:2 "shows:^dead  tcp" 'key:\x1b[A' "shows:^web  tcp" 'key:\x1b[C' "shows:^dead  tcp" key:9 key:x key:1 "shows:^web  tcp" \
	key:Q -- --interval 5
gives_back 0
contains "$(cat "$work/screen")" 'flows/s +- +- *$' "rates of what was not looked at before"
contains "$(cat "$work/screen")" 'dropped: no_neighbour +[1-9]' "its drops"
screen 80x24 "shows:^dead  tcp" key:q -- dead
gives_back 0

case_ "whatever ends it, the terminal is as it was"
screen 80x24 "shows:^web  tcp" 'key:\x03' --
gives_back 0
for signal in TERM HUP QUIT INT; do
	screen 80x24 "shows:^web  tcp" "signal:$signal" --
	gives_back 0
done
screen 80x24 "shows:^web  tcp" signal:SEGV --
gives_back -11
screen 80x24 "shows:^web  tcp" signal:ABRT --
gives_back -6
screen 80x24 "shows:^web  tcp" -- --count 2 --interval 0.2
gives_back 0
# A command in the foreground that is stopped, and goes on.
screen 80x24 "shows:^web  tcp" 'key:\x1a' stopped: signal:CONT sleep:0.3 "shows:^web  tcp" key:q -- --interval 0.2
gives_back 0
# One that cannot be shown at all.
screen 80x24 -- none
gives_back 1
screen 80x24 "shows:no services" key:q -- CANARYCTL_BPFFS="$CANARYCTL_BPFFS-2"
gives_back 0

case_ "colours on a terminal, none with NO_COLOR; blocks where the locale has UTF-8; plain text on a dumb one"
screen 80x24 "shows:^dead  tcp" "shows:dropped" key:q -- dead
eq "$(jq -c '.styles | map(select(. != "[0m"))' "$work/left")" '["[1m","[31m"]' "styles"
screen 80x24 "shows:^dead  tcp" "shows:dropped" key:q -- NO_COLOR=1 dead
eq "$(jq -c '.styles | map(select(. != "[0m"))' "$work/left")" '[]' "styles with NO_COLOR"
screen 80x24 "shows:[▁▂▃▄▅▆▇█]+ +[0-9.]+ +[▁▂▃▄▅▆▇█]+$" key:q -- LC_ALL=C.UTF-8 --interval 0.2
screen 80x24 "shows:flows/s +[0-9.]+ +[_.:=+*#-]+ +[0-9.]+ +[_.:=+*#-]+$" "dump:$work/screen" key:q -- LC_ALL=C --interval 0.2
eq "$(grep -cP '[^\x00-\x7f]' "$work/screen")" 0 "lines that are not ASCII"
screen 80x24 "shows:^eth1" -- TERM=dumb web --interval 0.2
eq "$(jq -c '[.code, .styles]' "$work/left")" '[0,[]]' "on a dumb terminal"

case_ "window, lease, breaker and what stopped the canary are told"
succeeds ctl set-weight 25 --service web --lease 1s
contains "$(ctl top web --interval 0.2)" 'window closes ..:..:..Z, [0-9]+ flows held' "the window"
contains "$(ctl top web --interval 0.2)" 'breaker off  lease (until|expired) ..:..:..Z' "the lease"
sleep 1.2
contains "$(ctl top web --interval 0.2)" 'STOPPED: the lease expired' "the lease that expired"
eq "$(row weight <(ctl top web --interval 0.2))" "100.00% 0.00%" "the weights then"

case_ "a rollout's steps, from the daemon; without it, that it does not answer"
ctl set-weight 0 --service web >/dev/null
daemon_starts
succeeds ctl rollout start web
ctl top web --interval 0.2 >"$work/top"
contains "$(cat "$work/top")" 'rollout of web: progressing, step 1 of 2, weight 50%' "where it is"
contains "$(cat "$work/top")" '^  plan +50% [#-]+ 100% -+$' "its plan"
eq "$(ctl top web --json --interval 0.2 | jq -c '.services[0].rollout_status | [.state, .step]')" '["progressing",1]' "as JSON"
kill -STOP "$daemon_pid"
contains "$(ctl top web --interval 0.2)" 'canaryd does not answer' "what it says of a daemon that hangs"
kill -CONT "$daemon_pid"
daemon_ends || true
contains "$(ctl top web --interval 0.2)" 'belongs to a rollout, and canaryd does not answer' "and of one that is gone"
traffic_ends

case_ "it ends when nobody reads, or the service goes"
code=0
# shellcheck disable=SC2016  # the inner shell expands them
on balancer timeout 10 bash -o pipefail -c '"$1" top web --json --interval 0.1 --count 1000 | head -n 1' bash "$canaryctl" >"$work/output" 2>&1 || code=$?
eq "$(wc -l <"$work/output")" 1 "lines of a pipe whose reader goes"
[ "$code" -ne 124 ] || fail "it went on without a reader"
start lasting balancer "$canaryctl" top dead --interval 0.1 --count 1000
lasting=$started_pid
wait_for 5 "its first block" grep -q dead "$work/lasting.out"
succeeds ctl service del dead
code=0
wait "$lasting" || code=$?
eq "$code" 1 "its exit code"
contains "$(cat "$work/lasting.err")" 'no service "dead"' "what it says"
