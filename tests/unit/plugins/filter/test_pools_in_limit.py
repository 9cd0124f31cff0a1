from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.filter.pools_in_limit import pools_in_limit

POOLS = {"online": {}, "night-batch": {}}
GROUPS = {
    "all": ["cp1", "w1", "online-1"],
    "kubernetes": ["cp1", "w1", "online-1"],
    "control_plane": ["cp1"],
    "workers": ["w1", "online-1"],
    "cloud_vms": ["online-1"],
    "pool_online": ["online-1"],
}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("all", ["online", "night-batch"]),
        ("all:localhost", ["online", "night-batch"]),
        ("all:!w1", ["online", "night-batch"]),
        ("!w1", ["online", "night-batch"]),
        ("workers", ["online", "night-batch"]),
        ("cloud_vms", ["online", "night-batch"]),
        ("kubernetes:!cloud_vms", []),
        ("pool_online", ["online"]),
        ("pool_night_batch", ["night-batch"]),
        ("all,&pool_online", ["online"]),
        ("night-*", ["night-batch"]),
        ("control_plane,w1", []),
        ("online-1", []),
    ],
)
def test_who_is_made_under_a_limit(limit, expected):
    assert pools_in_limit(POOLS, GROUPS, limit) == expected


def test_no_vm_yet_and_a_file_of_hosts(tmp_path):
    groups = {"all": ["cp1"], "kubernetes": ["cp1"]}
    assert pools_in_limit(POOLS, groups, "cloud_vms") == ["online", "night-batch"]
    retry = tmp_path / "site.retry"
    retry.write_text("cp1\n")
    assert pools_in_limit(POOLS, groups, f"@{retry}") == []
    assert pools_in_limit({}, groups, "all") == []
