# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For benches of what is no packet: a network namespace of their own with eth0, behind which a router at 192.0.2.2 leads to all
# backends; a data plane of their own, and a directory $work. All of it goes when they end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PATH=$PATH:/usr/sbin:/sbin
build=$(cd "${BUILD:-build}" && pwd)
# shellcheck disable=SC2034  # for the benches
canaryctl=$build/canaryctl

namespace=bench-$$
export CANARYCTL_BPFFS=/sys/fs/bpf/canaryctl-$namespace LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/tmp}/canaryctl-bench.XXXXXX")
export CANARYCTL_KEY_FILE=$work/keys
pids=()

clean_up() {
	local code=$? pid
	set +e
	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	[ ! -e "/run/netns/$namespace" ] || ip netns del "$namespace"
	rm -rf "${CANARYCTL_BPFFS:?}" "${work:?}"
	exit "$code"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

inside() {
	nsenter --net="/run/netns/$namespace" -- "$@"
}

make_network() {
	ip netns add "$namespace"
	ip -n "$namespace" link add eth0 type veth peer name far
	ip -n "$namespace" link set far up
	ip -n "$namespace" link set eth0 up
	# All backends are behind one router, which is known: no command waits for somebody's answer.
	ip -n "$namespace" addr add 192.0.2.1/24 dev eth0
	ip -n "$namespace" neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent
	ip -n "$namespace" route add 10.0.0.0/8 via 192.0.2.2
	inside sysctl -qw net.ipv4.ip_forward=1
}

# Median and minimum of the numbers that come in, one a line.
figures() {
	sort -n | awk '{ n[NR] = $1 } END { print (n[int((NR + 1) / 2)] + n[int(NR / 2) + 1]) / 2, n[1] }'
}
