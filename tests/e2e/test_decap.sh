#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Backends without tunnel devices: ipip and gue, taken apart by canaryctl decap in front of their stacks.
. "$(dirname "$0")/lib.sh"

two_armed
attach

case_ "decap attaches in the driver, and says to what"
succeeds decap_ends
eq "$(ctl decap status --json | jq -c '[.interfaces[] | [.name, .mode, .port]] | unique')" '[["eth0","native",6080]]' "attached"
eq "$(ctl decap status --json | jq '[.interfaces[].addresses | index("10.0.0.21", "2001:db8:10::21")] | map(select(.)) | length')" 2 \
	"where canary1's addresses are"
eq "$(ctl decap status --json | jq "[.interfaces[].addresses | index(\"$vip\")] | map(select(.)) | length")" 0 \
	"where the service's address is, which is on lo"

through() { # FORWARD ADDRESS SOURCE NET
	local at before after
	case_ "$1 from $2 to ${4}0: both cohorts answer, and connections stay on their backends through 0 → 50 → 100 → 0"
	ctl service del web >/dev/null 2>&1 || true
	web 0 "$1" "$2" 80 tcp "$4" | apply
	before=$(decap_counted ".packets.$1")
	hold at0 -s "$3/50" -p 20000-20003 "$2" 80
	succeeds ctl set-weight 50
	hold at50 -s "$3/50" -p 21000-21003 "$2" 80
	succeeds ctl set-weight 100
	hold at100 -s "$3/50" -p 22000-22003 "$2" 80
	succeeds ctl stop
	sleep 1.2
	for at in at0 at50 at100; do
		release "$at"
	done
	eq "$(on_cohort canary at0) $(on_cohort canary at100)" "0 200" "flows of canary at 0 and at 100 %"
	share_is "$(on_cohort canary at50)" 200 50 "flows of canary at 50 %"
	after=$(decap_counted ".packets.$1")
	eq "$((after - before))" "$(stats '[.services[0].backends[].packets] | add')" "packets taken out, as many as were sent"
	eq "$(stats '[.services[0].cohorts[].drops.total] | add')" 0 "packets dropped"
}

through ipip "$vip" 198.51.100.1 10.0.0.
through ipip "$vip6" 2001:db8:51::1 2001:db8:10::
through ipip "$vip" 198.51.100.1 2001:db8:10::
through ipip "$vip6" 2001:db8:51::1 10.0.0.
through gue "$vip" 198.51.100.1 10.0.0.
through gue "$vip6" 2001:db8:51::1 2001:db8:10::
through gue "$vip" 198.51.100.1 2001:db8:10::
through gue "$vip6" 2001:db8:51::1 10.0.0.

case_ "none of it was malformed, nested, or came in fragments"
gue_was_sound

# Room for tunnels on the backends' network, so that clients' packets may be as large as their own network has them.
widen() {
	local host
	for host in $all_backends; do
		ip -n "$LAB_PREFIX$host" link set eth0 mtu 1600
		on switch ip link set "$host" mtu 1600
	done
	ip -n "${LAB_PREFIX}balancer" link set eth1 mtu 1600
	on switch ip link set balancer mtu 1600
}

echoed() { # ADDRESS: through bash's own sockets, a part after the other, as the server has no buffers of its own
	# shellcheck disable=SC2016
	on client timeout 30 bash -c '
		exec 3<>"/dev/tcp/$0/80"
		read -r name <&3
		for part in "$1"/part.*; do
			cat "$part" >&3
			head -c "$(stat -c %s "$part")" <&3 | cmp - "$part" || exit 1
		done
	' "$1" "$work"
}

head -c 3000000 /dev/urandom | split -b 50000 - "$work/part."
widen
for forward in ipip gue; do
	for pair in "$vip 10.0.0." "$vip6 2001:db8:10::" "$vip 2001:db8:10::" "$vip6 10.0.0."; do
		read -r address net <<<"$pair"
		case_ "$forward from $address to ${net}0: 3 MB in packets of the client's whole MTU"
		ctl service del web >/dev/null
		web 50 "$forward" "$address" 80 tcp "$net" | apply
		before=$(decap_counted .bytes)
		succeeds echoed "$address"
		at_least "$(($(decap_counted .bytes) - before))" 3000000 "bytes that were taken out"
		eq "$(stats '[.services[0].cohorts[].drops.total] | add')" 0 "packets dropped"
	done
done

case_ "attached again under load, with another port and back: no connection breaks, and the counters go on"
ctl service del web >/dev/null
web 50 ipip | apply
before=$(decap_counted .packets.ipip)
hold again -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
for port in 6081 6082 6083 6080; do
	decap_ends --port "$port"
	sleep 0.4
done
release again
at_least "$(($(decap_counted .packets.ipip) - before))" 600 "packets taken out"

case_ "an address that came later is taken as an end once decap is attached again"
ip -n "${LAB_PREFIX}canary1" addr add 10.0.0.31/24 dev eth0
ctl service del web >/dev/null
web 100 gue | sed 's/"10.0.0.21"/"10.0.0.31"/; s/, {address: "10.0.0.22"}//' | apply
on client timeout 5 "$helpers/flowload" -t 1000 -s 198.51.100.1/5 -p 20000-20001 "$vip" 80 >"$work/early" || true
contains "$(cat "$work/early")" 'ok 0 ' "flows before"
succeeds on canary1 "$canaryctl" decap attach eth0
load late -s 198.51.100.1/50 -p 21000-21001 "$vip" 80

case_ "generic mode takes them as well"
succeeds on canary1 "$canaryctl" decap detach eth0
succeeds on canary1 "$canaryctl" decap attach eth0 --mode generic
load generic -s 198.51.100.1/50 -p 22000-22001 "$vip" 80

case_ "a port that the service names is the one that packets go to"
web 100 gue | sed 's/"10.0.0.21"/"10.0.0.31"/; s/, {address: "10.0.0.22"}//; s/^    forward:/    gue_port: 6099\n&/' | apply
eq "$(ctl status --json | jq '.services[0].gue_port')" 6099 "gue_port in status"
succeeds on canary1 "$canaryctl" decap attach eth0 --port 6099
load another -s 198.51.100.1/50 -p 23000-23001 "$vip" 80

case_ "what decap does not take goes up the stack: GUE's source ports, as a socket sees them, differ by flow"
succeeds on canary1 "$canaryctl" decap detach eth0
start_ready sink canary1 "$helpers/flowserver" sink "$work/sink.log" 6099
on client timeout 5 "$helpers/flowload" -t 1000 -s 198.51.100.1/50 -p 24000-24003 "$vip" 80 >/dev/null || true
at_least "$(awk '$1 == "udp" { print $3 }' "$work/sink.log" | sort -u | wc -l)" 190 "source ports of 200 flows"
eq "$(awk '$1 == "udp" && $3 < 49152' "$work/sink.log" | wc -l)" 0 "source ports below 49152"

case_ "it says what is wrong, and changes nothing"
refused 1 'there is no interface "eth9"' ctl decap attach eth9
refused 2 '--port is 1 to 65535' ctl decap attach eth0 --port 0
refused 1 '"eth0" is not attached' on canary1 "$canaryctl" decap detach eth0
refused 1 "has another canaryctl's program, canary_xdp" ctl decap attach eth0

case_ "detached from all, its directory is gone"
succeeds on canary1 "$canaryctl" decap attach eth0
succeeds no_decap_ends
eq "$(ctl decap status)" "nothing is attached" "decap status"
eq "$(ls -d "$CANARYCTL_BPFFS-decap" 2>/dev/null || true)" "" "the directory"
