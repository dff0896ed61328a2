#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Not in a guest: it takes Chromium.
# The page that canaryd serves: how it is served, and in a browser (tests/web/dashboard.mjs), where a rollout is watched and
# rolled back by clicks. Screenshots are left in BUILD/artefacts.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

address=127.0.0.1:8091
token=5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e
pictures=$build/artefacts
other=the-api-whose-name-is-very-long # as long as one can be
modules=$build/web

two_armed
configure <<'YAML'
steps:
  - {weight: 5, bake: 7s, warmup: 2s, min_flows: 20}
  - {weight: 25, bake: 10m, warmup: 1s, min_flows: 20}
  - {weight: 100, warmup: 0, min_flows: 20}
final_bake: 10m
max_harm: 50
gates:
  - {name: errors, type: failures, compare: stable, tolerance: 3}
  - {name: lost, type: drops, max: 5}
YAML
sed -i 's/^    idle_timeout:/    health: {type: tcp, interval: 500ms}\n&/' "$work/canary.yaml"
secret=0p3n5e5ame
{
	web 0 nat "$vip" 81 | sed "s/name: web/name: $other/"
	echo "    rollout:"
	echo "      gates: [ {name: asked, type: prometheus, url: 'http://me:$secret@127.0.0.1:1', query: up, min: 1},"
	echo "        {name: run, type: command, command: 'check $secret'} ]"
	echo "      hooks: {promote: 'notify $secret'}"
} >>"$work/canary.yaml"
attach -f "$work/canary.yaml"
# A few failures of both, so that there is something to be seen.
for host in $all_backends; do
	misbehave "$host" --reset 2/100
done
(
	umask 077
	echo "$token" >"$work/tokens"
)
serves=(--listen "$address" --token-file "$work/tokens")
daemon_starts "${serves[@]}"
traffic 500

get() { # PATH [OPTION]...: its headers and what comes
	on balancer curl -sS -m 3 -i --path-as-is "http://$address$1" "${@:2}" | tr -d '\r'
}

case_ "the page and what belongs to it are within the daemon, with a policy that lets nothing else run"
for path in / /assets/style.css /assets/main.js /assets/uPlot.iife.min.js /assets/icon.svg; do
	answer=$(get "$path")
	contains "$answer" '^HTTP/1.1 200' "$path"
	contains "$answer" "^Content-Security-Policy: default-src 'none'; script-src 'self';.* frame-ancestors 'none'$" "the policy of $path"
	contains "$answer" '^X-Content-Type-Options: nosniff$' "sniffing of $path"
done
contains "$(get / | grep -i content-type)" 'text/html; charset=utf-8' "the page's type"
contains "$(get /assets/main.js | grep -i content-type)" 'text/javascript' "a script's type"
for path in /assets/ /assets/nothing.js /assets/../main.js /assets/%2e%2e%2fmain.js /assets/uplot/LICENSE /index.html; do
	contains "$(get "$path")" '^HTTP/1.1 404' "$path"
done
eq "$(get / | grep -ciE 'on(click|load|error)=|<style|style=|<script>|javascript:')" 0 "scripts and styles in the page itself"

case_ "every file of user/web is served as it is, and uPlot is npm's own"
for file in user/web/*.* user/web/uplot/uPlot.*; do
	on balancer curl -sS "http://$address/assets/${file##*/}" | cmp - "$file" || fail "$file is served as another one"
done
for file in uPlot.iife.min.js uPlot.min.css; do
	cmp "$modules/node_modules/uplot/dist/$file" "user/web/uplot/$file" || fail "$file is not what the package has"
done
cmp "$modules/node_modules/uplot/LICENSE" user/web/uplot/LICENSE || fail "the licence is not the package's"

case_ "the stream tells at once, and then each second, what there is to show"
get /v1/stream >"$work/stream" 2>/dev/null || true # it does not end
contains "$(cat "$work/stream")" '^Content-Type: text/event-stream$' "its type"
for event in services health entries; do
	eq "$(grep -c "^event: $event$" "$work/stream")" 1 "events $event, of which nothing changed"
done
contains "$(cat "$work/stream")" '^data: {"events":.*"type":"service_added"' "what happened in the data plane"
for event in status backends point; do
	at_least "$(grep -c "^event: $event$" "$work/stream")" 2 "events $event in three seconds"
