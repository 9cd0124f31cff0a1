# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw variables to an Estate, with a finding for everything that cannot be read; private to this collection.

This module knows types and names; what is readable but wrong is the business of :mod:`rules`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies import settings as policies
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model, parse_cloud, parse_profile
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.reader import Reader
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean, listed, shown
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import WARNING, Finding

# What each code of this module means: the rationale that documentation prints beside it.
READING_CODES: Mapping[str, str] = {
    "ES001-unreadable-variable": "a template that fails would stop a play half-way",
    "ES002-missing-variable": "nothing can be derived without it",
    "ES003-wrong-type": "a value of another type would be misread or refused later, on the host",
    "ES004-unknown-variable": "a misspelt variable is silently ignored by Ansible",
    "ES005-unknown-key": "a misspelt key is silently ignored by Ansible",
    "ES006-missing-key": "nothing can be derived without it",
    "ES007-differs-between-hosts": "estate_* variables describe the whole estate; two values mean two clusters",
    "ES008-looks-misspelt": "a host variable that is almost one of ours is most likely meant to be it",
    "ES009-unknown-choice": "only the listed values have a meaning",
    "ES010-not-a-network": "address plans are IPv4 networks in CIDR form",
    "ES011-host-bits-set": "10.0.0.5/24 may mean the host or the network; Kubernetes and Calico refuse it",
    "ES012-not-an-address": "node and switch addresses are IPv4 literals; names would need DNS before there is any",
    "ES013-not-a-version": "downloads are pinned by the full release number",
    "ES014-not-an-endpoint": "kubeadm needs controlPlaneEndpoint as host:port",
    "ES015-not-a-base-url": "paths are appended to it",
    "ES016-not-a-string": "Kubernetes refuses labels and annotations that are not strings",
    "ES017-not-an-as-number": "AS numbers are written as plain integers; 1.10 in YAML is the number 1.1",
    "ES018-not-a-taint": "a taint is a mapping of key, value and effect",
    "ES019-not-a-number": "timers and limits are whole numbers, each within what routers and clouds take",
    "ES020-not-a-date": "the day on which machines are released must not be guessed",
    "ES021-not-an-api-address": "requests are sent to it, with scheme and path added",
    "ES022-not-a-quantity": "the kubelet reads amounts as Kubernetes writes them, and does not start with others",
    "ES023-not-a-policy": "an admission policy that says something else than it was meant to refuses or changes pods",
}

ESTATE_VARIABLES: tuple[str, ...] = (
    "estate_name",
    "estate_kubernetes_version",
    "estate_api_endpoint",
    "estate_networks",
    "estate_bgp",
    "estate_racks",
    "estate_mirror",
    "estate_cloud",
    "estate_cloud_pools",
    "estate_runtime_profiles",
)
# For the control station (-e, or group_vars): not a description of the estate.
RUN_VARIABLES: tuple[str, ...] = (
    "estate_downloads_at_once",
    "estate_kubeconfig",
    "estate_report",
    "estate_restarts_at_once",
    "estate_run",
)
REQUIRED_ESTATE_VARIABLES: tuple[str, ...] = ("estate_name", "estate_kubernetes_version", "estate_networks")

_TRAITS = tuple(trait.name for trait in fields(model.NodeTraits))
_OWN_HOST_VARIABLES = (
    "ansible_host",
    "rack",
    "node_class",
    "node_labels",
    "node_annotations",
    "node_taints",
    "route_reflector_cluster_id",
    "bgp_as",
    "runtime_profile",
    *(f"node_{trait}" for trait in _TRAITS),
)
# Variables of roles; the roles' argument specifications know their neighbours.
_ROLE_VARIABLES = (
    *policies.VARIABLES,
    "container_runtime_containerd_version",
    "container_runtime_runc_version",
    "container_runtime_sha256",
    "kubernetes_node_version",
    "switch_bgp_platform",
    "switch_bgp_router_as",
)
_VM = tuple(entry.name for entry in fields(model.Vm))
HOST_VARIABLES: tuple[str, ...] = (*_OWN_HOST_VARIABLES, *_ROLE_VARIABLES, *(f"ecs_{name}" for name in _VM))
READ_VARIABLES: tuple[str, ...] = ESTATE_VARIABLES + HOST_VARIABLES

