"""Ask the API server through this node's own endpoint every 100 ms, as the kubelet: ``python3 api_probe.py URL NODE``.

Reads the node, which the API server can only answer with a working etcd behind it. A line a request: when it began and
when it ended, in seconds, and the HTTP status (0 where no answer came).
"""

from __future__ import annotations

import http.client
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

PERIOD = 0.1
TIMEOUT = 10.0
_KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"
_CA = "/etc/kubernetes/pki/ca.crt"


def main(url: str, node: str) -> None:
    """Ask until the process is ended; a request that hangs does not hold up the next."""
    context = ssl.create_default_context(cafile=_CA)
    context.load_cert_chain(_KUBELET)
    began = time.monotonic()
    number = 0
    while True:
        threading.Thread(target=_ask, args=(url, node, context), daemon=True).start()
        number += 1
        time.sleep(max(0.0, began + number * PERIOD - time.monotonic()))


def _ask(url: str, node: str, context: ssl.SSLContext) -> None:
    place = urlsplit(url)
    began = time.time()
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=TIMEOUT, context=context)
    try:
        connection.request("GET", f"/api/v1/nodes/{node}")
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except (OSError, http.client.HTTPException):
        status = 0
    finally:
        connection.close()
    sys.stdout.write(f"{began:.3f} {time.time():.3f} {status}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
