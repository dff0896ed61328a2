#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs first: most of its time it fetches and unpacks packages.
# The Debian package as a new user meets it: on a root with nothing but Debian, installed with what it needs, used, upgraded
# under traffic, and removed.
. "$(dirname "$0")/lib.sh"

two_armed
root=$work/root
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

remove() { # [-P]: without asking anybody
	DEBIAN_FRONTEND=noninteractive inside dpkg "${1:--r}" canaryctl </dev/null
}

# All but what dpkg, apt and the dynamic linker note of any package.
listed() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./var/lib/dpkg -o -path ./var/cache \
		-o -path ./var/log -o -path ./var/lib/apt -o -path ./tmp \) -prune -o -printf '%P %l\n' | LC_ALL=C sort)
}
export -f listed
export root

case_ "it installs on a clean root, with all that it depends on"
package=$(scripts/deb "$build")
cp "$package" "$work/canaryctl.deb"
mapfile -t sources < <(find /etc/apt -maxdepth 2 \( -name '*.sources' -o -name 'sources.list' -o -path '*.d/*.list' \) -size +0)
# shellcheck disable=SC2016  # the hooks' shells expand them
succeeds mmdebstrap --variant=minbase --include=man-db,systemd --skip=cleanup/tmp \
	--customize-hook='bash -c listed >"'"$work"'/before"' \
	--customize-hook='upload "'"$work"'/canaryctl.deb" /canaryctl.deb' \
	--customize-hook='APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install "$1/canaryctl.deb"' \
	--customize-hook='rm "$1/canaryctl.deb"' "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "${sources[@]}"
contains "$(inside dpkg -s canaryctl)" '^Status: install ok installed' "what dpkg says"
eq "$(inside sh -c 'ldd /usr/bin/canaryctl /usr/sbin/canaryd | grep "not found"' || true)" "" "libraries that are missing"
contains "$(inside getent passwd canary)" '^canary:x:[0-9]*:[0-9]*:' "canaryd's user"
eq "$(inside stat -c '%a %U:%G' /var/lib/canary)" "700 canary:canary" "the state's directory"
eq "$(inside find /etc/systemd/system -name 'canary*' -printf '%f ')" "canaryctl.service canaryd.service " "units that boot starts"
eq "$(ls "$work/bpf")" "" "what it has put into the kernel"
