#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# QUIC, with a real client (ngtcp2's): connections whose clients change their address in the midst go on with their server.
. "$(dirname "$0")/lib.sh"

count=24
scripts/lab up
meet
# A source that a route prefers has to be an address of the host's own.
ip -n "${LAB_PREFIX}client" addr add 2001:db8:51::77/128 dev lo

# A server's id is the end of its IPv4 address, but for the first canary's.
serve_quic() { # HOST:SERVER-ID...
	local host pid
	for host; do
		pid=$work/quic-${host%:*}.pid
		[ ! -e "$pid" ] || stop "$(cat "$pid")" || true
		start_ready "quic-${host%:*}" "${host%:*}" "$helpers/quicserver" "${host%:*}" "$work/${host%:*}.log" 443 \
			"${host#*:}"
		printf '%s' "$started_pid" >"$pid"
	done
}
serve_quic stable1:0a00000b stable2:0a00000c canary1:00c0ffee canary2:0a000016
tunnel_ends
attach

h3() { # FORWARD AFFINITY [ADDRESS NET]
	local net=${4:-10.0.0.} last
	local -A id=([21]=', server_id: 00c0ffee')
	[[ $net != *:* ]] || id+=([11]=', server_id: 0a00000b' [12]=', server_id: 0a00000c' [22]=', server_id: 0a000016')
	for last in 11 12 21 22; do
		[ "$2" = quic ] || id[$last]=
		id[$last]="{address: \"$net$last\"${id[$last]:-}}"
	done
	cat <<YAML
  - name: web
    address: "${3:-$vip}"
    port: 443
    protocol: udp
    forward: $1
    affinity: $2
    track: always
    weight: 50
    stable: [ ${id[11]}, ${id[12]} ]
    canary: [ ${id[21]}, ${id[22]} ]
YAML
}

noted() { # WHAT: lines of the servers' logs
	cat "$work"/{stable,canary}[12].log | grep -c "^$1 " || true
}

