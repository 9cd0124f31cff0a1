# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_kernel as kernel
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_kernel import SysctlWanted

from tests.unit.plugins.module_utils.host_fake import Machine

FORWARD = SysctlWanted("net.ipv4.ip_forward", "1")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def plan(
    machine: Machine,
    *sysctls: SysctlWanted,
    modules: tuple[str, ...] = (),
    swap_off: bool = False,
    check: bool = False,
) -> kernel.KernelPlan:
    return kernel.plan(sysctls, modules, swap_off, kernel.observe(machine.host, sysctls, modules), check)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/100.rp_filter", "/proc/sys/net/ipv4/conf/eth0.100/rp_filter"),
        ("net/ipv4/conf/eth0.100/rp_filter", "/proc/sys/net/ipv4/conf/eth0.100/rp_filter"),
    ],
)
def test_a_sysctl_has_the_path_of_sysctl_d(key: str, path: str) -> None:
    assert SysctlWanted(key, "1").path == path


class TestSysctls:
    def test_a_value_that_differs_is_set_and_read_back(self, machine: Machine) -> None:
        machine.write("/proc/sys/net/ipv4/ip_forward", "0\n")
        made = plan(machine, FORWARD)
        assert (made.steps[0].before, made.steps[0].after) == ("net.ipv4.ip_forward = 0\n", "net.ipv4.ip_forward = 1\n")
        assert kernel.write_sysctl(machine.host, FORWARD) == ([], [])
        assert plan(machine, FORWARD).steps == ()

    def test_white_space_makes_no_difference(self, machine: Machine) -> None:
        machine.write("/proc/sys/net/ipv4/tcp_rmem", "4096\t87380\t6291456\n")
        assert plan(machine, SysctlWanted("net.ipv4.tcp_rmem", "4096 87380 6291456")).steps == ()

    def test_a_missing_one_is_a_finding_with_a_remedy(self, machine: Machine) -> None:
        made = plan(machine, FORWARD)
        assert made.findings[0].variable == "sysctls.net.ipv4.ip_forward"
        assert "no such setting" in made.findings[0].message
        assert "optional: true" in made.findings[0].remedy
        assert made.steps == ()

    def test_a_missing_one_may_come_with_a_module_that_is_loaded_first(self, machine: Machine) -> None:
        machine.modules["br_netfilter"] = "loadable"
        made = plan(machine, FORWARD, modules=("br_netfilter",))
        assert [step.action for step in made.steps] == ["load", "set"]
        assert made.findings == ()

    def test_a_read_only_one_is_a_finding_unless_it_is_right(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine.write("/proc/sys/net/ipv4/ip_forward", "0\n")
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert "read-only" in plan(machine, FORWARD).findings[0].message
        machine.write("/proc/sys/net/ipv4/ip_forward", "1\n")
        assert plan(machine, FORWARD).findings == ()

    def test_an_optional_one_is_skipped(self, machine: Machine) -> None:
        made = plan(machine, SysctlWanted("net.ipv4.ip_forward", "1", optional=True))
        assert (made.findings, made.steps, len(made.skipped)) == ((), (), 1)

    def test_a_value_that_the_kernel_does_not_keep_is_refused(self, machine: Machine) -> None:
        os.makedirs(machine.root / "proc/sys/net/ipv4")
        os.symlink("/dev/null", machine.root / "proc/sys/net/ipv4/ip_forward")
        findings, warnings = kernel.write_sysctl(machine.host, FORWARD)
        assert (len(findings), warnings) == (1, [])
        assert "keeps '' instead of '1'" in findings[0].message

    @pytest.mark.parametrize(("optional", "counts"), [(False, (1, 0)), (True, (0, 1))])
    def test_a_write_that_fails_is_refused(self, machine: Machine, optional: bool, counts: tuple[int, int]) -> None:
        wanted = SysctlWanted("net.ipv4.ip_forward", "1", optional)
        findings, warnings = kernel.write_sysctl(machine.host, wanted)
        assert (len(findings), len(warnings)) == counts
        os.makedirs(machine.root / "proc/sys/net/ipv4/ip_forward")
        findings, warnings = kernel.write_sysctl(machine.host, wanted)
        assert (len(findings), len(warnings)) == counts

    def test_the_file_for_the_boot_ignores_failures_of_optional_ones(self) -> None:
        file = kernel.sysctl_file("x", [SysctlWanted("b.c", "2", optional=True), SysctlWanted("a.b", "1")])
        assert file.path == "/etc/sysctl.d/90-hybridk8s-x.conf"
        assert file.content.decode().splitlines()[1:] == ["-b.c = 2", "a.b = 1"]


class TestModules:
    @pytest.mark.parametrize(
        ("there", "module"),
        [
            ("/sys/module/br_netfilter/x", "br_netfilter"),
            ("/sys/module/nf_conntrack/x", "nf-conntrack"),
            ("/proc/modules", "tls"),
            ("/lib/modules/RELEASE/modules.builtin", "ip_vs"),
            ("/proc/filesystems", "overlay"),
            ("/proc/sys/net/bridge/bridge-nf-call-iptables", "br_netfilter"),
            ("/proc/net/ip_tables_names", "ip_tables"),
        ],
    )
    def test_a_module_is_present_by_any_sign(self, machine: Machine, there: str, module: str) -> None:
        text = "tls 155648 0 - Live 0x0\nnodev\toverlay\n\text4\nkernel/net/netfilter/ipvs/ip-vs.ko\n"
        machine.write(there.replace("RELEASE", os.uname().release), text)
        made = plan(machine, modules=(module,))
        assert (made.steps, made.findings) == ((), ())
        assert machine.commands == []

    @pytest.mark.parametrize("sign", ["/proc/modules", "/proc/filesystems", "/lib/modules/RELEASE/modules.builtin"])
    def test_a_name_that_is_only_a_part_of_another_is_no_sign(self, machine: Machine, sign: str) -> None:
        text = "nf_tls_x 1 0\nnodev\ttls2\nkernel/net/tls2.ko\nkernel/net/xtls.ko\n"
        machine.write(sign.replace("RELEASE", os.uname().release), text)
        assert plan(machine, modules=("tls",)).findings

    @pytest.mark.parametrize("state", ["builtin", "alias of a loaded one"])
    def test_modprobe_knows_built_in_ones(self, machine: Machine, state: str) -> None:
        machine.modules["tls"] = state
        made = plan(machine, modules=("tls",))
        assert (made.steps, made.findings) == ((), ())
        assert machine.commands == [("modprobe", "--dry-run", "--verbose", "--", "tls")]

    def test_a_loadable_one_is_loaded_once(self, machine: Machine) -> None:
        machine.modules["tls"] = "loadable"
        assert [step.target for step in plan(machine, modules=("tls",)).steps] == ["kernel module tls"]
        assert kernel.load_module(machine.host, "tls") == []
        assert plan(machine, modules=("tls",)).steps == ()

    @pytest.mark.parametrize("check", [False, True])
    def test_one_that_cannot_be_had_is_a_finding_before_anything_is_touched(
        self, machine: Machine, check: bool
    ) -> None:
        made = plan(machine, modules=("tls",), check=check)
        assert made.findings[0].variable == "kernel_modules: tls"
        assert "install kmod" in made.findings[0].remedy

    def test_without_kmod_only_a_check_goes_on(self, machine: Machine) -> None:
        machine.modules["tls"] = "no kmod"
        assert plan(machine, modules=("tls",)).findings
        made = plan(machine, modules=("tls",), check=True)
        assert (made.findings, len(made.warnings), len(made.steps)) == ((), 1, 1)

    def test_a_failing_load_counts_only_when_the_kernel_cannot_do_it(self, machine: Machine) -> None:
        assert "FATAL" in kernel.load_module(machine.host, "overlay")[0].message
        machine.write("/proc/filesystems", "nodev\toverlay\n")
        assert kernel.load_module(machine.host, "overlay") == []

    def test_the_file_for_the_boot_lists_them(self) -> None:
        file = kernel.modules_file("x", ["overlay", "br_netfilter"])
        assert file.path == "/etc/modules-load.d/90-hybridk8s-x.conf"
        assert file.content.decode().splitlines()[1:] == ["overlay", "br_netfilter"]


class TestSwap:
    def test_swap_in_use_is_turned_off(self, machine: Machine) -> None:
        machine.write("/proc/swaps", "Filename Type Size\n/dev/sda2 partition 1 0 -2\n/swap file 1 0 -3\n")
        made = plan(machine, swap_off=True)
        assert [(step.target, step.reason) for step in made.steps] == [("swap", "in use: /dev/sda2, /swap")]
        assert kernel.turn_swap_off(machine.host) == []
        assert plan(machine, swap_off=True).steps == ()

    @pytest.mark.parametrize("swaps", [None, "", "Filename Type Size\n"])
    def test_no_swap_needs_nothing(self, machine: Machine, swaps: str | None) -> None:
        if swaps is not None:
            machine.write("/proc/swaps", swaps)
        assert plan(machine, swap_off=True).steps == ()

    def test_a_refusal_is_a_finding(self, machine: Machine) -> None:
        machine.swapoff = Ran(1, err="swapoff: /dev/sda2: Cannot allocate memory")
        assert "Cannot allocate memory" in kernel.turn_swap_off(machine.host)[0].message

    def test_only_swap_lines_of_fstab_become_comments(self) -> None:
        fstab = (
            "# swap\n/dev/sda1 / ext4 defaults 0 1\n\tUUID=1 none\tswap sw 0 0\n"
            "/swap none swap sw 0 0\n\n/x /swap ext4\n"
        )
        commented = kernel.comment_swap(fstab)
        assert commented == (
            "# swap\n/dev/sda1 / ext4 defaults 0 1\n# hybridk8s.estate swap off: \tUUID=1 none\tswap sw 0 0\n"
            "# hybridk8s.estate swap off: /swap none swap sw 0 0\n\n/x /swap ext4\n"
        )
        assert kernel.comment_swap(commented) == commented

    def test_units_that_would_bring_it_back_are_masked(self, machine: Machine) -> None:
        machine.write("/etc/fstab", "/swap none swap sw 0 0\n")
        machine.write("/run/systemd/generator/swap.swap", "[Unit]\nSourcePath=/etc/fstab\n")
        machine.write("/run/systemd/generator/dev-zram0.swap", "[Swap]\n")
        machine.write("/usr/lib/systemd/system/vendor.swap", "[Swap]\n")
        machine.write("/etc/systemd/system/own.swap", "[Swap]\n")
        machine.write("/etc/systemd/system/swap.target.wants/own.swap", "[Swap]\n")
        machine.write("/etc/systemd/system/swap.target.wants/other.service", "")
        files = [(file.path, file.state, file.target) for file in kernel.swap_files(machine.host)]
        assert files == [
            ("/etc/fstab", "file", ""),
            ("/etc/systemd/system/dev-zram0.swap", "link", "/dev/null"),
            ("/etc/systemd/system/vendor.swap", "link", "/dev/null"),
            ("/etc/systemd/system/swap.target.wants/own.swap", "absent", ""),
        ]

    def test_a_host_without_any_needs_no_file(self, machine: Machine) -> None:
        assert kernel.swap_files(machine.host) == []
