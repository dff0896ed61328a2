#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a fleet does when a part of it is gone: a host cut off from etcd or dead, its leader, a member of etcd.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_fleet.sh"

fleet_up
fleet_begins
fleet_web 0 4s >"$work/applied"
wait_for 10 "web on all" becomes "0 0 0" weights
lctl 1 set-weight 50 --fleet >"$work/set"
wait_for 5 "50 on all" becomes "50 50 50" weights

# Whoever comes to lead, or leads no more, from the first on.
start leaders etcd2 env ETCDCTL_API=3 etcdctl --endpoints "${etcd_urls// /}" watch --rev=1 /canary/leader
leaders=$started_pid

cut() { # N: from etcd, and from it alone
	local n
	for n in 1 2 3; do
		ip -n "$LAB_PREFIX$(lb_host "$1")" route add blackhole "10.0.0.3$n/32"
	done
}

mend() { # N
	local n
	for n in 1 2 3; do
		ip -n "$LAB_PREFIX$(lb_host "$1")" route del blackhole "10.0.0.3$n/32"
	done
}

weights_set() { # N: how often one was set there
	lctl "$1" events --service web --json | grep -c '"weight_changed"'
}

leader() { # N: as lb N has it
	fleet_status "$1" .leader | tr -d '"'
}

leads_other() { # NAME N
	local now
	now=$(leader "$2")
	[ "$now" != null ] && [ "$now" != "$1" ]
}

follower() { # another than the leader, and than the others given
	local n
	for n in 1 2 3; do
		[ "lb$n" = "$(leader 1)" ] || [[ " $* " == *" $n "* ]] || {
			echo "$n"
			return
		}
	done
}

case_ "a host that is cut off has its canary at 0 within the lease + 1 s, and says so; the others go on"
lost=$(follower)
cut "$lost"
begun=$(now_ms)
wait_for $((fleet_lease + 1)) "lb$lost to stop its canary" becomes 0 weight_on "$lost"
note "lb$lost was cut off from etcd: its canary at 0 after $(($(now_ms) - begun)) ms, with a lease of $fleet_lease s"
other=$((lost % 3 + 1))
eq "$(weight_on "$other")" 50 "weight elsewhere"
wait_for 5 "lb$lost to be told" becomes true fleet_status "$lost" .cut_off
wait_for $((2 * fleet_lease)) "lb$lost to be missed" becomes false fleet_status "$other" ".hosts[] | select(.name == \"lb$lost\") | .alive"
refused 1 'cut off from etcd|etcd' lctl "$lost" set-weight 10 --fleet --service web

case_ "the others change the weight meanwhile; on return it comes there in one change"
contains "$(lctl "$other" set-weight 60 --fleet)" committed "set-weight"
eq "$(weight_on "$lost")" 0 "weight of the one that is cut off"
set_before=$(weights_set "$lost")
mend "$lost"
wait_for 15 "lb$lost to be back" becomes 60 weight_on "$lost"
eq "$(($(weights_set "$lost") - set_before))" 1 "weights that were set on return"

case_ "a daemon that is killed leaves the canary to its lease, and what is started again goes on"
kill -KILL "${canaryd_pid[$lost]}"
wait_for $((fleet_lease + 1)) "the lease to end on lb$lost" becomes 0 weight_on "$lost"
canaryd_starts "$lost"
wait_for 10 "lb$lost to be back" becomes 60 weight_on "$lost"

case_ "the leader is killed: another leads within 2 leases, and there were never two"
before=$(leader 1)
n=${before#lb}
other=$((n % 3 + 1))
kill -KILL "${canaryd_pid[$n]}"
begun=$(now_ms)
wait_for $((2 * fleet_lease)) "another leader" leads_other "$before" "$other"
note "another leader after $(($(now_ms) - begun)) ms, with a lease of $fleet_lease s"
contains "$(lctl "$other" set-weight 70 --fleet)" committed "a change under the new leader"
canaryd_starts "$n"
wait_for 15 "all to be there" becomes '"1 2 3"' alive "$other"
wait_for 10 "70 on all" becomes "70 70 70" weights
stop "$leaders" || true
eq "$(grep -c '^lb[123]$' "$work/leaders.out")" 2 "who has led: $(tr '\n' ' ' <"$work/leaders.out")"
eq "$(grep -E '^(PUT|DELETE)$' "$work/leaders.out" | uniq -d)" "" "leaders who came while there was another"

case_ "a host whose watch was compacted away meanwhile reads all anew"
lost=$(follower)
other=$((lost % 3 + 1))
cut "$lost"
contains "$(lctl "$other" set-weight 65 --fleet)" committed "set-weight"
revision=$(fleet_status "$other" .revision)
on etcd2 env ETCDCTL_API=3 etcdctl --endpoints "${etcd_urls// /}" compact "$revision" >/dev/null
mend "$lost"
wait_for 20 "65 on all" becomes "65 65 65" weights

case_ "a daemon that hangs is waited for until its lease is over, and named; then the change goes on"
lost=$(follower)
other=$((lost % 3 + 1))
kill -STOP "${canaryd_pid[$lost]}"
begun=$(now_ms)
lctl "$other" set-weight 66 --fleet --json >"$work/hung" &
asked=$!
wait_for 5 "lb$lost to be named" becomes "\"waits for lb$lost\"" fleet_status "$other" '.services[0].waits'
wait "$asked"
note "a change with a daemon that hangs: committed after $(($(now_ms) - begun)) ms"
eq "$(jq -r .state "$work/hung")" committed "what became of it"
wait_for 5 "lb$lost to stop its canary" becomes 0 weight_on "$lost"
kill -CONT "${canaryd_pid[$lost]}"
wait_for 20 "66 on all" becomes "66 66 66" weights

case_ "only a host that is gone is removed"
wait_for 10 "lb$lost to be back" becomes '"1 2 3"' alive "$other"
refused 1 'it is alive' lctl "$other" fleet remove "lb$lost"
refused 1 'no host "lb9"' lctl "$other" fleet remove lb9
stop "${canaryd_pid[$lost]}" || true
wait_for $((2 * fleet_lease)) "lb$lost to be missed" becomes false fleet_status "$other" ".hosts[] | select(.name == \"lb$lost\") | .alive"
contains "$(lctl "$other" fleet remove "lb$lost")" 'no member' "fleet remove"
wait_for 5 "two members" becomes 2 fleet_status "$other" '.hosts | length'
canaryd_starts "$lost"
wait_for 10 "it to be back" becomes '"1 2 3"' alive "$other"

case_ "a member of etcd is killed: changes go on"
kill -KILL "${etcd_pid[1]}"
begun=$(now_ms)
for weight in 71 72 73; do
	contains "$(lctl 1 set-weight "$weight" --fleet)" committed "set-weight $weight"
done
wait_for 10 "73 on all" becomes "73 73 73" weights
note "3 changes in $(($(now_ms) - begun)) ms with a member of etcd just killed"
eq "$(alive 1)" '"1 2 3"' "hosts that are alive"