# Names that people bring along from elsewhere and that are too far from ours for difflib.
_OTHER_NAMES: Mapping[str, str] = {
    "labels": "node_labels",
    "annotations": "node_annotations",
    "taints": "node_taints",
    "cluster_id": "route_reflector_cluster_id",
    "cpu_model": "node_cpu_model",
    "gpu_model": "node_gpu_model",
    "io_class": "node_io_class",
    "rack_name": "rack",
    "node_rack": "rack",
}
_MISSPELT_CUTOFF = 0.84
_BGP_KEYS = ("as", "import", "timers", "max_prefix", "password", "reflectors_per_rack", "services")
_RACK_KEYS = ("subnet", "switches", "as", "gateway", "cluster_id", "password")
_MOST_REFLECTORS = 16
_LONGEST_TIMER = 65535
_MOST_PREFIXES = 4294967295
_ABSENT = object()


@dataclass(frozen=True)
class Unreadable:
    """A variable whose value could not be had at all: an undefined name, a broken template, a locked vault."""

    host: str
    variable: str
    reason: str


@dataclass(frozen=True)
class Parsed:
    """What could be read, and what could not."""

    estate: model.Estate
    findings: tuple[Finding, ...]


def parse(
    hosts: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    unreadable: Iterable[Unreadable] = (),
    clear_secrets: Iterable[model.ClearSecret] = (),
    controller_becomes: bool = False,
) -> Parsed:
    """Make an Estate of ``hosts`` (variables by host name) and ``groups`` (host names by group name).

    Never raises for bad input: what cannot be read is left out of the Estate and reported. ``unreadable`` names
    variables that the caller could not render; they are reported once and not called missing as well.
    ``clear_secrets`` and ``controller_becomes`` are what the caller found, for the rules about them. Hosts in none of
    our groups (a bastion, say) are known by name only.
    """
    reader = Reader()
    lost = {(item.host, item.variable) for item in unreadable}
    member_of = _memberships(groups)
    ours = {name: variables for name, variables in hosts.items() if member_of.get(name)} or hosts
    for item in unreadable:
        reader.report(
            "ES001-unreadable-variable",
            item.host,
            item.variable,
            f"its value cannot be computed: {item.reason}.",
            "Define what it refers to, or correct the expression; a vaulted value needs its vault password.",
        )
    estate_wide = _estate_wide(reader, ours, lost)
    with_as = {str(name) for name, variables in ours.items() if variables.get("bgp_as") is not None}
    racks = _racks(reader, estate_wide.get("estate_racks"), with_as)
    estate = model.Estate(
        name=reader.text("", "estate_name", estate_wide.get("estate_name")) or "",
        kubernetes_version=reader.version(
            "", "estate_kubernetes_version", estate_wide.get("estate_kubernetes_version"), "1.36.3"
        ),
        api_endpoint=reader.endpoint("", "estate_api_endpoint", estate_wide.get("estate_api_endpoint")),
        networks=_networks(reader, estate_wide.get("estate_networks")),
        bgp=_bgp(reader, estate_wide.get("estate_bgp")),
        racks=racks,
        mirror=_mirror(reader, estate_wide.get("estate_mirror")),
        cloud=parse_cloud.cloud(reader, estate_wide.get("estate_cloud")),
        vm_pools=parse_cloud.vm_pools(reader, estate_wide.get("estate_cloud_pools")),
        profiles=parse_profile.profiles(reader, estate_wide.get("estate_runtime_profiles")),
        hosts=_hosts(reader, hosts, member_of, racks, lost),
        groups={str(name): tuple(str(member) for member in members) for name, members in groups.items()},
        clear_secrets=tuple(clear_secrets),
        controller_becomes=controller_becomes,
    )
    _policies(reader, [hosts[host.name] for host in estate.control_planes])
    return Parsed(estate, tuple(reader.findings))


