#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What every command prints with --json is JSON, with the members that others rely on.
. "$(dirname "$0")/lib.sh"

two_armed
attach
{
	web 25 nat
	echo '    segments: [ {clients: 198.51.100.0/28, cohort: canary} ]'
	cat <<YAML
  - name: dns6
    address: "$vip6"
    port: 53
    protocol: udp
    forward: l2
    stable: [ {address: "2001:db8:10::11"} ]
YAML
} | apply
load some -s 198.51.100.100/10 -p 20000-20009 "$vip" 80

holds() { # WHAT JQ-CONDITION: true of the JSON on stdin
	local json
	json=$(cat)
	jq -e "$2" <<<"$json" >/dev/null 2>&1 || fail "$1: not so: $2, in $(head -c 600 <<<"$json")"
}

case_ "stats --json has the published schema"
for condition in \
	'.services | length == 2' \
	'.services[0] | .name == "web" and .protocol == "tcp" and .address == "203.0.113.10" and .port == 80' \
	'.services[0].weight == 25 and (.services[0].epoch | type == "number" and . >= 1)' \
	'.services[0].cohorts | keys == ["canary", "stable"]' \
	'[.services[].cohorts[] | .packets, .bytes, .flows, .drops.total | type == "number"] | all' \
	'.services[0].cohorts.stable.flows + .services[0].cohorts.canary.flows == 100' \
	'.services[0].cohorts.stable.drops.no_backend == 0' \
	'.services[0].backends | length == 4' \
	'[.services[0].backends[] | .cohort, .address, .state | type == "string"] | all' \
	'[.services[0].backends[] | .port == 8080 and .weight == 1 and .state == "up"] | all' \
	'[.services[0].backends[] | .flows] | add == 100' \
	'[.services[0].backends[] | .packets, .bytes | type == "number"] | all' \
	'[.interfaces[].name] | sort == ["eth0", "eth1"]' \
	'[.interfaces[] | .mode == "native" and (.passed | type == "number") and .tx_errors == 0] | all' \
	'[.interfaces[] | .drops.malformed == 0] | all'; do
	ctl stats --json | holds "stats" "$condition"
done
ctl stats --json --service dns6 | holds "stats --service dns6" '[.services[].name] == ["dns6"]'

case_ "the bytes and packets of the cohorts add up to those of their backends"
ctl stats --json | holds stats '.services[0] | [.backends[].bytes] | add > 0'
ctl stats --json | holds stats '.services[0] | ([.backends[].bytes] | add) == ([.cohorts[].bytes] | add)'
ctl stats --json | holds stats '.services[0] | ([.backends[].packets] | add) == ([.cohorts[].packets] | add)'

case_ "every reading command speaks JSON"
ctl status --json | holds status '[.interfaces[].name] | sort == ["eth0", "eth1"]'
ctl status --json | holds status '[.services[].name] | sort == ["dns6", "web"]'
ctl service list --json | holds "service list" '[.services[].name] | sort == ["dns6", "web"]'
ctl backend list --json | holds "backend list" '[.backends[] | select(.service == "web") | .address] | length == 4'
ctl segment list --json | holds "segment list" '.segments == [{service: "web", clients: "198.51.100.0/28", cohort: "canary"}]'
ctl explain --json --service web 198.51.100.9:1234 | holds explain '.cohort == "canary" and .why == "segment" and (.bucket | type == "number")'
ctl version --json | holds version '.version | type == "string"'
ctl validate --json "$work/config.yaml" | holds validate '.valid == true and .services == 2'
ctl apply --dry-run --json -f "$work/config.yaml" | holds "apply --dry-run" '.operations == []'

case_ "a dry run tells the operations and does none of them"
sed 's/weight: 25/weight: 75/; /address: "10.0.0.12"/s/, {address: "10.0.0.12", port: 8080}//' "$work/config.yaml" >"$work/next.yaml"
ctl apply --dry-run --json -f "$work/next.yaml" | holds "apply --dry-run" '.operations | length == 2'
contains "$(ctl apply --dry-run -f "$work/next.yaml")" '10\.0\.0\.12' "the text of a dry run"
eq "$(stats .services[0].weight)" 25 "weight after a dry run"

case_ "writing commands say in JSON what they did"
ctl set-weight 30 --service web --json | holds "set-weight" '.changed == true and .service == "web" and .weight == 30'
ctl stop --json | holds stop '.changed == true'
ctl attach eth0 --json | holds attach '.changed == false and .interfaces[0].already == true'

case_ "in JSON mode errors are JSON on stderr, and nothing is on stdout"
for command in "set-weight 500" "set-weight 5" "service del nobody" "stats --service nobody" "nonsense" "validate /nonexistent"; do
	# shellcheck disable=SC2086
	ctl $command --json >"$work/output" 2>"$work/complaint" && fail "'$command' succeeded"
	eq "$(cat "$work/output")" "" "stdout of $command"
	holds "stderr of $command" '.error | type == "string" and length > 10' <"$work/complaint"
done

case_ "stats --watch prints one line of JSON for each look"
lines=$(on balancer timeout 2.5 "$canaryctl" stats --watch 0.5 --json | jq -c '.services | length' | head -n 3 | xargs) || true
eq "$lines" "2 2 2" "services in three looks"
