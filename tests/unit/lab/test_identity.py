from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.identity import DEVICE_NAME_MAX, Identity, bridge_of, mac_of, port_of, shortened


def test_two_checkouts_share_no_name() -> None:
    one, other = Identity(Path("/a/checkout")), Identity(Path("/b/checkout"))
    assert one.id != other.id
    assert not other.owns_namespace(one.namespace)
    assert not other.owns_namespace(one.host_namespace("w1"))


def test_a_lab_owns_the_namespaces_it_makes() -> None:
    lab = Identity(Path("/a/checkout"))
    for name in (lab.namespace, lab.client_namespace, lab.vpc_namespace, lab.host_namespace("outside")):
        assert lab.owns_namespace(name)
    assert lab.client_namespace != lab.host_namespace("outside")
    assert not lab.owns_namespace(f"{lab.namespace}0")


@pytest.mark.parametrize("segment", ["spine", "rack-hall-17-row-b-east", "rack-r_1", "rack-r 1"])
def test_a_device_name_fits_the_kernel(segment: str) -> None:
    for name in (bridge_of(segment), port_of(segment, "eth0")):
        assert len(name) <= DEVICE_NAME_MAX
        assert " " not in name
        assert "_" not in name


def test_what_is_shortened_stays_distinct() -> None:
    assert shortened("worker-of-rack-one-1", 15) != shortened("worker-of-rack-one-2", 15)
    assert shortened("r_1", 15) != shortened("r-1", 15)
    assert shortened("w1", 15) == "w1"


def test_a_card_keeps_its_address_and_no_two_have_the_same() -> None:
    assert mac_of("w1", "eth0") == mac_of("w1", "eth0")
    assert len({mac_of("w1", "eth0"), mac_of("w1", "eth1"), mac_of("w2", "eth0")}) == 3
    assert int(mac_of("w1", "eth0")[:2], 16) & 0b11 == 0b10, "locally administered and not multicast"
