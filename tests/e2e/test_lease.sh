#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A lease that nobody renews takes the canary's new flows away, in the kernel, with nobody in user space.
. "$(dirname "$0")/lib.sh"

two_armed 53 80 8080
attach

service() { # JQ of a service in `status` [NAME]
	ctl status --json | jq -c --arg name "${2:-web}" ".services[] | select(.name == \$name) | $1"
}

events() { # JQ of the events as an array
	ctl events --json | jq -sc "$1"
}

port=20000
canary_of() { # OPTION... ADDRESS PORT: of 200 new flows, how many the canary got
	load new -s 198.51.100.1/100 -p "$port-$((port + 1))" "$@"
	port=$((port + 2))
	on_cohort canary new
}

# Renews at short intervals, as a script would that watches.
renewer() { # INTERVAL [SERVICE]
	# shellcheck disable=SC2016  # the inner shell expands them
	start renewer balancer bash -c 'while "$1" lease renew --service "$3"; do sleep "$2"; done' bash "$canaryctl" "$1" "${2:-web}"
	renewer=$started_pid
}

case_ "lengths that cannot be are refused, and so is a renewal where there is no lease"
apply < <(
	web 50 nat
	web 50 l2 "$vip" 53 udp | sed 's/name: web/name: dns/'
)
refused 2 'lease is 1s to 12h' ctl set-weight 50 --service web --lease 0
refused 2 'lease is 1s to 12h' ctl set-weight 50 --service web --lease 13h
refused 2 'lease is 1s to 12h' ctl set-weight 50 --service web --lease soon
refused 1 'web has no lease' ctl lease renew --service web
refused 1 'there is no service' ctl lease renew --service nobody
eq "$(service .lease)" null "the lease"

case_ "an assignment with a lease says so, and counts from then on"
contains "$(ctl set-weight 50 --service web --lease 2m)" 'canary weight 50% \(was 50%\), epoch 2; lease of 2m, then new flows go to stable$' "set-weight"
eq "$(service '.lease | [.expired, .on_expiry, .duration]')" '[false,"stable",120]' "the lease"
eq "$(service '.lease.expires_at | fromdate - now | . > 115 and . < 122')" true "when it expires"
eq "$(ctl set-weight 50 --service web --lease 1h30m --json | jq .lease)" 5400 "the lease in JSON"
eq "$(ctl set-weight 50 --service web --json | jq .lease)" null "an assignment without a lease"

case_ "while it is renewed the canary gets its share, for longer than the lease is"
succeeds ctl set-weight 50 --service web --lease 2s
renewer 0.3
hold old -s 198.51.100.201/20 -p 30000-30009 "$vip" 80
sleep 4
share_is "$(canary_of "$vip" 80)" 200 50 "new flows of the canary"
eq "$(events '[.[] | select(.type == "lease_expired")]')" '[]' "leases that expired"
epoch=$(service .epoch)

case_ "the renewing process stopped: lease + 1 s later the canary gets no new flow"
kill -STOP "$renewer"
sleep 3
eq "$(canary_of "$vip" 80)" 0 "new flows of the canary"
eq "$(service '[.weight, .effective_weight, .stopped, .lease.expired]')" '[50,0,true,true]' "status"
eq "$(service '.epoch - '"$epoch")" 1 "epochs that the expiry took"
contains "$(ctl status)" 'STOPPED: the lease expired at 20.*Z\. New flows go to stable' "status"
contains "$(ctl stats)" 'STOPPED: the lease expired' "stats"
eq "$(events '[.[] | select(.type == "lease_expired") | [.service, .uid, .on_expiry]]')" '[["web",null,"stable"]]' "events"
contains "$(ctl events)" 'lease_expired  *kernel .*new flows go to stable' "events as text"

case_ "explain tells whose bucket it would be, and why it is not"
explained=$(for ((p = 40000; p < 40020; p++)); do ctl explain 198.51.100.7:$p --service web; done)
contains "$explained" 'stopped: the bucket is below the threshold, but the expired lease has stopped the canary' "explain"
contains "$explained" '^cohort +stable$' "explain"
! grep -q '^cohort  *canary' <<<"$explained" || fail "explain has the canary get a flow"

case_ "too late to renew: it fails, and changes nothing"
kill -CONT "$renewer"
code=0
wait "$renewer" || code=$?
eq "$code" 0 "the loop ends with the failure of lease renew"
contains "$(cat "$work/renewer.err")" 'the lease of web has expired: only a new set-weight' "lease renew"
refused 1 'has expired' ctl lease renew --service web
eq "$(canary_of "$vip" 80)" 0 "new flows of the canary"

case_ "a change that is no assignment brings nothing back: backends, apply with the same weight"
succeeds ctl backend add web stable 10.0.0.11:8080 --weight 2
succeeds ctl apply -f "$work/config.yaml"
eq "$(service '[.effective_weight, .stopped]')" '[0,true]' "status"
eq "$(canary_of "$vip" 80)" 0 "new flows of the canary"

case_ "the connections that the canary had live on"
sleep 1.5
release old
at_least "$(on_cohort canary old)" 60 "connections of the canary's that were held"

case_ "a new set-weight clears it"
succeeds ctl set-weight 50 --service web
eq "$(service '[.effective_weight, .stopped, .lease]')" '[50,false,null]' "status"
share_is "$(canary_of "$vip" 80)" 200 50 "new flows of the canary"

case_ "a renewal for another time, and an answer in JSON"
succeeds ctl set-weight 50 --service web --lease 5s
eq "$(ctl lease renew --service web --lease 1h --json | jq -c '[.changed, .service, (.expires_at | fromdate - now | . > 3590 and . < 3602)]')" '[true,"web",true]' "lease renew"

case_ "a UDP service falls back as well"
succeeds ctl set-weight 50 --service dns --lease 1s
share_is "$(canary_of -u "$vip" 53)" 200 50 "datagrams to the canary"
sleep 2
eq "$(canary_of -u "$vip" 53)" 0 "datagrams to the canary"
eq "$(service '[.effective_weight, .lease.expired]' dns)" '[0,true]' "status"
succeeds ctl set-weight 50 --service dns
share_is "$(canary_of -u "$vip" 53)" 200 50 "datagrams to the canary"

case_ "leases of the file: assignments have it that say nothing else; on_expiry hold keeps the weight, and tells"
sed 's/^    weight: 50/&\n    lease: {duration: 1s, on_expiry: hold}/' "$work/config.yaml" | sed 1d >"$work/held.yaml"
apply <"$work/held.yaml"
eq "$(service .lease.duration)" 5 "the lease of the assignment that is in force"
contains "$(ctl set-weight 60 --service web)" 'lease of 1s, then it is held$' "set-weight"
sleep 2.2
eq "$(service '[.effective_weight, .stopped, .lease.expired, .lease.on_expiry]')" '[60,false,true,"hold"]' "status"
share_is "$(canary_of "$vip" 80)" 200 60 "new flows of the canary"
contains "$(ctl status)" 'the lease expired at 20.*Z; the weight is held' "status"
eq "$(events '[.[] | select(.type == "lease_expired") | [.service, .on_expiry]][-1]')" '["web","hold"]' "events"
refused 1 'has expired' ctl lease renew --service web
eq "$(ctl set-weight 0 --service web --json | jq .lease)" null "the lease of a weight of 0"
