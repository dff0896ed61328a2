# SPDX-License-Identifier: Apache-2.0
"""What is asked of the daemon's API by those who mean it no good, and what is to come of it: tables for abuse.py.

A case is (name, request as bytes, what is answered). That is a status, or several: CLOSED is a connection that is closed
without an answer. None of the requests may change anything.
"""
import json

CLOSED = 0
VERBS = "start pause resume promote rollback finish undo retry block unblock".split()
HERE = {"Host": "localhost"}
DOING = "/v1/services/web/rollout/"


def request(method, path, headers=(), body=b"", version="HTTP/1.1", close=True):
    """A request as it should be, but for what is given."""
    lines = [f"{method} {path} {version}"]
    lines += [f"{key}: {value}" for key, value in dict(headers).items()]
    if body and not any(key.lower() in ("content-length", "transfer-encoding") for key in dict(headers)):
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def writing(token=None, **more):
    headers = {**HERE, "Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    headers.update({key.replace("_", "-"): value for key, value in more.items()})
    return headers


def without_headers(headers, *names):
    return {key: value for key, value in headers.items() if key not in names}


def token_cases(full, feedback):
    wrong = {
        "of other letters": full.swapcase(), "cut short": full[:-1], "too long": full + "0", "empty": "",
        "a space": " ", "twice": f"{full} {full}", "in quotes": f'"{full}"', "with a comma": full + ",",
        "of 300 letters": "a" * 300, "of 8000 letters": "a" * 8000, "of other bytes": "\xff" * 32, "a wildcard": "*",
        "null": "null", "percent-encoded": "%30" + full[1:],
    }
    for verb in VERBS:
        yield f"{verb} without a token", request("POST", DOING + verb, writing(), b"{}"), 401
        yield f"{verb} with the token for feedback", request("POST", DOING + verb, writing(feedback), b"{}"), 403
    for what, token in wrong.items():
        yield f"a token {what}", request("POST", DOING + "rollback", writing(token), b"{}"), 401
    for scheme in "Basic", "Digest", "Token", "":
        headers = writing(Authorization=f"{scheme} {full}".strip())
        yield f"the token as '{scheme}'", request("POST", DOING + "rollback", headers), 401
    yield "the token in the query", request("POST", DOING + f"rollback?access_token={full}", writing(), b"{}"), 401
    yield "the token in a cookie", request("POST", DOING + "rollback", writing(Cookie=f"token={full}"), b"{}"), 401
    yield "the token in the body", request(
        "POST", DOING + "rollback", writing(), json.dumps({"access_token": full}).encode()), 401
    yield "feedback without a token", request("POST", "/v1/feedback", writing(), b"{}"), 401
    for path in "history", "explain", "plan":
        yield f"{path} without a token", request("GET", DOING + path, HERE), 401


def site_cases(full):
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "2130706433", "0.0.0.0", "localhost:x",
                 "localhost@evil.example", "192.0.2.1", "[::ffff:127.0.0.1]", "", "a" * 5000):
        yield f"Host {host[:30]}", request("POST", DOING + "rollback", writing(full, Host=host), b"{}"), 421
        yield f"reading with Host {host[:30]}", request("GET", "/v1/services", {"Host": host}), 421
    for origin in "http://evil.example", "null", "http://localhost:1", "http://localhost.evil.example", "file://", "":
        yield f"Origin '{origin}'", request("POST", DOING + "rollback", writing(full, Origin=origin), b"{}"), 403
    for site in "cross-site", "same-site", "nonsense":
        yield f"Sec-Fetch-Site {site}", request(
            "POST", DOING + "rollback", writing(full, Sec_Fetch_Site=site), b"{}"), 403
    yield "a preflight", request("OPTIONS", DOING + "rollback", {
        **HERE, "Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}), 403
    for kind in "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", "":
        headers = {**writing(full), "Content-Type": kind}
        yield f"a body of type '{kind}'", request("POST", DOING + "rollback", headers, b"{}"), 415
    yield "no body, and no type", request("POST", DOING + "rollback", without_headers(writing(full), "Content-Type")), 415


def body_cases(full):
    garbage = {
        "half an object": b"{", "an array": b"[]", "a number": b"1", "a text": b'"rollback"', "null": b"null",
        "an object and more": b"{}{}", "a key twice": b'{"reset":false,"reset":true}', "no UTF-8": b'{"reset":"\xff"}',
        "a zero": b'{"reset":\0true}', "an escaped zero in a key": b'{"re\\u0000set":true}', "a comment": b"{/**/}",
        "half a surrogate": b'{"reason":"\\ud800"}', "NaN": b'{"reset":NaN}', "1e999": b'{"reset":1e999}',
        "a number of 10000 digits": b'{"reset":' + b"9" * 10000 + b"}", "a form": b"reset=true",
        "arrays in arrays": b'{"reset":' + b"[" * 30000 + b"]" * 30000 + b"}", "XML": b"<reset>true</reset>",
        "YAML": b"reset: true\n", "a trailing comma": b'{"reset":true,}', "quotes of another kind": b"{'reset':true}",
        "a member that means nothing": b'{"resett":true}', "__proto__": b'{"__proto__":{"reset":true}}',
        "a text for a flag": b'{"reset":"true"}', "a number for a flag": b'{"reset":1}', "64 KiB of spaces": b" " * 65536,
        "a byte order mark": b"\xef\xbb\xbf{}",
    }
    for what, body in garbage.items():
        yield f"a body of {what}", request("POST", DOING + "rollback", writing(full), body), 400
    for size in 65537, 1 << 20:
        yield f"a body of {size} bytes", request("POST", DOING + "rollback", writing(full), b" " * size), 413
    for size in (1 << 20) + 1, 20 << 20:
        yield f"a body of {size} bytes", request("POST", DOING + "rollback", writing(full), b" " * size), (413, CLOSED)
    for length in 1 << 40, (1 << 64) - 1:
        yield f"Content-Length {length}", request(
            "POST", DOING + "rollback", writing(full, Content_Length=length), b"{}"), 413
    chunks = b"10000\r\n" + b" " * 65536 + b"\r\n"
    yield "chunks of 128 KiB", request(
        "POST", DOING + "rollback", writing(full, Transfer_Encoding="chunked"), chunks * 2 + b"0\r\n\r\n"), 413
    yield "chunks without an end", request(
        "POST", DOING + "rollback", writing(full, Transfer_Encoding="chunked"), chunks * 40), CLOSED
    plan = json.dumps({"plan": "a: &a [x]\n" + "".join(f"{c}: &{c} [*a,*a]\n" for c in "bcdefg")}).encode()
    yield "a plan that is none", request("POST", DOING + "start", writing(full), plan), 400
    words = ({"client": "evil", "verdict": "bad"}, {"client": "192.0.2.7", "verdict": "worse"}, {"verdict": "bad"},
             {"client": ["192.0.2.7"], "verdict": "bad"}, {"client": "192.0.2.7" * 1000, "verdict": "bad"})
    for word in words:
        yield f"feedback {str(word)[:40]}", request(
            "POST", "/v1/feedback", writing(full), json.dumps(word).encode()), 400
    yield "feedback on another service", request("POST", "/v1/feedback", writing(full), json.dumps(
        {"service": "../web", "client": "192.0.2.7", "verdict": "bad"}).encode()), 404


def framing_cases(full):
    head = f"POST {DOING}rollback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    behind = request("POST", DOING + "rollback", writing(full), b"{}")
    for what, lines in {
        "two lengths": "Content-Length: 0\r\nContent-Length: 2\r\n",
        "the same length twice": "Content-Length: 2\r\nContent-Length: 2\r\n",
        "a length and chunks": "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "another encoding": "Transfer-Encoding: gzip, chunked\r\n",
        "two encodings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "a space before a colon": "Content-Length : 2\r\n",
        "a tab in a name": "Content-Length\t: 2\r\n",
        "a list of lengths": "Content-Length: 2, 2\r\n",
        "a length below nothing": "Content-Length: -2\r\n",
        "a length with a sign": "Content-Length: +2\r\n",
        "a length in hexadecimal": "Content-Length: 0x2\r\n",
        "a length of no digits": "Content-Length: two\r\n",
        "two hosts": "Host: evil.example\r\n",
        "a header without a colon": "Content-Length\r\n",
    }.items():
        # What is behind it, with a token, must not be taken for another request.
        yield what, (head + lines + "\r\n").encode() + b"{}" + behind, 400
    refused = head + f"Authorization: Bearer {full}\r\n"
    for size in "xyz", "-1", "fffffffffffffffff", "":
        yield f"a chunk of '{size}' bytes", (
            refused + "Transfer-Encoding: chunked\r\n\r\n" + size + "\r\n{}\r\n0\r\n\r\n").encode(), (400, 413, CLOSED)


def path_cases(full):
    paths = {
        "/v1/services/..%2f..%2fetc/rollout/rollback": 404, "/v1/services/web%2frollout/rollback": 404,
        "/v1/services/web/rollout%2frollback": 404, "/v1/services/../services/web/rollout/rollback": 404,
        "/v1//services/web/rollout/rollback": 404, "//v1/services/web/rollout/rollback": 404,
        "/v1/services/web/rollout/rollback/": 404, "/v1/services/web/rollout/rollback%00": 404,
        "/v1/services/web%00/rollout/rollback": 404, "/v1/services/web%/rollout/rollback": 404,
        "/v1/services/%77eb%/rollout/rollback": 404, "/v1/services//rollout/rollback": 404,
        "/v1/services/./rollout/rollback": 404, "/v1/services/WEB/rollout/rollback": 404,
        "/v1/services/web;a=b/rollout/rollback": 404, "/v1/services/web/rollout/tick": 404,
        "/v1/services/web/rollout/trip": 404, "/v1/services/web/rollout/promote_full": 404,
        "/v1/services/web/rollout/%2e%2e": 404, "/v1/services/" + "a" * 8000 + "/rollout/rollback": 404,
        "/v1/services/%f0%9f%92%a9/rollout/rollback": 404, "/v1/services/w%C0%AFeb/rollout/rollback": 404,
        "\\v1\\services\\web\\rollout\\rollback": 404, "http://localhost/v1/services/web/rollout/rollback": 404,
        "../../../../etc/shadow": 404, "/" + "../" * 1000 + "etc/shadow": 404, "*": 404,
    }
    for path, status in paths.items():
        yield f"POST {path[:50]}", request("POST", path, writing(full), b"{}"), status
    for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/metrics/../v1/health", "/metrics%00", "/.git/config",
                 "/assets/../../etc/passwd", "/assets/..%2f..%2fetc%2fpasswd", "/assets/%2e%2e", "/assets/", "/assets/main.js%00"):
        yield f"GET {path[:50]}", request("GET", path, HERE), 404
    yield "a path with spaces", request("POST", DOING + "rollback HTTP/1.1", writing(full), b"{}"), CLOSED
    for query in "transitions=-1", "transitions=x", "transitions=0x1", "transitions=1&timeout=1e9", "transitions=%00":
        yield f"?{query}", request("GET", f"/v1/services/web/rollout?{query}", HERE), 400
    for query in "limit=-1", "limit=99999999999999999999", "release='", "release=1%20OR%201", "limit=%2f":
        yield f"?{query}", request("GET", f"{DOING}history?{query}", writing(full)), 400
    yield "a path of 100000 bytes", request("GET", "/" + "a" * 100000, HERE), (414, CLOSED)


def line_cases(full):
    for method in "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "post", "POSTT", "PROPFIND":
        yield f"method {method}", request(method, DOING + "rollback", writing(full), b"{}"), 405
    yield "GET of what is done by POST", request("GET", DOING + "rollback", writing(full)), 405
    yield "a method put in a header", request(
        "GET", DOING + "rollback", writing(full, X_HTTP_Method_Override="POST")), 405
    yield "a method put in the query", request("GET", DOING + "rollback?_method=POST", writing(full)), 405
    for version in "HTTP/2.0", "HTTP/9.9", "HTTP/1.1.1", "http/1.1", "SPDY/3", "HTTP/":
        yield f"version {version}", request("POST", DOING + "rollback", writing(full), b"{}", version), (400, 505, CLOSED)
    yield "HTTP/0.9", b"GET /v1/services\r\n\r\n", (400, 505, CLOSED)
    yield "no Host", request("POST", DOING + "rollback", without_headers(writing(full), "Host"), b"{}"), 400
    yield "no Host in HTTP/1.0", request(
        "POST", DOING + "rollback", without_headers(writing(full), "Host"), b"{}", "HTTP/1.0"), 421
    yield "10000 headers", request("GET", "/v1/services", {**HERE, **{f"X-{i}": i for i in range(10000)}}), (431, 413, CLOSED)
    yield "a header of 100000 bytes", request("GET", "/v1/services", {**HERE, "X": "a" * 100000}), (431, 413, CLOSED)
    yield "a header's name of 100000 bytes", request("GET", "/v1/services", {**HERE, "a" * 100000: "x"}), (431, 413, CLOSED)
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505, CLOSED)
    yield "TLS", bytes.fromhex("16030100c8010000c40303") + bytes(range(200)), (400, CLOSED)
    yield "every byte there is", bytes(range(256)) * 64 + b"\r\n\r\n", (400, 414, 431, 505, CLOSED)
    yield "a line without an end", b"A" * 200000, (400, 414, 431, CLOSED)
    yield "an upgrade", request("GET", DOING + "rollback", {
        **HERE, "Connection": "Upgrade, close", "Upgrade": "websocket"}, close=False), 405
    yield "a range", request("GET", DOING + "history", {**HERE, "Range": "bytes=" + "0-," * 1000}), 401


def stuck():
    """What the library waits for more of, or for its end: all that is to come is that it is closed in time."""
    yield b"\0" * 4096 + b"\r\n\r\n"
    yield request("GET", "/v1/services?" + "a=b&" * 5000, HERE)
    yield b"GET /v1/services HTTP/1.1\r\nHost: localhost\r\nX: "
    yield b"\r\n" * 1000


def cases(full, feedback):
    for table in site_cases, body_cases, framing_cases, path_cases, line_cases:
        yield from table(full)
    yield from token_cases(full, feedback)
