#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Windows open with a change and close by themselves; what is remembered meanwhile, and what of it stays; and the ways to
# end connections: a drained backend, --reset, --drain, a flush.
# Runs first: it takes long.
. "$(dirname "$0")/lib.sh"

idle=2 # s, twice the time between two bytes of a held connection

two_armed
attach

fresh() { # WEIGHT [SED-COMMAND]: the service anew, with an idle_timeout of 2 s
	ctl service del web >/dev/null 2>&1 || true
	web "$1" l2 | sed "s/^    weight:/    idle_timeout: ${idle}s\n&/; ${2:-}" | apply
	wait_for 10 "the window to close" settled
}

count_flows() { # [OPTION...]
	ctl flows count --json "$@" | jq .flows
}

now_ms() {
	local now=${EPOCHREALTIME/./}
	echo "${now%???}"
}

closings=()
opens() { # CMD...: a window, which closes by itself, an idle timeout later
	local begun took
	case_ "'$*' opens a window, which closes by itself"
	eq "$(service_window open)" false "is a window open before?"
	succeeds ctl "$@"
	begun=$(now_ms)
	eq "$(service_window open)" true "is a window open after?"
	wait_for 10 "the window to close" settled
	took=$(($(now_ms) - begun))
	at_least "$took" $((idle * 1000 - 300)) "ms that the window was open"
	at_least $((idle * 1000 + 3000)) "$took" "ms within which it should have closed"
	closings+=("$took")
}

case_ "a new service has no window"
idle=1
fresh 10
eq "$(service_window open)" false "is a window open?"
opens set-weight 50
opens set-weight 50 --new-salt
opens backend drain web 10.0.0.12
opens backend add web stable 10.0.0.12
opens backend del web 10.0.0.12
opens backend add web stable 10.0.0.12 --weight 3
opens segment add web 198.51.100.240/28 canary
opens stop
note "windows of $idle s closed after ${closings[*]} ms"
idle=2

case_ "another change keeps the window open, for an idle timeout from then on"
fresh 10
succeeds ctl set-weight 20
sleep 1.5
succeeds ctl set-weight 30
sleep 1.2
eq "$(service_window open)" true "is a window open 1.2 s after the second change, 2.7 s after the first?"
wait_for 10 "the window to close" settled

case_ "flows that agree with the new choice are not remembered, and those that do not keep their backend"
fresh 0
hold agreeing -t 10000 -s 198.51.100.1/50 -p 20000-20007 "$vip" 80
eq "$(count_flows)" 0 "flows remembered in a settled service"
succeeds ctl set-weight 50
sleep 1.5
in_window=$(count_flows)
eq "$(service_window held)" "$in_window" "what the window holds"
share_is "$in_window" 400 50 "flows remembered in the window, of 400"
wait_for 10 "the window to close" settled
sleep 1.5
eq "$(count_flows)" "$in_window" "flows remembered after it has closed"
eq "$(ctl flows list --json | jq -c '[.flows[] | .cohort] | unique')" '["stable"]' "cohorts of the remembered flows"
succeeds ctl set-weight 0
wait_for 10 "the window to close" settled
wait_for 5 "the flows to be forgotten, which agree again" becomes 0 count_flows
sleep 1.2
release agreeing
eq "$(on_cohort canary agreeing)" 0 "flows on canary"
note "of 400 flows $in_window were remembered, after the way back none"

case_ "flows that are older than three windows keep their backend"
fresh 0
hold old -t 10000 -s 198.51.100.1/50 -p 20000-20007 "$vip" 80
for weight in 100 30 70; do
	succeeds ctl set-weight "$weight"
	wait_for 10 "the window to close" settled
	sleep 1.2
done
release old
eq "$(on_cohort canary old)" 0 "flows on canary"

case_ "flows that were born in a window keep their backend when it has closed, and in the next"
fresh 0
succeeds ctl set-weight 50
hold born -t 10000 -s 198.51.100.1/50 -p 20000-20007 "$vip" 80
wait_for 10 "the window to close" settled
sleep 1.2
succeeds ctl set-weight 0
wait_for 10 "the window to close" settled
sleep 1.2
release born
share_is "$(on_cohort canary born)" 400 50 "flows on canary"

