# shellcheck shell=bash disable=SC2154  # what lib.sh sets
# SPDX-License-Identifier: Apache-2.0
#
# What tests of several balancers behind a router are written in; lib.sh is sourced before.
#
#   routed 3                       balancers "balancer", "balancer2" and "balancer3", alike, with the same keys, and a router that
#                                  the client's packets come by, which spreads them by ECMP: all with BIRD, speaking BGP
#   on_each host routes "$routes"  a canaryctl command on every balancer; ctl_of balancer2 COMMAND... on one
#   announces 192.0.2.1            those that the router sends the service's packets to
router_address=192.0.2.100
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

address_of() { # BALANCER
	local number=${1#balancer}
	echo "192.0.2.${number:-1}"
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
	bird_conf "$(address_of "$1")" <<CONF
include "$work/$1/routes*.conf";
protocol bgp upstream from peer {
	local $(address_of "$1") as $balancers_as;
	neighbor $router_address as $routers_as;
	ipv4 { import none; export where proto = "canary4"; };
}
CONF
}

router_conf() {
	local host
	bird_conf "$router_address" <<CONF
protocol kernel { merge paths on; scan time 1; ipv4 { import none; export all; }; }
$(for host in "${balancers[@]}"; do
		cat <<PEER
protocol bgp $host from peer {
	local $router_address as $routers_as;
	neighbor $(address_of "$host") as $balancers_as;
	ipv4 { import all; export none; };
}
PEER
	done)
CONF
}

routed() { # COUNT [PORTS of flowserver]
	local count=$1 i host
	shift
	topology 1 "$@"
	balancers=(balancer)
	for ((i = 2; i <= count; i++)); do
		balancers+=("balancer$i")
		extra_host "balancer$i" "192.0.2.$i/24" "10.0.0.$i/24"
		ip -n "${LAB_PREFIX}balancer$i" route add 198.51.100.0/24 via 192.0.2.10
	done
	extra_host router "$router_address/24"
	ip -n "${LAB_PREFIX}router" route add 198.51.100.0/24 via 192.0.2.10
	on router sysctl -qw net.ipv4.fib_multipath_hash_policy=1
	ip -n "${LAB_PREFIX}client" route replace default via "$router_address"
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

# Where the router sends packets for the service, in order: "192.0.2.1 192.0.2.2".
next_hops() {
	ip -n "${LAB_PREFIX}router" -j route show "$vip" | jq -r '[.[] | (.nexthops // [.])[].gateway] | sort | join(" ")'
}

announces() { # BALANCER...: these and no others become the router's next hops
	local host wanted=()
	for host; do
		wanted+=("$(address_of "$host")")
	done
	wait_for 15 "the router to send packets to ${wanted[*]:-nobody}" becomes "${wanted[*]}" next_hops
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
