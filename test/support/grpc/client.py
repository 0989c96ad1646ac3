# A proxyless gRPC caller on gRPC's C core: dials xds:///NAME by the bootstrap beside this file, never stops
# calling, and tells over HTTP who answered how often and what failed.
#   client.py PORT TARGET CALLS_PER_SECOND [USERS]
# With USERS the calls carry x-user u0, u1, ... in turn, and an answer counts as USER/NAME.
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ["GRPC_XDS_BOOTSTRAP"] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.json")
import grpc  # noqa: E402  reads the variable

port, target, rate = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
users = int(sys.argv[4]) if len(sys.argv) > 4 else 0
answers, failures = {}, []


def call_for_ever():
    with grpc.insecure_channel(target) as channel:
        who = channel.unary_unary("/isthmus.test.Who/Ask")
        turn = 0
        while True:
            user = f"u{turn % users}" if users else None
            turn += 1
            begin = time.monotonic()
            try:
                name = who(b"", timeout=10, metadata=[("x-user", user)] if user else None).decode()
                name = f"{user}/{name}" if user else name
                answers[name] = answers.get(name, 0) + 1
            except grpc.RpcError as error:
                failures.append(f"{time.time():.3f} {error.code().name}: {error.details()}")
                time.sleep(0.05)
            time.sleep(max(0, 1 / rate - (time.monotonic() - begin)))


class State(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"answers": dict(answers), "failures": list(failures)}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


threading.Thread(target=call_for_ever, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", port), State).serve_forever()
