# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ecs
short_description: Alibaba Cloud instances as hosts
description:
  - Reads the instances of one or more accounts and regions and makes hosts of them, called by the instances' names; of
    several with one name all but the oldest are called by their ids.
  - Those that M(hybridk8s.estate.ecs_instances) made come into the groups C(cloud_vms) and C(pool_POOL), with C(-) as
    C(_).
  - The inventory's file ends in C(ecs.yml) or C(ecs.yaml).
  - "Every host gets C(ansible_host), its address, and the variables C(ecs_instance_id), C(ecs_pool), C(ecs_region),
    C(ecs_zone), C(ecs_instance_type), C(ecs_vpc), C(ecs_vswitch), C(ecs_security_groups), C(ecs_image), C(ecs_status),
    C(ecs_provider_id), C(ecs_charge_type), C(ecs_created), C(ecs_expires) (the end of its subscription),
    C(ecs_auto_release), C(ecs_spot), and C(ecs_tags). Groups and further variables may be made of these."
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks the file as one of this plugin.
    type: str
    required: true
    choices: [hybridk8s.estate.ecs]
  estate:
    description: Only instances of this estate. Without it, all that have the tags of O(tags).
    type: str
    default: ''
  tags:
    description: Only instances that have all of these tags, with these values.
    type: dict
    default: {}
  accounts:
    description:
      - The accounts, each with O(accounts[].regions). Templates, such as a lookup of an environment variable, are
        rendered.
    type: list
    elements: dict
    required: true
    suboptions:
      regions: {description: Its regions, type: list, elements: str, required: true}
      credentials:
        description:
          - Its C(access_key_id), C(access_key_secret) and C(security_token), or C(ram_role). Without any, Alibaba's
            library looks in the environment and in its profile files.
        type: dict
        default: {}
      endpoints:
        description: C(ecs), as HOST or HOST:PORT, and C(scheme). By default the region's public endpoint.
        type: dict
        default: {}
  statuses:
    description: Instances in other states are left out.
    type: list
    elements: str
    default: [Pending, Starting, Running, Stopping, Stopped]
  released:
    description: Whether instances count whose release has begun. They hold no node any more.
    type: bool
    default: false
requirements:
  - alibabacloud-tea-openapi (Python library)
  - alibabacloud-credentials (Python library)
"""

EXAMPLES = r"""
# inventories/shenzhen/50-cloud.ecs.yml
plugin: hybridk8s.estate.ecs
estate: shenzhen-1
accounts:
  - regions: [cn-shenzhen]
    credentials:
      access_key_id: "{{ lookup('ansible.builtin.env', 'ACCESS_KEY_ID') }}"
      access_key_secret: "{{ lookup('ansible.builtin.env', 'ACCESS_KEY_SECRET') }}"
groups:
  workers: ecs_pool != ''
  gpu: ecs_instance_type.startswith('ecs.gn')
keyed_groups:
  - {key: ecs_zone, prefix: zone}
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: .cache/inventory
cache_timeout: 300
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    access_of,
    all_of,
    open_cloud,
    tags,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Access
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG, Instance
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import pool_group
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import CLOUD_VMS_GROUP
from jinja2 import Environment, TemplateSyntaxError, meta, nodes

# What they give differs although what they are given does not.
_NEVER_THE_SAME = frozenset({"random", "shuffle", "random_mac", "password_hash", "to_uuid"})


