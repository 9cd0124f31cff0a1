# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    Cloud,
    access_of,
    flat,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError, refusal
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Access, Credentials
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Patience

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud

KEY = world.EXAMPLE["keys"][0]


class Scripted:
    """Answers with what it is given, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def send(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer, {"date": "Mon, 23 Nov 2026 20:00:00 GMT"}


def cloud_of(*answers, total=5.0):
    scripted = Scripted(*answers)
    slept = []
    return Cloud(scripted, "cn-shenzhen", Patience(total, 0.01, 0.05), slept.append), scripted, slept


def lost():
    return CloudError("RunInstances", "", "connection reset")


@pytest.mark.parametrize(
    "trouble",
    [
        lost(),
        refusal("A", "Throttling.User", "slow down"),
        refusal("A", "Throttling", "slow down"),
        refusal("A", "InternalError", "oops", status=500),
        refusal("A", "ServiceUnavailable", "oops", status=503),
        refusal("A", "IdempotentProcessing", "wait", status=403),
    ],
    ids=lambda error: error.code or "lost",
)
def test_what_passes_is_tried_again(trouble):
    cloud, scripted, slept = cloud_of(trouble, trouble, {"Done": 1})
    assert cloud.call("RunInstances", Amount=1) == {"Done": 1}
    assert (len(scripted.requests), len(slept), cloud.requests["RunInstances"]) == (3, 2, 3)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("Forbidden.RAM", "Grant the RAM user or role the action RunInstances."),
        ("QuotaExceeded.ElasticQuota", "Have the quota raised"),
        ("QuotaExceeded.PrivateIpAddress", "enlarge the vSwitch"),
        ("OperationDenied.NoStock", "Name further instance_types or zones"),
        ("InvalidAccessKeyId.NotFound", "Correct estate_cloud.credentials"),
        ("InvalidParameter", ""),
    ],
)
def test_what_is_refused_is_said_at_once_with_a_remedy(code, remedy):
    cloud, scripted, _slept = cloud_of(refusal("RunInstances", code, "no.", "R-1", 403))
    with pytest.raises(CloudError) as caught:
        cloud.call("RunInstances")
    assert (len(scripted.requests), caught.value.is_refusal) == (1, True)
    assert str(caught.value).startswith(f"RunInstances: no [{code}, request R-1].")
    assert remedy in str(caught.value)


def test_patience_ends():
    cloud, _scripted, _slept = cloud_of(*[lost()] * 5, total=0.0)
    with pytest.raises(CloudError) as caught:
        cloud.call("RunInstances")
    assert caught.value.is_refusal is False
    assert str(caught.value) == (
        "RunInstances: tried for 0 s: connection reset. Check estate_cloud.endpoints and the way to them."
    )


def test_the_signature_s_error_repeats_no_request():
    error = refusal("A", "SignatureDoesNotMatch", "server string to sign is: x-acs-security-token:SECRET", "R-1")
    assert "SECRET" not in str(error)


def test_pages_by_token_and_by_number():
    cloud, scripted, _slept = cloud_of({"L": {"I": [1, 2]}, "NextToken": "t"}, {"L": {"I": [3]}, "NextToken": ""})
    assert list(cloud.items("DescribeX", ("L", "I"), Name="n")) == [1, 2, 3]
    assert [request.query.get("NextToken") for request in scripted.requests] == [None, "t"]
    cloud, scripted, _slept = cloud_of({"L": {"I": [1, 2]}, "TotalCount": 3}, {"L": {"I": [3]}, "TotalCount": 3})
    assert list(cloud.numbered_items("DescribeX", ("L", "I"), page=2)) == [1, 2, 3]
    assert [request.query["PageNumber"] for request in scripted.requests] == ["1", "2"]


def test_parameters_are_written_flat():
    given = {"Tag": [{"Key": "a", "Value": "b"}], "SystemDisk": {"Size": 40}, "Force": True, "Left": None, "Id": ["x"]}
    assert dict(flat(given)) == {
        "Tag.1.Key": "a",
        "Tag.1.Value": "b",
        "SystemDisk.Size": "40",
        "Force": "true",
        "Id.1": "x",
    }


def test_endpoints_are_the_region_s_unless_they_are_given():
    access = access_of({"region": "cn-shenzhen", "credentials": {}, "endpoints": {"vpc": "10.0.0.1:8080"}})
    assert access.endpoint("ecs") == "ecs.cn-shenzhen.aliyuncs.com"
    assert (access.endpoint("vpc"), access.scheme) == ("10.0.0.1:8080", "https")


def test_credentials_do_not_show():
    text = repr(Access("cn-shenzhen", Credentials("AKID", "SECRET", "TOKEN")))
    assert [secret for secret in ("AKID", "SECRET", "TOKEN") if secret in text] == []


@pytest.fixture
def fake(tmp_path):
    with FakeCloud(tmp_path / "cloud", world.parse({})) as running:
        yield running


def access_to(fake, **credentials):
    given = {"access_key_id": KEY["id"], "access_key_secret": KEY["secret"], **credentials}
    return Access("cn-shenzhen", Credentials(**given), {"ecs": fake.endpoint, "cs": fake.endpoint}, "http")


def test_signed_requests_are_taken(fake):
    cloud = open_cloud(access_to(fake))
    assert cloud.call("DescribeInstances", MaxResults=10)["Instances"] == {"Instance": []}
    assert cloud.date.endswith("GMT")


def test_rest_requests_are_taken(fake):
    assert open_cloud(access_to(fake)).rest("DescribeClustersV1", "GET", "/api/v1/clusters")["clusters"] == []


def test_a_wrong_secret_is_said(fake):
    with pytest.raises(CloudError, match=r"Correct estate_cloud\.credentials") as caught:
        open_cloud(access_to(fake, access_key_secret="wrong")).call("DescribeInstances")
    assert "wrong" not in str(caught.value)


ASK = """
import sys
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import open_cloud
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Access
try:
    print(open_cloud(Access("cn-shenzhen", endpoints={"ecs": sys.argv[1]}, scheme="http")).call("DescribeInstances"))
except CloudError as error:
    print(error)
"""


def ask_with(fake, tmp_path, **environment):
    """In a process of its own: the library reads the environment when it is imported."""
    environment = {
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(tmp_path),
        # Not to ask the metadata service of the machine that this runs on.
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
        **environment,
    }
    asked = [sys.executable, "-c", ASK, fake.endpoint]
    return subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)


def test_the_environment_s_credentials_serve(fake, tmp_path):
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": KEY["id"], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY["secret"]}
    assert "'Instances': {'Instance': []}" in ask_with(fake, tmp_path, **keys).stdout


def test_no_credentials_are_said_without_a_traceback(fake, tmp_path):
    asked = ask_with(fake, tmp_path)
    assert asked.stdout.startswith("DescribeInstances: no credentials are found: ")
    assert "Set estate_cloud.credentials" in asked.stdout
    assert asked.stderr == ""


def test_nobody_at_the_endpoint(fake):
    access = Access("cn-shenzhen", Credentials(KEY["id"], KEY["secret"]), {"ecs": "127.0.0.1:9"}, "http")
    with pytest.raises(CloudError, match=r"tried for 0\.1 s") as caught:
        open_cloud(access, Patience(0.1, 0.01, 0.02)).call("DescribeInstances")
    assert caught.value.is_refusal is False
