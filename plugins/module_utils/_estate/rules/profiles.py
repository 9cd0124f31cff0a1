# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runtime profiles: what the kubelet refuses to start with, or takes otherwise than it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model, runtime
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import profile as types
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.parse_profile import PROFILES
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean

_VALIDATION = "kubernetes:pkg/kubelet/apis/config/validation/validation.go"
_EVICTION = "kubernetes:pkg/kubelet/eviction/helpers.go"
_CPU_MANAGER = "kubernetes:pkg/kubelet/cm/cpumanager"
_MEMORY_MANAGER = "kubernetes:pkg/kubelet/cm/memorymanager/memory_manager.go, validateReservedMemory"
# kubernetes:pkg/kubelet/apis/config/v1beta1/defaults.go
_USUAL_GC_HIGH, _USUAL_GC_LOW = 85, 80
_USUAL_MEMORY_THRESHOLD = types.Threshold("100Mi", Fraction(100 * 1024**2))
# kubernetes:pkg/kubelet/cm/cpumanager/policy_options.go; those that need a feature gate apart.
_CPU_OPTIONS = (
    "full-pcpus-only",
    "strict-cpu-reservation",
    "prefer-align-cpus-by-uncorecache",
    "distribute-cpus-across-numa",
)
_ALPHA_CPU_OPTIONS = ("align-by-socket", "distribute-cpus-across-cores")
_CPUS = re.compile(r"\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*\Z")


@rule("ES881-unknown-profile", ERROR, "the node would be set up as if it had none", "inventory: runtime_profile")
def unknown_profile(estate: model.Estate) -> Iterator[Problem]:
    named = [(host.name, "runtime_profile", host.runtime_profile) for host in estate.nodes.values()]
    named += [
        ("", f"estate_cloud_pools.{pool.name}.runtime_profile", pool.runtime_profile)
        for pool in estate.vm_pools.values()
    ]
    for host, variable, name in named:
        if name and name not in estate.profiles:
            guess = did_you_mean(name, estate.profiles)
            yield Problem(
                host,
                variable,
                f"there is no profile {name!r}.",
                f"Did you mean {guess!r}?" if guess else f"Add it to {PROFILES}, or remove the variable.",
            )


