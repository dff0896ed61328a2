#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bench of packets per second beside others, briefly: it measures what it says, and ours is ahead, with generous room.
# Runs alone: rates are compared.
. "$(dirname "$0")/lib.sh"

times() { # PEER OTHER: the ratio of their rates
	jq ".rows[] | select(.peer == \"$1\") | .times.$2 * 100 | round / 100" "$work/peers.json"
}

faster() { # PEER OTHER LEAST
	awk -v times="$(times "$1" "$2")" -v least="$3" 'BEGIN { exit !(times >= least) }' ||
		fail "$1: $(times "$1" "$2") times what $2 does, wanted at least $3"
}

case_ "all packets of every peer arrive, and are counted"
succeeds env ROUNDS=3 PACKETS=100000 FLOWS=1024 timeout -k 10 120 tests/bench/peers --json "$work/peers.json" packets
eq "$(jq -r '[.rows[].peer] | join(" ")' "$work/peers.json")" "xdp_tx forward nftables l2 ipip gue nat" "peers"
eq "$(jq -c '[.rows[] | [.rounds, .sent, .sent - .arrived]] | unique' "$work/peers.json")" "[[3,300000,0]]" \
	"rounds, packets, and those lost"
note "times nftables' rate: l2 $(times l2 nftables), ipip $(times ipip nftables), nat $(times nat nftables)"

case_ "tunnels and l2 are well ahead of nftables, nat is ahead, and l2 is not far behind a program that only sends"
faster l2 nftables 2
faster ipip nftables 2
faster gue nftables 2
faster nat nftables 1.2
faster l2 xdp_tx 0.4

# A run of which not all is in order is not measured. RECEIVED WRONG ELSEWHERE, of 102,400 packets of 1,024 flows
judged() { # WANTED RECEIVED WRONG ELSEWHERE
	local code=0
	# shellcheck disable=SC2034  # what peers_packets.sh takes from its caller
	(
		share=25
		die() { exit 1; }
		. tests/bench/peers_packets.sh
		arrived l2 shares 1024 <<<"{\"sent\": 102400, \"received\": $2, \"wrong\": $3, \"elsewhere\": $4, \"ns\": 100}"
	) >"$work/judged" || code=$?
	eq "$code $(cat "$work/judged")" "$1" "the verdict of $2 received, $3 wrong, $4 elsewhere"
}

case_ "a run whose packets did not arrive, or not as or where they should, ends the bench"
judged "0 10000000 102400 102400" '{"11": 40000, "12": 36800, "21": 12800, "22": 12800}' 0 0
judged "0 9500000 102400 102400" '{"11": 40000, "12": 36800, "21": 12800, "22": 12800}' 0 5120
judged "1 " '{"11": 40000, "12": 36800, "21": 12800, "22": 12799}' 1 0
judged "1 " '{"11": 40000, "12": 35000, "21": 12800, "22": 12800}' 0 0
judged "1 " '{"11": 30000, "12": 30000, "21": 20000, "22": 22400}' 0 0
judged "1 " '{}' 0 0
judged "1 " '{"11": 40000, "12": 36800, "21": 12800, "22": 12800}' 0 40000
