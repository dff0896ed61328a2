#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the kernel says of connections is what the clients and servers saw: exactly for counts, within 3 % for percentiles.
# Runs alone: percentiles of delays are held against those that clients saw.
. "$(dirname "$0")/lib.sh"

connections=400
timeout=2 # handshake_timeout, s

# The servers of the cases have ports of their own.
two_armed 9000
attach

# One backend of each cohort; in nat all connections are observed. FORWARD
configure() {
	cat <<-YAML | apply
		  - name: web
		    address: $vip
		    port: 80
		    protocol: tcp
		    forward: $1
		    weight: 50
		    observe: {cap: 100, handshake_timeout: ${timeout}s}
		    breaker: {enabled: false}
		    stable: [ {address: 10.0.0.11} ]
		    canary: [ {address: 10.0.0.21} ]
	YAML
}

flaky() { # HOST OPTION...: its server, until the next of the host
	local host=$1
	shift
	unflaky "$host"
	start_ready "flaky-$host" "$host" "$helpers/flakyserver" -p 80 "$@"
	printf '%s' "$started_pid" >"$work/flaky-$host.pid"
}

unflaky() { # HOST: nothing listens; what its server did is in $work/flaky-HOST.json
	[ -e "$work/flaky-$1.pid" ] || return 0
	stop "$(cat "$work/flaky-$1.pid")" || fail "the server of $1: $(cat "$work/flaky-$1.err")"
	grep -v ready "$work/flaky-$1.out" >"$work/flaky-$1.json"
	rm "$work/flaky-$1.pid"
}

port=20000
try() { # WEIGHT OPTION...: connections of a new assignment; what became of them is in $work/client.json
	succeeds ctl set-weight "$1"
	shift
	on client timeout 60 "$helpers/connload" -r 400 -s 198.51.100.1/20 -p "$port-$((port + connections / 20 - 1))" \
		--timeout 2800 --reply-timeout 3500 --request "$@" "$vip" 80 >"$work/client.json"
	port=$((port + connections / 20))
	eq "$(client .attempted)" "$connections" "connections"
	wait_for 10 "the outcomes" is_known
}

client() { # JQ
	jq "$1" "$work/client.json"
}

of() { # COHORT JQ: of its outcomes
	stats ".services[0].cohorts.$1.outcomes | $2 | tojson"
}

is_known() {
	[ "$(stats '[.services[0].cohorts[].outcomes] | (map(.opened) | add) == (map(.completed + .refused + .client_reset + .half_open) | add)')" = true ]
}

both() { # JQ of the outcomes of both cohorts together
	stats "[.services[0].cohorts[].outcomes | to_entries[]] | group_by(.key) | map({key: .[0].key, value: (map(.value) | add)}) | from_entries | $1 | tojson"
}

# Does a percentile of the canary's, where it has all connections, agree with the client's?
agrees() { # TIME FIELD-OF-THE-CLIENT PERCENTILE
	ours=$(stats ".services[0].cohorts.canary.times.$1.$3 * 1e6 | round")
	theirs=$(client ".$2.$3 | round")
	awk -v a="$ours" -v b="$theirs" 'BEGIN { exit !(a >= b * 0.97 && a <= b * 1.03) }'
}

# Connections all of the canary's, whose times agree: TIME=FIELD-OF-THE-CLIENT... On a busy machine the client may see an
# answer late; three attempts for it to be on time.
times_agree() {
	local attempt pair percentile wrong ours theirs
	for attempt in 1 2 3; do
		try 100 --timeout 5000
		eq "$(client .replied) $(of canary .completed)" "$connections $connections" "connections"
		wrong=''
		for pair; do
			for percentile in p50 p90 p99; do
				agrees "${pair%=*}" "${pair#*=}" "$percentile" || wrong+=" ${pair%=*} $percentile: $ours us, the client's $theirs us;"
			done
			note "${pair%=*} p99: $ours us, the client's $theirs us"
		done
		[ -n "$wrong" ] || return 0
		note "attempt $attempt:$wrong"
	done
	fail "times that disagree:$wrong"
}

none='[.refused, .client_reset, .half_open, .server_reset_early, .no_reply, .client_reset_early, .late, .syn_retransmits, .failed]'
zeros='[0,0,0,0,0,0,0,0,0]'

configure nat
flaky stable1
flaky canary1

case_ "connections that fare well are counted once each, in their cohort"
try 50
eq "$(client .replied)" "$connections" "connections that were answered"
eq "$(both '[.opened, .completed]')" "[$connections,$connections]" "opened and completed"
eq "$(both "$none")" "$zeros" "anything else"
unflaky canary1
eq "$(of canary .completed)" "$(jq .accepted "$work/flaky-canary1.json")" "the canary's, and what its server accepted"

case_ "a port where nothing listens: refused"
try 50
eq "$(client .refused)" "$(of canary .refused)" "refused connections"
eq "$(of canary '.refused == .opened and .failed == .opened and .completed == 0')" true "the canary's outcomes"
eq "$(of stable "$none")" "$zeros" "failures of stable's"
eq "$(of stable .completed)" "$(client .replied)" "stable's"

