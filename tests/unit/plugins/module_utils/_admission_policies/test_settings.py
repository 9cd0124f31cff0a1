# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies.documents import documents_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies.settings import (
    PriorityClass,
    Settings,
    SettingsError,
    read,
)

AUDIT = {"mode": "audit"}


@pytest.mark.parametrize("off", ["off", False, None])
def test_what_is_off_needs_nothing(off):
    assert documents_of(read({"lxcfs": {"mode": off}, "priority": {"mode": off}})) == []


def test_nothing_said_is_off():
    assert read({}) == Settings()
    assert documents_of(Settings()) == []


def test_kube_system_is_excluded_always():
    assert read({"excluded_namespaces": ["infra"]}).excluded == ("kube-system", "infra")


def test_classes():
    given = {"gold": {"value": 5}, "lead": {"value": -5, "preempts": False}}
    assert read({"priority": {"mode": "enforce", "classes": given}}).priority.classes == (
        PriorityClass("gold", 5, True),
        PriorityClass("lead", -5, False),
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lxcfs": {"mode": "on"}}, "lxcfs.mode: 'on' is none of off, audit, enforce."),
        ({"lxcfs": {"mode": True}}, "lxcfs.mode: True is none of off, audit, enforce."),
        ({"lxcfs": "enforce"}, "lxcfs: it has to be a mapping, not 'enforce'."),
        ({"lxcfs": {**AUDIT, "lable": "x"}}, "lxcfs.lable: unknown; it has label, mode, runtime_classes."),
        ({"lxcfs": {**AUDIT, "label": "a b"}}, "lxcfs.label: 'a b' is no key of a label."),
        (
            {"lxcfs": {**AUDIT, "runtime_classes": "nvidia"}},
            "lxcfs.runtime_classes: it has to be a list, not 'nvidia'.",
        ),
        ({"equal_requests": AUDIT}, "equal_requests.namespaces: no namespace is named"),
        ({"equal_requests": {**AUDIT, "namespaces": ["Shop"]}}, "equal_requests.namespaces: 'Shop' is no name"),
        ({"equal_requests": {**AUDIT, "namespaces": ["kube-system"]}}, "namespaces: kube-system is excluded"),
        (
            {"excluded_namespaces": ["a"], "anti_affinity": {**AUDIT, "namespaces": ["a"]}},
            "anti_affinity.namespaces: a is excluded",
        ),
        (
            {"equal_requests": {**AUDIT, "namespaces": ["a"], "resources": ["disk"]}},
            "equal_requests.resources: disk is none of cpu, memory.",
        ),
        (
            {"equal_requests": {**AUDIT, "namespaces": ["a"], "resources": []}},
            "equal_requests.resources: nothing is none of cpu, memory.",
        ),
        ({"ephemeral_storage": {**AUDIT, "limit": "much"}}, "ephemeral_storage.limit: 'much' is no amount"),
        ({"ephemeral_storage": {**AUDIT, "request": "0"}}, "ephemeral_storage.request: '0' is no amount"),
        ({"ephemeral_storage": {**AUDIT, "request": "11Gi"}}, "request: 11Gi is more than the limit 10Gi."),
        ({"anti_affinity": {**AUDIT, "weight": 0}}, "anti_affinity.weight: 0 is no number from 1 to 100."),
        ({"anti_affinity": {**AUDIT, "weight": "50"}}, "anti_affinity.weight: '50' is no number from 1 to 100."),
        ({"anti_affinity": {**AUDIT, "topology_key": ""}}, "anti_affinity.topology_key: '' is no key of a label."),
        ({"priority": {**AUDIT, "classes": {"a": {}}}}, "priority.classes.a.value: None is no number"),
        (
            {"priority": {**AUDIT, "classes": {"a": {"value": 2_000_000_000}}}},
            "priority.classes.a.value: 2000000000 is",
        ),
        ({"priority": {**AUDIT, "classes": {"system-a": {"value": 1}}}}, "priority.classes.system-a: no name"),
        ({"priority": {**AUDIT, "classes": {"a": {"value": 1, "preempts": "no"}}}}, "a.preempts: 'no' is neither"),
        ({"priority": {**AUDIT, "classes": {"a": {"value": 1, "preempt": 1}}}}, "priority.classes.a.preempt: unknown"),
        ({"priority": {**AUDIT, "classes": ["a"]}}, "priority.classes: it has to be a mapping"),
        ({"priorities": AUDIT}, "admission_policies_priorities: unknown"),
        ({"excluded_namespaces": ["a b"]}, "admission_policies_excluded_namespaces: 'a b' is no name"),
        ({"excluded_namespaces": "infra"}, "admission_policies_excluded_namespaces: it has to be a list"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(settings, said):
    with pytest.raises(SettingsError) as refused:
        read(settings)
    assert said in str(refused.value)
    assert str(refused.value).startswith("admission_policies_")
    assert "\n" not in str(refused.value), "one fault, one line"


def test_all_faults_at_once():
    with pytest.raises(SettingsError) as refused:
        read({"lxcfs": {"mode": "on"}, "anti_affinity": {"mode": "often", "weight": 500}, "equal_requests": AUDIT})
    assert len(str(refused.value).splitlines()) == 4
