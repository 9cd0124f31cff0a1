"""Simulated BGP speakers, for a switch that is real: ``python -m tests.bench.speakers SWITCH < SPEAKERS``.

SPEAKERS is JSON: the address and AS number of each speaker, and the prefixes with their next hops that all of them
announce. Each dials the switch from its own address, announces, and keeps the session for as long as the process lives.
No routing is done, and nothing that the switch announces is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
from ipaddress import IPv4Address, IPv4Network
from typing import Any

PORT = 179
HOLD_SECONDS = 90
KEEPALIVE_SECONDS = 10
RETRY_SECONDS = 1.0
OPEN, UPDATE, KEEPALIVE = 1, 2, 4
AS_TRANS = 23456
IPV4_UNICAST, FOUR_OCTET_AS = b"\x01\x04\x00\x01\x00\x01", 65


def message(kind: int, body: bytes = b"") -> bytes:
    """A message of RFC 4271."""
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def opening(number: int, address: str) -> bytes:
    """OPEN, with IPv4 unicast and AS numbers of four octets (RFC 6793)."""
    wide = struct.pack("!BBI", FOUR_OCTET_AS, 4, number)
    parameter = IPV4_UNICAST + wide
    short = number if number < 1 << 16 else AS_TRANS
    head = struct.pack("!BHH4s", 4, short, HOLD_SECONDS, IPv4Address(address).packed)
    return message(OPEN, head + struct.pack("!BBB", len(parameter) + 2, 2, len(parameter)) + parameter)


def announcement(number: int, prefix: str, next_hop: str) -> bytes:
    """UPDATE of one prefix, which this AS originates."""
    network = IPv4Network(prefix)
    attributes = b"\x40\x01\x01\x00"
    attributes += b"\x40\x02\x06" + struct.pack("!BBI", 2, 1, number)
    attributes += b"\x40\x03\x04" + IPv4Address(next_hop).packed
    length = -(-network.prefixlen // 8)
    reach = bytes([network.prefixlen]) + network.network_address.packed[:length]
    return message(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + reach)


async def speak(switch: str, address: str, number: int, routes: list[list[str]]) -> None:
    """One speaker; it dials again whenever the session ends."""
    announced = b"".join(announcement(number, prefix, next_hop) for prefix, next_hop in routes)
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(switch, PORT, local_addr=(address, 0))
            writer.write(opening(number, address) + message(KEEPALIVE))
            await reader.readexactly(19)
            writer.write(announced)
            beats = asyncio.create_task(_beat(writer))
            try:
                while await reader.read(65536):
                    pass
            finally:
                beats.cancel()
                writer.close()
        await asyncio.sleep(RETRY_SECONDS)


async def _beat(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(KEEPALIVE_SECONDS)
        writer.write(message(KEEPALIVE))
        await writer.drain()


async def main(switch: str, wanted: dict[str, Any]) -> None:
    await asyncio.gather(*(speak(switch, address, number, wanted["routes"]) for address, number in wanted["speakers"]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.load(sys.stdin)))
