# SPDX-License-Identifier: Apache-2.0
"""An HTTP server of the tests on 127.0.0.1 that answers JSON, as a function of the test's decides.

json_server.py PORT FILE [CERTIFICATE]

FILE is Python: its answer(path) gives what is answered to a GET or a POST. With a certificate, and its key in the same file, it
speaks TLS. Prints "ready".
"""
import http.server
import json
import runpy
import ssl
import sys

PORT, FILE = int(sys.argv[1]), sys.argv[2]
answer = runpy.run_path(FILE)["answer"]


class Answers(http.server.BaseHTTPRequestHandler):
    def reply(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(answer(self.path)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = reply

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", PORT), Answers)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
