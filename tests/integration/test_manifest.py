from __future__ import annotations

import hashlib

from ansible_collections.hybridk8s.estate.plugins.modules import manifest

from tests.lab.build import ensure_component


def test_calico(cluster, run_module):
    src = ensure_component("calico") / "share/manifests/calico.yaml"
    args = dict(
        src=str(src),
        checksum=hashlib.sha256(src.read_bytes()).hexdigest(),
        set="calico",
        estate="lab",
        overlays=[
            {
                "kind": "DaemonSet",
                "name": "calico-node",
                "overlay": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [
                                    {"name": "calico-node", "env": [{"name": "CALICO_IPV4POOL_IPIP", "value": "Never"}]}
                                ]
                            }
                        }
                    }
                },
            }
        ],
    )
    check = run_module(manifest, check=True, **args)
    print({k: v for k, v in check.items() if k != "steps"}, len(check.get("steps", ())))
    import time

    t = time.process_time()
    first = run_module(manifest, diff=True, **args)
    print(time.process_time() - t)
    print({k: v for k, v in first.items() if k not in ("steps", "diff")})
    t = time.process_time()
    second = run_module(manifest, **args)
    print(time.process_time() - t)
    print(second)
    t = time.process_time()
    second = run_module(manifest, prune=True, **args)
    print(time.process_time() - t)
    print(second)
