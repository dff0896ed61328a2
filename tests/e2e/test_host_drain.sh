#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three balancers announce a service by BGP. One is drained, taken back, restarted, or upgraded under load, and no connection
# breaks: settled flows choose alike on every balancer, whichever the router sends them to.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_router.sh"

export LAB_SERVERS=nginx # on port 80; connections that stay are to flowserver's
routed 3 9000

routes_of() { # BALANCER
	echo "$work/$1/routes.conf"
}

# New connections to nginx, up to 200 a second, for as long as it is not told otherwise.
load_begins() {
	start load client stdbuf -oL curl -s --rate 200/s -m 10 -H 'Connection: close' -o "$work/answer" \
		-w '%{http_code} %{errormsg}\n' "http://$vip/?[1-1000000]"
	printf '%s' "$started_pid" >"$work/load.pid"
}

load_ends() { # LEAST-REQUESTS
	stop "$(cat "$work/load.pid")" || true
	requests=$(wc -l <"$work/load.out")
	at_least "$requests" "$1" "requests"
	eq "$(grep -v '^200 ' "$work/load.out" | sort | uniq -c)" "" "requests that failed"
}

announcement() { # BALANCER: what doctor makes of it
	ctl_of "$1" doctor --json 2>/dev/null | jq -r '.checks[] | select(.check == "announcement").state'
}

{
	echo services:
	web 30 l2
	web 30 l2 "$vip" 9000 | sed 's/name: web/name: held/'
	web 30 l2 "$vip6" 9000 tcp 2001:db8:10:: | sed 's/name: web/name: held6/'
} | sed 's/^    weight:/    idle_timeout: 3s\n&/' >"$work/config.yaml"

case_ "nothing is announced before it can be served"
for host in "${balancers[@]}"; do
	succeeds ctl_of "$host" host routes "$(routes_of "$host")" --bird "$work/$host/bird.ctl"
	contains "$(cat "$work/output")" 'as nothing is attached' "what host routes says"
	refused 1 'nothing is attached' ctl_of "$host" host undrain
	refused 1 'nothing is attached' ctl_of "$host" host check
done
eq "$(next_hops)" "" "next hops of the router"

case_ "attached, all three are announced, and share the load"
on_each attach eth0 -f "$work/config.yaml" >/dev/null
announces "${balancers[@]}"
wait_for 15 "the balancers to settle" all_settled
for host in "${balancers[@]}"; do
	eq "$(ctl_of "$host" host status --json | jq -c '[.drained, .may_be_announced, .routes.wanted, .routes.count]')" \
		'[false,true,["203.0.113.10/32","2001:db8:113::10/128"],2]' "what host status says"
	succeeds ctl_of "$host" host check
done
load_begins
hold long -t 10000 -s 198.51.100.1/100 -p 20000-20004 "$vip" 9000
hold long6 -t 10000 -s 2001:db8:51::1/100 -p 20000-20004 "$vip6" 9000
for host in "${balancers[@]}"; do
	gets_packets "$host"
done

case_ "one that is drained gets nothing more, and no connection breaks"
succeeds ctl_of balancer2 host drain
announces balancer balancer3
gets_nothing balancer2
gets_packets balancer3
refused 1 'is drained' ctl_of balancer2 host check
eq "$(announcement balancer2) $(announcement balancer3)" "warning ok" "what doctor says of balancer2 and balancer3"
succeeds ctl_of balancer2 host drain
contains "$(cat "$work/output")" 'already drained' "what a second drain says"

case_ "taken back, it gets its share again, and no connection breaks"
succeeds ctl_of balancer2 host undrain
announces "${balancers[@]}"
gets_packets balancer2
succeeds ctl_of balancer2 host undrain
contains "$(cat "$work/output")" 'already in service' "what a second undrain says"
load_ends 200
release long
release long6
note "$requests requests and 1000 connections that stay, over a drain and an undrain of one balancer in three: none failed"

load_begins
hold longer -t 10000 -s 198.51.100.1/100 -p 21000-21004 "$vip" 9000
hold longer6 -t 10000 -s 2001:db8:51::1/100 -p 21000-21004 "$vip6" 9000

case_ "canaryd is killed: routes stay, and the host can be drained and taken back all the same"
mkdir "$work/balancer2/state"
start canaryd balancer2 env CANARYCTL_BPFFS="$(pins_of balancer2)" CANARYCTL_KEY_FILE="$work/balancer2/keys" \
	"$build/canaryd" -f "$work/config.yaml" --state-dir "$work/balancer2/state" --socket "$work/balancer2/canaryd.sock"
wait_for 10 "canaryd to listen" test -S "$work/balancer2/canaryd.sock"
stop "$started_pid" KILL || true
gets_packets balancer2
succeeds ctl_of balancer2 host drain
announces balancer balancer3
succeeds ctl_of balancer2 host undrain
announces "${balancers[@]}"

case_ "a drain that is killed at any moment is done by the next"
for delay in 0.001 0.002 0.004 0.006 0.008 0.012 0.016 0.02; do
	on_balancer balancer2 timeout -s KILL "$delay" "$canaryctl" host drain >/dev/null 2>&1 || true
	succeeds ctl_of balancer2 host drain
	eq "$(ctl_of balancer2 host status --json | jq -c '[.drained, .routes.count]')" '[true,0]' \
		"what host status says after a drain that was killed after $delay s"
	succeeds ctl_of balancer2 host undrain
done
announces "${balancers[@]}"

