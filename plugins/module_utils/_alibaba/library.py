# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests by Alibaba's own libraries, which sign them and find credentials; private to this collection."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError, refusal
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Access, Credentials, Request

try:
    from alibabacloud_credentials.client import Client as CredentialClient
    from alibabacloud_credentials.models import Config as CredentialConfig
    from alibabacloud_tea_openapi.client import Client
    from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
    from alibabacloud_tea_openapi.models import Config
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
    from darabonba.runtime import RuntimeOptions

    # It would write the tracebacks of its attempts to stderr; what comes of them is said by whoever asked.
    logging.getLogger("credentials").setLevel(logging.CRITICAL + 1)
    MISSING = ""
except ImportError as error:
    MISSING = str(error)

REQUIRED = "alibabacloud-tea-openapi and alibabacloud-credentials"
_CONNECT_MILLISECONDS = 5_000
_READ_MILLISECONDS = 60_000
_OLDEST_TLS = "TLSv1.2"


class LibraryTransport:
    """Sends signed requests to one region, over connections that are kept."""

    def __init__(self, access: Access) -> None:
        if MISSING:
            raise CloudError(
                "estate_cloud",
                "",
                f"the controller lacks a Python library ({MISSING})",
                remedy=f"Install {REQUIRED} for the Python that runs Ansible.",
            )
        self._access = access
        self._lock = threading.Lock()
        self._credential: Any = None
        self._clients: dict[str, Any] = {}

    def send(self, request: Request) -> tuple[Any, Mapping[str, str]]:
        is_rest = request.path != "/"
        params = Params(
            action=request.action,
            version=request.version,
            protocol=self._access.scheme.upper(),
            pathname=request.path,
            method=request.method,
            auth_type="AK",
            style="ROA" if is_rest else "RPC",
            req_body_type="json" if is_rest else "formData",
            body_type="json",
        )
        try:
            answer = self._client(request.product).call_api(
                params, OpenApiRequest(query=dict(request.query), body=request.body), RuntimeOptions()
            )
        except AlibabaCloudException as error:
            raise _refused(request.action, error) from error
        except Exception as error:  # the libraries have no common ancestor for what goes wrong on the way
            raise _broken(request.action, error) from error
        return answer["body"], {str(name).lower(): str(value) for name, value in answer["headers"].items()}

    def _client(self, product: str) -> Any:
        with self._lock:
            if self._credential is None:
                self._credential = _credential(self._access.credentials)
            if product not in self._clients:
                self._clients[product] = Client(
                    Config(
                        credential=self._credential,
                        endpoint=self._access.endpoint(product),
                        protocol=self._access.scheme.upper(),
                        region_id=self._access.region,
                        connect_timeout=_CONNECT_MILLISECONDS,
                        read_timeout=_READ_MILLISECONDS,
                        tls_min_version=_OLDEST_TLS,
                    )
                )
            return self._clients[product]


def _credential(given: Credentials) -> Any:
    if given.access_key_id:
        kind = "sts" if given.security_token else "access_key"
        return CredentialClient(
            CredentialConfig(
                type=kind,
                access_key_id=given.access_key_id,
                access_key_secret=given.access_key_secret,
                security_token=given.security_token or None,
            )
        )
    if given.ram_role:
        return CredentialClient(CredentialConfig(type="ecs_ram_role", role_name=given.ram_role, disable_imds_v1=True))
    return CredentialClient()


def _refused(action: str, error: Any) -> CloudError:
    said = error.data if isinstance(error.data, Mapping) else {}
    message = str(said.get("Message") or said.get("message") or error.message)
    return refusal(action, str(error.code or ""), message, str(error.request_id or ""), int(error.status_code or 0))


def _broken(action: str, error: Exception) -> CloudError:
    cause = getattr(error, "inner_exception", None) or error
    text = str(cause) or type(cause).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return CloudError(
            action, "", text, remedy="Check estate_cloud.endpoints: the certificate is not that of the cloud."
        )
    if type(cause).__name__ == "CredentialException":
        return CloudError(
            action,
            "",
            f"no credentials are found: {text}",
            remedy="Set estate_cloud.credentials, or ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET in the environment.",
        )
    return CloudError(action, "", text)
