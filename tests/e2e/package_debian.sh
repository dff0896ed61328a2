#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian package as a new user meets it: on a root with nothing but Debian, installed with what it needs, used, upgraded
# under traffic, and removed. Fetches that root from where this host gets its packages: `make test-package`.
. "$(dirname "$0")/lib.sh"

two_armed
# In memory: else it is the disk that is waited for.
mkdir "$work/memory"
mount -t tmpfs -o size=2G tmpfs "$work/memory"
mounts+=("$work/memory")
root=$work/memory/root
# The lab's own, and for root alone, as systemd mounts it.
mkdir "$work/bpf"
mount -t bpf -o mode=700 bpf "$work/bpf"
mounts+=("$work/bpf")

# A command in that root, as on a host whose network is the balancer's. What is mounted is gone with it.
inside() {
	# shellcheck disable=SC2016  # the inner shell expands them
	on balancer env -u CANARYCTL_BPFFS -u CANARYCTL_KEY_FILE -u TMPDIR -u BUILD unshare --mount --propagation private bash -c '
		mount -t proc proc "$1/proc" && mount -t sysfs sysfs "$1/sys" && mount --bind "$2" "$1/sys/fs/bpf" &&
			exec chroot "$1" "${@:3}"' bash "$root" "$work/bpf" "$@"
}

pins() { # but the kernel's own
	find "$work/bpf" -mindepth 1 ! -name '*.debug' -printf '%P '
}

package_state() {
	# shellcheck disable=SC2016  # dpkg-query's own
	inside dpkg-query -W -f '${db:Status-Status}' canaryctl
}

remove() { # [-P]: without asking anybody
	DEBIAN_FRONTEND=noninteractive inside dpkg "${1:--r}" canaryctl </dev/null
}

# All but what dpkg, apt and systemd note of any package.
listed() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./var/lib/dpkg -o \
		-path ./var/lib/apt -o -path ./var/lib/systemd/timers -o -path ./var/cache -o -path ./var/log \) -prune -o -printf '%P %l\n' | LC_ALL=C sort)
}

# With the packages that it depends on, from the host's own source.
make_root() { # PACKAGES, with commas
	local sources
	mapfile -t sources < <(find /etc/apt/sources.list /etc/apt/sources.list.d -name '*.sources' -size +0 -o -name '*.list' -size +0)
	mmdebstrap --quiet --variant=minbase --include="man-db,systemd,$1" --dpkgopt=force-unsafe-io \
		"$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "${sources[@]}"
}

attached() {
	ip -n "${LAB_PREFIX}balancer" -d link show eth0 | grep -c 'prog/xdp' || true
}

case_ "its package is made, and lintian finds neither error nor warning"
package=$(scripts/deb "$build")
contains "$(dpkg-deb -f "$package" Depends)" 'libbpf1 .*libxdp1' "what it depends on"

case_ "it installs on a clean root, with what it says that it depends on, and puts nothing into the kernel"
# Alternatives and versions left out: which of them there are the installation says.
succeeds make_root "$(dpkg-deb -f "$package" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/ //g')"
# A name of a server of the test's, and whom TLS is to trust with it.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=signals.example -addext subjectAltName=DNS:signals.example \
	-keyout "$work/signals.pem" -out "$work/authority.pem" 2>"$work/complaint"
cat "$work/authority.pem" >>"$work/signals.pem"
install -D -m 644 "$work/authority.pem" "$root/etc/ssl/certs/ca-certificates.crt"
echo '127.0.0.1 localhost signals.example' >"$root/etc/hosts"
listed >"$work/before"
cp "$package" "$root/tmp/canaryctl.deb"
succeeds inside dpkg -i /tmp/canaryctl.deb
eq "$(package_state)" installed "what dpkg says"
eq "$(inside sh -c 'ldd /usr/bin/canaryctl /usr/sbin/canaryd' | grep 'not found' || true)" "" "libraries that are missing"
eq "$(inside stat -c '%a %U:%G' /var/lib/canary)" "700 canary:canary" "the state's directory"
eq "$(inside find /etc/systemd/system -name 'canary*' -printf '%f\n' | sort | xargs)" "canaryctl.service canaryd.service" "units that boot starts"
eq "$(pins)" "" "what it has put into the kernel"

case_ "commands run, and the man pages are there"
contains "$(inside canaryctl version)" "$(sed -n 's/^VERSION := //p' Makefile)" "its version"
eq "$(inside canaryctl status --json | jq -c '[.interfaces, .services]')" '[[],[]]' "the status"
succeeds inside canaryctl validate /etc/canary/canary.yaml
succeeds inside canaryd --check
for page in canaryctl canaryd canary.yaml canary-packets canary-metrics; do
	contains "$(inside man -w $page)" "/$page\." "where man finds $page"
