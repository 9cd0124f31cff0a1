from __future__ import annotations

import pytest
from darabonba.exceptions import UnretryableException

from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import Account, refusal


def test_a_fault_hits_so_many_requests_and_no_more(account: Account, fake: FakeCloud) -> None:
    fake.cloud.faults.add({"action": "ecs:Run*", "code": "Throttling.User", "skip": 1, "count": 2})
    account.run()
    assert [refusal(account.run) for _each in range(2)] == [(400, "Throttling.User")] * 2
    account.run()
    assert len(account.instances()) == 2


def test_a_fault_of_a_share_hits_about_that_share(account: Account, fake: FakeCloud) -> None:
    fault = fake.cloud.faults.add(
        {"action": "ecs:Describe*", "code": "Throttling", "status": 503, "share": 0.3, "seed": 1}
    )
    refused = 0
    for _each in range(60):
        try:
            account.instances()
        except Exception:
            refused += 1
    assert refused == fault.hits
    assert 8 <= refused <= 30


@pytest.mark.parametrize(("drop", "made"), [("before", 0), ("after", 1)])
def test_a_cut_connection_before_the_work_or_after_it(account: Account, fake: FakeCloud, drop: str, made: int) -> None:
    fake.cloud.faults.add({"action": "ecs:RunInstances", "drop": drop, "count": 1})
    with pytest.raises(UnretryableException):
        account.run(client_token="t")
    assert len(account.instances()) == made
    account.run(client_token="t")
    assert len(account.instances()) == 1
    assert [entry.status for entry in fake.cloud.requests() if entry.action == "RunInstances"] == [0, 200]


def test_a_delay_is_a_delay(account: Account, fake: FakeCloud) -> None:
    fake.cloud.faults.add({"delay": 0.3, "count": 1})
    account.instances()
    assert fake.cloud.requests()[-1].seconds >= 0.3


def test_an_unknown_word_in_a_fault_is_said(fake: FakeCloud) -> None:
    with pytest.raises(ValueError, match="a fault has no codes"):
        fake.cloud.faults.add({"codes": "x"})


def test_a_rate_is_kept_for_each_action(account: Account, fake: FakeCloud) -> None:
    fake.cloud.change_world({"rates": {"RunInstances": 2}})
    account.run()
    account.run()
    assert refusal(account.run) == (400, "Throttling.User")
    assert len(account.instances()) == 2
