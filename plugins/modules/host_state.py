#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_state
short_description: Files, sysctls, kernel modules, swap and units of a host in one call
description:
  - Brings a host to the state that one concern (a role, say) asks of it, in one call instead of dozens of tasks.
  - Everything is checked before anything is touched, and all that is wrong is reported at once.
  - Files are replaced by a rename, so that a reader or a power cut never meets half a file.
  - A unit is restarted once, and only when what it watches is not what it was last started with. A run that is killed
    between writing a file and restarting a unit leaves this to the next run.
  - What an earlier call with the same O(name) wrote and this one no longer asks for is removed; what others wrote, or
    changed since, stays. A unit is stopped and disabled before its file is removed.
author:
  - hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the text of files, never that of those with O(files[].sensitive=true).
  idempotent:
    support: full
  platform:
    description: Hosts that run systemd.
    support: full
    platforms: linux
options:
  name:
    description:
      - Whose state this is, such as V(container_runtime). Names its files in C(/etc/sysctl.d), C(/etc/modules-load.d)
        and the record of what was written. Lower case letters, digits, C(_) and C(-).
    type: str
    required: true
  files:
    description:
      - Files, links and directories. Directories above them that are missing are made with mode V(0755).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its absolute path.
        type: path
        required: true
      state:
        description:
          - V(absent) removes a file or link, or a directory with all that is in it.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content:
        description: The whole text of a file. Required for O(files[].state=file).
        type: raw
      target:
        description: What a link leads to. Required for O(files[].state=link).
        type: str
      mode:
        description:
          - Octal, in quotes, with a leading zero. A file that is there keeps its mode when this is left out; a new one
            gets V(0644), with O(files[].sensitive=true) V(0600), a directory V(0755).
        type: str
      owner:
        description: User name or number. Left out, a new file is root's and an old one keeps its owner.
        type: str
      group:
        description: Group name or number. Left out, a new file is root's and an old one keeps its group.
        type: str
      validate:
        description:
          - A command that must accept the new content before any file is replaced, with C({path}) where the file's
            path goes. It sees a copy with the same name in a private directory.
          - In check mode a command that is not installed yet is only a warning.
        type: list
        elements: str
      sensitive:
        description: The content is a secret, so it appears in no diff, log or result.
        type: bool
        default: false
      follow:
        description: Write to what a link at O(files[].path) leads to, instead of replacing the link.
        type: bool
        default: false
  blocks:
    description: Managed blocks in files that are others', such as C(/etc/hosts). A file that is missing is made.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The absolute path of the file.
        type: path
        required: true
      marker:
        description: One word that names the block in its first and last line.
        type: str
        required: true
      content:
        description: The lines of the block. Empty removes it.
        type: str
        default: ""
      follow:
        description: Edit what a link at O(blocks[].path) leads to. Without it a link is refused.
        type: bool
        default: false
  sysctls:
    description:
      - Kernel settings by name, set at once and at each boot. The value is a number or text, or
        C({value, optional}); an optional one that the kernel lacks or refuses is skipped (RV(skipped_sysctls)).
      - A setting that is taken out of the call keeps its value until the next boot.
    type: dict
    default: {}
  kernel_modules:
    description:
      - Kernel modules that shall be there, now and at each boot. Built-in ones count; kernels that cannot list their
        modules, as in containers, are judged by what they can do.
    type: list
    elements: str
    default: []
  swap:
    description:
      - V(off) turns swap off, comments out the swap lines of C(/etc/fstab) and masks other swap units.
    type: str
    choices: ["off", unmanaged]
    default: unmanaged
  units:
    description: systemd units.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its full name, such as V(kubelet.service).
        type: str
        required: true
      enabled:
        description: Whether it starts at boot. Left out, this stays as it is.
        type: bool
      state:
        description:
          - V(unmanaged) neither starts nor stops it, but restarts it when it runs and what it watches changed.
        type: str
        choices: [started, stopped, unmanaged]
        default: unmanaged
      watch:
        description:
          - Paths that the unit reads when it starts. Files, directories with all below, or prefixes that end in C(*).
        type: list
        elements: str
        default: []
      settle:
        description:
          - Seconds that the unit has to stay up once it was started or restarted here, for one that ends well after it
            began when it does not like what it finds.
        type: int
        default: 0
  processor:
    description:
      - The processor that the host must have, such as V(Xeon-8570). Each word of it must be in the name that
        C(/proc/cpuinfo) has, in any order and case. Nothing is touched on a host with another one.
      - Where the kernel names none, as on ARM, that is a warning.
    type: str
  requires:
    description: What the host must have. Nothing is touched on a host that lacks any of it.
    type: list
    elements: dict
    default: []
    suboptions:
      reason:
        description: What needs it.
        type: str
        required: true
      kernel:
        description: The oldest kernel that will do, such as V(4.14.77).
        type: str
      path:
        description: A file or device that has to be there.
        type: path
      cgroup:
        description: The version of the cgroup hierarchy.
        type: int
        choices: [2]
  frozen:
    description:
      - Values in JSON files among O(files) that must not change for now. Nothing is touched on a host where one would.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      keys:
        description: The keys, of its outermost object. One that is missing is a value too.
        type: list
        elements: str
        required: true
      while_exists:
        description: The path that makes them so, as long as it is there.
        type: path
        required: true
      remedy:
        description: What a person has to do, as a sentence.
        type: str
        required: true
  hold:
    description:
      - Leave a host as it is where a unit that runs would have to be restarted, and say so in RV(held). A later call
        without this does it. Not in check mode, which says all that would be done.
    type: bool
    default: false
  timeout:
    description: Seconds that units may take to start or stop.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Configure the container runtime
  hybridk8s.estate.host_state:
    name: container_runtime
    kernel_modules: [overlay, br_netfilter]
    sysctls:
      net.ipv4.ip_forward: 1
      net.netfilter.nf_conntrack_max: {value: 1048576, optional: true}
    swap: "off"
    files:
      - path: /etc/containerd/config.toml
        content: "{{ lookup('ansible.builtin.template', 'config.toml.j2') }}"
        validate: [containerd, --config, "{path}", config, dump]
    blocks:
      - path: /etc/hosts
        marker: estate
        content: 127.0.0.1 api.lab.internal
    units:
      - name: containerd.service
        enabled: true
        state: started
        watch: [/etc/containerd/, /usr/local/bin/containerd, /etc/systemd/system/containerd.service*]
