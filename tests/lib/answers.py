# SPDX-License-Identifier: Apache-2.0
"""An HTTP server of the tests that answers what a file says.

answers.py PORT FILE

FILE holds "STATUS BODY", read anew for each request; STATUS "silent" is no answer at all. Each request
is noted before it is answered, as a line of JSON in FILE.requests. Prints "ready".
"""
import http.server
import json
import sys
import time

PORT, FILE = int(sys.argv[1]), sys.argv[2]


class Answers(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        names = {"host": "Host", "type": "Content-Type"}
        request = {"method": self.command, "path": self.path, "body": body}
        request.update({key: self.headers.get(name) for key, name in names.items()})
        with open(FILE + ".requests", "a") as log:
            log.write(json.dumps(request) + "\n")
        with open(FILE) as file:
            status, _, text = file.read().strip().partition(" ")
        if status == "silent":
            time.sleep(60)
            return
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("", PORT), Answers)
print("ready", flush=True)
server.serve_forever()
