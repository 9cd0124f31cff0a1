from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.virtual import is_virtual, record_of, virtual_machines, write_record


def test_machines_of_the_cloud_are_known_by_their_records(tmp_path: Path) -> None:
    (tmp_path / "cp1").mkdir()
    write_record(tmp_path / "online-1", "i-1", IPv4Address("172.20.1.1"))
    found = virtual_machines(tmp_path)
    assert [(each.name, str(each.address), each.boots) for each in found] == [("online-1", "172.20.1.1", False)]
    assert record_of(tmp_path / "online-1")["instance"] == "i-1"
    assert is_virtual(tmp_path / "online-1")
    assert not is_virtual(tmp_path / "cp1")


def test_a_lab_without_disks_has_no_machines_of_the_cloud(tmp_path: Path) -> None:
    assert virtual_machines(tmp_path / "hosts") == []
    assert record_of(tmp_path / "hosts" / "x") == {}
