"""What a test asks of the simulated cloud beside its API: its state, its logs, trouble, time. JSON over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl

from tests.fakecloud import lifecycle
from tests.fakecloud.api import Reply
from tests.fakecloud.cloud import Cloud

PREFIX = "/_fakecloud/"
Verb = Callable[[Cloud, dict[str, Any]], Any]


def state(cloud: Cloud, _options: dict[str, Any]) -> Any:
    """Everything that exists."""
    tables: dict[str, dict[str, Any]] = {
        "instances": cloud.instances,
        "disks": cloud.disks,
        "enis": cloud.enis,
        "clusters": cloud.clusters,
        "launch_templates": cloud.launch_templates,
    }
    return {name: [each.to_dict() for each in table.values()] for name, table in tables.items()}


def requests(cloud: Cloud, _options: dict[str, Any]) -> Any:
    """Every request and its answer's status, in their order."""
    return [asdict(entry) for entry in cloud.requests()]


def billing(cloud: Cloud, options: dict[str, Any]) -> Any:
    """Every period in which something existed, with its seconds and causes; with `open`, those that go on."""
    now, periods = cloud.now(), cloud.periods()
    return [
        {**asdict(period), "seconds": round((now if period.ended is None else period.ended) - period.began, 3)}
        for period in periods
        if period.ended is None or not options.get("open")
    ]


def world(cloud: Cloud, options: dict[str, Any]) -> Any:
    """The world, after the changes that are given: stock, quotas, rates, timings, …"""
    if options:
        cloud.change_world(options)
    shown = cloud.world.to_dict()
    shown["keys"] = {name: {**key, "secret": "(hidden)"} for name, key in shown["keys"].items()}
    return shown


def fault(cloud: Cloud, options: dict[str, Any]) -> Any:
    """Add a fault (see faults.Fault)."""
    return cloud.faults.add(options).to_dict()


def faults(cloud: Cloud, options: dict[str, Any]) -> Any:
    """The faults that there are; with `clear`, no more."""
    if options.get("clear"):
        cloud.faults.clear()
    return cloud.faults.to_list()


def advance(cloud: Cloud, options: dict[str, Any]) -> Any:
    """Let `seconds` pass at once."""
    cloud.shift(float(options["seconds"]))
    lifecycle.tick(cloud)
    return {"now": cloud.now()}


def reset(cloud: Cloud, _options: dict[str, Any]) -> Any:
    """Forget everything but the world."""
    cloud.reset()
    return {}


def agent(cloud: Cloud, options: dict[str, Any]) -> Any:
    """The agent of `cluster` has connected, or with connected=false is gone."""
    cluster = cloud.clusters[str(options["cluster"])]
    cluster.state = "running" if options.get("connected", True) else "waiting"
    cloud.save(cluster)
    return cluster.to_dict()


def interrupt(cloud: Cloud, options: dict[str, Any]) -> Any:
    """The cloud takes `instance` back, as it does with spot instances: it is released without being asked."""
    instance = cloud.instances[str(options["instance"])]
    lifecycle.release(cloud, instance, cloud.now(), "interrupted by the cloud")
    return instance.to_dict()


def reuse_addresses(cloud: Cloud, _options: dict[str, Any]) -> Any:
    """The next addresses are the first free ones, as in a vSwitch of which all have had their turn."""
    cloud.reuse_addresses()
    return {}


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (state, requests, billing, world, fault, faults, advance, agent, interrupt, reuse_addresses, reset)
}


def ask(cloud: Cloud, verb: str, options: dict[str, Any]) -> Any:
    """What a verb tells; what it changes is kept."""
    with cloud.lock:
        result = VERBS[verb](cloud, options)
        cloud.commit()
    return result


def answer(cloud: Cloud, _method: str, path: str, query: str, body: bytes) -> Reply:
    verb = path.removeprefix(PREFIX)
    if verb not in VERBS:
        return Reply(404, {"error": f"no such verb; there are {', '.join(VERBS)}"})
    try:
        options = {**dict(parse_qsl(query)), **(json.loads(body) if body else {})}
        return Reply(200, ask(cloud, verb, options))
    except (ValueError, TypeError, KeyError) as error:
        return Reply(400, {"error": f"{type(error).__name__}: {error}"})
