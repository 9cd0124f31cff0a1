"""The routers between here and an address: ``python3 hops.py ADDRESS`` prints one address a line, the last one its own.

UDP datagrams with a growing time to live; the kernel's error queue says who refused them, so no raw socket is needed.
"""

from __future__ import annotations

import select
import socket
import sys

_IP_RECVERR = 11
_FAR_PORT = 33434
_OFFENDER = slice(20, 24)  # after struct sock_extended_err (16 bytes): family, port, then the IPv4 address


def main(address: str, limit: int = 10) -> None:
    """Print the path. All datagrams leave from one port: so routers with several paths choose the same one for each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        for ttl in range(1, limit + 1):
            router = _hop(sender, address, ttl)
            print(router, flush=True)
            if router == address:
                return


def _hop(sender: socket.socket, address: str, ttl: int) -> str:
    """Who answers a datagram that may pass ``ttl`` routers; ``*`` for nobody within a second."""
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    sender.sendto(b"hop", (address, _FAR_PORT))
    poll = select.poll()
    poll.register(sender, select.POLLERR)
    if not poll.poll(1000):
        return "*"
    error = sender.recvmsg(0, 512, socket.MSG_ERRQUEUE)[1][0][2]
    return socket.inet_ntoa(error[_OFFENDER])


if __name__ == "__main__":
    main(sys.argv[1])
