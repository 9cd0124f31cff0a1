from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect

from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane, private_file
from tests.integration.module_process import call

Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One API server for all tests of a session; each test uses names of its own."""
    with ControlPlane(tmp_path_factory.mktemp("plane"), audit=True) as running:
        yield running


@pytest.fixture(scope="module")
def kwok_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A whole cluster of a test file's own: controllers, scheduler, kwok for the kubelets, an audit log."""
    directory = tmp_path_factory.mktemp("kwok-plane")
    with ControlPlane(directory, WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def swept(plane: ControlPlane) -> Iterator[None]:
    """After each file its nodes, pods and budgets go; names are unique within a file only."""
    yield
    opened = connect(plane.kubeconfig)
    at_once = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    default = "namespaces/default"
    for path in (f"/apis/policy/v1/{default}/poddisruptionbudgets", f"/api/v1/{default}/pods", "/api/v1/nodes"):
        opened.request("DELETE", path, body=at_once)


@pytest.fixture
def cluster(plane: ControlPlane) -> Iterator[Cluster]:
    opened = connect(plane.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture
def kubeconfig_file(plane: ControlPlane, tmp_path: Path) -> Path:
    return private_file(tmp_path / "admin.conf", plane.kubeconfig)


@pytest.fixture
def run_module(plane: ControlPlane) -> Call:
    """Run a module in this process, with the test cluster's kubeconfig unless another is given; gives its result."""

    def run(module: Any, check: bool = False, diff: bool = False, **params: Any) -> dict[str, Any]:
        arguments = {"kubeconfig": plane.kubeconfig, **params}
        return call(module, {key: value for key, value in arguments.items() if value is not None}, check, diff)

    return run
