#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a rollout looks like beforehand and while it runs: `rollout plan` as a table and as JSON, and `rollout watch` on a
# terminal, in a file and as JSON, up to the end of a good one and of a bad one.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

two_armed
configure <<'YAML'
steps:
  - {weight: 5, bake: 10m, warmup: 30s, min_flows: 2000}
  - {weight: 25, bake: 15m, warmup: 30s}
  - {weight: 100}
final_bake: 30m
YAML
cp "$work/canary.yaml" "$work/long.yaml"
plan=(rollout plan web -f "$work/long.yaml" --rate 500 --base 0.1)

case_ "plan tells of each step how long it takes to find a canary that is 1.5, 2, 3 and 10 times as bad"
ctl "${plan[@]}" --json >"$work/plan.json"
eq "$(jq -c '[.service, .rate, .base]' "$work/plan.json")" '["web",500,0.1]' "for whom, and for which traffic"
eq "$(jq -c '[.steps[] | [.weight, .effective_weight, .bake, .warmup]]' "$work/plan.json")" \
	'[[5,5,600,30],[25,25,900,30],[100,99,1800,30]]' "the steps"
eq "$(jq -c '[.steps[].finds | map(.times_as_bad)] | unique' "$work/plan.json")" '[[1.5,2,3,10]]' "how many times as bad"
eq "$(jq '[.steps[].finds | map(.seconds) | . == (sort | reverse) and .[0] > 2 * .[1]] | all' "$work/plan.json")" true \
	"whether what is worse is found sooner, in each step"
eq "$(jq '[.steps[:2][].finds[].seconds] | [.[0:4], .[4:8]] | transpose | all(.[0] > .[1])' "$work/plan.json")" true \
	"whether with 25 % all is found sooner than with 5 %"
# 5 % of 500 flows a second are 25.
within "$(jq '.steps[0].min_flows_seconds' "$work/plan.json")" 80 1 "seconds until 2000 flows"
within "$(jq '.steps[0].canary_flows' "$work/plan.json")" 14250 20 "flows of the canary at 5 %, in 570 s"
# Twice the traffic takes half the time; of UDP's flows none can be seen to fail.
eq "$(ctl rollout plan -f "$work/long.yaml" --rate 1000 --base 0.1 --json | jq --slurpfile half "$work/plan.json" \
	'[.steps, $half[0].steps] | map(.[0].finds[3].seconds) | .[1] / .[0] | . > 1.95 and . < 2.05')" true "half the time"
sed 's/protocol: tcp/protocol: udp/; /breaker:/d; /observe:/d' "$work/long.yaml" >"$work/udp.yaml"
eq "$(ctl rollout plan -f "$work/udp.yaml" --rate 500 --base 0.1 --json | jq -c '[.steps[].finds[].seconds] | unique')" '[null]' \
	"of UDP"

case_ "as a table it has a row for each step, and marks what comes after the bake"
ctl "${plan[@]}" >"$work/plan.txt"
contains "$(sed -n 1p "$work/plan.txt")" '^web  500 flows/s, of which 0.1% fail$' "its head"
contains "$(cat "$work/plan.txt")" '^ +weight +bake +canary flows +min_flows +proof +finds 1.5x +finds 2x +finds 3x +finds 10x$' "titles"
eq "$(grep -Eo '^ +[0-9]+% +[0-9]+m ' "$work/plan.txt" | xargs)" "5% 10m 25% 15m 100% 30m" "the rows"
eq "$(grep -E '^ +5% ' "$work/plan.txt" | grep -o '(late)' | wc -l)" \
	"$(jq '.steps[0] | .bake as $bake | [.finds[].seconds | select(. + 30 > $bake)] | length' "$work/plan.json")" \
	"what is found too late at 5 %"
eq "$(ctl rollout plan -f "$work/udp.yaml" --rate 500 --base 0.1 | grep -E '^ +5% ' | grep -o never | wc -l)" 6 "nevers of UDP"
refused 2 'rate is a number of flows a second' ctl rollout plan -f "$work/long.yaml" --rate none --base 0.1
refused 2 'base is percent, above 0 and below 100' ctl rollout plan -f "$work/long.yaml" --rate 500 --base 100
refused 2 'rate' ctl rollout plan -f "$work/long.yaml" --base 0.1

configure <<'YAML'
steps: [ {weight: 5, bake: 4s, warmup: 1s, min_flows: 20}, {weight: 100, warmup: 0, min_flows: 20} ]
final_bake: 3s
max_harm: 50
gates: [ {name: errors, type: failures} ]
YAML
attach -f "$work/canary.yaml"
daemon_starts
traffic 800

declare -A watchers=()

watching() { # NAME [OPTION]...: into a file
	start "watch-$1" balancer "$canaryctl" rollout watch web "${@:2}"
	watchers[$1]=$started_pid
}

watching_on_terminal() { # NAME [NAME=VALUE]...: of 100 columns
	start "watch-$1" balancer env TERM=xterm "${@:2}" script -qefc "stty cols 100 rows 50; exec $canaryctl rollout watch web" /dev/null
	watchers[$1]=$started_pid
}

ends_with() { # CODE NAME...: each of these watchers, by itself
	local wanted=$1 name code
	shift
	for name; do
		wait_for 10 "the watcher $name to end" gone "${watchers[$name]}"
		code=0
		wait "${watchers[$name]}" || code=$?
		eq "$code" "$wanted" "the exit code of $name"
	done
}

