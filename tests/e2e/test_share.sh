#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The canary gets its share of flows, and backends theirs inside a cohort.
. "$(dirname "$0")/lib.sh"

two_armed
attach

services() { # WEIGHT AFFINITY
	cat <<YAML
  - name: web
    address: $vip
    port: 80
    protocol: tcp
    forward: nat
    affinity: $2
    weight: $1
    stable: [ {address: 10.0.0.11, port: 8080}, {address: 10.0.0.12, port: 8080, weight: 3} ]
    canary: [ {address: 10.0.0.21, port: 8080}, {address: 10.0.0.22, port: 8080} ]
YAML
}

services 0 flow | apply
port=10000
for weight in 5 25 50; do
	case_ "of 20,000 flows the canary gets $weight %, and each backend its part by weight"
	succeeds ctl set-weight "$weight"
	load "at$weight" -s 198.51.100.1/250 -p "$port-$((port + 79))" -n 20000 "$vip" 80
	port=$((port + 80))
	canary=$(on_cohort canary "at$weight")
	share_is "$canary" 20000 "$weight" "flows of canary"
	share_is "$(on_cohort stable2 "at$weight")" "$((20000 - canary))" 75 "stable2's part of stable"
	share_is "$(on_cohort canary2 "at$weight")" "$canary" 50 "canary2's part of canary"
done

case_ "a weight of two decimals counts: 0.25 %"
succeeds ctl set-weight 0.25
load quarter -s 198.51.100.1/250 -p 11000-11079 -n 20000 "$vip" 80
share_is "$(on_cohort canary quarter)" 20000 0.25 "flows of canary"

case_ "at 0 % the canary gets no flow, at 100 % all"
succeeds ctl set-weight 0
load none -s 198.51.100.1/250 -p 12000-12019 "$vip" 80
eq "$(on_cohort canary none)" 0 "flows of canary at 0 %"
succeeds ctl set-weight 100
load all -s 198.51.100.1/250 -p 12000-12019 "$vip" 80
eq "$(on_cohort canary all)" 5000 "flows of canary at 100 %"

case_ "with affinity client, all flows of a client are in one cohort, and the canary has its share of clients"
services 50 client | apply
load clients -s 198.51.100.1/250 -p 13000-13019 "$vip" 80
cohorts=$(awk '{ sub(/[0-9]$/, "", $3); print $1, $3 }' "$work/clients" | sort -u)
eq "$(wc -l <<<"$cohorts")" 250 "pairs of client and cohort"
share_is "$(grep -c canary <<<"$cohorts")" 250 50 "clients of canary"
