from __future__ import annotations

import pytest

from tests.flows import fabric, proof
from tests.flows.drive import booted, eventually, playbook
from tests.flows.estates import estate


@pytest.fixture(scope="module")
def full():
    """The inventory of a cluster with reflectors and switches that is whole."""
    inventory = estate("full")
    run = playbook("site", estate=inventory)
    assert run.status == 0, run.output
    proof.deploy()
    proof.web_pods()
    for switch in booted("switches"):
        eventually(lambda switch=switch: not proof.missing_blocks(switch), 60, f"{switch} has every pod block")
    well = fabric.bgp_status(estate=inventory)
    assert well.ok, well.run.output
    return inventory
