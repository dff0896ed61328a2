#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What canaryd tells Prometheus: a real one scrapes it, promtool finds nothing to complain of, the figures are those of
# canaryctl stats, and every metric is in the man page as it is.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

port=9842
page=user/man/canary-metrics.7.scd

with_metrics "$port"

scrape() {
	on balancer curl -fsS "http://127.0.0.1:$port/metrics" >"$work/metrics"
}

value() { # SAMPLE: its value
	awk -v want="$1" 'substr($0, 1, length($0) - length($NF) - 1) == want { print $NF }' "$work/metrics"
}

measured() {
	[ "$(rollout .cohorts.canary.flows)" -ge 100 ]
}

case_ "promtool finds nothing to complain of, before and after there is traffic"
scrape
succeeds promtool check metrics <"$work/metrics"
ctl rollout start web >/dev/null
traffic 200
wait_for 20 "flows that are measured" measured
traffic_ends
sleep 2 # what is on its way, and a tick
scrape
ctl stats --json | jq '.services[0]' >"$work/stats.json"
succeeds promtool check metrics <"$work/metrics"

case_ "the figures are those of canaryctl stats"
for cohort in stable canary; do
	for counter in packets bytes flows reply_packets; do
		eq "$(value "canary_cohort_${counter}_total{service=\"web\",cohort=\"$cohort\"}")" \
			"$(jq -r ".cohorts.$cohort.$counter" "$work/stats.json")" "$counter of $cohort"
	done
	for outcome in opened completed failed; do
		eq "$(value "canary_connections_total{service=\"web\",cohort=\"$cohort\",outcome=\"$outcome\"}")" \
			"$(jq -r "[.epochs[].$cohort.$outcome] | add" "$work/stats.json")" "$outcome of $cohort"
	done
	count=$(jq -r ".cohorts.$cohort.times.handshake.count" "$work/stats.json")
	at_least "$count" 1 "handshakes of $cohort"
	labels="service=\"web\",cohort=\"$cohort\""
	eq "$(value "canary_handshake_seconds_count{$labels}")" "$count" "handshakes of $cohort in the histogram"
	eq "$(value "canary_handshake_seconds_bucket{$labels,le=\"+Inf\"}")" "$count" "handshakes below infinity"
done
eq "$(value 'canary_service_effective_weight_ratio{service="web"}')" 0.5 "the weight in force"
eq "$(value 'canary_rollout_state{service="web",state="progressing"}')" 1 "the rollout's state"
eq "$(grep -c '^canary_rollout_state.* 1$' "$work/metrics")" 1 "states that it is in"
eq "$(grep -c '^canary_backend_healthy.* 1$' "$work/metrics")" 4 "backends that are up"
eq "$(value 'canary_gate_bound_log_e{service="web",gate="errors"}')" "$(rollout '.gates[0].bound * 1e9 | round / 1e9')" "a gate's bound"

case_ "each metric is in the man page, with its type, labels and help; and none is there that is not served"
# The page's rows are "|  *NAME* TYPE{LABEL, ...}\n:  HELP".
awk '
	function end() { if (family != "") print family, type (labels == "" ? "" : " {" labels "}") "\t" help }
	$1 == "#" && $2 == "HELP" { end(); family = $3; labels = ""; help = $0; sub(/^# HELP [^ ]* /, "", help) }
	$1 == "#" && $2 == "TYPE" { type = $4 }
	$1 != "#" && labels == "" && match($0, /{.*}/) {
		labels = substr($0, RSTART + 1, RLENGTH - 2)
		gsub(/="([^"\\]|\\.)*"/, "", labels)
		sub(/,le$/, "", labels)
		gsub(/,/, ", ", labels)
	}
	END { end() }' "$work/metrics" | sort >"$work/served"
sed -n 's/^\(\[\[\||\) *\*\(canary\\_[^*]*\)\*/\2/p; s/^:<\? *//p' "$page" | sed 's/\\//g' | paste - - | sort >"$work/documented"
at_least "$(wc -l <"$work/served")" 50 "families"
eq "$(diff "$work/served" "$work/documented")" "" "what is served (<) and documented (>)"

case_ "a real Prometheus scrapes it"
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 500ms, scrape_timeout: 400ms}
scrape_configs: [ {job_name: canary, static_configs: [ {targets: ["127.0.0.1:$port"]} ]} ]
YAML
start prometheus balancer prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
	--web.listen-address=127.0.0.1:9090 --log.level=error
query() { # PROMQL: the value of its first sample
	on balancer curl -fs --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query |
		jq -r '.data.result[0].value[1]'
}
wait_for 20 "a scrape" becomes 1 query 'up{job="canary"}'
eq "$(query 'canary_rollout_steps{service="web"}')" 2 "the plan's steps"
median=$(query 'histogram_quantile(0.5, sum by (le) (canary_handshake_seconds_bucket))')
succeeds awk -v median="$median" 'BEGIN { exit !(median > 0 && median < 1) }'

case_ "an interface whose name is no text does not keep Prometheus from the rest"
strange=$'e\xff0'
ip -n "${LAB_PREFIX}balancer" link add "$strange" type veth peer name other
succeeds ctl attach "$strange"
scrape
succeeds promtool check metrics <"$work/metrics"
eq "$(value 'canary_interface_passed_total{interface="e?0"}')" 0 "packets that it passed"
succeeds ctl detach "$strange"
ip -n "${LAB_PREFIX}balancer" link del "$strange"

case_ "where there is no data plane, the metrics say so, and are served all the same"
stop "$daemon_pid"
CANARYCTL_BPFFS=$CANARYCTL_BPFFS-2
daemon_starts --listen ":$port"
scrape
eq "$(value canary_dataplane_up)" 0 "the data plane"
eq "$(grep -c '^canary_cohort_packets_total' "$work/metrics")" 0 "samples of it"
succeeds promtool check metrics <"$work/metrics"
