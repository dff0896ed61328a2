# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What end-to-end tests are written in. A test file sources this, makes a topology, and goes through cases:
#
#   two_armed                             a lab of its own (scripts/lab), with flowserver on every backend
#   case_ "the canary gets its share"     begins a case, which ends with the next
#   eq "$got" 5 "what it is"              assertions: they say what they found, and the case goes on as failed
#   shows 21 nat v4 request forwarded     the case shows that of case 21 in tests/data/packet-cases
#
# A command that fails outside of an assertion ends the file, as failed. Everything is taken down on exit.
set -Eeuo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$repo"
export BUILD=${BUILD:-build}
build=$(cd "$BUILD" && pwd)
helpers=$build/tests/lib
canaryctl=${CANARYCTL:-$build/canaryctl}

export LAB_PREFIX=t$$- LAB_SERVERS=none
export CANARYCTL_BPFFS=/sys/fs/bpf/canaryctl-t$$
export LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/tmp}/canaryctl-e2e.XXXXXX")
export CANARYCTL_KEY_FILE=$work/keys
# The same keys in every run: shares are random, and one in 370 fair ones is more than 3 standard errors off.
(
	umask 077
	echo "canary-keys 1 29cb9dde0eb4d0225beef6c874bb17721f54f78d7ba6b5dbde10bd2d0858ba38eeefe1659c9eb694ea45aacfee8b0a52cbfeb41c11085cb1fa7ddaecbe9a3fde3766400b7e141921" >"$work/keys"
)
all_backends='stable1 stable2 canary1 canary2'
vip=203.0.113.10
# shellcheck disable=SC2034  # for the tests
vip6=2001:db8:113::10
started=()
extra_hosts=()
mounts=() # file systems of a test, below $work

# ---- cases ----

case_name='' case_failed='' case_skipped='' case_shows=()

