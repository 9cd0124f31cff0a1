from __future__ import annotations

import base64

from ansible_collections.hybridk8s.estate.plugins.modules import bootstrap_token


def test_make_and_revoke(cluster, run_module):
    made = run_module(bootstrap_token, description="join w5", ttl="20m")
    assert made["changed"] is True, made
    path = f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{made['token_id']}"
    live = cluster.get(path)
    data = {key: base64.b64decode(value).decode() for key, value in live["data"].items()}
    assert f"{data['token-id']}.{data['token-secret']}" == made["token"]
    assert data["auth-extra-groups"] == "system:bootstrappers:kubeadm:default-node-token"
    assert data["expiration"] == made["expires"]

    revoked = run_module(bootstrap_token, state="absent", token_id=made["token_id"])
    assert revoked["changed"] is True
    assert cluster.get(path) is None
    again = run_module(bootstrap_token, state="absent", token_id=made["token_id"])
    assert again["changed"] is False
