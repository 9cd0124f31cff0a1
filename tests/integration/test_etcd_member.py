"""The module etcd_member on a real etcd of three members with TLS."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.modules import etcd_member

from tests.integration.etcd_cluster import EtcdCluster


@pytest.fixture
def cluster(tmp_path):
    with EtcdCluster(tmp_path, "cp1", "cp2", "cp3") as running:
        yield running


@pytest.fixture
def remove(cluster, monkeypatch, capsys):
    """Run the module on one of the control planes."""

    def call(on, *names, left=False, check=False, timeout=15):
        monkeypatch.setattr(etcd_member, "Host", lambda: cluster.host(on))
        arguments = {"names": list(names), "addresses": cluster.addresses, "left": list(names) if left else []}
        arguments |= {"timeout": timeout, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            etcd_member.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_dead_members_go_one_after_the_other_while_a_quorum_serves(cluster, remove):
    alive = remove("cp2", "cp1")
    assert alive["failed"] is True
    assert f"still answers at {cluster.url('cp1')}" in alive["msg"]
    assert cluster.listed("cp2") == {"cp1", "cp2", "cp3"}

    cluster.kill("cp1")
    planned = remove("cp2", "cp1", check=True)
    assert cluster.listed("cp2") == {"cp1", "cp2", "cp3"}
    done = remove("cp2", "cp1")
    assert (done["steps"], done["quorum"]) == (planned["steps"], planned["quorum"])
    assert done["quorum"]["after"] == {"voters": 2, "serving": 2, "needed": 2}
    assert cluster.listed("cp3") == {"cp2", "cp3"}

    again = remove("cp3", "cp1")
    assert (again["changed"], again["nodes"]["cp1"]["state"]) == (False, "absent")

    cluster.kill("cp3")
    lost = remove("cp2", "cp3", timeout=1)
    assert lost["failed"] is True
    assert "has no quorum" in lost["msg"]


def test_one_that_lives_goes_when_told_and_ends(cluster, remove):
    done = remove("cp2", "cp1", left=True)
    assert done["nodes"]["cp1"]["state"] == "removed"
    assert not cluster.serves("cp1")

    cluster.kill("cp3")
    refused = remove("cp2", "cp2", left=True, timeout=1)
    assert refused["failed"] is True


def test_with_one_of_three_dead_no_living_one_may_go(cluster, remove):
    cluster.kill("cp1")
    refused = remove("cp2", "cp3", left=True)
    assert "without it etcd would have no quorum: 1 of 2" in refused["msg"]
    assert cluster.listed("cp2") == {"cp1", "cp2", "cp3"}

    both = remove("cp2", "cp1", "cp3", left=True)
    assert [both["nodes"][name]["state"] for name in ("cp1", "cp3")] == ["removed", "removed"]
    assert cluster.listed("cp2") == {"cp2"}
    last = remove("cp2", "cp2", left=True)
    assert "only voting member" in last["msg"]