@rule("ES882-soft-eviction-without-grace", ERROR, "the kubelet does not start", f"{_EVICTION}, ParseThresholdConfig")
def soft_eviction_without_grace(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        eviction = profile.eviction
        for signal in eviction.soft:
            if signal not in eviction.soft_grace_seconds:
                yield _problem(
                    profile,
                    f"eviction.soft_grace_seconds.{signal}",
                    f"there is a soft threshold of {signal}, and no time of grace for it.",
                    "Say for how many seconds it must be passed before pods are evicted, for instance 90.",
                )


@rule("ES883-soft-eviction-below-hard", WARNING, "pods are killed at once before the soft threshold counts", _EVICTION)
def soft_eviction_below_hard(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        for signal, soft in profile.eviction.soft.items():
            hard = profile.eviction.hard.get(signal)
            if hard is not None and hard.is_share == soft.is_share and soft.value <= hard.value:
                yield _problem(
                    profile,
                    f"eviction.soft.{signal}",
                    f"{soft.text} is not more than the hard threshold, {hard.text}.",
                    "Raise it: thresholds say how much is still free.",
                )


@rule("ES884-threshold-out-of-bounds", ERROR, "the kubelet does not start", f"{_EVICTION}, parseThresholdStatement")
def threshold_out_of_bounds(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        for kind, thresholds in (("hard", profile.eviction.hard), ("soft", profile.eviction.soft)):
            for signal, threshold in thresholds.items():
                if threshold.value > 1 if threshold.is_share else threshold.value == 0:
                    yield _problem(
                        profile,
                        f"eviction.{kind}.{signal}",
                        f"{threshold.text} is {'more than all' if threshold.is_share else 'nothing'}.",
                        "Use an amount above 0, or a share of at most 100% (0% is no threshold).",
                    )


@rule("ES885-image-gc-never-ends", ERROR, "the kubelet does not start", _VALIDATION)
def image_gc_never_ends(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        high, low = profile.limits.image_gc_high_percent, profile.limits.image_gc_low_percent
        if high is None and low is None:
            continue
        begin = _USUAL_GC_HIGH if high is None else high
        end = _USUAL_GC_LOW if low is None else low
        if end >= begin:
            yield _problem(
                profile,
                "image_gc",
                f"images are removed from {begin}% of the disk on and down to {end}%, which is not less.",
                f"Lower low_percent (the kubelet's own is {_USUAL_GC_LOW}) or raise high_percent ({_USUAL_GC_HIGH}).",
            )


@rule("ES886-static-without-cpus", ERROR, "the kubelet does not start", f"{_CPU_MANAGER}/cpu_manager.go, NewManager")
def static_without_cpus(estate: model.Estate) -> Iterator[Problem]:
    """The kubelet is content with an amount of reserved CPU, but then picks the processors itself, and a change of the
    amount makes it refuse the state that it kept. Named ones stay."""
    for profile in estate.profiles.values():
        if profile.managers.cpu == types.STATIC and not profile.reserved.cpus:
            yield _problem(
                profile,
                "reserved.cpus",
                "the CPU manager is static, and no processors are kept for the system.",
                'Name them, for instance "0-1".',
            )


@rule("ES887-not-a-list-of-cpus", ERROR, "the kubelet does not start", _VALIDATION)
def not_a_list_of_cpus(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        cpus = profile.reserved.cpus
        ranges = [part.split("-") for part in cpus.split(",")] if _CPUS.match(cpus) else []
        if cpus and not all(int(one[0]) <= int(one[-1]) for one in ranges or [["1", "0"]]):
            yield _problem(
                profile,
                "reserved.cpus",
                f"{cpus!r} is no list of processors.",
                'Write it as in "0-1,8", lower ones first.',
            )


@rule("ES888-cpu-manager-options", ERROR, "the kubelet does not start", f"{_CPU_MANAGER}/policy_options.go")
def cpu_manager_options(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        for option in profile.managers.cpu_options:
            variable = f"cpu_manager.options.{option}"
            if profile.managers.cpu != types.STATIC:
                yield _problem(profile, variable, "only the static policy has options.", "Remove it.")
            elif option in _ALPHA_CPU_OPTIONS:
                yield _problem(
                    profile,
                    variable,
                    "it needs the feature gate CPUManagerPolicyAlphaOptions.",
                    "Remove it; with the gate, set both in kubernetes_node_kubelet_config.",
                )
            elif option not in _CPU_OPTIONS:
                guess = did_you_mean(option, _CPU_OPTIONS)
                known = ", ".join(_CPU_OPTIONS)
                yield _problem(
                    profile,
                    variable,
                    "there is no such option.",
                    f"Did you mean {guess!r}?" if guess else f"The options are: {known}.",
                )


@rule("ES889-memory-does-not-add-up", ERROR, "the kubelet does not start", _MEMORY_MANAGER)
def memory_does_not_add_up(estate: model.Estate) -> Iterator[Problem]:
    """What the static memory manager keeps on the NUMA nodes has to be what is kept from pods: system and kube
    reservation and the hard threshold of memory."""
    for profile in estate.profiles.values():
        reserved = profile.reserved
        if profile.managers.memory != types.STATIC:
            if reserved.memory:
                yield _problem(
                    profile,
                    "reserved.memory",
                    "memory is kept on NUMA nodes, and no memory manager that heeds it.",
                    "Add memory_manager: {policy: static}, or use reserved.system and reserved.kube alone.",
                )
            continue
        threshold = profile.eviction.hard.get(types.MEMORY_SIGNAL, _USUAL_MEMORY_THRESHOLD)
        if threshold.is_share:
            yield _problem(
                profile,
                f"eviction.hard.{types.MEMORY_SIGNAL}",
                f"{threshold.text} is another amount on each machine, and reserved.memory has to hold it.",
                "Write an amount, for instance 100Mi.",
            )
            continue
        amounts = [part["memory"].value for part in (reserved.system, reserved.kube) if "memory" in part]
        wanted = sum(amounts, threshold.value)
        kept = sum((amount.value for amount in reserved.memory.values()), Fraction(0))
        if kept != wanted:
            yield _problem(
                profile,
                "reserved.memory",
                f"the NUMA nodes keep {_mebibytes(kept)} together; reserved.system, reserved.kube and the hard"
                f" threshold of memory ({threshold.text}) are {_mebibytes(wanted)}.",
                "Make them equal.",
            )


@rule("ES890-shutdown-too-short", ERROR, "the kubelet does not start", _VALIDATION)
def shutdown_too_short(estate: model.Estate) -> Iterator[Problem]:
    for profile in estate.profiles.values():
        total, critical = profile.shutdown.total_seconds, profile.shutdown.critical_seconds
        if critical is not None and critical > (total or 0):
            yield _problem(
                profile,
                "shutdown.critical_seconds",
                f"critical pods get {critical} of {total or 0} seconds.",
                "Lower it, or raise total_seconds: critical pods get the last part of it.",
            )


@rule("ES891-nvidia-without-gpu", WARNING, "pods of the class nvidia come to a node without GPUs", "group gpu")
def nvidia_without_gpu(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        profile = runtime.profile_of(estate, host)
        if profile is not None and types.NVIDIA in profile.runtimes and model.GPU_GROUP not in host.groups:
            yield Problem(
                host.name,
                "runtime_profile",
                f"profile {profile.name} has the runtime nvidia, and the host is not in the group {model.GPU_GROUP}.",
                "Add it to the group, or give it another profile.",
            )


@rule(
    "ES892-crun-without-checksum", ERROR, "what is downloaded would be taken unseen", "crun: releases are signed only"
)
def crun_without_checksum(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        profile = runtime.profile_of(estate, host)
        if profile is not None and types.CRUN in profile.runtimes and types.CRUN not in host.runtime_checksums:
            yield Problem(
                host.name,
                "container_runtime_sha256.crun",
                f"profile {profile.name} has the runtime crun, of which no checksum is published.",
                "Set it to the SHA-256 of the release that you have verified.",
            )


def _problem(profile: types.Profile, variable: str, message: str, remedy: str) -> Problem:
    return Problem("", f"{PROFILES}.{profile.name}.{variable}", message, remedy)


def _mebibytes(amount: Fraction) -> str:
    return f"{float(amount / 1024**2):g}Mi"
