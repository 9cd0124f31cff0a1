"""The module ecs_instances in processes of its own, which are killed, run beside each other, and lose the cloud midway.

What the cloud was paid for tells whether anything came twice or was left.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.integration.module_process import OURS, result_of, start
from tests.unit.plugins.module_utils._ecs.ecs_estate import ESTATE, KEY, ZONES, Estate

TIMINGS = {"visible": 0.4, "pending": 0.1, "starting": 0.1, "stopping": 0.1, "eni": 0.05}
FOUR = ["online-1", "online-2", "online-3", "online-4"]
TERWAYS = {ESTATE_TAG: ESTATE}
ASKED_TO_CREATE = (
    "DescribeInstances",
    "DescribeVSwitches",
    "CreateLaunchTemplate",
    "RunInstances",
    "DeleteLaunchTemplate",
)
ASKED_TO_RELEASE = (
    "DescribeInstances",
    "TagResources",
    "DescribeNetworkInterfaces",
    "DetachNetworkInterface",
    "DeleteNetworkInterface",
    "DeleteInstances",
)
# For as long as a request of a dead controller may still be under way.
UNDER_WAY_SECONDS = 1.5


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCloud]:
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse({"timings": TIMINGS})) as running:
        yield running


@pytest.fixture
def estate(fake: FakeCloud) -> Estate:
    """An empty cloud, as it was at first."""
    made = Estate(fake)
    made.empty()
    return made


@pytest.fixture
def busy(estate: Estate) -> Estate:
    """Four instances, two of them with interfaces of Terway's, one of which nobody tagged."""
    estate.run(4)
    estate.hang_interfaces("online-2", TERWAYS, {})
    estate.hang_interfaces("online-3", TERWAYS)
    return estate