# Connections of clients that ask for something at their end. If they are to `move` after $patience milliseconds, half of them
# say so and half are moved, as by a NAT. ADDRESS [move]
patience=2500
connect() {
	local address=$1 i options rebinding
	options=("--timeout=$((patience + 2500))ms" "--delay-stream=$((patience + 1500))ms")
	[ $# = 1 ] || options+=("--change-local-addr=${patience}ms")
	began=$(date +%s%3N)
	for host in $all_backends; do
		: >"$work/$host.log"
	done
	clients=()
	for ((i = 0; i < count; i++)); do
		rebinding=()
		[ $((i % 2)) = 0 ] || [ $# = 1 ] || rebinding=(--nat-rebinding)
		start "client$i" client timeout 60 gtlsclient --quiet "${options[@]}" "${rebinding[@]}" \
			--exit-on-all-streams-close "$address" 443 https://h3.test/
		clients+=("$started_pid")
	done
	wait_for 10 "the handshakes" becomes "$count" noted open
}

# Until all have asked, or given up
disconnect() {
	local pid
	for pid in "${clients[@]}"; do
		wait "$pid" || true
	done
}

# How many connections asked the server that they were opened with, from another port and from another address
went_on() { # FIELD: 3 address, 4 port
	local host
	for host in $all_backends; do
		awk -v field="$1" '$1 == "open" { from[$2] = $field } $1 == "request" && $2 in from && from[$2] != $field' \
			"$work/$host.log"
	done | wc -l
}

opened() { # COHORT
	cat "$work/$1"[12].log | grep -c ^open || true
}

# The source of what the client sends from now on: ADDRESS
from() {
	local via=192.0.2.1
	[[ $1 != *:* ]] || via=2001:db8:2::1
	ip -n "${LAB_PREFIX}client" route change default via "$via" src "$1"
}

# Connections of new services, whose clients come from another address when they move: FORWARD AFFINITY ADDRESS NET OLD NEW
set_out() {
	ctl service del web >/dev/null 2>&1 || true
	h3 "${@:1:4}" | apply
	from "$5"
	connect "$3" move
	ctl set-weight 0 >/dev/null
	ctl backend drain web "${4}21" >/dev/null
	from "$6"
}

# On a busy machine the first clients may have moved before all that is done: then all are given more time.
set_out_in_time() {
	set_out "$@"
	while [ $(($(date +%s%3N) - began)) -ge "$patience" ]; do
		disconnect
		patience=$((patience * 2))
		[ "$patience" -le 20000 ] || { fail "clients moved too early, whatever time they had"; return; }
		set_out "$@"
	done
}

# All go on, though at the new weight none would be the canary's, whose first backend drains.
moves() { # WHAT FORWARD [ADDRESS NET OLD NEW]
	case_ "$1: $count connections go on with their server through a change of address, of the weight, and a drain"
	set_out_in_time "$2" quic "${3:-$vip}" "${4:-10.0.0.}" "${5:-192.0.2.10}" "${6:-198.51.100.77}"
	at_least "$(opened canary)" 4 "connections of canary"
	at_least "$(opened stable)" 4 "connections of stable"
	disconnect
	eq "$(noted request)" "$count" "connections that went on"
	eq "$(went_on 3)" "$count" "those from another address"
	eq "$(flows stable) $(flows canary)" "$(opened stable) $(opened canary)" "flows of stable and canary"
	at_least "$(stats '.services[0].cohorts.canary.by_id')" "$(opened canary)" "packets of canary by their id"
}

moves nat nat
moves l2 l2
moves ipip ipip
decap_ends
moves gue gue
gue_was_sound
moves "nat over IPv6" nat "$vip6" 2001:db8:10:: 2001:db8:2::10 2001:db8:51::77

case_ "with affinity flow, of the same connections some break: the change of address takes them elsewhere"
set_out_in_time nat flow "$vip" 10.0.0. 192.0.2.10 198.51.100.77
canaries=$(opened canary)
disconnect
at_least "$canaries" 4 "connections of canary"
at_least "$((count - $(noted request)))" "$canaries" "connections that broke"
note "affinity flow: $((count - $(noted request))) of $count connections broke"

case_ "servers whose connection ids say nothing: connections stay where they began while their clients do"
ctl service del web >/dev/null
serve_quic stable1:deadbee1 stable2:deadbee2 canary1:deadbee3 canary2:deadbee4
h3 l2 quic | apply
from 192.0.2.10
connect "$vip"
ctl set-weight 0 >/dev/null
disconnect
eq "$(noted request)" "$count" "connections that went on"
eq "$(stats '[.services[0].cohorts[].by_id] | add')" 0 "packets by their id"

case_ "what is applied is what is read back, and explain says whom an id names"
eq "$(ctl backend list --json | jq -r '[.backends[].server_id] | join(" ")')" "0a00000b 0a00000c 00c0ffee 0a000016" "ids"
eq "$(ctl status --json | jq -c '.services[0].quic')" '{"id_offset":1,"id_length":4}' "the place of an id"
h3 l2 quic | sed 's/weight: 50/weight: 0/' | apply
eq "$(cat "$work/apply")" "nothing to do: it runs as the file says" "what the same file changes"
h3 l2 quic | sed 's/00c0ffee/00c0ffed/; s/weight: 50/weight: 0/' | apply
contains "$(cat "$work/apply")" "10.0.0.21:443: server_id 00c0ffed" "what another id changes"
eq "$(ctl explain 198.51.100.9:1000 --quic-id 4200c0ffed0102 --json | jq -r '"\(.why) \(.cohort) \(.backend.address)"')" \
	"id canary 10.0.0.21" "explain, of the new id"
eq "$(ctl explain 198.51.100.9:1000 --quic-id 4200c0ffee0102 --json | jq -r '"\(.why) \(.cohort)"')" "weight stable" \
	"explain, of the old one"
succeeds ctl backend add web canary 10.0.0.21 --server-id 00c0ffee
contains "$(cat "$work/output")" changed "what the command says"
refused 1 "would both have the server id 0a000016" ctl backend add web canary 10.0.0.21 --server-id 0a000016
refused 1 "it has 2 bytes and the service's quic.id_length is 4" ctl backend add web canary 10.0.0.21 --server-id 0a00
refused 2 "--id-length are for --affinity quic" ctl service add other udp 203.0.113.11:443 --id-offset 2
succeeds ctl service add other udp 203.0.113.11:443 --affinity quic --id-offset 2 --id-length 8
eq "$(ctl service list --json | jq -c '.services[] | select(.name == "other") | .quic')" '{"id_offset":2,"id_length":8}' \
	"what service add made"
refused 2 "--quic-id is 1 to 20 bytes" ctl explain 198.51.100.9:1000 --service other --quic-id xy
refused 2 "--server-id is 1 to 16 bytes" ctl backend add web canary 10.0.0.21 --server-id xyz
