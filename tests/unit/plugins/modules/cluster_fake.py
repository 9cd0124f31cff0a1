# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

"""Modules of the API group in this process: run one, and a cluster in memory for it to talk to."""

import io
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster


def run(module, monkeypatch, check=False, diff=False, **params) -> dict[str, Any]:
    """The result of one run of a module with these arguments."""
    output = io.StringIO()
    arguments = {**params, "_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": "/tmp"}
    with monkeypatch.context() as patched, patch_module_args(arguments), suppress(SystemExit):
        patched.setattr(sys, "stdout", output)
        module.main()
    return json.loads(output.getvalue())


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict = field(default_factory=dict)

    @property
    def data(self):
        return json.dumps(self.body, separators=(",", ":")).encode()


class MemoryPool:
    """An API server's memory behind the connection pool's interface: objects by path, patches, conflicts."""

    def __init__(self, objects=(), refuse=lambda method, path: 0):
        self.objects = {
            path: {**item, "metadata": {**item["metadata"], "resourceVersion": "1"}} for path, item in objects
        }
        self.refuse = refuse
        self.log = []

    def request(self, method, url, body=None, **_options):
        path = url.removeprefix("https://memory").partition("?")[0]
        self.log.append((method, path))
        status = self.refuse(method, path)
        if status:
            return Answer(status, {"message": "refused"})
        return getattr(self, method.lower())(path, json.loads(body) if body else None)

    def get(self, path, _body):
        if path in self.objects:
            return Answer(200, self.objects[path])
        inside = [item for key, item in self.objects.items() if key.rpartition("/")[0] == path]
        return Answer(200, {"items": inside}) if inside else Answer(404, {})

    def patch(self, path, body):
        live = self.objects.get(path)
        if live is None:
            return Answer(404, {"message": "not found"})
        if isinstance(body, list):
            return self._json_patch(path, live, body)
        version = live["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", version) != version:
            return Answer(409, {"message": "the object has been modified"})
        merged = merge(live, body)
        merged["metadata"]["resourceVersion"] = str(int(version) + 1)
        self.objects[path] = merged
        return Answer(200, merged)

    def _json_patch(self, path, live, operations):
        changed = json.loads(json.dumps(live))
        for operation in operations:
            *parents, last = (part.replace("~1", "/") for part in operation["path"].strip("/").split("/"))
            holder = changed
            for part in parents:
                holder = holder.get(part, {})
            if operation["op"] == "test" and holder.get(last) != operation["value"]:
                return Answer(422, {"message": "the test failed"})
            if operation["op"] == "remove":
                del holder[last]
            if operation["op"] == "add":
                holder[last] = operation["value"]
        self.objects[path] = changed
        return Answer(200, changed)

    def clear(self):
        return None


def merge(live, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def cluster_on(pool) -> Cluster:
    """A client whose server is ``pool``."""
    return Cluster(pool, ["https://memory"], dict, sleep=lambda _seconds: None)
