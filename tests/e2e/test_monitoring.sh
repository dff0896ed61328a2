#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is shipped for Prometheus and Grafana: its rules record and alert as they should, the dashboard is sound, both ask for what
# canaryd serves, and a real Prometheus that scrapes it answers every question of theirs.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

port=9844
rules=scripts/install/prometheus/canary.rules.yml
dashboard=scripts/install/grafana/canary.json

case_ "promtool finds the rules right, and they record and alert as they should"
succeeds promtool check rules "$rules"
succeeds promtool test rules tests/data/prometheus/canary.rules.test.yml
# Each is in a test of its own: by name, where its value or its firing is told.
while read -r name; do
	grep -qE "expr: $name\$|alertname=\"$name\"" tests/data/prometheus/canary.rules.test.yml || fail "no test of $name"
done < <(sed -n 's/^ *- \(record\|alert\): //p' "$rules")

case_ "commands that alerts tell of are there, and take a service where one is named"
hints=0
while read -r hint; do
	read -r _ first second <<<"${hint/\{\{*/}"
	"$canaryctl" help "$first" "$second" >"$work/help" 2>&1 || "$canaryctl" help "$first" >"$work/help" 2>&1 || fail "$hint: $(cat "$work/help")"
	[[ $hint != *'{{'* ]] || contains "$(head -n 1 "$work/help")" '\[SERVICE\]' "the usage of '$hint'"
	! head -n 1 "$work/help" | grep -qE '^usage: canaryctl [a-z ]+ [A-Z]' || fail "'$hint' needs more than that"
	hints=$((hints + 1))
done < <(grep -oE 'canaryctl [a-z]+( [a-z]+)?( \{\{ [^}]*\}\})?' "$rules" | sort -u)
at_least "$hints" 8 "commands"

case_ "the dashboard is sound: its ids are unique, its panels do not overlap, and all ask the data source that was chosen"
succeeds jq -e . "$dashboard"
eq "$(jq -r '[.panels[].id] | group_by(.)[] | select(length > 1)[0]' "$dashboard")" "" "ids that are there twice"
# Cells of the grid that two panels have.
eq "$(jq -c '[.panels[].gridPos | range(.x; .x + .w) as $x | range(.y; .y + .h) as $y | [$x, $y]] | group_by(.)[] |
	select(length > 1)[0]' "$dashboard" | head -n 3)" "" "cells with two panels"
eq "$(jq -c '.panels[].gridPos | select(.x + .w > 24)' "$dashboard")" "" "panels beyond the grid's width"
# shellcheck disable=SC2016  # Grafana expands it
eq "$(jq -r '[.. | objects | select(has("datasource")) | .datasource.uid] | unique[]' "$dashboard")" '${datasource}' "the data sources"
eq "$(jq -r '.panels[] | select(.type != "row") | select((.targets | length == 0) or .title == "") | .id' "$dashboard")" "" \
	"panels without a title or a question"

with_metrics "$port"
ctl rollout start web >/dev/null
traffic 200

questions() { # of the dashboard
	jq -r '.panels[].targets[]?.expr, .annotations.list[].expr, .templating.list[].definition // empty' "$dashboard"
}

names() { # of metrics, in PromQL and alike
	grep -oE '[a-z_:]*\bcanary_[a-z0-9_]+(:[a-z0-9_]+)?|[a-z_]+:canary_[a-z0-9_:]+' | sort -u
}

case_ "every metric that rules and dashboard name is served or recorded, and the dashboard shows all that is served"
on balancer curl -fsS "http://127.0.0.1:$port/metrics" >"$work/metrics"
awk '$2 == "TYPE" { print $3; if ($4 == "histogram") print $3 "_bucket" }' "$work/metrics" | sort >"$work/served"
sed -n 's/^ *- record: //p' "$rules" | sort >"$work/recorded"
{ questions && sed '/summary:\|description:\|^#/d' "$rules"; } | names >"$work/named"
at_least "$(wc -l <"$work/served")" 50 "metrics that are served"
at_least "$(wc -l <"$work/named")" 50 "metrics that are named"
eq "$(sort -u "$work/served" "$work/recorded" | comm -13 - "$work/named")" "" "metrics that are named and nowhere served"
eq "$(questions | names | sed 's/_bucket$//' | comm -23 <(sed 's/_bucket$//' "$work/served" | sort -u) -)" "" \
	"metrics that the dashboard does not show"

case_ "a real Prometheus takes the rules, and answers all that the dashboard asks"
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}
rule_files: ["$repo/$rules"]
scrape_configs: [ {job_name: canary, static_configs: [ {targets: ["127.0.0.1:$port"]} ]} ]
YAML
start prometheus balancer prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
	--web.listen-address=127.0.0.1:9090 --log.level=error

asks() { # PROMQL: how many series answer it; what is wrong with it, if it is
	on balancer curl -s --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query |
		jq -r 'if .status == "success" then .data.result | length else .error end'
}

unhealthy_rules() {
	on balancer curl -s http://127.0.0.1:9090/api/v1/rules | jq -r '[.data.groups[].rules[] | select(.health != "ok")] | length'
}
wait_for 40 "every rule to have been evaluated" becomes 0 unhealthy_rules
wait_for 20 "rates" becomes 2 asks 'sum by (cohort) (rate(canary_connections_total{outcome="opened"}[5s])) > 0'
sleep 3
asked=0
while read -r question; do
	question=${question//\$service/web}
	question=${question//\$__rate_interval/5s}
	got=$(asks "$question")
	# What is above nothing may be nothing: drops, a transition in the last minute.
	[[ $got =~ ^[1-9][0-9]*$ || ($got == 0 && $question == *'> 0') ]] || fail "$question: answered with '$got'"
	asked=$((asked + 1))
done < <(questions | grep -v '^label_values')
at_least "$asked" 50 "questions of the dashboard"
eq "$(asks 'canary_service_weight_ratio{service="web"}')" 1 "services to choose from"
# Rules are evaluated every 15 s.
wait_for 40 "a recorded percentile" becomes 1 asks 'service_cohort:canary_handshake_seconds:p99_rate5m{cohort="canary"} > 0'
firing=$(on balancer curl -s http://127.0.0.1:9090/api/v1/alerts | jq -r '[.data.alerts[] | select(.state == "firing") | .labels.alertname] | join(" ")')
eq "$firing" "" "alerts of what goes well"

case_ "a daemon that is killed is told of, until it is there again"
daemon_ends KILL || true
wait_for 20 "the alert of the daemon's end" becomes 1 asks 'ALERTS{alertname="CanaryDaemonDown"}'
daemon_starts --listen ":$port"
wait_for 20 "its end" becomes 0 asks 'ALERTS{alertname="CanaryDaemonDown"}'
traffic_ends