class Controllers:
    """Starts the module as a process, as Ansible does on a controller."""

    def __init__(self, endpoint: str, directory: Path) -> None:
        self._endpoint = endpoint
        self._directory = directory
        self._started: list[subprocess.Popen[str]] = []

    def create(self, count: int = 4) -> subprocess.Popen[str]:
        pool = {
            "instance_types": ["ecs.g7.xlarge", "ecs.g6.xlarge"],
            "count": count,
            "image": "m-debian12",
            "owner": "team-a",
        }
        return self._start(
            pools={"online": pool},
            node_vswitches={zone: {"id": f"vsw-node-{zone[-1]}"} for zone in ZONES},
            pod_vswitches={zone: {"id": f"vsw-pod-{zone[-1]}"} for zone in ZONES},
            security_groups=["sg-1"],
            ram_role="KubernetesNodeRole",
        )

    def release(self, *names: str) -> subprocess.Popen[str]:
        return self._start(state="absent", names=list(names))

    def _start(self, **options: Any) -> subprocess.Popen[str]:
        process = start(
            f"{OURS}ecs_instances",
            self._directory / f"controller-{len(self._started)}",
            estate=ESTATE,
            region="cn-shenzhen",
            credentials={"access_key_id": KEY["id"], "access_key_secret": KEY["secret"]},
            endpoints={"ecs": self._endpoint, "vpc": self._endpoint, "scheme": "http"},
            **options,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def controllers(fake: FakeCloud, tmp_path: Path) -> Iterator[Controllers]:
    made = Controllers(fake.endpoint, tmp_path)
    yield made
    made.end()


@dataclass(frozen=True)
class Point:
    """The controller is killed when it asks this for the `number`th time.

    That request is lost (`before`), or done when nobody hears of it any more (`after`), or is done while the next run
    is at work already (`late`).
    """

    action: str
    number: int
    how: str

    def __str__(self) -> str:
        return f"{self.action}-{self.number}-{self.how}"


CREATING = (
    Point("DescribeInstances", 1, "before"),
    Point("CreateLaunchTemplate", 1, "before"),
    Point("CreateLaunchTemplate", 1, "after"),
    Point("CreateLaunchTemplate", 1, "late"),
    Point("RunInstances", 1, "before"),
    Point("RunInstances", 1, "after"),
    Point("RunInstances", 2, "late"),
    Point("DescribeInstances", 3, "after"),
    Point("DeleteLaunchTemplate", 1, "before"),
    Point("DeleteLaunchTemplate", 1, "late"),
)
RELEASING = (
    Point("TagResources", 1, "before"),
    Point("TagResources", 1, "after"),
    Point("TagResources", 2, "late"),
    Point("DetachNetworkInterface", 1, "before"),
    Point("DetachNetworkInterface", 2, "late"),
    Point("DeleteNetworkInterface", 1, "before"),
    Point("DeleteNetworkInterface", 2, "after"),
    Point("DeleteInstances", 1, "before"),
    Point("DeleteInstances", 1, "after"),
    Point("DeleteInstances", 1, "late"),
)


def killed(estate: Estate, point: Point, begin: Callable[[], subprocess.Popen[str]]) -> None:
    """Have a controller killed at the point. A late request is still under way on return."""
    rule = estate.admin(
        "fault",
        action=f"ecs:{point.action}",
        skip=point.number - 1,
        count=1,
        delay=UNDER_WAY_SECONDS,
        drop="before" if point.how == "before" else "",
    )
    assert rule["hits"] == 0
    process = begin()
    while not estate.admin("faults")[0]["hits"]:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    if point.how != "late":
        asked = len(estate.admin("requests"))
        until(lambda: len(estate.admin("requests")) > asked, "the request of the dead controller is answered")
    estate.admin("faults", clear=True)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def paid(estate: Estate) -> Counter[str]:
    """What is being paid for, by kind; an intent costs nothing, and is told all the same."""
    found = Counter(period["kind"] for period in estate.admin("billing", open=True))
    found["intent"] = len(estate.admin("state")["launch_templates"])
    return +found


def each_once(count: int) -> Counter[str]:
    return Counter(dict.fromkeys(("instance", "disk", "eni", "address"), count))


@pytest.mark.parametrize("point", CREATING, ids=str)
def test_killed_while_it_makes_instances(estate: Estate, controllers: Controllers, point: Point) -> None:
    killed(estate, point, controllers.create)

    run = estate.run(4)
    assert run.outcome.problems == []
    time.sleep(UNDER_WAY_SECONDS if point.how == "late" else 0)
    # What a dead controller's last request has written down is taken away by whoever comes next.
    estate.run(4)

    assert (estate.names, estate.ever_billed()) == (FOUR, 4)
    assert paid(estate) == each_once(4)
    assert estate.run(4).outcome.steps == []


@pytest.mark.parametrize("point", RELEASING, ids=str)
def test_killed_while_it_ends_instances(busy: Estate, controllers: Controllers, point: Point) -> None:
    killed(busy, point, lambda: controllers.release(*FOUR))

    assert busy.release(*FOUR).outcome.problems == []
    time.sleep(UNDER_WAY_SECONDS if point.how == "late" else 0)

    assert (busy.leftovers(), paid(busy)) == ({}, Counter())
    assert busy.ever_billed() == 4
    assert busy.run(0).outcome.steps == []


def test_two_controllers_make_instances_at_once(estate: Estate, controllers: Controllers) -> None:
    estate.admin("fault", action="*", delay=0.1, share=0.5)
    both = [controllers.create(count) for count in (4, 6)]
    assert [result_of(process).get("msg", "") for process in both] == ["", ""]
    assert estate.ever_billed() == 6
    assert paid(estate) == each_once(6)


def test_two_controllers_end_instances_at_once(busy: Estate, controllers: Controllers) -> None:
    busy.admin("fault", action="*", delay=0.1, share=0.5)
    both = [controllers.release(*FOUR) for _each in range(2)]
    assert [result_of(process).get("msg", "") for process in both] == ["", ""]
    assert (busy.leftovers(), paid(busy)) == ({}, Counter())


def test_one_makes_instances_while_another_ends_some(busy: Estate, controllers: Controllers) -> None:
    """A run of before an edit of the inventory meets one of after it."""
    busy.admin("fault", action="*", delay=0.1, share=0.5)
    both = [controllers.create(6), controllers.release("online-3", "online-4")]
    assert [result_of(process).get("msg", "") for process in both] == ["", ""]
    busy.run(6)
    assert len(busy.names) == len(set(busy.names)) == 6
    # Two interfaces of Terway's are those of online-2.
    assert paid(busy) == each_once(6) + Counter(eni=2, address=2)


def test_throttling_of_each_third_request(estate: Estate, controllers: Controllers) -> None:
    estate.admin("fault", action="*", code="Throttling.User", share=0.3, seed=1)
    made = result_of(controllers.create())
    assert (made.get("msg", ""), estate.ever_billed(), paid(estate)) == ("", 4, each_once(4))
    gone = result_of(controllers.release(*FOUR))
    assert (gone.get("msg", ""), estate.leftovers(), paid(estate)) == ("", {}, Counter())
    log = estate.admin("requests")
    throttled = [entry for entry in log if entry["status"] == 400]
    print(f"{len(throttled)} of {len(log)} requests were throttled")
    assert len(throttled) > len(log) / 5


def test_the_cloud_is_away_for_a_while(tmp_path: Path) -> None:
    """Its server ends in the middle of a run, connections and all, and comes back with what it knows."""
    directory = tmp_path / "cloud"
    first = FakeCloud(directory, world.parse({"timings": TIMINGS}))
    host, _colon, port = first.endpoint.rpartition(":")
    with first:
        estate = Estate(first)
        estate.admin("fault", action="ecs:RunInstances", delay=0.5)
        process = Controllers(first.endpoint, tmp_path).create()
        until(lambda: bool(estate.admin("faults")[0]["hits"]), "instances are asked for")
    time.sleep(2)
    assert process.poll() is None, process.communicate()
    with FakeCloud(directory, address=(host, int(port))) as second:
        estate = Estate(second)
        assert result_of(process).get("msg", "") == ""
        assert (estate.names, estate.ever_billed(), paid(estate)) == (FOUR, 4, each_once(4))


@pytest.mark.parametrize("action", ASKED_TO_CREATE)
def test_the_cloud_is_away_for_good_when_instances_are_made(estate: Estate, action: str) -> None:
    """A run gives up, says so, and the next one finishes."""
    estate.admin("fault", action=f"*:{action}", drop="before")
    said = said_by(lambda: estate.run(4, cloud=estate.cloud(patience=0.3)))
    assert "Check estate_cloud.endpoints and the way to them" in said
    estate.admin("faults", clear=True)
    assert estate.run(4).outcome.problems == []
    assert (estate.names, estate.ever_billed(), paid(estate)) == (FOUR, 4, each_once(4))


@pytest.mark.parametrize("action", ASKED_TO_RELEASE)
def test_the_cloud_is_away_for_good_when_instances_are_ended(busy: Estate, action: str) -> None:
    busy.admin("fault", action=f"ecs:{action}", drop="before")
    said = said_by(lambda: busy.release(*FOUR, cloud=busy.cloud(patience=0.3)))
    assert "Check estate_cloud.endpoints and the way to them" in said
    busy.admin("faults", clear=True)
    assert busy.release(*FOUR).outcome.problems == []
    assert (busy.leftovers(), paid(busy)) == ({}, Counter())


@pytest.mark.parametrize("action", ASKED_TO_CREATE)
def test_what_may_not_be_asked_when_instances_are_made(estate: Estate, action: str) -> None:
    estate.admin("fault", action=f"*:{action}", code="Forbidden.RAM")
    assert f"Grant the RAM user or role the action {action}." in said_by(lambda: estate.run(4))
    estate.admin("faults", clear=True)
    assert estate.run(4).outcome.problems == []
    assert (estate.names, estate.ever_billed(), paid(estate)) == (FOUR, 4, each_once(4))


@pytest.mark.parametrize("action", ASKED_TO_RELEASE)
def test_what_may_not_be_asked_when_instances_are_ended(busy: Estate, action: str) -> None:
    busy.admin("fault", action=f"ecs:{action}", code="Forbidden.RAM")
    assert f"Grant the RAM user or role the action {action}." in said_by(lambda: busy.release(*FOUR))
    busy.admin("faults", clear=True)
    assert busy.release(*FOUR).outcome.problems == []
    assert (busy.leftovers(), paid(busy)) == ({}, Counter())


def said_by(run: Callable[[], Any]) -> str:
    try:
        return " ".join(run().outcome.problems)
    except CloudError as error:
        return str(error)


def test_no_stock_in_a_zone_and_then_a_quota(estate: Estate, controllers: Controllers) -> None:
    """What one zone lacks the other has; what a quota refuses is said, and comes when it is raised."""
    estate.admin("world", stock={"cn-shenzhen-d": {"ecs.g7.xlarge": 0, "ecs.g6.xlarge": 0}}, quotas={"vcpus": 12})
    made = result_of(controllers.create())
    assert made["failed"] is True
    assert "Have the quota raised" in made["msg"]
    assert {instance["zone"] for instance in estate.instances} == {"cn-shenzhen-e"}
    assert paid(estate) == each_once(3)
    estate.admin("world", stock={}, quotas={"vcpus": 1000})
    assert result_of(controllers.create()).get("msg", "") == ""
    assert (estate.names, estate.ever_billed(), paid(estate)) == (FOUR, 4, each_once(4))
