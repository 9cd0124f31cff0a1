"""The real modules of the switches' platforms take what the role switch_bgp tells them.

No such switch is here: their argument specifications are asked, and where a module can say without a switch what it
would type there, that is looked at. What is told stands in tests/unit/roles/switch_bgp; a test there proves that it is.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.hybridk8s.estate.plugins.filter.switch_bgp_arguments import switch_bgp_arguments

from tests.ansible_package import collections_path
from tests.integration.module_process import call

CASES = Path(__file__).parents[1] / "unit" / "roles" / "switch_bgp"
COLLECTIONS = {"nxos": "cisco.nxos", "eos": "arista.eos", "sonic": "dellemc.enterprise_sonic"}
# Modules whose argument specification is in the module itself take these of what we tell them.
CONFIG_MODULES = {"nxos_config", "eos_config"}


@pytest.fixture(scope="module", autouse=True)
def swept() -> None:
    """These tests need no API server."""


@pytest.fixture(scope="module")
def collections() -> Path:
    return collections_path(*COLLECTIONS.values()) / "ansible_collections"


def cases(platform: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((CASES / f"{platform}.yml").read_text())
    return found


def calls_of(case: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every call of a case: its module and the arguments."""
    return [item for one in case["calls"] for item in one.items()]


def specification(collections: Path, platform: str, module: str) -> dict[str, Any]:
    """The argument specification out of the module's collection."""
    resource = module.removeprefix(f"{platform}_")
    folder = collections / Path(*COLLECTIONS[platform].split("."))
    file = folder / "plugins" / "module_utils" / "network" / platform / "argspec" / resource / f"{resource}.py"
    spec = importlib.util.spec_from_file_location(f"argspec_{module}", file)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    (holder,) = (value for name, value in vars(loaded).items() if name.endswith("Args"))
    found: dict[str, Any] = holder.argument_spec
    return found


