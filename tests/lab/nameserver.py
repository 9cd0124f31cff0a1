"""Answer DNS queries at once: addresses of the names it was given, and "no such name" for every other.

A silent name server costs every look-up five seconds. A program by itself: `python nameserver.py ADDRESS PORT FILE`,
the file a JSON object of names and IPv4 addresses.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

HEADER = struct.Struct("!6H")
TYPE_A, TYPE_ANY, CLASS_IN = 1, 255, 1
RESPONSE, AUTHORITATIVE, RECURSION_DESIRED, RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
OPCODE = 0x7800
NO_SUCH_NAME, NOT_IMPLEMENTED, FORMAT_ERROR = 3, 4, 1
TTL_SECONDS = 30
NAME_OF_QUESTION = b"\xc0\x0c"


def answer(query: bytes, names: Mapping[str, str]) -> bytes | None:
    """The response to one query; None for what is no query."""
    if len(query) < HEADER.size:
        return None
    identifier, flags, questions, *_unused = HEADER.unpack_from(query)
    if flags & RESPONSE:
        return None
    base = RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | (flags & (RECURSION_DESIRED | OPCODE))
    if flags & OPCODE:
        return HEADER.pack(identifier, base | NOT_IMPLEMENTED, 0, 0, 0, 0)
    try:
        name, end = _name(query)
        kind, _unused = struct.unpack_from("!2H", query, end)
    except (IndexError, struct.error, UnicodeDecodeError):
        return HEADER.pack(identifier, base | FORMAT_ERROR, 0, 0, 0, 0)
    if questions != 1:
        return HEADER.pack(identifier, base | FORMAT_ERROR, 0, 0, 0, 0)
    question = query[HEADER.size : end + 4]
    address = names.get(name)
    if address is None:
        return HEADER.pack(identifier, base | NO_SUCH_NAME, 1, 0, 0, 0) + question
    if kind not in (TYPE_A, TYPE_ANY):
        return HEADER.pack(identifier, base, 1, 0, 0, 0) + question
    record = NAME_OF_QUESTION + struct.pack("!2HIH", TYPE_A, CLASS_IN, TTL_SECONDS, 4) + IPv4Address(address).packed
    return HEADER.pack(identifier, base, 1, 1, 0, 0) + question + record


def _name(query: bytes) -> tuple[str, int]:
    """The name in the question, in lower case, and where it ends."""
    labels, position = [], HEADER.size
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode("ascii").lower())
        position += 1 + length
    return ".".join(labels), position + 1


def serve(address: str, port: int, names: Mapping[str, str]) -> None:
    known = {name.lower(): value for name, value in names.items()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        while True:
            query, client = server.recvfrom(4096)
            response = answer(query, known)
            if response is not None:
                # A client that is gone, with its network perhaps, is no reason to stop answering the others.
                with contextlib.suppress(OSError):
                    server.sendto(response, client)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text()))