end_case() {
	[ -n "$case_name" ] || return 0
	if [ -n "$case_failed" ]; then
		echo "not ok $case_name"
	elif [ -n "$case_skipped" ]; then
		echo "skip $case_name: $case_skipped"
	else
		echo "ok $case_name"
		[ ${#case_shows[@]} -eq 0 ] || printf 'shown case%s\n' "${case_shows[@]}"
	fi
	case_name='' case_failed='' case_skipped='' case_shows=()
}

case_() { # SENTENCE
	end_case
	case_name=$1
}

shows() { # NUMBER MODE FAMILY DIRECTION OUTCOME, as in tests/data/packet-cases
	case_shows+=("$*")
}

fail() { # MESSAGE
	case_failed=yes
	echo "    failed: $*" >&2
}

skip() { # WHY: this machine cannot do what the case needs
	case_skipped=$*
}

note() { # TEXT: a figure, which the runner shows even if all is well
	echo "# $*"
}

on_error() { # LINE COMMAND
	# What goes wrong in a subshell is its parent's to judge.
	[ "$BASHPID" != $$ ] || fail "line $1: '$2' went wrong"
}

# ---- processes ----

on() { # HOST CMD...
	local host=$1
	shift
	nsenter --net="/run/netns/$LAB_PREFIX$host" -- "$@"
}

ctl() {
	on balancer timeout 60 "$canaryctl" "$@"
}

xdp_program() { # HOST INTERFACE NAME: one of the tests' own, by netlink
	scripts/lab program "$1" "$2" "$helpers/$3.bpf.o" xdp
}

start() { # NAME HOST CMD...: in the background; its pid becomes $started_pid; returns when it has said "ready", if it is to
	local name=$1 host=$2
	shift 2
	: >"$work/$name.out"
	nsenter --net="/run/netns/$LAB_PREFIX$host" -- "$@" >"$work/$name.out" 2>"$work/$name.err" &
	started_pid=$!
	started+=("$started_pid")
}

wait_for() { # SECONDS WHAT CMD...: until CMD succeeds
	local tries=$(($1 * 20)) what=$2
	shift 2
	until "$@"; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ]; then
			fail "waited in vain for $what"
			return 1
		fi
		sleep 0.05
	done
}

becomes() { # WANTED CMD...: does CMD print WANTED? For wait_for
	[ "$("${@:2}")" = "$1" ]
}

start_ready() { # NAME HOST CMD...: the same, of a program that says "ready"
	start "$@"
	wait_for 5 "$1 to be ready" grep -q ready "$work/$1.out"
}

stop() { # PID [SIGNAL]: and its exit code
	local code=0
	kill "-${2:-TERM}" "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || code=$?
	return "$code"
}

clean_up() {
	local code=$? pid host
	trap - EXIT ERR
	set +e
	if [ "$code" -ne 0 ] && [ -n "$case_name" ]; then
		case_failed=yes
	elif [ "$code" -ne 0 ]; then
		case_name='the file runs to its end' case_failed=yes
	fi
	if [ -n "$case_failed" ]; then
		for pid in "$work"/*.err; do
			[ ! -s "$pid" ] || sed "s|^|    ${pid##*/}: |" "$pid" | tail -n 20
		done
	fi
	end_case
	for pid in "${started[@]}"; do
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	for host in "${extra_hosts[@]}"; do
		ip netns del "$LAB_PREFIX$host"
	done
	for host in "${mounts[@]}"; do
		umount -l "$host"
	done
	scripts/lab down
	rm -rf "$CANARYCTL_BPFFS" "$CANARYCTL_BPFFS"-{2,3,decap} "$work"
	exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
trap 'on_error $LINENO "$BASH_COMMAND"' ERR

# ---- assertions ----

eq() { # GOT WANTED WHAT
	[ "$1" = "$2" ] || fail "$3: got '$1', wanted '$2'"
}

at_least() { # GOT WANTED WHAT
	[ "$1" -ge "$2" ] || fail "$3: got $1, wanted at least $2"
}

within() { # GOT WANTED TOLERANCE WHAT
	awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { exit !(a >= b - t && a <= b + t) }' ||
		fail "$4: got $1, wanted $2 ± $3"
}

contains() { # TEXT PATTERN WHAT
	grep -Eqi -- "$2" <<<"$1" || fail "$3: '$1' does not have '$2'"
}

succeeds() { # CMD...
	"$@" >"$work/output" 2>&1 || fail "'$*' failed ($?): $(head -c 500 "$work/output")"
}

refused() { # CODE PATTERN CMD...: CMD ends with CODE, and one line on stderr, which says PATTERN
	local wanted=$1 pattern=$2 code=0
	shift 2
	"$@" >"$work/output" 2>"$work/complaint" || code=$?
	eq "$code" "$wanted" "exit code of '${*:2}' ($(head -c 300 "$work/complaint"))"
	contains "$(cat "$work/complaint")" "$pattern" "what '${*:2}' says"
}

# ---- topologies ----

serve() { # PORTS...: on every backend
	local host
	for host in $all_backends; do
		start_ready "server-$host" "$host" "$helpers/flowserver" "$host" "$work/$host.log" "$@"
		printf '%s' "$started_pid" >"$work/server-$host.pid"
	done
}

# Both backends of a cohort refuse new connections, and keep those that are open.
refuse() { # COHORT
	local host
	for host in "$1"1 "$1"2; do
		kill -USR1 "$(cat "$work/server-$host.pid")"
		wait_for 5 "$host to refuse" grep -q refusing "$work/server-$host.out"
	done
}

# Has the balancer's neighbours resolved beforehand: for tests that count every packet.
meet() {
	local host pids=() pid
	for host in 192.0.2.10 2001:db8:2::10 10.0.0.{11,12,21,22} 2001:db8:10::{11,12,21,22}; do
		on balancer ping -q -c 1 -W 3 "$host" >/dev/null &
		pids+=("$!")
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
}

topology() { # ARMS [PORTS of the servers]
	LAB_ARMS=$1 scripts/lab up
	shift
	[ $# -gt 0 ] || set -- 80 8080
	serve "$@"
	meet
}

# Ends of IP-in-IP tunnels on the backends, which accept packets from the balancer alone.
tunnel_ends() {
	local host
	for host in $all_backends; do
		start_ready "decap-$host" "$host" "$helpers/decap_tun" decap0 10.0.0.1 2001:db8:10::1
		printf '%s' "$started_pid" >"$work/decap-$host.pid"
	done
}

# The backends take packets out of tunnels by canaryctl itself.
decap_ends() { # OPTION...
	local host
	for host in $all_backends; do
		on "$host" "$canaryctl" decap attach eth0 "$@" >"$work/decap"
	done
}

no_decap_ends() {
	local host
	for host in $all_backends; do
		on "$host" "$canaryctl" decap detach eth0 >"$work/decap"
	done
}

# For gue canaryctl's ends of tunnels, which take ipip as well; else those of tunnel_ends.
ends_for() { # FORWARD
	if [ "$1" = gue ]; then
		decap_ends
	elif [ -d "$CANARYCTL_BPFFS-decap" ]; then
		no_decap_ends
	fi
}

# Of the packets in gue that came to the backends, all were taken out.
gue_was_sound() {
	at_least "$(decap_counted .packets.gue)" 1 "packets that came as gue"
	eq "$(decap_counted '.packets | .fragment + .control + .unknown + .malformed + .nested + .congestion + .fault')" 0 \
		"packets that decap did not take"
}

decap_counted() { # JQ-FILTER of an interface's object: the sum over the backends
	ctl decap status --json | jq "[.interfaces[] | $1] | add"
}

# None of the tunnels' ends has seen a malformed packet; and together they saw some of KIND (4in4, 6in4, 4in6, 6in6).
tunnels_were_sound() { # KIND...
	local host kind total
	for host in $all_backends; do
		stop "$(cat "$work/decap-$host.pid")" || fail "$host: $(cat "$work/decap-$host".{out,err})"
	done
	for kind; do
		total=$(cat "$work"/decap-*.out | grep -o "$kind [0-9]*" | awk '{ n += $2 } END { print n + 0 }')
		at_least "$total" 1 "packets that came as $kind"
	done
}

two_armed() { # [PORTS of the servers]
	topology 2 "$@"
}

one_armed() {
	topology 1 "$@"
}

# A host more on the switch, which forwards: NAME ADDRESS...
extra_host() {
	local host=$1 address
	shift
	ip netns add "$LAB_PREFIX$host"
	extra_hosts+=("$host")
	on "$host" sysctl -qw net.ipv4.conf.{all,default}.rp_filter=0 net.ipv4.conf.{all,default}.send_redirects=0 \
		net.ipv4.ip_forward=1 net.ipv6.conf.{all,default}.accept_dad=0
	ip link add name eth0 netns "$LAB_PREFIX$host" type veth peer name "$host" netns "${LAB_PREFIX}switch"
	on "$host" ethtool -K eth0 tx off rx off >/dev/null
	on switch ethtool -K "$host" tx off rx off >/dev/null
	xdp_program switch "$host" xdp_pass
	on switch ip link set "$host" up master br0
	ip -n "$LAB_PREFIX$host" link set lo up
	ip -n "$LAB_PREFIX$host" link set eth0 up
	for address; do
		ip -n "$LAB_PREFIX$host" addr add "$address" dev eth0
	done
}

# A hop of our own between the switch and HOST, which delays and drops as tests/lib/hop.c says: HOST OPTION...
hop_before() {
	local host=$1
	shift
	on switch ip link add "$host-in" type veth peer name "$host-out"
	on switch ip link set "$host" nomaster
	on switch ip link set "$host-in" up
	on switch ip link set "$host-out" up master br0
	start_ready "hop-$host" switch "$helpers/hop" "$@" "$host" "$host-in"
	printf '%s' "$started_pid" >"$work/hop-$host.pid"
	# Until the bridge has learnt where HOST is now, its frames go to everybody.
	on "$host" ping -q -c 1 -W 3 10.0.0.1 >/dev/null
}

# The hop goes away, and HOST is on the switch again; what it has done is in $work/hop-HOST.json.
hop_ends() { # HOST
	stop "$(cat "$work/hop-$1.pid")" || fail "the hop before $1: $(cat "$work/hop-$1".{out,err})"
	grep -v ready "$work/hop-$1.out" >"$work/hop-$1.json"
	on switch ip link del "$1-in"
	on switch ip link set "$1" master br0
	on "$1" ping -q -c 1 -W 3 10.0.0.1 >/dev/null
}

attach() { # every interface of the balancer
	local interfaces=(eth0)
	[ -z "$(ip -n "${LAB_PREFIX}balancer" link show eth1 2>/dev/null)" ] || interfaces+=(eth1)
	ctl attach "${interfaces[@]}" "$@" >"$work/attach"
}

mac_of() { # HOST: of its eth0
	ip -n "$LAB_PREFIX$1" -j link show eth0 | jq -r '.[0].address'
}

# A service "web" with all four backends; further lines of YAML on stdin. WEIGHT FORWARD [ADDRESS PORT PROTOCOL [NET]]
web() {
	local weight=$1 forward=$2 address=${3:-$vip} port=${4:-80} proto=${5:-tcp} net=${6:-10.0.0.} suffix=
	[ "$forward" != nat ] || suffix=', port: 8080'
	cat <<YAML
  - name: web
    address: "$address"
    port: $port
    protocol: $proto
    forward: $forward
    weight: $weight
    stable: [ {address: "${net}11"$suffix}, {address: "${net}12"$suffix} ]
    canary: [ {address: "${net}21"$suffix}, {address: "${net}22"$suffix} ]
YAML
}

apply() { # services as YAML on stdin
	{
		echo 'services:'
		cat
	} >"$work/config.yaml"
	ctl apply -f "$work/config.yaml" >"$work/apply"
}

# ---- traffic ----

load() { # FILE OPTION... ADDRESS PORT: flows of the client; who answered is in $work/FILE. Failed flows fail the case
	load_from client "$@"
}

load_from() { # HOST FILE OPTION... ADDRESS PORT: the same of another host
	local host=$1 file=$2 code=0
	shift 2
	on "$host" timeout 120 "$helpers/flowload" -o "$work/$file" "$@" >"$work/$file.summary" || code=$?
	[ "$code" -eq 0 ] || fail "flowload $*: $(cat "$work/$file.summary"), like: $(grep ' - ' "$work/$file" | head -n 3)"
}

hold() { # NAME OPTION... ADDRESS PORT: keeps flows open in the background, until released
	local name=$1
	shift
	rm -f "$work/$name.ready"
	start "$name" client "$helpers/flowload" -H 0 -R "$work/$name.ready" -o "$work/$name" "$@"
	printf '%s' "$started_pid" >"$work/$name.pid"
	wait_for 20 "the flows of $name" test -e "$work/$name.ready"
}

release() { # NAME: none of its flows may have broken
	local code=0
	stop "$(cat "$work/$1.pid")" || code=$?
	eq "$(cat "$work/$1.out")" "FLOWS ok $(wc -l <"$work/$1") failed 0 changed 0" "flows held by $1"
}

let_go() { # NAME: of its flows, some may have broken: see broken_on
	stop "$(cat "$work/$1.pid")" || true
}

broken_on() { # COHORT or BACKEND (or '': any), NAME: how many flows broke that it had answered
	grep -c " - .*($1[a-z0-9]*)\$" "$work/$2" || true
}

on_cohort() { # COHORT FILE: how many flows of a load it got
	grep -c " $1[0-9]*\$" "$work/$2" || true
}

logged() { # COHORT or BACKEND: what its own log has
	local host total=0
	for host in $all_backends; do
		[[ $host == "$1"* ]] && total=$((total + $(wc -l <"$work/$host.log")))
	done
	echo "$total"
}

stats() { # JQ-FILTER
	ctl stats --json | jq -r "$1"
}

flows() { # COHORT: as stats counts
	stats ".services[] | select(.name == \"web\") | .cohorts.$1.flows"
}

service_window() { # FIELD [SERVICE]
	ctl status --json | jq -r --arg name "${2:-web}" ".services[] | select(.name == \$name) | .window.$1"
}

# No window of any service is open.
settled() {
	ctl status --json | jq -e '[.services[].window.open] | any | not' >/dev/null
}

# N flows, of which a share of PERCENT should be canary's: 3 standard errors
share_is() { # GOT N PERCENT WHAT
	within "$1" "$(awk -v n="$2" -v p="$3" 'BEGIN { print n * p / 100 }')" \
		"$(awk -v n="$2" -v p="$3" 'BEGIN { p /= 100; printf "%.1f", 3 * sqrt(n * p * (1 - p)) }')" "$4"
}
