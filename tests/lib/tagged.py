# SPDX-License-Identifier: Apache-2.0
"""Sends a TCP SYN behind VLAN tags, where the kernel may have no VLAN devices: tagged.py INTERFACE MAC SOURCE:PORT
DESTINATION:PORT VLAN [VLAN]. Of two the first is the outer one, a service tag (802.1ad)."""
import socket
import struct
import sys

FLAG_SYN = 2


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def endpoint(text):
    address, port = text.split(":")
    return socket.inet_aton(address), int(port)


def syn(source, destination):
    (from_address, from_port), (to_address, to_port) = source, destination
    tcp = struct.pack("!HHIIBBHHH", from_port, to_port, 1, 0, 5 << 4, FLAG_SYN, 1000, 0, 0)
    pseudo = from_address + to_address + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, socket.IPPROTO_TCP, 0) + from_address + to_address
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def tags(vlans):
    protocols = [0x8100] if len(vlans) == 1 else [0x88A8, 0x8100]
    return b"".join(struct.pack("!HH", protocol, int(vlan)) for protocol, vlan in zip(protocols, vlans))


interface, mac, source, destination, *vlans = sys.argv[1:]
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((interface, 0))
head = bytes.fromhex(mac.replace(":", "")) + sender.getsockname()[4]
sender.send(head + tags(vlans) + struct.pack("!H", 0x0800) + syn(endpoint(source), endpoint(destination)))
