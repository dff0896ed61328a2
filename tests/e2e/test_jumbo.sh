#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Jumbo frames, which XDP sees in several buffers: megabytes go up and come down again, and are the same bytes.
. "$(dirname "$0")/lib.sh"

export LAB_MTU=9000
megabytes=8
head -c "${megabytes}M" /dev/urandom >"$work/sent"

# A server that keeps what is sent to it, and gives it back.
file_servers() { # PORT
	local host
	for host in $all_backends; do
		mkdir -p "$work/$host/files"
		cat >"$work/$host/nginx.conf" <<CONF
user root;
daemon off;
worker_processes 1;
pid $work/$host/nginx.pid;
error_log stderr;
events {
}
http {
	access_log $work/$host/access.log;
	client_body_temp_path $work/$host/body;
	client_max_body_size 64m;
	server {
		listen $1;
		listen [::]:$1;
		root $work/$host/files;
		dav_methods PUT;
	}
}
CONF
		start "nginx-$host" "$host" nginx -p "$work/$host" -c "$work/$host/nginx.conf"
		wait_for 5 "nginx on $host" test -s "$work/$host/nginx.pid"
	done
}

bytes_per_packet() { # of what clients sent
	stats '[.services[].cohorts.stable] | (map(.bytes) | add) / (map(.packets) | add) | floor'
}

# A capture has such frames whole, from all their buffers: TCP's checksum, which is over all of a packet, says so (not of what is
# in gue: Wireshark does not look there).
captured_whole() { # FILE
	tshark -n -o tcp.check_checksum:TRUE -r "$1" -Y 'frame.len > 4000 && tcp' -T fields -E occurrence=l -e frame.cap_len \
		-e frame.len -e tcp.checksum.status >"$work/jumbo" 2>"$work/tshark.err"
	at_least "$(wc -l <"$work/jumbo")" 20 "jumbo frames that were captured"
	eq "$(awk '$1 != $2 || $3 != 1' "$work/jumbo")" "" "those that are cut off, or whose checksum is wrong (length, length, 1 if right)"
}

# Up through the balancer to stable1, the only backend, which has it then; and down again, in nat through the balancer too.
goes_up_and_comes_down() { # FORWARD FAMILY ADDRESS BACKEND
	local url=http://$3/file
	[ "$2" = v4 ] || url="http://[$3]/file"
	case_ "$1, $2, ${LAB_ARMS} arms: $megabytes MB go up and come down as they were"
	ctl service del web >/dev/null 2>&1 || true
	apply <<YAML
  - name: web
    address: "$3"
    port: 80
    protocol: tcp
    forward: $1
    stable: [ {address: "$4"} ]
YAML
	rm -f "$work/stable1/files/file" "$work/got"
	start capture balancer "$canaryctl" capture web --sample 5 -w "$work/capture.pcapng"
	capture=$started_pid
	wait_for 5 "the capture to begin" grep -qs capturing "$work/capture.err"
	succeeds on client curl -sS -m 60 --fail -T "$work/sent" "$url"
	succeeds cmp "$work/sent" "$work/stable1/files/file"
	succeeds on client curl -sS -m 60 --fail -o "$work/got" "$url"
	succeeds cmp "$work/sent" "$work/got"
	stop "$capture" INT || fail "the capture failed: $(cat "$work/capture.err")"
	captured_whole "$work/capture.pcapng"
	at_least "$(bytes_per_packet)" 3600 "bytes of a packet that was forwarded"
	shows 20 "$1" "$2" request forwarded
	[ "$1" != nat ] || shows 20 nat "$2" reply forwarded
}

through() { # ARMS [FORWARD...]
	export LAB_ARMS=$1
	shift
	scripts/lab up
	meet
	tunnel_ends
	file_servers 80
	# What a tunnel adds has to fit: path-MTU discovery is another test's.
	ip -n "${LAB_PREFIX}client" route add 203.0.113.0/24 via 192.0.2.1 mtu 8900
	ip -n "${LAB_PREFIX}client" route add 2001:db8:113::/64 via 2001:db8:2::1 mtu 8900
	attach
	for forward; do
		ends_for "$forward"
		goes_up_and_comes_down "$forward" v4 "$vip" 10.0.0.11
		goes_up_and_comes_down "$forward" v6 "$vip6" 2001:db8:10::11
	done
	case_ "${LAB_ARMS} arms: nothing was dropped, or lost by the driver"
	eq "$(stats '[.interfaces[] | .tx_errors, (.drops[])] | add')" 0 "packets"
	tunnels_were_sound 4in4 6in6
	gue_was_sound
	ctl detach --all >/dev/null
	scripts/lab down
	rm -rf "$CANARYCTL_BPFFS" "$CANARYCTL_BPFFS-decap"
}

through 2 nat l2 ipip gue
through 1 l2 ipip gue
