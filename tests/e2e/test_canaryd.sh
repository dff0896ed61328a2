#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon as a process: the directories that it makes, where it listens, whom it lets in, and a crowd that connects and
# asks nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps: [ {weight: 5, bake: 60s, warmup: 0}, {weight: 100, warmup: 0} ]
final_bake: 60s
progress_deadline: 1h
YAML
attach -f "$work/canary.yaml"

begins() { # STATE_DIR SOCKET [OPTION]...: a daemon with a state and a socket of its own
	local state=$1
	CANARYD_SOCKET=$2
	shift 2
	start canaryd balancer "$canaryd" -f "$work/canary.yaml" --state-dir "$state" --socket "$CANARYD_SOCKET" "$@"
	daemon_pid=$started_pid
	wait_for 10 "canaryd to answer" daemon_answers
}

services_at() { # URL
	on balancer curl -s -m 5 "$1/v1/services" | jq -r '.services[].service'
}

case_ "directories are made, however deep: the state's for its owner alone"
begins "$work/deep/er/state" "$work/run/deep/er/canaryd.sock" --listen :8091
eq "$(stat -c %a "$work/deep" "$work/deep/er" "$work/deep/er/state" | xargs)" "755 755 700" "the modes above the state"
eq "$(stat -c %a "$work/run/deep/er" "$CANARYD_SOCKET" | xargs)" "755 660" "the modes of the socket's directory, and its own"

case_ "--listen :PORT is this host alone"
eq "$(services_at http://127.0.0.1:8091)" web "what it answers on the loopback"
balancer_ip=$(on balancer ip -j -4 addr | jq -r '[.[].addr_info[] | select(.scope == "global") | .local][0]')
code=0
on balancer curl -s -m 5 -o /dev/null "http://$balancer_ip:8091/v1/services" || code=$?
eq "$code" 7 "curl's exit code at $balancer_ip, where nobody may listen"

daemon_ends || fail "the daemon's exit code: $?"

# A daemon on a machine whose groups are $work/group, which nobody else sees: as NAME:x:GID: lines of their own.
begins_among_groups() { # LINE...
	grep -v '^canary:' /etc/group >"$work/group"
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$work/group"
	CANARYD_SOCKET=$work/run/canaryd.sock
	# shellcheck disable=SC2016  # the inner shell expands them
	start canaryd balancer unshare --mount --propagation private bash -c 'mount --bind "$1" /etc/group && exec "${@:2}"' bash \
		"$work/group" "$canaryd" -f "$work/canary.yaml" --state-dir "$work/deep/er/state" --socket "$CANARYD_SOCKET"
	daemon_pid=$started_pid
	wait_for 10 "canaryd to answer" daemon_answers
}

# May nobody's user ask, being in the group GID alone?
asks_as() { # GID
	on balancer setpriv --reuid 65534 --regid 65534 --groups "$1" curl -s -m 5 -o /dev/null --unix-socket "$CANARYD_SOCKET" \
		http://localhost/v1/services
}

case_ "the socket is the group canary's, whose members are let in, and nobody else"
chmod 711 "$work"
begins_among_groups 'canary:x:7777:'
eq "$(stat -c '%a %u %g' "$CANARYD_SOCKET")" "660 0 7777" "the socket's mode, user and group"
asks_as 7777 || fail "a member of the group is not let in: $?"
code=0
asks_as 7778 || code=$?
eq "$code" 7 "curl's exit code in another group"
grep -q 'no group' "$work/canaryd.err" && fail "it says that there is no group: $(cat "$work/canaryd.err")"
daemon_ends || fail "the daemon's exit code: $?"

case_ "without that group the socket is the daemon's own user's, and it says so"
begins_among_groups
eq "$(stat -c '%a %u %g' "$CANARYD_SOCKET")" "660 0 0" "the socket's mode, user and group"
code=0
asks_as 7777 || code=$?
eq "$code" 7 "curl's exit code in a group"
contains "$(cat "$work/canaryd.err")" "$CANARYD_SOCKET: is for this user and group alone, as there is no group \"canary\": make one" "what it says"
daemon_ends || fail "the daemon's exit code: $?"

