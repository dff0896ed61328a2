#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Not in a guest: README.md is not there.
# What README.md says to type, typed as it stands there, in the lab, which has its addresses; and what it says comes out.
. "$(dirname "$0")/lib.sh"

two_armed
mkdir "$work/there"
export PATH=$build:$PATH CANARYD_SOCKET=$work/canaryd.sock

# The blocks of a kind ("yaml", "console"), or the N-th of them.
block() { # KIND N
	awk -v kind="$1" -v wanted="$2" '
		/^ *```/ && inside { inside = 0; next }
		/^ *```/ { inside = $1 == "```" kind && ++count == wanted; next }
		inside' README.md
}

section() { # HEADING
	awk -v heading="## $1" '/^## / { inside = $0 == heading } inside' README.md
}

# In the balancer, in a directory of its own; the daemon's state is nowhere on this host.
typed() { # LINE
	# shellcheck disable=SC2016  # the inner shell expands them
	on balancer unshare --mount --propagation private bash -c 'mount -t tmpfs tmpfs /var/lib && cd "$1" && exec timeout 60 bash -c "$2"' \
		bash "$work/there" "$1"
}

says() { # LINE [WHAT IT SAYS]
	typed "$1" >"$work/output" 2>"$work/complaint" || fail "'$1' failed ($?): $(head -c 500 "$work/complaint")"
	[ -z "${2:-}" ] || eq "$(cat "$work/output")" "$2" "what '$1' says"
}

# A console block: "# COMMAND", and what it says below, if anything is shown. CALL is given each command that is not for
# ever, with that.
console() { # N CALL
	local line command='' output=''
	while IFS= read -r line; do
		if [[ $line == '# '* ]]; then
			[ -z "$command" ] || "$2" "$command" "$output"
			command=$(sed 's/^# //; s/ *  # .*//' <<<"$line") output=''
		else
			output+=${output:+$'\n'}$line
		fi
	done < <(block console "$1")
	"$2" "$command" "$output"
}

case_ "its configuration is right, and so are the first commands that it shows, and what they say"
block yaml 1 | sed 's/^   //' >"$work/there/web.yaml"
at_least "$(wc -l <"$work/there/web.yaml")" 10 "lines of the configuration"
console 1 says
eq "$(ctl status --json | jq -r '.services[0] | [.name, .weight] | join(" ")')" "web 25" "what is in force"
load first -s 198.51.100.1/50 -p 20000-20009 "$vip" 80
at_least "$(on_cohort canary first)" 60 "flows of the canary's, of 500"
succeeds ctl stop
succeeds ctl detach --all

case_ "the way from nothing to a canary, each command of it"
on balancer sysctl -qw net.ipv4.ip_forward=0
# shellcheck disable=SC2016  # a pattern
mapfile -t commands < <(section 'From nothing to a canary' | tr '\n' ' ' | grep -oE '`(canaryctl|sysctl) [^`]*`' | tr -d '`')
eq "$(printf '%s\n' "${commands[@]}" | awk '{ print $1, $2 }' | xargs)" "canaryctl validate sysctl -w canaryctl attach canaryctl set-weight \
canaryctl stats canaryctl stop canaryctl set-weight canaryctl lease" "the commands"
for command in "${commands[@]}"; do
	case $command in
	*--watch) eq "$(typed "timeout 2.5 $command" | grep -c '^web')" 3 "services in three looks" ;;
	*) says "$command" ;;
	esac
done
eq "$(ctl status --json | jq -r '.services[0] | [.weight, .lease.duration, .lease.expired] | join(" ")')" "25 30 false" "what is in force"
succeeds ctl stop

case_ "its plan goes into its configuration, and its rollout runs, is watched and is finished"
block yaml 2 >>"$work/there/web.yaml"
rollouts() { # LINE WHAT-IT-SAYS
	case $1 in
	'canaryd '*' &')
		# shellcheck disable=SC2016  # the inner shell expands them
		start canaryd balancer unshare --mount --propagation private bash -c \
			'mount -t tmpfs tmpfs /var/lib && cd "$1" && eval "exec ${2% &}"' bash "$work/there" "$1"
		wait_for 10 "canaryd to answer" typed 'canaryctl rollout status' >"$work/output" 2>&1
		;;
	*' watch')
		# Until it has ended, which with these bake times is not today: an operator in a hurry makes it.
		typed "timeout 2 $1" >"$work/output" || true
		contains "$(cat "$work/output")" 'step 1 of 4' "what '$1' says"
		succeeds typed 'canaryctl rollout promote --full'
		wait_for 10 "the last weight" becomes 99 weight_in_force
		succeeds typed 'canaryctl rollout promote'
		succeeds typed "$1"
		;;
	*) says "$@" ;;
	esac
}
weight_in_force() {
	ctl status --json | jq '.services[0].effective_weight'
}
console 2 rollouts
eq "$(ctl backend list --json | jq -c '[.backends[] | select(.cohort == "stable" and .state == "up") | .address]')" '["10.0.0.21"]' \
	"the stable backends afterwards"
eq "$(weight_in_force)" 0 "the weight afterwards"
