from __future__ import annotations

import struct

import pytest

from tests.lab.nameserver import answer

NAMES = {"w1": "10.20.1.21", "w1.example": "10.20.1.22"}
A, AAAA, MX = 1, 28, 15


def query(name: str, kind: int = A, flags: int = 0x0100, questions: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0x1234, flags, questions, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def parts(response: bytes | None) -> tuple[int, int, int]:
    """Identifier, response code and number of answers."""
    assert response is not None
    identifier, flags, _unused, answers, _unused, _unused = struct.unpack_from("!6H", response)
    assert flags & 0x8000, "it is a response"
    return identifier, flags & 0xF, answers


@pytest.mark.parametrize(
    ("name", "address"), [("w1", "10.20.1.21"), ("W1", "10.20.1.21"), ("w1.example", "10.20.1.22")]
)
def test_a_known_name_has_its_address(name: str, address: str) -> None:
    response = answer(query(name), NAMES)
    assert parts(response) == (0x1234, 0, 1)
    assert response is not None
    assert ".".join(str(byte) for byte in response[-4:]) == address


@pytest.mark.parametrize("kind", [AAAA, MX])
def test_a_known_name_has_no_other_records(kind: int) -> None:
    assert parts(answer(query("w1", kind), NAMES)) == (0x1234, 0, 0)


def test_every_other_name_does_not_exist() -> None:
    assert parts(answer(query("registry.k8s.io"), NAMES)) == (0x1234, 3, 0)


@pytest.mark.parametrize("broken", [query("w1")[:15], query("w1", questions=2)])
def test_a_malformed_query_is_called_one(broken: bytes) -> None:
    assert parts(answer(broken, NAMES))[1] == 1


def test_what_is_no_query_gets_no_answer() -> None:
    assert answer(b"short", NAMES) is None
    assert answer(query("w1", flags=0x8180), NAMES) is None


def test_other_operations_are_not_implemented() -> None:
    assert parts(answer(query("w1", flags=0x2800), NAMES))[1] == 4
