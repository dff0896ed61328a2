# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# New connections per second: sourced by `peers`. wrk asks nginx on four backends for a page in a connection each, by the lab with
# two links (scripts/lab), which each peer has for itself while it is its turn.
# shellcheck disable=SC2154  # variables of `peers`

seconds=${SECONDS_EACH:-2}
at_once=64

# Each peer: its name, and the address that clients go to. canaryctl's services have their names.
connection_peers='forward 10.0.0.11
nftables 203.0.113.14
haproxy 203.0.113.15
l2 203.0.113.10
ipip 203.0.113.11
gue 203.0.113.12
nat 203.0.113.13'

# Every end of a link: HOST INTERFACE.
link_ends='client eth0
balancer eth0
balancer eth1
switch balancer
switch stable1
switch stable2
switch canary1
switch canary2
stable1 eth0
stable2 eth0
canary1 eth0
canary2 eth0'

# As veths are made: checksums are left open, and a peer's stack takes in frames one by one.
links_as_made() {
	local host interface
	while read -r host interface; do
		on "$host" ethtool -K "$interface" tx on rx on gro off >/dev/null
	done <<<"$link_ends"
}

# With GRO on, a veth takes in what XDP sends from the other end.
polling() { # on|off: beside the balancer
	on client ethtool -K eth0 gro "$1"
	on switch ethtool -K balancer gro "$1"
}

begin_forward() { :; }
end_forward() { :; }

begin_nftables() {
	nftables_for 203.0.113.14 | on balancer nft -f -
}

end_nftables() {
	on balancer nft delete table ip balancer
}

begin_haproxy() {
	on balancer haproxy -db -f "$work/haproxy.cfg" 2>"$work/haproxy.err" &
	haproxy=$!
}

end_haproxy() {
	kill "$haproxy"
	wait "$haproxy" || true
}

begin_canaryctl() { # INTERFACE...: that packets to steer come in by
	polling on
	on balancer "$build/canaryctl" attach "$@" -f "$work/connections.yaml" --max-flows 262144 >"$work/output" 2>&1 ||
		die "$(cat "$work/output")"
}

end_canaryctl() {
	on balancer "$build/canaryctl" detach --all >"$work/output"
	polling off
}

decap() { # attach|detach
	local host
	for host in stable1 stable2 canary1 canary2; do
		on "$host" "$build/canaryctl" decap "$1" eth0 >"$work/output"
	done
}

begin_l2() { begin_canaryctl eth0; }
end_l2() { end_canaryctl; }
begin_nat() { begin_canaryctl eth0 eth1; }
end_nat() { end_canaryctl; }

begin_ipip() {
	begin_canaryctl eth0
	decap attach
}

end_ipip() {
	decap detach
	end_canaryctl
}

begin_gue() { begin_ipip; }
end_gue() { end_ipip; }

haproxy_for() { # ADDRESS
	awk -v address="$1" '
		BEGIN {
			print "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s"
			print "listen service\n bind " address ":80"
		}
		{
			for (i = 1; i <= NF; i += 2)
				print " server " $i " " $i ":8080 weight " $(i + 1)
		}' <<<"$backends"
}

connections_up() {
	local host name address
	scripts/lab up
	links_as_made
	on client ip link set dev eth0 xdpdrv off
	on switch ip link set dev balancer xdpdrv off
	on balancer ip addr add 203.0.113.15/32 dev lo
	on balancer sysctl -qw net.ipv4.ip_local_port_range='10000 65000' net.core.somaxconn=8192
	{
		echo services:
		while read -r name address; do
			[[ $name != @(forward|nftables|haproxy) ]] || continue
			service_of "$name" "$address" 80
			for host in stable1 stable2 canary1 canary2; do
				[ "$address" = "$service" ] || on "$host" ip addr add "$address/32" dev lo
			done
		done <<<"$connection_peers"
	} >"$work/connections.yaml"
	haproxy_for 203.0.113.15 >"$work/haproxy.cfg"
}

# Until it answers, ten times without a break: neighbours are known then.
answers() { # ADDRESS
	local tries in_a_row=0
	for ((tries = 0; tries < 200 && in_a_row < 10; tries++)); do
		if on client curl -sf -m 1 -o "$work/output" "http://$1/"; then
			in_a_row=$((in_a_row + 1))
		else
			in_a_row=0
			sleep 0.1
		fi
	done
	[ "$in_a_row" = 10 ] || die "http://$1/ does not answer"
}

requests() { # ALL-OF-THEM and those of the canary
	scripts/lab requests | awk '{ n += $3 } $2 == "canary" { c += $3 } END { print n + 0, c + 0 }'
}

# Of what wrk said: RATE COMPLETED. The backends have logged all that it counted, and no more than what was on its way at the end,
# and the canary's share is right: or the bench ends.
were_served() { # PEER WRK'S-OUTPUT SERVED CANARY
	local completed
	completed=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' <<<"$2")
	if grep -q 'Socket errors\|Non-2xx' <<<"$2"; then
		die "$1: connections failed: $2"
	fi
	((completed > 0 && completed <= $3 && $3 <= completed + at_once)) ||
		die "$1: wrk counted $completed connections, the backends $3"
	[ "$1" = forward ] || share_is_right "$4" "$3" || die "$1: not the canary's share: $4 of $3"
	echo "$(sed -n 's/^Requests\/sec: *//p' <<<"$2") $completed"
}

connections_of() { # PEER ADDRESS
	local before canary_before after canary output rate completed
	"begin_$1"
	answers "$2"
	read -r before canary_before < <(requests)
	output=$(on client timeout 60 wrk -t 1 -c "$at_once" -d "$seconds" -H 'Connection: close' "http://$2/") || die "wrk: $output"
	sleep 0.2
	read -r after canary < <(requests)
	"end_$1"
	read -r rate completed < <(were_served "$1" "$output" $((after - before)) $((canary - canary_before))) || exit 1
	figure connections 0 "$1" "$rate" "$completed" "$completed"
}

measure_connections() {
	local round peer address
	connections_up
	for ((round = 0; round < rounds; round++)); do
		while read -r peer address; do
			progress "[$((round + 1))/$rounds] connections through $peer ..."
			connections_of "$peer" "$address" </dev/null
		done <<<"$connection_peers"
	done
	scripts/lab down
}
