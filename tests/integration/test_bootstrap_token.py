"""The module bootstrap_token against a real API server: the token authenticates, and no longer when revoked."""

from __future__ import annotations

import base64
import datetime
import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _token
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError, Patience, connect
from ansible_collections.hybridk8s.estate.plugins.modules import bootstrap_token

from tests.integration.faulty_proxy import Fault, FaultyProxy

SECRETS = "/api/v1/namespaces/kube-system/secrets"


def path_of(token_id):
    return f"{SECRETS}/bootstrap-token-{token_id}"


def user_of(plane, token):
    """Who the API server takes the bearer of `token` for; raises KubeError when for nobody."""
    config = plane.kubeconfig_for("x")
    config["users"][0]["user"] = {"token": token}
    bearer = connect(config, patience=Patience(total=1))
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    review = bearer.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    return review["status"]["userInfo"]


def test_a_token_joins_until_it_is_revoked(plane, cluster, run_module):
    made = run_module(bootstrap_token, description="join w5", ttl="20m", diff=True)
    assert made["changed"] is True
    assert made["token"] not in str(made["diff"]) + str(made["steps"])
    user = user_of(plane, made["token"])
    assert user["username"] == f"system:bootstrap:{made['token_id']}"
    assert "system:bootstrappers:kubeadm:default-node-token" in user["groups"]
    expires = datetime.datetime.fromisoformat(made["expires"])
    left = expires - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=19) < left <= datetime.timedelta(minutes=20)
    live = cluster.get(path_of(made["token_id"]))
    assert base64.b64decode(live["data"]["description"]).decode() == "join w5"

    planned = run_module(bootstrap_token, state="absent", token_id=made["token_id"], check=True)
    assert planned["changed"] is True
    assert user_of(plane, made["token"]), "check mode revokes nothing"
    revoked = run_module(bootstrap_token, state="absent", token_id=made["token_id"])
    assert revoked["steps"] == planned["steps"]
    with pytest.raises(KubeError, match="not accepted"):
        until_refused(plane, made["token"])
    assert run_module(bootstrap_token, state="absent", token_id=made["token_id"])["changed"] is False


def until_refused(plane, token):
    """The API server remembers for 10 seconds that a token was good."""
    for _attempt in range(30):
        user_of(plane, token)
        time.sleep(0.5)


def test_check_mode_gives_a_token_of_the_right_form_that_is_good_for_nothing(plane, cluster, run_module):
    planned = run_module(bootstrap_token, check=True)
    assert planned["changed"] is True
    assert cluster.get(path_of(planned["token_id"])) is None
    with pytest.raises(KubeError, match="not accepted"):
        user_of(plane, planned["token"])
    assert run_module(bootstrap_token, check=True, kubeconfig=None)["token"]


def test_expired_tokens_of_ours_are_pruned_and_others_stay(cluster, run_module):
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    ours, theirs = (_token.secret_of(_token.fresh(), past, [_token.JOIN_GROUP], "x") for _owner in range(2))
    del theirs["metadata"]["labels"]
    for secret in (ours, theirs):
        cluster.create(SECRETS, secret)
    result = run_module(bootstrap_token)
    assert [step["action"] for step in result["steps"]] == ["delete", "create"]
    assert cluster.get(f"{SECRETS}/{ours['metadata']['name']}") is None
    assert cluster.get(f"{SECRETS}/{theirs['metadata']['name']}")


def test_a_lost_answer_does_not_lose_the_token(plane, run_module, tmp_path):
    lost = []

    def rule(request):
        if request.method == "POST" and not lost:
            lost.append(request.path)
            return Fault(forwarded=True)
        return None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        made = run_module(bootstrap_token, kubeconfig=proxy.kubeconfig)
    assert lost
    assert user_of(plane, made["token"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"ttl": "0s"}, "ttl: '0s'"),
        ({"ttl": "25h"}, "at most 24h"),
        ({"ttl": "soon"}, "ttl: 'soon'"),
        ({"groups": ["system:masters"]}, "system:masters"),
        ({"state": "absent", "token_id": "../x"}, "token_id: six letters"),
        ({"state": "absent"}, "token_id"),
    ],
)
def test_arguments_that_make_no_sense(run_module, arguments, said):
    result = run_module(bootstrap_token, **arguments)
    assert result["failed"] is True
    assert said in result["msg"]
