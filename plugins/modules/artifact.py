#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact
short_description: Pinned downloads as versioned directories with links to them
description:
  - Fetches many files and archives at once, each pinned by a SHA-256, into C(/usr/local/lib/hybridk8s/NAME/VERSION/),
    and links to them from where they are looked for.
  - A version's directory appears complete, by a rename, and links are switched only after everything of the call has
    been fetched and unpacked. When a download fails nothing is switched, and what is complete is kept for the next run.
  - Downloads that were cut off are resumed, by the next attempt or by the next run.
  - When nothing is to do it uses neither the network nor a hash. It compares size, time and mode with a record; files
    that were changed or lost are fetched again.
  - Proxies are taken from the environment (E(https_proxy), E(http_proxy), E(no_proxy)). TLS is always verified.
author:
  - hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._downloads
attributes:
  check_mode:
    support: full
    details: Uses no network in check mode.
  diff_mode:
    support: full
    details: Shows what links lead to.
  idempotent:
    support: full
  platform:
    description: Linux hosts.
    support: full
    platforms: linux
options:
  artifacts:
    description: What is to be there.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, such as V(kubernetes).
        type: str
        required: true
      version:
        description: Its version, a directory name.
        type: str
        required: true
      files:
        description: Downloads that are files of the version.
        type: list
        elements: dict
        default: []
        suboptions:
          url:
            description:
              - Where it is published. C({arch}) stands for the host's architecture as in Go, such as V(amd64),
                C({machine}) for the kernel's word for it, such as V(x86_64).
            type: str
            required: true
          sha256:
            description:
              - Its SHA-256 in hexadecimal digits, or a mapping of architectures to them.
              - Either this or O(artifacts[].files[].sha256_url).
            type: raw
          sha256_url:
            description:
              - Where its SHA-256 is published, or its SHA-512, either a bare digest or lines of a digest and a file
                name. Looked up when the file is fetched, then remembered.
            type: str
          dest:
            description: Its path inside the version's directory.
            type: str
            required: true
          mode:
            description: Octal, in quotes.
            type: str
            default: "0755"
      archive:
        description: A download that is unpacked into the version's directory.
        type: dict
        suboptions:
          url:
            description: Where the archive (tar or zip) is published, as O(artifacts[].files[].url).
            type: str
            required: true
          sha256:
            description: As O(artifacts[].files[].sha256).
            type: raw
          sha256_url:
            description: As O(artifacts[].files[].sha256_url).
            type: str
          members:
            description: Shell patterns of the members to unpack, as they are named in the archive. All by default.
            type: list
            elements: str
            default: []
          strip:
            description: How many leading directories of the members' names to take off.
            type: int
            default: 0
      links:
        description: Links to make, from their absolute path to the path inside the version's directory.
        type: dict
        default: {}
      keep:
        description:
          - How many other versions to keep, the latest installed first. One that a process runs from always stays.
        type: int
        default: 1
  parallel:
    default: 4
  root:
    description:
      - Directory below which all of it lies, as if it were the host's root. For tools of the controller, where one is
        not root. Links would lead to where things lie without it, so there is no use for O(artifacts[].links) then.
    type: path
    default: /
"""

EXAMPLES = r"""
- name: Install the Kubernetes binaries and the container runtime
  hybridk8s.estate.artifact:
    mirror: http://10.98.0.1:8080
    artifacts:
      - name: kubernetes
        version: 1.36.3
        files:
          - url: https://dl.k8s.io/v1.36.3/bin/linux/{arch}/kubelet
            sha256_url: https://dl.k8s.io/v1.36.3/bin/linux/{arch}/kubelet.sha256
            dest: kubelet
        links:
          /usr/local/bin/kubelet: kubelet
      - name: containerd
        version: 2.3.7
        archive:
          url: "{{ containerd_archive }}"
          sha256_url: "{{ containerd_archive }}.sha256sum"
          members: [bin/*]
          strip: 1
        links:
          /usr/local/bin/containerd: containerd
  vars:
    containerd_releases: https://github.com/containerd/containerd/releases/download
    containerd_archive: "{{ containerd_releases }}/v2.3.7/containerd-2.3.7-linux-{arch}.tar.gz"
"""

RETURN = r"""
steps:
  description: What was changed, in order; in check mode what would be.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: What was done, V(install), V(set), V(link) or V(remove).
      type: str
    target:
      description: To which path.
      type: str
    reason:
      description: Why, and for a download from where.
      type: str
  sample: [{action: link, target: /usr/local/bin/kubelet, reason: 1.36.3}]
switched:
  description: Names of the artifacts of which a link was made or leads to another version now.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import DOWNLOAD_ARGUMENTS, parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact_install import Limits, converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

SOURCE_OPTIONS = {
    "url": {"type": "str", "required": True},
    "sha256": {"type": "raw"},
    "sha256_url": {"type": "str"},
}
FILE_OPTIONS = {
    **SOURCE_OPTIONS,
    "dest": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0755"},
}
ARCHIVE_OPTIONS = {
    **SOURCE_OPTIONS,
    "members": {"type": "list", "elements": "str", "default": []},
    "strip": {"type": "int", "default": 0},
}
ARTIFACT_OPTIONS = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_OPTIONS},
    "archive": {"type": "dict", "options": ARCHIVE_OPTIONS},
    "links": {"type": "dict", "default": {}},
    "keep": {"type": "int", "default": 1},
}
ARGUMENT_SPEC = {
    "artifacts": {"type": "list", "elements": "dict", "required": True, "options": ARTIFACT_OPTIONS},
    **DOWNLOAD_ARGUMENTS,
    "parallel": {"type": "int", "default": 4},
    "root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    options = module.params
    os.umask(0o022)  # programs that all may run, whatever the login's umask
    try:
        outcome = converge(
            parse(options, os.uname().machine),
            Host(options["root"]),
            options["mirror"] or "",
            Limits(options["parallel"], options["retries"], float(options["timeout"])),
            check=module.check_mode,
        )
    except HostError as error:
        module.fail_json(msg=str(error), **result(error.applied, module._diff))
    module.exit_json(**result(outcome.steps, module._diff, switched=list(outcome.switched)))


if __name__ == "__main__":
    main()