done
eq "$(grep '^data: ' "$work/stream" | cut -c7- | jq -s 'map(type) | unique | join(" ")' -r)" object "what it sends"
contains "$(get '/v1/stream?service=nobody')" 'HTTP/1.1 404' "the stream of nobody"

case_ "a proxy before it that passes Host on, as nginx: the stream comes through as it is sent"
cat >"$work/nginx.conf" <<NGINX
daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
	access_log off; client_body_temp_path $work/nginx; proxy_temp_path $work/nginx; fastcgi_temp_path $work/nginx;
	uwsgi_temp_path $work/nginx; scgi_temp_path $work/nginx;
	server { listen 127.0.0.1:8092; location / { proxy_pass http://$address; proxy_set_header Host \$http_host; } }
}
NGINX
start nginx balancer nginx -c "$work/nginx.conf"
proxied() { # PATH
	on balancer curl -sS -m 3 "http://127.0.0.1:8092$1"
}
wait_for 5 "the proxy" proxied / >"$work/output" 2>&1
contains "$(cat "$work/output")" '<title>canaryd</title>' "the page through it"
{ proxied /v1/stream || true; } >"$work/public" 2>/dev/null
at_least "$(grep -c '^event: point$' "$work/public")" 2 "points in three seconds"
contains "$(cat "$work/stream")" '^X-Accel-Buffering: no$' "what tells it not to collect them"
stop "$started_pid" || true

case_ "what the page shows everybody may read, by the stream and without it; what clients said takes a token, as does a plan's whole text"
contains "$(get /v1/health)" '^HTTP/1.1 200' "health"
eq "$(get /v1/health | tail -n 1 | jq -c '.backends | map(select(.service == "web") | .state) | unique')" \
	"$(sed -n '/^event: health/{n;s/^data: //p}' "$work/stream" | jq -c '.backends | map(.state) | unique')" "health, in both"
contains "$(get /v1/version)" '^HTTP/1.1 200' "version"
for path in rollout/history rollout/plan rollout/explain; do
	contains "$(get "/v1/services/web/$path")" '^HTTP/1.1 401' "$path"
	! get "/v1/services/web/$path" -H "Authorization: Bearer $token" | grep -q '^HTTP/1.1 40[13]' || fail "$path with a token"
done
for path in /v1/services /v1/services/$other/rollout "/v1/services/$other/rollout?transitions=0&timeout=0" "/v1/stream?service=$other" /metrics; do
	{ get "$path" || true; } >"$work/public" 2>/dev/null
	contains "$(cat "$work/public")" '^HTTP/1.1 200' "$path"
	eq "$(grep -c "$secret" "$work/public")" 0 "secrets in $path"
done
eq "$(on balancer curl -sS "http://$address/v1/services/$other/rollout" | jq -c '.plan | [has("hooks"), (.gates[] | .name + .type)]')" \
	'[false,"askedprometheus","runcommand"]' "what is there of the plan"
eq "$(ctl rollout status "$other" --json | grep -o "$secret" | wc -l)" 3 "secrets for who may open the socket"

case_ "pages that are closed leave no place taken"
seq 80 | on balancer xargs -P 20 -I @ curl -sS -m 1 -o /dev/null "http://$address/v1/stream" 2>/dev/null || true # none ends
sleep 1.5
contains "$(get /v1/stream 2>/dev/null)" '^HTTP/1.1 200' "one more, of 64 at a time"

case_ "of a service without a release the curve is empty"
eq "$(on balancer curl -sS "http://$address/v1/services/web/rollout/curve" | jq -c '[.release, .time, .canary.flows]')" '[0,[],[]]' "the curve"
end_case

mkdir -p "$pictures"
# Where the browser's test asks for it, the daemon dies, and another one begins.
mkfifo "$work/browser"
on balancer env CANARYCTL="$canaryctl" HOME="$work" node tests/web/dashboard.mjs "http://$address/" "$modules" "$pictures" "$token" \
	>"$work/browser" &
browser=$!
started+=("$browser")
while read -r line; do
	if [ "$line" = restart ]; then
		daemon_ends KILL || true
		sleep 1
		daemon_starts "${serves[@]}"
	else
		echo "$line"
	fi
done <"$work/browser"
case_ "the browser's test runs to its end"
code=0
wait "$browser" || code=$?
eq "$code" 0 "its exit code"
at_least "$(find "$pictures" -name '*.png' -size +20k | wc -l)" 5 "screenshots"
traffic_ends
daemon_ends || fail "the daemon's exit code: $?"