case_ "a delayed SYN and ACK, and a delayed answer: times agree within 3 %"
flaky canary1 --response-delay 80
hop_before canary1 --syn-ack-delay 100 --port 80
times_agree handshake=connect_us syn_ack=connect_us response=response_us
hop_ends canary1

case_ "SYNs that are dropped: half open; and each that was sent again is counted"
flaky canary1
hop_before canary1 --drop-syn 1/4 --port 80
try 100
eq "$(client .timed_out)" $((connections / 4)) "connections that timed out"
eq "$(of canary '[.opened, .completed, .half_open, .late]')" "[$connections,$((connections * 3 / 4)),$((connections / 4)),0]" "outcomes"
eq "$(of canary .syn_retransmits)" "$(client .syn_retransmits)" "SYNs that were sent again"
hop_ends canary1

case_ "a first SYN that is lost costs time, and is no failure"
hop_before canary1 --lose-first-syn --port 80
times_agree handshake=connect_us
eq "$(of canary '[.completed, .half_open, .failed]')" "[$connections,0,0]" "outcomes"
eq "$(of canary .syn_retransmits)" "$(client .syn_retransmits)" "SYNs that were sent again"
hop_ends canary1

case_ "a handshake that takes longer than handshake_timeout: half open, then late"
hop_before canary1 --syn-ack-delay 3100 --port 80
connections=100 try 100 --timeout 5000
eq "$(client .replied)" 100 "connections that were answered"
eq "$(of canary '[.opened, .completed, .half_open, .late]')" "[100,0,100,100]" "outcomes"
hop_ends canary1

case_ "accepted, then reset, at once or after the request"
flaky canary1 --reset 1/5 --reset-after-request 1/10
try 100
eq "$(client .reset)" $((connections * 3 / 10)) "connections that were reset"
eq "$(of canary '[.completed, .server_reset_early, .failed]')" "[$connections,$(client .reset),$(client .reset)]" "outcomes"

case_ "a request without an answer: silence, or a FIN"
flaky canary1 --silent 1/10 --close 1/5
try 100
eq "$(client '[.no_reply, .closed] | tojson' | jq -r .)" "[$((connections / 10)),$((connections / 5))]" "what the client saw"
eq "$(of canary '[.completed, .no_reply]')" "[$connections,$((connections * 3 / 10))]" "outcomes"

case_ "clients that go away with a reset before anything was answered"
flaky canary1 --response-delay 100
try 100 --reset-after-connect 1/8
eq "$(client .self_reset)" $((connections / 8)) "connections that the client reset"
eq "$(of canary '[.completed, .client_reset_early]')" "[$connections,$(client .self_reset)]" "outcomes"

case_ "5 % of mixed failures: each to its own, and to its cohort"
flaky canary1 --reset 2/100 --reset-after-request 1/100 --close 1/100 --silent 1/100
try 100
failures=$((connections / 20))
eq "$(of canary '[.completed, .server_reset_early, .no_reply, .failed]')" "[$connections,$(client .reset),$(client '.closed + .no_reply'),$failures]" "outcomes"
eq "$(client '.reset + .closed + .no_reply')" "$failures" "failures that the client saw"
try 50
unflaky canary1
eq "$(of canary '[.completed, .server_reset_early, .no_reply]')" \
	"$(jq -c --argjson before "$connections" '[.accepted - $before, .reset + .reset_after_request - 12, .closed + .silent - 8]' "$work/flaky-canary1.json")" \
	"the canary's outcomes, and what its server did"
eq "$(of stable "$none")" "$zeros" "failures of stable's"

case_ "l2 sees what the client sends: refused is half open there, and the rest counts as well"
configure l2
eq "$(stats '[.services[0].cohorts[].times | .syn_ack, .response] | tojson')" '[null,null,null,null]' "times"
try 50
wait_for 5 "the half-open ones" is_known
eq "$(of canary '[.half_open == .opened, .refused]')" '[true,0]' "the canary's outcomes"
eq "$(of canary .half_open)" "$(client .refused)" "connections that the client saw refused"
eq "$(of stable '[.completed == .opened, .failed]')" '[true,0]' "stable's outcomes"
flaky canary1
hop_before canary1 --syn-ack-delay 100 --port 80
times_agree handshake=connect_us
eq "$(of canary '[.opened, .completed, .failed]')" "[$connections,$connections,0]" "the canary's outcomes"
hop_ends canary1
try 100 --close-after-connect 1/1
eq "$(of canary '[.completed, .failed]')" "[$connections,0]" "outcomes where clients end with a FIN"
flaky canary1 --response-delay 100
try 100 --reset-after-connect 1/8
eq "$(of canary '[.completed, .client_reset_early]')" "[$connections,$(client .self_reset)]" "outcomes where some end with a reset before the answer"
contains "$(ctl stats)" 'l2 sees only the clients. packets: refused, server_reset_early, no_reply, syn_ack times, response times need nat' "stats"
