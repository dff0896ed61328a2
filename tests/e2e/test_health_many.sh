#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: CPU time is compared.
# Looking after checked backends costs in proportion to their number: where there are thousands, canaryd still answers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

scripts/lab up

daemon_answers() {
	ctl rollout status s0 --json >"$work/output" 2>&1
}

spent() { # ns of CPU time of the daemon until now
	cut -d ' ' -f 1 "/proc/$daemon_pid/schedstat"
}

# Of a daemon that has so many services of 20 backends to look after, in 5 s; their checks are too seldom to count. SERVICES
cost() {
	local before
	tests/lib/many_services "$1" 20 | sed 's/^    weight: 5/&\n    rollout: {}\n    health: {type: tcp, interval: 10m, timeout: 1s}/' \
		>"$work/canary.yaml"
	ctl attach eth0 -f "$work/canary.yaml" >"$work/output" 2>&1
	daemon_starts
	sleep 2
	before=$(spent)
	sleep 5
	cost=$(($(spent) - before))
	daemon_ends || fail "the daemon's exit code: $?"
}

case_ "four times the backends take four times the time, not sixteen"
cost 100
few=$cost
cost 400
note "a second takes $((few / 5000000)) ms with 2,000 backends, $((cost / 5000000)) ms with 8,000"
at_least "$((6 * few))" "$cost" "ns that may be spent on 8,000, and were"
