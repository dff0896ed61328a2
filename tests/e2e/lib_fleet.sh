# shellcheck shell=bash disable=SC2154,SC2034  # what lib.sh sets, and what tests use
# SPDX-License-Identifier: Apache-2.0
#
# For tests of fleets, after lib.sh: three balancers lb1 to lb3, each with a canaryd of its own, and three members of etcd,
# all on the lab's switch. lb1 is the lab's balancer.

canaryd=${CANARYD:-$build/canaryd}
fleet_lease=5
etcd_urls='http://10.0.0.31:2379, http://10.0.0.32:2379, http://10.0.0.33:2379'
declare -A etcd_pid=() canaryd_pid=() # by N, for the tests

lb_host() { # N
	[ "$1" = 1 ] && echo balancer || echo "balancer$1"
}

lb() { # N CMD...: on balancer N, with its own pins, keys and daemon
	local n=$1 suffix=
	shift
	[ "$n" = 1 ] || suffix=-$n
	CANARYCTL_BPFFS=$CANARYCTL_BPFFS$suffix CANARYCTL_KEY_FILE=$work/keys-$n CANARYD_SOCKET=$work/canaryd-$n.sock \
		on "$(lb_host "$n")" "$@"
}

lctl() { # N COMMAND...: canaryctl there
	local n=$1
	shift
	lb "$n" timeout 60 "$canaryctl" "$@"
}

etcd_starts() { # N
	local n=$1 i cluster=()
	for i in 1 2 3; do
		cluster+=("e$i=http://10.0.0.3$i:2380")
	done
	start "etcd-$n" "etcd$n" etcd --name "e$n" --data-dir "$work/etcd-$n" --enable-v2=false --logger zap --log-level error \
		--listen-client-urls "http://10.0.0.3$n:2379" --advertise-client-urls "http://10.0.0.3$n:2379" \
		--listen-peer-urls "http://10.0.0.3$n:2380" --initial-advertise-peer-urls "http://10.0.0.3$n:2380" \
		--initial-cluster "$(IFS=, && echo "${cluster[*]}")" --initial-cluster-state new
	etcd_pid[$n]=$started_pid
}

etcd_answers() {
	on etcd1 env ETCDCTL_API=3 etcdctl --endpoints "${etcd_urls// /}" endpoint health >/dev/null 2>&1
}

lb_answers() { # N
	lctl "$1" fleet status --json >/dev/null 2>&1
}

canaryd_starts() { # N
	local n=$1
	cat >"$work/canaryd-$n.yaml" <<YAML
fleet:
  etcd: [$etcd_urls]
  name: lb$n
services: []
YAML
	mkdir -p "$work/state-$n"
	CANARYCTL_BPFFS=$(lb "$n" printenv CANARYCTL_BPFFS) CANARYCTL_KEY_FILE=$work/keys-$n \
		start "canaryd-$n" "$(lb_host "$n")" "$canaryd" -f "$work/canaryd-$n.yaml" --state-dir "$work/state-$n" \
		--socket "$work/canaryd-$n.sock"
	canaryd_pid[$n]=$started_pid
	wait_for 10 "canaryd on lb$n" lb_answers "$n"
}

fleet_status() { # N JQ-FILTER
	lctl "$1" fleet status --json | jq -c "$2"
}

alive() { # N: the hosts that are, as lb N has it
	fleet_status "$1" '[.hosts[] | select(.alive) | .name[2:]] | join(" ")'
}

phase() { # N
	fleet_status "$1" '.services[0].phase' | tr -d '"'
}

weight_on() { # N: of new flows, in the data plane
	lctl "$1" status --json | jq -c '.services[] | select(.name == "web") | .effective_weight'
}

weights() {
	echo "$(weight_on 1) $(weight_on 2) $(weight_on 3)"
}

fleet_up() { # balancers and members, each by itself
	local n
	one_armed
	extra_host balancer2 192.0.2.2/24 10.0.0.2/24
	extra_host balancer3 192.0.2.3/24 10.0.0.3/24
	for n in 1 2 3; do
		extra_host "etcd$n" "10.0.0.3$n/24"
	done
	for n in 1 2 3; do
		ip -n "$LAB_PREFIX$(lb_host "$n")" route replace 198.51.100.0/24 via 192.0.2.10
		etcd_starts "$n"
	done
	wait_for 20 "etcd to answer" etcd_answers
	for n in 1 2 3; do
		canaryd_starts "$n"
	done
}

fleet_begins() { # the fleet, and its hosts in it, attached
	local n
	lctl 1 attach eth0 >/dev/null
	lctl 1 fleet init --lease "${fleet_lease}s" >/dev/null
	wait_for 15 "all to be in the fleet" becomes '"1 2 3"' alive 1
	for n in 2 3; do
		lctl "$n" attach eth0 >/dev/null
	done
}

fleet_web() { # WEIGHT IDLE: the service web, in the fleet
	{
		echo 'services:'
		web "$1" l2
		echo "    idle_timeout: $2"
	} >"$work/web.yaml"
	lctl 1 apply --fleet -f "$work/web.yaml"
}

now_ms() {
	date +%s%3N
}
