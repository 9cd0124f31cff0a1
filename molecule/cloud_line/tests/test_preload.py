"""Datasets for cloud VMs: no faster than they may, after a kill, over a changed file, onto a disk that is too small."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.flows import line
from tests.flows.drive import REPOSITORY, objects, playbook, ssh
from tests.flows.interrupt import Sight, run_until

from .conftest import DATA_CENTRE, FIRST, LIMITED, SECOND, run, sized

RATE_MBIT = 12
PORT = 8088
PUBLISHED = "/srv/datasets"
ROOT = "/data/datasets"
DISK_MB = 192
FILES = {"train/0.tar": 14_000_000, "train/1.tar": 10_000_000, "labels.csv": 1_000}
SIZE = sum(FILES.values())
TOO_LARGE = {"path": "all.tar", "size": 180_000_000, "sha256": "0" * 64}
VMS = (FIRST, SECOND)


@pytest.fixture(scope="module")
def published(limited):
    """The files of version 1 on a host of the data centre; gives their manifest."""
    made = "; ".join(
        f"mkdir -p $(dirname {PUBLISHED}/1/{path}) && head -c {size} /dev/urandom > {PUBLISHED}/1/{path}"
        for path, size in FILES.items()
    )
    ssh(DATA_CENTRE, made)
    ssh(DATA_CENTRE, "cat > /run/fileserver.py", stdin=(REPOSITORY / "tests" / "lab" / "fileserver.py").read_text())
    serve = f"python3 /run/fileserver.py 0.0.0.0 {PORT} {PUBLISHED}"
    ssh(DATA_CENTRE, f"systemd-run --quiet --collect --unit=published {serve}")
    sums = ssh(DATA_CENTRE, f"cd {PUBLISHED}/1 && sha256sum {' '.join(FILES)}").split()
    yield [{"path": path, "size": FILES[path], "sha256": sha256} for sha256, path in zip(sums[::2], sums[1::2])]
    ssh(DATA_CENTRE, "systemctl stop published")


@pytest.fixture(scope="module")
def disks(limited):
    """A small data disk in each VM."""
    for vm in VMS:
        ssh(vm, f"mkdir -p /data && mount -t tmpfs -o size={DISK_MB}m data /data && mkdir {ROOT}")
    yield
    for vm in VMS:
        ssh(vm, "umount /data")


def estate_with(version, files):
    url = f"http://{line.node_address(DATA_CENTRE)}:{PORT}/{version}"
    return sized(
        2,
        LIMITED,
        dataset_preload_datasets=[{"name": "pets", "version": str(version), "url": url, "files": files}],
        dataset_preload_limit_mbit=RATE_MBIT,
        dataset_preload_mirror="",
    )


def received(vm):
    return int(ssh(vm, "cat /sys/class/net/eth0/statistics/rx_bytes"))


def begun(vm):
    """Bytes of files that are on their way."""
    return sum(map(int, ssh(vm, f"stat -c %s {ROOT}/.partial/* 2>/dev/null || true").split()))


def labels():
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in objects("nodes")}
    return {vm: nodes[vm].get("dataset.pets") for vm in VMS}


def sums(vm):
    return ssh(vm, f"cd {ROOT}/pets/1 && sha256sum {' '.join(sorted(FILES))}").split()[::2]


def during(job, look):
    """What `look` saw, again and again, until the job was done."""
    seen = []
    while not job.done():
        seen.append(look())
    return seen


def test_killed_and_resumed_it_comes_once_and_no_faster_than_it_may(published, disks):
    before = {vm: received(vm) for vm in VMS}
    seen = Sight("a third has come", lambda: begun(FIRST) > SIZE / 3)
    run_until(seen, "cloud", estate=estate_with(1, published))
    went_on = [vm for vm in VMS if end_module(vm)]
    assert labels() == {FIRST: None, SECOND: None}
    assert ssh(FIRST, f"ls {ROOT}/pets").strip() == ""
    come = {vm: begun(vm) for vm in VMS}

    with ThreadPoolExecutor(3) as pool:
        rerun = pool.submit(run, "cloud", of=estate_with(1, published))
        rates = pool.submit(during, rerun, lambda: line.rates(DATA_CENTRE, 3, way="tx"))
        waits = during(rerun, lambda: line.api_latency(FIRST, 2) if begun(FIRST) > come[FIRST] else time.sleep(0.5))
        rerun.result()
    busy = [rate for part in rates.result() for rate in part if rate > RATE_MBIT / 2]
    latencies = [latency for latency in waits if latency]
    came = {vm: (received(vm) - before[vm]) / SIZE for vm in VMS}
    told = ", ".join(f"{rate:.1f}" for rate in busy)
    print(f"\nkilled after {come} of {SIZE} bytes (went on: {went_on}); in all {came} times the bytes came")
    print(f"two VMs of {RATE_MBIT} Mbit/s each, by half seconds: {told}; meanwhile {'; '.join(map(str, latencies))}")
    assert labels() == {FIRST: "1", SECOND: "1"}
    assert all(sums(vm) == [file["sha256"] for file in sorted(published, key=lambda f: f["path"])] for vm in VMS)
    assert max(busy) < 2 * RATE_MBIT * 1.3
    assert all(latency.median < 20 for latency in latencies)
    assert all(times < 1.5 for times in came.values())


def end_module(vm):
    """Kill what still fetches on a VM, although its run has died; whether there was anything."""
    holds = f"ls -l $p/fd 2>/dev/null | grep -q {ROOT}/.lock"
    pids = ssh(vm, f"for p in /proc/[0-9]*; do {holds} && echo ${{p##*/}}; done; true").split()
    for pid in pids:
        ssh(vm, f"kill -KILL {pid}")
    return bool(pids)


def test_a_file_that_was_changed_is_fetched_again_and_alone(published, disks):
    ssh(FIRST, f"printf changed | dd of={ROOT}/pets/1/train/1.tar bs=1 seek=1000 conv=notrunc status=none")
    before = {vm: received(vm) for vm in VMS}
    done = run("cloud", of=estate_with(1, published))
    came = {vm: received(vm) - before[vm] for vm in VMS}
    print(f"\n{came} bytes came, of a file of {FILES['train/1.tar']}")
    # The run itself sends as much to one VM as to the other.
    fetched = came[FIRST] - came[SECOND]
    assert done.hosts_with("changed") == {FIRST}
    assert sums(FIRST) == sums(SECOND)
    assert FILES["train/1.tar"] < fetched < 1.1 * FILES["train/1.tar"]
    assert labels() == {FIRST: "1", SECOND: "1"}


def test_a_disk_that_is_too_small_is_refused_before_anything_is_touched(published, disks):
    before = {vm: (received(vm), ssh(vm, f"find {ROOT}/pets | sort")) for vm in VMS}
    done = playbook("cloud", estate=estate_with(2, [TOO_LARGE]))
    assert done.status != 0
    assert done.hosts_with("failed") >= set(VMS)
    assert "dataset-room" in done.output
    assert "Remedy: take a dataset out" in done.output
    for vm in VMS:
        assert ssh(vm, f"find {ROOT}/pets | sort") == before[vm][1]
        assert received(vm) - before[vm][0] < SIZE / 2
    assert labels() == {FIRST: "1", SECOND: "1"}
