#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Other XDP programs on the interface: refused with their names, or beside ours in libxdp's dispatcher, as the kernel lets us.
. "$(dirname "$0")/lib.sh"

# What libxdp pins, and the directory for it that stays, in a file system of this test.
export LIBXDP_BPFFS=$work/bpffs
mkdir "$LIBXDP_BPFFS"
mount -t bpf bpf "$LIBXDP_BPFFS"
mounts+=("$LIBXDP_BPFFS")

of_tools() { # what tools make in the host's bpffs
	find /sys/fs/bpf -maxdepth 1 \( -name xdp -o -name ip -o -name tc \) | sort
}
before_all=$(of_tools)

two_armed
web 0 nat | apply

xdp_chain() { # as tests/lib/xdp_chain.c says, on the balancer
	on balancer "$helpers/xdp_chain" "$@"
}

put_count() { # IFACE PRIORITY [generic]
	xdp_chain load "$1" "$helpers/xdp_count.bpf.o" xdp_count "${@:2}"
}

in_chain() { # FILTER: of eth0, as status has it
	ctl status --json | jq -r ".interfaces[] | select(.name == \"eth0\") | $1"
}

leaves_no_directories() {
	case_ "the labs and libxdp have left no directories in bpffs"
	eq "$(of_tools)" "$before_all" "directories"
}

attached() {
	ctl status --json | jq -r '[.interfaces[].name] | sort | join(" ")'
}

taken_off() { # IFACE: without any XDP program
	! ip -n "${LAB_PREFIX}balancer" link show "$1" | grep -q xdp
}

case_ "a program that netlink attached is named, and what removes it; --chain does not help"
xdp_program balancer eth0 xdp_pass
id=$(ip -n "${LAB_PREFIX}balancer" -j link show eth0 | jq '.[0].xdp.prog.id')
refused 1 "eth0 has another XDP program, xdp_pass \(id $id\), attached by netlink.*ip link set dev eth0 xdp off" ctl attach eth0
refused 1 "xdp_pass \(id $id\), attached by netlink" ctl attach eth0 --chain
eq "$(ip -n "${LAB_PREFIX}balancer" -j link show eth0 | jq '.[0].xdp.prog.id')" "$id" "the program on eth0"
on balancer ip link set dev eth0 xdp off

case_ "a program that a link holds is named with the link; of another canaryctl it is said"
on balancer env CANARYCTL_BPFFS="$CANARYCTL_BPFFS-2" "$canaryctl" attach eth0 >/dev/null
refused 1 "eth0 has another canaryctl's program, canary_xdp \(id [0-9]+\), held by link [0-9]+" ctl attach eth0
on balancer env CANARYCTL_BPFFS="$CANARYCTL_BPFFS-2" "$canaryctl" detach eth0 >/dev/null
rm -rf "$CANARYCTL_BPFFS-2"
taken_off eth0 || fail "there is still a program on eth0"

case_ "--priority is for --chain, and has bounds"
refused 2 "chain" ctl attach eth0 --priority 5
refused 2 "0 to 1000" ctl attach eth0 --chain --priority 1001
refused 2 "0 to 1000" ctl attach eth0 --chain --priority first

case_ "attached without --chain stays so"
succeeds ctl attach eth0
eq "$(in_chain .chain)" false "chain"
# Whether this kernel has chains or not: the program that is there is ours.
refused 1 "attached already, but not in a chain" ctl attach eth0 --chain
succeeds ctl detach eth0

# What the kernel gives, asked of libxdp itself.
code=0
put_count eth1 50 || code=$?
if [ "$code" -eq 3 ]; then
	on balancer ip link set dev eth1 xdp off
	case_ "without chains in the kernel, --chain says so and changes nothing"
	refused 1 "this kernel does not let programs extend others.*without --chain" ctl attach eth0 --chain
	taken_off eth0 || fail "there is a program on eth0"
	eq "$(ctl status --json | jq '.interfaces | length')" 0 "interfaces attached"
	succeeds ctl attach eth0 eth1
	load plain -s 198.51.100.1/10 -p 20000-20009 "$vip" 80
	leaves_no_directories
	exit 0
fi
eq "$code" 0 "exit code of xdp_chain load"
xdp_chain unload eth1 xdp_count

