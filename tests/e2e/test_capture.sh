#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# canaryctl capture: what is in its files and lines is what happened to the packets, as backends, stats and explain say it.
. "$(dirname "$0")/lib.sh"

two_armed
tunnel_ends
attach

# A capture in the background, which has begun when this returns: NAME OPTION...
record() {
	local name=$1
	shift
	start "$name" balancer "$canaryctl" capture "$@"
	recorder=$started_pid
	wait_for 5 "the capture to begin" grep -qs capturing "$work/$name.err"
}

# Ends it as ^C does, when the last packets have come.
end_record() { # NAME
	sleep 0.3
	stop "$recorder" INT || fail "the capture ended with code $?: $(cat "$work/$1.err")"
	contains "$(cat "$work/$1.err")" "captured" "the summary"
}

# What Wireshark's own reader says of a file, a line a packet: interface|direction|number|dropped|verdict|comment|FIELD...
fields() { # FILE [FIELD...]
	local file=$1 field more=()
	shift
	for field in frame.interface_name frame.packet_flags_direction frame.packet_id frame.drop_count \
		frame.verdict.ebpf_xdp frame.comment "$@"; do
		more+=(-e "$field")
	done
	tshark -n -r "$file" -T fields -E separator='|' -E occurrence=f "${more[@]}" 2>"$work/tshark.err" ||
		fail "tshark: $(cat "$work/tshark.err")"
}

# tcpdump takes the file as well, to its end: how many packets it has.
packets_in() { # FILE
	tcpdump -n -r "$1" 2>"$work/tcpdump.err" | wc -l
	contains "$(cat "$work/tcpdump.err")" "link-type EN10MB" "what tcpdump says of the file"
	! grep -Eqi 'error|truncated|bad' "$work/tcpdump.err" || fail "tcpdump: $(cat "$work/tcpdump.err")"
}

backend_of() { # NET PORT HOST
	local last=1${3#stable}
	[[ $3 != canary* ]] || last=2${3#canary}
	case $1 in
	*:*) echo "[$1$last]:$2" ;;
	*) echo "$1$last:$2" ;;
	esac
}

# Each flow's packets from the client are said to go where the client says that it was answered from.
says_who_answered() { # FILE FLOWS NET PORT SOURCE-FIELD
	local client port host comments wanted
	fields "$1" "$5" tcp.srcport tcp.dstport >"$work/fields"
	while read -r client port host; do
		wanted="service=web cohort=${host%[0-9]} backend=$(backend_of "$3" "$4" "$host") verdict=forwarded egress=eth1"
		comments=$(awk -F'|' -v c="$client" -v p="$port" '$1 == "eth0" && $2 ~ /1$/ && $7 == c && $8 == p { print $6 }' \
			"$work/fields" | sort -u)
		eq "$comments" "$wanted" "the comments of $client $port"
	done <"$2"
}

through() { # FORWARD ADDRESS SOURCE NET
	local family=ip port=80 came left
	case_ "$1 to $2, backends in ${4}0: the file has each packet as it came and as it left, with its cohort and backend"
	[[ $2 != *:* ]] || family=ipv6
	[ "$1" != nat ] || port=8080
	ctl service del web >/dev/null 2>&1 || true
	ends_for "$1"
	web 50 "$1" "$2" 80 tcp "$4" | apply
	record file web --max-rate 10000 -w "$work/all.pcapng"
	load flows -s "$3/4" -p 20000-20004 "$2" 80
	end_record file
	says_who_answered "$work/all.pcapng" "$work/flows" "$4" "$port" "$family.src"

	# As many as stats counts, of each cohort, and each twice: with one number, at two interfaces.
	for cohort in stable canary; do
		eq "$(awk -F'|' -v c="cohort=$cohort" '$1 == "eth0" && $2 ~ /1$/ && index($6, c)' "$work/fields" | wc -l)" \
			"$(stats ".services[0].cohorts.$cohort.packets")" "packets of $cohort"
	done
	came=$(awk -F'|' '$2 ~ /1$/ { print $3, $5 }' "$work/fields")
	left=$(awk -F'|' '$2 ~ /2$/ { print $3, $5 }' "$work/fields")
	eq "$left" "$came" "numbers and verdicts of the packets that left"
	eq "$(cut -d' ' -f2 <<<"$came" | sort -u)" 4 "XDP's verdicts"
	eq "$(cut -d' ' -f1 <<<"$came" | sort -u | wc -l)" "$(wc -l <<<"$came")" "different numbers"
	eq "$(packets_in "$work/all.pcapng")" "$((2 * $(wc -l <<<"$came")))" "packets that tcpdump reads"
	eq "$(tcpdump -n -r "$work/all.pcapng" 2>/dev/null | grep -Ec 'bad|truncated|\[\|')" 0 "packets that tcpdump finds broken"
	left_as_said "$1" "$family" "$4"
}

