#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The host's own traffic, and what it routes for others, is untouched while the program is attached.
. "$(dirname "$0")/lib.sh"

two_armed
attach
web 50 nat | apply
start_ready server-balancer balancer "$helpers/flowserver" balancer "$work/balancer.log" 22 80
start_ready server-client client "$helpers/flowserver" client "$work/client.log" 7777

case_ "TCP and UDP to the balancer's own addresses, on the service's port as well"
load own22 -s 198.51.100.1/20 -p 20000-20009 192.0.2.1 22
load own80 -s 198.51.100.1/20 -p 20000-20009 192.0.2.1 80
load own6 -s 2001:db8:51::1/20 -p 20000-20009 2001:db8:2::1 22
load ownudp -u -s 198.51.100.1/20 -p 20000-20009 192.0.2.1 22
eq "$(on_cohort balancer own22) $(on_cohort balancer own80) $(on_cohort balancer own6) $(on_cohort balancer ownudp)" \
	"200 200 200 200" "flows that the balancer answered"

case_ "a long-lived connection to the balancer lives through attach, detach and changes"
hold ssh -s 198.51.100.1/5 -p 22000-22003 192.0.2.1 22
succeeds ctl set-weight 100
succeeds ctl detach --all
attach
sleep 1.2
release ssh

case_ "ping and ping6, large ones in fragments, and with the route recorded"
succeeds on client ping -q -c 20 -i 0.01 -W 2 192.0.2.1
succeeds on client ping -q -c 20 -i 0.01 -W 2 2001:db8:2::1
succeeds on client ping -q -c 5 -i 0.01 -W 2 -s 4000 192.0.2.1
succeeds on client ping -q -c 5 -i 0.01 -W 2 -s 4000 2001:db8:2::1
succeeds on client ping -q -c 3 -i 0.01 -W 2 -R 192.0.2.1
succeeds on client ping -q -c 3 -i 0.01 -W 2 -T tsandaddr 192.0.2.1
contains "$(on client ping -c 1 -W 2 -R 192.0.2.1)" "RR:" "a ping with the route recorded"

case_ "ARP and neighbour discovery"
succeeds on client arping -q -c 3 -w 3 -I eth0 192.0.2.1
ip -n "${LAB_PREFIX}client" neigh flush dev eth0
succeeds on client ping -q -c 1 -W 2 2001:db8:2::1
succeeds on client ping -q -c 1 -W 2 192.0.2.1

case_ "what the balancer routes for others: to a backend itself, in fragments and with options too"
load direct -s 198.51.100.1/20 -p 20000-20009 10.0.0.11 80
eq "$(on_cohort stable1 direct)" 200 "flows of stable1"
succeeds on client ping -q -c 5 -i 0.01 -W 2 -s 4000 10.0.0.11
succeeds on client ping -q -c 3 -i 0.01 -W 2 -R 10.0.0.11
succeeds on stable1 ping -q -c 3 -i 0.01 -W 2 -s 4000 2001:db8:2::10

case_ "the balancer's own connections to a nat backend"
on balancer "$helpers/flowload" -p 20000-20199 -o "$work/mine" 10.0.0.11 8080 >"$work/mine.summary" || true
eq "$(cat "$work/mine.summary")" "FLOWS ok 200 failed 0" "flows from the balancer to stable1"
load service -s 198.51.100.1/20 -p 20000-20009 "$vip" 80

case_ "a backend's own connections, through the balancer to a client"
on stable1 "$helpers/flowload" -p 20000-20049 -o "$work/theirs" 192.0.2.10 7777 >"$work/theirs.summary" || true
eq "$(cat "$work/theirs.summary")" "FLOWS ok 50 failed 0" "flows from stable1 to the client"

case_ "what passed is counted, and nothing was dropped"
at_least "$(stats '.interfaces[] | select(.name == "eth0") | .passed')" 500 "packets passed on eth0"
eq "$(stats '[.interfaces[].drops[]] | add // 0')" 0 "packets dropped"
