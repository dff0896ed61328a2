#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Connections that are born inside a window, or older than it, and that the router moves to a balancer which does not know
# them: in gue they live on, as the backends pass on to each other what is not theirs.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_two.sh"

two_balancers
# What a backend's program sends back reaches the switch only if a program takes it in there.
for host in $all_backends; do
	xdp_program switch "$host" xdp_pass
done

with_peers() {
	decap_ends --peers 10.0.0.0/24,2001:db8:10::/64
}

# Both balancers have the service anew, with no window: WEIGHT of the first, of the second, and the backends' NET
anew() {
	ctl service del web >/dev/null 2>&1 || true
	ctl2 service del web >/dev/null 2>&1 || true
	web "$1" gue "$vip" 80 tcp "$3" | apply
	{
		echo services:
		web "$2" gue "$vip" 80 tcp "$3"
	} >"$work/config2.yaml"
	ctl2 apply -f "$work/config2.yaml" >/dev/null
}

attach
cp -p "$work/keys" "$work/keys2"
ctl2 attach eth0 >/dev/null
all_to "${to_first[@]}"

second_chances() { # of both balancers
	echo "$(($(stats '[.services[].cohorts[].second_chance] | add') +
		$(ctl2 stats --json | jq '[.services[].cohorts[].second_chance] | add')))"
}

exposed_flows() {
	ctl status --json | jq '.services[0].exposed_flows'
}

# 200 connections of the first balancer's, from both sides of its change to 50 %, which are on the second afterwards.
older_and_born() { # NAME PORT
	hold "$1-older" -t 10000 -s 198.51.100.1/50 -p "$2-$(($2 + 1))" "$vip" 80
	succeeds ctl set-weight 50
	hold "$1-born" -t 10000 -s 198.51.100.1/50 -p "$(($2 + 2))-$(($2 + 3))" "$vip" 80
	# Each has spoken since, and is remembered where it is to be.
	sleep 1.2
}

move() { # to the second, to both, and back
	all_to "${to_second[@]}"
	sleep 2.2
	all_to "${to_both[@]}"
	sleep 2.2
	all_to "${to_first[@]}"
	sleep 1.2
}

case_ "with no second chance, flows that are born in the window break when the router moves them, and status said so"
decap_ends
anew 0 0 10.0.0.
older_and_born none 20000
succeeds ctl2 set-weight 50
born=$(exposed_flows)
share_is "$born" 100 50 "exposed flows: those of canary among the ones that were born at 50 %"
contains "$(ctl status)" "$born exposed flows" "status"
move
let_go none-born
release none-older
eq "$(broken_on canary none-born)" "$born" "flows of canary that broke"
eq "$(broken_on stable none-born)" 0 "flows of stable that broke"
eq "$(decap_counted '.packets | .kept + .passed_on')" 0 "packets that decap looked at twice"
at_least "$(second_chances)" "$born" "packets that named a second backend"

case_ "nor do older ones survive on a balancer whose window is the other way round"
anew 0 50 10.0.0.
older_and_born round 21000
succeeds ctl2 set-weight 0
move
let_go round-older
release round-born
at_least "$(broken_on stable round-older)" 20 "older flows that broke"

survives() { # NAME PORT NET WEIGHT-BEFORE WEIGHT-THEN of the second balancer
	local sent looked passed
	anew 0 "$4" "$3"
	sent=$(second_chances)
	looked=$(decap_counted '.packets | .kept + .passed_on')
	passed=$(decap_counted .packets.passed_on)
	older_and_born "$1" "$2"
	succeeds ctl2 set-weight "$5"
	move
	release "$1-older"
	release "$1-born"
	share_is "$(on_cohort canary "$1-born")" 100 50 "flows of canary among those that were born at 50 %"
	passed=$(($(decap_counted .packets.passed_on) - passed))
	at_least "$passed" 100 "packets that were passed on"
	# Each is looked at once: where it is passed on to, it names nobody any more.
	eq "$(($(decap_counted '.packets | .kept + .passed_on') - looked))" "$(($(second_chances) - sent))" \
		"packets that named a second backend, as the backends have them"
	note "$1: of $(($(second_chances) - sent)) packets that named a second backend $passed were passed on to it"
}

case_ "with one, none breaks: both balancers have the new weight"
with_peers
eq "$(ctl decap status --json | jq -c '[.interfaces[].peers] | unique')" '[["10.0.0.0/24","2001:db8:10::/64"]]' "peers"
survives new 22000 10.0.0. 0 50

case_ "with one, none breaks: one has the new weight, the other is back at the old one"
survives old 23000 10.0.0. 50 0

case_ "the same through IPv6"
survives six 24000 2001:db8:10:: 0 50

case_ "none breaks either when the balancer that they came to changes back"
anew 0 0 10.0.0.
older_and_born later 25000
succeeds ctl2 set-weight 50
all_to "${to_second[@]}"
sleep 2.2
succeeds ctl2 set-weight 0
sleep 2.2
release later-older
release later-born

case_ "it says what is wrong with the peers"
refused 2 'would be passed on to anybody' on canary1 "$canaryctl" decap attach eth0 --peers 0.0.0.0/0
refused 2 'would be passed on to anybody' on canary1 "$canaryctl" decap attach eth0 --peers 10.0.0.0/24,::/0
refused 2 'a prefix: write' on canary1 "$canaryctl" decap attach eth0 --peers 10.0.0.0/24,
refused 2 'bits set beyond' on canary1 "$canaryctl" decap attach eth0 --peers 10.0.0.1/24