gone() { # PID
	[[ $(ps -o stat= -p "$1") != [^Z]* ]]
}

# One frame that was drawn after the other, each as one line: \n in place of its lines' ends.
frames() { # NAME
	tr -d '\r' <"$work/watch-$1.out" | sed 's/\x1b\[H\x1b\[J/\f/g' | tr '\n\f' '\001\n' | sed 's/\x01/\\n/g' | tail -n +2
}

case_ "watch ends when the rollout does, with code 0 when that went well"
succeeds ctl rollout start
watching_on_terminal terminal
watching_on_terminal plain NO_COLOR=1
watching file
watching json --json
reaches succeeded 40
ends_with 0 terminal plain file json

case_ "on a terminal it draws the plan's bar and the bake's, which fill, and both cohorts side by side"
frames terminal >"$work/frames"
at_least "$(wc -l <"$work/frames")" 8 "frames"
first=$(head -n 1 "$work/frames") last=$(tail -n 1 "$work/frames")
contains "$first" 'web.*release 1.*progressing.*step 1 of 2.*weight 5%' "the first frame's head"
contains "$first" 'plan +.*5% #*-+.* 100% -+' "the plan's bar in it"
contains "$first" 'bake +#*-+  [0-9]+s of 4s, warming up' "the bake's bar in it"
contains "$first" 'stable[^ ]* +[^ ]*canary[^ ]*\\n +flows +[0-9]+ +[0-9]+\\n' "cohorts in it"
contains "$first" 'gates\\n +errors ' "gates in it"
contains "$last" 'succeeded.*step 2 of 2.*weight 100%' "the last frame's head"
contains "$last" 'plan +5% #+ 100% #+\\n' "the plan's bar in it, which is full"
grep -q 'bake  ' <<<"$last" && fail "the bar of a bake that is over is still there"
filled() { # NAME: how many different lengths of the first step's bake were drawn
	frames "$1" | grep 'of 4s' | grep -Eo 'bake +#*' | tr -cd '#\n' | sort -u | wc -l
}
at_least "$(filled terminal)" 4 "lengths of the bake's bar"
at_least "$(frames terminal | grep -Eo 'flows +[0-9]+ +[0-9]+' | sort -u | wc -l)" 4 "numbers of flows"
contains "$(head -n 1 "$work/frames")" $'\x1b\\[[0-9;]*mweb' "the name in bold"
eq "$(frames terminal | grep -o 'bake  *[#-]*' | awk '{ print length($2) }' | sort -u)" 56 "columns of the bar, of 100"

case_ "with NO_COLOR it draws the same without colours"
at_least "$(filled plain)" 4 "lengths of the bake's bar"
# The cursor is moved, and lines do not wrap: no more.
eq "$(grep -aoP '\x1b\[[0-9;?]*[a-zA-Z]' "$work/watch-plain.out" | sort -u | tr -d '\033' | xargs)" '[?7h [?7l [H [J' "what it sends"

case_ "in a file it is a line for each change, and nothing is drawn"
eq "$(grep -c $'\x1b' "$work/watch-file.out")" 0 "lines with an escape"
eq "$(sed 's/^20[^ ]*Z  //' "$work/watch-file.out")" "web: progressing, step 1 of 2, weight 5%: rollout start
web: baking, step 2 of 2, weight 100%: the step passed
web: succeeded, step 2 of 2, weight 100%: the step passed" "the lines"

case_ "as JSON it is a status a line"
eq "$(jq -sc '[map(.state) | first, last]' "$work/watch-json.out")" '["progressing","succeeded"]' "the states"
at_least "$(jq -c .state "$work/watch-json.out" | wc -l)" 8 "lines"
cleared

case_ "of a canary that is rolled back it says why, with code 3"
misbehave canary1 --reset 50/100
misbehave canary2 --reset 50/100
succeeds ctl rollout start
watching_on_terminal terminal
watching file
reaches rolled_back 30
ends_with 3 terminal file
contains "$(frames terminal | tail -n 1)" 'rolled back.*gate errors' "the last frame"
contains "$(tail -n 1 "$work/watch-terminal.out")" 'web was rolled back at step 1 of 2: gate errors' "what the terminal has at the end"
contains "$(tail -n 1 "$work/watch-file.out")" 'web: rolled back, step 1 of 2, weight 0%: gate errors' "the last line of the file"
contains "$(cat "$work/watch-file.err")" 'web was rolled back at step 1 of 2: gate errors' "what it says on stderr"
traffic_ends

case_ "it ends well when it is told to, or nobody reads; without a daemon it says so"
succeeds ctl rollout start
watching file
wait_for 5 "its first line" grep -q progressing "$work/watch-file.out"
stop "${watchers[file]}" INT || fail "SIGINT ended it with code $?"
code=0
# shellcheck disable=SC2016  # the inner shell expands them
on balancer timeout 10 bash -o pipefail -c '"$1" rollout watch web --json | head -n 1' bash "$canaryctl" >"$work/output" 2>&1 || code=$?
eq "$code $(wc -l <"$work/output")" "0 1" "code and lines of a pipe whose reader goes"
cleared
daemon_ends || fail "the daemon's exit code: $?"
refused 1 'canaryd is not running' ctl rollout watch web
