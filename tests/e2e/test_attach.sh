#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Attaching and detaching, and everything that stands in its way.
. "$(dirname "$0")/lib.sh"

two_armed

unattached() { # a program of another is on DEVICE, or none
	! ip -n "${LAB_PREFIX}balancer" link show "$1" | grep -q xdp
}

case_ "apply works before attach, and attach -f applies first"
web 0 nat | apply
succeeds ctl detach --all
succeeds ctl service del web
succeeds ctl attach eth0 eth1 -f "$work/config.yaml"
load first -s 198.51.100.1/10 -p 20000-20009 "$vip" 80

case_ "attach twice is no error, and says so"
contains "$(ctl attach eth0 eth1)" already "what a second attach says"

case_ "the attachment outlives the command, as a pinned link"
at_least "$(find "$CANARYCTL_BPFFS" -type f | wc -l)" 2 "pins"
contains "$(ip -n "${LAB_PREFIX}balancer" link show eth0)" xdp "eth0"

case_ "detach keeps the services"
succeeds ctl detach eth0 eth1
eq "$(stats '[.services[].name] | join(" ")')" web "services"
unattached eth0 || fail "there is still a program on eth0"
succeeds ctl attach eth0 eth1
load again -s 198.51.100.1/10 -p 21000-21009 "$vip" 80

case_ "the mode that was asked for is the one it has; generic works as well"
succeeds ctl detach --all
succeeds ctl attach eth0 eth1 --mode generic
eq "$(stats '[.interfaces[].mode] | unique | join(" ")')" generic "mode"
load generic -s 198.51.100.1/10 -p 22000-22009 "$vip" 80
succeeds ctl detach --all
succeeds ctl attach eth0 eth1 --mode native
eq "$(stats '[.interfaces[].mode] | unique | join(" ")')" native "mode"

case_ "auto falls back to generic on a driver without native XDP, and says so"
ip -n "${LAB_PREFIX}balancer" link add br9 type bridge
ip -n "${LAB_PREFIX}balancer" link set br9 up
refused 1 generic ctl attach br9 --mode native
contains "$(ctl attach br9 2>&1)" generic "what attach says"
succeeds ctl detach br9

case_ "a deleted interface is told from one that is there, and can be detached"
succeeds ctl attach br9
ip -n "${LAB_PREFIX}balancer" link del br9
succeeds ctl status
succeeds ctl detach --all
eq "$(ctl status --json | jq '.interfaces | length')" 0 "interfaces attached"
succeeds ctl attach eth0 eth1

case_ "an interface that has another XDP program is left alone"
ip -n "${LAB_PREFIX}balancer" link add veth8 type veth peer name veth9
xdp_program balancer veth8 xdp_pass
refused 1 "veth8.*(XDP|program)" ctl attach veth8
contains "$(ip -n "${LAB_PREFIX}balancer" link show veth8)" xdp "veth8"

case_ "all interfaces or none: one that fails leaves the others as they were"
succeeds ctl detach eth1
refused 1 "veth8" ctl attach eth1 veth8
unattached eth1 || fail "eth1 was attached"
refused 1 "eth7" ctl attach eth1 eth7
unattached eth1 || fail "eth1 was attached"
succeeds ctl attach eth1

case_ "without forwarding the kernel gives no routes: attach says what to set"
on balancer sysctl -qw net.ipv4.conf.veth9.forwarding=0
refused 1 "net.ipv4.conf.veth9.forwarding" ctl attach veth9
on balancer sysctl -qw net.ipv4.conf.veth9.forwarding=1

case_ "a bpffs directory that is none, or cannot be"
refused 1 bpf ctl status --bpffs /tmp/canaryctl-none
refused 1 bpf ctl attach eth0 --bpffs /tmp/canaryctl-none
refused 1 bpf ctl apply --bpffs /proc/canaryctl -f "$work/config.yaml"
[ ! -e /tmp/canaryctl-none ] || fail "/tmp/canaryctl-none was made"

case_ "two instances side by side keep apart"
mine=$CANARYCTL_BPFFS
export CANARYCTL_BPFFS=$mine-2
succeeds ctl service add second tcp 203.0.113.22:80
eq "$(stats '[.services[].name] | join(" ")')" second "services of the second"
succeeds ctl service del second
export CANARYCTL_BPFFS=$mine
eq "$(stats '[.services[].name] | join(" ")')" web "services of the first"
[ ! -e "$mine-2" ] || fail "pins of the second are left"

case_ "not root: reading and writing say so, validate and version work"
cp "$canaryctl" "$work/canaryctl"
chmod 711 "$work"
chmod 644 "$work/config.yaml"
nobody() {
	on balancer setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$work/canaryctl" "$@"
}
refused 1 "root|privilege|permi" nobody attach eth0
refused 1 "root|privilege|permi" nobody set-weight 5
refused 1 "root|privilege|permi" nobody apply -f "$work/config.yaml"
refused 1 "root|privilege|permi" nobody stats
succeeds nobody validate "$work/config.yaml"
succeeds nobody version

case_ "when the last service goes and nothing is attached, no pin is left"
succeeds ctl detach --all
succeeds ctl service del web
[ ! -e "$CANARYCTL_BPFFS" ] || fail "left: $(ls -R "$CANARYCTL_BPFFS")"
succeeds ctl status
succeeds ctl stats

case_ "the table of flows has the size that the first command asks for, and keeps it"
{ echo services: && web 0 nat; } >"$work/config.yaml"
succeeds ctl attach eth0 eth1 -f "$work/config.yaml" --max-flows 8192
eq "$(ctl status --json | jq .max_flows)" 8192 "room for flows"
refused 1 "has room for 8192" ctl apply -f "$work/config.yaml" --max-flows 8193
refused 2 "max-flows" ctl apply -f "$work/config.yaml" --max-flows 0
hold sized -s 198.51.100.1/20 -p 20000-20009 "$vip" 80
eq "$(ctl flows count --json | jq '.flows')" 200 "flows that are remembered"
succeeds ctl upgrade
eq "$(ctl status --json | jq .max_flows)" 8192 "room for flows after an upgrade"
release sized
