#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three balancers announce a service by BGP. One is drained, taken back, restarted, or upgraded under load, and no connection
# breaks: settled flows choose alike on every balancer, whichever the router sends them to.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_router.sh"

export LAB_SERVERS=nginx # on port 80; connections that stay are to flowserver's
routed 3 9000

routes_of() { # BALANCER
	echo "$work/$1/routes.conf"
}

{
	echo services:
	web 30 l2
	web 30 l2 "$vip" 9000 | sed 's/name: web/name: held/'
} | sed 's/^    weight:/    idle_timeout: 3s\n&/' >"$work/config.yaml"

# New connections, one for each request, for as long as it is not told otherwise.
load_begins() {
	start wrk client wrk -t 1 -c 20 -d 600s -H 'Connection: close' "http://$vip/"
	printf '%s' "$started_pid" >"$work/wrk.pid"
}

load_ends() { # LEAST-REQUESTS
	stop "$(cat "$work/wrk.pid")" INT || true
	eq "$(grep -E 'Socket errors|Non-2xx' "$work/wrk.out" || true)" "" "requests that failed"
	at_least "$(awk '/requests in/ { print $1 }' "$work/wrk.out")" "$1" "requests"
	requests=$(awk '/requests in/ { print $1 }' "$work/wrk.out")
}

case_ "nothing is announced before it can be served"
for host in "${balancers[@]}"; do
	succeeds ctl_of "$host" host routes "$(routes_of "$host")" --bird "$work/$host/bird.ctl"
	contains "$(cat "$work/output")" 'as nothing is attached' "what host routes says"
	refused 1 'nothing is attached' ctl_of "$host" host undrain
	refused 1 'nothing is attached' ctl_of "$host" host check
done
eq "$(next_hops)" "" "next hops of the router"

case_ "attached, all three are announced, and share the load"
on_each attach eth0 -f "$work/config.yaml" >/dev/null
announces "${balancers[@]}"
wait_for 15 "the balancers to settle" all_settled
for host in "${balancers[@]}"; do
	eq "$(ctl_of "$host" host status --json | jq -c '[.drained, .may_be_announced, .routes.wanted, .routes.count]')" \
		'[false,true,["203.0.113.10/32"],1]' "what host status says"
	succeeds ctl_of "$host" host check
done
load_begins
hold long -t 10000 -s 198.51.100.1/100 -p 20000-20004 "$vip" 9000
for host in "${balancers[@]}"; do
	gets_packets "$host"
done

case_ "one that is drained gets nothing more, and no connection breaks"
succeeds ctl_of balancer2 host drain
announces balancer balancer3
gets_nothing balancer2
gets_packets balancer3
refused 1 'is drained' ctl_of balancer2 host check
succeeds ctl_of balancer2 host drain
contains "$(cat "$work/output")" 'already drained' "what a second drain says"

case_ "taken back, it gets its share again, and no connection breaks"
succeeds ctl_of balancer2 host undrain
announces "${balancers[@]}"
gets_packets balancer2
succeeds ctl_of balancer2 host undrain
contains "$(cat "$work/output")" 'already in service' "what a second undrain says"
load_ends 500
release long
note "$requests requests and 500 connections that stay, over a drain and an undrain of one balancer in three: none failed"
