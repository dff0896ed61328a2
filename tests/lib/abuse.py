# SPDX-License-Identifier: Apache-2.0
"""Abuses the daemon's API, and says what came of it.

abuse.py PORT SOCKET PID TOKEN FEEDBACK_TOKEN

Each case of abuse_cases.py, and each of the crowds below, is answered as it should be; nothing of the rollout of the service
"web" has changed then, and the daemon answers at once, by address and on its socket. Prints "not ok NAME: WHY" of a case
that is otherwise, and at last "N cases, N failed, N descriptors, N kB": the most descriptors that the daemon had, and by how
much its memory grew.
"""
import http.client
import json
import os
import re
import select
import socket
import sys
import time

from abuse_cases import CLOSED, DOING, HERE, cases, request, stuck, writing

PORT, SOCKET, PID, FULL, FEEDBACK = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
STATUS = "/v1/services/web/rollout"
LASTING = "state release step weight effective_weight transitions blocked finished plan feedback pending holdback".split()
AT_ONCE = 3  # s, on a machine that does other things too
TIMEOUT = 20  # s, HTTP_TIMEOUT

count = failed = most_descriptors = 0


def report(name, why):
    global count, failed
    count += 1
    if why:
        failed += 1
        print(f"not ok {name}: {why}", flush=True)


def by_address():
    return socket.create_connection(("127.0.0.1", PORT), timeout=TIMEOUT + 5)


def by_socket():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(SOCKET)
    return client


def read_all(client):
    """All that comes until the other side closes, however it does."""
    answer = b""
    try:
        while more := client.recv(65536):
            answer += more
    except ConnectionError:
        pass
    return answer


def statuses(answer):
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def send(client, data):
    try:
        client.sendall(data)
    except ConnectionError:
        pass  # it did not want to read that much


def ask(dial, method, path, headers=HERE):
    with dial() as client:
        client.sendall(request(method, path, headers))
        response = http.client.HTTPResponse(client)
        response.begin()
        return response.status, response.read()


def standing():
    status, body = ask(by_socket, "GET", STATUS)
    view = json.loads(body)
    return status, {key: view[key] for key in LASTING}


def descriptors():
    return len(os.listdir(f"/proc/{PID}/fd"))


