# shellcheck shell=bash disable=SC2154  # what lib.sh sets
# SPDX-License-Identifier: Apache-2.0
#
# For tests of rollouts, after lib.sh: a daemon of the test's own in the balancer, traffic, and backends that misbehave.

canaryd=${CANARYD:-$build/canaryd}
export CANARYD_SOCKET=$work/canaryd.sock
daemon_pid='' traffic_pid=''

daemon_answers() {
	ctl rollout status web --json >/dev/null 2>&1
}

daemon_starts() { # [OPTION]...: returns when it answers
	mkdir -p "$work/state"
	start canaryd balancer "$canaryd" -f "$work/canary.yaml" --state-dir "$work/state" --socket "$CANARYD_SOCKET" "$@"
	daemon_pid=$started_pid
	wait_for 10 "canaryd to answer" daemon_answers
}

daemon_ends() { # [SIGNAL]
	stop "$daemon_pid" "${1:-TERM}"
}

# The service web over nat with all four backends, and its plan: YAML on stdin, as under `rollout:`.
configure() {
	{
		echo 'services:'
		web 0 nat | grep -v weight:
		echo '    observe: {cap: 50, handshake_timeout: 1s}'
		echo '    idle_timeout: 5s'
		# Off, so that it is the gates that are tested.
		echo '    breaker: {enabled: false}'
		echo '    rollout:'
		sed 's/^/      /'
	} >"$work/canary.yaml"
}

traffic_port=10000
traffic() { # RATE [ADDRESS]: connections in the background, each with a request, until traffic_ends
	# Other ports than before: none is still in TIME_WAIT.
	start traffic client "$helpers/connload" -r "$1" -c 512 -n 1000000 --request -s "${2:-198.51.100.1}/50" \
		-p "$traffic_port-$((traffic_port + 19999))" "$vip" 80
	traffic_pid=$started_pid
	traffic_port=$((traffic_port == 10000 ? 30000 : 10000))
}

traffic_ends() {
	stop "$traffic_pid" || true
}

misbehave() { # HOST OPTION...: of flakyserver, in place of flowserver
	local host=$1
	shift
	stop "$(cat "$work/server-$host.pid")" || true
	start_ready "server-$host" "$host" "$helpers/flakyserver" -p 8080 "$@"
	printf '%s' "$started_pid" >"$work/server-$host.pid"
}

behave() { # HOST
	stop "$(cat "$work/server-$1.pid")" || true
	start_ready "server-$1" "$1" "$helpers/flowserver" "$1" "$work/$1.log" 80 8080
	printf '%s' "$started_pid" >"$work/server-$1.pid"
}

rollout() { # JQ of its status
	ctl rollout status web --json | jq -r "$1"
}

is() { # WANTED JQ: does the status say so? For wait_for
	[ "$(rollout "$2" 2>/dev/null)" = "$1" ]
}

reaches() { # STATE SECONDS
	wait_for "$2" "the rollout to be $1 (it is $(rollout '[.state, .step, .judgement.reason] | join(" ")'))" is "$1" .state
}

# What the kernel has, whatever the daemon says.
weight_in_force() {
	ctl status --json | jq -r '.services[] | select(.name == "web") | .effective_weight'
}

recorded() { # JQ of its entries, oldest first, as an array
	ctl rollout history web --limit 10000 --json | jq -c ".entries | reverse | $1"
}

# "progressing 1, baking 3, ..."; without times at which a step was undecided, which on a slow machine comes from traffic.
transitions() { # RELEASE
	recorded "[.[] | select(.kind == \"transition\" and .release == $1 and .after != \"inconclusive\") | \"\\(.after) \\(.step)\"] | join(\", \")" | jq -r .
}

# No rollout is under way, whatever was before.
cleared() {
	ctl rollout rollback web >/dev/null 2>&1
	wait_for 10 "the rollback" is 0 '.pending | length'
}

# A service of which every metric has something to say, and the daemon that serves them.
with_metrics() { # PORT
	two_armed
	configure <<'YAML'
steps: [ {weight: 50, bake: 1h, warmup: 0}, {weight: 100} ]
progress_deadline: 0
gates:
  - {name: errors, type: failures, compare: stable}
  - {name: lost, type: drops, max: 1}
lease: {duration: 30s}
YAML
	sed -i 's/^    rollout:/    health: {type: tcp, interval: 200ms}\n&/' "$work/canary.yaml"
	attach -f "$work/canary.yaml"
	daemon_starts --listen ":$1"
}
