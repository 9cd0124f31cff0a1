"""The client against a real API server: who may, whom to trust, what to do when it fails."""

from __future__ import annotations

import base64
import glob
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeconfig
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError, Patience, connect
from ansible_collections.hybridk8s.estate.plugins.modules import node_info

from tests.integration.control_plane import Authority, free_port
from tests.integration.faults import RotatedToken
from tests.integration.faulty_proxy import Fault, FaultyProxy

NODES = "/api/v1/nodes"


def make(cluster, name):
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})


def test_dict_and_path_work_alike_and_leave_no_file(plane, run_module, kubeconfig_file, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    by_path = connect(str(kubeconfig_file))
    by_dict = connect(plane.kubeconfig)
    left = [path for path in glob.glob(f"{tmp_path}/**", recursive=True) if "hybridk8s" in path]
    assert left == [], "keys must not stay on disk once the connection is configured"
    assert by_path.get("/version")["major"] == by_dict.get("/version")["major"]


def test_files_with_keys_are_private_while_they_exist(plane, monkeypatch, tmp_path):
    seen = []
    original = _kubeconfig.tls_context

    def spy(files):
        for file in (files.authority, files.certificate, files.key):
            seen.append((Path(file).stat().st_mode & 0o777, Path(file).parent.stat().st_mode & 0o777))
        return original(files)

    monkeypatch.setattr(_kubeconfig, "tls_context", spy)
    connect(plane.kubeconfig)
    connect({**plane.kubeconfig, "users": [with_token_too(user) for user in plane.kubeconfig["users"]]})
    assert seen == [(0o600, 0o700)] * 6


def with_token_too(user):
    """A user that only the kubernetes package reads."""
    return {**user, "user": {**user["user"], "token": "t"}}


def test_kubeadms_kubeconfig_is_read_without_the_library_and_any_other_with_it(plane, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes.client.configuration", None)
    assert connect(plane.kubeconfig).get("/version")["major"]
    with pytest.raises(KubeError, match="pip install kubernetes"):
        connect({**plane.kubeconfig, "users": [with_token_too(user) for user in plane.kubeconfig["users"]]})


def test_a_token_that_expires_is_read_again_from_the_file(plane, cluster, tmp_path, run_module):
    make(cluster, "rotated")
    path = tmp_path / "config"
    with FaultyProxy(plane, tmp_path) as proxy:
        proxy.rule = RotatedToken(proxy.kubeconfig, path, after=1)
        opened = connect(str(path))
        answers = [opened.get(f"{NODES}/rotated") for _time in range(3)]
        assert [status for _method, _path, status in proxy.log] == [200, 401, 200, 200]
        assert all(answers)
        by_content = connect(json.loads(path.read_text().replace("token-2", "token-1")))
        with pytest.raises(KubeError, match="credentials are not accepted"):
            by_content.get(f"{NODES}/rotated")


def test_a_certificate_that_was_replaced_is_read_again_from_the_file(plane, tmp_path):
    path = tmp_path / "config"
    path.write_text(json.dumps(plane.kubeconfig_for("admin", ("system:masters",), issuer=Authority("expired"))))
    opened = connect(str(path))
    with pytest.raises(KubeError, match="credentials are not accepted"):
        opened.get("/version")
    path.write_text(json.dumps(plane.kubeconfig))
    assert opened.get("/version")["major"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("issuer", "The credentials are not accepted"),
        ("authority", "certificate is not valid for this kubeconfig"),
        ("user", "cannot list resource"),
        ("insecure", "insecure-skip-tls-verify"),
        ("no context", "cannot be used"),
        ("broken key", "cannot be used"),
        ("missing file", "there is no kubeconfig at /nowhere/admin.conf"),
        ("empty file", "cannot be"),
        ("not yaml", "cannot be used"),
    ],
)
def test_a_kubeconfig_that_is_wrong_is_named(plane, run_module, tmp_path, change, expected):
    config = plane.kubeconfig_for("admin", ("system:masters",))
    if change == "issuer":
        config = plane.kubeconfig_for("admin", ("system:masters",), issuer=Authority("other"))
    elif change == "authority":
        config = plane.kubeconfig_for("admin", ("system:masters",), authority=Authority("other"))
    elif change == "user":
        config = plane.kubeconfig_for("nobody")
    elif change == "insecure":
        config["clusters"][0]["cluster"] = {"server": plane.server, "insecure-skip-tls-verify": True}
    elif change == "no context":
        config["current-context"] = "other"
    elif change == "broken key":
        config["users"][0]["user"]["client-key-data"] = base64.b64encode(b"nonsense").decode()
    elif change == "missing file":
        config = "/nowhere/admin.conf"
    else:
        file = tmp_path / "config"
        file.write_text("" if change == "empty file" else "a: [")
        config = str(file)
    started = time.monotonic()
    result = run_module(node_info, kubeconfig=config)
    assert result["failed"] is True
    assert expected in result["msg"]
    assert "Traceback" not in json.dumps(result)
    assert time.monotonic() - started < Patience().total / 2, "what no retry can heal is not tried again"


def test_without_kubeconfig_check_mode_sees_an_empty_cluster_and_a_run_fails(run_module):
    checked = run_module(node_info, kubeconfig=None, check=True, names=["w1"])
    assert checked["missing"] == ["w1"]
    assert checked["requests"] == 0
    real = run_module(node_info, kubeconfig=None, names=["w1"])
    assert real["failed"] is True
    assert "kubeconfig is not set" in real["msg"]


def test_secrets_are_hidden_and_ordinary_words_are_not(plane, cluster, run_module, monkeypatch):
    make(cluster, "hidden-1")
    key = plane.kubeconfig["users"][0]["user"]["client-key-data"]
    cluster.merge(f"{NODES}/hidden-1", {"metadata": {"annotations": {"leak": key, "word": "v1 Config test admin"}}})
    shown = run_module(node_info, names=["hidden-1"])["nodes"][0]["annotations"]
    assert key not in shown["leak"]
    assert shown["word"] == "v1 Config test admin"


def test_first_living_server_is_used_and_verified_under_the_kubeconfigs_name(plane, tmp_path):
    dead = f"https://127.0.0.1:{free_port()}"
    config = plane.kubeconfig_for("admin", ("system:masters",), server="https://api.test.internal:6443")
    cluster = connect(config, [dead, plane.server], Patience(total=20))
    assert cluster.get("/version")
    wrong = plane.kubeconfig_for("admin", ("system:masters",), server="https://other.name:6443")
    cluster = connect(wrong, [dead, plane.server], Patience(total=20))
    with pytest.raises(KubeError, match="certificate is not valid"):
        cluster.get("/version")


def test_all_servers_down_names_each(plane):
    dead = [f"https://127.0.0.1:{free_port()}" for _server in range(2)]
    with pytest.raises(KubeError) as caught:
        connect(plane.kubeconfig, dead, Patience(total=1)).get("/version")
    assert all(server in str(caught.value) for server in dead)
    alone = connect(plane.kubeconfig_for("admin", server=dead[0]), patience=Patience(total=1))
    with pytest.raises(KubeError, match="no answer within 1 s"):
        alone.get("/version")


def test_plain_http_in_api_servers_is_refused(plane):
    with pytest.raises(KubeError, match="https:// URL"):
        connect(plane.kubeconfig, ["http://127.0.0.1:8080"])


def test_a_server_that_fails_midway_is_left_for_the_next(plane, tmp_path):
    cut = threading.Event()
    (tmp_path / "a").mkdir()
    with FaultyProxy(plane, tmp_path / "a", lambda _request: Fault() if cut.is_set() else None) as first:
        cluster = connect(plane.kubeconfig, [first.server, plane.server], Patience(total=20))
        assert cluster.get("/version")
        assert [path for _method, path, _status in first.log] == ["/readyz", "/version"]
        cut.set()
        assert cluster.get("/version")
        tried = len(first.log)
        assert cluster.get("/version")
        assert len(first.log) == tried, "a server that failed is not asked again while another one answers"


def test_retry_after_is_honoured_and_5xx_and_cuts_are_tried_again(plane, tmp_path):
    faults = {1: Fault(429, {"Retry-After": "1"}), 2: Fault(500), 3: Fault(503), 4: Fault()}
    with FaultyProxy(plane, tmp_path, lambda request: faults.get(request.number)) as proxy:
        cluster = connect(proxy.kubeconfig, patience=Patience(total=30, first=0.01))
        started = time.monotonic()
        assert cluster.get("/version")
        assert time.monotonic() - started >= 1.0
        assert [status for _method, _path, status in proxy.log] == [429, 500, 503, 0, 200]
        assert cluster.requests == 5


def test_patience_ends(plane, tmp_path):
    with FaultyProxy(plane, tmp_path, lambda _request: Fault(503, message="etcd is away")) as proxy:
        cluster = connect(proxy.kubeconfig, patience=Patience(total=1, first=0.1))
        with pytest.raises(KubeError, match="etcd is away") as caught:
            cluster.get(f"{NODES}/w1")
        assert caught.value.status == 503
        assert len(proxy.log) > 2


def test_paging_reads_all_and_starts_again_when_the_snapshot_is_gone(plane, cluster, tmp_path):
    for number in range(7):
        make(cluster, f"page-{number}")
    expired = []

    def rule(request):
        if "continue=" in request.path and not expired:
            expired.append(request.path)
            return Fault(410, message="The provided continue parameter is too old")
        return None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        names = connect(proxy.kubeconfig).list(NODES, page=3, keep=lambda node: node["metadata"]["name"])
    assert expired
    assert sorted(names) == sorted(set(names)), "nothing is listed twice after the restart"
    assert {f"page-{number}" for number in range(7)} <= set(names)
