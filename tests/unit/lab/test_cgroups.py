from __future__ import annotations

from pathlib import Path

from tests.lab import cgroups

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/bin/x,name=systemd
35 31 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
36 99 0:30 / /somewhere/else rw,relatime - cgroup cgroup rw,memory
"""
MEMBERSHIP = """\
4:memory:/session/a
3:cpu,cpuacct:/
2:name=systemd:/user/slice
0::/user/unified
"""


def test_each_hierarchy_is_found_once_with_the_group_we_are_in() -> None:
    own = {str(cgroups.own_group(hierarchy, MEMBERSHIP)) for hierarchy in cgroups.hierarchies(HYBRID)}
    assert own == {
        "/sys/fs/cgroup/cpu,cpuacct",
        "/sys/fs/cgroup/memory/session/a",
        "/sys/fs/cgroup/systemd/user/slice",
        "/sys/fs/cgroup/unified/user/unified",
    }


def test_on_cgroup_2_alone_there_is_one() -> None:
    mountinfo = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    (only,) = cgroups.hierarchies(mountinfo)
    assert cgroups.own_group(only, "0::/user.slice/session-1.scope\n") == Path(
        "/sys/fs/cgroup/user.slice/session-1.scope"
    )


def test_a_mount_of_a_part_shows_paths_from_there() -> None:
    (only,) = cgroups.hierarchies("33 31 0:30 /outer /cg/memory rw - cgroup cgroup rw,memory\n")
    assert cgroups.own_group(only, "4:memory:/outer/inner\n") == Path("/cg/memory/inner")


def test_a_new_cpuset_gets_what_its_parent_has(tmp_path: Path) -> None:
    base = tmp_path / "cpuset" / "lab"
    (base / "w1").mkdir(parents=True)
    for directory, processors in ((tmp_path / "cpuset", "0-1\n"), (base, "\n"), (base / "w1", "\n")):
        (directory / "cpuset.cpus").write_text(processors)
    assert cgroups.make([base], "w1") == [base / "w1"]
    assert (base / "w1" / "cpuset.cpus").read_text() == "0-1\n"


def test_memory_leaves_out_what_could_be_dropped(tmp_path: Path) -> None:
    group = tmp_path / "w1"
    group.mkdir()
    assert cgroups.memory([tmp_path], "w1") is None
    (group / "memory.usage_in_bytes").write_text("1000\n")
    (group / "memory.stat").write_text("cache 500\ntotal_inactive_file 300\n")
    assert cgroups.memory([tmp_path], "w1") == 700


def test_processes_are_those_of_all_groups_below(tmp_path: Path) -> None:
    pod = tmp_path / "w1" / "kubepods" / "pod1"
    pod.mkdir(parents=True)
    (tmp_path / "w1" / "cgroup.procs").write_text("7\n")
    (pod / "cgroup.procs").write_text("9\n8\n")
    assert cgroups.pids([tmp_path], "w1") == [7, 8, 9]
    assert cgroups.pids([tmp_path], "w2") == []
