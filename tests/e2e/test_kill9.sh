#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of any command at any moment leaves a working data plane, and a state that the next command repairs.
. "$(dirname "$0")/lib.sh"

two_armed
attach
web 50 nat | apply

kills=0
limits=(20 40 80 160 320) # a kill comes within so many tenths of a millisecond: some commands take 3 ms, some 40
# Runs a command and kills it within some milliseconds, unless it has ended by then.
killed() { # COMMAND...
	local pid code=0
	nsenter --net="/run/netns/${LAB_PREFIX}balancer" -- "$canaryctl" "$@" >/dev/null 2>&1 &
	pid=$!
	sleep "$(printf '0.%04d' "$((RANDOM % limits[RANDOM % ${#limits[@]}]))")"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || code=$?
	[ "$code" -ne 137 ] || kills=$((kills + 1))
}

# Two configurations with other rings and segments, but the same backends: deleting one would end its connections.
{
	echo services:
	web 20 nat | sed 's/10.0.0.12", /&weight: 3, /'
	echo '    segments: [ {clients: 198.51.100.32/27, cohort: canary}, {clients: 198.51.100.64/27, cohort: stable} ]'
} >"$work/one.yaml"
{
	echo services:
	web 80 nat | sed 's/10.0.0.21", /&weight: 2, /'
} >"$work/two.yaml"

of_configuration() { # I
	case $(($1 % 7)) in
	0) killed set-weight "$((RANDOM % 101))" ;;
	1) killed apply -f "$work/one.yaml" ;;
	2) killed segment add web 198.51.100.128/27 canary ;;
	3) killed apply -f "$work/two.yaml" ;;
	4) killed attach eth0 eth1 ;;
	5) killed backend drain web 10.0.0.22:8080 ;;
	6) killed stop ;;
	esac
}

of_existence() { # I
	case $(($1 % 6)) in
	0) killed detach eth1 ;;
	1) killed service add extra tcp 203.0.113.77:443 --forward nat ;;
	2) killed attach eth0 eth1 ;;
	3) killed backend add extra canary 10.0.0.12:8443 ;;
	4) killed service del extra ;;
	5) killed detach --all ;;
	esac
}

case_ "200 kills of commands that change the configuration, under load: no connection fails, every next command works"
hold long -s 198.51.100.1/50 -p 50000-50003 "$vip" 80
start storm client "$helpers/flowload" -o "$work/storm" -r 500 -s 198.51.100.1/200 -p 10000-10399 "$vip" 80
storm=$started_pid
for ((i = 0; kills < 200 && i < 1400; i++)); do
	of_configuration "$i"
	[ $((i % 10)) -ne 9 ] || succeeds ctl set-weight 50
done
at_least "$kills" 200 "commands that were killed in time"
stop "$storm" || true
contains "$(cat "$work/storm.out")" '^FLOWS ok [0-9]{4,} failed 0$' "the client's count"
release long

case_ "what stats says is whole, and another apply makes the state what the file says"
succeeds ctl stats --json
succeeds ctl apply -f "$work/two.yaml"
eq "$(stats '.services | length') $(stats '.services[0].weight')" "1 80" "services, and web's weight"
load after -s 198.51.100.1/200 -p 30000-30019 "$vip" 80
share_is "$(on_cohort canary after)" 4000 80 "flows of canary"

case_ "50 kills of commands that attach, detach, add and delete: the next commands set it right"
kills=0
for ((i = 0; kills < 50 && i < 400; i++)); do
	of_existence "$i"
	if [ $((i % 10)) -eq 9 ]; then
		succeeds ctl attach eth0 eth1
		succeeds ctl apply -f "$work/two.yaml"
		load during -s 198.51.100.1/20 -p 31000-31004 "$vip" 80
	fi
done
at_least "$kills" 50 "commands that were killed in time"
succeeds ctl attach eth0 eth1
succeeds ctl apply -f "$work/one.yaml"
eq "$(stats '[.services[].name] | join(" ")')" web "services"
load repaired -s 198.51.100.150/50 -p 32000-32019 "$vip" 80
share_is "$(on_cohort canary repaired)" 1000 20 "flows of canary"

case_ "40 kills of commands that make the data plane from nothing, or take it away: the next makes it whole"
gone() { # everything, by commands that are not killed
	succeeds ctl detach --all
	! ctl service list | grep -q web || succeeds ctl service del web
	local pins
	pins=$(find "$CANARYCTL_BPFFS" -type f -printf '%P ' 2>/dev/null) || true
	eq "$pins" "" "pins that are left, though nothing is attached and no service is there"
}
limits=(100 400 1600 3200)
kills=0
for ((i = 0; kills < 40 && i < 300; i++)); do
	case $((i % 4)) in
	0) gone ;;
	1) killed attach eth0 eth1 -f "$work/two.yaml" ;;
	2) killed detach --all ;;
	3) killed service del web ;;
	esac
	if [ $((i % 8)) -eq 1 ]; then
		succeeds ctl attach eth0 eth1 -f "$work/two.yaml"
		load anew -s 198.51.100.1/20 -p 33000-33001 "$vip" 80
	fi
done
at_least "$kills" 40 "commands that were killed in time"
gone

case_ "what a command left that was killed while it took all away is taken away by the next that changes something"
succeeds ctl attach eth0 eth1
rm "$CANARYCTL_BPFFS/settings" "$CANARYCTL_BPFFS/services"
refused 1 'no' ctl set-weight 5
eq "$(find "$CANARYCTL_BPFFS" -name 'xdp_*' | wc -l)" 2 "interfaces that are attached, whatever is missing beside them"
rm "$CANARYCTL_BPFFS"/xdp_*
refused 1 'no' ctl set-weight 5
gone
