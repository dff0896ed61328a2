#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Command lines that are wrong: each is refused with one sentence and its exit code, and changes nothing.
. "$(dirname "$0")/lib.sh"

two_armed
attach
{
	web 5 nat
	echo '    segments: [ {clients: 198.51.100.0/28, cohort: canary} ]'
} | apply
succeeds ctl service add dns udp 203.0.113.53:53 --forward l2
succeeds ctl backend add dns stable 10.0.0.11

state() {
	ctl service list --json
	ctl backend list --json
	ctl segment list --json
	ctl status --json
}

before=$(state)

# CODE, what the complaint says (a pattern), the command line
while IFS='|' read -r code pattern line; do
	[ -n "$code" ] || continue
	case_ "refused: canaryctl ${line:-(nothing)}"
	read -ra words <<<"$line"
	refused "$code" "$pattern" ctl "${words[@]}"
	eq "$(wc -l <"$work/complaint")" 1 "lines of complaint"
	eq "$(cat "$work/output")" "" "stdout"
done <<'LINES'
2|command|
2|no command|frobnicate
2|no command|set-weigh 5
2|no command|roll
2|add|service
2|no command|service frob
2|option|stats --frob
2|too few|set-weight --service web
2|weight|set-weight abc --service web
2|weight|set-weight 101 --service web
2|weight|set-weight 100.01 --service web
2|weight|set-weight 5.001 --service web
2|weight|set-weight 1e1 --service web
2|weight|set-weight +5 --service web
2|weight|set-weight 0x5 --service web
2|option|set-weight -5 --service web
2|.|set-weight 5 6 --service web
1|services|set-weight 5
1|no service|set-weight 5 --service nobody
1|canary backend|set-weight 5 --service dns
2|value|set-weight 5 --service
2|twice|set-weight 5 --service web --service dns
2|file|apply
2|value|apply -f
1|nonexistent|apply -f /nonexistent.yaml
1|/dev|apply -f /dev
1|no service|service del nobody
1|web|service add web tcp 203.0.113.99:80
1|already|service add other tcp 203.0.113.10:80
2|proto|service add other sctp 203.0.113.99:80
2|address|service add other tcp 203.0.113.999:80
2|.|service add other tcp 203.0.113.99:70000
2|.|service add other tcp 2001:db8::1:80:http
2|forward|service add other tcp 203.0.113.99:80 --forward tunnel
2|affinity|service add other tcp 203.0.113.99:80 --affinity cookie
2|.|service add other tcp
2|name|service add bad/name tcp 203.0.113.99:80
1|.|service add other tcp 224.0.0.1:80
1|.|service add other tcp 127.0.0.1:80
1|already|backend add web stable 10.0.0.11:8080
1|canary|backend add web stable 10.0.0.21:8080
2|cohort|backend add web blue 10.0.0.31:8080
2|address|backend add web stable localhost:8080
1|.|backend add web stable [2001:db8:10::31]:8080
1|.|backend add web stable 203.0.113.10:80
1|port|backend add dns stable 10.0.0.12:5353
2|weight|backend add web stable 10.0.0.31:8080 --weight 0
2|weight|backend add web stable 10.0.0.31:8080 --weight 1001
2|weight|backend add web stable 10.0.0.31:8080 --weight half
1|no backend|backend del web 10.0.0.31:8080
1|no backend|backend drain web 10.0.0.11:9999
1|no service|backend add nobody stable 10.0.0.31:8080
1|already|segment add web 198.51.100.0/28 canary
2|bits|segment add web 198.51.100.1/28 canary
2|prefix|segment add web 198.51.100.0/33 canary
2|prefix|segment add web everyone canary
2|cohort|segment add web 198.51.100.16/28 blue
1|.|segment add web 2001:db8:51::/64 canary
1|no segment|segment del web 198.51.100.16/28
2|port|explain 198.51.100.1 --service web
2|address|explain somebody:80 --service web
1|IPv6|explain [2001:db8::1]:80 --service web
2|.|attach
2|mode|attach eth0 --mode fast
1|no interface|attach eth7
1|no interface|attach eth0;reboot
1|no interface|attach ../../etc/passwd
1|no interface|attach eth0 eth7
2|detach|detach
2|detach|detach eth0 --all
1|not attached|detach lo
2|.|stats web
2|watch|stats --watch 0
2|.|version --force
1|nonexistent|validate /nonexistent.yaml
LINES

case_ "deleting the last canary backend while the weight is above 0 needs --force"
succeeds ctl backend del web 10.0.0.22:8080
refused 1 "last canary backend" ctl backend del web 10.0.0.21:8080
succeeds ctl backend add web canary 10.0.0.22:8080

case_ "and nothing has changed"
volatile='del(.. | .epoch?, .index?, .program?, .maps?, .sweeper?, .window?) | walk(if type == "array" then sort_by(tostring) else . end)'
eq "$(state | jq -S "$volatile")" "$(jq -S "$volatile" <<<"$before")" "the state after all of them"
load works -s 198.51.100.100/10 -p 20000-20009 "$vip" 80

case_ "with --force it goes, and the other cohort takes over"
succeeds ctl backend del web 10.0.0.22:8080
succeeds ctl backend del web 10.0.0.21:8080 --force
load overflow -s 198.51.100.100/50 -p 21000-21019 "$vip" 80
eq "$(on_cohort stable overflow)" 1000 "flows of stable"
at_least "$(stats '.services[] | select(.name == "web") | .cohorts.canary.overflow')" 10 "flows counted as overflow"
