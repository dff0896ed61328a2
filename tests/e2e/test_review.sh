#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What changes around a balancer that runs: links, addresses, names and modes of interfaces, and a reboot.
. "$(dirname "$0")/lib.sh"

two_armed
attach

at_balancer() { # ARGUMENT...: of ip
	ip -n "${LAB_PREFIX}balancer" "$@"
}

answers() { # ADDRESS SOURCE: do 20 new flows get through?
	on client "$helpers/flowload" -t 300 -s "$2" -p 41000-41019 "$1" 80 >/dev/null
}

next_hops() { # the states of all next hops, once each
	ctl status --json 2>/dev/null | jq -r '[.services[].backends[].next_hop] | unique | join(" ")'
}

milliseconds() { # CMD...: how long it takes
	local begun=${EPOCHREALTIME/./}
	succeeds "$@"
	echo $(((${EPOCHREALTIME/./} - begun) / 1000))
}

case_ "after a loss of carrier towards the backends traffic flows again, with nobody's help"
{
	web 50 nat
	web 50 nat "$vip6" 80 tcp 2001:db8:10:: | sed 's/name: web/name: web6/'
} | apply
hold old -t 10000 -s 198.51.100.1/50 -p 20000-20001 "$vip" 80
hold old6 -t 10000 -s 2001:db8:51::1/50 -p 20000-20001 "$vip6" 80
for _ in 1 2; do
	ip -n "${LAB_PREFIX}switch" link set balancer down
	sleep 0.3
	contains "$(at_balancer neigh show 10.0.0.11)" lladdr "the neighbour while there is no carrier"
	contains "$(at_balancer neigh show 2001:db8:10::11)" lladdr "the neighbour while there is no carrier"
	ip -n "${LAB_PREFIX}switch" link set balancer up
	begun=${EPOCHREALTIME/./}
	wait_for 2 "flows over IPv4" answers "$vip" 192.0.2.10
	wait_for 2 "flows over IPv6" answers "$vip6" 2001:db8:2::10
	at_least $((2000000 - (${EPOCHREALTIME/./} - begun))) 0 "microseconds left of two seconds"
done
sleep 1.5
release old
release old6

case_ "next hops that are gone as their interface was set down show in the status, until attach asks for them"
eq "$(next_hops)" resolved "next hops"
succeeds ctl status
eq "$(grep -c warning "$work/output")" 0 "warnings"
succeeds ctl service del web6
at_balancer link set eth1 down
at_balancer link set eth1 up
eq "$(next_hops)" unresolved "next hops"
succeeds ctl status
contains "$(cat "$work/output")" '^warning: 4 next hops are not resolved: run canaryctl attach eth0 eth1$' "status"
contains "$(cat "$work/output")" '10.0.0.11:8080 .*next hop not resolved' "status"
succeeds ctl attach eth0 eth1
eq "$(next_hops)" resolved "next hops"
answers "$vip" 192.0.2.10 || fail "flows do not get through"
at_balancer link set eth1 down
at_balancer link set eth1 up
succeeds ctl apply -f <(sed '/name: web6/,$d' "$work/config.yaml")
eq "$(next_hops)" resolved "next hops after an apply that changes nothing"
eq "$(nsenter --net="/run/netns/${LAB_PREFIX}client" -- "$canaryctl" status --json 2>/dev/null |
	jq -r '[.services[].backends[].next_hop] | unique | join(" ")')" unknown "next hops as seen from another namespace"

case_ "stop does not wait for a command that waits for a neighbour"
start slow balancer "$canaryctl" backend add web stable 10.0.0.99:8080
sleep 0.15
took=$(milliseconds ctl stop)
at_least 400 "$took" "milliseconds that stop took, at most 400"
note "stop took $took ms while backend add waited for a next hop"
wait "$started_pid" || fail "backend add failed: $(cat "$work/slow.err")"
contains "$(cat "$work/slow.err")" '10.0.0.99: no answer to ARP' "backend add"
sed '/name: web6/,$d; s/weight: 50/weight: 0/' "$work/config.yaml" >"$work/slow.yaml"
sed 's/10.0.0.12/10.0.0.98/' "$work/slow.yaml" >"$work/slower.yaml"
start slow balancer "$canaryctl" apply -f "$work/slower.yaml"
sleep 0.15
took=$(milliseconds ctl stop)
at_least 400 "$took" "milliseconds that stop took, at most 400"
wait "$started_pid" || fail "apply failed: $(cat "$work/slow.err")"
succeeds ctl apply -f "$work/slow.yaml"

