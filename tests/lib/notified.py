# SPDX-License-Identifier: Apache-2.0
"""The other end of sd_notify(3), as systemd would be: notes what a daemon says of itself, and when.

notified.py SOCKET API

A line for each variable of each message: the time in ms, and the text; after READY=1 in the same line whether the daemon
answers on its socket API in that moment: "serves", or why not. Prints "ready" first.
"""
import os
import socket
import sys
import time

SOCKET, API = sys.argv[1], sys.argv[2]


def asks():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(API)
            client.sendall(b"GET /v1/version HTTP/1.1\r\nHost: canaryd\r\nConnection: close\r\n\r\n")
            return "serves" if client.recv(100).startswith(b"HTTP/1.1 200") else "answers wrongly"
        except OSError as error:
            return str(error)


server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(SOCKET)
os.chmod(SOCKET, 0o777)
print("ready", flush=True)
while True:
    message = server.recv(4096).decode()
    now = int(time.monotonic() * 1000)
    for text in message.split("\n"):
        print(now, text, asks() if text == "READY=1" else "", flush=True)
