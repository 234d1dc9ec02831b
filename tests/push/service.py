"""A push notification service: says what it is asked, one JSON object to a line.

service.py STATUS [CERTIFICATE KEY]
"""

import http.server
import json
import ssl
import sys


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        asked = {
            "path": self.path,
            "header": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(length).decode(),
            "from": self.client_address[1],
        }
        print(json.dumps(asked), flush=True)
        self.send_response(int(sys.argv[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"at {server.server_port}", flush=True)
server.serve_forever()