case_ "a thousand connections that ask nothing keep nobody waiting"
cat >"$work/crowd" <<'PY'
import socket, sys, time
crowd = []
for _ in range(1000):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    crowd.append(s)
print("ready", flush=True)
time.sleep(120)
PY
begins "$work/deep/er/state" "$work/run/deep/er/canaryd.sock"
start_ready crowd balancer python3 -u "$work/crowd" "$CANARYD_SOCKET"
crowd=$started_pid
for _ in 1 2 3; do
	begun=$(date +%s%3N)
	succeeds ctl rollout status web
	at_least 2000 "$(($(date +%s%3N) - begun))" "ms that an answer may take, and took"
done
kill -0 "$crowd" || fail "the crowd has gone: nothing was tested"
stop "$crowd" || true
daemon_ends || fail "the daemon's exit code: $?"

case_ "--listen localhost:PORT is the same, and what is no address says how to give one"
begins "$work/deep/er/state" "$work/run/deep/er/canaryd.sock" --listen localhost:8092
eq "$(services_at http://127.0.0.1:8092)" web "what it answers on the loopback"
daemon_ends || fail "the daemon's exit code: $?"
for wrong in 8092 balancer.example:8092 localhost; do
	refused 1 "$wrong: is no ADDRESS:PORT to listen on: give it like .* or localhost:8080 or :8080 for this host alone" \
		on balancer timeout 10 "$canaryd" -f "$work/canary.yaml" --state-dir "$work/deep/er/state" --socket "$CANARYD_SOCKET" \
		--listen "$wrong"
done

case_ "what is in the way of a directory is named"
touch "$work/file"
refused 1 "cannot make $work/file: it is there and is no directory" \
	on balancer timeout 10 "$canaryd" -f "$work/canary.yaml" --state-dir "$work/file/state" --socket "$CANARYD_SOCKET"

case_ "a body with a member that the verb does not have is refused, and so is one of another type"
begins "$work/deep/er/state" "$work/run/deep/er/canaryd.sock"
posting() { # VERB BODY: "STATUS ERROR"
	on balancer curl -s -m 5 -w '%{http_code}\n' -H 'Content-Type: application/json' -d "$2" --unix-socket "$CANARYD_SOCKET" \
		"http://localhost/v1/services/web/rollout/$1" | jq -rs '[.[1], .[0].error] | join(" ")'
}
for verb in start pause resume promote rollback finish undo retry block unblock; do
	eq "$(posting "$verb" '{"plam": "x"}')" "400 the body of '$verb' has no member \"plam\"" "the answer to $verb"
done
eq "$(posting start '{"plan": {"steps": []}}')" "400 \"plan\" of 'start' is a text" "the answer to an object as plan"
eq "$(posting promote '{"full": "yes"}')" "400 \"full\" of 'promote' is true or false" "the answer to a text as flag"
eq "$(posting rollback '{"full": true}')" "400 the body of 'rollback' has no member \"full\"" "the answer to another verb's"
eq "$(ctl rollout status web --json | jq -r '[.state, .release] | join(" ")')" "idle 0" "the rollout afterwards"
eq "$(posting block '{"reason": "x"}')" "200 " "the answer to what is right"
eq "$(posting unblock '{}')" "200 " "the answer to an empty one"
daemon_ends || fail "the daemon's exit code: $?"

case_ "with several services, feedback says how to name the one it is about"
sed "1d; s/name: web/name: second/; s/$vip/203.0.113.99/" "$work/canary.yaml" >"$work/second.yaml"
cat "$work/second.yaml" >>"$work/canary.yaml"
begins "$work/several" "$work/run/several.sock"
refused 1 'which service\? There are web, second: name one with --service' ctl feedback 198.51.100.1 bad
refused 1 'there is no service "third"' ctl feedback 198.51.100.1 bad --service third
contains "$(ctl feedback 198.51.100.1 bad --service second)" '^second: bad, noted' "what it says where it is named"
daemon_ends || fail "the daemon's exit code: $?"