case_ "a draining backend shows its flows, which go down to none as the clients leave"
fresh 0
hold leaving -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
succeeds ctl backend drain web 10.0.0.11
wait_for 10 "the window to close" settled
sleep 1.2
remaining=$(count_flows --backend 10.0.0.11)
eq "$(count_flows)" "$remaining" "flows of all backends"
release leaving
at_least "$remaining" 50 "flows of the draining backend"
eq "$remaining" "$(on_cohort stable1 leaving)" "flows of the draining backend"
wait_for 6 "its flows to end" becomes 0 count_flows --backend 10.0.0.11

case_ "a flush forgets flows: they are chosen anew, and break"
fresh 0
hold flushed -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
succeeds ctl set-weight 100
wait_for 10 "the window to close" settled
sleep 1.2
eq "$(count_flows)" 200 "flows remembered"
eq "$(ctl flows flush --json | jq .flushed)" 200 "flows flushed"
sleep 1.5
let_go flushed
eq "$(broken_on '' flushed)" 200 "flows broken"

case_ "set-weight 0 keeps established flows: a rollback breaks nothing"
fresh 100
hold kept -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
succeeds ctl set-weight 0
sleep 2.5
release kept
eq "$(on_cohort canary kept)" 200 "flows on canary"

resets() {
	stats '[.services[0].cohorts[].reset] | add'
}

case_ "set-weight 0 --reset: canary's connections get a RST at their next byte, stable's are untouched"
fresh 50
hold reset -t 10000 -s 198.51.100.1/50 -p 20000-20007 "$vip" 80
succeeds ctl set-weight 0 --reset
sleep 2
let_go reset
broken=$(broken_on '' reset)
share_is "$broken" 400 50 "flows that broke, of 400"
eq "$(broken_on canary reset)" "$broken" "flows of canary among them"
eq "$(on_cohort canary reset)" 0 "flows of canary that live on"
eq "$(grep -c 'Connection reset by peer' "$work/reset")" "$broken" "flows that were told by a RST"
eq "$(resets)" "$broken" "RSTs counted"
note "--reset: $broken of 400 flows were reset, all of canary"

case_ "the same over nat, and over IPv6"
for kind in "nat $vip 198.51.100.1 10.0.0." "l2 $vip6 2001:db8:51::1 2001:db8:10::"; do
	read -r forward address source net <<<"$kind"
	ctl service del web >/dev/null
	web 50 "$forward" "$address" 80 tcp "$net" | apply
	hold reset -t 10000 -s "$source/50" -p 20000-20007 "$address" 80
	succeeds ctl set-weight 0 --reset
	sleep 2
	let_go reset
	broken=$(broken_on canary reset)
	share_is "$broken" 400 50 "flows of canary that broke, of 400, by $forward to $address"
	eq "$(broken_on '' reset) $(on_cohort canary reset)" "$broken 0" "all flows that broke, and canary's that live on"
	eq "$(resets)" "$broken" "RSTs counted"
done

case_ "set-weight 0 --drain 3: the same after 3 s, and not before"
fresh 50
hold drained -t 10000 -s 198.51.100.1/50 -p 20000-20007 "$vip" 80
succeeds ctl set-weight 0 --drain 3
sleep 2
eq "$(resets)" 0 "RSTs before the deadline"
sleep 3
let_go drained
broken=$(broken_on canary drained)
share_is "$broken" 400 50 "flows of canary that broke, of 400"
eq "$(broken_on '' drained) $(on_cohort canary drained)" "$broken 0" "all flows that broke, and canary's that live on"
eq "$(resets)" "$broken" "RSTs counted"

case_ "set-weight --new-salt draws other clients, and as many"
fresh 50 's/    weight:/    affinity: client\n&/'
canary_clients() { # PORT
	load "salt$1" -s 198.51.100.1/200 -p "$1" "$vip" 80
	grep ' canary[12]$' "$work/salt$1" | cut -d ' ' -f 1 | sort
}
canary_clients 30000 >"$work/first"
canary_clients 30001 >"$work/again"
succeeds ctl set-weight 50 --new-salt
canary_clients 30002 >"$work/other"
share_is "$(wc -l <"$work/first")" 200 50 "clients of canary"
share_is "$(wc -l <"$work/other")" 200 50 "clients of canary with the new salt"
eq "$(comm -3 "$work/first" "$work/again" | wc -l)" 0 "clients that changed without a new salt"
share_is "$(comm -3 "$work/first" "$work/other" | wc -l)" 200 50 "clients that changed with it"
