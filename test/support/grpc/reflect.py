# Learns a server's services by gRPC reflection, as any client on gRPC's C core can, and tells over HTTP what it
# learned. The types are built by Python's own protobuf, which refuses files that do not fit together.
#   reflect.py PORT HOST:PORT
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

port, server = int(sys.argv[1]), sys.argv[2]


def learn():
    with grpc.insecure_channel(server) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        services = {}
        for name in database.get_services():
            methods = pool.FindServiceByName(name).methods
            services[name] = {m.name: [m.input_type.full_name, m.output_type.full_name] for m in methods}

        def message(name):
            return GetMessageClass(pool.FindMessageTypeByName(name))

        # A call with nothing but what was learned.
        ask, answer = (message(f"envoy.service.status.v3.ClientStatus{what}") for what in ("Request", "Response"))
        fetch = channel.unary_unary(
            "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
            request_serializer=ask.SerializeToString,
            response_deserializer=answer.FromString,
        )
        status = json_format.MessageToDict(fetch(ask(), timeout=10), descriptor_pool=pool)
        # And a type that travels inside an Any.
        cluster = message("envoy.config.cluster.v3.Cluster")(name="orders", type="EDS")
        cluster.connect_timeout.seconds = 5
        return {"services": services, "status": status, "cluster": json_format.MessageToDict(cluster)}


class State(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"answers": learn()}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), State).serve_forever()