# What left eth1 is addressed as the way of forwarding has it.
left_as_said() { # FORWARD FAMILY NET
	local outer=ip.dst said
	[[ $3 != *:* ]] || outer=ipv6.dst
	case $1 in
	l2)
		said=$(fields "$work/all.pcapng" eth.dst | awk -F'|' '$1 == "eth1" && $2 ~ /2$/ { print $7 }' | sort -u)
		eq "$said" "$(for host in $all_backends; do mac_of "$host"; done | sort)" "link-layer addresses"
		;;
	*)
		said=$(fields "$work/all.pcapng" "$outer" | awk -F'|' '$1 == "eth1" && $2 ~ /2$/ { print $7 }' | sort -u)
		eq "$said" "$(printf '%s\n' "${3}"{11,12,21,22} | sort)" "addresses behind"
		;;
	esac
}

through nat "$vip" 198.51.100.1 10.0.0.
through nat "$vip6" 2001:db8:51::1 2001:db8:10::
through l2 "$vip" 198.51.100.1 10.0.0.
through l2 "$vip6" 2001:db8:51::1 2001:db8:10::
through ipip "$vip" 198.51.100.1 10.0.0.
through ipip "$vip6" 2001:db8:51::1 2001:db8:10::
through gue "$vip" 198.51.100.1 2001:db8:10::
through gue "$vip6" 2001:db8:51::1 10.0.0.

case_ "of one cohort only, as explain says it; the answers in nat as well"
ctl service del web >/dev/null
web 50 nat | apply
record canary web --cohort canary --json
load flows -s 198.51.100.1/4 -p 21000-21004 "$vip" 80
end_record canary
eq "$(jq -r .cohort "$work/canary.out" | sort -u)" canary "cohorts"
eq "$(jq -s '[.[] | select(.direction == "to_backend")] | length' "$work/canary.out")" \
	"$(stats '.services[0].cohorts.canary.packets')" "packets to the canary"
eq "$(jq -s '[.[] | select(.direction == "to_client")] | length' "$work/canary.out")" \
	"$(stats '.services[0].cohorts.canary.reply_packets')" "packets from the canary"
while read -r client port backend; do
	eq "$(ctl explain --json "$client:$port" | jq -r '"\(.cohort) \(.backend.address):\(.backend.port)"')" \
		"canary $backend" "what explain says of $client:$port"
