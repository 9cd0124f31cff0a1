"""What the lab was before its first VM."""

from __future__ import annotations

import pytest

from tests.flows import audit, cloud, pools, proof
from tests.flows.drive import kubectl


@pytest.fixture(scope="session")
def before():
    """The estate of the data centre alone, by `site`; its API server tells what it is asked from then on.

    Each node has had pods, so that Calico has given it the block of addresses that it keeps.
    """
    pools.succeeded("site", pools.sized(0))
    proof.deploy()
    proof.web_pods()
    kubectl("delete", "namespace", proof.NAMESPACE)
    audit.keep()
    assert not cloud.leftovers()
    return pools.remembered()
