from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.disk import Credentials, Disk, File, files_of
from tests.lab.inventory import parse
from tests.lab.topology import topology_of
from tests.unit.lab.lab_inventories import two_racks

CREDENTIALS = Credentials("ssh-ed25519 LAB lab", "PRIVATE\n", "ssh-ed25519 HOST w1")


def files(name: str) -> dict[str, File]:
    topology = topology_of(parse(two_racks()))
    return {file.path: file for file in files_of(topology.machine(name), topology, CREDENTIALS, "abc")}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nfrr:x:101:104::/nonexistent:/bin/false\n")
    (image / "var").mkdir(mode=0o711)
    return image


def test_a_machine_knows_its_name_its_resolver_and_who_may_log_in() -> None:
    written = files("w1")
    assert written["/etc/hostname"].text == "w1\n"
    assert "10.20.2.21 w1\n" in written["/etc/hosts"].text
    assert written["/etc/resolv.conf"].text.startswith("nameserver 10.98.0.1\n")
    assert written["/root/.ssh/authorized_keys"].text == "ssh-ed25519 LAB lab\n"
    assert written["/etc/ssh/ssh_host_ed25519_key"].mode == 0o600


def test_only_switches_have_a_fabric_and_no_two_machines_have_the_same_id() -> None:
    assert "/etc/frr/frr.conf" not in files("w1")
    assert files("tor1")["/etc/frr/frr.conf"].owner == "frr"
    assert files("w1")["/etc/machine-id"].text != files("w2")["/etc/machine-id"].text


def test_a_disk_is_made_once_for_the_same_things(tmp_path: Path, image: Path) -> None:
    disk = Disk(tmp_path / "w1", image, ("/var/lib/etcd",))
    assert not disk.install([File("/etc/hostname", "w1\n")])
    (disk.upper / "etc" / "ours").write_text("kept")
    assert not disk.install([File("/etc/hostname", "w1\n")])
    assert (disk.upper / "etc" / "ours").read_text() == "kept"
    assert disk.bindings() == [(tmp_path / "w1" / "data" / "etcd", "/var/lib/etcd")]
    assert disk.bindings()[0][0].is_dir()


def test_a_disk_of_other_things_gives_way(tmp_path: Path, image: Path) -> None:
    disk = Disk(tmp_path / "w1", image, ())
    disk.install([File("/etc/hostname", "w1\n")])
    (disk.upper / "etc" / "ours").write_text("old")
    assert disk.install([File("/etc/hostname", "w2\n")])
    assert not (disk.upper / "etc" / "ours").exists()


def test_an_interrupted_installation_starts_again(tmp_path: Path, image: Path) -> None:
    disk = Disk(tmp_path / "w1", image, ())
    (disk.upper / "etc").mkdir(parents=True)
    (disk.upper / "etc" / "half").write_text("written")
    assert not disk.install([File("/etc/hostname", "w1\n")])
    assert not (disk.upper / "etc" / "half").exists()


def test_directories_look_as_they_do_in_the_image(tmp_path: Path, image: Path) -> None:
    disk = Disk(tmp_path / "w1", image, ())
    disk.install([File("/var/a", "x"), File("/root/.ssh/authorized_keys", "k", 0o600), File("/l", link="/dev/null")])
    assert (disk.upper / "var").stat().st_mode & 0o777 == 0o711
    assert (disk.upper / "root" / ".ssh").stat().st_mode & 0o777 == 0o700
    assert (disk.upper / "root" / ".ssh" / "authorized_keys").stat().st_mode & 0o777 == 0o600
    assert (disk.upper / "l").is_symlink()


def test_an_owner_that_the_image_lacks_is_an_error(tmp_path: Path, image: Path) -> None:
    with pytest.raises(KeyError, match="nobody-here is not in"):
        Disk(tmp_path / "w1", image, ()).install([File("/x", "x", owner="nobody-here")])
