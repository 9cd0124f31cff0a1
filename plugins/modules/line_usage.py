#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: line_usage
short_description: Measure what a host sends over a dedicated line
description:
  - Counts for some seconds what the host sends through the limit that M(hybridk8s.estate.egress_limit) made. Nothing is
    changed.
  - The sum over hosts is what the filter P(hybridk8s.estate.line_usage#filter) gives.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  seconds:
    description: How long to count.
    type: float
    default: 5.0
  warn_share:
    description: From which share of its limit on a host is warned of.
    type: float
    default: 0.8
seealso:
  - module: hybridk8s.estate.egress_limit
  - plugin: hybridk8s.estate.line_usage
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Measure for ten seconds what each VM sends to the data centre
  hybridk8s.estate.line_usage:
    seconds: 10
  register: line_seen
"""

RETURN = r"""
mbit:
  description: What the host sent over the line, in Mbit/s.
  returned: success
  type: float
classes:
  description: The same by class, V(control) and V(bulk).
  returned: success
  type: dict
  sample: {control: 0.4, bulk: 117.2}
dropped:
  description: How many packets did not get onto the line meanwhile.
  returned: success
  type: int
limit_mbit:
  description: What the host may send, in Mbit/s.
  returned: success
  type: float
share:
  description: How much of its limit the host used.
  returned: success
  type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._line import measure

ARGUMENT_SPEC = {
    "seconds": {"type": "float", "default": 5.0},
    "warn_share": {"type": "float", "default": 0.8},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    seconds, warn_share = module.params["seconds"], module.params["warn_share"]
    if seconds <= 0:
        module.fail_json(msg=f"seconds: nothing can be counted in {seconds}. Remedy: write more than 0.")
    try:
        usage = measure(Host(), seconds)
    except HostError as error:
        module.fail_json(msg=str(error))
    if usage.share >= warn_share:
        module.warn(f"This host uses {usage.share:.0%} of its {usage.limit_mbit:g} Mbit/s over the line.")
    module.exit_json(changed=False, **usage.as_dict())


if __name__ == "__main__":
    main()
