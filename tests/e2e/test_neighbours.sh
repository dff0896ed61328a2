#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Next hops are resolved and kept by the kernel; without one, packets are dropped and counted.
. "$(dirname "$0")/lib.sh"

LAB_ARMS=2 scripts/lab up
serve 8080

case_ "apply and attach have the next hops resolved, so that the first flows pass at once"
attach
web 50 nat | apply
sleep 0.5
load first -t 900 -s 192.0.2.10 -p 20000-20049 "$vip" 80
contains "$(ip -n "${LAB_PREFIX}balancer" neigh show 10.0.0.11)" managed "the neighbour entry of 10.0.0.11"

case_ "without a neighbour packets are dropped as no_neighbour, never routed by the service's address"
succeeds ctl service add dead tcp 203.0.113.77:80 --forward nat
succeeds ctl backend add dead stable 10.0.0.99:80
on client "$helpers/flowload" -t 500 -s 192.0.2.10 -p 30000-30004 203.0.113.77 80 >"$work/dead.summary" || true
eq "$(cat "$work/dead.summary")" "FLOWS ok 0 failed 5" "flows to a backend that is not there"
at_least "$(stats '.services[] | select(.name == "dead") | .cohorts.stable.drops.no_neighbour')" 5 "drops by no_neighbour"

case_ "a cohort without a route is counted as no_route"
succeeds ctl service add far tcp 203.0.113.78:80 --forward nat
succeeds ctl backend add far stable 172.16.9.9:80
on client "$helpers/flowload" -t 500 -s 192.0.2.10 -p 30000-30004 203.0.113.78 80 >"$work/far.summary" || true
at_least "$(stats '.services[] | select(.name == "far") | .cohorts.stable.drops.no_route')" 5 "drops by no_route"