def look_at_daemon():
    """Its memory in kB; and its descriptors are counted."""
    global most_descriptors
    most_descriptors = max(most_descriptors, descriptors())
    with open(f"/proc/{PID}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def what_is_wrong(before):
    """After a case: has something changed, and does the daemon answer?"""
    begun = time.monotonic()
    after = standing()
    if after != before:
        return f"it was {before}, and is {after}"
    status, _ = ask(by_address, "GET", "/v1/services")
    if status != 200:
        return f"then it answers {status} by address"
    took = time.monotonic() - begun
    look_at_daemon()
    return f"then it answers after {took:.1f} s" if took > AT_ONCE else ""


def try_case(name, data, wanted, before):
    with by_address() as client:
        send(client, data)
        try:
            answer = read_all(client)
        except TimeoutError:
            report(name, "is neither answered nor closed")
            return
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    got = statuses(answer)
    # Of one kind: what was behind it is no request. (The library writes the head of its own errors twice.)
    if len(set(got)) > 1 or (got[0] if got else CLOSED) not in wanted:
        report(name, f"is answered {got or 'by closing'}, not {wanted}: {answer[:200]}")
    elif FULL.encode() in answer or FEEDBACK.encode() in answer or b"access-control" in answer.lower():
        report(name, f"is answered with what it should not have: {answer}")
    else:
        report(name, what_is_wrong(before))


# Crowds: what takes more than one request, or time.


def pipelined(before):
    """Ten requests at once, one of them refused: ten answers, in their order."""
    asked = [request("GET", "/v1/services", HERE, close=False)] * 9
    asked.insert(4, request("POST", DOING + "rollback", writing("wrong"), b"{}", close=False))
    with by_address() as client:
        client.sendall(b"".join(asked) + request("GET", "/nothing", HERE))
        got = statuses(read_all(client))
    wanted = [200] * 4 + [401] + [200] * 5 + [404]
    report("requests in a pipeline", what_is_wrong(before) if got == wanted else f"are answered {got}")


def half_closed(before):
    """One that says it is done is answered; one that is in the middle is closed."""
    with by_address() as client:
        client.sendall(request("GET", "/v1/services", HERE))
        client.shutdown(socket.SHUT_WR)
        got = statuses(read_all(client))
    report("a client that has closed its side", what_is_wrong(before) if got == [200] else f"is answered {got}")
    data = request("POST", DOING + "rollback", writing(FULL), b"{}")
    for length in 1, len(data) // 2, len(data) - 1:
        with by_address() as client:
            client.sendall(data[:length])
            client.shutdown(socket.SHUT_WR)
            got = statuses(read_all(client))
        report(f"one that closes after {length} bytes", f"is answered {got}" if got else what_is_wrong(before))


def cut_off(before):
    """Resets in the middle, and before the answer is read."""
    data = request("POST", DOING + "rollback", writing("wrong" * 8), b"{}")
    for length in 1, len(data) // 2, len(data) - 1, len(data):
        for _ in range(20):
            client = by_address()
            client.sendall(data[:length])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        report(f"resets after {length} bytes", what_is_wrong(before))


def crowd(name, before, size, dial, data):
    """Very many that are connected, have sent this, and then say nothing."""
    clients = []
    for _ in range(size):
        client = dial()
        send(client, data)
        clients.append(client)
    report(name, what_is_wrong(before))
    for client in clients:
        client.close()


def waiters(name, path, before):
    """Who waits by address, in numbers, keeps nobody on the socket from waiting."""
    patient = request("GET", path, HERE)
    clients = [by_address() for _ in range(100)]
    for client in clients:
        client.sendall(patient)
    time.sleep(1)
    ready, _, _ = select.select(clients, [], [], 0)
    busy = [got for client in ready if (got := statuses(client.recv(65536))) != [200]]
    status, _ = ask(by_socket, "GET", STATUS + "?transitions=1000&timeout=1")
    if status != 200:
        why = f"and on the socket it is {status}"
    elif busy.count([503]) < 30:
        why = f"{len(busy)} were answered, {busy.count([503])} that there are too many"
    else:
        why = what_is_wrong(before)
    report(name, why)
    for client in clients:
        client.close()


def is_open(client):
    if not select.select([client], [], [], 0)[0]:
        return True
    try:
        return client.recv(65536) != b""
    except ConnectionError:
        return False


def dribble(clients, seconds):
    """A byte of each now and then: how long it took until all were closed; None: they were not."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        for client, data in clients:
            offset = int(time.monotonic() - begun)
            send(client, data[offset:offset + 1])
        time.sleep(1)
        if not any([is_open(client) for client, _ in clients]):
            return time.monotonic() - begun
    return None


def slow_readers(size):
    """They ask for much, over and over, and read next to nothing."""
    clients = []
    for _ in range(size):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", PORT))
        client.sendall(request("GET", "/metrics", HERE, close=False) * 30)
        clients.append(client)
    return clients


def slow_loris(before):
    """Bytes that come so slowly that nothing is ever silent have their time, and no more; and readers likewise."""
    places = descriptors()
    head = request("POST", DOING + "rollback", writing(FULL), b"{}")
    body = request("POST", DOING + "rollback", writing(FULL, Content_Length=1000), b"")
    silent_start = body.index(b"\r\n\r\n") + 4
    clients = [(by_address(), head) for _ in range(60)]
    for _ in range(60):
        client = by_address()
        client.sendall(body[:silent_start])
        clients.append((client, b" " * 1000))
    for data in stuck():
        client = by_address()
        send(client, data)
        clients.append((client, b""))
    readers = slow_readers(20)
    report("slow clients, of every place one", what_is_wrong(before))
    took = dribble(clients, 2 * TIMEOUT)
    why = what_is_wrong(before) if took else f"some of them are there after {2 * TIMEOUT} s"
    report("slow clients in their time", why)
    held = descriptors() - places
    report("slow readers in their time", f"{held} of them are there" if held > 1 else "")
    for client in readers + [client for client, _ in clients]:
        client.close()


def crowds(before):
    pipelined(before)
    half_closed(before)
    cut_off(before)
    half = request("POST", DOING + "rollback", writing(FULL), b"{}")[:-1]
    crowd("1000 by address that ask nothing", before, 1000, by_address, b"")
    crowd("1000 by address in the middle of a request", before, 1000, by_address, half)
    crowd("1000 on the socket that ask nothing", before, 1000, by_socket, b"")
    crowd("1000 on the socket in the middle of a request", before, 1000, by_socket, half)
    waiters("100 that wait", STATUS + "?transitions=1000&timeout=60", before)
    waiters("100 that stream", "/v1/stream", before)
    slow_loris(before)


def main():
    before = standing()
    table = list(cases(FULL, FEEDBACK))
    # What is allocated once is not what grows.
    for _ in range(3):
        for dial in by_address, by_socket:
            ask(dial, "GET", "/metrics")
    memory = look_at_daemon()
    for name, data, wanted in table:
        try_case(name, data, wanted, before)
    crowds(before)
    # What was closed here is closed there a moment later.
    time.sleep(1)
    print(f"{count} cases, {failed} failed, {most_descriptors} descriptors, {look_at_daemon() - memory} kB")


main()
