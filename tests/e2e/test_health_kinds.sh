#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks that ask more than whether somebody accepts connections: http and commands. One that came back gets its share
# slowly, and one that goes up and down is held out for a while.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
attach
for host in $all_backends; do
	echo "200 $host" >"$work/$host.http"
	start_ready "http-$host" "$host" python3 -u tests/lib/answers.py 8081 "$work/$host.http"
done

answers() { # HOST "STATUS": its checks by http, from now on
	printf '%s' "$2" >"$work/new"
	mv "$work/new" "$work/$1.http"
}

# The state of a backend's checks in the daemon: up, down, held or unknown, and why. ADDRESS KEY
health_of() {
	curl -sS --unix-socket "$CANARYD_SOCKET" http://canaryd/v1/health |
		jq -r --arg backend "$1" ".backends[] | select(.backend == \$backend) | .$2"
}

backends() { # JQ of the list
	ctl backend list web --json | jq -c "[.backends[] | $1]"
}

backend_is() { # ADDRESS: up or draining
	backends "select(.address == \"$1\") | .state" | jq -r '.[0]'
}

now_ms() {
	local now=${EPOCHREALTIME/./}
	echo "${now%???}"
}

checked() { # FORWARD WEIGHT CHECK: the service with that check, and a daemon that knows it
	{
		echo 'services:'
		web "$2" "$1"
		echo "    idle_timeout: 5s"
		echo "    health: {$3}"
	} >"$work/canary.yaml"
	succeeds ctl apply -f "$work/canary.yaml"
	daemon_starts
	wait_for 5 "all checks to be good" becomes up health_of "10.0.0.22:$([ "$1" = nat ] && echo 8080 || echo 80)" state
}

checks() { # of stable1, so far
	wc -l <"$work/stable1.http.requests"
}

connects() { # PORT of stable1
	on balancer timeout 2 bash -c ": </dev/tcp/10.0.0.11/$1"
}

# From when it answers 500, stable1 is out after two checks, which took $took ms. PORT of the backend
leaves_by_500() {
	local begun asked
	answers stable1 '500 broken'
	begun=$(now_ms) asked=$(checks)
	wait_for 5 "stable1 to leave" becomes draining backend_is 10.0.0.11
	took=$(($(now_ms) - begun)) asked=$(($(checks) - asked))
	# Counted, as a time would be that of what else the processors do; one more may be on its way.
	at_least "$asked" 2 "bad checks until it left"
	at_least 3 "$asked" "bad checks until it left, at most"
	succeeds connects "$1"
	succeeds connects 8081
	eq "$(health_of "10.0.0.11:$1" state): $(health_of "10.0.0.11:$1" text)" "down: it answers with status 500" "why"
	eq "$(backends 'select(.state != "up") | .address')" '["10.0.0.11"]' "backends that are not up"
	load without -s 198.51.100.50/50 -p 20000-20009 "$vip" 80
	eq "$(on_cohort stable1 without)" 0 "flows that it got"
}

case_ "http: one that answers 500 leaves its ring within interval x fall, though it accepts connections"
checked nat 50 'type: http, path: /healthz, host: shop.example, port: 8081, interval: 500ms, timeout: 400ms, rise: 2, fall: 2, damping: 0'
eq "$(backends 'select(.state != "up")')" '[]' "backends that are not up"
leaves_by_500 8080
contains "$(cat "$work/canaryd.err")" 'web: 10.0.0.11:8080 is down: it answers with status 500' "the log"
note "500 instead of 200: out of its ring after $took ms"

case_ "http: it is back after rise good answers, of which 302 is one; and is asked as configured"
asked=$(checks)
answers stable1 '302 elsewhere'
wait_for 5 "stable1 to be back" becomes up backend_is 10.0.0.11
at_least $(($(checks) - asked)) 2 "good answers until it was back"
eq "$(jq -sc '[.[] | [.method, .path, .host]] | unique' "$work/stable1.http.requests")" \
	'[["GET","/healthz","shop.example"]]' "what it was asked"
load with -s 198.51.100.50/50 -p 20010-20019 "$vip" 80
at_least "$(on_cohort stable1 with)" 50 "flows that it gets again"

case_ "http: no answer is a bad one"
answers stable1 silent
wait_for 5 "stable1 to leave" becomes draining backend_is 10.0.0.11
answers stable1 200
wait_for 5 "stable1 to be back" becomes up backend_is 10.0.0.11
daemon_ends || true

# The server listens on every address of the backend: only the service's, which is on its `lo`, is asked.
http_decides() { # FORWARD
	case_ "http, over $1: a backend is out while it answers 500 for the service's address, though connections are accepted"
	answers stable1 200
	: >"$work/stable1.http.requests"
	checked "$1" 50 'type: http, path: /healthz, port: 8081, interval: 500ms, timeout: 400ms, rise: 2, fall: 2, damping: 0'
	eq "$(backends 'select(.state != "up")')" '[]' "backends that are not up"
	leaves_by_500 80
	answers stable1 200
	wait_for 5 "stable1 to be back" becomes up backend_is 10.0.0.11
	eq "$(jq -sc '[.[] | [.method, .path, .host]] | unique' "$work/stable1.http.requests")" \
		"[[\"GET\",\"/healthz\",\"$vip:8081\"]]" "what it was asked"
	note "$1, 500 instead of 200: out of its ring after $took ms"

	case_ "http, over $1: one that does not have the service's address is out, though it answers for its own"
	on stable1 ip address del "$vip/32" dev lo
	wait_for 5 "stable1 to leave" becomes draining backend_is 10.0.0.11
	on stable1 ip address add "$vip/32" dev lo
	wait_for 5 "stable1 to be back" becomes up backend_is 10.0.0.11
	daemon_ends || true
}
http_decides l2
tunnel_ends
http_decides ipip