def _policies(reader: Reader, control_planes: Sequence[Mapping[str, Any]]) -> None:
    """What is wrong with admission policies, which are applied with the variables of the first control plane."""
    variables = control_planes[0] if control_planes else {}
    given = {name[len(policies.PREFIX) :]: variables[name] for name in policies.VARIABLES if name in variables}
    try:
        policies.read(given)
    except policies.SettingsError as error:
        for variable, said in error.faults:
            reader.report("ES023-not-a-policy", "", variable, said, "See the role admission_policies.")


def _estate_wide(reader: Reader, hosts: Mapping[str, Mapping[str, Any]], lost: set[tuple[str, str]]) -> dict[str, Any]:
    """The estate_* variables: the value that most hosts have, with findings for those that differ."""
    known = ESTATE_VARIABLES + RUN_VARIABLES
    names = {name for variables in hosts.values() for name in variables if name.startswith("estate_")}
    for name in sorted(names.difference(known)):
        guess = did_you_mean(name, known)
        holders = [host for host, variables in hosts.items() if name in variables]
        reader.report(
            "ES004-unknown-variable",
            holders[0] if len(holders) == 1 else "",
            name,
            "there is no such variable; names that begin with estate_ belong to this collection.",
            f"Did you mean {guess!r}?" if guess else f"Rename or remove it. Known: {', '.join(known)}.",
        )
    values: dict[str, Any] = {}
    for name in ESTATE_VARIABLES:
        groups = _by_value(hosts, name, lost)
        if not groups:
            continue
        common, _holders = max(groups, key=lambda group: len(group[1]))
        for value, holders in groups:
            if value is common:
                continue
            has = "has" if len(holders) == 1 else "have"
            own = "no value" if value is _ABSENT else shown(value)
            others = "none" if common is _ABSENT else shown(common)
            reader.report(
                "ES007-differs-between-hosts",
                holders[0] if len(holders) == 1 else "",
                name,
                f"{listed(holders)} {has} {own}; the others have {others}.",
                "Set it once, in group_vars/all.",
            )
        values[name] = next(value for value in (common, *(value for value, _holders in groups)) if value is not _ABSENT)
    racks = any(variables.get("rack") is not None for variables in hosts.values())
    for name in (*REQUIRED_ESTATE_VARIABLES, *(("estate_racks",) if racks else ())):
        if values.get(name) is None and not any(variable == name for _host, variable in lost):
            reader.report("ES002-missing-variable", "", name, "it is not set.", f"Set {name} in group_vars/all.")
    return values


def _by_value(
    hosts: Mapping[str, Mapping[str, Any]], name: str, lost: set[tuple[str, str]]
) -> list[tuple[Any, list[str]]]:
    """Hosts by the value that they have of a variable; nothing when no host has it."""
    groups: list[tuple[Any, list[str]]] = []
    for host, variables in hosts.items():
        if (host, name) in lost:
            continue
        value = variables.get(name, _ABSENT)
        for known, holders in groups:
            if known is value or (known is not _ABSENT and value is not _ABSENT and known == value):
                holders.append(host)
                break
        else:
            groups.append((value, [host]))
    return groups if any(value is not _ABSENT for value, _holders in groups) else []


def _networks(reader: Reader, value: Any) -> model.Networks:
    plan = reader.mapping("", "estate_networks", value)
    if plan:
        reader.keys("", "estate_networks", plan, ("services", "pods", "reserved"), ("services", "pods"))
    pods: dict[str, IPv4Network] = {}
    raw_pods = reader.mapping("", "estate_networks.pods", plan.get("pods"))
    reader.keys("", "estate_networks.pods", raw_pods, model.NODE_CLASSES)
    for node_class in model.NODE_CLASSES:
        network = reader.network("", f"estate_networks.pods.{node_class}", raw_pods.get(node_class))
        if network is not None:
            pods[node_class] = network
    return model.Networks(
        services=reader.network("", "estate_networks.services", plan.get("services")),
        pods=pods,
        reserved=reader.networks("estate_networks.reserved", plan.get("reserved")),
    )