done < <(jq -r 'select(.direction == "to_backend" and .tcp_flags == "S") |
	"\(.source) \(.source_port) \(.backend.address):\(.backend.port)"' "$work/canary.out")
eq "$(jq -r 'select(.direction == "to_client") | .egress' "$work/canary.out" | sort -u)" eth0 "where answers left"

case_ "what is not a service's is not captured, unless it is asked for"
record none
on client ping -q -c 2 -i 0.2 192.0.2.1 >/dev/null
end_record none
eq "$(cat "$work/none.out")" "" "lines"
record unmatched --unmatched
on client ping -q -c 2 -i 0.2 192.0.2.1 >/dev/null
end_record unmatched
contains "$(cat "$work/unmatched.out")" "eth0  192.0.2.10 -> 192.0.2.1  icmp  98 bytes  - - -  passed$" "lines"

case_ "dropped packets have their reason, and are as many as stats counts"
ctl service add lost tcp "$vip:81" --forward l2 >/dev/null
ctl backend add lost stable 10.0.0.99 >/dev/null
ctl service add nobody tcp "$vip:82" --forward l2 >/dev/null
record lost -w "$work/lost.pcapng"
on client timeout 1 bash -c "echo >/dev/tcp/$vip/81" 2>/dev/null || true
on client timeout 1 bash -c "echo >/dev/tcp/$vip/82" 2>/dev/null || true
end_record lost
fields "$work/lost.pcapng" tcp.dstport >"$work/fields"
dropped() { # PORT: packets of which a file says so, in words as these
	awk -F'|' -v p="$1" '$7 == p { print $5, $6 }' "$work/fields" | uniq -c | sed 's/^ *//'
}
drops() { # SERVICE REASON
	stats ".services[] | select(.name == \"$1\") | [.cohorts[].drops.$2] | add"
}
at_least "$(drops lost no_neighbour)" 1 "packets without a neighbour"
eq "$(dropped 81)" "$(drops lost no_neighbour) 1 service=lost cohort=stable backend=10.0.0.99:81 verdict=dropped reason=no_neighbour (the next hop's link-layer address is not known)" \
	"what the file says of them"
eq "$(dropped 82)" "$(drops nobody no_backend) 1 service=nobody cohort=stable verdict=dropped reason=no_backend (no cohort of the service had a backend to give)" \
	"what the file says of those without a backend"
record text lost
on client timeout 1 bash -c "echo >/dev/tcp/$vip/81" 2>/dev/null || true
end_record text
contains "$(cat "$work/text.out")" "eth0  192.0.2.10:[0-9]+ -> $vip:81  tcp S  74 bytes  lost stable 10.0.0.99:81  dropped  no_neighbour" \
	"a line"

case_ "behind VLAN tags: lines, JSON and file have them, with the verdict"
on client ethtool -K eth0 txvlan off tx-vlan-stag-hw-insert off >/dev/null 2>&1 || true # what is sent on has them in the frame
tagged() { # PORT VLAN...
	on client python3 tests/lib/tagged.py eth0 "$(mac_of balancer)" "192.0.2.10:$1" "$vip:80" "${@:2}"
}
record tagged web
tagged 4001 7
tagged 4002 100 8
end_record tagged
contains "$(cat "$work/tagged.out")" "eth0 vlan 7  192.0.2.10:4001 -> $vip:80  tcp S  58 bytes  web (stable|canary) [0-9.:]+  forwarded eth1" \
	"a line behind one tag"
contains "$(cat "$work/tagged.out")" "eth0 vlan 100\.8  192.0.2.10:4002 -> $vip:80  tcp S  62 bytes  web .* forwarded eth1" \
	"a line behind two"
record tagged web --json
tagged 4003 100 8
end_record tagged
eq "$(jq -c 'select(.source_port == 4003 and .tcp_flags == "S") | [.vlans, .length, .verdict]' "$work/tagged.out")" \
	'[[100,8],62,"forwarded"]' "what JSON has"
record tagged web -w "$work/tagged.pcapng"
tagged 4004 7
tagged 4005 100 8
end_record tagged
tshark -n -r "$work/tagged.pcapng" -Y 'tcp.flags == 2' -T fields -E separator='|' -e frame.interface_name -e vlan.id \
	-e ieee8021ad.id -e tcp.srcport -e frame.comment 2>"$work/tshark.err" | sed 's/cohort=.* verdict/verdict/' >"$work/fields"
eq "$(xargs -d '\n' <"$work/fields")" "eth0|7||4004|service=web verdict=forwarded egress=eth1 eth1|||4004|service=web verdict=forwarded egress=eth1 \
eth0|8|100|4005|service=web verdict=forwarded egress=eth1 eth1|||4005|service=web verdict=forwarded egress=eth1" "what the file has"
packets_in "$work/tagged.pcapng" >"$work/output"

case_ "into a pipe, for as many packets as were asked for: tcpdump reads on"
record pipe web --count 5 -w -
load flows -s 198.51.100.1/4 -p 22000-22004 "$vip" 80
wait "$recorder" || fail "the capture ended with code $?"
eq "$(packets_in - <"$work/pipe.out")" 10 "packets"
contains "$(cat "$work/pipe.err")" "^5 captured of" "the summary"

case_ "ends when the time is up, or nobody reads any more"
succeeds ctl capture --duration 1
{
	on balancer timeout 20 "$canaryctl" capture --unmatched 2>"$work/reader.err" || echo "$?" >"$work/reader.code"
} | head -n 1 >"$work/one" &
reader=$!
while kill -0 "$reader" 2>/dev/null; do
	on client ping -q -c 1 192.0.2.1 >/dev/null
	sleep 0.1
done
wait "$reader"
eq "$(wc -l <"$work/one")" 1 "lines"
# Which of the two it is depends on whether it was writing just then: 1 if it was.
[ ! -e "$work/reader.code" ] || eq "$(cat "$work/reader.code")" 1 "exit code"

case_ "a file is for its owner alone, also one that is overwritten; what cannot be written is said"
echo older >"$work/older.pcapng"
chmod 644 "$work/older.pcapng"
succeeds ctl capture --duration 1 -w "$work/older.pcapng"
eq "$(stat -c %a "$work/older.pcapng") $(packets_in "$work/older.pcapng")" "600 0" "mode and packets"
refused 1 "cannot write /nowhere/file: No such file" ctl capture -w /nowhere/file
record full web -w /dev/full
load flows -s 198.51.100.1/4 -p 23000-23004 "$vip" 80
code=0
wait "$recorder" || code=$?
eq "$code" 1 "exit code"
contains "$(tail -n 1 "$work/full.err")" "cannot write /dev/full: No space left" "what it says"

case_ "on a disk that fills up the file ends with a whole packet, and is read to its end"
mkdir "$work/small"
mount -t tmpfs -o size=64k tmpfs "$work/small"
mounts+=("$work/small")
record small web -w "$work/small/file.pcapng"
load flows -s 198.51.100.1/40 -p 23100-23104 "$vip" 80
code=0
wait "$recorder" || code=$?
eq "$code" 1 "exit code"
contains "$(tail -n 1 "$work/small.err")" "cannot write .*file.pcapng: No space left" "what it says"
fields "$work/small/file.pcapng" >"$work/fields"
at_least "$(wc -l <"$work/fields")" 100 "packets that Wireshark reads"
eq "$(packets_in "$work/small/file.pcapng")" "$(wc -l <"$work/fields")" "those that tcpdump reads"

case_ "what comes last before ^C is captured, too"
for turn in 1 2 3 4 5; do
	record last --unmatched
	on client ping -q -c 1 192.0.2.1 >/dev/null
	stop "$recorder" INT || fail "the capture ended with code $?"
	contains "$(cat "$work/last.out")" "192.0.2.10 -> 192.0.2.1  icmp" "turn $turn"
done

case_ "one captures at a time; where he was killed, another one can after a while"
record first web
refused 1 "captures already" ctl capture --duration 1
kill -KILL "$recorder"
sleep 3.2
succeeds ctl capture --duration 1

case_ "bounded: what is above the rate is counted, not delivered, and no flow suffers"
record slow web --max-rate 10 --json
load many -r 500 -s 198.51.100.1/40 -p 24000-24024 "$vip" 80
end_record slow
total=$(tail -n 1 "$work/slow.err" | jq '.captured + .limited + .lost')
eq "$total $(tail -n 1 "$work/slow.err" | jq .matched)" \
	"$(tail -n 1 "$work/slow.err" | jq '"\(.matched) \(.matched)"' -r)" "packets captured, left out, and wanted"
within "$(wc -l <"$work/slow.out")" 35 24 "lines: ten at once, and ten a second"
eq "$(cat "$work/many.summary")" "FLOWS ok 1000 failed 0" "what the client saw"

case_ "with --sample one packet in so many, by chance"
before=$(stats '[.services[] | select(.name == "web") | .cohorts[] | .packets + .reply_packets] | add')
record sampled web --sample 10 --max-rate 100000 --json
load sampled -s 198.51.100.1/40 -p 26000-26024 "$vip" 80
end_record sampled
after=$(stats '[.services[] | select(.name == "web") | .cohorts[] | .packets + .reply_packets] | add')
at_least "$((after - before))" 5000 "packets"
share_is "$(wc -l <"$work/sampled.out")" "$((after - before))" 10 "packets in the sample"
eq "$(tail -n 1 "$work/sampled.err" | jq '.limited + .lost')" 0 "packets that are missing for another reason"

case_ "the file says before which packet some are missing"
record gaps web --max-rate 10 -w "$work/gaps.pcapng"
load first -s 198.51.100.1/40 -p 25100-25101 "$vip" 80
sleep 1.2
load second -s 198.51.100.1/1 -p 25102-25102 "$vip" 80
end_record gaps
missing=$(sed -n 's/.*left out: \([0-9]*\) above.*/\1/p' "$work/gaps.err")
at_least "$missing" 100 "packets above the rate"
told=$(fields "$work/gaps.pcapng" | awk -F'|' '{ n += $4 } END { print n }')
at_least "$told" 100 "packets that the file says are missing"
at_least "$missing" "$told" "those that are"

case_ "goes on through an upgrade, and an interface that is attached anew"
record upgrade web --json
load flows -s 198.51.100.1/2 -p 25000-25001 "$vip" 80
succeeds ctl upgrade
succeeds ctl detach eth0
succeeds ctl attach eth0
sleep 0.2
load flows -s 198.51.100.1/2 -p 25010-25011 "$vip" 80
end_record upgrade
eq "$(jq -r 'select(.tcp_flags == "S") | .source_port' "$work/upgrade.out" | sort -u | xargs)" "25000 25001 25010 25011" \
	"flows whose beginning was seen"

case_ "ends with the last attachment; without any there is nothing to capture"
record detached web
succeeds ctl detach --all
code=0
wait "$recorder" || code=$?
eq "$code" 1 "exit code"
contains "$(tail -n 1 "$work/detached.err")" "nothing is attached" "what it says"
refused 1 "nothing is attached" ctl capture --duration 1
attach

case_ "CAP_BPF and CAP_PERFMON are enough, and what is missing is named"
succeeds on balancer setpriv --bounding-set=-all,+bpf,+perfmon --inh-caps=-all "$canaryctl" capture --duration 1
refused 1 "CAP_BPF and CAP_PERFMON" on balancer setpriv --bounding-set=-all,+bpf --inh-caps=-all "$canaryctl" capture --duration 1
refused 1 "not permitted" on balancer setpriv --reuid 65534 --clear-groups --inh-caps=-all "$canaryctl" capture --duration 1

case_ "what makes no sense is wrong usage"
refused 1 "no service nobody2" ctl capture nobody2
refused 2 "stable, canary or all" ctl capture --cohort green
refused 2 "sample is 1 to 1000000" ctl capture --sample 0
refused 2 "snaplen is 64 to 9216" ctl capture --snaplen 20
refused 2 "max-rate is 10 to 100000" ctl capture --max-rate 9
refused 2 "count is 1" ctl capture --count 0
refused 2 "duration is 1s to 24h" ctl capture --duration 0
refused 2 "unmatched.*leave the service out" ctl capture web --unmatched
refused 2 "unmatched.*leave --cohort out" ctl capture --cohort canary --unmatched
