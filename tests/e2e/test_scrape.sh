#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever scrapes the metrics every second does nothing to packets: none costs more, none is dropped, no connection fails.
# Runs alone: what a packet costs is measured.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

port=9845

two_armed
configure <<'YAML'
steps: [ {weight: 50, bake: 1h, warmup: 0}, {weight: 100} ]
progress_deadline: 0
YAML
attach -f "$work/canary.yaml"
daemon_starts --listen ":$port"
ctl rollout start web >/dev/null

scrape_each_second() {
	while sleep 1; do
		on balancer curl -fsS -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$port/metrics" >>"$work/scrapes" || true
	done
}

case_ "connections by the thousand while the metrics are scraped every second: none fails, no packet is dropped"
scrape_each_second &
started+=("$!")
for part in 1 2 3 4; do
	load "load-$part" -c 64 -n 2000 "$vip" 80
	sleep 1
done
at_least "$(grep -c '^200$' "$work/scrapes")" 4 "scrapes that were answered"
eq "$(grep -vc '^200$' "$work/scrapes")" 0 "scrapes that were not"
at_least "$(stats '[.services[0].cohorts[].flows] | add')" 8000 "flows"
eq "$(stats '[.services[].cohorts[].drops.total, .interfaces[].drops.total] | add')" 0 "packets that were dropped"

# Generous, as other work on the machine is in these figures too: make bench-scrape has them.
case_ "a packet costs the same, whether nobody scrapes, somebody does every second, or without a pause"
succeeds env ROUNDS=5 SECONDS_EACH=2 SERVICES=50 tests/bench/scrape "$work/scrape.json"
ratio() { # NAME
	jq --arg name "$1" '.[] | select(.name == $name) | .ratio' "$work/scrape.json"
}
note "ns per packet to those of a quiet balancer: scraped every second $(ratio each-second), without a pause $(ratio unceasing)," \
	"and beside other work $(ratio busy)"
at_least "$(jq '.[] | select(.name == "each-second") | .scrapes' "$work/scrape.json")" 5 "scrapes in the turns of scrapes every second"
at_least "$(jq '.[] | select(.name == "unceasing") | .scrapes' "$work/scrape.json")" 20 "scrapes in the turns without a pause"
below() { # RATIO LIMIT WHAT
	awk -v ratio="$1" -v limit="$2" 'BEGIN { exit !(ratio > 0 && ratio < limit) }' || fail "$3: $1, and not below $2"
}
below "$(ratio each-second)" 1.4 "with a scrape every second, in times of the quiet"
below "$(jq 'map({(.name): .ratio}) | add | .unceasing / .busy' "$work/scrape.json")" 1.6 \
	"with scrapes without a pause, in times of that beside other work"