def _bgp(reader: Reader, value: Any) -> model.Bgp | None:
    if value is None:
        return None
    raw = reader.mapping("", "estate_bgp", value)
    reader.keys("", "estate_bgp", raw, _BGP_KEYS, ("as",))
    return model.Bgp(
        as_number=reader.as_number("", "estate_bgp.as", raw.get("as")),
        imports=reader.networks("estate_bgp.import", raw.get("import")),
        timers=_timers(reader, "estate_bgp.timers", raw.get("timers")),
        max_prefix=reader.integer("estate_bgp.max_prefix", raw.get("max_prefix"), 1, _MOST_PREFIXES),
        password=reader.secret("estate_bgp.password", raw.get("password")),
        services=_services(reader, "estate_bgp.services", raw.get("services")),
        reflectors_per_rack=reader.integer(
            "estate_bgp.reflectors_per_rack", raw.get("reflectors_per_rack"), 0, _MOST_REFLECTORS
        )
        or 0,
    )


def _services(reader: Reader, variable: str, value: Any) -> model.Services | None:
    if value is None:
        return None
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, ("cluster_ips", "external_ips", "load_balancer_ips"))
    return model.Services(
        cluster_ips=reader.boolean(f"{variable}.cluster_ips", raw.get("cluster_ips")),
        external_ips=reader.networks(f"{variable}.external_ips", raw.get("external_ips")),
        load_balancer_ips=reader.networks(f"{variable}.load_balancer_ips", raw.get("load_balancer_ips")),
    )


def _timers(reader: Reader, variable: str, value: Any) -> model.Timers:
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, tuple(model.USUAL_TIMERS))
    return model.Timers(
        **{name: reader.integer(f"{variable}.{name}", raw.get(name), 1, _LONGEST_TIMER) for name in model.USUAL_TIMERS}
    )


def _racks(reader: Reader, value: Any, with_as: Collection[str]) -> dict[str, model.Rack]:
    """The racks; ``with_as`` names the switches that have an AS of their own."""
    racks: dict[str, model.Rack] = {}
    for name, item in sorted(reader.mapping("", "estate_racks", value).items()):
        variable = f"estate_racks.{name}"
        raw = reader.mapping("", variable, {} if item is None else item)
        switches = reader.texts("", f"{variable}.switches", raw.get("switches"))
        required = ("subnet", "as") if any(switch not in with_as for switch in switches) else ("subnet",)
        reader.keys("", variable, raw, _RACK_KEYS, required)
        racks[name] = model.Rack(
            name=name,
            subnet=reader.network("", f"{variable}.subnet", raw.get("subnet")),
            switches=switches,
            as_number=reader.as_number("", f"{variable}.as", raw.get("as")),
            gateway=reader.address("", f"{variable}.gateway", raw.get("gateway")),
            cluster_id=reader.address("", f"{variable}.cluster_id", raw.get("cluster_id")),
            password=reader.secret(f"{variable}.password", raw.get("password")),
        )
    return racks


def _mirror(reader: Reader, value: Any) -> model.Mirror | None:
    if value is None:
        return None
    raw = reader.mapping("", "estate_mirror", value)
    reader.keys("", "estate_mirror", raw, ("downloads", "registry"))
    return model.Mirror(
        downloads=reader.base_url("estate_mirror.downloads", raw.get("downloads"), path_allowed=True),
        registry=reader.base_url("estate_mirror.registry", raw.get("registry"), path_allowed=False),
    )