def documented(collections: Path, platform: str, module: str) -> dict[str, Any]:
    """The options that a module's documentation names, for those that have no specification beside them."""
    file = collections / Path(*COLLECTIONS[platform].split(".")) / "plugins" / "modules" / f"{module}.py"
    documentation = file.read_text().split('DOCUMENTATION = """', 1)[1].split('"""', 1)[0]
    options: dict[str, Any] = yaml.safe_load(documentation)["options"]
    return {
        name: {
            key: value for key, value in option.items() if key in ("type", "elements", "choices", "required", "aliases")
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("platform", COLLECTIONS)
def test_the_modules_accept_what_they_are_told(platform: str, collections: Path) -> None:
    calls = [item for case in cases(platform).values() for item in calls_of(case)]
    assert len({module for module, _arguments in calls}) == 4
    for name, arguments in calls:
        module = name.rpartition(".")[2]
        source = documented if module in CONFIG_MODULES else specification
        checked = ArgumentSpecValidator(source(collections, platform, module)).validate(arguments)
        assert not checked.error_messages, (module, arguments, checked.error_messages)
        assert not checked.unsupported_parameters, (module, checked.unsupported_parameters)


@pytest.mark.parametrize(
    ("platform", "module", "arguments"),
    [
        ("nxos", "nxos_bgp_global", {"config": {"as_number": "1", "neighbors": [{"neighbour_address": "10.0.0.1"}]}}),
        ("eos", "eos_bgp_global", {"config": {"as_number": "1", "neighbor": [{"remote_as": "1", "password": "x"}]}}),
        ("sonic", "sonic_bgp_neighbors", {"config": [{"bgp_as": "1", "neighbors": [{"remote_as": {"peer_as": "1"}}]}]}),
    ],
)
def test_what_a_module_does_not_know_would_be_noticed(
    platform: str, module: str, arguments: dict[str, Any], collections: Path
) -> None:
    assert ArgumentSpecValidator(specification(collections, platform, module)).validate(arguments).error_messages


# What a person would type on the switch for the case `fresh`, without passwords.
TYPED = {
    "nxos": [
        "ip prefix-list ESTATE-LAB-PODS seq 5 permit 10.21.0.0/16 ge 26 le 32",
        "ip prefix-list ESTATE-LAB-OUTSIDE seq 5 permit 10.99.0.0/16 le 32",
        "router bgp 64901",
        "template peer ESTATE-LAB",
        "timers 10 30",
        "address-family ipv4 unicast",
        "maximum-prefix 2048 80 restart 5",
        "prefix-list ESTATE-LAB-PODS in",
        "prefix-list ESTATE-LAB-OUTSIDE out",
        "soft-reconfiguration inbound",
        "router bgp 64901",
        "neighbor 10.20.1.11",
        "remote-as 64512",
        "description cp1 #f427cbff",
        "ebgp-multihop 2",
        "inherit peer ESTATE-LAB",
        "neighbor 10.20.1.12",
        "remote-as 64512",
        "description w1 #3947698b",
        "ebgp-multihop 2",
        "inherit peer ESTATE-LAB",
    ],
    "eos": [
        "route-map ESTATE-LAB-IN permit 10",
        "match ip address prefix-list ESTATE-LAB-PODS",
        "router bgp 64901",
        "neighbor 10.20.1.11 remote-as 64512",
        "neighbor 10.20.1.11 route-map ESTATE-LAB-IN in",
        "neighbor 10.20.1.11 prefix-list ESTATE-LAB-OUTSIDE out",
        "neighbor 10.20.1.11 timers 10 30",
        "neighbor 10.20.1.11 ebgp-multihop 2",
        "neighbor 10.20.1.11 maximum-routes 2048 warning-limit 80 percent",
        "neighbor 10.20.1.11 idle-restart-timer 300",
        "neighbor 10.20.1.11 description cp1 #23a480c8",
        "neighbor 10.20.1.12 remote-as 64512",
        "neighbor 10.20.1.12 route-map ESTATE-LAB-IN in",
        "neighbor 10.20.1.12 prefix-list ESTATE-LAB-OUTSIDE out",
        "neighbor 10.20.1.12 timers 10 30",
        "neighbor 10.20.1.12 ebgp-multihop 2",
        "neighbor 10.20.1.12 maximum-routes 2048 warning-limit 80 percent",
        "neighbor 10.20.1.12 idle-restart-timer 300",
        "neighbor 10.20.1.12 description w1 #ea1589eb",
        "router bgp 64901",
        "address-family ipv4",
        "neighbor 10.20.1.11 activate",
        "neighbor 10.20.1.12 activate",
        "exit",
    ],
}
RUNNING = {
    "nxos": """\
router bgp 64901
  template peer ESTATE-LAB
    timers 10 30
  neighbor 10.20.1.11
    inherit peer ESTATE-LAB
    remote-as 64512
    ebgp-multihop 2
    password 3 abcdef
  neighbor 10.20.1.13
    inherit peer ESTATE-LAB
    remote-as 64512
  neighbor 10.20.1.99
    inherit peer SPINE
    remote-as 64999
""",
    "eos": """\
router bgp 64901
   neighbor 10.20.1.11 remote-as 64512
   neighbor 10.20.1.11 ebgp-multihop 2
   neighbor 10.20.1.11 route-map ESTATE-LAB-IN in
   neighbor 10.20.1.11 prefix-list ESTATE-LAB-OUTSIDE out
   neighbor 10.20.1.11 password 7 abcdef
   neighbor 10.20.1.13 remote-as 64512
   neighbor 10.20.1.13 route-map ESTATE-LAB-IN in
   neighbor 10.20.1.99 remote-as 64999
   neighbor 10.20.1.99 route-map SPINE-IN in
""",
}
WANTED = {
    "estate": "lab",
    "as_number": 64901,
    "neighbours": [{"address": "10.20.1.11", "remote_as": 64513, "password": "s3cret"}],
}


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules can be imported, and what they import."""
    monkeypatch.syspath_prepend(str(collections_path(*COLLECTIONS.values(), "ansible.netcommon", "ansible.utils")))


def ask(module: str, **arguments: Any) -> dict[str, Any]:
    """What a real module answers where it needs no switch for it."""
    collection, _dot, name = module.rpartition(".")
    return call(importlib.import_module(f"ansible_collections.{collection}.plugins.modules.{name}"), arguments)


def without_passwords(value: Any) -> Any:
    """Modules hide every text in their answer that is like part of a secret, and 0 is the kind of a clear password."""
    if isinstance(value, list):
        return [without_passwords(item) for item in value]
    if isinstance(value, dict):
        return {key: without_passwords(item) for key, item in value.items() if "password" not in key}
    return value


@pytest.mark.parametrize("platform", TYPED)
def test_what_a_module_would_type(platform: str, modules: None) -> None:
    typed = []
    for name, arguments in calls_of(cases(platform)["fresh"]):
        if arguments.get("state") in ("merged", "replaced"):
            typed += ask(name, config=without_passwords(arguments["config"]), state="rendered")["rendered"]
    assert typed == TYPED[platform]


@pytest.mark.parametrize("platform", RUNNING)
def test_what_a_module_gathers_is_understood(platform: str, modules: None) -> None:
    module = f"{COLLECTIONS[platform]}.{platform}_bgp_global"
    there = ask(module, running_config=RUNNING[platform], state="parsed")["parsed"]
    calls = switch_bgp_arguments(WANTED, platform, there, may_reset=[])
    assert calls["removals"] == ["no neighbor 10.20.1.13"]
    (waiting,) = calls["pending"]
    assert (waiting["neighbour"], len(waiting["attributes"])) == ("10.20.1.11", 2)
    assert set(waiting["attributes"]) < {"remote_as", "password", "encryption_password"}
    (told_now,) = calls["neighbors"].get("neighbors") or calls["neighbors"]["neighbor"]
    assert not {"remote_as", "password", "encryption_password"} & set(told_now)
    with pytest.raises(AnsibleFilterError, match=r"10\.20\.1\.99 is configured outside"):
        switch_bgp_arguments({**WANTED, "neighbours": [{"address": "10.20.1.99", "remote_as": 1}]}, platform, there)
    with pytest.raises(AnsibleFilterError, match="switch_bgp_router_as: 64901"):
        switch_bgp_arguments({**WANTED, "as_number": 64902}, platform, there)
