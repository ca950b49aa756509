"""Whether a server of Dagster answers, by exit code: `healthy.py code` or `healthy.py web`, on its usual port.

Dagster's own command asks the code server as well, but takes seconds of processor time to load all of Dagster.
"""

import sys
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

CODE = "localhost:4000"
WEB = "http://localhost:3000/server_info"
SECONDS = 5


def main(server: str) -> int:
    """The exit code; whatever goes wrong is told by the exception."""
    if server == "web":
        with urllib.request.urlopen(WEB, timeout=SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    with grpc.insecure_channel(CODE) as channel:
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS)
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