def _memberships(groups: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """The groups of ours that each host is in."""
    found: dict[str, set[str]] = {}
    for group in set(model.GROUPS).intersection(groups):
        for member in groups[group]:
            found.setdefault(str(member), set()).add(group)
    return {name: frozenset(names) for name, names in found.items()}


def _hosts(
    reader: Reader,
    hosts: Mapping[str, Mapping[str, Any]],
    member_of: Mapping[str, frozenset[str]],
    racks: Mapping[str, model.Rack],
    lost: set[tuple[str, str]],
) -> dict[str, model.Host]:
    rack_of_switch = {switch: rack.name for rack in racks.values() for switch in rack.switches}
    found: dict[str, model.Host] = {}
    for name in sorted(hosts):
        if name not in member_of:
            found[str(name)] = model.Host(str(name))
            continue
        found[str(name)] = _host(reader, str(name), hosts[name], member_of[name], rack_of_switch.get(name, ""))
        if hosts[name].get("ansible_host") is None and (name, "ansible_host") not in lost:
            reader.report(
                "ES002-missing-variable",
                str(name),
                "ansible_host",
                "it is not set.",
                "Set it to the host's IPv4 address: the node's InternalIP, the switch's address in its rack.",
            )
    return found


def _host(
    reader: Reader, name: str, variables: Mapping[str, Any], groups: frozenset[str], rack_of_switch: str
) -> model.Host:
    host = model.Host(name, groups)
    for variable in variables if host.is_node else ():
        _look_for_misspelling(reader, name, str(variable), variables)
    node_class = reader.choice(name, "node_class", variables.get("node_class"), model.NODE_CLASSES)
    class_is_assumed = not node_class and host.is_node and not groups & {model.BARE_METAL_GROUP, model.CLOUD_VMS_GROUP}
    if not node_class and host.is_node:
        node_class = model.CLOUD_VM if model.CLOUD_VMS_GROUP in groups else model.BARE_METAL
    rack = reader.text(name, "rack", variables.get("rack")) or ""
    return model.Host(
        name=name,
        groups=groups,
        address=reader.address(name, "ansible_host", variables.get("ansible_host")),
        rack=rack or (rack_of_switch if host.is_switch else ""),
        node_class=node_class,
        class_is_assumed=class_is_assumed,
        labels=reader.strings(name, "node_labels", variables.get("node_labels")),
        annotations=reader.strings(name, "node_annotations", variables.get("node_annotations")),
        taints=reader.taints(name, "node_taints", variables.get("node_taints")),
        traits=model.NodeTraits(
            **{trait: reader.text(name, f"node_{trait}", variables.get(f"node_{trait}")) or "" for trait in _TRAITS}
        ),
        cluster_id=reader.address(name, "route_reflector_cluster_id", variables.get("route_reflector_cluster_id")),
        bgp_as=reader.as_number(name, "bgp_as", variables.get("bgp_as")),
        platform=reader.choice(
            name, "switch_bgp_platform", variables.get("switch_bgp_platform"), model.SWITCH_PLATFORMS
        ),
        router_as=reader.as_number(name, "switch_bgp_router_as", variables.get("switch_bgp_router_as")),
        kubelet_version=reader.version(
            name, "kubernetes_node_version", variables.get("kubernetes_node_version"), "1.36.3"
        ),
        containerd_version=reader.version(
            name,
            "container_runtime_containerd_version",
            variables.get("container_runtime_containerd_version"),
            "2.3.7",
        ),
        runtime_checksums=frozenset(
            reader.mapping(name, "container_runtime_sha256", variables.get("container_runtime_sha256"))
        ),
        runtime_profile=reader.text(name, "runtime_profile", variables.get("runtime_profile")) or "",
        runc_version=reader.version(
            name, "container_runtime_runc_version", variables.get("container_runtime_runc_version"), "1.4.3"
        ),
        vm=model.Vm(
            **{entry: reader.text(name, f"ecs_{entry}", variables.get(f"ecs_{entry}") or None) or "" for entry in _VM}
        ),
    )


def _look_for_misspelling(reader: Reader, host: str, variable: str, variables: Mapping[str, Any]) -> None:
    meant = _misspelt(variable)
    if not meant or meant in variables:
        return
    reader.report(
        "ES008-looks-misspelt",
        host,
        variable,
        "no role reads this variable.",
        f"Did you mean {meant!r}? If it is your own, another name avoids the doubt.",
        WARNING,
    )


@lru_cache(maxsize=4096)
def _misspelt(variable: str) -> str:
    if variable in HOST_VARIABLES or variable.startswith("estate_"):
        return ""
    return _OTHER_NAMES.get(variable, "") or did_you_mean(variable, _OWN_HOST_VARIABLES, _MISSPELT_CUTOFF)
