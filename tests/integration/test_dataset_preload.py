"""Datasets that come over a dedicated line: how fast, after kills, and onto a disk that is too small."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import dataset_preload

from tests.integration.control_plane import die_with_parent
from tests.integration.line_net import DATA_CENTRE, LineNet
from tests.integration.module_process import OURS, call, prepare, result_of

LINE_MBIT, LIMIT_MBIT = 100, 24
SIZES = {"train/0.tar": 9_000_000, "train/1.tar": 5_000_000, "labels.csv": 1_000}
KILLS, BYTES_TO_KILL = 3, 2_000_000


@pytest.fixture(scope="module", autouse=True)
def swept() -> None:
    """These tests need no API server."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("published")
    for path, size in SIZES.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_bytes(random.Random(path).randbytes(size))
    return directory


@pytest.fixture(scope="module")
def line(published: Path) -> Iterator[tuple[LineNet, str]]:
    with LineNet() as net:
        net.slow_line(LINE_MBIT)
        yield net, net.publish(published)


@pytest.fixture
def options(line: tuple[LineNet, str], published: Path, tmp_path: Path) -> dict[str, Any]:
    root = tmp_path / "datasets"
    root.mkdir()
    files = [
        {"path": path, "size": size, "sha256": hashlib.sha256((published / path).read_bytes()).hexdigest()}
        for path, size in SIZES.items()
    ]
    dataset = {"name": "pets", "version": "1", "url": line[1], "files": files}
    return {"root": str(root), "datasets": [dataset], "limit_mbit": LIMIT_MBIT, "max_used": 1.0}


def start(net: LineNet, directory: Path, options: dict[str, Any]) -> subprocess.Popen[str]:
    """The module as a process of the VM."""
    prepared = prepare(f"{OURS}dataset_preload", directory, **options)
    environment = {name: value for name, value in prepared.environment.items() if not name.lower().endswith("_proxy")}
    return subprocess.Popen(
        [*net.enter("vm"), *prepared.command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=die_with_parent,
    )


def whole(home: Path, published: Path) -> bool:
    return all((home / path).read_bytes() == (published / path).read_bytes() for path in SIZES)


def test_it_comes_no_faster_than_it_may_and_others_keep_their_latency(
    line: tuple[LineNet, str], options: dict[str, Any], published: Path, tmp_path: Path
) -> None:
    net, _url = line
    process = start(net, tmp_path, options)
    rates = [net.rate("vm", "eth0", 0.5) for _half in range(7)]
    latency = net.latency("vm", DATA_CENTRE, 1)
    done = result_of(process)
    told = ", ".join(f"{rate:.1f}" for rate in rates)
    print(f"\nlimit {LIMIT_MBIT} Mbit/s: on the wire by half seconds {told}; {done['mbit']:.1f} of bytes; {latency}")
    assert done["changed"], done
    assert LIMIT_MBIT * 0.8 <= done["mbit"] <= LIMIT_MBIT * 1.05
    assert max(rates) <= LIMIT_MBIT * 1.4
    assert latency.median < 10
    assert whole(Path(options["root"]) / "pets" / "1", published)


def test_killed_again_and_again_it_comes_once(
    line: tuple[LineNet, str], options: dict[str, Any], published: Path, tmp_path: Path
) -> None:
    net, _url = line
    home = Path(options["root"]) / "pets" / "1"
    before = net.received("vm", "eth0")
    for _kill in range(KILLS):
        process = start(net, tmp_path, options)
        came_before = net.received("vm", "eth0")
        while net.received("vm", "eth0") < came_before + BYTES_TO_KILL:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.kill()
        process.communicate()
        # A slow machine may kill after the last file: what stands at its own name is whole then.
        assert not home.exists() or whole(home, published)
    done = result_of(start(net, tmp_path, options))
    came = (net.received("vm", "eth0") - before) / sum(SIZES.values())
    print(f"\n{KILLS} kills, {came:.2f} times the bytes came over the line")
    assert done["datasets"]["pets"]["state"] == "complete", done
    # What is in the socket's buffer when the process dies comes again.
    assert came < 1.1 + 0.1 * KILLS
    assert call(dataset_preload, options)["changed"] is False


def test_it_ends_when_nobody_listens_any_more(
    line: tuple[LineNet, str], options: dict[str, Any], tmp_path: Path
) -> None:
    """As when Ansible is killed: ssh closes the module's output, and tells it nothing."""
    process = start(line[0], tmp_path, options)
    partial = Path(options["root"]) / ".partial"
    deadline = time.monotonic() + 20
    while not (partial.is_dir() and any(file.stat().st_size for file in partial.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.stdout
    process.stdout.close()
    process.wait(5)
    begun = sum(file.stat().st_size for file in partial.iterdir())
    assert 0 < begun < sum(SIZES.values())
    done = call(dataset_preload, {**options, "limit_mbit": 0}, check=True)
    assert done["datasets"]["pets"]["state"] == "incomplete"
    done = result_of(start(line[0], tmp_path, {**options, "limit_mbit": 0}))
    assert done["datasets"]["pets"]["state"] == "complete", done


def test_a_disk_that_is_too_small_is_refused_before_a_byte_comes(
    line: tuple[LineNet, str], options: dict[str, Any], tmp_path: Path
) -> None:
    net, _url = line
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", options["root"]], check=True)
    try:
        before = net.received("vm", "eth0")
        done = result_of(start(net, tmp_path, options))
        assert done["failed"]
        assert "dataset-room" in done["msg"]
        assert "Remedy: take a dataset out" in done["msg"]
        assert net.received("vm", "eth0") - before < 10_000
        assert [name for name in os.listdir(options["root"]) if name != ".lock"] == []
    finally:
        subprocess.run(["umount", options["root"]], check=True)


def test_a_version_that_a_container_has_mounted_stays(options: dict[str, Any], published: Path, tmp_path: Path) -> None:
    """A mount namespace of its own, as containers have, with the version's directory bound into it."""
    home = Path(options["root"]) / "cats" / "1"
    home.mkdir(parents=True)
    (home / "a").write_bytes(b"cats")
    (home / ".dataset.json").write_text('{"name": "cats", "version": "1", "files": {"a": {"sha256": "0"}}}')
    target = tmp_path / "volume"
    target.mkdir()
    pod = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"mount --bind {home} {target} && echo up && exec sleep infinity"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        assert pod.stdout
        assert pod.stdout.readline() == "up\n"
        full = {**options, "max_used": 0.000001}
        assert call(dataset_preload, full, check=True)["failed"]
        assert (home / "a").exists()
        empty = call(dataset_preload, {**full, "datasets": []})
        assert empty["changed"] is False
        assert "full" in str(empty["warnings"])
    finally:
        pod.kill()
        pod.wait()
    assert [step["target"] for step in call(dataset_preload, {**full, "datasets": []})["steps"]] == [str(home)]
    assert not home.exists()