class RememberingTemplar:
    """A templar that evaluates an expression once for all hosts that agree in the variables it names.

    Ansible compiles an expression anew for each host, which for thousands takes longer than all else.
    """

    def __init__(self, templar: Any) -> None:
        self._templar = templar
        self._names: dict[str, frozenset[str] | None] = {}
        self._results: dict[tuple[str, ...], Any] = {}
        self.available_variables: Mapping[str, Any] = {}

    def template(self, value: Any) -> Any:
        return self._with_variables().template(value)

    def evaluate_expression(self, expression: str) -> Any:
        return self._once("expression", expression)

    def evaluate_conditional(self, expression: Any) -> Any:
        return self._once("conditional", expression)

    def _once(self, kind: str, expression: Any) -> Any:
        evaluate = getattr(self._with_variables(), f"evaluate_{kind}")
        names = self._names_in(expression) if isinstance(expression, str) else None
        if names is None or not names <= self.available_variables.keys():
            return evaluate(expression)
        key = (kind, str(expression), *(repr(self.available_variables[name]) for name in sorted(names)))
        if key not in self._results:
            self._results[key] = evaluate(expression)
        return self._results[key]

    def _with_variables(self) -> Any:
        self._templar.available_variables = self.available_variables
        return self._templar

    def _names_in(self, expression: str) -> frozenset[str] | None:
        """The variables that it names; None where there is no telling, or it gives something else each time."""
        if expression not in self._names:
            try:
                parsed = Environment().parse("{{ " + expression + " }}")
            except TemplateSyntaxError:
                self._names[expression] = None
            else:
                varies = any(each.name in _NEVER_THE_SAME for each in parsed.find_all(nodes.Filter))
                self._names[expression] = None if varies else frozenset(meta.find_undeclared_variables(parsed))
        return self._names[expression]


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "hybridk8s.estate.ecs"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("ecs.yml", "ecs.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        self.templar = RememberingTemplar(self.templar)
        named: set[str] = set()
        for instance in self._instances(self.get_cache_key(path), cache):
            if self._is_a_host(instance):
                name = instance.id if instance.name in named else instance.name or instance.id
                named.add(name)
                self._add(name, instance)

    def _instances(self, key: str, may_use_cache: bool) -> list[Instance]:
        is_cached = self.get_option("cache")
        if is_cached and may_use_cache and key in self._cache:
            return [Instance.from_dict(kept) for kept in self._cache[key]]
        found = self._asked()
        if is_cached:
            self._cache[key] = [instance.to_dict() for instance in found]
        return found

    def _asked(self) -> list[Instance]:
        wanted = {str(key): str(value) for key, value in self.get_option("tags").items()}
        if self.get_option("estate"):
            wanted[ESTATE_TAG] = self.get_option("estate")
        accesses = [access for account in self.get_option("accounts") for access in self._accesses(account)]
        try:
            found = [one for some in all_of(lambda access: _read(access, wanted), accesses) for one in some]
        except CloudError as error:
            raise AnsibleParserError(str(error)) from None
        return sorted(found, key=lambda instance: (instance.created, instance.id))

    def _accesses(self, account: Any) -> Iterable[Access]:
        account = self.templar.template(account)
        if not isinstance(account, Mapping) or not account.get("regions"):
            raise AnsibleParserError("accounts: each is a mapping with its regions.")
        for region in account["regions"]:
            given = {name: account.get(name) or {} for name in ("credentials", "endpoints")}
            yield access_of({"region": str(region), **given})

    def _is_a_host(self, instance: Instance) -> bool:
        return instance.status in self.get_option("statuses") and (
            self.get_option("released") or not instance.is_released
        )

    def _add(self, name: str, instance: Instance) -> None:
        variables = _variables(instance)
        self.inventory.add_host(name)
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, value)
        if instance.pool:
            for group in (CLOUD_VMS_GROUP, pool_group(instance.pool)):
                self.inventory.add_host(name, self.inventory.add_group(group))
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)


def _read(access: Access, wanted: Mapping[str, str]) -> list[Instance]:
    items = open_cloud(access).items("DescribeInstances", observe.INSTANCES, Tag=tags(wanted))
    return [Instance.of(item) for item in items]


def _variables(instance: Instance) -> dict[str, Any]:
    return {
        **({"ansible_host": instance.address} if instance.address else {}),
        "ecs_instance_id": instance.id,
        "ecs_pool": instance.pool,
        "ecs_region": instance.region,
        "ecs_zone": instance.zone,
        "ecs_instance_type": instance.type,
        "ecs_vpc": instance.vpc,
        "ecs_vswitch": instance.vswitch,
        "ecs_security_groups": list(instance.security_groups),
        "ecs_image": instance.image,
        "ecs_status": instance.status,
        "ecs_provider_id": instance.provider_id,
        "ecs_charge_type": instance.charge_type,
        "ecs_created": instance.created,
        "ecs_expires": instance.expires,
        "ecs_auto_release": instance.auto_release,
        "ecs_spot": instance.spot,
        "ecs_tags": dict(instance.tags),
    }
