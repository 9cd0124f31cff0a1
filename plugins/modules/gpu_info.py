#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Which NVIDIA GPUs a host has, and whether they can be used
description:
  - Reads sysfs, /proc, the kernel's log and the names of a few files. No program is run, so that it works before a
    driver is there and where it is broken. Nothing is changed.
  - What is wrong is returned with what to do. That never fails the task, because the one who puts a driver right has to
    look first too; see the example for how to stop at errors.
  - The rules on drivers are those of NVIDIA's documentation. The open kernel modules serve Turing and later, 580 is the
    last branch for Maxwell, Pascal and Volta, and Blackwell and Grace Hopper are served by the open modules alone.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
attributes:
  platform:
    description: Any Linux.
    support: full
    platforms: linux
options:
  branch:
    description: Branch of a driver that is planned, such as V(580), to be judged by the GPUs that are there.
    type: int
  flavour:
    description: The kernel modules that are planned, to be judged likewise.
    type: str
    choices: [open, proprietary]
notes:
  - The kernel's log is read as root only. It begins with the boot, or later where it has overflowed.
  - That MIG is on without instances, and whether GPUs have joined the NVLink fabric, leaves no mark in these files.
  - The version of Fabric Manager's package is known on Debian and its kin alone. It does not start with another version
    of the driver, and that it does not run is told everywhere.
"""

EXAMPLES = r"""
- name: See the GPUs of a host
  hybridk8s.estate.gpu_info:
  register: gpu_seen

- name: Stop where a driver cannot serve them
  hybridk8s.estate.gpu_info:
    branch: 590
    flavour: open
  register: gpu_seen
  failed_when: gpu_seen.findings | selectattr('variable', 'in', ['branch', 'flavour', 'gpus']) | length > 0
"""

RETURN = r"""
gpus:
  description: The GPUs on the PCI bus. Virtual functions are not among them.
  returned: success
  type: list
  elements: dict
  contains:
    pci: {description: Where on the bus it is, type: str, returned: always, sample: "0000:3b:00.0"}
    device: {description: Its PCI device id, type: str, returned: always, sample: 1eb8}
    subsystem: {description: Its PCI subsystem device id, type: str, returned: always, sample: 12a2}
    architecture: {description: Its architecture; empty where not known, type: str, returned: always, sample: Turing}
    model: {description: Its name; empty where not known, type: str, returned: always, sample: Tesla T4}
    driver: {description: The kernel driver that holds it; empty for none, type: str, returned: always, sample: nvidia}
    uuid: {description: Its UUID; empty before the driver has it, type: str, returned: always}
    minor: {description: N of C(/dev/nvidiaN); null without a driver, type: int, returned: always}
    firmware: {description: Version of the firmware of its system processor, type: str, returned: always}
    excluded: {description: Whether the driver was told to leave it alone, type: bool, returned: always}
    numa_node: {description: The NUMA node that it is at; null for none, type: int, returned: always}
    link:
      description: C(speed) and C(width) of its PCI Express link, and C(max_speed) and C(max_width) that it could have.
      type: dict
      returned: always
    mig:
      description: The MIG instances, each with its number C(gpu_instance) and the numbers C(compute_instances) in it.
      type: list
      elements: dict
      returned: always
    answers: {description: Whether it answers on its bus, type: bool, returned: always}
driver:
  description: NVIDIA's kernel modules and libraries.
  returned: success
  type: dict
  contains:
    loaded: {description: Whether the module is loaded, type: bool, returned: always}
    version: {description: The version that is loaded, type: str, returned: always, sample: 580.95.05}
    branch: {description: Its branch; null where none is loaded, type: int, returned: always, sample: 580}
    flavour: {description: V(open) or V(proprietary); empty where none is loaded, type: str, returned: always}
    userspace: {description: Version of the libraries; empty where none are found, type: str, returned: always}
    built: {description: Whether a module is there for the kernel that runs, type: bool, returned: always}
    modules: {description: The modules of NVIDIA that are loaded, type: list, elements: str, returned: always}
    nouveau: {description: Whether nouveau is loaded, type: bool, returned: always}
fabric:
  description: What connects the GPUs by NVLink.
  returned: success
  type: dict
  contains:
    switches: {description: Where on the PCI bus NVSwitches are, type: list, elements: str, returned: always}
    bridges:
      description: The ConnectX devices by which NVSwitches of the fourth generation are managed.
      type: list
      elements: str
      returned: always
    needs_manager: {description: Whether Fabric Manager is needed, type: bool, returned: always}
    manager_runs: {description: Whether it runs, type: bool, returned: always}
    subnet_manager_runs: {description: Whether nvlsm runs, type: bool, returned: always}
    installed: {description: Version of Fabric Manager's package; empty where not known, type: str, returned: always}
nics:
  description: The network cards that do RDMA.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name, type: str, returned: always, sample: mlx5_0}
    pci: {description: Where on the bus it is, type: str, returned: always}
    numa_node: {description: The NUMA node that it is at; null for none, type: int, returned: always}
    interfaces: {description: Its network interfaces, type: list, elements: str, returned: always}
    ports:
      description: Its ports, each with C(number), C(state), C(layer) (V(InfiniBand) or V(Ethernet)) and C(rate).
      type: list
      elements: dict
      returned: always
faults:
  description: The errors that the driver told of since it was loaded, one entry for each device and code.
  returned: success
  type: list
  elements: dict
  contains:
    source: {description: V(xid) of a GPU or V(sxid) of an NVSwitch, type: str, returned: always}
    pci: {description: Where on the bus the device is; without its function, type: str, returned: always}
    code: {description: Number of the error, type: int, returned: always, sample: 79}
    count: {description: How often, type: int, returned: always}
    time: {description: When it was last, type: str, returned: always, sample: "2026-11-23T20:15:00Z"}
    message: {description: What was said the last time, type: str, returned: always}
    fatal: {description: Whether an SXid was fatal, type: bool, returned: always}
support:
  description: The drivers that serve all GPUs that the host itself uses.
  returned: success
  type: dict
  contains:
    possible: {description: Whether there is any, type: bool, returned: always}
    flavours: {description: The flavours of kernel modules, type: list, elements: str, returned: always}
    first_branch: {description: The first branch; null where that is not known, type: int, returned: always}
    last_branch: {description: The last branch; null where there is none yet, type: int, returned: always, sample: 580}
kernel_log:
  description: Whether the kernel's log could be read. Without it RV(faults) is empty.
  returned: success
  type: bool
findings:
  description: What is wrong; empty where nothing is.
  returned: success
  type: list
  elements: dict
  contains:
    code: {description: Which finding it is, type: str, returned: always, sample: GP121-version-mismatch}
    severity:
      description: V(error) where GPUs cannot be used or work on them may fail, V(warning) otherwise.
      type: str
      returned: always
    variable: {description: What it is about, type: str, returned: always}
    message: {description: What is wrong, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.observe import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.rules import Planned, judge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host

ARGUMENT_SPEC = {
    "branch": {"type": "int"},
    "flavour": {"type": "str", "choices": ["open", "proprietary"]},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    machine = observe(Host())
    planned = Planned(module.params["branch"], module.params["flavour"] or "")
    findings = [finding.as_dict() for finding in judge(machine, planned)]
    module.exit_json(changed=False, findings=findings, **machine.as_dict())


if __name__ == "__main__":
    main()