case_ "a host that restarts is drained still, until somebody takes it back"
succeeds ctl_of balancer2 host drain
announces balancer balancer3
# All in the kernel is lost, and what lies in /run; BIRD starts before the rest does.
ctl_of balancer2 detach --all >/dev/null
stop_bird balancer2
rm -rf "$(pins_of balancer2)" "$(routes_of balancer2)"
start_bird balancer2
succeeds ctl_of balancer2 attach eth0 -f "$work/config.yaml"
refused 1 'is drained' ctl_of balancer2 host check
gets_nothing balancer2
eq "$(next_hops)" "192.0.2.1 192.0.2.3" "next hops of the router"
wait_for 15 "the balancers to settle" all_settled
succeeds ctl_of balancer2 host undrain
announces "${balancers[@]}"
gets_packets balancer2

case_ "where BIRD does not run, that is said, and what was asked for holds when it starts"
stop_bird balancer3
announces balancer balancer2
refused 1 'BIRD does not run.*when it starts, it has 0 of' ctl_of balancer3 host drain
eq "$(ctl_of balancer3 host status --json | jq -c '[.drained, .routes.count]')" '[true,null]' "what host status says"
eq "$(announcement balancer3)" problem "what doctor says"
start_bird balancer3
gets_nothing balancer3
eq "$(next_hops)" "192.0.2.1 192.0.2.2" "next hops of the router"
stop_bird balancer3
refused 1 'BIRD does not run.*when it starts, it has 2 of' ctl_of balancer3 host undrain
start_bird balancer3
announces "${balancers[@]}"

case_ "where BIRD hangs, or does not read the file, or refuses it, that is said"
kill -STOP "$(cat "$work/balancer3/bird")"
refused 1 'BIRD does not answer' ctl_of balancer3 host undrain
kill -CONT "$(cat "$work/balancer3/bird")"
echo nonsense >>"$work/balancer3/bird.conf"
refused 1 'does not take its configuration: .*bird.conf.* syntax error' ctl_of balancer3 host undrain
balancer_conf balancer3 | grep -v include >"$work/balancer3/bird.conf"
refused 1 'BIRD does not read .*routes.conf' ctl_of balancer3 host undrain
balancer_conf balancer3 >"$work/balancer3/bird.conf"
succeeds ctl_of balancer3 host undrain
announces "${balancers[@]}"

case_ "all three are upgraded one by one, and no connection breaks"
cat >"$work/run" <<SH
#!/bin/bash
number=\${1#balancer}
export CANARYCTL_BPFFS=$CANARYCTL_BPFFS\${number:+-\$number} CANARYCTL_KEY_FILE=$work/\$1/keys
exec nsenter --net=/run/netns/$LAB_PREFIX\$1 -- sh -c "\$2"
SH
chmod +x "$work/run"
upgrade_fleet() { # UPGRADE HOST...
	env RUN="$work/run {host}" CANARYCTL="$canaryctl" SETTLE_TIME=2 DRAIN_TIME=20 HEALTHY_TIME=5 UPGRADE="$1" \
		scripts/fleet-upgrade "${@:2}"
}
succeeds upgrade_fleet "$canaryctl upgrade" "${balancers[@]}"
eq "$(grep -c 'upgraded, and in service' "$work/output")" 3 "hosts upgraded"
announces "${balancers[@]}"

case_ "the upgrade stops at the host that fails, which stays drained"
refused 1 'balancer2: cannot be taken back, and stays drained: .*nothing is attached' \
	upgrade_fleet "case \$CANARYCTL_BPFFS in *-2) $canaryctl detach --all ;; esac" "${balancers[@]}"
announces balancer balancer3
refused 1 'balancer2: .*is drained' upgrade_fleet true "${balancers[@]}"
refused 1 'name all of them' upgrade_fleet true balancer3
eq "$(on_each host status --json | jq -c .drained | xargs)" "false true false" "who is drained"
succeeds ctl_of balancer2 attach eth0
wait_for 15 "the balancers to settle" all_settled
succeeds ctl_of balancer2 host undrain
announces "${balancers[@]}"
load_ends 1000
release longer
release longer6
note "$requests requests and 1000 connections that stay, over restarts of a balancer, of BIRD, and an upgrade of all three: none failed"

# Who detaches without a drain takes packets that are on their way for lost: there is no load any more.
case_ "before the last interface is detached its routes are withdrawn, and services have theirs as long as they exist"
succeeds ctl_of balancer3 service add another udp 203.0.113.77:53
wait_for 5 "the route of the new service" becomes 192.0.2.3 next_hops 203.0.113.77
succeeds ctl_of balancer3 service del another
wait_for 5 "the route to go" becomes '' next_hops 203.0.113.77
succeeds ctl_of balancer3 detach eth0
announces balancer balancer2
contains "$(ctl_of balancer3 host status)" 'nothing is attached' "what host status says"
succeeds ctl_of balancer3 attach eth0
announces "${balancers[@]}"
succeeds ctl_of balancer3 host routes none
announces balancer balancer2

case_ "where it cannot be known whether a host is drained, it is not announced"
succeeds ctl_of balancer3 host routes "$(routes_of balancer3)" --bird "$work/balancer3/bird.ctl"
announces "${balancers[@]}"
succeeds ctl_of balancer3 detach eth0
announces balancer balancer2
echo '{"drained":' >"$work/balancer3/keys.host-$(basename "$(pins_of balancer3)")"
succeeds ctl_of balancer3 attach eth0
contains "$(cat "$work/output")" 'is damaged' "what attach says"
refused 1 'is damaged' ctl_of balancer3 host check
refused 1 'is damaged' ctl_of balancer3 host undrain
eq "$(next_hops)" "192.0.2.1 192.0.2.2" "next hops of the router"
