#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Not in a guest: it takes Python.
# What canaryd may do, and what it runs: however it is started, no more than its work takes, which it all the same does.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_rollout.sh"

# CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF
kept=0000008000003000
user=7777

two_armed
chmod 711 "$work"
mkdir -m 777 "$work/out"

# A service over l2, whose checks are sent in frames, with a command of the daemon's, in a gate, that tells what it may do.
{
	echo 'services:'
	web 0 l2
	cat <<YAML
    idle_timeout: 5s
    health: {type: tcp, interval: 500ms, timeout: 400ms}
    rollout:
      steps: [ {weight: 40, bake: 60s, warmup: 0}, {weight: 100, warmup: 0} ]
      progress_deadline: 1h
      gates: [ {name: tells, type: command, command: python3 $repo/tests/lib/refused.py $work/out/told} ]
      hooks: {before_step: touch $work/out/hooked}
YAML
} >"$work/canary.yaml"

status_of() { # FIELD: of the daemon
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$daemon_pid/status"
}

told() { # NAME: by the daemon's command
	sed -n "s/^$1 //p" "$work/out/told"
}

least_privileged() { # UID
	local set
	for set in CapPrm CapEff CapBnd; do
		eq "$(status_of $set)" $kept "$set of the daemon"
	done
	eq "$(status_of NoNewPrivs) $(status_of Seccomp)" "1 2" "no_new_privs, and a filter"
	eq "$(status_of Uid | xargs)" "$1 $1 $1 $1" "its user"
}

# A rollout's first step: its hook, its gate's command, its weight, health checks and feedback by a walk through the flows.
works() {
	rm -f "$work/out"/*
	succeeds ctl rollout start
	wait_for 15 "the first step" is 40 .weight
	[ -e "$work/out/hooked" ] || fail "the hook has not run"
	wait_for 15 "the gate's command" test -e "$work/out/told"
	eq "$(curl -sS --unix-socket "$CANARYD_SOCKET" http://canaryd/v1/health | jq -c '[.backends[].state] | unique')" \
		'["up"]' "what its health checks say"
	contains "$(curl -sS --unix-socket "$CANARYD_SOCKET" http://canaryd/metrics)" '^canary_.* [0-9]' "its metrics"
	eq "$(weight_in_force)" 40 "the weight in force"
}

refuses() { # UID
	local call
	for call in ptrace unshare process_vm_readv personality setns mount chroot swapon; do
		eq "$(told $call)" EPERM "what becomes of $call"
	done
	eq "$(told pidfd_open)" ok "what becomes of a call that is allowed"
	eq "$(told not_yet)" ENOSYS "what becomes of a call that no kernel has"
	eq "$(told CapEff) $(told CapBnd) $(told NoNewPrivs) $(told Seccomp) $(told uid)" "$kept $kept 1 2 $1" \
		"capabilities, no_new_privs, filter and user of what it runs"
}

case_ "without the daemon these calls are not refused: the test can fail"
python3 tests/lib/refused.py "$work/out/told"
eq "$(told ptrace) $(told unshare) $(told process_vm_readv) $(told setns) $(told personality)" "ok ok ok EBADF ok" \
	"what becomes of them"

case_ "started by root it keeps three capabilities, can gain none, and works"
attach -f "$work/canary.yaml"
daemon_starts
least_privileged 0
works

case_ "what it runs may not trace, mount, or leave its namespaces, and has no more capabilities"
refuses 0

case_ "pins are for their owner alone"
eq "$(find "$CANARYCTL_BPFFS" -type f -printf '%m %U\n' | sort -u)" "600 0" "modes and owners of the pins"
eq "$(stat -c '%a %u' "$CANARYCTL_BPFFS")" "700 0" "mode and owner of their directory"
daemon_ends || fail "the daemon's exit code: $?"
succeeds ctl rollout rollback

# Where it is installed, the state is in a directory of the user canary's.
case_ "where the state is another user's, pins and state files that root makes are given to that user"
succeeds ctl detach --all
echo 'services: []' >"$work/none.yaml"
succeeds ctl apply --force -f "$work/none.yaml"
[ ! -e "$CANARYCTL_BPFFS" ] || fail "pins are left"
mkdir -m 700 "$work/theirs"
cp "$work/keys" "$work/theirs/keys"
chown -R $user:$user "$work/theirs"
export CANARYCTL_KEY_FILE=$work/theirs/keys
attach -f "$work/canary.yaml"
eq "$(find "$CANARYCTL_BPFFS" -printf '%m %U:%G\n' | sort -u | xargs)" "600 $user:$user 700 $user:$user" "modes and owners of the pins"
eq "$(stat -c '%a %u' "$CANARYCTL_KEY_FILE".state-* | sort -u)" "600 $user" "of the state files"

case_ "started by root it becomes that user, with the same capabilities, and works"
mkdir -m 755 "$work/run" "$work/theirs/state"
chown -R $user:$user "$work/run" "$work/theirs"
CANARYD_SOCKET=$work/run/canaryd.sock
begins() { # COMMAND that runs it...
	start canaryd balancer "$@" "$canaryd" -f "$work/canary.yaml" --state-dir "$work/theirs/state" --socket "$CANARYD_SOCKET"
	daemon_pid=$started_pid
	wait_for 10 "canaryd to answer" daemon_answers
}
begins prlimit --nofile=256:4096
least_privileged $user
works
refuses $user

case_ "it may have as many descriptors as it is allowed, for clients and checks, and what it runs as many as before"
eq "$(awk '/^Max open files/ { print $4, $5 }' "/proc/$daemon_pid/limits") $(told descriptors)" "4096 4096 256" \
	"the limits of the daemon, and what its command has"
succeeds ctl rollout pause
daemon_ends || fail "the daemon's exit code: $?"

case_ "a command of root's changes what that user's daemon has written, and the daemon goes on with it"
succeeds ctl set-weight 10 --force
eq "$(find "$work/theirs" ! -uid $user -printf '%f ')" "" "files of others in its directory"
CAPS=net_admin,net_raw,bpf
# As systemd starts it: canaryd.service.
begins setpriv --reuid $user --regid $user --clear-groups --no-new-privs --bounding-set "-all,+${CAPS//,/,+}" \
	--inh-caps "-all,+${CAPS//,/,+}" --ambient-caps "-all,+${CAPS//,/,+}"
least_privileged $user
wait_for 10 "the daemon to see the weight" is 10 .weight
succeeds ctl rollout rollback
wait_for 10 "the rollback" is rolled_back .state
eq "$(weight_in_force)" 0 "the weight in force"

case_ "feedback is placed by a walk through the flows, with no privilege for it"
apply <<YAML
$(web 50 nat)
    rollout: {}
YAML
cp "$work/config.yaml" "$work/canary.yaml"
kill -HUP "$daemon_pid"
hold feedback -t 100 -s 198.51.100.9/1 -p 20000-20099 "$vip" 80
contains "$(ctl feedback 198.51.100.9 good --json | jq -r .text)" 'its connections are in both cohorts' "what it knows of them"
release feedback
daemon_ends || fail "the daemon's exit code: $?"
