# SPDX-License-Identifier: Apache-2.0
"""A crowd that asks canaryd for what is long, by address, and does not take the answers.

crowd.py PORT SOCKET PID PATH SECONDS

Prints how long the unix socket took to answer at most meanwhile, in milliseconds, and by how many kB the daemon has grown.
"""
import re
import socket
import sys
import time

SIZE = 100
PORT, SOCKET, PID, PATH, SECONDS = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], float(sys.argv[5])


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def memory():
    with open(f"/proc/{PID}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def milliseconds_on_socket():
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(SOCKET)
        client.sendall(request("/v1/version"))
        answer = b""
        while more := client.recv(4096):
            answer += more
    if b" 200 OK\r\n" not in answer:
        sys.exit(f"the socket answers {answer}")
    return int((time.monotonic() - begun) * 1000)


def greedy():
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", PORT))
    client.sendall(request(PATH))
    return client


def main():
    before = most = memory()
    clients = [greedy() for _ in range(SIZE)]
    slowest, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        slowest = max(slowest, milliseconds_on_socket())
        most = max(most, memory())
        time.sleep(0.1)
    for client in clients:
        client.close()
    print(slowest, most - before)


main()
