# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Packets per second: sourced by `peers`. One namespace stands for all clients and all backends; each balancer has a namespace of
# its own and one link to that, by which packets come and go.
# shellcheck disable=SC2154  # variables of `peers`

packets=${PACKETS:-500000}
flow_counts=${FLOWS:-1024 65536}
balancers='xdp_tx forward nftables canaryctl'

# Each peer: its name, its balancer, the port that traffic goes to, how it arrives (see `live --help`), and at which station:
# the balancer's own, the first backend's, or by the backends' shares.
packet_peers='xdp_tx xdp_tx 80 plain 1
forward forward 80 plain 11
nftables nftables 80 nat shares
l2 canaryctl 80 plain shares
ipip canaryctl 81 ipip shares
gue canaryctl 82 gue shares
nat canaryctl 83 nat shares'

station() { # N: its MAC address
	printf '02:00:00:00:01:%02x' "$1"
}

make_balancer() { # NAME
	local backend
	ip netns add "$LAB_PREFIX$1"
	# Nobody speaks on these links but the bench: no IPv6, no questions for neighbours.
	on "$1" sysctl -qw net.ipv6.conf.{all,default}.disable_ipv6=1 net.ipv4.conf.{all,default}.rp_filter=0 \
		net.ipv4.conf.{all,default}.send_redirects=0 net.ipv4.ip_forward=1
	ip link add eth0 netns "$LAB_PREFIX$1" address "$(station 1)" type veth peer name "$1" netns "${LAB_PREFIX}world"
	ip -n "$LAB_PREFIX$1" addr add 192.0.2.1/24 dev eth0
	ip -n "$LAB_PREFIX$1" addr add 10.0.0.1/24 dev eth0
	ip -n "$LAB_PREFIX$1" link set eth0 up
	ip -n "${LAB_PREFIX}world" link set dev "$1" up
	for backend in 11 12 21 22; do
		ip -n "$LAB_PREFIX$1" neigh add "10.0.0.$backend" lladdr "$(station "$backend")" nud permanent dev eth0
	done
}

# Without an XDP program, a veth takes in what a program sends from the other end only if GRO is on.
packets_up() {
	local name
	ip netns add "${LAB_PREFIX}world"
	on world sysctl -qw net.ipv6.conf.{all,default}.disable_ipv6=1
	for name in $balancers; do
		make_balancer "$name"
	done
	bpftool prog loadall "$build/tests/bench/bench.bpf.o" "$CANARYCTL_BPFFS-floors"
	on xdp_tx bpftool net attach xdpdrv pinned "$CANARYCTL_BPFFS-floors/bench_tx" dev eth0
	on forward ethtool -K eth0 gro on
	ip -n "${LAB_PREFIX}forward" route add "$service" via 10.0.0.11
	on nftables ethtool -K eth0 gro on
	nftables_for "$service" | on nftables nft -f -
	{
		echo services:
		service_of l2 "$service" 80
		service_of ipip "$service" 81
		service_of gue "$service" 82
		service_of nat "$service" 83
	} >"$work/packets.yaml"
	on canaryctl "$build/canaryctl" attach eth0 -f "$work/packets.yaml" --max-flows 262144 >"$work/output"
}

packets_down() {
	local name
	for name in $balancers world; do
		[ ! -e "/run/netns/$LAB_PREFIX$name" ] || ip netns del "$LAB_PREFIX$name"
	done
	rm -rf "${CANARYCTL_BPFFS:?}" "$CANARYCTL_BPFFS-floors"
}

# Fails unless CANARY of N flows is the share that it should have, or within six standard errors of that.
share_is_right() { # CANARY N
	awk -v got="$1" -v n="$2" -v percent="$share" 'BEGIN {
		p = percent / 100
		off = got - n * p
		exit !(off * off <= 36 * n * p * (1 - p))
	}'
}

# Was more than a fifth of the packets forwarded in others' time?
is_disturbed() { # what `live` said
	jq -e '.elsewhere * 5 > .sent' <<<"$1" >"$work/output"
}

# Of what `live` said, on stdin: RATE SENT ARRIVED. All must have arrived, but for one in a hundred, each as it should and where it
# should: or the bench ends. What was forwarded in others' time is in no figure, so it does not count.
arrived() { # PEER STATION FLOWS
	local result sent received wrong elsewhere canary
	result=$(cat)
	read -r sent received wrong elsewhere canary < <(jq -r '[.sent, (.received | add // 0), .wrong, .elsewhere,
		(.received | (.["21"] // 0) + (.["22"] // 0))] | @tsv' <<<"$result")
	[ "$wrong" = 0 ] || die "$1: packets that should not be: $result"
	[ $((received * 100)) -ge $((sent * 99)) ] || die "$1: packets that were lost: $result"
	! is_disturbed "$result" || die "$1: other work gets in the way: $result"
	if [ "$2" = shares ]; then
		share_is_right $((canary * $3 / received)) "$3" || die "$1: not the canary's share: $result"
	else
		jq -e --arg station "$2" '.received | keys == [$station]' <<<"$result" >"$work/output" ||
			die "$1: packets at the wrong station: $result"
	fi
	jq -r --argjson counted "$((received - elsewhere))" --argjson received "$received" \
		'"\(1e9 * $counted / (.ns * .sent)) \(.sent) \($received)"' <<<"$result"
}

# Sends, and once more where other work got in the way, as it may on a busy machine.
send_packets() { # BALANCER PORT WAY FLOWS: what `live` said is left in $result
	local tries
	for ((tries = 0; tries < 5; tries++)); do
		result=$(on world timeout 120 "$build/tests/bench/live" --packets "$packets" --flows "$4" "$1" "$2" "$3")
		[ "$1" != canaryctl ] || through_canaryctl=$((through_canaryctl + packets + $4))
		is_disturbed "$result" || break
	done
}

packets_round() { # FLOWS
	local peer balancer port way station result rate sent received
	while read -r peer balancer port way station; do
		send_packets "$balancer" "$port" "$way" "$1"
		read -r rate sent received < <(arrived "$peer" "$station" "$1" <<<"$result") || exit 1
		figure packets "$1" "$peer" "$rate" "$sent" "$received"
	done <<<"$packet_peers"
}

measure_packets() {
	local round flows through_canaryctl=0 counted
	packets_up
	for ((round = 0; round < rounds; round++)); do
		for flows in $flow_counts; do
			progress "[$((round + 1))/$rounds] packets of $flows flows ..."
			packets_round "$flows"
		done
	done
	counted=$(on canaryctl "$build/canaryctl" stats --json | jq '[.interfaces[] | .forwarded] | add')
	((counted <= through_canaryctl && counted * 100 >= through_canaryctl * 99)) ||
		die "canaryctl counted $counted packets, of $through_canaryctl"
	packets_down
}
