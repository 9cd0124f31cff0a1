# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sysctls, kernel modules and swap of a host; private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import COMMAND_NOT_FOUND, Host, problem
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_files import FileWanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

FSTAB = "/etc/fstab"
FSTAB_MARK = "# hybridk8s.estate swap off: "
UNIT_DIRECTORY = "/etc/systemd/system"
SWAP_UNIT_DIRECTORIES = (
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)

# What only a kernel that has the module's code shows. For kernels without /proc/modules and modules.builtin, such as
# those of containers and microVMs, where modprobe has nothing to say. File systems are in /proc/filesystems.
MODULE_SIGNS = {
    "bonding": "/sys/class/net/bonding_masters",
    "br_netfilter": "/proc/sys/net/bridge",
    "bridge": "/proc/sys/net/bridge",
    "fuse": "/dev/fuse",
    "ip6_tables": "/proc/net/ip6_tables_names",
    "ip_tables": "/proc/net/ip_tables_names",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
    "tun": "/dev/net/tun",
}


@dataclass(frozen=True)
class SysctlWanted:
    """The value of one kernel setting; an optional one that the kernel lacks or refuses is skipped."""

    key: str
    value: str
    optional: bool = False

    @property
    def path(self) -> str:
        """Its file, by the rule of sysctl.d(5): the separator that comes first separates."""
        key = self.key
        if "/" in key and ("." not in key or key.index("/") < key.index(".")):
            return f"/proc/sys/{key}"
        return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


@dataclass(frozen=True)
class SysctlFact:
    """The value that the kernel holds, None when it has no such setting, and whether it can be written."""

    value: str | None
    writable: bool


@dataclass(frozen=True)
class KernelFacts:
    """``modules`` says of each wanted module: present, loadable, unavailable, or unknown when kmod is not installed."""

    sysctls: Mapping[str, SysctlFact]
    modules: Mapping[str, str]
    swaps: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelPlan:
    """Modules to load, then settings to write, then whether to turn swap off; with their steps in that order.

    ``skipped`` says of optional settings why they are not set.
    """

    modules: tuple[str, ...]
    sysctls: tuple[SysctlWanted, ...]
    swap_off: bool
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    skipped: tuple[str, ...]


def sysctl_file(name: str, sysctls: Sequence[SysctlWanted]) -> FileWanted:
    """The file that sets ``sysctls`` at boot."""
    lines = [f"{'-' if wanted.optional else ''}{wanted.key} = {wanted.value}\n" for wanted in sysctls]
    return _drop_in(f"/etc/sysctl.d/90-hybridk8s-{name}.conf", name, "sysctls", sorted(lines))


def modules_file(name: str, modules: Sequence[str]) -> FileWanted:
    """The file that loads ``modules`` at boot."""
    return _drop_in(
        f"/etc/modules-load.d/90-hybridk8s-{name}.conf", name, "kernel_modules", [f"{m}\n" for m in modules]
    )


def swap_files(host: Host) -> list[FileWanted]:
    """The files that keep swap off after a boot: fstab without swap lines, and every other swap unit masked."""
    wanted = []
    fstab = host.read_text(FSTAB)
    commented = comment_swap(fstab)
    if commented != fstab:
        wanted.append(FileWanted(FSTAB, "file", "swap", commented.encode(), follow=True, ours=False))
    for directory in SWAP_UNIT_DIRECTORIES:
        for unit in _swap_units(host, directory):
            if "SourcePath=/etc/fstab" in host.read_text(f"{directory}/{unit}"):
                continue  # gone at the next reload, with the line
            wanted.append(FileWanted(f"{UNIT_DIRECTORY}/{unit}", "link", "swap", target="/dev/null"))
    return list({file.path: file for file in wanted}.values()) + _enabled_own_swap_units(host)


def comment_swap(fstab: str) -> str:
    """``fstab`` with its swap lines made comments that say who did it."""
    return "".join(
        FSTAB_MARK + line if not line.lstrip().startswith("#") and line.split()[2:3] == ["swap"] else line
        for line in fstab.splitlines(keepends=True)
    )


def observe(host: Host, sysctls: Sequence[SysctlWanted], modules: Sequence[str]) -> KernelFacts:
    """Reads /proc and /sys; asks modprobe only about modules that are nowhere to be seen."""
    swaps = tuple(line.split()[0] for line in host.read_text("/proc/swaps").splitlines()[1:] if line.strip())
    return KernelFacts(
        {wanted.key: _observe_sysctl(host, wanted) for wanted in sysctls},
        {module: _observe_module(host, module) for module in modules},
        swaps,
    )


def plan(
    sysctls: Sequence[SysctlWanted], modules: Sequence[str], swap_off: bool, facts: KernelFacts, check: bool
) -> KernelPlan:
    """What the kernel must be told. A module that only a missing kmod hides is no more than a warning in check mode."""
    findings: list[Finding] = []
    warnings: list[str] = []
    skipped: list[str] = []
    load = tuple(module for module in modules if facts.modules[module] != "present")
    for module in load:
        if facts.modules[module] == "unknown" and check:
            warnings.append(f"kernel module {module}: modprobe is not installed yet, so it is not known to exist.")
        elif facts.modules[module] != "loadable":
            findings.append(_module_finding(module, "modprobe finds no such module for the running kernel"))
    write = []
    for wanted in sysctls:
        fact = facts.sysctls[wanted.key]
        if fact.value == wanted.value:
            continue
        if fact.value is None and not load:
            _refuse_sysctl(wanted, "the kernel has no such setting", findings, skipped)
        elif not fact.writable:
            _refuse_sysctl(wanted, "it is read-only here", findings, skipped)
        else:  # a setting that is missing may come with a module that is loaded first
            write.append(wanted)
    turn_off = swap_off and bool(facts.swaps)
    steps = [Step("load", f"kernel module {module}", "not loaded") for module in load]
    steps += [_sysctl_step(wanted, facts.sysctls[wanted.key]) for wanted in write]
    if turn_off:
        steps.append(Step("turn off", "swap", "in use: " + ", ".join(facts.swaps)))
    return KernelPlan(load, tuple(write), turn_off, tuple(steps), tuple(findings), tuple(warnings), tuple(skipped))