case_ "new backends get no packets before their next hop is resolved"
succeeds ctl service del web
web 0 nat | sed 's/, {address: "10.0.0.12"[^}]*}//' | apply
at_balancer neigh del 10.0.0.12 dev eth1
start storm client "$helpers/flowload" -o "$work/storm" -r 2000 -s 198.51.100.1/100 -p 10000-10019 "$vip" 80
sleep 0.3
succeeds ctl backend add web stable 10.0.0.12:8080
wait "$started_pid" || fail "flows: $(cat "$work/storm.out")"
at_least "$(on_cohort stable2 storm)" 100 "flows of the new backend"
eq "$(stats '.services[0].cohorts.stable.drops.no_neighbour')" 0 "packets without a neighbour"

case_ "an ipip backend has its tunnel's source when it begins"
tunnel_ends
succeeds ctl service del web
web 0 ipip | sed 's/, {address: "10.0.0.12"[^}]*}//' | apply
start storm client "$helpers/flowload" -o "$work/storm" -r 2000 -s 198.51.100.1/100 -p 10000-10019 "$vip" 80
sleep 0.3
succeeds ctl backend add web stable 10.0.0.12
wait "$started_pid" || fail "flows: $(cat "$work/storm.out")"
eq "$(stats '.services[0].cohorts.stable.drops.total')" 0 "packets dropped"
tunnels_were_sound 4in4

case_ "interfaces that are attached together in mode auto get the same mode"
succeeds ctl detach --all
at_balancer link add br9 type bridge
at_balancer link set br9 up
ctl attach eth0 eth1 br9 >"$work/output" 2>/dev/null
eq "$(stats '[.interfaces[].mode] | join(" ")')" "generic generic generic" "modes"
contains "$(cat "$work/output")" '^eth0: attached in generic mode, as the driver of br9 has no native one' "attach"
contains "$(cat "$work/output")" '^br9: attached in generic mode, as its driver has no native one' "attach"
succeeds ctl detach --all
succeeds ctl attach eth0 eth1
eq "$(grep -c warning "$work/output")" 0 "warnings"
succeeds ctl attach br9
eq "$(stats '[.interfaces[].mode] | join(" ")')" "native native generic" "modes"
contains "$(cat "$work/output")" 'warning: eth1 is attached in native mode and br9 in generic.*ndo_xdp_xmit' "attach"
succeeds ctl detach --all

case_ "generic mode with GRO on is warned of"
on balancer ethtool -K eth0 gro on
on balancer ethtool -K eth1 gro off
succeeds ctl attach eth0 eth1 --mode generic
eq "$(grep -c warning "$work/output")" 1 "warnings in $(cat "$work/output")"
contains "$(cat "$work/output")" 'warning: eth0 merges packets.*run ethtool -K eth0 gro off$' "attach"
on balancer ethtool -K eth0 gro off
succeeds ctl attach eth0 eth1 --mode generic
eq "$(grep -c warning "$work/output")" 0 "warnings"
succeeds ctl detach --all
succeeds ctl attach eth0 eth1

case_ "another MAC address of an attached interface shows in the status, until attach reads it again"
mac=$(mac_of balancer)
at_balancer link set eth0 address 02:00:00:00:00:99
eq "$(ctl status --json 2>"$work/complaint" | jq -c '[.interfaces[].mac_changed]')" "[true,false]" "mac_changed"
contains "$(jq -r .warning "$work/complaint")" \
	"^eth0's address changed from $mac to 02:00:00:00:00:99.*: run canaryctl attach eth0\$" "the warning"
succeeds ctl attach eth0
eq "$(ctl status --json | jq -c '[.interfaces[].mac_changed]')" "[false,false]" "mac_changed"
at_balancer link set eth0 address "$mac"
succeeds ctl attach eth0

case_ "an interface that was renamed is detached by its new name, or else by its old one"
at_balancer link add veth8 type veth peer name veth9
at_balancer link set veth8 up
for name in new9 veth8; do
	succeeds ctl attach veth8
	at_balancer link set veth8 down
	at_balancer link set veth8 name new9
	succeeds ctl detach "$name"
	contains "$(cat "$work/output")" "^$name: detached" "detach"
	at_balancer link set new9 name veth8
	at_balancer link set veth8 up
done

case_ "a service that is renamed is deleted and added, and a dry run says so"
sed 's/name: web/name: web2/' "$work/config.yaml" >"$work/renamed.yaml"
contains "$(ctl apply --dry-run -f "$work/renamed.yaml")" '^note: web2 is web under another name: .*may break$' "a dry run"
eq "$(ctl apply --dry-run --json -f "$work/renamed.yaml" | jq '.notes | length')" 1 "notes"
eq "$(ctl apply --dry-run --json -f "$work/config.yaml" | jq -c .notes)" "[]" "notes"