# Kernels that check whether packets change want a newer dispatcher than libxdp may have.
if ! on balancer "$canaryctl" attach eth0 --chain >/dev/null 2>&1; then
	case_ "a libxdp that is too old for the kernel is named"
	refused 1 "newer dispatcher than this libxdp has.*Extension program changes packet data" ctl attach eth0 --chain
	taken_off eth0 || fail "there is a program on eth0"
	mkdir "$work/objects"
	cp "$helpers/xdp_dispatcher.bpf.o" "$work/objects/xdp-dispatcher.o"
	export LIBXDP_OBJECT_PATH=$work/objects
else
	succeeds ctl detach eth0
fi

case_ "beside a program that sees packets first: both count, and flows go through"
put_count eth0 50
succeeds ctl attach eth0 eth1 --chain
eq "$(xdp_chain list eth0)" "xdp_count canary_xdp" "the chain"
eq "$(in_chain '"\(.chain) \(.position) \(.programs) \(.mode)"')" "true 2 2 native" "chain, position, programs, mode"
contains "$(ctl status)" "eth0 .*native mode, program 2 of 2" "what status says"
before=$(xdp_chain count eth0 xdp_count)
load first -s 198.51.100.1/10 -p 21000-21009 "$vip" 80
at_least "$(($(xdp_chain count eth0 xdp_count) - before))" 300 "packets that the other program saw"
eq "$(flows stable)" 100 "flows of stable"

case_ "packets are captured in a chain as well"
start capture balancer "$canaryctl" capture web --count 20 --json
wait_for 5 "the capture to begin" grep -qs capturing "$work/capture.err"
load captured -s 198.51.100.1/4 -p 21500-21504 "$vip" 80
wait "$started_pid" || fail "the capture failed: $(cat "$work/capture.err")"
eq "$(jq -r '"\(.service) \(.cohort) \(.verdict) \(.interface) \(.egress)"' "$work/capture.out" | sort -u | head -n 1)" \
	"web stable forwarded eth0 eth1" "what the lines say"

case_ "what is not a service's is passed on"
succeeds on client ping -q -c 3 -i 0.2 -W 2 192.0.2.1

case_ "without --chain the programs that are there are named"
refused 1 "eth0 has XDP programs in a dispatcher of libxdp: xdp_count \(id [0-9]+\), canary_xdp" \
	on balancer env CANARYCTL_BPFFS="$CANARYCTL_BPFFS-2" "$canaryctl" attach eth0
rm -rf "$CANARYCTL_BPFFS-2"
contains "$(ctl attach eth0 --chain)" "already.*program 2 of 2" "what a second attach says"

case_ "an upgrade replaces it in its place, and no flow notices"
hold upgrade -t 5000 -s 198.51.100.1/20 -p 22000-22004 "$vip" 80
for _ in 1 2; do
	succeeds ctl upgrade
	eq "$(xdp_chain list eth0)" "xdp_count canary_xdp" "the chain"
	load during -s 198.51.100.1/5 -p 23000-23003 "$vip" 80
done
release upgrade
eq "$(in_chain .position)" 2 "position"

case_ "the other one goes: ours stays, alone"
xdp_chain unload eth0 xdp_count
eq "$(xdp_chain list eth0) $(in_chain '"\(.position) \(.programs)"')" "canary_xdp 1 1" "the chain, as libxdp and status see it"
load alone -s 198.51.100.1/10 -p 24000-24009 "$vip" 80

case_ "the other one comes again, later in the order: it sees what ours passes"
put_count eth0 70
eq "$(xdp_chain list eth0)" "canary_xdp xdp_count" "the chain"
before=$(xdp_chain count eth0 xdp_count)
load after -s 198.51.100.1/10 -p 25000-25009 "$vip" 80
succeeds on client ping -q -c 3 -i 0.2 -W 2 192.0.2.1
within "$(($(xdp_chain count eth0 xdp_count) - before))" 10 8 "packets that the other program saw"

case_ "ours goes: the other stays; and the interface is free when both have gone"
succeeds ctl detach --all
eq "$(xdp_chain list eth0)" "xdp_count" "the chain"
taken_off eth1 || fail "there is still a program on eth1"
xdp_chain unload eth0 xdp_count
taken_off eth0 || fail "there is still a program on eth0"