done

# With systemd as its first process, and devices and control groups of its own; its first process is $init then.
boot() {
	# shellcheck disable=SC2016  # the inner shell expands them
	start systemd balancer env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --mount --propagation private --pid --fork \
		--uts --ipc --cgroup bash -ec 'mount --bind "$0" "$0"; cd "$0"
			mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 none sys/fs/cgroup
			mount --bind "$1" sys/fs/bpf; mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs dev
			for device in null zero full random urandom tty; do
				touch dev/$device; mount --bind /dev/$device dev/$device
			done
			mkdir dev/shm dev/pts dev/mqueue dev/hugepages; mount -t devpts devpts dev/pts; mount -t tmpfs tmpfs dev/shm
			ln -s /proc/self/fd dev/fd; ln -s pts/ptmx dev/ptmx
			exec chroot . /lib/systemd/systemd --unit=multi-user.target' "$root" "$work/bpf"
	wait_for 10 "the first process" first_process
}

first_process() {
	local pid
	for pid in $(pgrep -x systemd); do
		[ "$(readlink "/proc/$pid/root")" != "$root" ] || init=$pid
	done
	[ -n "$init" ]
}

booted() { # CMD...: on the host that runs
	nsenter --target "$init" --mount --pid --net --cgroup --root --wd -- env -u CANARYCTL_BPFFS -u CANARYCTL_KEY_FILE "$@"
}

is_up() { # UNIT
	[ "$(booted systemctl is-active "$1" 2>&1)" = active ]
}

health() {
	local there=/proc/$init/root
	curl -sS --unix-socket "$there/run/canary/canaryd.sock" http://canaryd/v1/health | jq -c '[.backends[].state] | unique'
}

by_address() { # PATH [CURL OPTION]...
	on balancer curl -sS -m 3 "http://localhost:9842$1" "${@:2}"
}

