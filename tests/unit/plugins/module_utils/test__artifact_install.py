# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _artifact as artifact_module
from ansible_collections.hybridk8s.estate.plugins.module_utils import _artifact_fetch
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import Limits, parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact_install import Outcome, converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError

from tests.unit.plugins.module_utils.artifact_fake import Web, serve
from tests.unit.plugins.module_utils.host_fake import Killed

LIBRARY = "usr/local/lib/hybridk8s"


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serve() as web:
        yield web


@pytest.fixture
def web(server: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    # Tests need no power cut.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    server.pages.clear()
    server.requests.clear()
    return server


def tar(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as opened:
        for name, content in members.items():
            info = tarfile.TarInfo(f"bin/{name}")
            info.size, info.mode = len(content), 0o755
            opened.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@dataclass
class Site:
    """A host in a directory, and a mirror that has Kubernetes binaries and a containerd archive of each version."""

    root: Path
    web: Web
    shas: dict[str, str] = field(default_factory=dict)

    def publish(self, version: str) -> None:
        for name in ("kubelet", "kubectl"):
            path = f"/dl.k8s.io/v{version}/{name}"
            sha = self.web.put(path, f"{name} {version}".encode() * 100)
            self.web.put(f"{path}.sha256", f"{sha}  {name}\n".encode())
            self.shas[f"{name} {version}"] = sha
        sha = self.web.put(f"/github.com/containerd-{version}.tgz", tar(containerd=version.encode(), ctr=b"ctr"))
        self.shas[f"containerd {version}"] = sha

    def options(self, version: str, **changes: Any) -> list[dict[str, Any]]:
        files = [
            {
                "url": f"https://dl.k8s.io/v{version}/{name}",
                "sha256_url": f"https://dl.k8s.io/v{version}/{name}.sha256",
                "dest": name,
            }
            for name in ("kubelet", "kubectl")
        ]
        kubernetes = {
            "name": "kubernetes",
            "version": version,
            "files": files,
            "links": {"/usr/local/bin/kubelet": "kubelet", "/usr/local/bin/kubectl": "kubectl"},
            **changes,
        }
        containerd = {
            "name": "containerd",
            "version": version,
            "archive": {
                "url": f"https://github.com/containerd-{version}.tgz",
                "sha256": self.shas[f"containerd {version}"],
                "strip": 1,
            },
            "links": {"/usr/local/bin/containerd": "containerd"},
        }
        return [kubernetes, containerd]

    def converge(self, artifacts: list[dict[str, Any]], check: bool = False) -> Outcome:
        wanted = parse({"artifacts": artifacts, "mirror": self.web.url}, "x86_64")
        limits = Limits(retries=1, sleep=lambda _seconds: None)
        return converge(wanted, Host(str(self.root)), self.web.url, limits, check)

    def path(self, name: str) -> Path:
        return self.root / LIBRARY / name

    def runs(self, name: str) -> str:
        """What a person who calls ``name`` gets; the links are absolute, so they are followed by hand."""
        return (self.root / os.readlink(self.root / "usr/local/bin" / name).lstrip("/")).read_text()

    def tree(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): os.readlink(path) if path.is_symlink() else path.read_bytes().hex()
            for path in sorted(self.root.rglob("*"))
            if not path.is_dir() and not path.name.startswith(".lock")
        }


@pytest.fixture
def site(tmp_path: Path, web: Web) -> Site:
    site = Site(tmp_path, web)
    for version in ("1", "2", "3"):
        site.publish(version)
    return site


def shown(outcome: Outcome) -> list[tuple[str, str]]:
    return [(step.action, step.target) for step in outcome.steps]


def test_check_then_install_then_nothing(site: Site) -> None:
    planned = site.converge(site.options("1"), check=True)
    assert site.web.requests == []
    assert os.listdir(site.root) == []
    done = site.converge(site.options("1"))
    assert done == planned
    assert done.switched == ("kubernetes", "containerd")
    assert shown(done) == [
        ("install", "/usr/local/lib/hybridk8s/kubernetes/1/kubelet"),
        ("install", "/usr/local/lib/hybridk8s/kubernetes/1/kubectl"),
        ("link", "/usr/local/bin/kubelet"),
        ("link", "/usr/local/bin/kubectl"),
        ("install", "/usr/local/lib/hybridk8s/containerd/1"),
        ("link", "/usr/local/bin/containerd"),
    ]
    assert (site.runs("kubelet"), site.runs("containerd")) == ("kubelet 1" * 100, "1")
    assert os.access(site.path("kubernetes/1/kubelet"), os.X_OK)
    assert os.listdir(site.root / "var/lib/hybridk8s/artifact/partial") == []


def test_a_converged_host_needs_no_network_and_no_hash(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.converge(site.options("1"))
    site.web.requests.clear()
    before = site.tree()
    monkeypatch.setattr(artifact_module, "hash_file", lambda path: pytest.fail(f"hashed {path}"))
    assert site.converge(site.options("1")) == Outcome((), ())
    assert site.web.requests == []
    assert site.tree() == before


def test_a_converged_run_does_not_even_load_the_network() -> None:
    code = (
        "import sys\n"
        "from ansible_collections.hybridk8s.estate.plugins.module_utils import _artifact_install\n"
        "print([name for name in ('urllib.request', 'ssl', 'http.client', 'tarfile') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"


def test_an_upgrade_switches_links_and_keeps_one_version(site: Site) -> None:
    site.converge(site.options("1"))
    done = site.converge(site.options("2"))
    assert ("link", "/usr/local/bin/kubelet") in shown(done)
    link = next(step for step in done.steps if step.target == "/usr/local/bin/kubelet")
    assert link.before == "link to /usr/local/lib/hybridk8s/kubernetes/1/kubelet\n"
    assert site.runs("kubelet") == "kubelet 2" * 100
    assert sorted(os.listdir(site.path("kubernetes"))) == ["1", "2"]
    third = site.converge(site.options("3"))
    assert ("remove", "/usr/local/lib/hybridk8s/kubernetes/1") in shown(third)
    assert sorted(os.listdir(site.path("kubernetes"))) == ["2", "3"]
    assert site.converge(site.options("3")).steps == ()
    site.web.requests.clear()
    assert "install" not in [action for action, _target in shown(site.converge(site.options("2")))]
    assert site.web.requests == []
    assert site.runs("kubelet") == "kubelet 2" * 100


@pytest.mark.parametrize(("keep", "left"), [(0, ["3"]), (1, ["2", "3"]), (5, ["1", "2", "3"])])
def test_as_many_old_versions_stay_as_asked(site: Site, keep: int, left: list[str]) -> None:
    for version in ("1", "2", "3"):
        site.converge(site.options(version, keep=keep))
    assert sorted(os.listdir(site.path("kubernetes"))) == left
    assert site.converge(site.options("3", keep=keep)).steps == ()


def test_a_version_that_a_process_runs_from_stays(site: Site) -> None:
    site.converge(site.options("1", keep=0))
    (site.root / "proc/42").mkdir(parents=True)
    os.symlink("/usr/local/lib/hybridk8s/kubernetes/1/kubelet", site.root / "proc/42/exe")
    site.converge(site.options("2", keep=0))
    assert sorted(os.listdir(site.path("kubernetes"))) == ["1", "2"]
    (site.root / "proc/42/exe").unlink()
    assert shown(site.converge(site.options("2", keep=0))) == [("remove", "/usr/local/lib/hybridk8s/kubernetes/1")]


class TestFailure:
    def test_nothing_is_switched_and_what_is_complete_is_kept(self, site: Site) -> None:
        site.converge(site.options("1"))
        site.web.pages["/dl.k8s.io/v2/kubectl"].statuses = [500] * 9
        with pytest.raises(HostError) as caught:
            site.converge(site.options("2"))
        assert f"{site.web.url}/dl.k8s.io/v2/kubectl" in str(caught.value)
        assert caught.value.applied == ()
        assert (site.runs("kubelet"), site.runs("containerd")) == ("kubelet 1" * 100, "1")
        assert sorted(os.listdir(site.path("kubernetes"))) == ["1"]
        site.web.pages["/dl.k8s.io/v2/kubectl"].statuses = []
        site.web.requests.clear()
        site.converge(site.options("2"))
        assert site.web.count("/dl.k8s.io/v2/kubelet") == 0
        assert site.web.count("/github.com/containerd-2.tgz") == 0
        assert site.runs("kubelet") == "kubelet 2" * 100

    def test_an_archive_without_what_links_need_switches_nothing(self, site: Site) -> None:
        site.converge(site.options("1"))
        options = site.options("2")
        options[1]["links"] = {"/usr/local/bin/runc": "runc"}
        with pytest.raises(HostError) as caught:
            site.converge(options)
        assert "'runc', which containerd 2 does not hold; it holds containerd, ctr" in str(caught.value)
        assert site.runs("kubelet") == "kubelet 1" * 100
        assert os.listdir(site.path("containerd")) == ["1"]

    def test_an_archive_that_is_none_switches_nothing(self, site: Site) -> None:
        site.converge(site.options("1"))
        site.shas["containerd 2"] = site.web.put("/github.com/containerd-2.tgz", b"<html>")
        with pytest.raises(HostError, match="cannot be unpacked"):
            site.converge(site.options("2"))
        assert site.runs("kubelet") == "kubelet 1" * 100

    @pytest.mark.parametrize("check", [False, True])
    def test_a_file_of_others_where_a_link_goes_is_told_before_anything(self, site: Site, check: bool) -> None:
        (site.root / "usr/local/bin").mkdir(parents=True)
        (site.root / "usr/local/bin/kubelet").write_text("theirs")
        with pytest.raises(HostError, match="something of others is there"):
            site.converge(site.options("1"), check)
        assert site.web.requests == []
        assert (site.root / "usr/local/bin/kubelet").read_text() == "theirs"

    def test_a_full_disk_is_a_finding(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "link", full)
        monkeypatch.setattr("shutil.copyfile", full)
        with pytest.raises(HostError, match="No space left on device"):
            site.converge(site.options("1"))
        assert not site.path("kubernetes/1").exists()


class TestDrift:
    @pytest.mark.parametrize("content", ["tampered", "kubelet X" * 100])
    def test_a_changed_file_is_fetched_again_and_only_that(self, site: Site, content: str) -> None:
        site.converge(site.options("1"))
        site.path("kubernetes/1/kubelet").write_text(content)
        site.web.requests.clear()
        done = site.converge(site.options("1"))
        assert shown(done) == [("install", "/usr/local/lib/hybridk8s/kubernetes/1/kubelet")]
        assert done.switched == ()
        assert [path for path, _range in site.web.requests] == ["/dl.k8s.io/v1/kubelet.sha256", "/dl.k8s.io/v1/kubelet"]
        assert site.runs("kubelet") == "kubelet 1" * 100
        assert site.converge(site.options("1")).steps == ()

    def test_the_same_bytes_with_another_time_are_no_drift(self, site: Site) -> None:
        site.converge(site.options("1"))
        os.utime(site.path("kubernetes/1/kubelet"), (1, 1))
        assert site.converge(site.options("1")).steps == ()

    @pytest.mark.parametrize("name", ["kubernetes/1/kubectl", "containerd/1/ctr"])
    def test_a_lost_file_comes_back(self, site: Site, name: str) -> None:
        site.converge(site.options("1"))
        site.path(name).unlink()
        assert len(site.converge(site.options("1")).steps) == 1
        assert site.path(name).exists()
        assert site.converge(site.options("1")).steps == ()

    def test_a_lost_mode_is_set_without_the_network(self, site: Site) -> None:
        site.converge(site.options("1"))
        site.path("kubernetes/1/kubelet").chmod(0o644)
        site.path("containerd/1/ctr").chmod(0o600)
        site.web.requests.clear()
        done = site.converge(site.options("1"))
        assert [(step.action, step.reason) for step in done.steps] == [
            ("set", "mode 0644 -> 0755"),
            ("set", "mode 0600 -> 0755"),
        ]
        assert site.web.requests == []
        assert site.converge(site.options("1")).steps == ()

    def test_a_lost_directory_or_record_is_installed_again(self, site: Site) -> None:
        site.converge(site.options("1"))
        site.path("kubernetes/1/.installed.json").write_text("{")
        assert [action for action, _target in shown(site.converge(site.options("1")))] == ["install", "install"]
        assert site.converge(site.options("1")).steps == ()

    @pytest.mark.parametrize("state", ["gone", "elsewhere"])
    def test_a_lost_link_is_made_again(self, site: Site, state: str) -> None:
        site.converge(site.options("1"))
        link = site.root / "usr/local/bin/kubelet"
        link.unlink()
        if state == "elsewhere":
            os.symlink("/opt/other", link)
        done = site.converge(site.options("1"))
        assert (shown(done), done.switched) == ([("link", "/usr/local/bin/kubelet")], ("kubernetes",))
        assert site.runs("kubelet") == "kubelet 1" * 100

    def test_another_checksum_for_the_same_version_is_fetched(self, site: Site) -> None:
        site.converge(site.options("1"))
        site.shas["containerd 1"] = site.web.put("/github.com/containerd-1.tgz", tar(containerd=b"rebuilt"))
        done = site.converge(site.options("1"))
        assert shown(done) == [("install", "/usr/local/lib/hybridk8s/containerd/1")]
        assert site.runs("containerd") == "rebuilt"
        assert not site.path("containerd/1/ctr").exists()
        assert site.converge(site.options("1")).steps == ()


class TestChanges:
    def test_a_file_more_is_added_and_one_less_removed(self, site: Site) -> None:
        options = site.options("1")[:1]
        kubectl = options[0]["files"].pop()
        del options[0]["links"]["/usr/local/bin/kubectl"]
        site.converge(options)
        options[0]["files"].append({**kubectl, "mode": "0700"})
        options[0]["links"]["/usr/local/bin/kubectl"] = "kubectl"
        assert [action for action, _target in shown(site.converge(options))] == ["install", "link"]
        assert site.path("kubernetes/1/kubectl").stat().st_mode & 0o777 == 0o700
        options[0]["files"].pop()
        del options[0]["links"]["/usr/local/bin/kubectl"]
        assert shown(site.converge(options)) == [
            ("remove", "/usr/local/lib/hybridk8s/kubernetes/1/kubectl"),
            ("remove", "/usr/local/bin/kubectl"),
        ]
        assert sorted(os.listdir(site.root / "usr/local/bin")) == ["kubelet"]
        assert not site.path("kubernetes/1/kubectl").exists()
        assert site.converge(options).steps == ()

    def test_another_mode_is_set(self, site: Site) -> None:
        options = site.options("1")[:1]
        site.converge(options)
        options[0]["files"][0]["mode"] = "0700"
        assert [step.reason for step in site.converge(options).steps] == ["mode 0755 -> 0700"]
        assert site.converge(options).steps == ()

    def test_other_members_of_an_archive_are_unpacked_afresh(self, site: Site) -> None:
        options = site.options("1")[1:]
        site.converge(options)
        options[0]["archive"]["members"] = ["bin/containerd"]
        site.converge(options)
        assert sorted(os.listdir(site.path("containerd/1"))) == [".installed.json", "containerd"]
        assert site.converge(options).steps == ()

    def test_a_link_that_others_took_over_is_theirs(self, site: Site) -> None:
        options = site.options("1")[:1]
        site.converge(options)
        link = site.root / "usr/local/bin/kubectl"
        link.unlink()
        os.symlink("/opt/theirs", link)
        del options[0]["links"]["/usr/local/bin/kubectl"]
        assert site.converge(options).steps == ()
        assert os.readlink(link) == "/opt/theirs"

    def test_the_same_bytes_under_two_names_are_two_files(self, site: Site) -> None:
        options = site.options("1")[:1]
        options[0]["files"][1] = {**options[0]["files"][0], "dest": "kubectl", "mode": "0700"}
        site.converge(options)
        first, second = (site.path(f"kubernetes/1/{name}") for name in ("kubelet", "kubectl"))
        assert first.read_bytes() == second.read_bytes()
        assert first.stat().st_ino != second.stat().st_ino
        assert (first.stat().st_mode & 0o777, second.stat().st_mode & 0o777) == (0o755, 0o700)


CALLS = 70
"""More than a run makes, so that it is killed at every one of them."""


@pytest.mark.parametrize("kill_at", range(1, CALLS + 1))
def test_a_run_that_is_killed_anywhere_converges_the_next_time(
    site: Site, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    site.converge(site.options("1", keep=0))
    options = site.options("2", keep=0)
    del options[0]["links"]["/usr/local/bin/kubectl"]
    calls = 0

    def counted(really: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= kill_at:
                raise Killed
            return really(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "rmdir", "mkdir", "symlink", "chmod", "link", "fchmod", "listdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            site.converge(options)
        except Killed:
            assert kill_at < CALLS
        else:
            assert calls > 30
    for name in ("kubelet", "containerd"):
        assert site.runs(name) in ("kubelet 1" * 100, "kubelet 2" * 100, "1", "2"), "a link led nowhere"
    site.converge(options)
    assert (site.runs("kubelet"), site.runs("containerd")) == ("kubelet 2" * 100, "2")
    assert os.listdir(site.path("kubernetes")) == ["2"]
    assert sorted(os.listdir(site.path("containerd"))) == ["1", "2"]
    assert sorted(os.listdir(site.root / "usr/local/bin")) == ["containerd", "kubelet"]
    site.web.requests.clear()
    assert site.converge(options).steps == ()
    assert site.web.requests == []


def test_two_runs_at_once_fetch_once(site: Site) -> None:
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(site.converge(site.options("1")))) for _number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(outcome.steps) for outcome in outcomes) == [0, 0, 6]
    assert site.web.count("/dl.k8s.io/v1/kubelet") == 1


def test_old_partial_downloads_are_forgotten_and_new_ones_kept(site: Site) -> None:
    partial = site.root / "var/lib/hybridk8s/artifact/partial"
    partial.mkdir(parents=True)
    (partial / ("0" * 64)).write_text("half of a version that nobody wants")
    os.utime(partial / ("0" * 64), (1, 1))
    (partial / ("1" * 64)).write_text("half of what another call fetches")
    site.converge(site.options("1"))
    assert os.listdir(partial) == ["1" * 64]


def test_another_file_system_for_downloads_is_fine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_device(*_arguments: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    site.converge(site.options("1"))
    assert site.runs("kubelet") == "kubelet 1" * 100


def test_without_a_mirror_the_published_urls_are_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch_all(downloads: Any, *_arguments: Any) -> Any:
        asked.extend((download.url, download.sha256_url) for download in downloads)
        raise HostError([])

    monkeypatch.setattr(_artifact_fetch, "fetch_all", fetch_all)
    wanted = parse({"artifacts": site.options("1")}, "x86_64")
    with pytest.raises(HostError):
        converge(wanted, Host(str(site.root)), "", Limits())
    assert asked == [
        ("https://dl.k8s.io/v1/kubelet", "https://dl.k8s.io/v1/kubelet.sha256"),
        ("https://dl.k8s.io/v1/kubectl", "https://dl.k8s.io/v1/kubectl.sha256"),
        ("https://github.com/containerd-1.tgz", ""),
    ]
