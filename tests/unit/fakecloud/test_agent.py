from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakecloud import agent
from tests.fakecloud.certificates import self_signed
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import Account, a_world
from tests.unit.fakecloud.test_clusters import create, state


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCloud]:
    both = self_signed(tmp_path)
    with FakeCloud(tmp_path / "cloud", a_world(), agents=(("127.0.0.1", 0), both)) as running:
        yield running


@pytest.fixture
def trust(tmp_path: Path, fake: FakeCloud) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))


def address(fake: FakeCloud) -> str:
    return fake.cloud.world.agent_address.replace("127.0.0.1", "localhost")


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_cluster_runs_while_an_agent_is_connected(account: Account, fake: FakeCloud, trust: ssl.SSLContext) -> None:
    cluster = create(account)
    assert state(account, cluster) == "waiting"
    token = fake.cloud.clusters[cluster].agent_token
    with agent.connect(address(fake), cluster, token, trust) as connection:
        connection.sendall(b"heartbeat\n")
        assert connection.recv(64) == b"ack\n"
        assert state(account, cluster) == "running"
        with agent.connect(address(fake), cluster, token, trust):
            pass
        time.sleep(0.2)
        assert state(account, cluster) == "running"
    assert soon(lambda: state(account, cluster) == "waiting")


@pytest.mark.parametrize("token", ["", "wrong"])
def test_an_agent_without_the_token_is_refused(
    account: Account, fake: FakeCloud, trust: ssl.SSLContext, token: str
) -> None:
    cluster = create(account)
    with pytest.raises(ConnectionRefusedError):
        agent.connect(address(fake), cluster, token, trust)
    assert state(account, cluster) == "waiting"


def test_the_certificate_is_verified(account: Account, fake: FakeCloud) -> None:
    cluster = create(account)
    with pytest.raises(ssl.SSLCertVerificationError):
        agent.connect(address(fake), cluster, "token", ssl.create_default_context())


def test_the_stand_in_keeps_the_connection(account: Account, fake: FakeCloud, tmp_path: Path) -> None:
    cluster = create(account)
    stand_in = subprocess.Popen(
        [sys.executable, agent.__file__, address(fake), cluster],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "certificate.pem")},
    )
    try:
        assert stand_in.stdin is not None
        print(fake.cloud.clusters[cluster].agent_token, file=stand_in.stdin, flush=True)
        assert soon(lambda: state(account, cluster) == "running")
    finally:
        stand_in.kill()
        stand_in.wait()
    assert soon(lambda: state(account, cluster) == "waiting")