# What README.md says of an installed one, line by line: the N-th block of its section.
readme_says() { # N
	local line
	while IFS= read -r line; do
		succeeds booted bash -c "$line"
	done < <(awk -v wanted="$1" '
		/^## / { inside = $0 == "## Installing" }
		/^```/ { block += inside && /^```sh/; shown = inside && /^```sh/; next }
		inside && shown && block == wanted' README.md)
}

attached_interfaces() {
	booted canaryctl status --json | jq -c '[.interfaces[].name] | sort'
}

init=''
case_ "booted as it was installed it attaches nothing, and canaryd is there for this host alone"
boot
wait_for 30 "canaryd.service" is_up canaryd
eq "$(booted systemctl is-active canaryctl || true) $(pins)" "inactive " "canaryctl.service, and what is in the kernel"
eq "$(on balancer ss -Hltn | awk '{ print $4 }' | xargs)" "127.0.0.1:9842" "what it listens on"
eq "$(by_address /v1/services)" '{"services":[]}' "its services"

case_ "then what README.md says attaches, finds all sound, and brings health checks and rollouts"
{
	echo 'services:'
	web '' l2 | grep -v weight:
	echo '    health: {type: tcp, interval: 500ms, timeout: 400ms}'
	echo '    rollout:'
	echo '      steps: [{weight: 40, bake: 60s, warmup: 0}, {weight: 100, warmup: 0}]'
	echo '      gates: [{name: plays, type: prometheus, url: "https://signals.example:9443", query: plays, min: 2.5}]'
	echo '      hooks: {before_step: touch /var/lib/canary/hooked}'
} >"$root/etc/canary/canary.yaml"
sed -i 's/^INTERFACES=.*/INTERFACES="eth0 eth1"/' "$root/etc/default/canaryctl"
readme_says 2
eq "$(attached_interfaces)" '["eth0","eth1"]' "what is attached"
wait_for 10 "its health checks" becomes '["up"]' health

case_ "a reload of a configuration with a mistake fails, and says where it is; the older one stays"
cp "$root/etc/canary/canary.yaml" "$work/right.yaml"
echo '    nonsense: {}' >>"$root/etc/canary/canary.yaml"
refused 1 'canaryd.service failed' booted systemctl reload canaryd
contains "$(booted journalctl --no-pager -o cat -u canaryd -n 5)" 'canary.yaml:.*nonsense' "what the journal says"
cp "$work/right.yaml" "$root/etc/canary/canary.yaml"
succeeds booted systemctl reload canaryd
wait_for 10 "its health checks" becomes '["up"]' health

case_ "the dashboard is where README.md says, with all that it loads, and live"
by_address / >"$work/page"
mapfile -t assets < <(grep -oE '(src|href)="[^"]+"' "$work/page" | cut -d '"' -f 2)
at_least "${#assets[@]}" 3 "files that the page names"
for asset in "${assets[@]}"; do
	eq "$(by_address "/${asset#/}" -o "$work/asset" -w '%{http_code}')" 200 "${asset}"
done
by_address /v1/stream >"$work/stream" 2>"$work/complaint" || true # it does not end
contains "$(grep -A 1 '^event: status' "$work/stream")" '"service":"web"' "what the stream says"
contains "$(by_address /metrics)" '^canary_dataplane_up 1' "its metrics"

case_ "its buttons do nothing until there is a token, made as README.md says, which no other user can read"
pressed() { # BUTTON TOKEN: the status it is answered with
	by_address "/v1/services/web/rollout/$1" -o "$work/answer" -w '%{http_code}' -H "Authorization: Bearer $2" \
		-H 'Content-Type: application/json' -d '{}'
}
eq "$(pressed start some-token)" 403 "a start without a file of tokens"
readme_says 3
wait_for 10 "canaryd.service" is_up canaryd
eq "$(booted stat -c '%a %U:%G' /etc/canary/tokens)" "640 root:canary" "mode and owner of the tokens"
eq "$(pressed start another-token)" 401 "a start with another token"
eq "$(pressed start "$(cat "$root/etc/canary/tokens")")" 200 "a start with the token"
chmod 600 "$root/etc/canary/tokens"
refused 1 'canaryd.service failed' booted systemctl reload canaryd
contains "$(booted journalctl --no-pager -o cat -u canaryd -n 5)" 'tokens: cannot be read: .*give it the group' "what the journal says"
chmod 640 "$root/etc/canary/tokens"
eq "$(pressed rollback "$(cat "$root/etc/canary/tokens")")" 200 "a rollback with the token"
succeeds booted canaryctl set-weight 37.5
turn_off() {
	kill -KILL "$init"
	wait_for 5 "the host to be off" test ! -e "/proc/$init"
	init=''
}
turn_off
# What a reboot leaves: nothing in the kernel, and the state of before this host was up.
rm -rf "$work/bpf"/canaryctl*
touch -d @0 "$root"/var/lib/canary/keys.state-*

case_ "at a boot canaryctl.service waits for an interface that comes late, and then attaches with the weights of before"
sed -i 's/^INTERFACES=.*/INTERFACES="eth0 eth1 late0"/' "$root/etc/default/canaryctl"
boot
wait_for 30 "canaryd.service" is_up canaryd
eq "$(attached_interfaces)" '[]' "what is attached before"
on balancer ip link add late0 up type veth peer name late1
wait_for 20 "canaryctl.service" is_up canaryctl
eq "$(attached_interfaces)" '["eth0","eth1","late0"]' "what is attached"
eq "$(booted canaryctl status --json | jq '.services[0].weight')" 37.5 "the weight"
succeeds booted canaryctl detach late0
on balancer ip link del late0
succeeds booted canaryctl stop

case_ "canaryd.service, under all that is forbidden to it, checks, runs commands, resolves names, speaks TLS, and rolls out"
echo 'answer = lambda path: {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "3"]}]}}' \
	>"$work/answer.py"
start_ready signals balancer python3 tests/lib/json_server.py 9443 "$work/answer.py" "$work/signals.pem"
wait_for 10 "its health checks" becomes '["up"]' health
succeeds booted canaryctl rollout start web
wait_for 10 "the hook" test -e "$root/var/lib/canary/hooked"
queried() {
	booted canaryctl rollout status web --json | jq -c '.gates[] | select(.name == "plays") | [.verdict, .value]'
}
wait_for 15 "the answer to the query" becomes '["pass",3]' queried
daemon_pid=$(booted systemctl show -P MainPID canaryd)
eq "$(booted sed -n 's/^\(CapEff\|CapBnd\|NoNewPrivs\|Seccomp\):\t//p' "/proc/$daemon_pid/status" | xargs)" \
	"$(sed -n 's/^kept=\(.*\)/\1 \1/p' tests/e2e/test_privileges.sh) 1 2" "its capabilities, no_new_privs and filter"
eq "$(booted stat -c %U "/proc/$daemon_pid")" canary "its user"

case_ "killed it is started again, and stopping both units detaches nothing"
succeeds booted systemctl kill --signal=KILL canaryd
started_again() {
	local pid
	pid=$(booted systemctl show -P MainPID canaryd)
	[ "$pid" != 0 ] && [ "$pid" != "$daemon_pid" ] && is_up canaryd
}
wait_for 10 "canaryd.service to be there again" started_again
eq "$(booted canaryctl rollout status web --json | jq -r '[.state, .weight] | join(" ")')" "progressing 40" "where the rollout is"
succeeds booted canaryctl rollout rollback web
succeeds booted systemctl stop canaryd canaryctl
eq "$(attached_interfaces)" '["eth0","eth1"]' "what is attached"
turn_off

case_ "with a configuration it carries traffic, and canaryd runs as its own user, for root and its group alone"
{
	echo 'services:'
	web 50 nat
	echo '    rollout: {}'
} >"$root/etc/canary/canary.yaml"
succeeds inside canaryctl attach -f /etc/canary/canary.yaml eth0 eth1
load first -s 198.51.100.1/50 -p 20000-20009 "$vip" 80
at_least "$(on_cohort canary first)" 150 "flows of the canary's, of 500"
# What the unit's ExecStartPre and RuntimeDirectory do.
chmod go+x "$work/bpf"
install -d -m 755 -o "$(inside id -u canary)" -g "$(inside id -g canary)" "$root/run/canary"
inside canaryd >"$work/canaryd.out" 2>&1 &
version() {
	curl -sS --unix-socket "$root/run/canary/canaryd.sock" http://canaryd/v1/version 2>/dev/null
}
wait_for 10 "canaryd to answer" version >"$work/version"
daemon_pid=$(version | jq .pid)
started+=("$daemon_pid")
eq "$(sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "/proc/$daemon_pid/status")" "$(inside id -u canary)" "the daemon's user"
eq "$(find "$work/bpf" -type f ! -name '*.debug' -printf '%m %U\n' | sort -u)" "600 $(inside id -u canary)" "modes and owners of the pins"
succeeds inside setpriv --reuid 65534 --regid 65534 --groups "$(inside id -g canary)" canaryctl rollout status web
refused 1 'no access to canaryd.s socket .*: it takes root, or the group canary' inside setpriv --reuid 65534 --regid 65534 --clear-groups canaryctl rollout status web

case_ "an upgrade replaces the program under traffic: nothing is detached, no connection breaks, the configuration stays"
dpkg-deb -R "$package" "$work/newer"
sed -i 's/^Version: .*/&+newer/' "$work/newer/DEBIAN/control"
dpkg-deb --root-owner-group -b "$work/newer" "$root/tmp/newer.deb" >"$work/output"
hold across -t 200 -s 198.51.100.1/20 -p 30000-30009 "$vip" 80
before=$(inside canaryctl status --json | jq -c '[.program.id, [.interfaces[].name]]')
succeeds inside dpkg -i /tmp/newer.deb
after=$(inside canaryctl status --json | jq -c '[.program.id, [.interfaces[].name]]')
eq "$(jq -c '.[1]' <<<"$after")" "$(jq -c '.[1]' <<<"$before")" "what is attached"
[ "$(jq '.[0]' <<<"$after")" != "$(jq '.[0]' <<<"$before")" ] || fail "the program is the one of before: $before"
release across
contains "$(cat "$root/etc/canary/canary.yaml")" 'name: web' "the configuration"

case_ "a removal that can ask nobody is refused while there is traffic, says how it could be done, and leaves all as it is"
refused 1 'not removed: it forwards live traffic on eth0 eth1.*' remove
contains "$(cat "$work/complaint")" 'debconf-set-selections' "what it says to do"
eq "$(package_state) $(attached)" "installed 1" "the package, and programs on eth0"
load still -s 198.51.100.1/50 -p 20010-20019 "$vip" 80

case_ "one that may ask does, and takes no for an answer"
code=0
printf 'no\nno\n' | DEBIAN_FRONTEND=teletype inside dpkg -r canaryctl >"$work/output" 2>&1 || code=$?
at_least "$code" 1 "exit code"
contains "$(cat "$work/output")" 'away from under live traffic' "what it asks"
eq "$(package_state) $(attached)" "installed 1" "the package, and programs on eth0"

case_ "with the answer given beforehand it is removed, and nothing is left in the kernel"
kill "$daemon_pid"
wait_for 10 "the daemon to end" test ! -e "/proc/$daemon_pid"
echo 'canaryctl canaryctl/detach boolean true' | inside debconf-set-selections
succeeds remove
eq "$(attached) $(pins)" "0 " "programs on eth0, and pins"
eq "$(inside stat -c %a /sys/fs/bpf)" 1700 "the mode of what systemd mounts"
for file in etc/canary/canary.yaml etc/default/canaryctl var/lib/canary/keys; do
	[ -e "$root/$file" ] || fail "$file is gone: configuration and state stay until a purge"
done

case_ "after a purge all is as before the package came"
succeeds remove -P
listed >"$work/after"
eq "$(diff "$work/before" "$work/after" | grep '^[<>]' || true)" "" "files that differ"
eq "$(inside getent passwd canary || true)$(inside getent group canary || true)" "" "its user and group"
