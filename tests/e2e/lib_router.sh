# shellcheck shell=bash disable=SC2154  # what lib.sh sets
# SPDX-License-Identifier: Apache-2.0
#
# What tests of several balancers behind a router are written in; lib.sh is sourced before.
#
#   routed 3                       balancers "balancer", "balancer2" and "balancer3", alike, with the same keys, and a router that
#                                  the client's packets come by, which spreads them by ECMP: all with BIRD, speaking BGP
#   on_each host routes "$routes"  a canaryctl command on every balancer; ctl_of balancer2 COMMAND... on one
#   announces balancer balancer2   waits until these are those that the router sends the service's packets to
net4=192.0.2. net6=2001:db8:2:: # and the last part of an address: a balancer's number, or
router=100
routers_as=65000 balancers_as=65001
balancers=()

# The balancer's own place for pins is that of the lab for the first one.
pins_of() { # BALANCER
	local number=${1#balancer}
	echo "$CANARYCTL_BPFFS${number:+-$number}"
}

on_balancer() { # BALANCER CMD...: with its own pins and key file
	local host=$1
	shift
	CANARYCTL_BPFFS=$(pins_of "$host") CANARYCTL_KEY_FILE=$work/$host/keys on "$host" "$@"
}

ctl_of() { # BALANCER COMMAND...
	on_balancer "$1" timeout 60 "$canaryctl" "${@:2}"
}

on_each() { # COMMAND...
	local host
	for host in "${balancers[@]}"; do
		ctl_of "$host" "$@"
	done
}

number_of() { # BALANCER
	local number=${1#balancer}
	echo "${number:-1}"
}

address_of() { # BALANCER
	echo "$net4$(number_of "$1")"
}

start_bird() { # HOST: its configuration is $work/HOST/bird.conf
	rm -f "$work/$1/bird.ctl"
	start "bird-$1" "$1" bird -f -c "$work/$1/bird.conf" -s "$work/$1/bird.ctl" -P "$work/$1/bird.pid"
	printf '%s' "$started_pid" >"$work/$1/bird"
	wait_for 5 "BIRD on $1" test -S "$work/$1/bird.ctl"
}

stop_bird() { # HOST [SIGNAL]
	stop "$(cat "$work/$1/bird")" "${2:-TERM}" || true
}

# What all of them have in common: short timers, as nobody wants to wait for a test.
bird_conf() { # ADDRESS, and more lines on stdin
	cat <<CONF
log stderr { warning, error, fatal, bug };
router id $1;
protocol device { scan time 1; }
template bgp peer {
	direct;
	hold time 3; keepalive time 1; connect delay time 1; connect retry time 1; error wait time 1, 1;
}
CONF
	cat
}

balancer_conf() { # BALANCER
	local number
	number=$(number_of "$1")
	bird_conf "$net4$number" <<CONF
include "$work/$1/routes*.conf";
protocol bgp upstream4 from peer {
	local $net4$number as $balancers_as;
	neighbor $net4$router as $routers_as;
	ipv4 { import none; export where proto = "canary4"; };
}
protocol bgp upstream6 from peer {
	local $net6$number as $balancers_as;
	neighbor $net6$router as $routers_as;
	ipv6 { import none; export where proto = "canary6"; };
}
CONF
}

router_conf() {
	local host number
	bird_conf "$net4$router" <<CONF
protocol kernel { merge paths on; scan time 1; ipv4 { import none; export all; }; }
protocol kernel { merge paths on; scan time 1; ipv6 { import none; export all; }; }
$(for host in "${balancers[@]}"; do
		number=$(number_of "$host")
		cat <<PEERS
protocol bgp from peer {
	local $net4$router as $routers_as;
	neighbor $net4$number as $balancers_as;
	ipv4 { import all; export none; };
}
protocol bgp from peer {
	local $net6$router as $routers_as;
	neighbor $net6$number as $balancers_as;
	ipv6 { import all; export none; };
}
PEERS
	done)
CONF
}

# A host of both families, which forwards: NAME NUMBER [ADDRESS]
dual_host() {
	local host=$1 number=$2
	shift 2
	extra_host "$host" "$net4$number/24" "$@"
	on "$host" sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.fib_multipath_hash_policy=1 \
		net.ipv6.fib_multipath_hash_policy=1
	ip -n "$LAB_PREFIX$host" addr add "$net6$number/64" dev eth0 nodad
	ip -n "$LAB_PREFIX$host" route add 198.51.100.0/24 via "${net4}10"
	ip -n "$LAB_PREFIX$host" route add 2001:db8:51::/64 via "${net6}10"
}

routed() { # COUNT [PORTS of flowserver]
	local count=$1 i host
	shift
	topology 1 "$@"
	balancers=(balancer)
	for ((i = 2; i <= count; i++)); do
		balancers+=("balancer$i")
		dual_host "balancer$i" "$i" "10.0.0.$i/24"
		ip -n "${LAB_PREFIX}balancer$i" addr add "2001:db8:10::$i/64" dev eth0 nodad
	done
	dual_host router "$router"
	ip -n "${LAB_PREFIX}client" route replace default via "$net4$router"
	ip -n "${LAB_PREFIX}client" route replace default via "$net6$router"
	for host in "${balancers[@]}"; do
		mkdir "$work/$host"
		cp -p "$work/keys" "$work/$host/keys"
		balancer_conf "$host" >"$work/$host/bird.conf"
		start_bird "$host"
	done
	mkdir "$work/router"
	router_conf >"$work/router/bird.conf"
	start_bird router
}

# Where the router sends packets to an address, in order: "192.0.2.1 192.0.2.2".
next_hops() { # [ADDRESS]
	local address=${1:-$vip} family=4
	[[ $address != *:* ]] || family=6
	ip -n "${LAB_PREFIX}router" "-$family" -j route show "$address" |
		jq -r '[.[] | (.nexthops // [.])[].gateway] | sort | join(" ")'
}

announces() { # BALANCER...: these and no others become the router's next hops, for both families
	local host wanted4=() wanted6=()
	for host; do
		wanted4+=("$net4$(number_of "$host")")
		wanted6+=("$net6$(number_of "$host")")
	done
	wait_for 15 "the router to send packets to ${wanted4[*]}" becomes "${wanted4[*]}" next_hops
	wait_for 15 "the router to send packets to ${wanted6[*]}" becomes "${wanted6[*]}" next_hops "$vip6"
}

forwarded_by() { # BALANCER: packets so far
	ctl_of "$1" stats --json | jq '[.interfaces[].forwarded] | add // 0'
}

# Not one packet in two seconds, while others get theirs.
gets_nothing() { # BALANCER
	local before
	before=$(forwarded_by "$1")
	sleep 2
	eq "$(($(forwarded_by "$1") - before))" 0 "packets that $1 forwarded in 2 s"
}

gets_packets() { # BALANCER
	local before
	before=$(forwarded_by "$1")
	sleep 2
	at_least "$(($(forwarded_by "$1") - before))" 20 "packets that $1 forwarded in 2 s"
}

all_settled() {
	on_each status --json | jq -es '[.[].services[].window.open] | any | not' >/dev/null
}
