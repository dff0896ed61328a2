#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Floods of SYNs, ACKs and datagrams from random sources, while the weight moves: no connection breaks, new ones open,
# and memory stays what it was.
# Runs alone: the rate and the memory of what it sends are measured.
. "$(dirname "$0")/lib.sh"

packets=5020000 rate=400000 # of each flood: 5 million, and what a busy machine may lose on the way to the balancer

two_armed 53 80 82 8081
# A queue for each CPU, as network cards have them, and the flood on one that the client's packets do not use: what
# overflows a queue of 256 packets before the balancer would be no fault of it. (A veth's queue gets the XDP program only
# if it is there before.)
cpus=$(nproc)
on balancer ethtool -L eth0 rx "$cpus"
on switch ethtool -L balancer rx "$cpus"
attach
tunnel_ends
# What a flood sends is swallowed behind the balancer; one packet in 256 goes through to the backends.
xdp_program switch balancer xdp_sink
ip -n "${LAB_PREFIX}balancer" route add 198.18.0.0/15 via 192.0.2.10
balancer_mac=$(mac_of balancer)

{
	web 25 l2
	web 25 nat "$vip" 81 | sed 's/name: web/name: rewritten/; s/8080/8081/g'
	web 25 ipip "$vip" 82 | sed 's/name: web/name: tunnel/; s/^    weight:/    idle_timeout: 5s\n&/'
	web 25 l2 "$vip" 53 udp | sed 's/name: web/name: sticky/; s/^    weight:/    track: always\n&/'
} | apply

hold held-web -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 80
hold held-rewritten -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 81
hold held-tunnel -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 82
hold held-sticky -u -t 10000 -s 198.51.100.1/50 -p 20000-20003 "$vip" 53

keep_moving() {
	local service
	while [ ! -e "$work/still" ]; do
		for service in web rewritten tunnel sticky; do
			ctl set-weight "$((RANDOM % 51))" --service "$service" >/dev/null 2>>"$work/moves.failed" ||
				echo "set-weight of $service failed" >>"$work/moves.failed"
			echo >>"$work/moves"
		done
		sleep 1
	done
}

# What the kernel itself holds, in KiB. 4 bytes a packet of the floods would be 100 MB: what else runs on the machine may
# need less than that.
kernel_memory() {
	awk '/^(SUnreclaim|Percpu|VmallocUsed):/ { n += $2 } END { print n }' /proc/meminfo
}

seen() { # what the balancer got from clients, forwarded or dropped
	stats '.interfaces[] | select(.name == "eth0") | .forwarded + .drops.total'
}

dropped() {
	stats '[.services[].cohorts[].drops.total] | add'
}

port=10000
# While a flood goes on, connections are opened: 500 to each of the services.
flood() { # KIND PORT
	local seen ok pids=() service code=0
	seen=$(($(seen) + $(dropped)))
	start flood client taskset -c "$((cpus - 1))" "$helpers/flood" -n "$packets" -r "$rate" -t 60 "$1" eth0 "$balancer_mac" "$vip" "$2"
	local flood_pid=$started_pid
	sleep 0.3
	for service in 80 81 82; do
		on client timeout 60 "$helpers/flowload" -o "$work/new-$service" -r 250 -t 10000 -s 198.51.100.100/100 \
			-p "$port-$((port + 4))" "$vip" "$service" >"$work/new-$service.summary" &
		pids+=("$!")
	done
	wait "${pids[@]}" || true
	[ -d "/proc/$flood_pid" ] || note "the flood was over before all new connections were open"
	port=$((port + 5))
	wait "$flood_pid" || code=$?
	eq "$code" 0 "exit code of flood ($(cat "$work/flood.err"))"
	contains "$(cat "$work/flood.out")" "packets $packets " "the flood"
	seen=$(($(seen) + $(dropped) - seen))
	at_least "$seen" 5000000 "packets the balancer has seen meanwhile"
	eq "$(cat "$work/new-80.summary")" "FLOWS ok 500 failed 0" "new connections by l2"
	eq "$(cat "$work/new-82.summary")" "FLOWS ok 500 failed 0" "new connections by ipip"
	ok=$(awk '{ print $3 }' "$work/new-81.summary")
	at_least "$ok" 475 "new connections by nat, of 500"
	note "$(cat "$work/flood.out"), seen $seen; new by nat: $ok of 500; remembered: $(ctl flows count --json | jq .flows)"
}

memory=$(ctl status --json | jq .map_bytes) kernel=$(kernel_memory)
at_least $((64 << 20)) "$memory" "bytes of memory that the data plane may have"
keep_moving &
started+=("$!")
mover=$!

case_ "5 million SYNs to a service by l2"
flood syn 80
case_ "5 million SYNs to a service by nat"
flood syn 81
case_ "5 million ACKs to a service by l2"
flood ack 80
case_ "5 million ACKs to a service by nat"
flood ack 81
case_ "5 million datagrams to a sticky UDP service"
flood udp 53

case_ "the weight moved all the while"
: >"$work/still"
wait "$mover" || true
at_least "$(wc -l <"$work/moves")" 40 "changes of a weight"
eq "$(cat "$work/moves.failed")" "" "changes that failed"
note "$(wc -l <"$work/moves") changes of a weight"

case_ "no held connection broke, and no held UDP flow was moved"
sleep 1.5
for service in web rewritten tunnel sticky; do
	release "held-$service"
done

case_ "memory is what it was, nothing went wrong inside, and the sweeper runs"
eq "$(ctl status --json | jq .map_bytes)" "$memory" "memory of the data plane"
grown=$(($(kernel_memory) - kernel))
at_least 100000 "$grown" "KiB by which the kernel's memory may have grown"
note "memory: $memory bytes before and after; the kernel's own: $grown KiB more"
eq "$(stats '[.interfaces[].drops.fault] | add')" 0 "faults"
eq "$(ctl status --json | jq -r .sweeper.state)" ok "the sweeper"
wait_for 10 "the window of tunnel to close" becomes false service_window open tunnel
