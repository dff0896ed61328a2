#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: how long answers take, and memory, are measured.
# Where there are a thousand services an answer about all of them is long: a crowd that asks canaryd for nothing else, and does
# not take what it gets, keeps nobody on the socket waiting, and fills no memory.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

port=9846

scripts/lab up
tests/lib/many_services 1000 20 | sed 's/^    weight: 5/&\n    rollout: {}/' >"$work/canary.yaml"
ctl attach eth0 -f "$work/canary.yaml" >"$work/output" 2>&1
daemon_answers() {
	ctl rollout status s0 --json >"$work/output" 2>&1
}
daemon_starts --listen ":$port"

on balancer curl -sS "http://127.0.0.1:$port/metrics" >"$work/metrics" # what is allocated once is not what grows
at_least "$(wc -c <"$work/metrics")" 5000000 "bytes of metrics"

for path in /metrics /v1/services /v1/stream; do
	case_ "a hundred that ask for $path, and take none of it"
	read -r milliseconds grown < <(on balancer timeout 60 python3 tests/lib/crowd.py "$port" "$CANARYD_SOCKET" "$daemon_pid" "$path" 5) ||
		fail "the crowd failed"
	note "$path: the socket answered after $milliseconds ms at most, and memory grew by $grown kB"
	at_least 3000 "$milliseconds" "ms that the socket may take, and took"
	at_least 131072 "$grown" "kB that memory may grow by, and grew"
done
daemon_ends || fail "the daemon's exit code: $?"
