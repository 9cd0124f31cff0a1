# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exact arguments of every module that the role switch_bgp calls for NX-OS, EOS and SONiC.

No such switch is here: the modules are stand-ins that note their arguments and answer what the cases say. What is
called in which case stands beside this file, one file a platform; the real modules' argument specifications accept it
(tests/integration/test_switch_modules.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CASES = Path(__file__).parent / "switch_bgp"
PLATFORMS = ("nxos", "eos", "sonic")
MODULES = {
    "cisco.nxos": ("nxos_bgp_global", "nxos_bgp_templates", "nxos_config", "nxos_prefix_lists"),
    "arista.eos": ("eos_bgp_address_family", "eos_bgp_global", "eos_config", "eos_route_maps"),
    "dellemc.enterprise_sonic": ("sonic_bgp", "sonic_bgp_neighbors", "sonic_facts", "sonic_prefix_lists"),
}
STAND_IN = """\
#!/usr/bin/python
# WANT_JSON
import json, os, sys
given = {{k: v for k, v in json.load(open(sys.argv[1])).items() if not k.startswith("_ansible_")}}
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps({{"{name}": given}}) + "\\n")
asked = given.get("state") == "gathered" or "facts" in "{name}"
print(json.dumps({{"changed": False, **(json.load(open(os.environ["ANSWERS"])) if asked else {{}})}}))
"""
PLAY = """\
- hosts: switches
  gather_facts: false
  environment: {CALLS: "{{ calls }}", ANSWERS: "{{ answers }}"}
  roles: [hybridk8s.estate.switch_bgp]
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ dict(groups.switches | zip(groups.switches | map('extract', hostvars, 'switch_bgp_result'))) }}"
        dest: "{{ playbook_dir }}/results.json"
"""
ESTATE: dict[str, Any] = {
    "estate_name": "lab",
    "estate_kubernetes_version": "1.36.3",
    "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.21.0.0/16"}},
    "estate_bgp": {"as": 64512, "import": ["10.99.0.0/16"]},
}
REFLECTORS = {"cp1": "10.20.1.11", "w1": "10.20.1.12"}


def cases() -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for platform in PLATFORMS:
        for name, case in yaml.safe_load((CASES / f"{platform}.yml").read_text()).items():
            found.append((platform, name, case))
    return found


def host_of(platform: str, name: str) -> str:
    return f"{platform}-{name}".replace("_", "-")


def inventory(directory: Path) -> dict[str, Any]:
    """One rack with the same two reflectors and one switch for each case."""
    switches = {}
    for platform, name, case in cases():
        host = host_of(platform, name)
        answers = directory / f"{host}.answers"
        answers.write_text(json.dumps(case["there"]))
        switches[host] = {
            "ansible_host": "10.20.1.1",
            "switch_bgp_platform": platform,
            "calls": str(directory / f"{host}.calls"),
            "answers": str(answers),
            **case.get("variables", {}),
        }
    nodes = {name: {"ansible_host": address, "rack": "r1"} for name, address in REFLECTORS.items()}
    racks = {"r1": {"subnet": "10.20.1.0/24", "switches": list(switches), "as": 64901, "password": "s3cret"}}
    return {
        "all": {
            "vars": {
                **ESTATE,
                "estate_racks": racks,
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
            },
            "children": {
                "switches": {"hosts": switches},
                "kubernetes": {"children": {"control_plane": {"hosts": {"cp1": nodes["cp1"]}}, "workers": {}}},
                "workers": {"hosts": {"w1": nodes["w1"]}},
                "bare_metal": {"hosts": {name: {} for name in nodes}},
                "route_reflectors": {"hosts": {name: {} for name in nodes}},
            },
        }
    }


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """All cases in one run: where the calls are noted, and what the run printed."""
    directory = tmp_path_factory.mktemp("switches")
    for collection, modules in MODULES.items():
        folder = (
            directory / "collections" / "ansible_collections" / Path(*collection.split(".")) / "plugins" / "modules"
        )
        folder.mkdir(parents=True)
        for module in modules:
            (folder / f"{module}.py").write_text(STAND_IN.format(name=f"{collection}.{module}"))
    (directory / "hosts.json").write_text(json.dumps(inventory(directory)))
    (directory / "play.yml").write_text(PLAY)
    repository = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(repository / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{directory / 'collections'}:{repository / '.cache'}",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.json", "play.yml"]
    run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    return directory, run.stdout + run.stderr


@pytest.mark.parametrize(("platform", "name", "case"), cases(), ids=[host_of(p, n) for p, n, _case in cases()])
def test_modules_are_called_with_these_arguments(
    platform: str, name: str, case: dict[str, Any], played: tuple[Path, str]
) -> None:
    directory, output = played
    noted = directory / f"{host_of(platform, name)}.calls"
    calls = [json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else []
    assert calls == case["calls"], output[-6000:]


def test_refusals_name_the_host_and_the_remedy(played: tuple[Path, str]) -> None:
    _directory, output = played
    for platform, name, case in cases():
        told = [line for line in output.splitlines() if f"[{host_of(platform, name)}]" in line and "fatal" in line]
        assert bool(told) == ("refused" in case), (platform, name, told)
        assert case.get("refused", "") in " ".join(told)


def test_what_waits_and_what_failed_is_kept_for_the_role_bgp(played: tuple[Path, str]) -> None:
    directory, _output = played
    results = json.loads((directory / "results.json").read_text())
    for platform, name, case in cases():
        kept = results[host_of(platform, name)]
        if "refused" in case:
            assert kept["failed"] is True
            continue
        waiting = {one["neighbour"]: one["attributes"] for one in kept["pending"]}
        assert waiting == case.get("pending", {}), (platform, name)


def test_no_password_is_printed(played: tuple[Path, str]) -> None:
    assert "s3cret" not in played[1]
