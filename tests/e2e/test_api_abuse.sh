#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who means the API no good: by address, requests of all wrong kinds, and crowds. Nothing changes, nothing leaks, and the
# daemon answers on. And who may write there: with a token, which is read from a file for nobody else.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

port=9843
token=6b1d0f7c2e9a4853b6c7d8e9f0a1b2c3
feedback_token=feed0f7c2e9a4853b6c7d8e9f0a1b2c3
later_token=1a7e0f7c2e9a4853b6c7d8e9f0a1b2c3

two_armed
configure <<'YAML'
steps: [ {weight: 5, bake: 1h, warmup: 0}, {weight: 100, warmup: 0} ]
progress_deadline: 0
lease: {duration: 5m}
YAML
attach -f "$work/canary.yaml"

tokens() { # LINE...: the file of them
	printf '%s\n' "$@" >"$work/tokens"
	chmod 600 "$work/tokens"
}

asks() { # METHOD PATH [CURL OPTION]...: the status it is answered with, by address
	local method=$1 path=$2
	shift 2
	on balancer curl -s -m 10 -o "$work/answer" -w '%{http_code}' -X "$method" "$@" "http://127.0.0.1:$port$path"
}

does() { # VERB TOKEN: the same of a verb
	asks POST "/v1/services/web/rollout/$1" -H "Authorization: Bearer $2" -H 'Content-Type: application/json' -d '{}'
}

case_ "a file of tokens that others may read is none: the daemon does not start, and says why"
tokens "$token"
chmod 644 "$work/tokens"
mkdir -p "$work/state"
for option in --check --listen=:$port; do
	refused 1 "$work/tokens: is open to others" on balancer timeout 10 "$canaryd" -f "$work/canary.yaml" \
		--state-dir "$work/state" --socket "$CANARYD_SOCKET" --token-file "$work/tokens" "$option"
done
tokens "${token:0:20}"
refused 1 "line 1: a token has 32 to 255 characters" on balancer "$canaryd" -f "$work/canary.yaml" --check \
	--token-file "$work/tokens"

case_ "without a file of tokens nobody writes by address, and everybody reads what is for all"
daemon_starts --listen ":$port"
eq "$(does start "$token")" 403 "a start"
contains "$(cat "$work/answer")" "started without --token-file" "what is said"
eq "$(asks GET /metrics)" 200 "the metrics"
daemon_ends

case_ "with one, its tokens write, each as far as it reaches"
tokens '# of the dashboard' "$token" "feedback $feedback_token"
daemon_starts --listen ":$port" --token-file "$work/tokens" --host balancer.example
eq "$(does start "$token")" 200 "a start with a token"
wait_for 10 "the rollout to begin" is 5 .effective_weight
eq "$(does pause "$feedback_token")" 403 "a pause with the token for feedback"
eq "$(rollout .state)" progressing "the rollout"
eq "$(asks POST /v1/feedback -H "Authorization: Bearer $feedback_token" -H 'Content-Type: application/json' \
	-d '{"client": "192.0.2.77", "verdict": "good"}')" 200 "feedback with that token"
eq "$(asks GET /v1/services/web/rollout/history -H "Authorization: Bearer $token")" 200 "the history with a token"
eq "$(asks GET /v1/services -H 'Host: balancer.example')" 200 "by the name that was given"
contains "$(ctl rollout history web)" ' 1 +somebody +.*progressing' "the history"
contains "$(cat "$work/canaryd.err")" "web: start, as was asked with a token from 127.0.0.1:" "the log"

# All of it that is not a clock or a counter.
stands() {
	ctl rollout history web --limit 10000 --json | jq -c .entries
	ctl status --json | jq -c '.services[] | [.name, .weight, .effective_weight, .breaker.tripped, .lease.duration]'
	sha256sum "$work/canary.yaml" "$work/tokens"
}

case_ "abused, it changes nothing, leaks nothing, and answers on"
before=$(stands)
log_before=$(wc -c <"$work/canaryd.err")
descriptors_before=$(find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l)
on balancer timeout 240 python3 "tests/lib/abuse.py" "$port" "$CANARYD_SOCKET" "$daemon_pid" "$token" "$feedback_token" \
	>"$work/abuse" || fail "the abuse ended with $?"
grep '^not ok' "$work/abuse" >&2 || true
note "$(tail -n 1 "$work/abuse")"
read -r cases _ failures _ descriptors _ memory _ < <(tail -n 1 "$work/abuse" | grep ' cases, ')
at_least "$cases" 100 "cases of abuse"
eq "$failures" 0 "cases that failed"
eq "$(stands)" "$before" "the history, the data plane and the files"
eq "$(weight_in_force)" 5 "the weight in force"

case_ "descriptors and memory have bounds, and what was taken is given back"
# 128 connections on each listener, and what the daemon has of its own.
at_least $((descriptors_before + 2 * 128 + 16)) "$descriptors" "descriptors that it may have, and had at most"
at_least 16384 "$memory" "kB that its memory may grow by, and grew"
descriptors_are_back() {
	[ "$(find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l)" -le "$descriptors_before" ]
}
wait_for 10 "the descriptors to be given back" descriptors_are_back

case_ "no token is in its log, its arguments, its environment, its history or an answer of it"
for secret in "$token" "$feedback_token"; do
	for place in "$work/canaryd.err" "$work/canaryd.out" "/proc/$daemon_pid/cmdline" "/proc/$daemon_pid/environ" "$work"/state/*; do
		! grep -qaF "$secret" "$place" || fail "$place has a token"
	done
done
# Who is refused writes no log: it could fill a disk.
at_least 2048 "$(($(wc -c <"$work/canaryd.err") - log_before))" "bytes that the log may grow by, and grew"

case_ "SIGHUP reads the tokens again; of a file that is wrong the older ones stay"
tokens "$later_token"
kill -HUP "$daemon_pid"
wait_for 5 "the new token to be taken" becomes 200 does pause "$later_token"
eq "$(does resume "$token")" 401 "the older token"
tokens 'no token'
kill -HUP "$daemon_pid"
wait_for 5 "the log to say so" grep -q 'the tokens are as they were before' "$work/canaryd.err"
eq "$(does resume "$later_token")" 200 "the token that stays"

case_ "canaryctl needs no token, and does as before"
succeeds ctl rollout pause web
eq "$(rollout .state)" paused "the rollout"
daemon_ends || fail "the daemon's exit code: $?"