# As a reboot does it: nothing is left of what the kernel had.
reboot() { # and comes back with a configuration
	succeeds ctl detach --all
	rm -r "$CANARYCTL_BPFFS"
	succeeds ctl attach eth0 eth1
	succeeds ctl apply -f "$1"
}

state=$CANARYCTL_KEY_FILE.state-${CANARYCTL_BPFFS##*/}

case_ "each instance keeps its state in a file of its own"
succeeds test -s "$state"
saved=$(cat "$state")
succeeds ctl --bpffs "$CANARYCTL_BPFFS-2/" service add second tcp 203.0.113.22:80
eq "$(cat "$state")" "$saved" "the state of the first"
eq "$(jq -c '[.services[].name]' "$state-2")" '["second"]' "the state of the second"
succeeds ctl --bpffs "$CANARYCTL_BPFFS-2" service del second
[ ! -e "$state-2" ] || fail "$state-2 is left"

case_ "a reboot leaves weights and salts as they were, also of services without an open window"
{
	web 0 l2
	echo '    idle_timeout: 1s'
} | sed 's/^    weight: .*/    affinity: flow/' | apply
succeeds ctl set-weight 30 --new-salt
wait_for 20 "the window to close" settled
bucket=$(ctl explain 198.51.100.1:20000 --json | jq .bucket)
eq "$(jq -c '[.services[0].salt_number, .services[0].window.salt_number]' "$state")" '[1,0]' "the state"
reboot "$work/config.yaml"
eq "$(stats '.services[0].weight')" 30 "weight"
eq "$(ctl explain 198.51.100.1:20000 --json | jq .bucket)" "$bucket" "bucket"
sed 's/affinity: flow/weight: 10/' "$work/config.yaml" >"$work/next.yaml"
reboot "$work/next.yaml"
eq "$(stats '.services[0].weight')" 10 "weight that the file names"
eq "$(ctl explain 198.51.100.1:20000 --json | jq .bucket)" "$bucket" "bucket"
echo 'not json' >"$state"
reboot "$work/config.yaml"
contains "$(cat "$work/output")" "warning: .*cannot be read: $state is damaged" "apply"
eq "$(stats '.services[0].weight')" 0 "weight"

case_ "what was stopped before a reboot stays so, if the file names the weight that it had or none"
{
	web 30 l2
	echo '    idle_timeout: 1s'
} | apply
sed '/^    weight:/d' "$work/config.yaml" >"$work/kept.yaml"
sed 's/^    weight:.*/    weight: 40/' "$work/config.yaml" >"$work/next.yaml"
succeeds ctl set-weight 30 --lease 1s
sleep 2
succeeds ctl backend add web stable 10.0.0.11 --weight 2 # saves it
for windows in open closed; do
	[ "$windows" = open ] || wait_for 20 "the window to close" settled
	for file in kept config; do
		reboot "$work/$file.yaml"
		eq "$(ctl status --json | jq -c '.services[0] | [.weight, .effective_weight, .stopped]')" '[30,0,true]' \
			"$file.yaml, with its window $windows"
	done
done
reboot "$work/next.yaml"
eq "$(ctl status --json | jq -c '.services[0] | [.weight, .effective_weight, .stopped]')" '[40,40,false]' "another weight"

survives_reboot() { # FORWARD
	case_ "$1: connections that follow an older choice live through a reboot while its window is open"
	ctl service del web >/dev/null 2>&1 || true
	web 0 "$1" | sed 's/^    weight: .*/    affinity: flow/' | apply
	hold old -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
	succeeds ctl set-weight 60 --new-salt
	succeeds ctl set-weight 100
	succeeds ctl backend drain web 10.0.0.22
	reboot "$work/config.yaml"
	eq "$(service_window open)" true "the window is open"
	eq "$(stats '.services[0].weight')" 100 "weight"
	eq "$(jq -c '[.services[0].salt_number, .services[0].window.salt_number, .services[0].window.weight_hundredths]' "$state")" '[1,0,0]' \
		"the state"
	load new -s 198.51.100.100/10 -p 20000-20009 "$vip" 80
	eq "$(on_cohort canary new)" 100 "flows of canary"
	sleep 2.5
	release old
	eq "$(on_cohort stable old)" 200 "flows of stable"
}

survives_reboot l2
tunnel_ends
survives_reboot ipip
