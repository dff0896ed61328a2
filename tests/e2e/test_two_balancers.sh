#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two balancers with the same configuration and keys choose alike, with nothing shared: connections that are moved from
# one to the other, or whose balancer starts anew, live on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_two.sh"

two_balancers

forwarded() { # [BALANCER]
	"ctl${1:-}" stats --json | jq '[.interfaces[].forwarded] | add'
}

both_settled() {
	settled && ctl2 status --json | jq -e '[.services[].window.open] | any | not' >/dev/null
}

attach
{
	echo services:
	web 30 l2 | sed 's/^    weight:/    idle_timeout: 3s\n&/; s/10.0.0.12"/&, weight: 3/'
	echo '    segments: [ {clients: 198.51.100.128/28, cohort: canary} ]'
} >"$work/config.yaml"
ctl apply -f "$work/config.yaml" >/dev/null
cp -p "$work/keys" "$work/keys2"
ctl2 attach eth0 >/dev/null
ctl2 apply -f "$work/config.yaml" >/dev/null
wait_for 15 "both balancers to settle" both_settled

case_ "explain says the same of 1,000 clients on both"
for ((i = 0; i < 1000; i++)); do
	echo "$((RANDOM % 223 + 1)).$((RANDOM % 256)).$((RANDOM % 256)).$((RANDOM % 256)):$((RANDOM + 1024))"
done | sed '1,50s/^[0-9.]*:/198.51.100.130:/' >"$work/clients"
explained() { # HOST DIR
	# shellcheck disable=SC2016  # the inner shell expands them
	CANARYCTL_BPFFS=$2 on "$1" bash -c 'while read -r client; do "$0" explain "$client" --json; done' "$canaryctl" \
		<"$work/clients" | jq -c '[.bucket, .cohort, .slot, .backend]'
}
explained balancer "$CANARYCTL_BPFFS" >"$work/explained1" &
pid=$!
explained balancer2 "$CANARYCTL_BPFFS-2" >"$work/explained2"
wait "$pid"
eq "$(wc -l <"$work/explained1")" 1000 "explanations"
eq "$(diff "$work/explained1" "$work/explained2" | head -n 4)" "" "what differs"
at_least "$(grep -c canary "$work/explained1")" 250 "flows of canary"

case_ "1,000 connections live on when the router moves them: to the other, to both, back, and from both to one"
all_to "${to_first[@]}"
hold moving -t 10000 -s 198.51.100.1/200 -p 20000-20004 "$vip" 80
before=$(forwarded 2)
for way in second first both second both first; do
	declare -n nexthops=to_$way
	all_to "${nexthops[@]}"
	sleep 2.2
done
at_least "$(($(forwarded 2) - before))" 4000 "packets that the second balancer has forwarded"
release moving
note "1000 flows moved 6 times; the second balancer forwarded $(($(forwarded 2) - before)) packets of them"

case_ "the same after both have walked the weight to 70 % and settled, for old connections and new"
all_to "${to_first[@]}"
hold stay -t 10000 -s 198.51.100.1/100 -p 21000-21001 "$vip" 80
all_to "${to_both[@]}"
release stay
for weight in 50 70; do
	succeeds ctl set-weight "$weight"
	succeeds ctl2 set-weight "$weight"
done
wait_for 15 "both balancers to settle" both_settled
all_to "${to_both[@]}"
hold later -t 10000 -s 198.51.100.1/200 -p 22000-22004 "$vip" 80
all_to "${to_second[@]}"
sleep 2.2
all_to "${to_first[@]}"
sleep 2.2
release later

# As a reboot: everything in the kernel is lost, only the files stay.
reboot() {
	ctl detach --all >/dev/null
	rm -rf "$CANARYCTL_BPFFS"
	sleep 0.5
	attach
	sed "s/weight: 30/weight: $1/" "$work/config.yaml" >"$work/after.yaml"
	ctl apply -f "$work/after.yaml" >/dev/null
}

case_ "a reboot: 1,000 connections of a settled balancer live on"
all_to "${to_first[@]}"
hold rebooted -t 10000 -s 198.51.100.1/200 -p 23000-23004 "$vip" 80
reboot 70
sleep 2.5
release rebooted

case_ "a reboot within an open window: connections that are older than the window live on"
wait_for 15 "the first balancer to settle" settled
hold within -t 10000 -s 198.51.100.1/200 -p 24000-24004 "$vip" 80
sed 's/weight: 30/weight: 10/' "$work/config.yaml" >"$work/less.yaml"
succeeds ctl apply -f "$work/less.yaml"
reboot 10
eq "$(service_window open)" true "the window after the reboot"
sleep 2.5
release within