case_ "--priority puts it first; the order is as good after an upgrade"
put_count eth0 50
succeeds ctl attach eth0 --chain --priority 5
eq "$(xdp_chain list eth0)" "canary_xdp xdp_count" "the chain"
succeeds ctl upgrade
eq "$(xdp_chain list eth0)" "canary_xdp xdp_count" "the chain after an upgrade"

case_ "taken out by somebody else: status says so, and attach puts it back"
xdp_chain unload eth0 canary_xdp
contains "$(ctl status)" "taken out" "what status says"
succeeds ctl attach eth0 --chain
eq "$(xdp_chain list eth0)" "xdp_count canary_xdp" "the chain"

case_ "killed between chain and pin: the next attach leaves one program of ours"
rm "$CANARYCTL_BPFFS"/chain_*
eq "$(ctl status --json | jq '.interfaces | length')" 0 "interfaces attached"
succeeds ctl attach eth0 --chain
eq "$(xdp_chain list eth0)" "xdp_count canary_xdp" "the chain"

pin_count() {
	find "$LIBXDP_BPFFS/xdp/" -name 'prog*' | wc -l
}

case_ "a deleted interface leaves nothing in memory"
ip -n "${LAB_PREFIX}balancer" link add veth8 type veth peer name veth9
succeeds ctl attach veth8 --chain
pins=$(pin_count)
ip -n "${LAB_PREFIX}balancer" link del veth8
contains "$(ctl status)" "veth8.*deleted" "what status says"
succeeds ctl detach veth8
eq "$(pin_count)" "$((pins - 2))" "pins of libxdp's"

case_ "an interface that was deleted with its network namespace stands in nothing's way"
ip netns add "${LAB_PREFIX}other"
on other sysctl -qw net.ipv4.conf.default.forwarding=1
# A number that none of the balancer's has.
ip -n "${LAB_PREFIX}other" link add veth8 index 90 type veth peer name veth9
succeeds on other "$canaryctl" attach veth8 --chain
eq "$(attached)" "eth0 veth8" "interfaces attached"
refused 1 "veth8 is in a chain in another network namespace" ctl upgrade
pins=$(pin_count)
ip netns del "${LAB_PREFIX}other"
veth8_is_gone() {
	ctl status | grep -q "veth8.*deleted"
}
wait_for 20 "status to say that veth8 was deleted" veth8_is_gone
succeeds ctl upgrade
eq "$(xdp_chain list eth0)" "xdp_count canary_xdp" "the chain after an upgrade"
succeeds ctl detach veth8
eq "$(attached) $(pin_count)" "eth0 $((pins - 2))" "interfaces attached, and pins of libxdp's"
eq "$(find "$CANARYCTL_BPFFS" -name '*_90')" "" "pins of ours"

case_ "in another network namespace it is neither changed nor lost, and the others are detached"
succeeds ctl attach eth1
refused 1 "eth0 is in a chain in another network namespace" timeout 60 "$canaryctl" detach --all
eq "$(attached)" "eth0" "interfaces attached"
refused 1 "another network namespace" timeout 60 "$canaryctl" upgrade
eq "$(in_chain .position)" 2 "position"
succeeds ctl detach --all
xdp_chain unload eth0 xdp_count

case_ "interfaces whose drivers are not alike: all in generic mode, and what keeps one from it is said"
ip -n "${LAB_PREFIX}balancer" link add br9 type bridge
put_count eth0 50
refused 1 "br9 can be attached in generic mode alone, as its driver has no other.*chain of eth0 in native" \
	ctl attach eth1 eth0 br9 --chain
eq "$(attached) $(xdp_chain list eth0)" " xdp_count" "interfaces attached, and the chain"
taken_off eth1 || fail "there is a program on eth1"
xdp_chain unload eth0 xdp_count
put_count eth0 50 generic
succeeds ctl attach eth0 eth1 --chain
contains "$(cat "$work/output")" '^eth0: attached in generic mode, as its chain is' "attach"
contains "$(cat "$work/output")" '^eth1: attached in generic mode, as the chain of eth0 is' "attach"
succeeds ctl detach --all
xdp_chain unload eth0 xdp_count
leaves_no_directories