"""

RETURN = r"""
steps:
  description: What was changed, in order; in check mode what would be.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: What was done, such as V(write), V(load) or V(restart).
      type: str
    target:
      description: To what.
      type: str
    reason:
      description: Why it was needed.
      type: str
  sample: [{action: restart, target: containerd.service, reason: "changed: /etc/containerd/config.toml"}]
skipped_sysctls:
  description: Optional sysctls that are not set, and why.
  returned: success
  type: list
  elements: str
started:
  description: Units that were started.
  returned: success
  type: list
  elements: str
restarted:
  description: Units that were running and were restarted.
  returned: success
  type: list
  elements: str
held:
  description: Units that would have to be restarted, where O(hold) left the host as it is.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._host import converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

FILE_OPTIONS = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["file", "directory", "link", "absent"], "default": "file"},
    "content": {"type": "raw", "no_log": True},
    "target": {"type": "str"},
    "mode": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "validate": {"type": "list", "elements": "str"},
    "sensitive": {"type": "bool", "default": False},
    "follow": {"type": "bool", "default": False},
}
BLOCK_OPTIONS = {
    "path": {"type": "path", "required": True},
    "marker": {"type": "str", "required": True},
    "content": {"type": "str", "default": ""},
    "follow": {"type": "bool", "default": False},
}
UNIT_OPTIONS = {
    "name": {"type": "str", "required": True},
    "enabled": {"type": "bool"},
    "state": {"type": "str", "choices": ["started", "stopped", "unmanaged"], "default": "unmanaged"},
    "watch": {"type": "list", "elements": "str", "default": []},
    "settle": {"type": "int", "default": 0},
}
REQUIREMENT_OPTIONS = {
    "reason": {"type": "str", "required": True},
    "kernel": {"type": "str"},
    "path": {"type": "path"},
    "cgroup": {"type": "int", "choices": [2]},
}
FROZEN_OPTIONS = {
    "path": {"type": "path", "required": True},
    "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
    "while_exists": {"type": "path", "required": True},
    "remedy": {"type": "str", "required": True},
}
ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
    "blocks": {"type": "list", "elements": "dict", "default": [], "options": BLOCK_OPTIONS},
    "sysctls": {"type": "dict", "default": {}},
    "kernel_modules": {"type": "list", "elements": "str", "default": []},
    "swap": {"type": "str", "choices": ["off", "unmanaged"], "default": "unmanaged"},
    "units": {"type": "list", "elements": "dict", "default": [], "options": UNIT_OPTIONS},
    "processor": {"type": "str"},
    "requires": {"type": "list", "elements": "dict", "default": [], "options": REQUIREMENT_OPTIONS},
    "frozen": {"type": "list", "elements": "dict", "default": [], "options": FROZEN_OPTIONS},
    "hold": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 120},
}


class QuietModule(AnsibleModule):
    """Keeps the options out of the host's log: they hold the contents of files, secrets among them."""

    def log(self, msg: str, log_args: dict | None = None) -> None:
        if not log_args:
            super().log(msg)


def main() -> None:
    module = QuietModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    # no_log masks all contents where options are refused; results and diffs need those that are no secret.
    module.no_log_values = {file["content"] for file in module.params["files"] if _is_secret(file)}
    try:
        outcome = converge(parse(module.params), Host(), check=module.check_mode)
    except HostError as error:
        module.fail_json(msg=str(error), **result(error.applied, module._diff))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        **result(
            outcome.steps,
            module._diff,
            started=list(outcome.started),
            restarted=list(outcome.restarted),
            held=list(outcome.held),
            skipped_sysctls=list(outcome.skipped),
        )
    )


def _is_secret(file: dict) -> bool:
    return bool(file["sensitive"] and file["content"] and isinstance(file["content"], str))


if __name__ == "__main__":
    main()
