#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make demo-rollout` does what it says: the good version goes to 100 %, the bad one is back at 0 with the reason, each in
# less than two minutes; and nothing is left of it.
# Runs first: it takes long.
. "$(dirname "$0")/lib.sh"

# What this demo has put somewhere: namespaces, pins, links, keys and files.
left_behind() {
	ip netns list | grep '^rollout-' || true
	find /sys/fs/bpf /run/canaryctl-lab "$work/tmp" -mindepth 1 -maxdepth 1 \( -path "$work/tmp/*" -o -name '*rollout*' \)
	pgrep -af "$work/tmp" || true
}

mkdir "$work/tmp"
chmod 711 "$work" "$work/tmp" # nginx's workers run as www-data

case_ "it runs what make says"
contains "$(make -n demo-rollout BUILD="$BUILD" | tail -n 1)" "^BUILD=$BUILD scripts/demo-rollout$" "what make runs last"

case_ "both runs end as they should, with code 0"
code=0
TMPDIR=$work/tmp scripts/demo-rollout >"$work/demo" 2>&1 || code=$?
eq "$code" 0 "the exit code ($(tail -n 5 "$work/demo"))"
good=$(sed -n '/^1\. /,/^2\. /p' "$work/demo") bad=$(sed -n '/^2\. /,$p' "$work/demo")
contains "$good" 'The good version is out, after [0-9]+ s\.' "the good one's end"
eq "$(grep -Eo 'stream: (progressing|baking|succeeded), step [0-9] of 4, weight [0-9]+%: (rollout start|the step passed)' <<<"$good" |
	grep -Eo '(progressing|baking|succeeded).*%' | uniq)" "progressing, step 1 of 4, weight 5%
progressing, step 2 of 4, weight 25%
progressing, step 3 of 4, weight 50%
baking, step 4 of 4, weight 100%
succeeded, step 4 of 4, weight 100%" "the way of the good one"
contains "$bad" 'The bad version is back at 0, after [0-9]+ s\.' "the bad one's end"
contains "$bad" 'stream: rolled back, step 1 of 4, weight 0%: gate (errors|happiness|engagement): ' "the reason"
contains "$bad" '^  *gate (errors|happiness|engagement) \(.*\): failed' "what explain says at the end"

case_ "users were asked, and their service measured: Prometheus and feedback had a say in it"
contains "$good" 'verdict +pass of engagement, step 4: ' "the engagement of the good one"
contains "$good" 'verdict +pass of happiness, step 4: .*canary [0-9]+ failures in [1-9][0-9]* flows' "its happiness"
contains "$good" 'canary: [0-9.]+ plays per visit' "what Prometheus says at the end"

case_ "each takes less than two minutes"
for run in good bad; do
	took=$(grep -Eo 'after [0-9]+ s\.' <<<"${!run}" | grep -Eo '[0-9]+')
	at_least 119 "$took" "seconds of the $run one"
	note "the $run version: $took s"
done

case_ "nothing is left of it"
eq "$(left_behind)" "" "what is left"

case_ "nor when it is interrupted, with all that it runs, as by Ctrl-C"
TMPDIR=$work/tmp setsid scripts/demo-rollout >"$work/demo" 2>&1 &
demo=$! code=0
wait_for 60 "its first rollout" grep -q 'step 1 of 4' "$work/demo"
kill -TERM -- "-$demo"
wait "$demo" || code=$?
eq "$code" 130 "the exit code"
eq "$(left_behind)" "" "what is left"
