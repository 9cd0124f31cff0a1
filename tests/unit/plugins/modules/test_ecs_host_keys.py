# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import threading

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba import client
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import host_keys
from ansible_collections.hybridk8s.estate.plugins.modules import ecs_host_keys

from tests.fakecloud import world
from tests.fakecloud.machines import StateOnly, cloud_init_console
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.module_utils._ecs.ecs_estate import KEY, Estate
from tests.unit.plugins.modules.cluster_fake import run

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmt0xXCyUpGBtpVXRR4uxVyPr2SQm6WmY4hTTmsCKbE"
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJ/yOTKEXAZhGmCyUyyzD4zRMFh2Lly/2M6v"
    "W4j9Z5Q5kK5mEv6nVN8hT6h3uFQ1b0f2Yw8N1cH1q1c7uJ3Vn1o="
)


class LateConsoles(StateOnly):
    """Machines that say nothing until they have been asked a few times; some never do."""

    def __init__(self):
        self.asked = {}

    def console(self, machine):
        self.asked[machine.name] = self.asked.get(machine.name, 0) + 1
        return super().console(machine) if machine.name != "mute-1" and self.asked[machine.name] > 2 else "booting"


@pytest.fixture
def machines():
    return LateConsoles()


@pytest.fixture
def estate(tmp_path, machines, monkeypatch):
    monkeypatch.setattr(client.Cloud, "pause", lambda _cloud, _seconds: client.time.sleep(0.02))
    quick = {"visible": 0.05, "pending": 0.02, "starting": 0.02, "stopping": 0.02, "eni": 0.02}
    with FakeCloud(tmp_path / "cloud", world.parse({"timings": quick}), machines) as fake:
        yield Estate(fake)


@pytest.fixture
def known(tmp_path):
    return tmp_path / "ssh" / "known_hosts"


@pytest.fixture
def call(estate, known, monkeypatch):
    def with_options(*instances, check=False, **options):
        arguments = {
            "region": "cn-shenzhen",
            "credentials": {"access_key_id": KEY["id"], "access_key_secret": KEY["secret"]},
            "endpoints": {"ecs": estate.fake.endpoint, "scheme": "http"},
            "instances": list(instances),
            "known_hosts": str(known),
            "wait": 5,
            **options,
        }
        return run(ecs_host_keys, monkeypatch, check, False, **arguments)

    return with_options


@pytest.fixture
def ids(estate):
    return [one.id for one in estate.run(2).outcome.instances]


def test_new_instances_are_known_and_forgotten(call, ids, known):
    checked = call(*ids, check=True)
    assert (checked["changed"], checked["unknown"], known.exists()) == (True, {}, False)
    first = call(*ids)
    assert (first["changed"], first["unknown"]) == (True, {})
    assert [step["target"] for step in first["steps"]] == sorted(ids)
    assert known.stat().st_mode & 0o777 == 0o600
    assert host_keys.names_in(known.read_text()) == set(ids)
    for one in ids:
        found = subprocess.run(["ssh-keygen", "-F", one, "-f", known], capture_output=True, text=True, check=True)
        assert f"{one} ssh-ed25519 AAAA" in found.stdout
    again = call(*ids)
    assert (again["changed"], again["requests"]) == (False, {})
    gone = call(*ids, state="absent")
    assert (gone["changed"], known.read_text()) == (True, "")
    assert call(*ids, state="absent")["changed"] is False


def test_what_the_file_has_besides_stays(call, ids, known):
    known.parent.mkdir()
    others = f"# mine\n@cert-authority {ids[0]} {ED25519}\n10.0.0.1 {ED25519}\n\n|1|salt|hash= {ED25519}"
    known.write_text(others)
    known.chmod(0o640)
    call(*ids)
    assert known.read_text().startswith(f"{others}\n")
    call(*ids, state="absent")
    assert (known.read_text(), known.stat().st_mode & 0o777) == (f"{others}\n", 0o640)


def test_one_that_stays_silent_does_not_keep_the_others(call, estate):
    run_of_two = estate.run
    settings = {"mute": {"count": 1}, "online": {"count": 1}}
    estate.wanted = lambda _count: estate.wants(settings)
    made = {one.name: one.id for one in run_of_two().outcome.instances}
    told = call(*made.values(), wait=1)
    assert told["unknown"] == {made["mute-1"]: "Its console has not shown host keys within 1 s."}
    assert [step["target"] for step in told["steps"]] == [made["online-1"]]


def test_runs_at_the_same_time_lose_no_key(known):
    def learn(number):
        host_keys.edit(known, lambda text: host_keys.with_keys(text, {f"i-{number}": [ED25519]}))

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert host_keys.names_in(known.read_text()) == {f"i-{number}" for number in range(20)}


@pytest.mark.parametrize(
    ("console", "expected"),
    [
        pytest.param("", (), id="nothing yet"),
        pytest.param("[    0.0] Linux\nlogin:", (), id="no cloud-init"),
        pytest.param(cloud_init_console("vm", [f"{ED25519} root@vm", f"{ECDSA} root@vm"]), (ED25519, ECDSA), id="all"),
        pytest.param(cloud_init_console("vm", [f"<14>May 1 cloud-init: {ED25519}"]), (ED25519,), id="behind a prefix"),
        pytest.param(cloud_init_console("vm", [ED25519]).partition("-----END SSH HOST KEY KEYS")[0], (), id="half"),
        pytest.param(
            cloud_init_console("vm", [ECDSA]) + cloud_init_console("vm", [ED25519]), (ED25519,), id="two boots"
        ),
        pytest.param(cloud_init_console("vm", ["ssh-ed25519 short", "ssh-foo AAAA"]), (), id="no keys"),
    ],
)
def test_keys_of_a_console(console, expected):
    assert host_keys.keys_in(console) == expected


def test_a_file_that_cannot_be_written_is_named(call, ids, known):
    known.mkdir(parents=True)
    told = call(*ids)
    assert told["failed"]
    assert f"{known} (known_hosts): Is a directory" in told["msg"]