# A command that says what files say: the backend's address is in its environment.
cat >"$work/command" <<'SH2'
#!/bin/sh
echo "$CANARY_SERVICE $CANARY_ADDRESS $CANARY_BACKEND $*" >>"$(dirname "$0")/commands"
[ ! -e "$(dirname "$0")/bad-$CANARY_BACKEND" ] || {
	echo "no answer to the query"
	exit 1
}
SH2
chmod +x "$work/command"

command_decides() { # FORWARD ENDPOINT
	case_ "a command, over $1: a backend is out while it fails, and in again"
	rm -f "$work/commands"
	checked "$1" 50 "type: command, command: '$work/command deep query', interval: 500ms, timeout: 500ms, rise: 2, fall: 2, damping: 0"
	touch "$work/bad-$2"
	wait_for 5 "stable1 to leave" becomes draining backend_is 10.0.0.11
	eq "$(backends 'select(.state != "up") | .address')" '["10.0.0.11"]' "backends that are not up"
	eq "$(health_of "$2" text)" "no answer to the query" "why"
	rm "$work/bad-$2"
	wait_for 5 "stable1 to be back" becomes up backend_is 10.0.0.11
	eq "$(grep "$2" "$work/commands" | sort -u)" "web $vip:80 $2 deep query" "what it was told"
	daemon_ends || true
}
command_decides nat 10.0.0.11:8080
command_decides ipip 10.0.0.11:80

# stable1's weight as a part of stable2's, each time that it is another one.
watch_share() {
	local share last=''
	while :; do
		share=$(backends 'select(.cohort == "stable") | if .state == "up" then .weight else 0 end' | jq '.[0] / .[1]')
		[ "$share" = "$last" ] || echo "$share"
		last=$share
		sleep 0.05
	done
}

case_ "slow start: one that came back gets its share in four steps, and no flow breaks"
command="type: command, command: '$work/command', interval: 400ms, timeout: 400ms, rise: 1, fall: 2"
checked nat 0 "$command, damping: 0, slow_start: 6s"
hold held -t 10000 -s 198.51.100.201/20 -p 40000-40004 "$vip" 80
watch_share >"$work/shares" &
watcher=$!
started+=("$watcher")
touch "$work/bad-10.0.0.11:8080"
wait_for 5 "stable1 to leave" becomes draining backend_is 10.0.0.11
rm "$work/bad-10.0.0.11:8080"
wait_for 5 "stable1 to be back" becomes up backend_is 10.0.0.11
begun=$(now_ms)
load slow -s 198.51.100.1/100 -p 20020-20029 "$vip" 80
[ $(($(now_ms) - begun)) -lt 1900 ] || fail "the load took longer than the first quarter"
share_is "$(on_cohort stable1 slow)" 1000 20 "flows that it gets in the first quarter, of 1000"
wait_for 12 "its full share" becomes '[1,1]' backends 'select(.cohort == "stable") | .weight'
took=$(($(now_ms) - begun))
sleep 0.5
stop "$watcher" || true
eq "$(xargs <"$work/shares")" "1 0 0.25 0.5 0.75 1" "its share, beside the other's"
within "$took" 6000 1000 "ms that it took"
load full -s 198.51.100.1/100 -p 20030-20039 "$vip" 80
share_is "$(on_cohort stable1 full)" 1000 50 "flows that it gets at the end, of 1000"
release held
daemon_ends || true
note "slow start: $(on_cohort stable1 slow) of 1000 flows in the first quarter, $(on_cohort stable1 full) at the end"

not_down() {
	[ "$(health_of 10.0.0.11:8080 state)" != down ]
}

changes() { # of backends, as events tell
	ctl events --json | grep -c backend_changed
}

case_ "a backend that goes up and down is held out, though its checks are good, and is back by itself"
checked nat 50 "$command, damping: 15s"
for ((flaps = 0; flaps < 8; flaps++)); do
	touch "$work/bad-10.0.0.11:8080"
	wait_for 5 "stable1 to be down" becomes down health_of 10.0.0.11:8080 state
	rm "$work/bad-10.0.0.11:8080"
	wait_for 5 "stable1 to answer again" not_down
	[ "$(health_of 10.0.0.11:8080 state)" = up ] || break
done
begun=$(now_ms)
at_least "$flaps" 2 "times that it was let in again"
eq "$(health_of 10.0.0.11:8080 state) $(backend_is 10.0.0.11)" "held draining" "its state"
contains "$(cat "$work/canaryd.err")" '10.0.0.11:8080 is held: its checks are good, but it was down too often lately' "the log"
before=$(changes)
sleep 1
eq "$(changes) $(backend_is 10.0.0.11)" "$before draining" "changes of backends, and its state, 1 s later"
load held_out -s 198.51.100.50/50 -p 20040-20049 "$vip" 80
eq "$(on_cohort stable1 held_out)" 0 "flows that it got meanwhile"
wait_for 10 "stable1 to be back" becomes up backend_is 10.0.0.11
contains "$(tail -n 1 "$work/canaryd.err")" '10.0.0.11:8080 is up' "the log"
note "held out for $(($(now_ms) - begun)) ms after $((flaps + 1)) flaps"
daemon_ends || true
