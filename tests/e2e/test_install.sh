#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Not in a guest: it takes make, man and systemd.
# What `make install` puts where, and what of it works: man pages, completion, and the units: at boot, and as systemd sees
# them.
. "$(dirname "$0")/lib.sh"

two_armed
root=$work/root

files() { # below a directory, with their modes
	(cd "$1" && find . -type f -printf '%m %P\n' | sort -k 2)
}

case_ "make install: programs, man pages, completion, units and an example of a configuration"
succeeds make -s install DESTDIR="$root" PREFIX=/usr
eq "$(files "$root")" "644 etc/canary/canary.yaml
644 etc/default/canaryctl
755 usr/bin/canaryctl
644 usr/lib/systemd/system/canaryctl.service
644 usr/lib/systemd/system/canaryd.service
644 usr/lib/sysusers.d/canary.conf
644 usr/lib/tmpfiles.d/canary.conf
755 usr/sbin/canaryd
644 usr/share/bash-completion/completions/canaryctl
755 usr/share/canaryctl/fleet-upgrade
644 usr/share/canaryctl/grafana/canary.json
644 usr/share/canaryctl/prometheus/canary.rules.yml
$(for page in user/man/*.scd; do
	page=${page##*/} page=${page%.scd}
	echo "644 usr/share/man/man${page##*.}/$page"
done | sort -k 2)
644 usr/share/zsh/site-functions/_canaryctl" "the files"
succeeds "$root/usr/bin/canaryctl" validate "$root/etc/canary/canary.yaml"
succeeds "$root/usr/sbin/canaryd" --check --file "$root/etc/canary/canary.yaml"

case_ "the daemon's program is hardened: what it binds is read-only before it runs, and overflows of buffers end it"
contains "$(readelf -d "$root/usr/sbin/canaryd")" 'BIND_NOW' "when it is bound"
contains "$(readelf -lW "$root/usr/sbin/canaryd")" 'GNU_RELRO' "what is read-only afterwards"
symbols=$(readelf --dyn-syms -W "$root/usr/sbin/canaryd")
contains "$symbols" '__stack_chk_fail' "the stack's guard"
contains "$symbols" '__snprintf_chk' "checked calls"

case_ "a configuration that is there is never overwritten, and outlives make uninstall, which takes all else"
echo '# mine' >>"$root/etc/canary/canary.yaml"
echo '# mine' >>"$root/etc/default/canaryctl"
succeeds make -s install DESTDIR="$root" PREFIX=/usr
succeeds make -s uninstall DESTDIR="$root" PREFIX=/usr
eq "$(files "$root" | xargs)" "644 etc/canary/canary.yaml 644 etc/default/canaryctl" "what is left"
eq "$(tail -qn 1 "$root"/etc/*/* | xargs)" "# mine # mine" "their last lines"

# From here on where the files name each other.
prefix=$work/usr config=$work/etc
install_here() {
	make -s install PREFIX="$prefix" sysconfdir="$config"
}

case_ "the man pages can be shown, and have no mistake that man would tell of"
succeeds install_here
for page in "$prefix"/share/man/man*/*; do
	complaint=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$page" 2>&1 >"$work/page" || echo "man: $?")
	eq "$complaint" "" "what man says of ${page##*/}"
	contains "$(head -n 1 "$work/page")" "$(basename "${page%.*}")" "the first line of ${page##*/}"
done

case_ "completion, of bash and of zsh"
PATH=$prefix/bin:$PATH
# shellcheck disable=SC2016  # the inner shell expands them
eq "$(bash -c '. "$1"; COMP_WORDS=(canaryctl set-w) COMP_CWORD=1; _canaryctl; echo "${COMPREPLY[@]}"' bash \
	"$prefix/share/bash-completion/completions/canaryctl")" set-weight "what bash makes of set-w"
succeeds zsh -n "$prefix/share/zsh/site-functions/_canaryctl"
eq "$(head -n 1 "$prefix/share/zsh/site-functions/_canaryctl")" '#compdef canaryctl' "how zsh finds it"

units=$prefix/lib/systemd/system
case_ "the units are right, and systemd finds canaryd's exposure to be 2.0 at most"
sed -i 's/^User=canary/User=daemon/; s/^Group=canary/Group=daemon/' "$units/canaryd.service" # which this host has
for unit in canaryctl canaryd; do
	eq "$(systemd-analyze verify --man=no "$units/$unit.service" 2>&1 | grep -F "$unit.service" || true)" "" "what systemd says of $unit"
