#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A service's address answers pings, and paths learn their MTU: through tunnels and, with nat, both ways. TCP's segment size.
. "$(dirname "$0")/lib.sh"

two_armed
tunnel_ends
attach

again() { # WEB'S ARGUMENTS...: the service, all new; a further line of YAML on stdin
	local more
	more=$(cat)
	ctl service del web >/dev/null 2>&1 || true
	web "$@" | sed "s/^    weight:/${more:+    $more\n}&/" | apply
}

counter() { # NAME: of both cohorts
	stats "[.services[0].cohorts[].$1] | add"
}

bulk() { # NAME SOURCE ADDRESS: 1 MiB there and back over TCP; the rest of the line is in $path
	local code=0
	on client timeout 60 "$helpers/bulk" tcp "$2" "$3" 80 32 >"$work/bulk-$1" 2>"$work/bulk-$1.err" || code=$?
	eq "$code $(sed -n 's/ mtu.*//p' "$work/bulk-$1")" "0 BULK ok 32 lost 0 damaged 0" "$1"
	path=$(sed -n 's/.* \(mtu.*\)/\1/p' "$work/bulk-$1")
}

pings() { # WANTED OPTION...
	eq "$(on client ping -q -i 0.01 -W 2 "${@:2}" | sed -n 's/.*, \([0-9]*\) received.*/\1/p')" "$1" "pings answered: ${*:2}"
}

for forward in l2 ipip gue nat; do
	case_ "pings of the address of a service that forwards by $forward are answered, IPv4 and IPv6"
	again 50 "$forward" </dev/null
	pings 20 -c 20 "$vip"
	pings 5 -c 5 -s 0 "$vip"
	pings 5 -c 5 -M 'do' -s 1472 "$vip"
	again 50 "$forward" "$vip6" 80 tcp 2001:db8:10:: </dev/null
	pings 20 -c 20 "$vip6"
	pings 5 -c 5 -s 1452 "$vip6"
done

case_ "with no service there is no answer"
ctl service del web >/dev/null
pings 0 -c 2 "$vip"

through() { # FORWARD WHAT SOURCE ADDRESS NET MTU
	case_ "TCP through $1, $2: the client learns that $6 bytes fit, and 1 MiB goes there and back"
	on client ip route flush cache
	on client ip -6 route flush cache
	again 50 "$1" "$4" 80 tcp "$5" </dev/null
	bulk "$1-$2" "$3" "$4"
	contains "$path" "mtu $6 " "what the client knows of the path"
	at_least "$(counter too_big_answered)" 1 "answers"
	eq "$(counter too_big_answered)" "$(counter drops.too_big)" "answers, as many as packets that were too big"
}

through_all() { # FORWARD HEAD4 HEAD6: what a tunnel takes
	through "$1" 4in4 198.51.100.1 "$vip" 10.0.0. "$((1500 - $2))"
	through "$1" 6in6 2001:db8:51::1 "$vip6" 2001:db8:10:: "$((1500 - $3))"
	through "$1" 4in6 198.51.100.2 "$vip" 2001:db8:10:: "$((1500 - $3))"
	through "$1" 6in4 2001:db8:51::2 "$vip6" 10.0.0. "$((1500 - $2))"
}

through_all ipip 20 40
tunnels_were_sound 4in4 6in6 4in6 6in4
decap_ends
# UDP's header, and GUE's of 4 bytes
through_all gue 32 52
gue_was_sound

back_through() { # SOURCE ADDRESS NET
	again 50 nat "$2" 80 tcp "$3" </dev/null
	bulk "nat to $2" "$1" "$2"
	at_least "$(counter too_big_answered)" 1 "answers"
	eq "$(counter too_big_answered)" "$(counter drops.too_big)" "answers, as many as packets that were too big"
}

case_ "nat: where the way to clients has a smaller MTU, the backend learns it"
# A router heeds no MTU that is not locked (ip_forward_use_pmtu).
on client ip route flush cache
on client ip -6 route flush cache
on balancer ip route change 198.51.100.0/24 via 192.0.2.10 mtu lock 1400
on balancer ip -6 route change 2001:db8:51::/64 via 2001:db8:2::10 mtu lock 1400
back_through 198.51.100.3 "$vip" 10.0.0.
back_through 2001:db8:51::3 "$vip6" 2001:db8:10::

case_ "mss auto with nat: both sides are told beforehand, and nothing is too big"
again 50 nat "$vip" 80 tcp 10.0.0. <<<"mss: auto"
bulk "mss auto, nat" 198.51.100.4 "$vip"
at_least 1360 "${path##*mss }" "the client's segment size"
eq "$(counter drops.too_big)" 0 "too big"
eq "$(counter mss_lowered)" 2 "SYNs that were lowered: the client's and the backend's"
succeeds ctl service del web
succeeds ctl service add web tcp "$vip:80" --mss 900
eq "$(ctl service list --json | jq -r '.services[0].mss')" 900 "the service's mss"

for forward in ipip gue; do
	case_ "mss with $forward limits what the backend sends, and the client learns the rest from errors"
	on client ip route flush cache
	again 50 "$forward" "$vip" 80 tcp 10.0.0. <<<"mss: 1000"
	bulk "mss 1000, $forward" 198.51.100.5 "$vip"
	eq "$(counter mss_lowered)" 1 "SYNs that were lowered: the client's"
	at_least "$(counter too_big_answered)" 1 "answers"
done
