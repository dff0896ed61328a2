# SPDX-License-Identifier: Apache-2.0
#
# Who may include whom, read off the #include lines of the files given:
#
#   include/canary ◄── bpf/
#         ▲
#   user/core ◄─┬─ user/dataplane ─┐
#               └─ user/io ────────┴─◄ user/ops ◄── user/daemon, user/cli
#
# The stages of bpf/ do not include one another: only a .bpf.c composes them. One library, one place that knows it.

function quoted_allowed() {
	if (FILENAME ~ /^include\/canary\//)
		return "^[a-z_]+\\.h$"
	if (FILENAME ~ /^bpf\/.*\.bpf\.c$/)
		return "^(vmlinux\\.h|canary/[a-z_]+\\.h|[a-z_]+\\.h|forward/[a-z0-9_]+\\.h)$"
	if (FILENAME ~ /^bpf\//)
		return "^$"
	if (FILENAME ~ /^user\/core\//)
		return "^(canary|core)/"
	if (FILENAME ~ /^user\/dataplane\//)
		return "^((canary|core|dataplane)/|[a-z]+\\.skel\\.h$)"
	if (FILENAME ~ /^user\/io\//)
		return "^(canary|core|io)/"
	if (FILENAME ~ /^user\/ops\//)
		return "^(canary|core|io|dataplane|ops)/"
	if (FILENAME ~ /^user\/cli\//)
		return "^(canary|core|io|dataplane|ops|cli)/"
	if (FILENAME ~ /^user\/daemon\//)
		return "^(canary|core|io|dataplane|ops|daemon)/"
	return "."
}

function angled_allowed() {
	if ($2 ~ /^<(bpf|xdp)\//)
		return FILENAME ~ /^(bpf|user\/dataplane|tests)\//
	if ($2 ~ /^<(libmnl|cyaml|curl)\// || $2 ~ /^<(yaml|sqlite3|microhttpd)\.h/)
		return FILENAME ~ /^(user\/io|tests)\//
	if ($2 ~ /^<jansson/)
		return FILENAME ~ /^(user\/(io|ops|cli|daemon)|tests)\//
	if ($2 ~ /^<systemd\//)
		return FILENAME ~ /^user\/daemon\//
	if (FILENAME ~ /^include\/canary\//)
		return $2 ~ /^<linux\/(bpf|types)\.h>$/
	if (FILENAME ~ /^user\/core\//)
		return $2 ~ /^<(arpa\/inet|assert|ctype|errno|inttypes|limits|linux\/types|math|netinet\/in|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|strings)\.h>$/
	return FILENAME !~ /^bpf\//
}

function refuse(why) {
	print FILENAME ":" FNR ": " $0 ": " why
	bad = 1
}

/^[ \t]*#[ \t]*include/ {
	sub(/#[ \t]+include/, "#include")
	if ($2 ~ /^"/) {
		name = $2
		gsub(/"/, "", name)
		if (name !~ quoted_allowed())
			refuse("these folders do not know each other")
	} else if (!angled_allowed()) {
		refuse("this library has no place here")
	}
}

END {
	exit bad
}
