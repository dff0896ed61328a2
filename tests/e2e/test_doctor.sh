#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `canaryctl doctor`: finds nothing in a sound lab, and then each thing that is broken, by its name and with what to do.
. "$(dirname "$0")/lib.sh"

export CANARYD_SOCKET=$work/canaryd.sock
two_armed
attach
web 50 nat | apply
lab=$LAB_PREFIX

examine() { # CMD...: a doctor's findings are in $work/found, its exit code in $code
	code=0
	"$@" --json >"$work/found" 2>"$work/complaint" || code=$?
}

# What is neither well nor beside the point, a line each, but for the clock, which is the machine's.
ailments() {
	jq -r '.checks[] | select(.check != "clock" and (.state | . == "warning" or . == "problem")) |
		"\(.state) \(.check) \(.subject)"' "$work/found"
}

sound() { # CMD...
	examine "$@"
	eq "$code $(ailments)" "0 " "exit code of '$*' and what it finds ($(cat "$work/complaint"))"
}

# All that a doctor finds is this: STATE CHECK SUBJECT FOUND ADVICE [CMD...]
finds() {
	local state=$1 check=$2 subject=$3 what=$4 advice=$5 wanted=0
	shift 5
	[ $# -gt 0 ] || set -- ctl doctor
	[ "$state" != problem ] || wanted=1
	examine "$@"
	eq "$code" "$wanted" "exit code of '$*'"
	eq "$(ailments)" "$state $check $subject" "what '$*' finds"
	contains "$(jq -r --arg check "$check" --arg state "$state" \
		'.checks[] | select(.check == $check and .state == $state) | .found' "$work/found")" "$what" "what it says"
	contains "$(jq -r --arg check "$check" --arg state "$state" \
		'.checks[] | select(.check == $check and .state == $state) | .advice' "$work/found")" "$advice" "what it advises"
}

state_of() { # CHECK [CMD...]: the states of its findings
	local check=$1
	shift
	[ $# -gt 0 ] || set -- ctl doctor
	examine "$@"
	jq -r --arg check "$check" '[.checks[] | select(.check == $check).state] | unique | join(" ")' "$work/found"
}

# With files of the kernel's that say something else, for the doctor alone: FILE TEXT CMD...
pretending() {
	printf '%s\n' "$2" >"$work/pretended"
	# shellcheck disable=SC2016  # the inner shell expands them
	unshare --mount --propagation private sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$work/pretended" "$1" "${@:3}"
}

case_ "in a sound lab each check has its say, and none complains"
sound ctl doctor
eq "$(jq -r '[.checks[].check] | unique | length' "$work/found")" \
	"$(grep -c '^	X(' user/cli/doctor_checks.h)" "checks that said something"
eq "$(jq -c '.ok + .warnings + .problems + .not_applicable == (.checks | length)' "$work/found")" true "the totals"
eq "$(jq -r '[.checks[] | select(.state == "ok" and .advice != null)] | length' "$work/found")" 0 "advice where all is well"
eq "$(jq -r '[.checks[] | select(.state == "ok").check] | unique | join(" ")' "$work/found" |
	tr ' ' '\n' | grep -vx clock | xargs)" \
	"bpf_stats btf capabilities forwarding interfaces kernel keys losses mode mtu neighbours offloads pins programs routes rp_filter sweeper" \
	"what is well"

case_ "the clock is judged by what the kernel says of it"
unsynchronised=$(python3 -c 'import ctypes; b = ctypes.create_string_buffer(512); ctypes.CDLL(None).adjtimex(b)
print(int.from_bytes(b.raw[40:44], "little") >> 6 & 1)')
eq "$(state_of clock)" "$([ "$unsynchronised" = 1 ] && echo warning || echo ok)" "the clock"

case_ "as text it lines up, without an escape in a file, with colours on a terminal"
ctl doctor >"$work/text"
eq "$(grep -c $'\x1b' "$work/text")" 0 "lines with an escape"
eq "$(sed '/^$/,$d' "$work/text" | grep -cvE '^((ok|warning|-) +[a-z_]+ +[^ ]|  +to do: )')" 0 "lines that are no finding"
# The third column begins where that of the first line does.
column=$(head -n 1 "$work/text" | grep -ob 'Linux' | cut -d: -f 1)
eq "$(sed '/^$/,$d' "$work/text" | cut -c "$column" | sort -u)" " " "what is before the third column"
contains "$(tail -n 1 "$work/text")" '^[0-9]+ ok, warnings: [01], problems: 0, not applicable: [0-9]+$' "the last line"
on balancer sysctl -qw net.ipv4.conf.eth1.forwarding=0
TERM=xterm on balancer script -qefc "$canaryctl doctor" /dev/null >"$work/terminal" && fail "a problem, and exit code 0"
contains "$(cat "$work/terminal")" $'\x1b\\[31mPROBLEM' "the problem on a terminal"
refused 1 '^canaryctl: 1 problem$' ctl doctor
on balancer sysctl -qw net.ipv4.conf.eth1.forwarding=1

case_ "settings of the network: forwarding, the reverse path filter"
on balancer sysctl -qw net.ipv4.conf.eth1.forwarding=0
finds problem forwarding eth1 'off for IPv4.*no_route' 'sysctl -w net/ipv4/conf/eth1/forwarding=1'
on balancer sysctl -qw net.ipv4.conf.eth1.forwarding=1
on balancer sysctl -qw net.ipv4.conf.eth0.rp_filter=1
finds warning rp_filter eth0 '^strict: .*another interface' 'net/ipv4/conf/eth0/rp_filter=2'
on balancer sysctl -qw net.ipv4.conf.eth0.rp_filter=2
sound ctl doctor
on balancer sysctl -qw net.ipv4.conf.{eth1,all}.rp_filter=1
finds warning rp_filter eth1 'strict' 'eth1'
on balancer sysctl -qw net.ipv4.conf.eth1.rp_filter=0
finds warning rp_filter eth1 'by net.ipv4.conf.all' 'net/ipv4/conf/eth1/rp_filter=2'
on balancer sysctl -qw net.ipv4.conf.{eth0,all}.rp_filter=0
sound ctl doctor

case_ "a backend that does not answer, and one without a route"
ip -n "${lab}stable1" link set eth0 down
ip -n "${lab}balancer" neigh flush dev eth1 to 10.0.0.11
finds problem neighbours 10.0.0.11 'no answer to ARP on eth1.*no_neighbour' 'canaryctl attach eth0 eth1'
ip -n "${lab}stable1" link set eth0 up
ip -n "${lab}stable1" route add default via 10.0.0.1
attach
sound ctl doctor
ctl backend add web stable 172.16.9.9:80 >/dev/null 2>&1
finds problem routes 172.16.9.9 'web: no route.*no_route' 'add a route'
ctl backend del web 172.16.9.9:80 >/dev/null

case_ "nat without the interface that answers come in by: by itself, in a bridge"
ctl detach eth1 >/dev/null
finds problem routes web 'nat, and eth1, .* is not attached: answers .* no client' 'canaryctl attach eth1'
attach
sound ctl doctor
ip -n "${lab}balancer" link add port0 type veth peer name port1
ip -n "${lab}balancer" link add br9 type bridge
ip -n "${lab}balancer" link set port0 master br9
for interface in port0 port1 br9; do
	ip -n "${lab}balancer" link set "$interface" up
done
ip -n "${lab}balancer" addr add 10.9.0.1/24 dev br9
ip -n "${lab}balancer" neigh add 10.9.0.2 lladdr 02:00:00:00:09:02 dev br9 nud permanent
succeeds ctl service add bridged tcp 203.0.113.99:80 --forward nat
succeeds ctl backend add bridged stable 10.9.0.2
finds problem routes bridged 'nat, and br9, ' 'canaryctl attach br9'
succeeds ctl attach port0
sound ctl doctor
succeeds ctl detach port0
succeeds ctl service del bridged
ip -n "${lab}balancer" link del br9
ip -n "${lab}balancer" link del port0
sound ctl doctor

case_ "a tunnel that there is no room for, and one that connections would hang in"
web 50 ipip | apply
finds warning mtu web 'eth1, ipip.s header of 20 taken off, leaves 1480 bytes, and clients may send 1500: .*too_big' \
	'ip link set eth1 mtu 1520'
ip -n "${lab}balancer" link set eth1 mtu 1520
sound ctl doctor
web 50 gue | apply
finds warning mtu web 'gue.s header of 32 taken off, leaves 1488 bytes' 'ip link set eth1 mtu 1532'
ip -n "${lab}balancer" link set eth1 mtu 600
finds problem mtu web 'leaves 568 bytes: .*connections hang' 'ip link set eth1 mtu 1532'
ip -n "${lab}balancer" link set eth1 mtu 1500
web 50 nat | apply
sound ctl doctor

case_ "an address on the clients' network: nobody answers for it, another host does, this one does"
client_mac=$(mac_of client)
succeeds ctl service add near tcp 192.0.2.50:80
finds problem addresses 192.0.2.50 'on the network of eth0, and nobody answers ARP' 'ip address add 192.0.2.50/32 dev eth0'
ip -n "${lab}client" addr add 192.0.2.50/32 dev lo
finds problem addresses 192.0.2.50 "$client_mac on eth0 answers ARP.*past the balancer" 'take the address off that host'
ip -n "${lab}client" addr del 192.0.2.50/32 dev lo
ip -n "${lab}balancer" neigh add proxy 192.0.2.50 dev eth0
sound ctl doctor
ip -n "${lab}balancer" neigh del proxy 192.0.2.50 dev eth0
ip -n "${lab}balancer" addr add 192.0.2.50/32 dev lo
sound ctl doctor
contains "$(jq -r '.checks[] | select(.subject == "192.0.2.50").found' "$work/found")" 'this host answers ARP for it on eth0' "who"
on balancer sysctl -qw net.ipv4.conf.eth0.arp_ignore=1
finds problem addresses 192.0.2.50 'nobody answers ARP' 'dev eth0'
ip -n "${lab}balancer" addr del 192.0.2.50/32 dev lo
ip -n "${lab}balancer" addr add 192.0.2.50/32 dev eth0
sound ctl doctor
# Others that have it, too.
ip -n "${lab}client" addr add 192.0.2.50/32 dev lo
finds problem addresses 192.0.2.50 "$client_mac on eth0" 'take the address off'
ip -n "${lab}client" addr del 192.0.2.50/32 dev lo
on balancer sysctl -qw net.ipv4.conf.eth0.arp_ignore=0
succeeds ctl service del near

case_ "the same of IPv6, where the kernel does not answer for an address of lo"
succeeds ctl service add near6 tcp '[2001:db8:2::50]:80'
finds problem addresses 2001:db8:2::50 'nobody answers neighbour discovery' 'ip address add 2001:db8:2::50/128 dev eth0'
ip -n "${lab}balancer" addr add 2001:db8:2::50/128 dev lo
finds problem addresses 2001:db8:2::50 'nobody answers neighbour discovery' 'dev eth0'
ip -n "${lab}balancer" addr del 2001:db8:2::50/128 dev lo
ip -n "${lab}balancer" addr add 2001:db8:2::50/128 dev eth0 nodad
sound ctl doctor
ip -n "${lab}client" addr add 2001:db8:2::50/128 dev eth0 nodad
finds problem addresses 2001:db8:2::50 "$client_mac on eth0 answers neighbour discovery" 'take the address off'
ip -n "${lab}client" addr del 2001:db8:2::50/128 dev eth0
ip -n "${lab}balancer" addr del 2001:db8:2::50/128 dev eth0
succeeds ctl service del near6

case_ "an address that routers send here: packets that came tell; backends that answer for it on their network are warned of"
eq "$(state_of addresses)" not_applicable "before a packet has come"
load flows -s 192.0.2.10 -p 20000-20009 "$vip" 80
eq "$(state_of addresses)" ok "after that"
on canary1 sysctl -qw net.ipv4.conf.all.arp_ignore=0
finds warning addresses "$vip" "$(mac_of canary1) on eth1 answers ARP" 'arp_ignore=1'
on canary1 sysctl -qw net.ipv4.conf.all.arp_ignore=1

case_ "nat without that interface, where answers have come before: it may be well"
ctl detach eth1 >/dev/null
finds warning routes web 'nat, and eth1, ' 'canaryctl attach eth1'
attach
sound ctl doctor

case_ "an interface that is down, that has another address, whose link's other end is down"
mac=$(mac_of balancer)
ip -n "${lab}balancer" link set eth0 address 02:00:00:00:00:77
finds problem interfaces eth0 'MAC address has changed' 'canaryctl attach eth0'
ip -n "${lab}balancer" link set eth0 address "$mac"
sound ctl doctor
ip -n "${lab}client" link set eth0 down
finds problem interfaces eth0 'no carrier' 'other end'
ip -n "${lab}client" link set eth0 up
ip -n "${lab}balancer" link set eth0 down
finds problem interfaces eth0 'is down' 'ip link set eth0 up'
ip -n "${lab}balancer" link set eth0 up

case_ "what is lost after the verdict"
examine ctl doctor
eq "$(jq '[.checks[] | select(.check == "losses").found | capture("^(?<n>[0-9]+) packets").n | tonumber] | add' "$work/found")" \
	"$(stats '[.interfaces[].forwarded] | add')" "packets sent on"

case_ "generic mode, with packets that are merged; both modes at once"
ctl detach --all >/dev/null
ctl attach eth0 eth1 --mode generic >/dev/null 2>&1
eq "$(state_of mode)" warning "the mode"
on balancer ethtool -K eth0 gro on >/dev/null
examine ctl doctor
eq "$code $(ailments | xargs)" "0 warning mode eth0 warning mode eth1 warning offloads eth0" "what it finds"
contains "$(jq -r '.checks[] | select(.check == "offloads" and .state == "warning").advice' "$work/found")" \
	'ethtool -K eth0 gro off' "its advice"
on balancer ethtool -K eth0 gro off >/dev/null
ctl detach eth1 >/dev/null
ctl attach eth1 --mode native >/dev/null 2>&1
examine ctl doctor
contains "$(jq -r '.checks[] | select(.check == "mode").found' "$work/found")" 'eth1 is in native mode and eth0 in generic' "both"
ctl detach --all >/dev/null
attach
sound ctl doctor

case_ "interfaces that are named, attached or not; another program there; one that does not exist"
sound ctl doctor eth0 eth0
eq "$(jq -r '[.checks[] | select(.check == "mode").subject] | join(" ")' "$work/found")" eth0 "what it looks at"
examine on client "$canaryctl" doctor eth0 --bpffs "$CANARYCTL_BPFFS-2"
eq "$(jq -c '.checks[] | select(.check == "programs") | [.state, .subject]' "$work/found")" '["warning","eth0"]' "another program"
contains "$(jq -r '.checks[] | select(.check == "programs") | .found + " " + .advice' "$work/found")" \
	'xdp_pass.*netlink.*attach --chain eth0' "which it is"
refused 1 'there is no interface "eth7"' ctl doctor eth7

case_ "from another network namespace it says where to go, and with nothing attached it looks at the host"
examine on client "$canaryctl" doctor
eq "$code $(ailments)" "0 " "what it finds"
eq "$(jq -r '[.checks[] | select(.check == "interfaces" and .subject != null) | .subject, .advice] | unique | join(" ")' "$work/found")" \
	"eth0 eth1 run canaryctl doctor there" "where"
sound on client "$canaryctl" doctor --bpffs "$CANARYCTL_BPFFS-2"
eq "$(jq -r '[.checks[] | select(.state == "ok").check] | map(select(. != "clock")) | join(" ")' "$work/found")" \
	"kernel btf bpf_stats capabilities pins keys" "what is well"

case_ "pins and keys that others can get at, no bpf file system, a caller who may not"
chmod 755 "$CANARYCTL_BPFFS"
finds problem pins null 'open to others .mode 0755' "chmod 700 $CANARYCTL_BPFFS"
chmod 700 "$CANARYCTL_BPFFS"
chmod 640 "$work/keys"
finds problem keys null 'open to others .mode 0640' "chmod 600 $work/keys"
chown 65534 "$work/keys"
finds problem keys null 'belongs to user 65534' "chown root $work/keys"
chown 0 "$work/keys"
chmod 600 "$work/keys"
finds problem pins null 'not in a bpffs' 'mount it' ctl doctor --bpffs "$work/none"
finds problem pins null 'not in a bpffs' 'nsenter --net' ip netns exec "${lab}balancer" "$canaryctl" doctor
finds warning keys null 'not there: after a reboot' 'CANARYCTL_KEY_FILE' ctl doctor --key-file "$work/none"
cp "$canaryctl" "$work/canaryctl"
chmod 711 "$work"
examine on balancer setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$work/canaryctl" doctor
chmod 700 "$work"
eq "$code" 1 "nobody's exit code"
contains "$(jq -r '.checks[] | select(.check == "capabilities").found' "$work/found")" \
	'user 65534 lacks CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON' "what nobody lacks"

case_ "settings of the kernel that are not of one network namespace: compiler, statistics, types"
finds warning bpf_stats null 'on: each packet pays' 'kernel.bpf_stats_enabled=0' \
	pretending /proc/sys/kernel/bpf_stats_enabled 1 nsenter --net="/run/netns/${lab}balancer" -- "$canaryctl" doctor
# That of the first namespace, where there is nothing of ours to look at.
examine pretending /proc/sys/net/core/bpf_jit_enable 0 "$canaryctl" doctor --bpffs "$CANARYCTL_BPFFS-2"
contains "$(ailments)" '^warning jit null$' "programs that are interpreted"
mkdir "$work/empty"
# shellcheck disable=SC2016  # the inner shell expands them
finds problem btf null '/sys/kernel/btf/vmlinux: No such file' 'CONFIG_DEBUG_INFO_BTF' \
	unshare --mount --propagation private sh -c 'mount --bind "$1" /sys/kernel/btf && shift && exec "$@"' sh "$work/empty" \
	nsenter --net="/run/netns/${lab}balancer" -- "$canaryctl" doctor

case_ "the sweeper that has stopped"
size=$(bpftool -j map show pinned "$CANARYCTL_BPFFS/sweeper" | jq .bytes_value)
# The kernel cancels the timer of an element that is written over.
mapfile -t zeros < <(yes 0 | head -n "$size")
bpftool map update pinned "$CANARYCTL_BPFFS/sweeper" key 0 0 0 0 value "${zeros[@]}"
finds problem sweeper null 'it has stopped' 'canaryctl upgrade'
succeeds ctl upgrade
sound ctl doctor

case_ "canaryd: there, hanging, and gone while a rollout needs it"
. "$(dirname "$0")/lib_rollout.sh"
configure <<'YAML'
steps: [ {weight: 5, bake: 10m}, {weight: 100} ]
YAML
ctl apply -f "$work/canary.yaml" >/dev/null
daemon_starts
eq "$(state_of daemon)" ok "a daemon that answers"
succeeds ctl rollout start
sound ctl doctor
kill -STOP "$daemon_pid"
finds problem daemon null 'has not answered within 2 s' 'start it anew'
kill -CONT "$daemon_pid"
daemon_ends KILL || true
finds warning daemon web 'belongs to a rollout, and canaryd is not running' 'canaryctl rollout rollback web'
ctl rollout rollback web >/dev/null 2>&1
sound ctl doctor
eq "$(state_of daemon)" not_applicable "where nobody needs it"

case_ "of many alike it tells of the first, and how many more there are"
{
	echo 'services:'
	for number in {1..50}; do
		echo "  - {name: s$number, address: 203.0.114.$number, port: 80, protocol: tcp, stable: [ {address: 172.16.9.$number} ]}"
	done
} >"$work/many.yaml"
ctl apply -f "$work/many.yaml" >/dev/null 2>&1
examine ctl doctor
eq "$(jq -c '[("routes", "addresses") as $check | [.checks[] | select(.check == $check)] | length, (last | .found)]' "$work/found")" \
	'[21,"30 more like these",21,"30 more like these"]' "findings"
web 50 nat | apply
sound ctl doctor

case_ "on a backend it looks at what takes packets out of tunnels"
decap_ends
sound on stable1 "$canaryctl" doctor
eq "$(jq -r '[.checks[] | select(.subject == "eth0" and .state == "ok").check] | join(" ")' "$work/found")" \
	"interfaces mode programs offloads forwarding rp_filter" "what is well"
on stable1 sysctl -qw net.ipv4.ip_forward=1
finds warning forwarding eth0 'takes packets out of tunnels' 'net.ipv4.ip_forward=0' on stable1 "$canaryctl" doctor
on stable1 sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.eth0.rp_filter=1
finds warning rp_filter eth0 strict 'rp_filter=2' on stable1 "$canaryctl" doctor
no_decap_ends

case_ "an interface that was deleted"
ip -n "${lab}balancer" link del eth0
examine ctl doctor
contains "$(jq -r '.checks[] | select(.check == "interfaces" and .subject == "eth0") | .state + " " + .found + " " + .advice' "$work/found")" \
	'problem it is attached, and was deleted run canaryctl detach eth0' "what it says"
