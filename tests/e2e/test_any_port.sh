#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A service with port 0 answers for every port; with affinity client, all ports of a client meet on one backend.
. "$(dirname "$0")/lib.sh"

two_armed 80 443 8000-8009 8080
attach

case_ "an any-port service made on the command line takes every port that no other service has"
succeeds ctl service add any tcp "$vip:0" --forward l2 --affinity client
succeeds ctl backend add any stable 10.0.0.11
succeeds ctl backend add any stable 10.0.0.12 --weight 2
succeeds ctl backend add any canary 10.0.0.21
succeeds ctl backend add any canary 10.0.0.22
succeeds ctl service add https tcp "$vip:443" --forward nat
succeeds ctl backend add https stable 10.0.0.22:443
succeeds ctl set-weight 50 --service any
for port in 80 8000 8005 8009; do
	load "to$port" -s 198.51.100.1/200 -p 20000-20001 "$vip" "$port"
done
share_is "$(awk '{ print $1, $3 }' "$work/to80" | sort -u | grep -c canary)" 200 50 "clients of canary"

case_ "all ports of a client go to one backend"
eq "$(cat "$work"/to80 "$work"/to800? | awk '{ print $1, $3 }' | sort -u | wc -l)" 200 "pairs of client and backend"

case_ "the exact service goes before the any-port one"
load https -s 198.51.100.1/50 -p 20000-20001 "$vip" 443
eq "$(grep -c canary2 "$work/https")" 100 "flows to the backend of https"

case_ "nat of every port keeps the port where the backend names none"
succeeds ctl service del any
succeeds ctl service add any tcp "$vip:0" --forward nat
succeeds ctl backend add any stable 10.0.0.11
load nat8003 -s 198.51.100.1/50 -p 20000-20001 "$vip" 8003
eq "$(on_cohort stable1 nat8003)" 100 "flows"
at_least "$(grep -c '10.0.0.11 8003$' "$work/stable1.log")" 100 "connections that stable1 saw on port 8003"
