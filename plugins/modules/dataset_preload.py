#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dataset_preload
short_description: Bring datasets onto a host's disk, no faster than the line allows
description:
  - Fetches versions of datasets, each file pinned by its size and SHA-256, into C(ROOT/NAME/VERSION). That directory
    appears when the version is complete, so pods may mount it as soon as it is there.
  - Downloads that were cut off go on where they ended, in the next attempt or the next run. Bytes that the disk has
    already, in whatever version, are linked and not fetched.
  - It ends when the connection to the host does, or Ansible is killed.
  - A file that was changed on the disk is fetched again and replaced by a rename.
  - When there is no room, versions that no option names go, what was not wanted for longest first; one that a
    container has mounted stays. If that is not enough, nothing is changed.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._downloads
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    description: Any Linux.
    support: full
    platforms: linux
options:
  root:
    description: The directory of all datasets, on a disk for data. It must be there.
    type: path
    required: true
  datasets:
    description: All datasets that the host shall have, one version of each.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, in lower case. The label of nodes that have it is C(dataset.NAME).
        type: str
        required: true
      version:
        description: Its version, which is the value of that label.
        type: str
        required: true
      url:
        description: Where its files are, each at its path below this URL.
        type: str
      files:
        description: Its files.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: Its path inside the dataset.
            type: str
            required: true
          size:
            description: How many bytes it has.
            type: int
            required: true
          sha256:
            description: Its SHA-256 in hexadecimal digits.
            type: str
            required: true
          url:
            description: Where it is, if not at its path below O(datasets[].url).
            type: str
  limit_mbit:
    description:
      - How fast all downloads together may be, in Mbit/s of their bytes; headers are about 5% more. V(0) sets no limit.
    type: float
    default: 50.0
  time_limit:
    description:
      - Seconds after which the call ends and leaves the rest to the next one, so that it can be kept out of business
        hours. V(0) sets no end.
    type: int
    default: 0
  max_used:
    description: The share of the disk that may be used.
    type: float
    default: 0.85
  verify:
    description: Read every file and compare its SHA-256, instead of those whose size or time are not as recorded.
    type: bool
    default: false
  parallel:
    default: 2
seealso:
  - module: hybridk8s.estate.egress_limit
"""

EXAMPLES = r"""
- name: Bring the training set onto the data disk, at 100 Mbit/s, for no longer than six hours
  hybridk8s.estate.dataset_preload:
    root: /data/datasets
    limit_mbit: 100
    time_limit: 21600
    datasets:
      - name: imagenet
        version: "2024.1"
        url: https://data.example/imagenet/2024.1
        files: "{{ lookup('ansible.builtin.file', 'imagenet-2024.1.json') | from_json }}"
"""

RETURN = r"""
steps:
  description: What was changed, in order; in check mode what would be.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: 'V(link), V(remove), V(fetch) or V(complete)', type: str, returned: always}
    target: {description: Which directory, type: str, returned: always}
    reason: {description: Why, type: str, returned: always}
  sample: [{action: fetch, target: /data/datasets/imagenet/2024.1, reason: 12 of 40 files missing; 1812.4 MB}]
datasets:
  description: What there is of each dataset, by its name.
  returned: success
  type: dict
  contains:
    version: {description: Its version, type: str, returned: success}
    state: {description: 'V(complete), or V(incomplete) when the time was over', type: str, returned: success}
    directory: {description: Where it is, type: str, returned: success}
    bytes: {description: How large it is, type: int, returned: success}
labels:
  description: The labels of a node that has what is complete.
  returned: success
  type: dict
  sample: {dataset.imagenet: "2024.1"}
fetched_bytes:
  description: How many bytes came.
  returned: success
  type: int
mbit:
  description: How fast they came, in Mbit/s.
  returned: success
  type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import DOWNLOAD_ARGUMENTS, Limits
from ansible_collections.hybridk8s.estate.plugins.module_utils._dataset_fetch import Pace, converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

FILE_OPTIONS = {
    "path": {"type": "str", "required": True},
    "size": {"type": "int", "required": True},
    "sha256": {"type": "str", "required": True},
    "url": {"type": "str"},
}
DATASET_OPTIONS = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "url": {"type": "str"},
    "files": {"type": "list", "elements": "dict", "required": True, "options": FILE_OPTIONS},
}
ARGUMENT_SPEC = {
    "root": {"type": "path", "required": True},
    "datasets": {"type": "list", "elements": "dict", "required": True, "options": DATASET_OPTIONS},
    "limit_mbit": {"type": "float", "default": 50.0},
    "time_limit": {"type": "int", "default": 0},
    "max_used": {"type": "float", "default": 0.85},
    "verify": {"type": "bool", "default": False},
    **DOWNLOAD_ARGUMENTS,
    "parallel": {"type": "int", "default": 2},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    options = module.params
    pace = Pace(options["limit_mbit"] * 1e6 / 8, options["time_limit"])
    limits = Limits(options["parallel"], options["retries"], float(options["timeout"]), pace=pace, window=pace.window)
    try:
        outcome = converge(options, Host(), limits, pace, module.check_mode)
    except HostError as error:
        module.fail_json(msg=str(error), **result(error.applied, module._diff))
    for warning in outcome.warnings:
        module.warn(warning)
    report = result(
        outcome.steps,
        module._diff,
        datasets=outcome.datasets,
        labels=outcome.labels,
        fetched_bytes=outcome.fetched_bytes,
        mbit=round(outcome.mbit, 3),
        # Ansible echoes the arguments, and a manifest may be long.
        invocation={"module_args": {**options, "datasets": sorted(outcome.datasets)}},
    )
    module.exit_json(**report)


if __name__ == "__main__":
    main()