done
succeeds systemd-analyze security --offline=true --no-pager --threshold=20 "$units/canaryd.service"
contains "$(cat "$work/output")" 'Overall exposure level.* ([01]\.[0-9]|2\.0) ' "its exposure"
note "$(grep -o 'Overall exposure level.*[0-9]' "$work/output")"

case_ "the unit keeps no more capabilities than the daemon does by itself"
bits=0
read -ra capabilities < <(sed -n 's/^CapabilityBoundingSet=//p' "$units/canaryd.service")
for capability in "${capabilities[@]}"; do
	bits=$((bits | 1 << $(awk -v name="$capability" '$1 == "#define" && $2 == name { print $3 }' /usr/include/linux/capability.h)))
done
eq "$(printf '%016x' "$bits")" "$(sed -n 's/^kept=//p' tests/e2e/test_privileges.sh)" "the unit's capabilities"

# What systemd does with canaryctl.service, in the lab: its environment, its condition, and its command.
setting() { # NAME: in the unit
	sed -n "s/^$1=//p" "$units/canaryctl.service"
}

unit_starts() { # in the balancer. 1: its condition says no
	# shellcheck disable=SC2016  # the inner shell expands them
	on balancer bash -c 'set -a; . "$1"; eval "$2" || exit 1; exec timeout 60 $(eval "echo $3")' bash \
		"$(setting EnvironmentFile | sed 's/^-//')" "$(setting ExecCondition)" "$(setting ExecStart)"
}

case_ "until interfaces are named, nothing is attached at boot"
refused 1 '' unit_starts
[ ! -e "$CANARYCTL_BPFFS" ] || fail "there is a data plane"

case_ "at boot the state is there again before anything is attached: weights, and windows that were open"
{
	echo 'services:'
	web '' nat | grep -v weight:
} >"$config/canary/canary.yaml"
sed -i 's/^INTERFACES=.*/INTERFACES="eth0 eth1"/' "$config/default/canaryctl"
succeeds unit_starts
succeeds ctl set-weight 37.5
before=$(ctl status --json | jq -c '.services[0] | [.name, .weight, .window.open]')
eq "$before" '["web",37.5,true]' "what there is before the reboot"
# A reboot leaves what is on the disk, and nothing of the kernel's.
rm -rf "$CANARYCTL_BPFFS"
succeeds unit_starts
eq "$(ctl status --json | jq -c '.services[0] | [.name, .weight, .window.open]')" "$before" "what there is after it"
eq "$(ctl status --json | jq -c '[.interfaces[].name] | sort')" '["eth0","eth1"]' "what is attached"
load after -s 198.51.100.1/50 -p 20000-20009 "$vip" 80
at_least "$(on_cohort canary after)" 1 "flows of the canary's"
eq "$(ctl events --json | jq -rs '[.[].type | select(. != "weight_changed" and . != "window_closed")] | join(" ")')" \
	"service_added attached attached" "what happened, in this order"

case_ "once more changes nothing, a mistake in the file is told and changes nothing, and stopping detaches nothing"
before=$(ctl status --json | jq -c '[.program.id, .services[0].epoch]')
succeeds unit_starts
eq "$(ctl status --json | jq -c '[.program.id, .services[0].epoch]')" "$before" "program and epoch"
echo 'services: [' >"$config/canary/canary.yaml"
refused 1 'canary.yaml:2' unit_starts
eq "$(ctl status --json | jq -c '[.program.id, .services[0].epoch]')" "$before" "program and epoch"
eq "$(setting ExecStop)$(setting ExecStopPost) $(setting RemainAfterExit)" " yes" "what stopping the unit does, and what stays"

case_ "make uninstall is refused while the data plane is in use"
# The one that it looks at is the host's, where there may be any: here it is the lab's.
sed "s|/sys/fs/bpf/canaryctl|$CANARYCTL_BPFFS|g" scripts/install/files >"$work/files"
refused 1 "$CANARYCTL_BPFFS is in use.* run 'canaryctl detach --all'" sh "$work/files" uninstall "x:$prefix/bin/canaryctl:755"
succeeds test -x "$prefix/bin/canaryctl"