def load_module(host: Host, module: str) -> list[Finding]:
    """Loads a kernel module."""
    ran = host.run(["modprobe", "--", module], 60.0)
    if ran.rc == 0 or _has_sign(host, module):
        return []
    return [_module_finding(module, f"modprobe fails: {ran.said}")]


def write_sysctl(host: Host, wanted: SysctlWanted) -> tuple[list[Finding], list[str]]:
    """Writes one setting and reads it back. Returns findings and, for an optional one, why it is skipped."""
    findings: list[Finding] = []
    skipped: list[str] = []
    try:
        with open(os.open(host.at(wanted.path), os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as stream:
            stream.write(wanted.value)
        kept = _observe_sysctl(host, wanted).value
        refusal = "" if kept == wanted.value else f"the kernel keeps '{kept}' instead of '{wanted.value}'"
    except FileNotFoundError:
        refusal = "the kernel has no such setting"
    except OSError as error:
        refusal = f"writing '{wanted.value}' fails: {error.strerror}"
    if refusal:
        _refuse_sysctl(wanted, refusal, findings, skipped)
    return findings, skipped


def turn_swap_off(host: Host) -> list[Finding]:
    """Takes every swap area out of use."""
    ran = host.run(["swapoff", "-a"], 600.0)
    if ran.rc == 0:
        return []
    return [
        problem(
            "swap", "swap", f"swapoff -a fails: {ran.said}.", "free memory for what is swapped out, then run again."
        )
    ]


def _drop_in(path: str, name: str, option: str, lines: Sequence[str]) -> FileWanted:
    header = f"# Managed by hybridk8s.estate (host_state {name}): changes made here are overwritten.\n"
    return FileWanted(path, "file", option, (header + "".join(lines)).encode(), mode=0o644)


def _swap_units(host: Host, directory: str) -> list[str]:
    return [name for name in host.entries(directory) if name.endswith(".swap")]


def _enabled_own_swap_units(host: Host) -> list[FileWanted]:
    """A swap unit that a person wrote in /etc cannot be masked, so what starts it at boot goes instead."""
    return [
        FileWanted(f"{UNIT_DIRECTORY}/{directory}/{unit}", "absent", "swap")
        for directory in host.entries(UNIT_DIRECTORY)
        if directory.endswith((".wants", ".requires"))
        for unit in _swap_units(host, f"{UNIT_DIRECTORY}/{directory}")
    ]


def _observe_sysctl(host: Host, wanted: SysctlWanted) -> SysctlFact:
    content = host.read(wanted.path)
    if content is None:
        # Some settings can be written only, such as net.ipv4.route.flush.
        return SysctlFact("" if os.path.exists(host.at(wanted.path)) else None, True)
    value = " ".join(content.decode(errors="replace").split())
    return SysctlFact(value, os.access(host.at(wanted.path), os.W_OK))


def _observe_module(host: Host, module: str) -> str:
    name = module.replace("-", "_")
    if os.path.isdir(host.at(f"/sys/module/{name}")) or _is_loaded(host, name) or _has_sign(host, module):
        return "present"
    if f"/{name}.ko" in host.read_text(f"/lib/modules/{os.uname().release}/modules.builtin").replace("-", "_"):
        return "present"
    ran = host.run(["modprobe", "--dry-run", "--verbose", "--", module], 60.0)
    if ran.rc == COMMAND_NOT_FOUND:
        return "unknown"
    if ran.rc != 0:
        return "unavailable"
    # Nothing to insert: it is built in, or it is another name of a module that is loaded.
    return "loadable" if any(line.startswith(("insmod ", "install ")) for line in ran.out.splitlines()) else "present"


def _is_loaded(host: Host, name: str) -> bool:
    return any(line.split(" ", 1)[0] == name for line in host.read_text("/proc/modules").splitlines())


def _has_sign(host: Host, module: str) -> bool:
    name = module.replace("-", "_")
    sign = MODULE_SIGNS.get(name)
    if sign and os.path.exists(host.at(sign)):
        return True
    return any(line.split()[-1:] == [name] for line in host.read_text("/proc/filesystems").splitlines())


def _module_finding(module: str, why: str) -> Finding:
    return problem(
        "kernel-module",
        f"kernel_modules: {module}",
        f"kernel module {module} cannot be had: {why}.",
        "install kmod and the package with the modules of the running kernel (or reboot into a kernel that has them), "
        "or take it out of kernel_modules.",
    )


def _refuse_sysctl(wanted: SysctlWanted, why: str, findings: list[Finding], skipped: list[str]) -> None:
    if wanted.optional:
        skipped.append(f"sysctl {wanted.key} (optional) is not {wanted.value}: {why}.")
        return
    findings.append(
        problem(
            "sysctl",
            f"sysctls.{wanted.key}",
            f"{wanted.key} cannot be set to {wanted.value}: {why} ({wanted.path}).",
            "load the kernel module that brings it, set it where this host's kernel is governed, correct the name, "
            f"or write {{value: {wanted.value}, optional: true}}.",
        )
    )


def _sysctl_step(wanted: SysctlWanted, fact: SysctlFact) -> Step:
    before = f"{wanted.key} = {fact.value}\n" if fact.value else ""
    return Step("set", f"sysctl {wanted.key}", "value differs", before, f"{wanted.key} = {wanted.value}\n")
