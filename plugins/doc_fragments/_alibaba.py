# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """The options of every module that talks to Alibaba Cloud."""

    DOCUMENTATION = r"""
options:
  region:
    description: The region, such as V(cn-shenzhen).
    type: str
    required: true
  credentials:
    description:
      - Who we are to the cloud. Without any, Alibaba's library looks in the environment
        (E(ALIBABA_CLOUD_ACCESS_KEY_ID), E(ALIBABA_CLOUD_ACCESS_KEY_SECRET)), in its profile files, and at the RAM role
        of the instance that this runs on.
    type: dict
    default: {}
    suboptions:
      access_key_id: {description: The access key, type: str}
      access_key_secret: {description: Its secret, type: str}
      security_token: {description: The token of temporary credentials, type: str}
      ram_role: {description: Name of the RAM role of the instance that this runs on, type: str}
  endpoints:
    description: Where the APIs answer, as HOST or HOST:PORT; by default the region's public endpoints.
    type: dict
    default: {}
    suboptions:
      ecs: {description: Endpoint of ECS, type: str}
      vpc: {description: Endpoint of VPC, type: str}
      cs: {description: Endpoint of Container Service, type: str}
      scheme: {description: How they are spoken to, type: str, choices: [https, http], default: https}
requirements:
  - alibabacloud-tea-openapi (Python library)
  - alibabacloud-credentials (Python library)
"""
